//! Open files, with the C library's descriptors, which Python uses.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::windows::fs::FileExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, IntoRawHandle};

use windows_sys::Win32::Foundation::{ERROR_INVALID_PARAMETER, GENERIC_READ, GENERIC_WRITE, HANDLE};
use windows_sys::Win32::Storage::FileSystem::{
    CREATE_ALWAYS, CREATE_NEW, FILE_APPEND_DATA, FILE_ATTRIBUTE_NORMAL, FILE_ATTRIBUTE_READONLY,
    FILE_ATTRIBUTE_TEMPORARY, FILE_FLAG_DELETE_ON_CLOSE, FILE_GENERIC_WRITE, FILE_SHARE_DELETE,
    FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_WRITE_DATA, GetFileType, OPEN_ALWAYS, OPEN_EXISTING,
    TRUNCATE_EXISTING,
};

use super::errors::error;
use super::{EventSignal, NativePath, handle};

/// The flags of the C library, from its `fcntl.h`.
mod flag {
    pub(super) const WRITE_ONLY: i32 = 0x0001;
    pub(super) const READ_WRITE: i32 = 0x0002;
    pub(super) const APPEND: i32 = 0x0008;
    pub(super) const TEMPORARY: i32 = 0x0040;
    pub(super) const CREATE: i32 = 0x0100;
    pub(super) const TRUNCATE: i32 = 0x0200;
    pub(super) const EXCLUSIVE: i32 = 0x0400;
    pub(super) const SHORT_LIVED: i32 = 0x1000;
    pub(super) const BINARY: i32 = 0x8000;
    pub(super) const NOT_INHERITED: i32 = 0x0080;
}

const OWNER_MAY_WRITE: u32 = 0o200;
const DISK: u32 = 0x0001;
const CHARACTERS: u32 = 0x0002;

/// Files are always blocking.
pub(crate) fn set_blocking(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Opens a file as the C library's `open` does; not inherited by child processes.
pub(crate) fn open_file(path: &NativePath, flags: i32, permissions: u32) -> io::Result<File> {
    let mut access = match flags & (flag::WRITE_ONLY | flag::READ_WRITE) {
        0 => GENERIC_READ,
        flag::WRITE_ONLY => GENERIC_WRITE,
        _ => GENERIC_READ | GENERIC_WRITE,
    };
    if flags & flag::APPEND != 0 {
        // Without the right to write anywhere else, each write goes to the end.
        access = access & !GENERIC_WRITE | (FILE_GENERIC_WRITE & !FILE_WRITE_DATA | FILE_APPEND_DATA);
    }
    let has = |wanted: i32| flags & wanted == wanted;
    let disposition = match () {
        () if has(flag::CREATE | flag::EXCLUSIVE) => CREATE_NEW,
        () if has(flag::CREATE | flag::TRUNCATE) => CREATE_ALWAYS,
        () if has(flag::CREATE) => OPEN_ALWAYS,
        () if has(flag::TRUNCATE) => TRUNCATE_EXISTING,
        () => OPEN_EXISTING,
    };
    let mut attributes = FILE_ATTRIBUTE_NORMAL;
    if has(flag::CREATE) && permissions & OWNER_MAY_WRITE == 0 {
        attributes = FILE_ATTRIBUTE_READONLY;
    }
    let mut share = FILE_SHARE_READ | FILE_SHARE_WRITE;
    if has(flag::TEMPORARY) {
        attributes |= FILE_FLAG_DELETE_ON_CLOSE;
        share |= FILE_SHARE_DELETE;
    }
    if has(flag::SHORT_LIVED) {
        attributes |= FILE_ATTRIBUTE_TEMPORARY;
    }
    handle::open(path, access, share, disposition, attributes).map(File::from)
}

/// Whether flags only open an existing file for reading.
pub(crate) fn only_reads(flags: i32) -> bool {
    flags & !(flag::BINARY | flag::NOT_INHERITED) == 0
}

/// Whether flags make each write go to the end.
pub(crate) fn appends(flags: i32) -> bool {
    flags & flag::APPEND != 0
}

/// The file of a descriptor of the C library. Closing the file leaves the descriptor allocated: the C library cannot
/// free it without closing the file too. Python's own files have the reverse arrangement.
pub(crate) fn adopt(fd: i32) -> io::Result<File> {
    // SAFETY: the C library checks the number.
    let handle = unsafe { libc::get_osfhandle(fd) };
    if handle == -1 || handle == -2 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is open, and its owner has passed on ownership, or keeps it open, and the file is forgotten.
    Ok(unsafe { File::from_raw_handle(handle as *mut _) })
}

/// A descriptor for the open file; a new one each time, because the C library has none for it.
pub(crate) fn descriptor(file: &File) -> io::Result<i32> {
    // SAFETY: the handle is open; the number stands for it without owning more than the file does.
    number(unsafe { libc::open_osfhandle(file.as_raw_handle() as isize, flag::BINARY | flag::NOT_INHERITED) })
}

/// Releases the file without closing it, as a descriptor of the C library.
pub(crate) fn into_descriptor(file: File) -> io::Result<i32> {
    let handle = file.into_raw_handle();
    // SAFETY: the handle is open, and the number owns it from now on.
    number(unsafe { libc::open_osfhandle(handle as isize, flag::BINARY | flag::NOT_INHERITED) })
}

fn number(number: i32) -> io::Result<i32> {
    if number < 0 { Err(io::Error::last_os_error()) } else { Ok(number) }
}

/// Another handle of the same open file.
pub(crate) fn duplicate(file: &File) -> io::Result<File> {
    file.try_clone()
}

pub(crate) fn is_terminal(file: &File) -> bool {
    // SAFETY: the handle is open.
    let kind = unsafe { GetFileType(file.as_raw_handle() as HANDLE) };
    debug_assert!(kind != DISK || !io::IsTerminal::is_terminal(file));
    kind == CHARACTERS && io::IsTerminal::is_terminal(file)
}

/// Reads once, at the file's position.
///
/// # Safety
/// `start` must be valid for writes of `length` bytes.
pub(crate) unsafe fn read(mut file: &File, start: *mut u8, length: usize) -> io::Result<usize> {
    // SAFETY: the caller's promise; the system only writes to it.
    let room = unsafe { std::slice::from_raw_parts_mut(start, length) };
    match file.read(room) {
        // The other end of a pipe is closed: that is its end.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        other => other,
    }
}

/// Writes once, at the file's position.
pub(crate) fn write(mut file: &File, bytes: &[u8]) -> io::Result<usize> {
    file.write(bytes)
}

/// Writes once, at an offset.
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.seek_write(bytes, offset)
}

/// Moves the file's position, as `lseek` does.
pub(crate) fn seek(mut file: &File, offset: i64, whence: i32) -> io::Result<u64> {
    file.seek(match whence {
        FROM_START => SeekFrom::Start(u64::try_from(offset).map_err(|_| error(ERROR_INVALID_PARAMETER))?),
        FROM_HERE => SeekFrom::Current(offset),
        FROM_END => SeekFrom::End(offset),
        _ => return Err(error(ERROR_INVALID_PARAMETER)),
    })
}

/// Truncates an open file to a length, or extends it with zeros.
pub(crate) fn set_length(file: &File, length: i64) -> io::Result<()> {
    file.set_len(u64::try_from(length).map_err(|_| error(ERROR_INVALID_PARAMETER))?)
}

/// Waits until the device has the file's content; there is no call that leaves the metadata out.
pub(crate) fn synchronise(file: &File, _data_only: bool) -> io::Result<()> {
    file.sync_all()
}

/// Nothing: reading itself blocks, and cannot be interrupted.
pub(crate) fn wait_to_read(_file: &File, _interruption: Option<&EventSignal>) -> io::Result<bool> {
    Ok(true)
}

/// Nothing: writing itself blocks.
pub(crate) fn wait_to_write(_file: &File) -> io::Result<bool> {
    Ok(true)
}

/// Whether an error says that a non-blocking file has nothing to read, or no room for a write.
pub(crate) fn would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// The values of `whence` for `lseek`.
pub(crate) const FROM_START: i32 = 0;
pub(crate) const FROM_HERE: i32 = 1;
pub(crate) const FROM_END: i32 = 2;
