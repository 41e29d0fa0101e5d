//! The locks of logs: a file that is locked for as long as the object exists.

use std::io;
use std::mem;

use crate::engine::Process;
use crate::limits::NAMES_TRIED;
use crate::platform::{self, Directory, File, NativePath};

/// A locked file. Dropping it releases the lock, except in a forked child, where the lock is the parent's.
#[derive(Debug)]
pub(super) struct FileLock {
    file: Option<File>,
    process: Process,
}

impl FileLock {
    /// Locks the file of this name, which is created if it does not exist. `wait`: wait for whoever holds the lock;
    /// otherwise `None`.
    pub(super) fn acquire(directory: &Directory, name: &NativePath, wait: bool) -> io::Result<Option<Self>> {
        for _ in 0..=NAMES_TRIED {
            let file = directory.open_to_lock(name)?;
            let opened = platform::metadata_of(&file)?;
            if !opened.is_regular_file() {
                return Err(io::Error::from_raw_os_error(platform::codes::EXISTS));
            }
            if !platform::lock_whole(&file, wait)? {
                return Ok(None);
            }
            let lock = Self { file: Some(file), process: Process::current() };
            // Its last holder may have removed the file before it released the lock.
            match directory.metadata_of(name, false) {
                Ok(found) if (found.device, found.inode) == (opened.device, opened.inode) => {
                    return Ok(Some(lock));
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Err(io::Error::from_raw_os_error(platform::codes::BUSY))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        if self.process == Process::current() {
            platform::unlock_whole(&file);
        } else {
            // Its descriptor was closed when the process was forked (`platform::leave_locks_to_parent`).
            mem::forget(file);
        }
    }
}
