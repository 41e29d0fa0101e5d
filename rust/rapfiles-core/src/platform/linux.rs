//! System calls of Linux only.

mod copying;
mod journal;
#[allow(
    clippy::disallowed_methods,
    reason = "a table of the kernel's; without it, nobody is known to have a lock"
)]
mod lock_table;

use std::cell::Cell;
use std::collections::TryReserveError;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::calls::{self, File, OwnedFd};
use super::{NativePath, checked, file_type_of};
use crate::limits::{LISTING_FIRST_BUFFER, LISTING_LARGEST_BUFFER};
use crate::verbs::listing::Entry;
use crate::verbs::metadata::{Metadata, StatVfs, Timestamp};

pub(crate) use copying::*;
pub(crate) use journal::*;
pub(crate) use lock_table::file_lock_holder;

/// The size of a transparent huge page on most machines.
const HUGE_PAGE: usize = 2 << 20;

/// Runs a call that fills a `struct stat`.
pub(crate) fn fill_metadata(call: impl FnOnce(*mut libc::stat) -> io::Result<i32>) -> io::Result<Metadata> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    call(stat.as_mut_ptr())?;
    // SAFETY: the call succeeded, so it has filled the struct.
    let stat = unsafe { stat.assume_init() };
    let time = |seconds, nanoseconds| Timestamp { seconds, nanoseconds: nanoseconds as u32 };
    // The widths of these fields differ between architectures.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    Ok(Metadata {
        mode: stat.st_mode as u32,
        inode: u128::from(stat.st_ino),
        device: stat.st_dev as u64,
        links: stat.st_nlink as u64,
        user: stat.st_uid,
        group: stat.st_gid,
        size: stat.st_size as u64,
        accessed: time(stat.st_atime as i64, stat.st_atime_nsec),
        modified: time(stat.st_mtime as i64, stat.st_mtime_nsec),
        changed: time(stat.st_ctime as i64, stat.st_ctime_nsec),
        block_size: stat.st_blksize as u64,
        blocks: stat.st_blocks as u64,
        special_device: stat.st_rdev as u64,
        ..Metadata::default()
    })
}

/// What the kernel has in memory of an open file, whichever server it may be on (`AT_STATX_DONT_SYNC`, `statx(2)`).
pub(crate) fn statx_in_memory(fd: BorrowedFd<'_>, mask: u32) -> io::Result<libc::statx> {
    let mut found = MaybeUninit::<libc::statx>::uninit();
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    // SAFETY: the path is an empty C string, and `found` has room for the result.
    checked(|| unsafe { calls::statx(fd.as_raw_fd(), c"".as_ptr(), flags, mask, found.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so it has filled the struct.
    Ok(unsafe { found.assume_init() })
}

pub(crate) fn statvfs(path: &NativePath) -> io::Result<StatVfs> {
    // SAFETY: all zeros is a valid `statvfs`.
    let mut limits: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path is a C string and `limits` has room for the result.
    checked(|| unsafe { calls::statvfs(path.as_ptr(), &raw mut limits) })?;
    // The widths of these fields differ between platforms.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    Ok(StatVfs {
        block_size: limits.f_bsize as u64,
        fragment_size: limits.f_frsize as u64,
        blocks: limits.f_blocks as u64,
        blocks_free: limits.f_bfree as u64,
        blocks_available: limits.f_bavail as u64,
        files: limits.f_files as u64,
        files_free: limits.f_ffree as u64,
        files_available: limits.f_favail as u64,
        flags: limits.f_flag as u64,
        name_max: limits.f_namemax as u64,
        id: limits.f_fsid as u64,
    })
}

pub(crate) fn get_attribute_into(
    path: &NativePath,
    name: &NativePath,
    room: &mut [u8],
    follow: bool,
) -> io::Result<usize> {
    let call = if follow { calls::getxattr } else { calls::lgetxattr };
    // SAFETY: both are C strings, and the room is as long as it says.
    let length =
        checked(|| unsafe { call(path.as_ptr(), name.as_ptr(), room.as_mut_ptr().cast(), room.len()) })?;
    Ok(length as usize)
}

pub(crate) fn list_attributes_into(path: &NativePath, room: &mut [u8], follow: bool) -> io::Result<usize> {
    let call = if follow { calls::listxattr } else { calls::llistxattr };
    // SAFETY: the path is a C string, and the room is as long as it says.
    let length = checked(|| unsafe { call(path.as_ptr(), room.as_mut_ptr().cast(), room.len()) })?;
    Ok(length as usize)
}

pub(crate) fn set_attribute(
    path: &NativePath,
    name: &NativePath,
    value: &[u8],
    flags: i32,
    follow: bool,
) -> io::Result<()> {
    let call = if follow { calls::setxattr } else { calls::lsetxattr };
    // SAFETY: both are C strings, and the value is as long as it says.
    checked(|| unsafe { call(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), flags) })
        .map(drop)
}

pub(crate) fn remove_attribute(path: &NativePath, name: &NativePath, follow: bool) -> io::Result<()> {
    let call = if follow { calls::removexattr } else { calls::lremovexattr };
    // SAFETY: both are C strings.
    checked(|| unsafe { call(path.as_ptr(), name.as_ptr()) }).map(drop)
}

/// An eventfd is both ends.
pub(crate) fn create_event() -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    // SAFETY: no memory is involved.
    let fd = checked(|| unsafe { calls::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok((unsafe { OwnedFd::from_raw_fd(fd) }, None))
}

/// Makes the C library keep freed memory for the next large block.
///
/// By default glibc returns the freed end of its heap to the kernel beyond twice the size of the largest block that was
/// ever freed. Several results of a megabyte at a time then cost hundreds of page faults each, which take longer than
/// copying the file. Freeing a larger block raises the limit (the dynamic threshold, `M_MMAP_THRESHOLD` in mallopt(3)),
/// unless the limits have been set explicitly for this process. The block is never touched, so it takes no memory.
#[cfg(target_env = "gnu")]
pub(crate) fn keep_freed_memory() {
    use std::sync::atomic::{AtomicBool, Ordering};

    /// It keeps twice as much.
    const BLOCK: usize = 16 << 20;
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        // SAFETY: what was allocated, or null, is freed; nothing is done with it, which the compiler must not know.
        unsafe { libc::free(std::hint::black_box(libc::malloc(BLOCK))) };
    }
}

/// Other C libraries have limits of their own.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn keep_freed_memory() {}

/// Tells the kernel that a large buffer is about to be filled, so that it uses huge pages (`MADV_HUGEPAGE`,
/// madvise(2)).
pub(crate) fn expect_large_use(start: *mut u8, length: usize) {
    advise(start, length, libc::MADV_HUGEPAGE);
}

/// Revokes that for a part of it.
pub(crate) fn expect_small_use(start: *mut u8, length: usize) {
    advise(start, length, libc::MADV_NOHUGEPAGE);
}

fn advise(start: *mut u8, length: usize, advice: i32) {
    let first = start.align_offset(HUGE_PAGE);
    let Some(length) = length.checked_sub(first).map(|rest| rest / HUGE_PAGE * HUGE_PAGE).filter(|l| *l > 0)
    else {
        return;
    };
    // SAFETY: the range is within the caller's buffer, and the advice changes no content.
    unsafe { libc::madvise(start.add(first).cast(), length, advice) };
}

pub(crate) fn synchronise_data(file: &File) -> io::Result<()> {
    // SAFETY: no memory is involved.
    checked(|| unsafe { calls::fdatasync(file.as_raw_fd()) }).map(drop)
}

pub(crate) fn synchronise_everything(file: &File) -> io::Result<()> {
    // SAFETY: no memory is involved.
    checked(|| unsafe { calls::fsync(file.as_raw_fd()) }).map(drop)
}

/// Whether `openat2(2)` is missing, or forbidden by a sandbox.
static NO_OPENAT2: AtomicBool = AtomicBool::new(false);

/// Opens the directory of this name; EXDEV if something is mounted on it. `None` if the system cannot tell.
pub(super) fn open_in_mount(directory: RawFd, name: &NativePath) -> Option<io::Result<OwnedFd>> {
    if NO_OPENAT2.load(Ordering::Relaxed) {
        return None;
    }
    let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_DIRECTORY | libc::O_NONBLOCK | libc::O_CLOEXEC;
    // SAFETY: all zeros is a valid `open_how`.
    let mut how: libc::open_how = unsafe { MaybeUninit::zeroed().assume_init() };
    how.flags = flags as u64;
    how.resolve = libc::RESOLVE_NO_XDEV;
    // SAFETY: the name is a C string, and `how` is as large as it says.
    let call = || unsafe { calls::openat2(directory, name.as_ptr(), &raw const how, size_of_val(&how)) };
    match checked(call) {
        // SAFETY: the descriptor is new and nobody else's.
        Ok(fd) => Some(Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
            NO_OPENAT2.store(true, Ordering::Relaxed);
            None
        }
        Err(error) => Some(Err(error)),
    }
}

/// Reads a directory with `getdents64(2)`, which glibc's `readdir(3)` calls with a smaller buffer.
#[derive(Debug)]
pub(crate) struct DirectoryReader {
    directory: Arc<OwnedFd>,
    buffer: Vec<u8>,
    has_begun: bool,
}

thread_local! {
    /// The buffer of a reader that is gone, for the next one: allocating takes a part of what reading a directory does.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// With the longest name, an entry takes no more than this.
const LARGEST_ENTRY: usize = 512;
/// Where the parts of a `struct linux_dirent64` are: see getdents(2).
const LENGTH_AT: usize = 16;
const TYPE_AT: usize = 18;
const NAME_AT: usize = 19;

impl AsFd for DirectoryReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl DirectoryReader {
    /// Reads an open directory from its start on.
    pub(crate) fn new(directory: OwnedFd) -> io::Result<Self> {
        Self::of(&Arc::new(directory))
    }

    /// The same, of one that others use too.
    pub(crate) fn of(directory: &Arc<OwnedFd>) -> io::Result<Self> {
        Ok(Self { directory: Arc::clone(directory), buffer: Vec::new(), has_begun: false })
    }

    /// The descriptor by which the entries are reached.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.directory.as_raw_fd()
    }

    /// Passes on the next entries, without `.` and `..`; `false` with the last ones.
    pub(crate) fn read(
        &mut self,
        push: &mut impl FnMut(Entry<'_>) -> Result<(), TryReserveError>,
    ) -> io::Result<bool> {
        let ended = self.fill()?;
        let mut rest = &self.buffer[..];
        while rest.len() > NAME_AT {
            let size = usize::from(u16::from_ne_bytes([rest[LENGTH_AT], rest[LENGTH_AT + 1]]));
            let (entry, behind) = rest.split_at(size.clamp(NAME_AT, rest.len()));
            rest = behind;
            let name = name_of(entry);
            if name == b"." || name == b".." {
                continue;
            }
            let inode = entry[..8].try_into().map_or(0, u64::from_ne_bytes);
            push(Entry { name, file_type: file_type_of(entry[TYPE_AT]), inode })?;
        }
        Ok(!ended)
    }

    /// Reads the next entries into the buffer; `true` with the last ones.
    fn fill(&mut self) -> io::Result<bool> {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let size = if is_first {
            self.buffer = SPARE.try_with(Cell::take).unwrap_or_default();
            LISTING_FIRST_BUFFER
        } else {
            (self.buffer.capacity() * 2).clamp(LISTING_FIRST_BUFFER, LISTING_LARGEST_BUFFER)
        };
        self.buffer.clear();
        self.buffer.try_reserve_exact(size)?;
        let mut ended = false;
        // A small directory is read to its end at once; only a call that returns nothing shows the end. After that,
        // each call may have to wait for a server.
        while !ended && (self.buffer.is_empty() || is_first) && size - self.buffer.len() >= LARGEST_ENTRY {
            let room = self.buffer.spare_capacity_mut();
            let (fd, start, room) = (self.directory.as_raw_fd(), room.as_mut_ptr(), room.len());
            // SAFETY: the buffer has room for that much.
            let length = match checked(|| unsafe { calls::getdents64(fd, start, room) }) {
                Ok(length) => length as usize,
                // A directory that has been removed has no entries, as for glibc's readdir(3).
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => 0,
                Err(error) => return Err(error),
            };
            // SAFETY: the kernel has written that much behind what was there.
            unsafe { self.buffer.set_len(self.buffer.len() + length) };
            ended = length == 0;
        }
        Ok(ended)
    }
}

/// The name in a `struct linux_dirent64`. Behind its NUL there are at most seven bytes, with which the length becomes a
/// multiple of eight (`filldir64` in `fs/readdir.c` of the kernel), so it is only searched for there: for names of
/// usual lengths `memchr` takes longer than all else that is done with them here.
fn name_of(entry: &[u8]) -> &[u8] {
    let name = &entry[NAME_AT.min(entry.len())..];
    let from = name.len().saturating_sub(8);
    let length = name[from..].iter().position(|byte| *byte == 0).map_or(name.len(), |at| from + at);
    &name[..length]
}

impl Drop for DirectoryReader {
    fn drop(&mut self) {
        if self.buffer.capacity() == LISTING_FIRST_BUFFER {
            // A thread that ends has no use for it.
            let _ = SPARE.try_with(|spare| spare.set(std::mem::take(&mut self.buffer)));
        }
    }
}

/// Only root can clear the flags that keep even the owner from removing a file (`FS_IMMUTABLE_FL`, ioctl_iflags(2)).
pub(crate) fn clear_flags(_path: &NativePath) -> io::Result<()> {
    Ok(())
}
