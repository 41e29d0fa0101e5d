//! Copying content and metadata between files, with Linux' system calls.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd};

use crate::platform::calls::{self, File};
use crate::platform::{Directory, NativePath, checked, may_lack_attribute};
use crate::verbs::metadata::Metadata;

/// The flag for opening a directory only to access its entries, which needs no permission to read it (open(2),
/// `O_PATH`).
pub(crate) const SEARCH: libc::c_int = libc::O_PATH;

/// Makes the target share the source's content until one of them is changed: a reflink (ioctl_ficlone(2)).
pub(crate) fn clone_content(source: &File, target: &File) -> io::Result<()> {
    // SAFETY: no memory is involved.
    checked(|| unsafe { calls::clone_file(target.as_raw_fd(), source.as_raw_fd()) }).map(drop)
}

/// Linux has no call for content and metadata together.
pub(crate) fn copy_whole(
    _source: &File,
    _path: (&NativePath, Option<&Directory>),
    _target: (&Directory, &NativePath),
    _with_metadata: bool,
) -> io::Result<bool> {
    Ok(false)
}

/// Copies up to `length` bytes at an offset within the kernel (copy_file_range(2)).
pub(crate) fn copy_range(source: &File, target: &File, offset: u64, length: usize) -> io::Result<usize> {
    let (mut from, mut to) = (offset as libc::off64_t, offset as libc::off64_t);
    let (source, target) = (source.as_raw_fd(), target.as_raw_fd());
    // SAFETY: both offsets are there to be changed.
    let copied =
        checked(|| unsafe { calls::copy_file_range(source, &raw mut from, target, &raw mut to, length, 0) })?;
    Ok(copied as usize)
}

/// The same for files on different file systems, which `copy_file_range(2)` refuses on older kernels (EXDEV):
/// sendfile(2).
pub(crate) fn send(source: &File, target: &File, offset: u64, length: usize) -> io::Result<usize> {
    let mut from = offset as libc::off64_t;
    let (source, target) = (source.as_raw_fd(), target.as_raw_fd());
    // SAFETY: no memory is involved.
    checked(|| unsafe { calls::lseek(target, offset as libc::off_t, libc::SEEK_SET) })?;
    // SAFETY: the offset is there to be changed.
    let sent = checked(|| unsafe { calls::sendfile64(target, source, &raw mut from, length) })?;
    Ok(sent as usize)
}

/// The next part of a file that is not a hole, from an offset on.
pub(crate) fn next_data(file: &File, from: u64) -> io::Result<Option<(u64, u64)>> {
    let seek = |offset: u64, whence| {
        // SAFETY: no memory is involved.
        checked(|| unsafe { calls::lseek(file.as_raw_fd(), offset as libc::off_t, whence) })
    };
    match seek(from, libc::SEEK_DATA) {
        Ok(start) => {
            let end = seek(start as u64, libc::SEEK_HOLE)?;
            Ok(Some((start as u64, end as u64)))
        }
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Directory {
    /// A file without a name, which is deleted when it is closed, if the file system supports it (open(2),
    /// `O_TMPFILE`).
    pub(crate) fn create_unnamed(&self, mode: u32) -> io::Result<Option<File>> {
        let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC;
        let opened = checked(|| {
            // SAFETY: the path is a C string.
            unsafe { calls::openat(self.raw(), c".".as_ptr(), flags, libc::c_uint::from(mode)) }
        });
        match opened {
            // SAFETY: the descriptor is new and nobody else's.
            Ok(fd) => Ok(Some(unsafe { File::from_raw_fd(fd) })),
            // Kernels and file systems that do not know the flag treat it as O_DIRECTORY: see open(2).
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL | libc::ENOSYS)
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives a file without a name an unused one (linkat(2)).
    pub(crate) fn name_file(&self, file: &File, name: &NativePath) -> io::Result<()> {
        let (from, to) = (file.as_raw_fd(), self.raw());
        let link = |from, path: *const libc::c_char, flags| {
            // SAFETY: both are C strings.
            checked(|| unsafe { calls::linkat(from, path, to, name.as_ptr(), flags) }).map(drop)
        };
        match link(from, c"".as_ptr(), libc::AT_EMPTY_PATH) {
            // Before Linux 6.10 this is only for those with CAP_DAC_READ_SEARCH.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                let path = NativePath::from_vec(format!("/proc/self/fd/{from}").into_bytes())?;
                link(libc::AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_FOLLOW)
            }
            linked => linked,
        }
    }

    /// Renames an entry to an unused name (`RENAME_NOREPLACE`, rename(2)).
    pub(crate) fn rename_new(&self, name: &NativePath, to: &NativePath) -> io::Result<()> {
        let fd = self.raw();
        let call = |fd: libc::c_int, name: &NativePath, to: &NativePath| {
            // SAFETY: both are C strings.
            unsafe { calls::renameat2(fd, name.as_ptr(), fd, to.as_ptr(), libc::RENAME_NOREPLACE) }
        };
        checked(|| call(fd, name, to)).map(drop)
    }

    /// Exchanges two entries (`RENAME_EXCHANGE`, rename(2)).
    pub(crate) fn exchange(&self, name: &NativePath, directory: &Self, other: &NativePath) -> io::Result<()> {
        let call = || {
            // SAFETY: both are C strings.
            unsafe {
                calls::renameat2(
                    self.raw(),
                    name.as_ptr(),
                    directory.raw(),
                    other.as_ptr(),
                    libc::RENAME_EXCHANGE,
                )
            }
        };
        checked(call).map(drop)
    }

    /// Creates a FIFO, a socket or a device like this one.
    pub(crate) fn make_special(&self, name: &NativePath, like: &Metadata) -> io::Result<()> {
        let (mode, device) = (like.mode as libc::mode_t, like.special_device as libc::dev_t);
        // SAFETY: the name is a C string.
        checked(|| unsafe { calls::mknodat(self.raw(), name.as_ptr(), mode, device) }).map(drop)
    }

    /// Copies the extended attributes of an entry, without following a link.
    pub(crate) fn copy_entry_attributes(
        from: (&NativePath, Option<&Self>),
        to: (&NativePath, &Self),
    ) -> io::Result<()> {
        let (from, to) = (in_directory(from.0, from.1)?, in_directory(to.0, Some(to.1))?);
        let names = match super::super::list_attributes(&from, false) {
            Err(error) if error.raw_os_error().is_some_and(may_lack_attribute) => return Ok(()),
            names => names?,
        };
        for name in names {
            let name = NativePath::from_vec(std::os::unix::ffi::OsStringExt::into_vec(name))?;
            let copied = super::super::get_attribute(&from, &name, false)
                .and_then(|value| super::set_attribute(&to, &name, &value, 0, false));
            pass(copied)?;
        }
        Ok(())
    }
}

/// A path through /proc/self/fd to an entry of an open directory, for calls that take no directory: see proc(5).
fn in_directory(name: &NativePath, directory: Option<&Directory>) -> io::Result<NativePath> {
    let Some(directory) = directory else { return Ok(name.clone()) };
    let mut path = format!("/proc/self/fd/{}/", directory.raw()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    Ok(NativePath::from_vec(path)?)
}

fn pass(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.raw_os_error().is_some_and(may_lack_attribute) => Ok(()),
        done => done,
    }
}

/// Copies the extended attributes of an open file, including access control lists (acl(5)); returns whether it has any.
pub(crate) fn copy_attributes(source: &File, target: &File) -> io::Result<bool> {
    let mut names = [0_u8; 1024];
    let (from, to) = (source.as_raw_fd(), target.as_raw_fd());
    // Most files have none, or few.
    // SAFETY: the room is as long as it says.
    let listed = checked(|| unsafe { calls::flistxattr(from, names.as_mut_ptr().cast(), names.len()) });
    let long;
    let names = match listed {
        Ok(length) => &names[..length as usize],
        Err(error) if error.raw_os_error() == Some(libc::ERANGE) => {
            long = super::super::sized(|room| {
                // SAFETY: as above.
                checked(|| unsafe { calls::flistxattr(from, room.as_mut_ptr().cast(), room.len()) })
                    .map(|length| length as usize)
            })?;
            &long[..]
        }
        Err(error) if error.raw_os_error().is_some_and(may_lack_attribute) => return Ok(false),
        Err(error) => return Err(error),
    };
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = NativePath::from_vec(name.to_vec())?;
        let value = super::super::sized(|room| {
            // SAFETY: the name is a C string, and the room is as long as it says.
            checked(|| unsafe { calls::fgetxattr(from, name.as_ptr(), room.as_mut_ptr().cast(), room.len()) })
                .map(|length| length as usize)
        });
        pass(value.and_then(|value| {
            // SAFETY: the name is a C string, and the value is as long as it says.
            checked(|| unsafe { calls::fsetxattr(to, name.as_ptr(), value.as_ptr().cast(), value.len(), 0) })
                .map(drop)
        }))?;
    }
    Ok(!names.is_empty())
}

/// Removes the access lists of an open file: a new one has those that its directory gives it (acl(5)).
pub(crate) fn remove_access_lists(file: &File) -> io::Result<()> {
    for name in [c"system.posix_acl_access", c"system.posix_acl_default"] {
        // SAFETY: the name is a C string.
        pass(checked(|| unsafe { calls::fremovexattr(file.as_raw_fd(), name.as_ptr()) }).map(drop))?;
    }
    Ok(())
}

/// Linux has no flags that are copied.
pub(crate) fn copy_flags(_like: &Metadata, _target: &File) -> io::Result<()> {
    Ok(())
}

/// Reserves room on the disk for the content of a file, where the file system can.
pub(crate) fn reserve(file: &File, length: u64) -> io::Result<()> {
    // SAFETY: no memory is involved.
    let reserved = checked(|| unsafe {
        calls::fallocate(file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, 0, length as libc::off_t)
    });
    match reserved {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS)) => Ok(()),
        reserved => reserved.map(drop),
    }
}

/// Reserves room on the disk after the end of a file, where the file system can; its length stays.
pub(crate) fn reserve_after(file: &File, end: u64, length: u64) -> io::Result<()> {
    let (end, length) = (end as libc::off_t, length as libc::off_t);
    // SAFETY: no memory is involved.
    let reserved =
        checked(|| unsafe { calls::fallocate(file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, end, length) });
    match reserved {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS)) => Ok(()),
        reserved => reserved.map(drop),
    }
}

/// Asks the kernel to begin to write a file to its device (`sync_file_range(2)`).
pub(crate) fn begin_to_write_back(file: &File) {
    // Only a hint: `fsync(2)` does the same, and reports the errors.
    // SAFETY: no memory is involved.
    let _ = unsafe { calls::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
}

impl Directory {
    /// Checks what permissions do not say of replacing, renaming or removing an entry: the flags of chattr(1), and the
    /// sticky bit (unlink(2)).
    pub(crate) fn may_replace(&self, name: &NativePath) -> io::Result<()> {
        // A kernel without the call tells whoever tries.
        let (Ok(above), Ok(found)) = (self.look(None), self.look(Some(name))) else { return Ok(()) };
        let flagged = libc::STATX_ATTR_APPEND | libc::STATX_ATTR_IMMUTABLE;
        let is_sticky = u32::from(above.stx_mode) & libc::S_ISVTX != 0;
        // SAFETY: no memory is involved.
        let user = unsafe { libc::geteuid() };
        if is_append_only(&above)
            || found.stx_attributes & flagged as u64 != 0
            || (is_sticky && user != found.stx_uid && user != above.stx_uid && !acts_as_owner())
        {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
        Ok(())
    }

    /// Checks that entries may not only be added to it: in an append-only directory (chattr(1)), nothing can be renamed
    /// or removed.
    pub(crate) fn may_rename(&self) -> io::Result<()> {
        match self.look(None) {
            Ok(found) if is_append_only(&found) => Err(io::Error::from_raw_os_error(libc::EPERM)),
            _ => Ok(()),
        }
    }

    /// The result of `statx(2)` of an entry, or of the directory itself.
    fn look(&self, name: Option<&NativePath>) -> io::Result<libc::statx> {
        let mut found = std::mem::MaybeUninit::<libc::statx>::uninit();
        let name = name.map_or(c".".as_ptr(), NativePath::as_ptr);
        let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT;
        let mask = libc::STATX_BASIC_STATS | libc::STATX_MNT_ID;
        // SAFETY: the name is a C string, and there is room for the result.
        checked(|| unsafe { calls::statx(self.raw(), name, flags, mask, found.as_mut_ptr()) })?;
        // SAFETY: the call succeeded, so it has filled the struct.
        Ok(unsafe { found.assume_init() })
    }

    /// The number of the mount that an entry is on, or the directory itself, if the kernel tells (`STATX_MNT_ID`,
    /// Linux 5.8). A file that something is mounted on is on that mount.
    pub(crate) fn mount_of(&self, name: Option<&NativePath>) -> Option<u64> {
        let found = self.look(name).ok()?;
        (found.stx_mask & libc::STATX_MNT_ID != 0).then_some(found.stx_mnt_id)
    }
}

fn is_append_only(found: &libc::statx) -> bool {
    found.stx_attributes & libc::STATX_ATTR_APPEND as u64 != 0
}

/// Whether this thread may do with the files of others what their owner may (`CAP_FOWNER`, capabilities(7)).
#[allow(clippy::disallowed_methods, reason = "it reaches no file")]
fn acts_as_owner() -> bool {
    const VERSION: u32 = 0x2008_0522;
    const FILE_OWNER: u32 = 1 << 3;
    let header: [u32; 2] = [VERSION, 0];
    // Twice: effective, permitted, inheritable (capget(2)).
    let mut sets = [0_u32; 6];
    // SAFETY: the structs are as the call describes them.
    let told = checked(|| unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) });
    told.is_ok() && sets[0] & FILE_OWNER != 0
}
