//! The locks of logs: a file that is locked for as long as the object exists.

use std::io;

use crate::limits::BEGUN_AGAIN;
use crate::lock::{self, Extent, Identity, Mode, OwnFile};
use crate::platform::{self, Directory, NativePath};

/// A locked file. Dropping it releases the lock, except in a forked child, where the lock is the parent's.
#[derive(Debug)]
pub(super) struct FileLock(OwnFile);

impl FileLock {
    /// Locks the file of this name, which is created if it does not exist. `wait`: wait for the holder of the lock;
    /// otherwise `None`.
    pub(super) fn acquire(directory: &Directory, name: &NativePath, wait: bool) -> io::Result<Option<Self>> {
        for _ in 0..BEGUN_AGAIN {
            let forks = lock::forks();
            let file = directory.open_lock_file(name)?;
            let opened = platform::metadata_of(&file)?;
            if !opened.is_regular_file() {
                return Err(io::Error::from_raw_os_error(platform::codes::EXISTS));
            }
            let identity = Identity::from(&opened);
            let Some(file) = OwnFile::new(file, identity, forks) else {
                // The process is being forked, which takes milliseconds.
                std::thread::yield_now();
                continue;
            };
            let lock = Self(file);
            if !lock.lock(wait)? {
                return Ok(None);
            }
            // Its last holder may have removed the file before it released the lock.
            match directory.metadata_of(name, false) {
                Ok(found) if Identity::from(&found) == identity => return Ok(Some(lock)),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Err(io::Error::from_raw_os_error(platform::codes::BUSY))
    }

    fn lock(&self, wait: bool) -> io::Result<bool> {
        let Some(file) = self.0.get() else { return Ok(false) };
        if wait {
            platform::wait_for_lock(file, Mode::Exclusive, Extent::Whole)?;
            return Ok(true);
        }
        platform::try_lock(file, Mode::Exclusive, Extent::Whole)
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        self.0.close(Some(Extent::Whole));
    }
}
