//! Operations on the entries of an open directory, except removal.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd};

use super::{Directory, descriptor, open, stat_at};
use crate::platform::calls::{self, File};
use crate::platform::{NativePath, SEARCH, checked, file_name, parent};
use crate::verbs::metadata::{Metadata, Ownership, Timestamp};

impl Directory {
    /// The directory of the entry at a path, and the entry's name there.
    pub(crate) fn of_entry(path: &NativePath) -> io::Result<(Self, NativePath)> {
        let above = parent(path).unwrap_or_else(|| path.clone());
        Ok((open(libc::AT_FDCWD, above.as_ptr(), SEARCH).map(Self)?, file_name(path)))
    }

    /// The same directory, opened for all operations.
    pub(crate) fn again(&self) -> io::Result<Self> {
        open(self.0.as_raw_fd(), c".".as_ptr(), SEARCH).map(Self)
    }

    /// Opens the directory of this name. `follow`: whether to follow a link.
    pub(crate) fn open_as(name: &NativePath, inside: Option<&Self>, follow: bool) -> io::Result<Self> {
        if follow { Self::open_followed(name, inside) } else { Self::open(name, inside) }
    }

    /// The result of `stat(2)` or `lstat(2)` for an entry.
    pub(crate) fn entry(name: &NativePath, inside: Option<&Self>, follow: bool) -> io::Result<Metadata> {
        stat_at(descriptor(inside), name, follow)
    }

    /// Opens a file for reading, without waiting for a writer of a FIFO (`O_NONBLOCK`, `fifo(7)`).
    pub(crate) fn open_to_read(name: &NativePath, inside: Option<&Self>, follow: bool) -> io::Result<File> {
        let nofollow = if follow { 0 } else { libc::O_NOFOLLOW };
        open_file(inside, name, libc::O_RDONLY | libc::O_NONBLOCK | nofollow, 0)
    }

    /// Opens an existing entry for writing from the start, as Python's `open` does.
    pub(crate) fn open_to_replace(&self, name: &NativePath) -> io::Result<File> {
        open_file(Some(self), name, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC, 0o666)
    }

    /// The same for an existing regular file, without following a link and without blocking.
    pub(crate) fn open_to_overwrite(&self, name: &NativePath) -> io::Result<File> {
        open_file(Some(self), name, libc::O_WRONLY | libc::O_NONBLOCK | libc::O_NOFOLLOW, 0)
    }

    /// Creates a new file, for writing and reading.
    pub(crate) fn create(&self, name: &NativePath, mode: u32) -> io::Result<File> {
        open_file(Some(self), name, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, mode)
    }

    /// Creates a directory.
    pub(crate) fn make(&self, name: &NativePath, mode: u32) -> io::Result<()> {
        // SAFETY: the name is a C string.
        checked(|| unsafe { calls::mkdirat(self.0.as_raw_fd(), name.as_ptr(), mode as libc::mode_t) })
            .map(drop)
    }

    /// Creates a symbolic link.
    pub(crate) fn make_link(
        &self,
        name: &NativePath,
        target: &NativePath,
        _directory: bool,
    ) -> io::Result<()> {
        // SAFETY: both are C strings.
        checked(|| unsafe { calls::symlinkat(target.as_ptr(), self.0.as_raw_fd(), name.as_ptr()) }).map(drop)
    }

    /// Creates a hard link to a file.
    pub(crate) fn make_name(&self, name: &NativePath, of: &NativePath, inside: &Self) -> io::Result<()> {
        let (from, to) = (inside.0.as_raw_fd(), self.0.as_raw_fd());
        // SAFETY: both are C strings.
        checked(|| unsafe { calls::linkat(from, of.as_ptr(), to, name.as_ptr(), 0) }).map(drop)
    }

    /// Where a symbolic link leads.
    pub(crate) fn read_link(name: &NativePath, inside: Option<&Self>) -> io::Result<NativePath> {
        let mut target: Vec<u8> = Vec::with_capacity(256);
        loop {
            let (start, room) = (target.as_mut_ptr().cast(), target.capacity());
            // SAFETY: the name is a C string, and the vector has room for that much.
            let length =
                checked(|| unsafe { calls::readlinkat(descriptor(inside), name.as_ptr(), start, room) })?
                    as usize;
            if length < room {
                // SAFETY: the kernel has written that many bytes.
                unsafe { target.set_len(length) };
                return Ok(NativePath::from_vec(target)?);
            }
            target.reserve(room * 2);
        }
    }

    /// Renames an entry, replacing what `rename(2)` replaces.
    pub(crate) fn rename(&self, name: &NativePath, to: &NativePath) -> io::Result<()> {
        let fd = self.0.as_raw_fd();
        // SAFETY: both are C strings.
        checked(|| unsafe { calls::renameat(fd, name.as_ptr(), fd, to.as_ptr()) }).map(drop)
    }

    /// The same, to a name in another directory. `replace`: on every platform.
    pub(crate) fn rename_into(
        &self,
        name: &NativePath,
        directory: &Self,
        to: &NativePath,
        _replace: bool,
    ) -> io::Result<()> {
        let (from, into) = (self.0.as_raw_fd(), directory.0.as_raw_fd());
        // SAFETY: both are C strings.
        checked(|| unsafe { calls::renameat(from, name.as_ptr(), into, to.as_ptr()) }).map(drop)
    }

    /// Opens a file for appending, and creates it if there is none, without following a link.
    pub(crate) fn open_to_append(&self, name: &NativePath) -> io::Result<File> {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_NOFOLLOW;
        open_file(Some(self), name, flags, 0o666)
    }

    /// Waits until the device has the content of a file, or the entries of a directory.
    pub(crate) fn synchronise_entry(
        name: &NativePath,
        inside: Option<&Self>,
        follow: bool,
    ) -> io::Result<()> {
        let nofollow = if follow { 0 } else { libc::O_NOFOLLOW };
        // A FIFO is not waited for (`O_NONBLOCK`, fifo(7)).
        let open = |access| open_file(inside, name, access | libc::O_NONBLOCK | nofollow, 0);
        let file = match open(libc::O_RDONLY) {
            // Permission to write is enough.
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
                open(libc::O_WRONLY).map_err(|_| error)
            }
            opened => opened,
        }?;
        crate::platform::synchronise(&file, false)
    }

    /// Checks that entries may be added to it and removed from it, as far as its permissions say.
    pub(crate) fn may_change(&self) -> io::Result<()> {
        let mode = libc::W_OK | libc::X_OK;
        // SAFETY: the name is a C string.
        checked(|| unsafe { calls::faccessat(self.raw(), c".".as_ptr(), mode, libc::AT_EACCESS) }).map(drop)
    }

    /// Sets the times of an entry, without following a link.
    pub(crate) fn set_times(&self, name: &NativePath, times: (Timestamp, Timestamp)) -> io::Result<()> {
        let times = native(times);
        let (fd, flags) = (self.0.as_raw_fd(), libc::AT_SYMLINK_NOFOLLOW);
        // SAFETY: the name is a C string, and there are two points in time.
        checked(|| unsafe { calls::utimensat(fd, name.as_ptr(), times.as_ptr(), flags) }).map(drop)
    }

    /// The directory as an open file, for operations on both.
    pub(crate) fn as_file(&self) -> io::Result<File> {
        // SAFETY: no memory is involved.
        let fd = checked(|| unsafe { calls::fcntl(self.0.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 0) })?;
        // SAFETY: the descriptor is new and nobody else's.
        Ok(unsafe { File::from_raw_fd(fd) })
    }

    /// The directory as [`synchronise_directory`] takes it.
    pub(crate) fn to_synchronise(&self) -> io::Result<File> {
        open_file(Some(self), &NativePath::from_vec(b".".to_vec())?, libc::O_RDONLY | libc::O_DIRECTORY, 0)
    }

    pub(crate) fn raw(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

fn open_file(inside: Option<&Directory>, name: &NativePath, flags: i32, mode: u32) -> io::Result<File> {
    let fd = checked(|| {
        // SAFETY: the name is a C string.
        unsafe {
            calls::openat(
                descriptor(inside),
                name.as_ptr(),
                flags | libc::O_CLOEXEC,
                libc::c_uint::from(mode),
            )
        }
    })?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd) })
}

fn native((accessed, modified): (Timestamp, Timestamp)) -> [libc::timespec; 2] {
    [accessed, modified].map(|time| libc::timespec {
        // The alias for the type is deprecated where its width is to change.
        tv_sec: time.seconds as _,
        tv_nsec: time.nanoseconds as libc::c_long,
    })
}

/// Sets the times of an open file.
pub(crate) fn set_file_times(file: &File, times: (Timestamp, Timestamp)) -> io::Result<()> {
    let times = native(times);
    // SAFETY: there are two points in time.
    checked(|| unsafe { calls::futimens(file.as_raw_fd(), times.as_ptr()) }).map(drop)
}

/// Sets the permissions of an open file.
pub(crate) fn set_file_mode(file: &File, mode: u32) -> io::Result<()> {
    // SAFETY: no memory is involved.
    checked(|| unsafe { calls::fchmod(file.as_raw_fd(), (mode & 0o7777) as libc::mode_t) }).map(drop)
}

/// Sets the owner and the group of an open file to those of another one, as far as that is permitted; returns which of
/// them it has now. `own`: what it had.
pub(crate) fn set_file_owner(file: &File, own: &Metadata, like: &Metadata) -> io::Result<Ownership> {
    let change = |user: libc::uid_t, group: libc::gid_t| {
        // SAFETY: no memory is involved.
        match checked(|| unsafe { calls::fchown(file.as_raw_fd(), user, group) }) {
            Ok(_) => Ok(true),
            // EINVAL: an ID without a mapping in the user namespace, user_namespaces(7).
            Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EINVAL)) => Ok(false),
            Err(error) => Err(error),
        }
    };
    let unchanged = u32::MAX;
    if (own.user, own.group) == (like.user, like.group) || change(like.user, like.group)? {
        return Ok(Ownership::BOTH);
    }
    // The owner of a file may set its group to any of the process's groups: chown(2).
    let group = own.group == like.group || change(unchanged, like.group)?;
    Ok(Ownership { user: own.user == like.user, group })
}

/// Waits until the device has the entries of a directory.
pub(crate) fn synchronise_directory(directory: &File) -> io::Result<()> {
    crate::platform::synchronise(directory, false)
}

/// Whether something belongs to the effective user of this process.
pub(crate) fn is_own(found: &Metadata) -> bool {
    // SAFETY: no memory is involved.
    found.user == unsafe { libc::geteuid() }
}

/// The bytes of a name, as in a listing.
pub(crate) fn name_bytes(name: &NativePath) -> Vec<u8> {
    name.to_bytes().to_vec()
}

/// Random bytes of the operating system, as text for a name.
pub(crate) fn random_name() -> io::Result<String> {
    let mut bytes = [0_u8; 12];
    // SAFETY: there is room for that many bytes, at most 256 as getentropy(3) requires.
    checked(|| unsafe { libc::getentropy(bytes.as_mut_ptr().cast(), bytes.len()) })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The POSIX error codes on which copying depends.
pub(crate) mod codes {
    pub(crate) use libc::{
        EBUSY as BUSY, EEXIST as EXISTS, EINVAL as INVALID, EISDIR as IS_DIRECTORY, ELOOP as LOOP,
        ENOENT as NOT_FOUND, ENOTDIR as NOT_DIRECTORY, EPERM as NOT_PERMITTED, EXDEV as OTHER_DEVICE,
    };
}

/// Whether an error code says that a way to copy does not work for these files, so that another one is tried.
pub(crate) fn is_unable(code: i32) -> bool {
    matches!(
        code,
        libc::ENOSYS
            | libc::EPERM
            | libc::EXDEV
            | libc::EINVAL
            | libc::EOPNOTSUPP
            | libc::EBADF
            | libc::ETXTBSY
            | libc::EIO
            | libc::ENOTTY
            | libc::ENOTSOCK
            | libc::EOVERFLOW
    )
}

/// Whether an extended attribute may be left out after this error, as in pathlib.
pub(crate) fn may_lack_attribute(code: i32) -> bool {
    matches!(code, libc::EPERM | libc::ENOTSUP | libc::ENODATA | libc::EINVAL | libc::EACCES)
}
