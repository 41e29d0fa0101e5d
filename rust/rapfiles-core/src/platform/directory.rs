//! The system calls on directories, by descriptor, that all POSIX platforms share.

mod entries;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use super::calls::{self, OwnedFd};
use super::{DirectoryReader, NativePath, SEARCH, checked, metadata_of_fd};
use crate::verbs::metadata::{FileType, Metadata};

pub(crate) use entries::*;

/// All permissions of an owner.
const ALL_PERMISSIONS: libc::mode_t = 0o700;

/// Opens a directory. Without O_DIRECTORY, opening a FIFO would block (`fifo(7)`).
fn open(directory: RawFd, name: *const libc::c_char, flags: libc::c_int) -> io::Result<Arc<OwnedFd>> {
    let flags = flags | libc::O_DIRECTORY | libc::O_NONBLOCK | libc::O_CLOEXEC;
    // SAFETY: the name is a C string.
    let fd = checked(|| unsafe { calls::openat(directory, name, flags, 0) })?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(Arc::new(unsafe { OwnedFd::from_raw_fd(fd) }))
}

impl DirectoryReader {
    /// Opens a directory, as `opendir(3)` does.
    pub(crate) fn open(path: &NativePath) -> io::Result<Self> {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NONBLOCK | libc::O_CLOEXEC;
        // SAFETY: the path is a C string.
        let fd = checked(|| unsafe { calls::open(path.as_ptr(), flags, 0) })?;
        // SAFETY: the descriptor is new and nobody else's.
        Self::new(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// `stat(2)` or `lstat(2)` of an entry, whatever happens to the path of the directory meanwhile.
    pub(crate) fn stat_entry(&self, _path: &NativePath, name: &[u8], follow: bool) -> io::Result<Metadata> {
        with_c_string(name, |name| stat_name_at(self.descriptor(), name, follow))
    }
}

/// Calls something with the name of an entry as a C string: without allocating, as nearly all of them are short.
fn with_c_string<T>(name: &[u8], call: impl FnOnce(*const libc::c_char) -> io::Result<T>) -> io::Result<T> {
    /// The longest name of most file systems, which is NAME_MAX of Linux, and the NUL behind it.
    const ROOM: usize = 256;
    if name.len() >= ROOM || memchr::memchr(0, name).is_some() {
        return call(NativePath::from_vec(name.to_vec())?.as_ptr());
    }
    let mut room = [0_u8; ROOM];
    room[..name.len()].copy_from_slice(name);
    call(room.as_ptr().cast())
}

/// `stat(2)` or `lstat(2)` of what has this name in a directory.
fn stat_at(directory: RawFd, name: &NativePath, follow: bool) -> io::Result<Metadata> {
    stat_name_at(directory, name.as_ptr(), follow)
}

/// The same; `name` is a C string.
fn stat_name_at(directory: RawFd, name: *const libc::c_char, follow: bool) -> io::Result<Metadata> {
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    super::fill_metadata(|stat| {
        // SAFETY: the name is a C string and `stat` has room for the result.
        checked(|| unsafe { calls::fstatat(directory, name, stat, flags) })
    })
}

/// The type that a `d_type` stands for, if it says one: the bits that a mode has for it, as `DTTOIF` of `<dirent.h>`
/// has it.
pub(crate) fn file_type_of(d_type: u8) -> Option<FileType> {
    (d_type != libc::DT_UNKNOWN).then(|| FileType(u32::from(d_type) << 12))
}

/// An open directory: its entries are accessed relative to it, whatever happens to its path meanwhile.
#[derive(Debug)]
pub(crate) struct Directory(Arc<OwnedFd>);

impl Directory {
    /// Opens the directory of this name, without following a link.
    pub(crate) fn open(name: &NativePath, inside: Option<&Self>) -> io::Result<Self> {
        open(descriptor(inside), name.as_ptr(), libc::O_RDONLY | libc::O_NOFOLLOW).map(Self)
    }

    /// The same; `None` if another file system is mounted on it, which is not asked for anything.
    #[cfg(target_os = "linux")]
    pub(crate) fn open_in_mount(name: &NativePath, inside: Option<&Self>) -> io::Result<Option<Self>> {
        match super::open_in_mount(descriptor(inside), name) {
            Some(Err(error)) if error.raw_os_error() == Some(libc::EXDEV) => Ok(None),
            Some(opened) => opened.map(|fd| Some(Self(Arc::new(fd)))),
            None => Self::open(name, inside).map(Some),
        }
    }

    /// The same: what is mounted on it is not told.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn open_in_mount(name: &NativePath, inside: Option<&Self>) -> io::Result<Option<Self>> {
        Self::open(name, inside).map(Some)
    }

    /// Opens the directory of this name, following a link.
    pub(crate) fn open_followed(name: &NativePath, inside: Option<&Self>) -> io::Result<Self> {
        open(descriptor(inside), name.as_ptr(), libc::O_RDONLY).map(Self)
    }

    /// Opens the parent directory.
    pub(crate) fn above(&self) -> io::Result<Self> {
        open(self.0.as_raw_fd(), c"..".as_ptr(), libc::O_RDONLY).map(Self)
    }

    /// The same, only for going further up.
    pub(crate) fn above_to_search(&self) -> io::Result<Self> {
        open(self.0.as_raw_fd(), c"..".as_ptr(), SEARCH).map(Self)
    }

    /// Its identity: device and inode.
    pub(crate) fn identity(&self) -> io::Result<(u64, u128)> {
        metadata_of_fd(self.0.as_raw_fd()).map(|metadata| (metadata.device, metadata.inode))
    }

    /// A reader of its entries. All readers share one position.
    pub(crate) fn reader(&self) -> io::Result<DirectoryReader> {
        DirectoryReader::of(&self.0)
    }

    /// The result of `fstat(2)` of it.
    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        metadata_of_fd(self.0.as_raw_fd())
    }

    /// The result of `fstatat(2)` for an entry.
    pub(crate) fn metadata_of(&self, name: &NativePath, follow: bool) -> io::Result<Metadata> {
        stat_at(self.0.as_raw_fd(), name, follow)
    }

    /// The same of an entry with the name that a reader has given.
    pub(crate) fn metadata_of_entry(&self, name: &[u8], follow: bool) -> io::Result<Metadata> {
        with_c_string(name, |name| stat_name_at(self.0.as_raw_fd(), name, follow))
    }

    /// The type of an entry whose name came without one.
    pub(crate) fn type_of(&self, name: &NativePath) -> io::Result<FileType> {
        self.metadata_of(name, false).map(|metadata| metadata.file_type())
    }

    /// Whether an entry is a directory itself, not a link to one.
    pub(crate) fn has_directory(&self, name: &NativePath) -> io::Result<bool> {
        self.type_of(name).map(|file_type| file_type == FileType::DIRECTORY)
    }

    /// Removes an entry that is not a directory.
    pub(crate) fn unlink(&self, name: &NativePath) -> io::Result<()> {
        // SAFETY: the name is a C string.
        checked(|| unsafe { calls::unlinkat(self.0.as_raw_fd(), name.as_ptr(), 0) }).map(drop)
    }

    /// Removes an empty directory.
    pub(crate) fn remove(name: &NativePath, inside: Option<&Self>) -> io::Result<()> {
        // SAFETY: the name is a C string.
        checked(|| unsafe { calls::unlinkat(descriptor(inside), name.as_ptr(), libc::AT_REMOVEDIR) })
            .map(drop)
    }

    /// Gives its owner every permission on it.
    pub(crate) fn permit(&self) -> io::Result<()> {
        // SAFETY: no memory is involved.
        checked(|| unsafe { calls::fchmod(self.0.as_raw_fd(), ALL_PERMISSIONS) }).map(drop)
    }

    /// Gives the owner of a directory that could not be opened every permission on it, but never on what a link leads
    /// to.
    #[cfg(target_os = "linux")]
    pub(crate) fn permit_entry(name: &NativePath, inside: Option<&Self>) -> io::Result<()> {
        // fchmodat(2) follows links. The path in /proc/self/fd leads to the open directory itself (proc_pid_fd(5)).
        let found = open(descriptor(inside), name.as_ptr(), libc::O_PATH | libc::O_NOFOLLOW)?;
        let path = format!("/proc/self/fd/{}", found.as_raw_fd());
        super::change_mode(&NativePath::from_vec(path.into_bytes())?, ALL_PERMISSIONS, true)
    }

    /// Gives the owner of a directory that could not be opened every permission on it, but never on what a link leads
    /// to.
    #[cfg(target_os = "macos")]
    pub(crate) fn permit_entry(name: &NativePath, inside: Option<&Self>) -> io::Result<()> {
        let (fd, flags) = (descriptor(inside), libc::AT_SYMLINK_NOFOLLOW);
        // SAFETY: the name is a C string.
        checked(|| unsafe { calls::fchmodat(fd, name.as_ptr(), ALL_PERMISSIONS, flags) }).map(drop)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn descriptor(directory: Option<&Directory>) -> RawFd {
    directory.map_or(libc::AT_FDCWD, |directory| directory.0.as_raw_fd())
}

/// The path of what has these names, each in the directory before it.
pub(crate) fn joined<'a>(names: impl Iterator<Item = &'a NativePath>) -> Option<NativePath> {
    let mut path = Vec::new();
    for name in names {
        if !path.is_empty() && !path.ends_with(b"/") {
            path.push(b'/');
        }
        path.extend_from_slice(name.to_bytes());
    }
    NativePath::from_vec(path).ok()
}

/// A path as calls take it.
pub(crate) fn native_path(path: OsString) -> io::Result<NativePath> {
    Ok(NativePath::from_vec(path.into_vec())?)
}

/// The name of an entry, as a call wants it.
pub(crate) fn native_name(name: &[u8]) -> Option<NativePath> {
    entry_name(name).ok()
}

/// The same; an invalid name is an error.
pub(crate) fn entry_name(name: &[u8]) -> io::Result<NativePath> {
    // With room for the NUL, so that the memory need not grow.
    let mut bytes = Vec::with_capacity(name.len() + 1);
    bytes.extend_from_slice(name);
    NativePath::from_vec(bytes).map_err(io::Error::from)
}

/// Whether an error code is one that Python raises as `PermissionError`.
pub(crate) fn is_refused(code: i32) -> bool {
    matches!(code, libc::EACCES | libc::EPERM)
}

/// Whether an error code says that something other than a directory was found.
pub(crate) fn is_no_directory(code: i32) -> bool {
    matches!(code, libc::ENOTDIR | libc::ELOOP)
}

/// Whether an error code says that there is no descriptor left, for the process or for all of them.
pub(crate) fn lacks_descriptors(code: i32) -> bool {
    matches!(code, libc::EMFILE | libc::ENFILE)
}

/// How many descriptors this process may have.
pub(crate) fn most_descriptors() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: there is room for the result.
    let got = checked(|| unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) });
    got.map_or(0, |_| usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}

/// The longest path for a system call, in bytes, including the terminating NUL.
pub(crate) const LONGEST_PATH: usize = libc::PATH_MAX as usize;
pub(crate) const PATH_TOO_LONG: i32 = libc::ENAMETOOLONG;
pub(crate) const LINKS_LOOP: i32 = libc::ELOOP;

/// Whether an error code says that a directory is not empty: POSIX permits both (`rmdir(3p)`).
pub(crate) fn is_not_empty(code: i32) -> bool {
    matches!(code, libc::ENOTEMPTY | libc::EEXIST)
}
