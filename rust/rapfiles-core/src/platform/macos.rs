//! System calls of macOS only.

mod copying;

use std::collections::TryReserveError;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;

use super::{NativePath, calls, checked, file_type_of};
use crate::limits::LISTING_ENTRIES;
use crate::verbs::listing::Entry;
use crate::verbs::metadata::{Metadata, StatVfs, Timestamp};

pub(crate) use copying::*;

/// The longest name of a file, in bytes.
const NAME_MAX: u64 = 255;

/// Runs a call that fills a `struct stat`.
pub(crate) fn fill_metadata(call: impl FnOnce(*mut libc::stat) -> io::Result<i32>) -> io::Result<Metadata> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    call(stat.as_mut_ptr())?;
    // SAFETY: the call succeeded, so it has filled the struct.
    let stat = unsafe { stat.assume_init() };
    let time = |seconds, nanoseconds| Timestamp { seconds, nanoseconds: nanoseconds as u32 };
    Ok(Metadata {
        mode: u32::from(stat.st_mode),
        inode: u128::from(stat.st_ino),
        device: stat.st_dev as u64,
        links: u64::from(stat.st_nlink),
        user: stat.st_uid,
        group: stat.st_gid,
        size: stat.st_size as u64,
        accessed: time(stat.st_atime, stat.st_atime_nsec),
        modified: time(stat.st_mtime, stat.st_mtime_nsec),
        changed: time(stat.st_ctime, stat.st_ctime_nsec),
        born: Some(time(stat.st_birthtime, stat.st_birthtime_nsec)),
        block_size: stat.st_blksize as u64,
        blocks: stat.st_blocks as u64,
        special_device: stat.st_rdev as u64,
        flags: stat.st_flags,
        generation: stat.st_gen,
        ..Metadata::default()
    })
}

/// From `statfs(2)`: the counts of macOS' `statvfs` are 32 bits wide, too few for large disks.
pub(crate) fn statvfs(path: &NativePath) -> io::Result<StatVfs> {
    let mut found = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path is a C string and `found` has room for the result.
    checked(|| unsafe { libc::statfs(path.as_ptr(), found.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so it has filled the struct.
    let found = unsafe { found.assume_init() };
    let flag = |mounted: libc::c_int, flag: u64| {
        if found.f_flags & mounted as u32 == 0 { 0 } else { flag }
    };
    // SAFETY: the number is the first 32 bits of a plain structure of two.
    let id = unsafe { (&raw const found.f_fsid).cast::<u32>().read_unaligned() };
    Ok(StatVfs {
        block_size: found.f_iosize as u64,
        fragment_size: found.f_bsize.into(),
        blocks: found.f_blocks,
        blocks_free: found.f_bfree,
        blocks_available: found.f_bavail,
        files: found.f_files,
        files_free: found.f_ffree,
        files_available: found.f_ffree,
        flags: flag(libc::MNT_RDONLY, libc::ST_RDONLY) | flag(libc::MNT_NOSUID, libc::ST_NOSUID),
        name_max: NAME_MAX,
        id: id.into(),
    })
}

pub(crate) fn get_attribute_into(
    path: &NativePath,
    name: &NativePath,
    room: &mut [u8],
    follow: bool,
) -> io::Result<usize> {
    let get = |start: *mut libc::c_void, length| {
        let options = follow_option(follow);
        // SAFETY: both are C strings, and the room is null, for the length alone, or as long as it says.
        checked(|| unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), start, length, 0, options) })
            .map(|length| length as usize)
    };
    // The length comes first: a resource fork is cut off where the room ends, without an error.
    let length = get(ptr::null_mut(), 0)?;
    match room.len() {
        0 => Ok(length),
        room if room < length => Err(io::Error::from_raw_os_error(libc::ERANGE)),
        _ => get(room.as_mut_ptr().cast(), room.len()),
    }
}

pub(crate) fn list_attributes_into(path: &NativePath, room: &mut [u8], follow: bool) -> io::Result<usize> {
    // Only a null pointer asks for the length alone.
    let start = if room.is_empty() { ptr::null_mut() } else { room.as_mut_ptr().cast() };
    // SAFETY: the path is a C string, and the room is null or as long as it says.
    let length =
        checked(|| unsafe { libc::listxattr(path.as_ptr(), start, room.len(), follow_option(follow)) })?;
    Ok(length as usize)
}

pub(crate) fn set_attribute(
    path: &NativePath,
    name: &NativePath,
    value: &[u8],
    flags: i32,
    follow: bool,
) -> io::Result<()> {
    let (start, length, options) = (value.as_ptr().cast(), value.len(), flags | follow_option(follow));
    // SAFETY: both are C strings, and the value is as long as it says.
    checked(|| unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), start, length, 0, options) }).map(drop)
}

pub(crate) fn remove_attribute(path: &NativePath, name: &NativePath, follow: bool) -> io::Result<()> {
    // SAFETY: both are C strings.
    checked(|| unsafe { libc::removexattr(path.as_ptr(), name.as_ptr(), follow_option(follow)) }).map(drop)
}

fn follow_option(follow: bool) -> libc::c_int {
    if follow { 0 } else { libc::XATTR_NOFOLLOW }
}

/// A pipe, which has two ends.
pub(crate) fn create_event() -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    let (readable, writable) = io::pipe()?;
    let (readable, writable) = (OwnedFd::from(readable), OwnedFd::from(writable));
    for end in [&readable, &writable] {
        // SAFETY: no memory is involved.
        checked(|| unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
    }
    Ok((readable, Some(writable)))
}

/// The C library has no such setting.
pub(crate) fn keep_freed_memory() {}

/// Nothing: large pages have to be requested when memory is allocated.
pub(crate) fn expect_large_use(_start: *mut u8, _length: usize) {}

/// Nothing.
pub(crate) fn expect_small_use(_start: *mut u8, _length: usize) {}

/// `fsync(2)` only hands the content to the device, and `F_FULLFSYNC` has the device write it: see fcntl(2).
pub(crate) fn synchronise_everything(file: &File) -> io::Result<()> {
    // SAFETY: no memory is involved.
    match checked(|| unsafe { libc::fcntl(file.as_raw_fd(), libc::F_FULLFSYNC) }) {
        Ok(_) => Ok(()),
        // A failed synchronisation is not repeated: the second one would succeed without writing anything.
        Err(error) if !error.raw_os_error().is_some_and(lacks_full_synchronisation) => Err(error),
        // Not every file system has it.
        // SAFETY: as above.
        Err(_) => checked(|| unsafe { calls::fsync(file.as_raw_fd()) }).map(drop),
    }
}

/// Whether an error code says that a file system does not know `F_FULLFSYNC` (fcntl(2)).
fn lacks_full_synchronisation(code: i32) -> bool {
    matches!(code, libc::ENOTSUP | libc::EOPNOTSUPP | libc::ENOTTY | libc::EINVAL)
}

/// There is no call that leaves the metadata out.
pub(crate) fn synchronise_data(file: &File) -> io::Result<()> {
    synchronise_everything(file)
}

/// Reads a directory with `readdir(3)`.
#[derive(Debug)]
pub(crate) struct DirectoryReader(*mut libc::DIR);

// SAFETY: a stream may be read by any thread, by one at a time.
unsafe impl Send for DirectoryReader {}

impl DirectoryReader {
    /// Reads an open directory from its start on.
    pub(crate) fn new(directory: OwnedFd) -> io::Result<Self> {
        // SAFETY: the descriptor is open.
        let stream = unsafe { libc::fdopendir(directory.as_raw_fd()) };
        if stream.is_null() {
            return Err(io::Error::last_os_error());
        }
        // The stream closes it.
        let _ = directory.into_raw_fd();
        Ok(Self(stream))
    }

    /// The same, of one that others use too.
    pub(crate) fn of(directory: &Arc<OwnedFd>) -> io::Result<Self> {
        // SAFETY: no memory is involved.
        let fd = checked(|| unsafe { calls::fcntl(directory.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 0) })?;
        // SAFETY: the descriptor is new and nobody else's.
        Self::new(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// The descriptor by which the entries are reached.
    pub(crate) fn descriptor(&self) -> RawFd {
        // SAFETY: the stream is open.
        unsafe { libc::dirfd(self.0) }
    }

    /// Passes on the next entries, without `.` and `..`; `false` with the last ones.
    pub(crate) fn read(
        &mut self,
        push: &mut dyn FnMut(Entry<'_>) -> Result<(), TryReserveError>,
    ) -> io::Result<bool> {
        for _ in 0..LISTING_ENTRIES {
            // Only this tells the end from an error: see readdir(3).
            // SAFETY: the location is this thread's own.
            unsafe { *libc::__error() = 0 };
            // SAFETY: the stream is open, and only this thread reads it.
            let entry = unsafe { libc::readdir(self.0) };
            if entry.is_null() {
                let error = io::Error::last_os_error();
                return if error.raw_os_error() == Some(0) { Ok(false) } else { Err(error) };
            }
            // SAFETY: the entry is valid until the next read, and its name is a C string.
            let (name, entry) = unsafe { (CStr::from_ptr((*entry).d_name.as_ptr()).to_bytes(), &*entry) };
            if name != b"." && name != b".." {
                push(Entry { name, file_type: file_type_of(entry.d_type), inode: entry.d_ino })?;
            }
        }
        Ok(true)
    }
}

impl Drop for DirectoryReader {
    fn drop(&mut self) {
        // SAFETY: the stream is open and nobody else's.
        unsafe { libc::closedir(self.0) };
    }
}

/// Clears the flags with which its owner has protected a file from changes and removal: see chflags(2).
pub(crate) fn clear_flags(path: &NativePath) -> io::Result<()> {
    const KEEPING: u32 = libc::UF_IMMUTABLE | libc::UF_APPEND | UF_NOUNLINK;
    /// In `<sys/stat.h>` as a comment only, but the kernel and Python know it.
    const UF_NOUNLINK: u32 = 0x10;
    if super::metadata(path, false)?.flags & KEEPING == 0 {
        return Ok(());
    }
    // SAFETY: the path is a C string.
    checked(|| unsafe { libc::lchflags(path.as_ptr(), 0) }).map(drop)
}

/// The system does not tell.
pub(crate) fn file_lock_holder(_device: u64, _inode: u128) -> Option<u32> {
    None
}
