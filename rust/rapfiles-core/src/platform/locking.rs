//! Locks: whole files with `flock(2)`, byte ranges with locks of an open file description (`F_OFD_SETLK`, `fcntl(2)`).
//!
//! Both belong to the open file description, so two of one process exclude each other, and closing another descriptor of
//! the file does not release them. On local file systems the two kinds do not see each other.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd};

use super::calls::{self, File};
use super::{Directory, NativePath, checked, open_file};
use crate::lock::{Extent, Mode};

/// Flags for a lock file: a link at its end is refused, and a FIFO or a device does not block the caller.
const FLAGS: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
/// The permissions of a new lock file, before the umask.
const PERMISSIONS: u32 = 0o666;
/// How often a file may disappear while it is being opened.
const TRIES: usize = 100;

/// Opens a file to lock it, and creates it if there is none. `writable`: it must be open for writing, as an exclusive lock
/// of a range requires (`EBADF` in fcntl(2)).
///
/// Creating comes second: with `O_CREAT`, `fs.protected_regular` refuses a file of another user in `/tmp` that may be opened
/// without it (`Documentation/admin-guide/sysctl/fs.rst` of the kernel).
pub(crate) fn open_lock_file(path: &NativePath, writable: bool) -> io::Result<File> {
    let mut refused = None;
    for _ in 0..TRIES {
        let missing = match open_file(path, libc::O_RDWR | FLAGS, 0) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                match open_file(path, libc::O_RDWR | libc::O_CREAT | FLAGS, PERMISSIONS) {
                    Err(error) => error,
                    opened => return opened,
                }
            }
            Err(error) => error,
            opened => return opened,
        };
        // On NFS an exclusive lock needs a file that is open for writing; elsewhere, reading is enough.
        if writable || !matches!(missing.raw_os_error(), Some(libc::EACCES | libc::EROFS | libc::EPERM)) {
            return Err(missing);
        }
        match open_file(path, libc::O_RDONLY | FLAGS, 0) {
            // Removed meanwhile, or it cannot be created.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                if missing.raw_os_error() == Some(libc::EROFS) {
                    return Err(missing);
                }
                refused = Some(missing);
            }
            // The first error says what is wrong.
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => return Err(missing),
            opened => return opened,
        }
    }
    Err(refused.unwrap_or_else(|| io::Error::from_raw_os_error(libc::ENOENT)))
}

impl Directory {
    /// Opens a file that only its owner may lock, and creates it if it does not exist.
    pub(crate) fn open_lock_file(&self, name: &NativePath) -> io::Result<File> {
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_CLOEXEC | FLAGS;
        // SAFETY: the name is a C string.
        let fd = checked(|| unsafe { calls::openat(self.raw(), name.as_ptr(), flags, 0o600) })?;
        // SAFETY: the descriptor is new and nobody else's.
        Ok(unsafe { File::from_raw_fd(fd) })
    }
}

/// Locks, unless another open file description is in the way; returns whether it is locked now.
pub(crate) fn try_lock(file: &File, mode: Mode, extent: Extent) -> io::Result<bool> {
    match set_lock(file, Some(mode), extent, false) {
        Ok(()) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(libc::EWOULDBLOCK) => Ok(false),
            // POSIX permits both for a range.
            Some(libc::EACCES) if matches!(extent, Extent::Range { .. }) => Ok(false),
            _ => Err(error),
        },
    }
}

/// Locks, and waits until that is possible.
pub(crate) fn wait_for_lock(file: &File, mode: Mode, extent: Extent) -> io::Result<()> {
    set_lock(file, Some(mode), extent, true)
}

/// Makes a lock another one, unless another open file description is in the way. A lock of a range is what it was then;
/// that of a whole file is gone (flock(2)).
pub(crate) fn convert_lock(file: &File, mode: Mode, extent: Extent) -> io::Result<bool> {
    try_lock(file, mode, extent)
}

/// Whether a lock is gone if it could not be made another one.
pub(crate) fn is_lost_by_converting(extent: Extent) -> bool {
    extent == Extent::Whole
}

/// Releases the lock of the open file description.
pub(crate) fn unlock(file: &File, extent: Extent) -> io::Result<()> {
    set_lock(file, None, extent, false)
}

/// `mode`: `None` to unlock.
fn set_lock(file: &File, mode: Option<Mode>, extent: Extent, wait: bool) -> io::Result<()> {
    let Extent::Range { .. } = extent else {
        let operation = match mode {
            Some(Mode::Shared) => libc::LOCK_SH,
            Some(Mode::Exclusive) => libc::LOCK_EX,
            None => libc::LOCK_UN,
        };
        let operation = if wait { operation } else { operation | libc::LOCK_NB };
        // SAFETY: no memory is involved.
        return checked(|| unsafe { calls::flock(file.as_raw_fd(), operation) }).map(drop);
    };
    let kind = match mode {
        Some(Mode::Shared) => libc::F_RDLCK,
        Some(Mode::Exclusive) => libc::F_WRLCK,
        None => libc::F_UNLCK,
    };
    let mut lock = described(extent, kind as libc::c_short);
    let command = if wait { libc::F_OFD_SETLKW } else { libc::F_OFD_SETLK };
    // SAFETY: the struct is complete.
    checked(|| unsafe { calls::set_range_lock(file.as_raw_fd(), command, &raw mut lock) }).map(drop)
}

/// The process whose lock is in the way of a lock of a range, if the kernel names one: locks of open file descriptions
/// belong to none.
pub(crate) fn range_holder(file: &File, mode: Mode, extent: Extent) -> Option<u32> {
    let kind = if mode == Mode::Shared { libc::F_RDLCK } else { libc::F_WRLCK };
    let mut lock = described(extent, kind as libc::c_short);
    // SAFETY: the struct is complete, and is filled.
    checked(|| unsafe { calls::set_range_lock(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) }).ok()?;
    let found = lock.l_type != libc::F_UNLCK as libc::c_short;
    u32::try_from(lock.l_pid).ok().filter(|pid| found && *pid > 0)
}

fn described(extent: Extent, kind: libc::c_short) -> libc::flock {
    // SAFETY: all zeros is a valid `struct flock`; `l_pid` must be zero for these commands.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    if let Extent::Range { start, length } = extent {
        // Larger numbers are refused by the caller; a length of zero means to the end, however far that moves.
        lock.l_start = start as libc::off_t;
        lock.l_len = length as libc::off_t;
    }
    lock
}
