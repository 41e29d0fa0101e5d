//! Exclusive locks on whole files: one byte far beyond the end, so that they prevent no reads.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::io::AsRawHandle;

use windows_sys::Win32::Foundation::ERROR_LOCK_VIOLATION;
use windows_sys::Win32::Storage::FileSystem::{
    LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx, UnlockFile,
};
use windows_sys::Win32::System::IO::OVERLAPPED;

use super::errors::{checked, code, error};
use super::{Directory, NativePath};

/// The byte that is locked, and the half of it in each parameter.
const HALF: u32 = 0x4000_0000;

impl Directory {
    /// Opens a file to be locked, and creates it if it does not exist; without following a link.
    pub(crate) fn open_to_lock(&self, name: &NativePath) -> io::Result<File> {
        let path = self.path_of(name)?;
        if super::metadata(&path, false).is_ok_and(|found| !found.is_regular_file()) {
            return Err(error(windows_sys::Win32::Foundation::ERROR_CANT_RESOLVE_FILENAME));
        }
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path.to_os_string())
    }
}

/// Locks a file; `false` if somebody else has locked it. `wait`: wait for that.
pub(crate) fn lock_whole(file: &File, wait: bool) -> io::Result<bool> {
    let flags =
        if wait { LOCKFILE_EXCLUSIVE_LOCK } else { LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY };
    // SAFETY: all zeros is a valid `OVERLAPPED`.
    let mut place: OVERLAPPED = unsafe { std::mem::zeroed() };
    place.Anonymous.Anonymous.Offset = HALF;
    place.Anonymous.Anonymous.OffsetHigh = HALF;
    // SAFETY: the handle is open and synchronous, so the call returns when `place` is not used any more.
    match checked(unsafe { LockFileEx(file.as_raw_handle(), flags, 0, 1, 0, &raw mut place) }) {
        Ok(()) => Ok(true),
        Err(error) if code(&error) == ERROR_LOCK_VIOLATION => Ok(false),
        Err(error) => Err(error),
    }
}

/// Releases a lock.
pub(crate) fn unlock_whole(file: &File) {
    // An error cannot be reported; closing the file releases the lock as well.
    // SAFETY: the handle is open.
    let _ = unsafe { UnlockFile(file.as_raw_handle(), HALF, HALF, 1, 0) };
}

/// Windows has no `fork(2)`.
pub(crate) fn leave_locks_to_parent() {}
