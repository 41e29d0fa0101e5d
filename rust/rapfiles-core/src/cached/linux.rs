//! Tier 0 on Linux: `openat2(2)` with `RESOLVE_CACHED`, `statx(2)` without synchronisation, `preadv2(2)` with
//! `RWF_NOWAIT`.

use std::ffi::{CStr, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::access_time::Times;
use super::mount::{self, Locality};
use super::mounts::{self, MountNumber, Mounts, Permit};
use super::overlay::{self, Doubt};
use super::recent::{RecentFile, RecentFiles};
use super::{BufferProvider, FileSystem, IoVec};
use crate::engine::Engine;
use crate::engine::lane::Lane;
use crate::engine::runtime;
use crate::error::{About, Error, Subject};
use crate::handle::{FileInfo, OpenedFile};
use crate::limits::{DECODED_AT_ONCE, ENTRIES_TRIED, PARENTS_TRIED, READ_AT_ONCE};
use crate::lock::{self, Identity, LockFile};
use crate::outcome::{Attempted, Outcome};
use crate::path_operation::PathOperation;
use crate::platform::calls::{self, File, OwnedFd};
use crate::platform::{NativePath, metadata_of_fd, only_reads, parent, statx_in_memory};
use crate::text::{Codec, Newline, decode};
use crate::verbs::metadata::{self, FileType, Metadata, Timestamp};
use crate::verbs::read::LargeFile;
use crate::verbs::slices::{Sliced, Slices};

/// `STATX_MNT_ID` (Linux 5.8) and `STATX_MNT_ID_UNIQUE` (6.8), in `linux/stat.h`.
const MOUNT_NUMBER: u32 = 0x1000;
const UNIQUE_MOUNT_NUMBER: u32 = 0x4000;

#[derive(Debug)]
pub(crate) struct Cached {
    mounts: Mounts,
    recent: RecentFiles,
    /// The kernel does not have `openat2`, or a sandbox forbids it.
    absent: AtomicBool,
}

/// Why there is no answer.
enum Miss {
    /// It is not in the caches, or would take too long: a worker has to do it, in this lane.
    HandOff(Lane),
    /// The path is not in the directory cache.
    NotCached,
}

/// An entry that was found in the cache.
struct Found {
    fd: OwnedFd,
    metadata: Metadata,
    mount: MountNumber,
}

impl Found {
    fn lane(&self) -> Lane {
        if self.metadata.is_regular_file() || self.metadata.is_directory() || self.metadata.is_symlink() {
            Lane::Mount(self.metadata.device)
        } else {
            Lane::Special
        }
    }
}

impl Cached {
    pub(crate) fn new() -> Self {
        Self { mounts: Mounts::default(), recent: RecentFiles::new(), absent: AtomicBool::new(false) }
    }

    /// Answers an operation, if that does not block.
    pub(crate) fn attempt(
        &self,
        engine: &Engine,
        operation: &PathOperation,
        room: &mut dyn BufferProvider,
    ) -> Attempted {
        if self.absent.load(Ordering::Relaxed) {
            return Err(Lane::Unknown);
        }
        let answer = match operation {
            PathOperation::Read { path } => self.read(engine, path, Some(room)),
            PathOperation::ReadText { path, codec, newline } => self
                .read(engine, path, None)
                .and_then(|(answer, now)| Ok((decoded(answer, *codec, *newline)?, now))),
            PathOperation::Stat { path, follow } => self
                .stat(engine, path, *follow)
                .map(|(answer, now)| (answer.map(|metadata| Outcome::Metadata(Box::new(metadata))), now)),
            PathOperation::IsType { path, file_type, follow, tolerant } => {
                self.is_type(engine, path, *file_type, *follow).map(|(answer, now)| {
                    (answer.or_else(|error| metadata::absent(error, *tolerant)).map(Outcome::Flag), now)
                })
            }
            PathOperation::SameFile { path, other } => self.same_file(engine, path, other),
            PathOperation::Open { path, flags, .. } if only_reads(*flags) => self.open(engine, path, *flags),
            PathOperation::IsJunction { .. } => Ok((Ok(Outcome::Flag(false)), runtime::now())),
            _ => Err(Miss::NotCached),
        };
        answer.map_err(|miss| match (miss, operation.device(), operation.path()) {
            (Miss::HandOff(lane), ..) => lane,
            (Miss::NotCached, Some(device), _) => Lane::Mount(device),
            (Miss::NotCached, None, Some(path)) if operation.changes_directory() => {
                self.lane_of_directory(path)
            }
            (Miss::NotCached, None, Some(path)) => self.lane_of(path),
            (Miss::NotCached, None, None) => Lane::Unknown,
        })
    }

    /// The lane of an entry's directory. Of many entries of one directory, only the first needs a look-up.
    fn lane_of_directory(&self, entry: &NativePath) -> Lane {
        let Some(place) = self.recent.place_of_directory(entry.to_bytes()) else {
            return self.lane_of(entry);
        };
        let now = runtime::now();
        if let Some(directory) = self.recent.peek(place, now) {
            return Lane::Mount(directory.device);
        }
        if let Some(directory) = parent(entry)
            && let Ok(Ok(found)) = self.find(&directory, true)
            && let lane @ Lane::Mount(device) = found.lane()
        {
            let known = RecentFile { device, inode: found.metadata.inode, mount: found.mount };
            self.recent.insert(place, known, now);
            return lane;
        }
        self.lane_of(entry)
    }

    /// The lane of the nearest ancestor of a path that is in the cache.
    pub(crate) fn lane_of(&self, path: &NativePath) -> Lane {
        if self.absent.load(Ordering::Relaxed) {
            return Lane::Unknown;
        }
        let mut ancestor;
        let mut current = path;
        for _ in 0..PARENTS_TRIED {
            if let Ok(Ok(found)) = self.find(current, true) {
                return found.lane();
            }
            let Some(parent) = parent(current) else { break };
            ancestor = parent;
            current = &ancestor;
        }
        Lane::Unknown
    }

    /// Looks up a path in the directory cache. A definite ENOENT of the kernel (a negative dentry) is an answer, too.
    fn find(&self, path: &NativePath, follow: bool) -> Result<Result<Found, Error>, Miss> {
        // With O_PATH (open(2)), because opening a FIFO or a device has side effects.
        let flags = libc::O_PATH | if follow { 0 } else { libc::O_NOFOLLOW };
        let fd = match open_cached(path.as_c_str(), flags) {
            Ok(fd) => fd,
            Err(code @ (libc::ENOENT | libc::ENOTDIR | libc::ELOOP)) => {
                return Ok(Err(Error::Os { code, subject: Subject::Path }));
            }
            Err(code) => {
                // EPERM comes from sandboxes that refuse system calls they do not know (seccomp profiles of older
                // container runtimes).
                if matches!(code, libc::ENOSYS | libc::EINVAL | libc::EPERM | libc::E2BIG) {
                    self.absent.store(true, Ordering::Relaxed);
                }
                return Err(Miss::NotCached);
            }
        };
        match statx(fd.as_fd()) {
            Some((metadata, mount)) => Ok(Ok(Found { fd, metadata, mount })),
            None => Err(Miss::NotCached),
        }
    }

    /// The entry is left to a worker, which may also examine its mount.
    fn refused(&self, engine: &Engine, found: Found, now: Instant) -> Miss {
        let lane = found.lane();
        let Found { fd, metadata, mount } = found;
        if metadata.is_regular_file() && self.mounts.wants_examination(mount, now) {
            engine.spawn(lane, move || {
                let _ = overlay::examine(fd.as_fd(), mount);
            });
        }
        Miss::HandOff(lane)
    }

    fn stat(&self, engine: &Engine, path: &NativePath, follow: bool) -> Answer<Metadata> {
        self.look(engine, path, follow, runtime::now())
            .map(|(answer, now)| (answer.map(|(metadata, _)| metadata), now))
    }

    /// The metadata and the mount of what a path leads to.
    fn look(
        &self,
        engine: &Engine,
        path: &NativePath,
        follow: bool,
        began: Instant,
    ) -> Answer<(Metadata, MountNumber)> {
        let found = match self.find(path, follow)? {
            Ok(found) => found,
            Err(error) => return Ok((Err(error), began)),
        };
        let Some(permit) = self.mounts.permit(found.mount, began) else {
            return Err(self.refused(engine, found, began));
        };
        let Found { fd, metadata, mount } = found;
        drop(fd);
        Ok((Ok((metadata, mount)), self.mounts.ended(permit)))
    }

    /// Whether there is an entry of a type. It is often read next, so a regular file is remembered.
    fn is_type(&self, engine: &Engine, path: &NativePath, file_type: FileType, follow: bool) -> Answer<bool> {
        let began = runtime::now();
        let place = if follow { self.recent.place(path.to_bytes()) } else { None };
        // Whether there is anything takes no metadata, where the mount is known.
        if file_type == FileType::ANY
            && let Some(place) = place
            && let Some(known) = self.recent.peek(place, began)
            && let Some(permit) = self.mounts.permit(known.mount, began)
        {
            let opened = open_cached(path.as_c_str(), libc::O_PATH).is_ok();
            let now = self.mounts.ended(permit);
            if opened {
                return Ok((Ok(true), now));
            }
            self.recent.forget(place);
        }
        let (answer, now) = self.look(engine, path, follow, began)?;
        if let (Some(place), Ok((metadata, mount))) = (place, &answer)
            && metadata.is_regular_file()
        {
            let (device, inode) = (metadata.device, metadata.inode);
            self.recent.insert(place, RecentFile { device, inode, mount: *mount }, began);
        }
        Ok((answer.map(|(metadata, _)| file_type.includes(metadata.file_type())), now))
    }

    fn same_file(&self, engine: &Engine, path: &NativePath, other: &NativePath) -> Answer<Outcome> {
        // An error names one of two paths; a worker finds out which.
        let (Ok(first), _) = self.stat(engine, path, true)? else { return Err(Miss::NotCached) };
        let (Ok(second), now) = self.stat(engine, other, true)? else { return Err(Miss::NotCached) };
        Ok((Ok(Outcome::Flag(first.is_same_file(&second))), now))
    }

    fn read(
        &self,
        engine: &Engine,
        path: &NativePath,
        mut room: Option<&mut dyn BufferProvider>,
    ) -> Answer<Outcome> {
        let began = runtime::now();
        let place = self.recent.place(path.to_bytes());
        if let Some(place) = place
            && let Some(known) = self.recent.get(place, began)
            && let Some(permit) = self.mounts.permit(known.mount, began)
        {
            let room = room.as_mut().map(|room| &mut **room as &mut dyn BufferProvider);
            let content = read_recent(engine, path, known, &permit, room);
            let now = self.mounts.ended(permit);
            match content {
                Ok(content) => return Ok((Ok(content), now)),
                Err(NotRead::AccessTime) => return Err(Miss::HandOff(Lane::Mount(known.device))),
                Err(NotRead::Unknown) => self.recent.forget(place),
            }
        }
        let found = match self.find(path, true)? {
            Ok(found) => found,
            Err(error) => return Ok((Err(error), began)),
        };
        let Metadata { device, inode, size, .. } = found.metadata;
        if !found.metadata.is_regular_file() || (size > READ_AT_ONCE as u64 && room.is_none()) {
            return Err(Miss::HandOff(found.lane()));
        }
        let Some(permit) = self.mounts.permit(found.mount, began) else {
            return Err(self.refused(engine, found, began));
        };
        if permit.is_due(&found.metadata) {
            return Err(Miss::HandOff(found.lane()));
        }
        let (lane, mount) = (found.lane(), found.mount);
        let known = RecentFile { device, inode, mount };
        drop(found);
        let content = if size > READ_AT_ONCE as u64 {
            read_recent(engine, path, known, &permit, room).ok()
        } else {
            open_to_read(path.as_c_str()).and_then(|fd| read_all_now(&fd, size, room))
        };
        let now = self.mounts.ended(permit);
        let Some(content) = content else { return Err(Miss::HandOff(lane)) };
        if let Some(place) = place {
            self.recent.insert(place, known, began);
        }
        Ok((Ok(content), now))
    }
}

impl Cached {
    /// Opens a regular file for reading.
    fn open(&self, engine: &Engine, path: &NativePath, flags: i32) -> Answer<Outcome> {
        let began = runtime::now();
        let place = self.recent.place(path.to_bytes());
        if let Some(place) = place
            && let Some(known) = self.recent.get(place, began)
            && let Some(permit) = self.mounts.permit(known.mount, began)
        {
            let opened = open_regular(engine, path.as_c_str(), known, flags, &permit);
            let now = self.mounts.ended(permit);
            match opened {
                Some(opened) => return Ok((Ok(opened), now)),
                None => self.recent.forget(place),
            }
        }
        let found = match self.find(path, true)? {
            Ok(found) => found,
            Err(error) => return Ok((Err(error), began)),
        };
        let known =
            RecentFile { device: found.metadata.device, inode: found.metadata.inode, mount: found.mount };
        if !found.metadata.is_regular_file() {
            return Err(Miss::HandOff(found.lane()));
        }
        let Some(permit) = self.mounts.permit(found.mount, began) else {
            return Err(self.refused(engine, found, began));
        };
        let lane = found.lane();
        drop(found);
        let opened = open_regular(engine, path.as_c_str(), known, flags, &permit);
        let now = self.mounts.ended(permit);
        let Some(opened) = opened else { return Err(Miss::HandOff(lane)) };
        if let Some(place) = place {
            self.recent.insert(place, known, began);
        }
        Ok((Ok(opened), now))
    }

    /// Opens a regular file to lock it. It must exist, and not be a link. Reading is enough: on a local file system
    /// `flock(2)` does not ask for more.
    pub(crate) fn open_to_lock(&self, path: &NativePath, began: Instant) -> Result<LockFile, Lane> {
        if self.absent.load(Ordering::Relaxed) {
            return Err(Lane::Unknown);
        }
        let forks = lock::forks();
        let place = self.recent.place(path.to_bytes());
        let recent = place.and_then(|place| self.recent.get(place, began));
        let known = match recent {
            Some(known) => known,
            None => match self.find(path, false) {
                Ok(Ok(found)) if found.metadata.is_regular_file() => {
                    let (device, inode) = (found.metadata.device, found.metadata.inode);
                    RecentFile { device, inode, mount: found.mount }
                }
                Ok(Ok(found)) => return Err(found.lane()),
                _ => return Err(self.lane_of_directory(path)),
            },
        };
        let lane = Lane::Mount(known.device);
        let permit = self.mounts.permit(known.mount, began).ok_or(lane)?;
        let opened = open_cached(path.as_c_str(), libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOFOLLOW);
        let opened = opened.ok().map(File::from).and_then(|file| {
            let metadata = metadata_of_fd(file.as_raw_fd()).ok()?;
            let same = metadata.inode == known.inode && metadata.device == known.device;
            let fit = same && metadata.is_regular_file();
            if fit { LockFile::new(file, &metadata, true, forks) } else { None }
        });
        self.mounts.ended(permit);
        if let Some(place) = place {
            match opened {
                Some(_) if recent.is_none() => self.recent.insert(place, known, began),
                Some(_) => {}
                None => self.recent.forget(place),
            }
        }
        opened.ok_or(lane)
    }

    /// Which entry a path leads to, without following a link at its end; `None` if the kernel would have to look.
    pub(crate) fn identity(&self, path: &NativePath) -> Option<Option<Identity>> {
        match self.find(path, false).ok()? {
            Ok(found) => Some(Some(Identity::from(&found.metadata))),
            Err(_) => Some(None),
        }
    }

    /// For how long a mount is still left to the workers, and how often it has blocked a loop.
    pub(crate) fn record(&self, mount: MountNumber) -> Option<(Duration, u32)> {
        self.mounts.record(mount, runtime::now())
    }

    /// Whether tier 0 may be used on a mount now.
    pub(crate) fn permits(&self, mount: MountNumber, now: Instant) -> bool {
        self.mounts.permits(mount, now)
    }

    pub(crate) fn may_wait_for_others(&self, directory: &impl AsFd) -> bool {
        statx(directory.as_fd())
            .is_none_or(|(_, mount)| self.mounts.may_wait_for_others(mount, runtime::now()))
    }

    /// Reads from an open file, at its position if the offset is -1, if that is in the page cache.
    ///
    /// # Safety
    /// The buffers must be valid for writes.
    pub(crate) unsafe fn read_now(
        &self,
        file: &File,
        mount: MountNumber,
        times: &Times,
        rooms: &[IoVec],
        offset: i64,
    ) -> Option<usize> {
        let began = runtime::now();
        let permit = self.mounts.permit(mount, began)?;
        let look = || Some(permit.is_due(&metadata_of_fd(file.as_raw_fd()).ok()?));
        let permitted = permit.is_never_due() || times.permit(began, look);
        // SAFETY: guaranteed by the caller.
        let read = permitted.then(|| unsafe { read_now(file.as_raw_fd(), rooms, offset) }).flatten();
        self.mounts.ended(permit);
        read
    }

    /// Continues a read in slices.
    ///
    /// # Safety
    /// That of [`Slices::advance`].
    pub(crate) unsafe fn read_slices(
        &self,
        file: &File,
        mount: MountNumber,
        times: &Times,
        slices: &mut Slices,
        start: *mut u8,
    ) -> Sliced {
        let began = runtime::now();
        let Some(permit) = self.mounts.permit(mount, began) else { return Sliced::Missing };
        let look = || Some(permit.is_due(&metadata_of_fd(file.as_raw_fd()).ok()?));
        if !permit.is_never_due() && !times.permit(began, look) {
            return Sliced::Missing;
        }
        let read = |room, offset| {
            let offset = i64::try_from(offset).ok()?;
            // SAFETY: the range is within the caller's buffer.
            unsafe { read_now(file.as_raw_fd(), &[room], offset) }
        };
        // SAFETY: guaranteed by the caller.
        let sliced = unsafe { slices.advance(start, read) };
        self.mounts.ended(permit);
        sliced
    }
}

/// Opens a path that leads to this regular file, if it still does.
fn open_regular(
    engine: &Engine,
    path: &CStr,
    known: RecentFile,
    flags: i32,
    permit: &Permit,
) -> Option<Outcome> {
    let file = File::from(open_to_read(path)?);
    let metadata = metadata_of_fd(file.as_raw_fd()).ok()?;
    let same = metadata.inode == known.inode && metadata.device == known.device;
    if !same || !metadata.is_regular_file() {
        return None;
    }
    let mut info = FileInfo::new(&file, &metadata, Some(known.mount), Some(flags));
    info.settled_at = (!permit.is_due(&metadata)).then(|| permit.began());
    info.non_blocking = true;
    Some(Outcome::Opened(Box::new(OpenedFile::new(engine, file, true, info))))
}

/// The metadata of an open file, and its mount if tier 0 may be used on it. Runs in a worker.
pub(crate) fn look(file: &File) -> io::Result<(Metadata, Option<MountNumber>)> {
    let metadata = metadata_of_fd(file.as_raw_fd())?;
    let mount = statx(file.as_fd()).map(|(_, mount)| mount).filter(|mount| mounts::is_local(file, *mount));
    Ok((metadata, mount))
}

/// The kernel's answer from its caches, and when it was there.
type Answer<T> = Result<(Result<T, Error>, Instant), Miss>;

/// Decodes the content of a small file, unless that would take too long for the loop.
fn decoded(
    content: Result<Outcome, Error>,
    codec: Codec,
    newline: Newline,
) -> Result<Result<Outcome, Error>, Miss> {
    let Ok(Outcome::Bytes(content)) = content else { return Ok(content) };
    let plain = || content.is_ascii() && memchr::memchr(b'\r', &content).is_none();
    if content.len() > DECODED_AT_ONCE && !plain() {
        return Err(Miss::NotCached);
    }
    Ok(Ok(match decode(content, codec, newline) {
        Ok(text) => Outcome::Text(text),
        Err(content) => Outcome::Undecodable(content),
    }))
}

/// Why a path that is known was not read.
enum NotRead {
    /// It may lead to another file by now, or not all of the file is in the page cache.
    Unknown,
    /// That would update the access time.
    AccessTime,
}

/// Reads a path that led to this regular file a moment ago, if it still does.
///
/// A large one is only opened: it is read in slices.
fn read_recent(
    engine: &Engine,
    path: &NativePath,
    known: RecentFile,
    permit: &Permit,
    room: Option<&mut dyn BufferProvider>,
) -> Result<Outcome, NotRead> {
    let fd = open_to_read(path.as_c_str()).ok_or(NotRead::Unknown)?;
    // Not through statx with AT_STATX_DONT_SYNC: on a local file system nothing has to be synchronised.
    let metadata = metadata_of_fd(fd.as_raw_fd()).map_err(|_| NotRead::Unknown)?;
    let same = metadata.inode == known.inode && metadata.device == known.device;
    if !same || !metadata.is_regular_file() {
        return Err(NotRead::Unknown);
    }
    if permit.is_due(&metadata) {
        return Err(NotRead::AccessTime);
    }
    let content = if metadata.size > READ_AT_ONCE as u64 {
        usize::try_from(metadata.size).ok().filter(|_| room.is_some()).and_then(|size| {
            let file = LargeFile::at_hand(
                engine,
                path,
                File::from(fd),
                size,
                (known.device, known.mount),
                permit.began(),
            );
            file.map(Outcome::Large)
        })
    } else {
        read_all_now(&fd, metadata.size, room)
    };
    content.ok_or(NotRead::Unknown)
}

fn open_to_read(path: &CStr) -> Option<OwnedFd> {
    open_cached(path, libc::O_RDONLY | libc::O_NONBLOCK).ok()
}

/// The whole content of an open file of this size, if all of it is in the page cache.
fn read_all_now(fd: &OwnedFd, size: u64, room: Option<&mut dyn BufferProvider>) -> Option<Outcome> {
    let size = size as usize;
    // A request of one byte more than the file has shows whether it has grown.
    // SAFETY: there is room for that many bytes.
    let read = |start| unsafe { read_now(fd.as_raw_fd(), &[IoVec { start, length: size + 1 }], 0) };
    if let Some(start) = room.and_then(|room| room.make(size)) {
        return (read(start.as_ptr())? == size).then_some(Outcome::InBuffer);
    }
    let mut content: Vec<u8> = Vec::with_capacity(size + 1);
    if read(content.as_mut_ptr())? != size {
        return None;
    }
    // SAFETY: the kernel has written that many bytes.
    unsafe { content.set_len(size) };
    Some(Outcome::Bytes(content))
}

/// Reads from a file what is in the page cache, at its position if the offset is -1 (`preadv2(2)`).
///
/// # Safety
/// The buffers must be valid for writes.
unsafe fn read_now(fd: RawFd, rooms: &[IoVec], offset: i64) -> Option<usize> {
    let count = rooms.len() as libc::c_int;
    // SAFETY: an `IoVec` is laid out as an `iovec`; for the rest, the caller's promise.
    let read = unsafe { calls::preadv2(fd, rooms.as_ptr().cast(), count, offset, libc::RWF_NOWAIT) };
    usize::try_from(read).ok()
}

fn open_cached(path: &CStr, flags: libc::c_int) -> Result<OwnedFd, i32> {
    // SAFETY: all zeros is a valid `open_how`.
    let mut how: libc::open_how = unsafe { MaybeUninit::zeroed().assume_init() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_CACHED;
    // SAFETY: the path is a C string, and `how` is as large as it says.
    let fd =
        unsafe { calls::openat2(libc::AT_FDCWD, path.as_ptr(), &raw const how, size_of::<libc::open_how>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO));
    }
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The metadata that the kernel has in memory, and the mount.
pub(super) fn statx(fd: BorrowedFd<'_>) -> Option<(Metadata, MountNumber)> {
    let unique = if mount::has_statmount() { UNIQUE_MOUNT_NUMBER } else { 0 };
    let stat = statx_in_memory(fd, libc::STATX_BASIC_STATS | MOUNT_NUMBER | unique).ok()?;
    if stat.stx_mask & libc::STATX_BASIC_STATS != libc::STATX_BASIC_STATS {
        return None;
    }
    let device = libc::makedev(stat.stx_dev_major, stat.stx_dev_minor);
    let mount = if stat.stx_mask & (MOUNT_NUMBER | UNIQUE_MOUNT_NUMBER) == 0 {
        // Before Linux 5.8, which has STATX_MNT_ID (statx(2)), the device stands for the mount.
        MountNumber { number: device, unique: false }
    } else {
        MountNumber { number: stat.stx_mnt_id, unique: stat.stx_mask & UNIQUE_MOUNT_NUMBER != 0 }
    };
    let time = |time: libc::statx_timestamp| Timestamp { seconds: time.tv_sec, nanoseconds: time.tv_nsec };
    let metadata = Metadata {
        mode: u32::from(stat.stx_mode),
        inode: u128::from(stat.stx_ino),
        device,
        links: u64::from(stat.stx_nlink),
        user: stat.stx_uid,
        group: stat.stx_gid,
        size: stat.stx_size,
        accessed: time(stat.stx_atime),
        modified: time(stat.stx_mtime),
        changed: time(stat.stx_ctime),
        block_size: u64::from(stat.stx_blksize),
        blocks: stat.stx_blocks,
        special_device: libc::makedev(stat.stx_rdev_major, stat.stx_rdev_minor),
        ..Metadata::default()
    };
    Some((metadata, mount))
}

/// Why the overlay that a path is on is not known to be local.
#[allow(
    clippy::disallowed_methods,
    reason = "any file will do; without one, an overlay is not known to be local"
)]
fn doubt(path: &NativePath, fd: BorrowedFd<'_>, mount: MountNumber) -> Option<Doubt> {
    let doubt = overlay::examine(fd, mount).err()?;
    if doubt != Doubt::NoFile || overlay::known(mount) == Some(true) {
        return Some(doubt).filter(|_| overlay::known(mount) != Some(true));
    }
    let entries = std::fs::read_dir(OsStr::from_bytes(path.to_bytes()))
        .into_iter()
        .flatten()
        .flatten()
        .take(ENTRIES_TRIED);
    let mut files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let file = files
        .find_map(|entry| open_path(&NativePath::from_vec(entry.path().into_os_string().into_vec()).ok()?));
    file.map_or(Some(doubt), |file| overlay::examine(file.as_fd(), mount).err())
}

fn open_path(path: &NativePath) -> Option<OwnedFd> {
    // SAFETY: the path is a C string.
    let fd = unsafe { calls::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC, 0) };
    // SAFETY: the descriptor is new and nobody else's.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether and how tier 0 works on the file system of a path. Runs in a worker.
pub(crate) fn inspect(engine: &Engine, path: &NativePath) -> Result<FileSystem, Error> {
    let fd = open_path(path).ok_or_else(io::Error::last_os_error).about_path()?;
    let mount = statx(fd.as_fd()).map(|(_, mount)| mount);
    let found = mount.and_then(mount::describe);
    let (name, doubt) = match (&found, mount) {
        (Some(found), Some(mount)) => {
            let doubt = match found.locality {
                Locality::Local => None,
                Locality::Overlay => doubt(path, fd.as_fd(), mount).map(|doubt| doubt.text().to_owned()),
                Locality::Elsewhere => {
                    Some(format!("{} may wait for a network or another process", found.name))
                }
            };
            (found.name.clone(), doubt)
        }
        _ => ("unknown".to_owned(), Some("the kernel does not tell what is mounted there".to_owned())),
    };
    let local = doubt.is_none();
    let record = mount.and_then(|mount| engine.record(mount));
    let obstacle = match open_cached(c"/", libc::O_PATH) {
        Err(libc::ENOSYS) => Some("this kernel has no openat2 (it came with Linux 5.6)".to_owned()),
        Err(libc::EINVAL) => {
            Some("this kernel's openat2 has no RESOLVE_CACHED (it came with Linux 5.12)".to_owned())
        }
        Err(libc::EPERM) => Some("a sandbox does not allow openat2".to_owned()),
        _ => doubt,
    };
    let rest = record.map(|(left, stalls)| {
        let seconds = left.as_secs_f64().ceil();
        format!(
            "it rests for another {seconds} s, because it has made the event loop wait {stalls} times (a virus scanner?)"
        )
    });
    let access_times = found.map_or("unknown", |found| found.updates.text()).to_owned();
    Ok(FileSystem { name, local, obstacle: obstacle.or(rest), access_times })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "it looks at the real file system")]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    struct NoBuffer;

    // SAFETY: makes none.
    unsafe impl BufferProvider for NoBuffer {
        fn make(&mut self, _size: usize) -> Option<std::ptr::NonNull<u8>> {
            None
        }
    }

    fn engine() -> std::sync::Arc<Engine> {
        Engine::new(crate::engine::configuration::Configuration::from_environment())
    }

    fn native(path: &Path) -> NativePath {
        NativePath::from_vec(path.as_os_str().as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_file_in_the_cache_is_read_without_a_worker() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"content").unwrap();
        // Otherwise reading it in the same tick of the clock would change its access time.
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
        fs::File::open(&file).unwrap().set_times(fs::FileTimes::new().set_accessed(later)).unwrap();
        let operation = PathOperation::Read { path: native(&file) };
        match Cached::new().attempt(&engine(), &operation, &mut NoBuffer) {
            Ok((Ok(Outcome::Bytes(bytes)), _)) => assert_eq!(bytes, b"content"),
            // The file system of the temporary directory, or the kernel, may not be one for tier 0.
            Err(_) => assert!(!matches!(
                inspect(&engine(), &native(directory.path())),
                Ok(system) if system.name == "ext4" && system.obstacle.is_none()
            )),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_a_regular_file_is_left_to_a_worker() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        // SAFETY: the path is a C string.
        assert_eq!(unsafe { libc::mkfifo(native(&fifo).as_ptr(), 0o600) }, 0);
        let operation = PathOperation::Read { path: native(&fifo) };
        assert!(matches!(Cached::new().attempt(&engine(), &operation, &mut NoBuffer), Err(Lane::Special)));
        let operation = PathOperation::Read { path: native(directory.path()) };
        assert!(Cached::new().attempt(&engine(), &operation, &mut NoBuffer).is_err());
        let operation = PathOperation::Read { path: native(Path::new("/proc/self/status")) };
        assert!(Cached::new().attempt(&engine(), &operation, &mut NoBuffer).is_err());
    }

    #[test]
    fn what_is_new_waits_in_the_lane_of_its_parent() {
        let directory = tempfile::tempdir().unwrap();
        let device = {
            use std::os::unix::fs::MetadataExt;
            fs::metadata(directory.path()).unwrap().dev()
        };
        let path = native(&directory.path().join("new").join("deeper"));
        let operation = PathOperation::Touch { path, mode: 0o666, exist_ok: true };
        match Cached::new().attempt(&engine(), &operation, &mut NoBuffer) {
            Err(lane) => assert!(lane == Lane::Mount(device) || lane == Lane::Unknown),
            other => panic!("{other:?}"),
        }
    }
}
