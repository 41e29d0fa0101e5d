//! Exclusive locks on whole files, by `flock(2)`.
//!
//! A lock belongs to the open file, so a descriptor that a forked child has inherited holds it, too, until it is closed
//! there or the lock is released. Locks that are held are therefore kept in a table whose descriptors a child closes.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::atomic::{AtomicI32, Ordering};

use super::calls::{self, File};
use super::{Directory, NativePath, checked};

/// Locks beyond this number are kept by a forked child until it exits.
const MOST: usize = 1024;
const NONE: i32 = -1;
static HELD: [AtomicI32; MOST] = [const { AtomicI32::new(NONE) }; MOST];

impl Directory {
    /// Opens a file to be locked, and creates it if it does not exist; without following a link, and without blocking.
    pub(crate) fn open_to_lock(&self, name: &NativePath) -> io::Result<File> {
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        // SAFETY: the name is a C string.
        let fd = checked(|| unsafe { calls::openat(self.raw(), name.as_ptr(), flags, 0o600) })?;
        // SAFETY: the descriptor is new and nobody else's.
        Ok(unsafe { File::from_raw_fd(fd) })
    }
}

/// Locks a file; `false` if somebody else has locked it. `wait`: wait for that.
pub(crate) fn lock_whole(file: &File, wait: bool) -> io::Result<bool> {
    let operation = if wait { libc::LOCK_EX } else { libc::LOCK_EX | libc::LOCK_NB };
    // SAFETY: no memory is involved.
    match checked(|| unsafe { libc::flock(file.as_raw_fd(), operation) }) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
        Err(error) => return Err(error),
    }
    let free = HELD.iter().find(|held| {
        held.compare_exchange(NONE, file.as_raw_fd(), Ordering::AcqRel, Ordering::Relaxed).is_ok()
    });
    let _ = free;
    Ok(true)
}

/// Releases a lock, also if a forked child has inherited it.
pub(crate) fn unlock_whole(file: &File) {
    let fd = file.as_raw_fd();
    for held in &HELD {
        if held.compare_exchange(fd, NONE, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            break;
        }
    }
    // An error cannot be reported; closing the file releases the lock as well.
    // SAFETY: no memory is involved.
    let _ = unsafe { libc::flock(fd, libc::LOCK_UN) };
}

/// In a forked child: closes the descriptors of locks that its parent holds, which keeps the locks. Safe in a signal
/// handler.
pub(crate) fn leave_locks_to_parent() {
    for held in &HELD {
        let fd = held.swap(NONE, Ordering::AcqRel);
        if fd != NONE {
            // SAFETY: the objects that own these descriptors are forgotten in a child, so nobody uses them.
            unsafe { libc::close(fd) };
        }
    }
}
