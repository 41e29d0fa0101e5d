//! The locks of logs: a file that is locked for as long as the object exists.

use std::io;
use std::mem;

use crate::engine::Process;
use crate::limits::NAMES_TRIED;
use crate::lock::{self, Extent, Identity, Mode, Place};
use crate::platform::{self, Directory, File, NativePath};

/// A locked file. Dropping it releases the lock, except in a forked child, where the lock is the parent's.
#[derive(Debug)]
pub(super) struct FileLock {
    file: Option<File>,
    process: Process,
    /// Where a forked child finds it, to close it.
    place: Option<&'static Place>,
}

impl FileLock {
    /// Locks the file of this name, which is created if it does not exist. `wait`: wait for whoever holds the lock;
    /// otherwise `None`.
    pub(super) fn acquire(directory: &Directory, name: &NativePath, wait: bool) -> io::Result<Option<Self>> {
        for _ in 0..=NAMES_TRIED {
            let forks = lock::forks();
            let file = directory.open_lock_file(name)?;
            let opened = platform::metadata_of(&file)?;
            if !opened.is_regular_file() {
                return Err(io::Error::from_raw_os_error(platform::codes::EXISTS));
            }
            let identity = Identity::from(&opened);
            let place = platform::inheritable_descriptor(&file).map(|fd| Place::of(fd, identity));
            let lock = Self { file: Some(file), process: Process::current(), place };
            if forks.is_none() || lock::forks() != forks {
                // A child may have it that does not know of it. Being forked takes milliseconds.
                std::thread::yield_now();
                continue;
            }
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
        let Some(file) = &self.file else { return Ok(false) };
        if wait {
            platform::wait_for_lock(file, Mode::Exclusive, Extent::Whole)?;
            return Ok(true);
        }
        platform::try_lock(file, Mode::Exclusive, Extent::Whole)
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        if self.process != Process::current() {
            // Its descriptor was closed when the process was forked (`lock::in_child`).
            mem::forget(file);
            return;
        }
        // Closing releases it as well, unless a child process has the description.
        let _ = platform::unlock(&file, Extent::Whole);
        // Before it is closed, because its number may be another file's afterwards.
        if let Some(place) = self.place.take() {
            place.release();
        }
    }
}
