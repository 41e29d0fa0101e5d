//! The system calls that all POSIX platforms have in common.

use std::ffi::{CStr, CString, NulError, OsString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::os::unix::ffi::OsStringExt;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::calls::{self, File, OwnedFd};
use super::{MOST, create_event, fill_metadata, get_attribute_into, list_attributes_into, resolve, write};
use crate::verbs::link::TargetKind;
use crate::verbs::metadata::{Metadata, Timestamp};
use crate::verbs::resolve::Strictness;

pub(crate) use libc::EBADF as BAD_DESCRIPTOR;
pub(crate) use libc::EIO;
pub(crate) const IS_A_DIRECTORY: i32 = libc::EISDIR;
/// The error of `pthread_create(3)` if there are too many threads.
pub(crate) const NO_THREAD: i32 = libc::EAGAIN;

/// Whether a file can be renamed while it is open.
pub(crate) const RENAMES_OPEN_FILES: bool = true;

/// A path for system calls: bytes with a terminating NUL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativePath(CString);

impl NativePath {
    /// The path with these bytes.
    ///
    /// # Errors
    /// When there is a NUL among them.
    pub fn from_vec(bytes: Vec<u8>) -> Result<Self, NulError> {
        CString::new(bytes).map(Self)
    }

    /// The bytes, without the NUL.
    pub fn to_bytes(&self) -> &[u8] {
        self.0.to_bytes()
    }

    /// Its bytes, as [`std::ffi::OsStr::as_encoded_bytes`] gives them.
    pub(crate) fn encoded(&self) -> std::borrow::Cow<'_, [u8]> {
        self.to_bytes().into()
    }

    /// Its length, in the units of [`super::LONGEST_PATH`].
    pub(crate) fn len(&self) -> usize {
        self.to_bytes().len()
    }

    /// The path as the platform's string.
    pub fn to_os_string(&self) -> OsString {
        OsString::from_vec(self.to_bytes().to_vec())
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn as_c_str(&self) -> &CStr {
        &self.0
    }

    pub(crate) fn as_ptr(&self) -> *const libc::c_char {
        self.0.as_ptr()
    }
}

/// The lexical parent of a path that pathlib has normalised.
pub(crate) fn parent(path: &NativePath) -> Option<NativePath> {
    let bytes = path.to_bytes();
    let parent: &[u8] = match bytes.iter().rposition(|byte| *byte == b'/') {
        _ if bytes == b"." || bytes == b"/" || bytes == b"//" => return None,
        None => b".",
        Some(1) if bytes.starts_with(b"//") => b"//",
        Some(0) => b"/",
        Some(slash) => &bytes[..slash],
    };
    NativePath::from_vec(parent.to_vec()).ok()
}

/// The last name of a path that pathlib has normalised.
pub(crate) fn file_name(path: &NativePath) -> NativePath {
    let bytes = path.to_bytes();
    let name = bytes.rsplit(|byte| *byte == b'/').next().filter(|name| !name.is_empty()).unwrap_or(b".");
    NativePath::from_vec(name.to_vec()).unwrap_or_else(|_| path.clone())
}

/// Whether an error code is one that Python raises as `FileNotFoundError`.
pub(crate) fn is_not_found(code: i32) -> bool {
    code == libc::ENOENT
}

/// Whether an error code means to a predicate that there is nothing.
pub(crate) fn means_missing(code: i32) -> bool {
    matches!(code, libc::ENOENT | libc::ENOTDIR | libc::EBADF | libc::ELOOP)
}

/// The result of a system call that returns -1 on failure; interrupted ones are repeated (PEP 475).
pub(crate) fn checked<T: PartialEq + From<i8>>(mut call: impl FnMut() -> T) -> io::Result<T> {
    loop {
        let result = call();
        if result != T::from(-1) {
            return Ok(result);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn open(path: &NativePath, flags: libc::c_int, mode: u32) -> io::Result<File> {
    // SAFETY: the path is a C string.
    let fd =
        checked(|| unsafe { calls::open(path.as_ptr(), flags | libc::O_CLOEXEC, libc::c_uint::from(mode)) })?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd) })
}

pub(crate) fn open_to_read(path: &NativePath) -> io::Result<File> {
    open(path, libc::O_RDONLY, 0)
}

pub(crate) fn open_to_replace(path: &NativePath) -> io::Result<File> {
    open(path, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC, 0o666)
}

pub(crate) fn open_to_append(path: &NativePath) -> io::Result<File> {
    open(path, libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND, 0o666)
}

pub(crate) fn create(path: &NativePath, mode: u32, exclusive: bool) -> io::Result<File> {
    let exclusive = if exclusive { libc::O_EXCL } else { 0 };
    open(path, libc::O_WRONLY | libc::O_CREAT | exclusive, mode)
}

/// Closes a file and returns its error, which dropping it does not.
pub(crate) fn close(file: File) -> io::Result<()> {
    // SAFETY: the descriptor is ours, and nobody uses it afterwards.
    let closed = unsafe { calls::close(file.into_raw_fd()) };
    match io::Error::last_os_error() {
        _ if closed == 0 => Ok(()),
        // The descriptor is gone all the same; closing it again might close somebody else's.
        error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        error => Err(error),
    }
}

/// Appends everything up to the end of the file; from the current position, or from `offset` on.
pub(crate) fn read_to_end(file: &File, content: &mut Vec<u8>, offset: Option<u64>) -> io::Result<()> {
    const ROOM: usize = 16 << 10;
    let mut at = offset;
    loop {
        if content.capacity() == content.len() {
            content.try_reserve(ROOM.max(content.len() / 2))?;
        }
        let room = content.spare_capacity_mut();
        let (start, length) = (room.as_mut_ptr().cast(), room.len());
        let read = checked(|| match at {
            // SAFETY: the spare room is ours to be written to.
            Some(offset) => unsafe { calls::pread(file.as_raw_fd(), start, length, offset as libc::off_t) },
            // SAFETY: as above.
            None => unsafe { calls::read(file.as_raw_fd(), start, length) },
        })? as usize;
        if read == 0 {
            return Ok(());
        }
        // SAFETY: the kernel has written that many bytes behind the content.
        unsafe { content.set_len(content.len() + read) };
        at = at.map(|offset| offset + read as u64);
    }
}

/// Reads once at an offset.
pub(crate) fn read_at(file: &File, part: &mut [u8], offset: u64) -> io::Result<usize> {
    let (start, length) = (part.as_mut_ptr().cast(), part.len().min(MOST));
    // SAFETY: the part is there to be written to.
    let read = checked(|| unsafe { calls::pread(file.as_raw_fd(), start, length, offset as libc::off_t) })?;
    Ok(read as usize)
}

/// Writes everything, even if the kernel writes only a part at a time.
pub(crate) fn write_all(file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(file, bytes)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    Ok(())
}

/// The length of an open file, if it has one.
pub(crate) fn length_of(file: &File) -> io::Result<u64> {
    Ok(metadata_of(file)?.size)
}

pub(crate) fn truncate(path: &NativePath, length: i64) -> io::Result<()> {
    // SAFETY: the path is a C string.
    checked(|| unsafe { calls::truncate(path.as_ptr(), length as libc::off_t) }).map(drop)
}

/// `stat(2)` or `lstat(2)`.
pub(crate) fn metadata(path: &NativePath, follow: bool) -> io::Result<Metadata> {
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    fill_metadata(|stat| {
        // SAFETY: the path is a C string and `stat` has room for the result.
        checked(|| unsafe { calls::fstatat(libc::AT_FDCWD, path.as_ptr(), stat, flags) })
    })
}

/// `fstat(2)`.
pub(crate) fn metadata_of(file: &File) -> io::Result<Metadata> {
    metadata_of_fd(file.as_raw_fd())
}

/// `fstat(2)`.
pub(crate) fn metadata_of_fd(fd: i32) -> io::Result<Metadata> {
    fill_metadata(|stat| {
        // SAFETY: `stat` has room for the result.
        checked(|| unsafe { calls::fstat(fd, stat) })
    })
}

/// `os.path.ismount`.
pub(crate) fn is_mount(path: &NativePath) -> io::Result<bool> {
    let here = metadata(path, false)?;
    if here.is_symlink() {
        return Ok(false);
    }
    let mut above = path.to_bytes().to_vec();
    above.extend_from_slice(b"/..");
    let above = resolve(&NativePath::from_vec(above)?, Strictness::Lenient, u32::MAX)
        .map_err(|_| io::Error::from_raw_os_error(libc::ENOENT))?;
    let above = metadata(&NativePath::from_vec(above.into_vec())?, false)?;
    Ok(here.device != above.device || here.inode == above.inode)
}

/// Junctions are a thing of Windows.
pub(crate) fn is_junction(_path: &NativePath) -> bool {
    false
}

pub(crate) fn access(path: &NativePath, mode: i32, effective_ids: bool, follow: bool) -> io::Result<()> {
    let effective = if effective_ids { libc::AT_EACCESS } else { 0 };
    let nofollow = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    // SAFETY: the path is a C string.
    checked(|| unsafe { calls::faccessat(libc::AT_FDCWD, path.as_ptr(), mode, effective | nofollow) })
        .map(drop)
}

pub(crate) fn change_mode(path: &NativePath, mode: u32, follow: bool) -> io::Result<()> {
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    // SAFETY: the path is a C string.
    checked(|| unsafe { calls::fchmodat(libc::AT_FDCWD, path.as_ptr(), mode as libc::mode_t, flags) })
        .map(drop)
}

pub(crate) fn change_owner(path: &NativePath, user: u32, group: u32, follow: bool) -> io::Result<()> {
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    // SAFETY: the path is a C string.
    checked(|| unsafe { calls::fchownat(libc::AT_FDCWD, path.as_ptr(), user, group, flags) }).map(drop)
}

pub(crate) fn set_times(
    path: &NativePath,
    times: Option<(Timestamp, Timestamp)>,
    follow: bool,
) -> io::Result<()> {
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    let times = times.map(|(accessed, modified)| {
        [accessed, modified].map(|time| libc::timespec {
            // The alias for the type is deprecated where its width is to change.
            tv_sec: time.seconds as _,
            tv_nsec: time.nanoseconds as libc::c_long,
        })
    });
    let times = times.as_ref().map_or(ptr::null(), |times| times.as_ptr());
    // SAFETY: the path is a C string; `times` is null, for now, or two points in time.
    checked(|| unsafe { calls::utimensat(libc::AT_FDCWD, path.as_ptr(), times, flags) }).map(drop)
}

pub(crate) fn make_directory(path: &NativePath, mode: u32) -> io::Result<()> {
    // SAFETY: the path is a C string.
    checked(|| unsafe { calls::mkdir(path.as_ptr(), mode as libc::mode_t) }).map(drop)
}

pub(crate) fn remove_directory(path: &NativePath) -> io::Result<()> {
    // SAFETY: the path is a C string.
    checked(|| unsafe { calls::rmdir(path.as_ptr()) }).map(drop)
}

pub(crate) fn unlink(path: &NativePath) -> io::Result<()> {
    // SAFETY: the path is a C string.
    checked(|| unsafe { calls::unlink(path.as_ptr()) }).map(drop)
}

/// POSIX's rename always replaces.
pub(crate) fn rename(path: &NativePath, target: &NativePath, _replace: bool) -> io::Result<()> {
    // SAFETY: both paths are C strings.
    checked(|| unsafe { calls::rename(path.as_ptr(), target.as_ptr()) }).map(drop)
}

pub(crate) fn symlink(target: &NativePath, path: &NativePath, _kind: TargetKind) -> io::Result<()> {
    // SAFETY: both paths are C strings.
    checked(|| unsafe { calls::symlinkat(target.as_ptr(), libc::AT_FDCWD, path.as_ptr()) }).map(drop)
}

pub(crate) fn link(target: &NativePath, path: &NativePath, follow: bool) -> io::Result<()> {
    let flags = if follow { libc::AT_SYMLINK_FOLLOW } else { 0 };
    // SAFETY: both paths are C strings.
    checked(|| unsafe {
        calls::linkat(libc::AT_FDCWD, target.as_ptr(), libc::AT_FDCWD, path.as_ptr(), flags)
    })
    .map(drop)
}

pub(crate) fn read_link(path: &NativePath) -> io::Result<OsString> {
    let mut target: Vec<u8> = Vec::with_capacity(256);
    loop {
        let (start, room) = (target.as_mut_ptr().cast(), target.capacity());
        // SAFETY: the path is a C string, and the vector has room for that much.
        let length =
            checked(|| unsafe { calls::readlinkat(libc::AT_FDCWD, path.as_ptr(), start, room) })? as usize;
        if length < room {
            // SAFETY: the kernel has written that many bytes.
            unsafe { target.set_len(length) };
            return Ok(OsString::from_vec(target));
        }
        // It may have been cut off.
        target.reserve(room * 2);
    }
}

pub(crate) fn get_attribute(path: &NativePath, name: &NativePath, follow: bool) -> io::Result<Vec<u8>> {
    sized(|room| get_attribute_into(path, name, room, follow))
}

pub(crate) fn list_attributes(path: &NativePath, follow: bool) -> io::Result<Vec<OsString>> {
    let names = sized(|room| list_attributes_into(path, room, follow))?;
    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.map(|name| OsString::from_vec(name.to_vec())).collect())
}

/// Calls with more and more room until it is enough.
pub(crate) fn sized(mut call: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<Vec<u8>> {
    /// The most that an extended attribute may have on Linux.
    const MOST: usize = 64 << 10;
    let mut room = vec![0; 256];
    loop {
        match call(&mut room) {
            Ok(length) => {
                room.truncate(length);
                return Ok(room);
            }
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) && room.len() < MOST => {
                room = vec![0; MOST]
            }
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) => {
                // Larger ones exist elsewhere; ask for the size.
                let length = call(&mut [])?;
                room = vec![0; length.max(room.len() * 2)];
            }
            Err(error) => return Err(error),
        }
    }
}

/// The name of the user or group with this number.
pub(crate) fn account_name(id: u32, group: bool) -> Option<OsString> {
    if group {
        // SAFETY: the room is as long as it says.
        look_up(
            |entry, start, length, found| unsafe { libc::getgrgid_r(id, entry, start, length, found) },
            |entry: &libc::group| entry.gr_name,
        )
    } else {
        // SAFETY: as above.
        look_up(
            |entry, start, length, found| unsafe { libc::getpwuid_r(id, entry, start, length, found) },
            |entry: &libc::passwd| entry.pw_name,
        )
    }
}

/// The number of the user or group with this name.
pub(crate) fn account_id(name: &str, group: bool) -> Option<u32> {
    let name = CString::new(name).ok()?;
    let mut id = None;
    if group {
        // SAFETY: the name is a C string, and the room is as long as it says.
        look_up(
            |entry, start, length, found| unsafe {
                libc::getgrnam_r(name.as_ptr(), entry, start, length, found)
            },
            |entry: &libc::group| {
                id = Some(entry.gr_gid);
                entry.gr_name
            },
        );
    } else {
        // SAFETY: as above.
        look_up(
            |entry, start, length, found| unsafe {
                libc::getpwnam_r(name.as_ptr(), entry, start, length, found)
            },
            |entry: &libc::passwd| {
                id = Some(entry.pw_uid);
                entry.pw_name
            },
        );
    }
    id
}

/// The home directory of a user, or of the one who runs this process.
pub(crate) fn home_directory(user: Option<OsString>) -> Option<OsString> {
    let home = |entry: &libc::passwd| entry.pw_dir;
    match user {
        Some(user) => {
            let user = CString::new(user.into_vec()).ok()?;
            // SAFETY: the name is a C string, and the room is as long as it says.
            look_up(
                |entry, start, length, found| unsafe {
                    libc::getpwnam_r(user.as_ptr(), entry, start, length, found)
                },
                home,
            )
        }
        None => {
            // SAFETY: the room is as long as it says.
            look_up(
                |entry, start, length, found| unsafe {
                    libc::getpwuid_r(libc::getuid(), entry, start, length, found)
                },
                home,
            )
        }
    }
}

/// Looks an entry up in the user database, with as much room as it needs.
fn look_up<Entry>(
    call: impl Fn(*mut Entry, *mut libc::c_char, usize, *mut *mut Entry) -> libc::c_int,
    field: impl FnOnce(&Entry) -> *mut libc::c_char,
) -> Option<OsString> {
    let mut room: Vec<libc::c_char> = vec![0; 1024];
    loop {
        // SAFETY: the entries are structs of pointers and numbers, for which all zeros is valid.
        let mut entry: Entry = unsafe { std::mem::zeroed() };
        let mut found = ptr::null_mut();
        match call(&raw mut entry, room.as_mut_ptr(), room.len(), &raw mut found) {
            libc::ERANGE => room.resize(room.len() * 2, 0),
            libc::EINTR => {}
            _ if found.is_null() => return None,
            _ => {
                let text = field(&entry);
                // SAFETY: the fields of an entry that was found are C strings within the room.
                return Some(OsString::from_vec(unsafe { CStr::from_ptr(text) }.to_bytes().to_vec()));
            }
        }
    }
}

/// Runs functions whenever this process is forked: before, and afterwards in the parent and in the child. That of the
/// child must only do what is safe in a signal handler (pthread_atfork(3), of a process with threads).
pub(crate) fn at_fork(before: fn(), parent: fn(), child: fn()) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    static HANDLERS: std::sync::OnceLock<[fn(); 3]> = std::sync::OnceLock::new();
    fn run(handler: usize) {
        if let Some(handlers) = HANDLERS.get() {
            handlers[handler]();
        }
    }
    extern "C" fn run_before() {
        run(0);
    }
    extern "C" fn run_in_parent() {
        run(1);
    }
    extern "C" fn run_in_child() {
        run(2);
    }
    if TOLD.swap(true, Ordering::AcqRel) {
        return;
    }
    let _ = HANDLERS.set([before, parent, child]);
    // SAFETY: the handlers are functions for the life of the process, and the child's calls what is safe in a signal
    // handler.
    unsafe { libc::pthread_atfork(Some(run_before), Some(run_in_parent), Some(run_in_child)) };
}

/// The descriptor of a file, which a forked child has, too.
pub(crate) fn inheritable_descriptor(file: &File) -> Option<i32> {
    Some(file.as_raw_fd())
}

/// Closes a descriptor that was inherited, if it is still the same file's. Safe in a signal handler.
#[allow(clippy::disallowed_methods, reason = "what a simulation does is not safe in a signal handler")]
pub(crate) fn close_inherited(descriptor: i32, device: u64, inode: u64) {
    // SAFETY: all zeros is a valid `struct stat`.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: there is room for the result.
    let looked = unsafe { libc::fstat(descriptor, &raw mut found) };
    // The widths of these fields differ between platforms.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    if looked == 0 && found.st_dev as u64 == device && found.st_ino as u64 == inode {
        // SAFETY: nobody in this process uses it.
        unsafe { libc::close(descriptor) };
    }
}

/// A descriptor that becomes readable when it is signalled, for a loop to watch.
#[derive(Debug)]
pub struct EventSignal {
    readable: OwnedFd,
    /// The other end, where the platform needs two.
    writable: Option<OwnedFd>,
}

impl EventSignal {
    /// A descriptor that is not signalled.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let (readable, writable) = create_event()?;
        Ok(Self { readable, writable })
    }

    /// The descriptor for the loop to watch.
    pub fn fd(&self) -> i32 {
        self.readable.as_raw_fd()
    }

    /// Makes the descriptor readable.
    pub fn raise(&self) {
        let one = 1_u64.to_ne_bytes();
        let fd = self.writable.as_ref().unwrap_or(&self.readable).as_raw_fd();
        // Fails only if it is already readable.
        // SAFETY: the eight bytes are there to be read.
        let _ = checked(|| unsafe { calls::write(fd, one.as_ptr().cast(), one.len()) });
    }

    /// Makes the descriptor unreadable.
    pub fn clear(&self) {
        let mut room = [0_u8; 256];
        // SAFETY: the room is there to be written to.
        let _ = checked(|| unsafe { calls::read(self.fd(), room.as_mut_ptr().cast(), room.len()) });
    }
}
