//! Copying content and metadata between files, with macOS' system calls.

use std::io;
use std::os::fd::AsRawFd;

use crate::platform::calls::File;
use crate::platform::{Directory, NativePath, checked, is_unable, may_lack_attribute};
use crate::verbs::metadata::{Attributes, Metadata};

/// The flag for opening a directory only to access its entries.
pub(crate) const SEARCH: libc::c_int = libc::O_RDONLY;

/// The system call for cloning creates a new file: see [`copy_whole`].
pub(crate) fn clone_content(_source: &File, _target: &File) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOTSUP))
}

/// Makes a file of this name that shares the content of another one, and has its metadata: `fclonefileat(2)`. `false`
/// where that is not to be had, or more than is wanted.
pub(crate) fn copy_whole(
    source: &File,
    _path: (&NativePath, Option<&Directory>),
    (directory, name): (&Directory, &NativePath),
    with_metadata: bool,
) -> io::Result<bool> {
    if !with_metadata {
        return Ok(false);
    }
    // SAFETY: the name is a C string.
    let cloned =
        checked(|| unsafe { libc::fclonefileat(source.as_raw_fd(), directory.raw(), name.as_ptr(), 0) });
    match cloned {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error().is_some_and(is_unable) => Ok(false),
        Err(error) => Err(error),
    }
}

/// macOS has no call for it.
pub(crate) fn copy_range(_source: &File, _target: &File, _offset: u64, _length: usize) -> io::Result<usize> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

/// sendfile(2) only sends to sockets.
pub(crate) fn send(_source: &File, _target: &File, _offset: u64, _length: usize) -> io::Result<usize> {
    Err(io::Error::from_raw_os_error(libc::ENOTSOCK))
}

/// The next part of a file that is not a hole, from an offset on.
pub(crate) fn next_data(file: &File, from: u64) -> io::Result<Option<(u64, u64)>> {
    let seek = |offset: u64, whence| {
        // SAFETY: no memory is involved.
        checked(|| unsafe { libc::lseek(file.as_raw_fd(), offset as libc::off_t, whence) })
    };
    match seek(from, libc::SEEK_DATA) {
        Ok(start) => Ok(Some((start as u64, seek(start as u64, libc::SEEK_HOLE)? as u64))),
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Directory {
    /// macOS has no files without names.
    pub(crate) fn create_unnamed(&self, _mode: u32) -> io::Result<Option<File>> {
        Ok(None)
    }

    /// Never called.
    pub(crate) fn name_file(&self, _file: &File, _name: &NativePath) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::ENOTSUP))
    }

    /// Renames an entry to an unused name.
    pub(crate) fn rename_new(&self, name: &NativePath, to: &NativePath) -> io::Result<()> {
        let fd = self.raw();
        // SAFETY: both are C strings.
        checked(|| unsafe { libc::renameatx_np(fd, name.as_ptr(), fd, to.as_ptr(), libc::RENAME_EXCL) })
            .map(drop)
    }

    /// Exchanges two entries (`RENAME_SWAP`, renameatx_np(2)).
    pub(crate) fn exchange(&self, name: &NativePath, directory: &Self, other: &NativePath) -> io::Result<()> {
        let call = || {
            // SAFETY: both are C strings.
            unsafe {
                libc::renameatx_np(
                    self.raw(),
                    name.as_ptr(),
                    directory.raw(),
                    other.as_ptr(),
                    libc::RENAME_SWAP,
                )
            }
        };
        checked(call).map(drop)
    }

    /// Creates a FIFO, a socket or a device like this one.
    pub(crate) fn make_special(&self, name: &NativePath, like: &Metadata) -> io::Result<()> {
        let (mode, device) = (like.mode as libc::mode_t, like.special_device as libc::dev_t);
        // SAFETY: the name is a C string.
        checked(|| unsafe { libc::mknodat(self.raw(), name.as_ptr(), mode, device) }).map(drop)
    }

    /// Extended attributes are reached by open files, or by paths, which could be exchanged.
    pub(crate) fn copy_entry_attributes(
        _from: (&NativePath, Option<&Self>),
        _to: (&NativePath, &Self),
    ) -> io::Result<()> {
        Ok(())
    }
}

/// Copies the extended attributes of an open file, and its access control list.
pub(crate) fn copy_attributes(source: &File, target: &File) -> io::Result<Attributes> {
    let flags = libc::COPYFILE_XATTR | libc::COPYFILE_ACL;
    // SAFETY: both are open, and there is no state.
    let copied = checked(|| unsafe {
        libc::fcopyfile(source.as_raw_fd(), target.as_raw_fd(), std::ptr::null_mut(), flags)
    });
    match copied {
        Err(error) if error.raw_os_error().is_some_and(may_lack_attribute) => Ok(Attributes::NONE),
        copied => copied.map(|_| Attributes { any: true, ..Attributes::NONE }),
    }
}

/// An access list is only copied with the attributes; the permissions mean the same without it.
pub(crate) fn copy_access_list_of(
    _name: &NativePath,
    _directory: &Directory,
    _target: &File,
) -> io::Result<Attributes> {
    Ok(Attributes::NONE)
}

/// What is copied replaces the access list that a new file has from its directory (copyfile(3)).
pub(crate) fn remove_access_lists(_file: &File) -> io::Result<bool> {
    Ok(false)
}

/// Copies the BSD flags, last of all: one of them prevents changes (`UF_IMMUTABLE`, chflags(2)).
pub(crate) fn copy_flags(like: &Metadata, target: &File) -> io::Result<()> {
    // SAFETY: no memory is involved.
    match checked(|| unsafe { libc::fchflags(target.as_raw_fd(), like.flags) }) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOTSUP)) => Ok(()),
        copied => copied.map(drop),
    }
}

/// Reserves room on the disk for the content of a file, where the file system can.
pub(crate) fn reserve(file: &File, length: u64) -> io::Result<()> {
    let mut room = libc::fstore_t {
        fst_flags: libc::F_ALLOCATEALL,
        fst_posmode: libc::F_PEOFPOSMODE,
        fst_offset: 0,
        fst_length: length as libc::off_t,
        fst_bytesalloc: 0,
    };
    // SAFETY: the structure is there to be read and written.
    let reserved = checked(|| unsafe { libc::fcntl(file.as_raw_fd(), libc::F_PREALLOCATE, &raw mut room) });
    match reserved {
        Err(error) if error.raw_os_error().is_some_and(is_unable) => Ok(()),
        reserved => reserved.map(drop),
    }
}

/// The first write finds a full disk.
pub(crate) fn reserve_after(_file: &File, _end: u64, _length: u64) -> io::Result<()> {
    Ok(())
}

/// There is no such hint.
pub(crate) fn begin_to_write_back(_file: &File) {}

/// Nothing is known of the order in which changes reach the device.
pub(crate) fn keeps_order(_file: &File) -> bool {
    false
}

/// Waits until the device has the content of a file.
pub(crate) fn write_back(file: &File) -> io::Result<()> {
    crate::platform::synchronise(file, true)
}

impl Directory {
    /// There is no call that tells; trying does.
    pub(crate) fn may_replace(&self, _name: &NativePath) -> io::Result<()> {
        Ok(())
    }

    /// As above.
    pub(crate) fn may_rename(&self) -> io::Result<()> {
        Ok(())
    }

    /// Not known here: devices are compared instead.
    pub(crate) fn mount_of(&self, _name: Option<&NativePath>) -> Option<u64> {
        None
    }
}
