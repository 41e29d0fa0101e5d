//! Locks: `LockFileEx`, whose locks belong to the handle and are mandatory.
//!
//! So that a lock of a whole file keeps nobody from reading and writing it, it locks one byte far beyond its end.

use std::fs::File;
use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle};

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_CANT_RESOLVE_FILENAME, ERROR_IO_PENDING, ERROR_LOCK_VIOLATION, GENERIC_READ,
    GENERIC_WRITE,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_NORMAL, FILE_ATTRIBUTE_REPARSE_POINT, FILE_ATTRIBUTE_TAG_INFO,
    FILE_FLAG_OPEN_REPARSE_POINT, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE,
    LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx, OPEN_ALWAYS, OPEN_EXISTING, UnlockFileEx,
};
use windows_sys::Win32::System::IO::OVERLAPPED;

use super::errors::{checked, error};
use super::{Directory, NativePath, handle};
use crate::lock::{Extent, Mode};

const SHARE: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
const FLAGS: u32 = FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OPEN_REPARSE_POINT;
/// The byte that stands for the whole file.
const FAR: u64 = i64::MAX as u64 - 1;

/// Opens a file to lock it, and creates it if there is none. Reading is enough to lock it.
pub(crate) fn open_lock_file(path: &NativePath, _writable: bool) -> io::Result<File> {
    let opened = match handle::open(path, GENERIC_READ | GENERIC_WRITE, SHARE, OPEN_ALWAYS, FLAGS) {
        Err(error) if error.raw_os_error() == Some(ERROR_ACCESS_DENIED.cast_signed()) => {
            handle::open(path, GENERIC_READ, SHARE, OPEN_EXISTING, FLAGS).map_err(|_| error)
        }
        opened => opened,
    }?;
    let attributes = handle::information::<FILE_ATTRIBUTE_TAG_INFO>(opened.as_handle())?.FileAttributes;
    if attributes & FILE_ATTRIBUTE_REPARSE_POINT != 0 {
        return Err(error(ERROR_CANT_RESOLVE_FILENAME));
    }
    Ok(File::from(opened))
}

impl Directory {
    /// Opens a file to lock it, and creates it if it does not exist.
    pub(crate) fn open_lock_file(&self, name: &NativePath) -> io::Result<File> {
        open_lock_file(&self.path_of(name)?, true)
    }
}

/// Locks, unless another handle is in the way; returns whether it is locked now.
pub(crate) fn try_lock(file: &File, mode: Mode, extent: Extent) -> io::Result<bool> {
    match lock(file, mode, extent, LOCKFILE_FAIL_IMMEDIATELY) {
        Ok(()) => Ok(true),
        Err(error) => match error.raw_os_error().map(i32::cast_unsigned) {
            Some(ERROR_LOCK_VIOLATION | ERROR_IO_PENDING) => Ok(false),
            _ => Err(error),
        },
    }
}

/// Locks, and waits until that is possible.
pub(crate) fn wait_for_lock(file: &File, mode: Mode, extent: Extent) -> io::Result<()> {
    lock(file, mode, extent, 0)
}

fn lock(file: &File, mode: Mode, extent: Extent, flags: u32) -> io::Result<()> {
    let flags = if mode == Mode::Exclusive { flags | LOCKFILE_EXCLUSIVE_LOCK } else { flags };
    let (mut place, low, high) = described(extent);
    // SAFETY: the handle is open and synchronous, and the structure is complete.
    checked(unsafe { LockFileEx(file.as_raw_handle(), flags, 0, low, high, &raw mut place) })
}

/// Makes a lock another one, unless another handle is in the way: it is released first.
pub(crate) fn convert_lock(file: &File, mode: Mode, extent: Extent) -> io::Result<bool> {
    unlock(file, extent)?;
    try_lock(file, mode, extent)
}

/// Whether a lock is gone if it could not be made another one.
pub(crate) fn is_lost_by_converting(_extent: Extent) -> bool {
    true
}

/// Releases a lock of the handle.
pub(crate) fn unlock(file: &File, extent: Extent) -> io::Result<()> {
    let (mut place, low, high) = described(extent);
    // SAFETY: as above.
    checked(unsafe { UnlockFileEx(file.as_raw_handle(), 0, low, high, &raw mut place) })
}

/// Where the lock begins, and the two halves of its length.
fn described(extent: Extent) -> (OVERLAPPED, u32, u32) {
    let (start, length) = match extent {
        Extent::Whole => (FAR, 1),
        // The byte for the whole file is none of the range's.
        Extent::Range { start, length: 0 } => (start, FAR.saturating_sub(start)),
        Extent::Range { start, length } => (start, length),
    };
    let mut place = OVERLAPPED::default();
    place.Anonymous.Anonymous.Offset = start as u32;
    place.Anonymous.Anonymous.OffsetHigh = (start >> 32) as u32;
    (place, length as u32, (length >> 32) as u32)
}

/// The system does not tell.
pub(crate) fn range_holder(_file: &File, _mode: Mode, _extent: Extent) -> Option<u32> {
    None
}

/// The system does not tell.
pub(crate) fn file_lock_holder(_device: u64, _inode: u128) -> Option<u32> {
    None
}
