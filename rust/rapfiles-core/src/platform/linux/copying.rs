//! Copying content and metadata between files, with Linux' system calls.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};

use crate::platform::calls::{self, File};
use crate::platform::{Directory, NativePath, checked, may_lack_attribute};
use crate::verbs::metadata::{Attributes, Metadata};

/// The flag for opening a directory only to access its entries, which needs no permission to read it (open(2),
/// `O_PATH`).
pub(crate) const SEARCH: libc::c_int = libc::O_PATH;

/// The access list of an entry (acl(5)).
const ACCESS_LIST: &CStr = c"system.posix_acl_access";
/// The access list that new entries of a directory get.
const DEFAULT_LIST: &CStr = c"system.posix_acl_default";

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

    /// Copies the extended attributes of an entry, without following a link. Afterwards it has no other access list.
    pub(crate) fn copy_entry_attributes(
        from: (&NativePath, Option<&Self>),
        to: (&NativePath, &Self),
    ) -> io::Result<()> {
        let (from, to) = (in_directory(from.0, from.1)?, in_directory(to.0, Some(to.1))?);
        // A FIFO, a socket or a device has that of its directory.
        let list = NativePath::from_vec(ACCESS_LIST.to_bytes().to_vec())?;
        pass(super::remove_attribute(&to, &list, false))?;
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

/// Copies the extended attributes of an open file, including access control lists (acl(5)). Afterwards the target has no
/// other access lists than the source: a new file has those that its directory gives it.
pub(crate) fn copy_attributes(source: &File, target: &File) -> io::Result<Attributes> {
    let mut attributes = Attributes { any: remove_access_lists(target)?, ..Attributes::NONE };
    with_attribute_names(source, &mut |name| {
        let value = super::super::sized(|room| {
            // SAFETY: the name is a C string, and the room is as long as it says.
            checked(|| unsafe {
                calls::fgetxattr(source.as_raw_fd(), name.as_ptr(), room.as_mut_ptr().cast(), room.len())
            })
            .map(|length| length as usize)
        });
        attributes.any = true;
        let copied = match value {
            Ok(value) if name == ACCESS_LIST => {
                attributes.permitted = copy_access_list(target, &value)?;
                Ok(())
            }
            Ok(value) => set_open_attribute(target, name, &value),
            Err(error) => Err(error),
        };
        pass(copied)
    })?;
    Ok(attributes)
}

/// The same for the access list alone, of a file that may not be opened: to look at its list, no permission is needed.
pub(crate) fn copy_access_list_of(
    name: &NativePath,
    directory: &Directory,
    target: &File,
) -> io::Result<Attributes> {
    let mut attributes = Attributes { any: remove_access_lists(target)?, ..Attributes::NONE };
    let path = in_directory(name, Some(directory))?;
    match super::super::get_attribute(&path, &NativePath::from_vec(ACCESS_LIST.to_bytes().to_vec())?, false) {
        Ok(value) => {
            attributes.any = true;
            attributes.permitted = copy_access_list(target, &value)?;
        }
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENODATA | libc::ENOTSUP)) => {}
        Err(error) => return Err(error),
    }
    Ok(attributes)
}

/// Sets an access list, if the file system and this process can; returns which permissions the file may have.
fn copy_access_list(target: &File, list: &[u8]) -> io::Result<u32> {
    match set_open_attribute(target, ACCESS_LIST, list) {
        Ok(()) => Ok(Attributes::NONE.permitted),
        Err(error) if error.raw_os_error().is_some_and(may_lack_attribute) => Ok(permitted_without(list)),
        Err(error) => Err(error),
    }
}

/// The permissions with which a file without this access list lets nobody do what the list denies them: those that it
/// grants to everybody but the owner. The bits of the group are not among them: with a list, they are its mask.
fn permitted_without(list: &[u8]) -> u32 {
    // include/uapi/linux/posix_acl_xattr.h: a version of four bytes; then entries of a tag and permissions, of two bytes
    // each, and the ID of a user or a group, all of them little-endian.
    const OWNER: u16 = 0x01;
    let entries = list.get(4..).unwrap_or_default().chunks_exact(8);
    let granted = entries
        .map(|entry| (u16::from_le_bytes([entry[0], entry[1]]), u16::from_le_bytes([entry[2], entry[3]])))
        .filter(|(tag, _)| *tag != OWNER)
        .fold(0o7, |granted, (_, permissions)| granted & u32::from(permissions));
    0o7700 | granted << 3 | granted
}

/// Removes the access lists of an open file, if it has any; returns whether it had. Nobody gets more access by that.
pub(crate) fn remove_access_lists(file: &File) -> io::Result<bool> {
    let mut found = false;
    with_attribute_names(file, &mut |name| {
        if name != ACCESS_LIST && name != DEFAULT_LIST {
            return Ok(());
        }
        found = true;
        let mode = super::super::metadata_of(file)?.mode;
        // The bits of the group are the mask of the list, and without it are what the group may do.
        if name == ACCESS_LIST && mode & 0o070 != 0 {
            super::super::set_file_mode(file, mode & !0o070)?;
        }
        // SAFETY: the name is a C string.
        checked(|| unsafe { calls::fremovexattr(file.as_raw_fd(), name.as_ptr()) }).map(drop)
    })?;
    Ok(found)
}

/// Calls a function for the name of each attribute of an open file.
fn with_attribute_names(file: &File, each: &mut dyn FnMut(&CStr) -> io::Result<()>) -> io::Result<()> {
    let list = |room: &mut [u8]| {
        // SAFETY: the room is as long as it says.
        checked(|| unsafe { calls::flistxattr(file.as_raw_fd(), room.as_mut_ptr().cast(), room.len()) })
            .map(|length| length as usize)
    };
    // Most files have none, or few.
    let mut names = [0_u8; 1024];
    let long;
    let names = match list(&mut names) {
        Ok(length) => &names[..length],
        Err(error) if error.raw_os_error() == Some(libc::ERANGE) => {
            long = super::super::sized(list)?;
            &long[..]
        }
        Err(error) if error.raw_os_error().is_some_and(may_lack_attribute) => return Ok(()),
        Err(error) => return Err(error),
    };
    names
        .split_inclusive(|byte| *byte == 0)
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
        .filter(|name| !name.is_empty())
        .try_for_each(each)
}

fn set_open_attribute(file: &File, name: &CStr, value: &[u8]) -> io::Result<()> {
    // SAFETY: the name is a C string, and the value is as long as it says.
    checked(|| unsafe {
        calls::fsetxattr(file.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    })
    .map(drop)
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
        // A kernel without the call tells so when it is tried.
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
