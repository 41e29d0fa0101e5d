//! The system calls on open files that all POSIX platforms share.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, RawFd};

use super::calls::{self, File};
use super::{EventSignal, NativePath, checked, synchronise_data, synchronise_everything};

/// Opens a file as `os.open` does, with the platform's own flags; not inherited by child processes.
pub(crate) fn open_file(path: &NativePath, flags: i32, permissions: u32) -> io::Result<File> {
    // SAFETY: the path is a C string.
    let fd = checked(|| unsafe { calls::open(path.as_ptr(), flags | libc::O_CLOEXEC, permissions) })?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Whether flags only open an existing file for reading.
pub(crate) fn only_reads(flags: i32) -> bool {
    flags & !libc::O_CLOEXEC == libc::O_RDONLY
}

/// Whether flags make each write go to the end.
pub(crate) fn appends(flags: i32) -> bool {
    flags & libc::O_APPEND != 0
}

/// The file with a descriptor that somebody else has opened.
///
/// # Errors
/// When there is no such descriptor.
pub(crate) fn adopt(fd: RawFd) -> io::Result<File> {
    // SAFETY: no memory is involved.
    checked(|| unsafe { calls::fcntl(fd, libc::F_GETFD, 0) })?;
    // SAFETY: the descriptor is open, and its owner has passed on ownership, or keeps it open for as long as the file
    // is used, and the file is forgotten instead of closed.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// The descriptor of an open file, as Python shows it.
pub(crate) fn descriptor(file: &File) -> io::Result<RawFd> {
    Ok(file.as_raw_fd())
}

/// Releases the descriptor without closing it.
pub(crate) fn into_descriptor(file: File) -> io::Result<RawFd> {
    Ok(file.into_raw_fd())
}

/// Another descriptor of the same open file: both have one position, and report the same errors.
pub(crate) fn duplicate(file: &File) -> io::Result<File> {
    // SAFETY: no memory is involved.
    let fd = checked(|| unsafe { calls::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 0) })?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Clears `O_NONBLOCK`.
pub(crate) fn set_blocking(file: &File) -> io::Result<()> {
    // SAFETY: no memory is involved.
    checked(|| unsafe { calls::fcntl(file.as_raw_fd(), libc::F_SETFL, 0) }).map(drop)
}

pub(crate) fn is_terminal(file: &File) -> bool {
    // SAFETY: no memory is involved.
    unsafe { calls::isatty(file.as_raw_fd()) == 1 }
}

/// Reads once, at the file's position.
///
/// # Safety
/// `start` must be valid for writes of `length` bytes.
pub(crate) unsafe fn read(file: &File, start: *mut u8, length: usize) -> io::Result<usize> {
    // SAFETY: guaranteed by the caller.
    let read = checked(|| unsafe { calls::read(file.as_raw_fd(), start.cast(), length.min(MOST)) })?;
    Ok(read as usize)
}

/// Writes once, at the file's position.
pub(crate) fn write(file: &File, bytes: &[u8]) -> io::Result<usize> {
    let (start, length) = (bytes.as_ptr().cast(), bytes.len().min(MOST));
    // SAFETY: the bytes are there to be read.
    let written = checked(|| unsafe { calls::write(file.as_raw_fd(), start, length) })?;
    Ok(written as usize)
}

/// Writes once, at an offset.
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    let (start, length) = (bytes.as_ptr().cast(), bytes.len().min(MOST));
    // SAFETY: the bytes are there to be read.
    let written =
        checked(|| unsafe { calls::pwrite(file.as_raw_fd(), start, length, offset as libc::off_t) })?;
    Ok(written as usize)
}

/// The most that macOS reads or writes in one call (CPython's `_PY_READ_MAX`, Include/internal/pycore_fileutils.h);
/// Linux stops at a page less by itself (`read(2)`, NOTES).
pub(super) const MOST: usize = i32::MAX as usize;

/// Moves the file's position, as `lseek(2)` does.
pub(crate) fn seek(file: &File, offset: i64, whence: i32) -> io::Result<u64> {
    // SAFETY: no memory is involved.
    checked(|| unsafe { calls::lseek(file.as_raw_fd(), offset as libc::off_t, whence) })
        .map(|position| position as u64)
}

/// Truncates an open file to a length, or extends it with zeros.
pub(crate) fn set_length(file: &File, length: i64) -> io::Result<()> {
    // SAFETY: no memory is involved.
    checked(|| unsafe { calls::ftruncate(file.as_raw_fd(), length as libc::off_t) }).map(drop)
}

/// Waits until the device has the file's content, and its metadata unless `data_only`.
pub(crate) fn synchronise(file: &File, data_only: bool) -> io::Result<()> {
    if data_only { synchronise_data(file) } else { synchronise_everything(file) }
}

/// Waits until there is something to read, or its end; `false` if the signal came first.
pub(crate) fn wait_to_read(file: &File, interruption: Option<&EventSignal>) -> io::Result<bool> {
    wait(file, libc::POLLIN, interruption)
}

/// Waits until there is room to write.
pub(crate) fn wait_to_write(file: &File) -> io::Result<bool> {
    wait(file, libc::POLLOUT, None)
}

fn wait(file: &File, events: libc::c_short, interruption: Option<&EventSignal>) -> io::Result<bool> {
    let mut watched = [
        libc::pollfd { fd: file.as_raw_fd(), events, revents: 0 },
        libc::pollfd { fd: interruption.map_or(-1, EventSignal::fd), events: libc::POLLIN, revents: 0 },
    ];
    // SAFETY: the array is as long as it says; negative descriptors are ignored (poll(2)).
    checked(|| unsafe { calls::poll(watched.as_mut_ptr(), watched.len() as libc::nfds_t, -1) })?;
    Ok(watched[1].revents == 0)
}

/// Whether an error says that a non-blocking file has nothing to read, or no room for a write.
pub(crate) fn would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// The values of `whence` for `lseek(2)`.
pub(crate) const FROM_START: i32 = libc::SEEK_SET;
pub(crate) const FROM_HERE: i32 = libc::SEEK_CUR;
pub(crate) const FROM_END: i32 = libc::SEEK_END;
