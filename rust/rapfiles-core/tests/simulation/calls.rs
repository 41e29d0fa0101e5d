//! The second door: system calls of the model file system, for threads that simulate a world; the system's for others.
//!
//! Each call is a step of its thread: another one may have its turn before it. What the loop's thread may not call, because
//! it can wait for a device, it may not call here.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};
use std::rc::Rc;

use libc::{
    c_char, c_int, c_long, c_short, c_uint, c_void, dev_t, gid_t, iovec, mode_t, nfds_t, off_t, pollfd,
    size_t, ssize_t, timespec, uid_t,
};

use super::device;
use super::files::{DEVICE_MINOR, FIRST_DESCRIPTOR, Kind, MOUNT, overwrite};
use super::trial;
use super::world::{DESCRIPTORS, Wait, World, world};
use crate::platform::calls::system;

/// A descriptor that is closed with it, as the standard library's.
#[derive(Debug)]
pub(crate) struct OwnedFd(RawFd);

impl Drop for OwnedFd {
    fn drop(&mut self) {
        // SAFETY: it is this one's.
        unsafe { close(self.0) };
    }
}

impl AsRawFd for OwnedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl AsFd for OwnedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: it is open, or one of the model's, which only the model is asked about.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

impl FromRawFd for OwnedFd {
    unsafe fn from_raw_fd(descriptor: RawFd) -> Self {
        Self(descriptor)
    }
}

/// A file that is closed with it, as the standard library's.
#[derive(Debug)]
pub(crate) struct File(OwnedFd);

impl From<OwnedFd> for File {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.0.0
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl FromRawFd for File {
    unsafe fn from_raw_fd(descriptor: RawFd) -> Self {
        Self(OwnedFd(descriptor))
    }
}

impl IntoRawFd for File {
    fn into_raw_fd(self) -> RawFd {
        let descriptor = self.0.0;
        std::mem::forget(self);
        descriptor
    }
}

/// For so many nanoseconds the other end of a FIFO does nothing.
const PATIENCE: u64 = 3_000_000_000;

type Result<T> = std::result::Result<T, c_int>;

fn model(descriptor: c_int) -> Option<Rc<World>> {
    if descriptor >= FIRST_DESCRIPTOR { world() } else { None }
}

/// The world whose paths are those of a model file system.
fn modelled() -> Option<Rc<World>> {
    world().filter(|world| world.trial.get().is_none())
}

pub(super) fn give<T: From<i8>>(result: Result<T>) -> T {
    result.unwrap_or_else(|code| {
        // SAFETY: the location is this thread's own.
        unsafe { *libc::__errno_location() = code };
        T::from(-1)
    })
}

/// What may happen to any call that may wait.
fn enter(world: &World, name: &str) -> Result<()> {
    world.note(|| name.to_owned());
    if !world.is_unlocked() {
        world.die(format!("{name} is called under a lock"));
    }
    if world.is_loop() && !world.faults.loop_may_wait.get() {
        world.die(format!("{name} is called on the loop"));
    }
    world.step();
    let faults = &world.faults;
    if world.chance(faults.stuck) {
        world.wait(Wait::Until(world.after(600_000_000)));
    } else if world.chance(faults.slow) {
        let times = [2_000, 90_000, 700_000, 3_000_000];
        world.wait(Wait::Until(world.after(times[world.random() as usize % times.len()])));
    }
    if world.chance(faults.interrupted) {
        return Err(libc::EINTR);
    }
    Ok(())
}

fn shortened(world: &World, length: usize) -> usize {
    if length > 1 && world.chance(world.faults.short) {
        1 + world.random() as usize % (length - 1)
    } else {
        length
    }
}

/// # Safety
/// It is a C string.
unsafe fn name<'a>(path: *const c_char) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { std::ffi::CStr::from_ptr(path) }.to_bytes()
}

pub(crate) unsafe fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    let Some(world) = modelled() else {
        // SAFETY: the caller's promises, which are those of the system's.
        return trial::open("open", || unsafe { system::open(path, flags, mode) });
    };
    // SAFETY: as above.
    let path = unsafe { name(path) };
    give(enter(&world, "open").and_then(|()| {
        if world.chance(world.faults.open) {
            return Err(world.faults.inject(usize::MAX, false));
        }
        world.files.borrow_mut().open(path, flags, world.faults.descriptors)
    }))
}

pub(crate) unsafe fn openat(directory: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    let Some(world) = modelled() else {
        let unnamed = flags & libc::O_TMPFILE == libc::O_TMPFILE;
        let call = if unnamed { "openat, O_TMPFILE" } else { "openat" };
        // SAFETY: the caller's promises, which are those of the system's.
        let opened = trial::open(call, || unsafe { system::openat(directory, path, flags, mode) });
        let creates = flags & libc::O_CREAT != 0;
        // SAFETY: as above.
        return unsafe { device::named(call, opened, creates.then_some((directory, path)), None) };
    };
    // SAFETY: as above.
    let path = unsafe { name(path) };
    give(enter(&world, "openat").and_then(|()| {
        if world.chance(world.faults.open) {
            return Err(world.faults.inject(usize::MAX, false));
        }
        let mut files = world.files.borrow_mut();
        let path = files.name_in(directory, path)?;
        files.open(&path, flags, world.faults.descriptors)
    }))
}

pub(crate) unsafe fn unlinkat(directory: c_int, path: *const c_char, flags: c_int) -> c_int {
    let Some(world) = modelled() else {
        let call = if flags & libc::AT_REMOVEDIR != 0 { "unlinkat, AT_REMOVEDIR" } else { "unlinkat" };
        // SAFETY: the caller's promises, which are those of the system's.
        let removed = trial::call(call, || unsafe { system::unlinkat(directory, path, flags) });
        // SAFETY: as above.
        return unsafe { device::named("unlinkat", removed, Some((directory, path)), None) };
    };
    // SAFETY: as above.
    let path = unsafe { name(path) };
    give(enter(&world, "unlinkat").and_then(|()| {
        if world.chance(world.faults.open) {
            return Err(world.faults.inject(usize::MAX, false));
        }
        let mut files = world.files.borrow_mut();
        let path = files.name_in(directory, path)?;
        let removes_directory = flags & libc::AT_REMOVEDIR != 0;
        if removes_directory { files.remove_directory(&path) } else { files.unlink(&path) }.map(|()| 0)
    }))
}

pub(crate) unsafe fn fchmod(descriptor: c_int, mode: mode_t) -> c_int {
    let Some(world) = model(descriptor) else {
        // SAFETY: no memory is involved.
        return trial::call("fchmod", || unsafe { system::fchmod(descriptor, mode) });
    };
    give(enter(&world, "fchmod").map(|()| 0))
}

pub(crate) unsafe fn close(descriptor: c_int) -> c_int {
    // SAFETY: the caller's promises, which are those of the system's.
    let Some(world) = model(descriptor) else { return trial::close(descriptor) };
    if world.has_failed() {
        return 0;
    }
    let (regular, writable) = {
        let mut files = world.files.borrow_mut();
        let open = files.get(descriptor).ok().copied();
        let regular = open.is_some_and(|open| files.nodes[open.node].kind != Kind::Event);
        (regular, open.is_some_and(|open| open.flags & libc::O_ACCMODE != libc::O_RDONLY))
    };
    if regular && !world.is_loop() {
        world.step();
    } else if writable && !world.faults.loop_may_wait.get() {
        // One that was only read may be closed there.
        world.die("a file that can be written is closed on the loop");
    }
    let closed = world.files.borrow_mut().close(descriptor);
    give(match closed {
        Ok(node) if regular && world.is_worker() && world.chance(world.faults.close) => {
            Err(if writable { world.faults.inject(node, true) } else { libc::EINTR })
        }
        Ok(_) => Ok(0),
        Err(code) => {
            world.fail("a descriptor is closed that is not open");
            Err(code)
        }
    })
}

pub(crate) unsafe fn read(descriptor: c_int, start: *mut c_void, length: size_t) -> ssize_t {
    let Some(world) = model(descriptor) else {
        // SAFETY: the caller's promises, which are those of the system's.
        return trial::call("read", || unsafe { system::read(descriptor, start, length) });
    };
    // SAFETY: as above.
    give(unsafe { read_from(&world, descriptor, start, length, None) })
}

pub(crate) unsafe fn pread(descriptor: c_int, start: *mut c_void, length: size_t, offset: off_t) -> ssize_t {
    let Some(world) = model(descriptor) else {
        // SAFETY: the caller's promises, which are those of the system's.
        return trial::call("pread", || unsafe { system::pread(descriptor, start, length, offset) });
    };
    // SAFETY: as above.
    give(unsafe { read_from(&world, descriptor, start, length, Some(offset as u64)) })
}

unsafe fn read_from(
    world: &World,
    descriptor: c_int,
    start: *mut c_void,
    length: usize,
    offset: Option<u64>,
) -> Result<ssize_t> {
    let event = {
        let mut files = world.files.borrow_mut();
        let node = files.node_of(descriptor)?;
        if files.nodes[node].kind == Kind::Event {
            let counter = std::mem::take(&mut files.nodes[node].counter);
            if counter == 0 {
                return Err(libc::EAGAIN);
            }
            return Ok(8);
        }
        node
    };
    enter(world, "read")?;
    if world.chance(world.faults.read) {
        return Err(world.faults.inject(event, false));
    }
    let length = shortened(world, length);
    let mut files = world.files.borrow_mut();
    let (node, position) = files.get(descriptor).map(|open| (open.node, open.position))?;
    if files.nodes[node].kind == Kind::Pipe {
        let node = &mut files.nodes[node];
        if node.content.is_empty() && node.connected && length > 0 {
            // Somebody was quicker.
            return Err(libc::EAGAIN);
        }
        let count = length.min(node.content.len());
        // SAFETY: there is room for that much.
        unsafe { start.cast::<u8>().copy_from_nonoverlapping(node.content.as_ptr(), count) };
        node.content.to_mut().drain(..count);
        return Ok(count as ssize_t);
    }
    let from = offset.unwrap_or(position);
    // SAFETY: there is room for that much.
    let count = unsafe { copy_out(&files.nodes[node].content, from, start.cast(), length) };
    if offset.is_none() {
        files.get(descriptor)?.position += count as u64;
    }
    Ok(count as ssize_t)
}

/// # Safety
/// There is room for that much.
unsafe fn copy_out(content: &[u8], from: u64, start: *mut u8, length: usize) -> usize {
    let rest = content.get(from as usize..).unwrap_or_default();
    let count = length.min(rest.len());
    // SAFETY: the caller's promise.
    unsafe { start.copy_from_nonoverlapping(rest.as_ptr(), count) };
    count
}

pub(crate) unsafe fn write(descriptor: c_int, start: *const c_void, length: size_t) -> ssize_t {
    let Some(world) = model(descriptor) else {
        // SAFETY: the caller's promises, which are those of the system's.
        let written = trial::call("write", || unsafe { system::write(descriptor, start, length) });
        return device::changed(descriptor, written, written > 0);
    };
    // SAFETY: as above.
    give(write_to(&world, descriptor, unsafe { std::slice::from_raw_parts(start.cast(), length) }, None))
}

pub(crate) unsafe fn pwrite(
    descriptor: c_int,
    start: *const c_void,
    length: size_t,
    offset: off_t,
) -> ssize_t {
    let Some(world) = model(descriptor) else {
        // SAFETY: the caller's promises, which are those of the system's.
        let written = trial::call("pwrite", || unsafe { system::pwrite(descriptor, start, length, offset) });
        return device::changed(descriptor, written, written > 0);
    };
    // SAFETY: as above.
    let bytes = unsafe { std::slice::from_raw_parts(start.cast(), length) };
    give(write_to(&world, descriptor, bytes, Some(offset as u64)))
}

fn write_to(world: &World, descriptor: c_int, bytes: &[u8], offset: Option<u64>) -> Result<ssize_t> {
    let node = {
        let mut files = world.files.borrow_mut();
        let node = files.node_of(descriptor)?;
        if files.nodes[node].kind == Kind::Event {
            files.nodes[node].counter += 1;
            drop(files);
            world.notify(DESCRIPTORS, true);
            return Ok(8);
        }
        node
    };
    enter(world, "write")?;
    if world.chance(world.faults.write) {
        return Err(world.faults.inject(node, true));
    }
    if bytes.is_empty() {
        return Ok(0);
    }
    let mut length = shortened(world, bytes.len());
    let mut files = world.files.borrow_mut();
    let used = files.used();
    let open = *files.get(descriptor)?;
    let size = files.nodes[node].content.len() as u64;
    let at = match offset {
        Some(offset) => offset,
        None if open.flags & libc::O_APPEND != 0 => size,
        None => open.position,
    };
    let grows = (at + length as u64).saturating_sub(size) as usize;
    let free = world.faults.space.saturating_sub(used);
    if grows > free {
        length = length.saturating_sub(grows - free);
        if length == 0 {
            return Err(world.faults.inject(node, true));
        }
    }
    let end = at as usize + length;
    overwrite(&mut files.nodes[node].content, at as usize, &bytes[..length]);
    files.nodes[node].changes += 1;
    if offset.is_none() {
        files.get(descriptor)?.position = end as u64;
    }
    Ok(length as ssize_t)
}

pub(crate) unsafe fn lseek(descriptor: c_int, offset: off_t, whence: c_int) -> off_t {
    let Some(world) = model(descriptor) else {
        // SAFETY: no memory is involved.
        return trial::call("lseek", || unsafe { system::lseek(descriptor, offset, whence) });
    };
    give(seek(&world, descriptor, offset, whence))
}

fn seek(world: &World, descriptor: c_int, offset: off_t, whence: c_int) -> Result<off_t> {
    if world.is_unlocked() && world.is_worker() {
        world.step();
    }
    let mut files = world.files.borrow_mut();
    let open = *files.get(descriptor)?;
    let node = &files.nodes[open.node];
    if node.kind == Kind::Pipe {
        return Err(libc::ESPIPE);
    }
    if world.is_worker() && whence == libc::SEEK_CUR && offset != 0 && world.chance(world.faults.seek) {
        return Err(world.faults.inject(open.node, false));
    }
    let from = match whence {
        libc::SEEK_SET => 0,
        libc::SEEK_CUR => open.position as i64,
        libc::SEEK_END => node.content.len() as i64,
        _ => return Err(libc::EINVAL),
    };
    let position = from.checked_add(offset).filter(|position| *position >= 0).ok_or(libc::EINVAL)?;
    files.get(descriptor)?.position = position as u64;
    Ok(position)
}

pub(crate) unsafe fn ftruncate(descriptor: c_int, length: off_t) -> c_int {
    let Some(world) = model(descriptor) else {
        // SAFETY: no memory is involved.
        let cut = trial::call("ftruncate", || unsafe { system::ftruncate(descriptor, length) });
        return device::changed(descriptor, cut, cut == 0);
    };
    give(enter(&world, "ftruncate").and_then(|()| {
        let mut files = world.files.borrow_mut();
        let node = files.node_of(descriptor)?;
        if world.chance(world.faults.write) {
            return Err(world.faults.inject(node, false));
        }
        files.nodes[node].content.to_mut().resize(length as usize, 0);
        files.nodes[node].changes += 1;
        Ok(0)
    }))
}

pub(crate) unsafe fn fsync(descriptor: c_int) -> c_int {
    let Some(world) = model(descriptor) else {
        // SAFETY: no memory is involved.
        let synchronised = trial::call("fsync", || unsafe { system::fsync(descriptor) });
        return device::synchronised(descriptor, synchronised);
    };
    give(enter(&world, "fsync").and_then(|()| synchronise(&world, descriptor)))
}

pub(crate) unsafe fn fdatasync(descriptor: c_int) -> c_int {
    let Some(world) = model(descriptor) else {
        // SAFETY: no memory is involved.
        let synchronised = trial::call("fdatasync", || unsafe { system::fdatasync(descriptor) });
        return device::synchronised(descriptor, synchronised);
    };
    give(enter(&world, "fdatasync").and_then(|()| synchronise(&world, descriptor)))
}

fn synchronise(world: &World, descriptor: c_int) -> Result<c_int> {
    let node = world.files.borrow_mut().node_of(descriptor)?;
    if world.chance(world.faults.write) { Err(world.faults.inject(node, true)) } else { Ok(0) }
}

pub(crate) unsafe fn fcntl(descriptor: c_int, command: c_int, argument: c_int) -> c_int {
    let Some(world) = model(descriptor) else {
        // SAFETY: no memory is involved.
        let call = || unsafe { system::fcntl(descriptor, command, argument) };
        let opens = command == libc::F_DUPFD_CLOEXEC;
        return if opens { trial::open("fcntl", call) } else { trial::call("fcntl", call) };
    };
    let mut files = world.files.borrow_mut();
    give(files.get(descriptor).map(|open| *open).and_then(|open| match command {
        libc::F_DUPFD_CLOEXEC => files.descriptor(open.node, open.flags, world.faults.descriptors),
        _ => Ok(0),
    }))
}

pub(crate) unsafe fn isatty(descriptor: c_int) -> c_int {
    // SAFETY: no memory is involved.
    if model(descriptor).is_some() { 0 } else { unsafe { system::isatty(descriptor) } }
}

pub(crate) unsafe fn eventfd(initial: c_uint, flags: c_int) -> c_int {
    // SAFETY: no memory is involved.
    let Some(world) = world() else { return unsafe { system::eventfd(initial, flags) } };
    let mut files = world.files.borrow_mut();
    let node = files.add(None, Kind::Event, Vec::new());
    give(files.descriptor(node, 0, world.faults.descriptors))
}

pub(crate) unsafe fn poll(watched: *mut pollfd, count: nfds_t, time: c_int) -> c_int {
    // SAFETY: the caller's promise.
    let fds = unsafe { std::slice::from_raw_parts_mut(watched, count as usize) };
    let Some(world) = fds.first().and_then(|first| model(first.fd)) else {
        // SAFETY: the caller's promises, which are those of the system's.
        return unsafe { system::poll(watched, count, time) };
    };
    if let Err(code) = enter(&world, "poll") {
        return give(Err(code));
    }
    loop {
        let mut ready = 0;
        for watched in &mut *fds {
            watched.revents = if watched.fd < 0 { 0 } else { events(&world, watched.fd, watched.events) };
            ready += c_int::from(watched.revents != 0);
        }
        if ready > 0 {
            return ready;
        }
        if world.wait(Wait::For { key: DESCRIPTORS, until: Some(world.after(PATIENCE)) }) {
            // Everything may wait for a process at the other end of a FIFO; but that goes on, or ends.
            world.files.borrow_mut().disconnect();
        }
    }
}

fn events(world: &World, descriptor: c_int, wanted: c_short) -> c_short {
    let mut files = world.files.borrow_mut();
    let Ok(node) = files.node_of(descriptor) else { return libc::POLLNVAL };
    let node = &files.nodes[node];
    match node.kind {
        Kind::Event if node.counter == 0 => 0,
        Kind::Pipe if wanted & libc::POLLIN != 0 && node.content.is_empty() && node.connected => 0,
        _ => wanted,
    }
}

fn stat_of(files: &super::files::Files, node: usize) -> libc::stat {
    // SAFETY: all zeros is a valid `stat`: it is made of numbers only.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    let found = &files.nodes[node];
    stat.st_mode = 0o644
        | match found.kind {
            Kind::Regular => libc::S_IFREG,
            Kind::Directory => libc::S_IFDIR,
            Kind::Pipe | Kind::Event => libc::S_IFIFO,
        };
    stat.st_ino = node as u64 + 1;
    stat.st_dev = libc::makedev(0, DEVICE_MINOR);
    stat.st_nlink = found.links.into();
    stat.st_size = if found.kind == Kind::Regular { found.content.len() as i64 } else { 0 };
    stat.st_mtime = found.changes;
    stat
}

pub(crate) unsafe fn fstat(descriptor: c_int, stat: *mut libc::stat) -> c_int {
    let Some(world) = model(descriptor) else {
        // SAFETY: the caller's promises, which are those of the system's.
        return trial::call_anywhere("fstat", || unsafe { system::fstat(descriptor, stat) });
    };
    let mut files = world.files.borrow_mut();
    give(files.node_of(descriptor).map(|node| {
        // SAFETY: as above.
        unsafe { *stat = stat_of(&files, node) };
        0
    }))
}

pub(crate) unsafe fn fstatat(
    directory: c_int,
    path: *const c_char,
    stat: *mut libc::stat,
    flags: c_int,
) -> c_int {
    let Some(world) = modelled() else {
        // SAFETY: the caller's promises, which are those of the system's.
        return trial::call("fstatat", || unsafe { system::fstatat(directory, path, stat, flags) });
    };
    // SAFETY: as above.
    let path = unsafe { name(path) };
    give(enter(&world, "stat").and_then(|()| {
        let mut files = world.files.borrow_mut();
        let path = files.name_in(directory, path)?;
        let node = files.find(&path)?;
        // SAFETY: as above.
        unsafe { *stat = stat_of(&files, node) };
        Ok(0)
    }))
}

macro_rules! of_paths {
    ($($call:ident($path:ident $(, $argument:ident: $type:ty)*) => $work:expr;)*) => {
        $(pub(crate) unsafe fn $call($path: *const c_char $(, $argument: $type)*) -> c_int {
            // SAFETY: the caller's promises, which are those of the system's.
            let Some(world) = modelled() else { return trial::call(stringify!($call), || unsafe { system::$call($path $(, $argument)*) }) };
            // SAFETY: as above.
            let $path = unsafe { name($path) };
            give(enter(&world, stringify!($call)).and_then(|()| {
                if world.chance(world.faults.open) {
                    return Err(world.faults.inject(usize::MAX, false));
                }
                let files = &mut *world.files.borrow_mut();
                let work: fn(&mut super::files::Files, &[u8] $(, $type)*) -> Result<()> = $work;
                work(files, $path $(, $argument)*).map(|()| 0)
            }))
        })*
    };
}

of_paths! {
    mkdir(path, mode: mode_t) => |files, path, _| files.make_directory(path);
    rmdir(path) => |files, path| files.remove_directory(path);
    unlink(path) => |files, path| files.unlink(path);
    // SAFETY: it is a C string.
    rename(path, target: *const c_char) => |files, path, target| files.rename(path, unsafe { name(target) });
    truncate(path, length: off_t) => |files, path, length| {
        let node = files.find(path)?;
        if files.nodes[node].kind == Kind::Directory {
            return Err(libc::EISDIR);
        }
        files.nodes[node].content.to_mut().resize(length as usize, 0);
        files.nodes[node].changes += 1;
        Ok(())
    };
}

pub(crate) unsafe fn getrusage(whose: c_int, usage: *mut libc::rusage) -> c_int {
    // SAFETY: the caller's promises, which are those of the system's. Nobody has waited in a simulation.
    if world().is_some() { 0 } else { unsafe { system::getrusage(whose, usage) } }
}

// Tier 0: these do not wait, so they are no steps, but for `openat2(2)` without `RESOLVE_CACHED`.

pub(crate) unsafe fn openat2(
    directory: c_int,
    path: *const c_char,
    how: *const libc::open_how,
    size: usize,
) -> c_long {
    let Some(world) = modelled() else {
        // SAFETY: the caller's promises, which are those of the system's.
        let open = || unsafe { system::openat2(directory, path, how, size) };
        // SAFETY: as above.
        return match unsafe { (*how).resolve } & libc::RESOLVE_CACHED {
            0 => trial::open("openat2", || open() as c_int).into(),
            _ => trial::open_at_once(|| undisturbed(open)),
        };
    };
    // SAFETY: as above.
    let (path, flags) = unsafe { (name(path), (*how).flags as i32) };
    if world.chance(world.faults.uncached) {
        return give(Err(libc::EAGAIN));
    }
    let mut files = world.files.borrow_mut();
    let opened = files.find(path).and_then(|node| files.descriptor(node, flags, world.faults.descriptors));
    give(opened.map(i64::from))
}

/// What the kernel answers from its cache. It refuses that also when anything is mounted or unmounted on the machine in the
/// meantime (`__legitimize_mnt` in its `fs/namespace.c`), which must not decide how a program goes on.
fn undisturbed(open: impl Fn() -> c_long) -> c_long {
    /// With other processes that did nothing but mount and unmount, a single one was refused in 20 of 24 runs.
    const ATTEMPTS: usize = 16;
    for _ in 1..ATTEMPTS {
        let answer = open();
        if answer >= 0 || std::io::Error::last_os_error().kind() != std::io::ErrorKind::WouldBlock {
            return answer;
        }
    }
    open()
}

pub(crate) unsafe fn preadv2(
    descriptor: c_int,
    rooms: *const iovec,
    count: c_int,
    offset: off_t,
    flags: c_int,
) -> ssize_t {
    let Some(world) = model(descriptor) else {
        // SAFETY: the caller's promises, which are those of the system's.
        return unsafe { system::preadv2(descriptor, rooms, count, offset, flags) };
    };
    if world.chance(world.faults.uncached) {
        return give(Err(libc::EAGAIN));
    }
    // SAFETY: as above.
    let rooms = unsafe { std::slice::from_raw_parts(rooms, count as usize) };
    let mut files = world.files.borrow_mut();
    give(files.get(descriptor).copied().and_then(|open| {
        if files.nodes[open.node].kind != Kind::Regular {
            return Err(libc::EOPNOTSUPP);
        }
        let mut at = if offset < 0 { open.position } else { offset as u64 };
        let mut all = 0;
        let most: usize = rooms.iter().map(|room| room.iov_len).sum();
        // Only a part of it may be in the page cache.
        let mut left = shortened(&world, most);
        for room in rooms {
            let length = room.iov_len.min(left);
            // SAFETY: as above.
            let count =
                unsafe { copy_out(&files.nodes[open.node].content, at, room.iov_base.cast(), length) };
            at += count as u64;
            all += count;
            left -= count;
            if count < room.iov_len {
                break;
            }
        }
        if offset < 0 {
            files.get(descriptor)?.position = at;
        }
        Ok(all as ssize_t)
    }))
}

pub(crate) unsafe fn statx(
    descriptor: c_int,
    path: *const c_char,
    flags: c_int,
    mask: c_uint,
    stat: *mut libc::statx,
) -> c_int {
    let Some(world) = model(descriptor) else {
        // SAFETY: the caller's promises, which are those of the system's.
        return unsafe { system::statx(descriptor, path, flags, mask, stat) };
    };
    let mut files = world.files.borrow_mut();
    give(files.node_of(descriptor).map(|node| {
        let found = stat_of(&files, node);
        // SAFETY: all zeros is a valid `statx`: it is made of numbers only.
        let mut filled: libc::statx = unsafe { std::mem::zeroed() };
        filled.stx_mask = libc::STATX_BASIC_STATS | 0x5000;
        filled.stx_mode = found.st_mode as u16;
        filled.stx_ino = found.st_ino;
        filled.stx_dev_minor = DEVICE_MINOR;
        filled.stx_nlink = found.st_nlink as u32;
        filled.stx_size = found.st_size as u64;
        filled.stx_mtime.tv_sec = found.st_mtime;
        filled.stx_mnt_id = MOUNT;
        // SAFETY: as above.
        unsafe { *stat = filled };
        0
    }))
}

pub(crate) unsafe fn getdents64<Buffer>(directory: c_int, buffer: *mut Buffer, size: usize) -> c_long {
    let Some(world) = model(directory) else {
        // SAFETY: the caller's promises, which are those of the system's.
        return trial::call("getdents64", || unsafe { system::getdents64(directory, buffer, size) });
    };
    // SAFETY: there is room for that much.
    give(enter(&world, "getdents64").and_then(|()| unsafe {
        std::ptr::write_bytes(buffer.cast::<u8>(), 0, size);
        list(&world, directory, std::slice::from_raw_parts_mut(buffer.cast(), size))
    }))
}

/// Some of what is in a directory, as a `struct linux_dirent64` each.
fn list(world: &World, directory: c_int, room: &mut [u8]) -> Result<c_long> {
    const NAME_AT: usize = 19;
    let mut files = world.files.borrow_mut();
    let open = *files.get(directory)?;
    if files.nodes[open.node].kind != Kind::Directory {
        return Err(libc::ENOTDIR);
    }
    if world.chance(world.faults.read) {
        return Err(world.faults.inject(usize::MAX, false));
    }
    let entries = files.entries(open.node, open.position);
    let most = shortened(world, entries.len());
    let mut at = 0;
    for (node, kind, name) in entries.into_iter().take(most) {
        let length = (NAME_AT + name.len() + 1).next_multiple_of(8);
        let Some(entry) = room.get_mut(at..at + length) else { break };
        entry[..8].copy_from_slice(&(node as u64 + 1).to_ne_bytes());
        entry[16..18].copy_from_slice(&(length as u16).to_ne_bytes());
        entry[18] = match kind {
            // A file system need not tell.
            _ if world.chance(16) => libc::DT_UNKNOWN,
            Kind::Directory => libc::DT_DIR,
            Kind::Regular => libc::DT_REG,
            Kind::Pipe | Kind::Event => libc::DT_FIFO,
        };
        entry[NAME_AT..NAME_AT + name.len()].copy_from_slice(&name);
        at += length;
        files.get(directory)?.position = node as u64 + 1;
    }
    Ok(at as c_long)
}

pub(crate) unsafe fn statmount<Request, Answer>(
    request: *const Request,
    answer: *mut Answer,
    size: usize,
) -> c_long {
    if modelled().is_none() {
        // SAFETY: the caller's promises, which are those of the system's.
        return unsafe { system::statmount(request, answer, size) };
    }
    // `struct statmount` of linux/mount.h: mask, device, magic number (ext4), and MOUNT_ATTR_NOATIME.
    let start = answer.cast::<u8>();
    // SAFETY: the answer is longer than all of it.
    unsafe {
        start.add(8).cast::<u64>().write_unaligned(3);
        start.add(20).cast::<u32>().write_unaligned(DEVICE_MINOR);
        start.add(24).cast::<u64>().write_unaligned(0xef53);
        start.add(64).cast::<u64>().write_unaligned(libc::MOUNT_ATTR_NOATIME);
    }
    0
}

// What the model file system does not have: calls that only trees and atomic writes make.
macro_rules! of_real_files {
    ($($call:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(pub(crate) unsafe fn $call($($argument: $type),*) -> $result {
            if let Some(world) = modelled() {
                world.die(concat!("the model file system has no ", stringify!($call)));
            }
            // SAFETY: the caller's promises, which are those of the system's.
            trial::call(stringify!($call), || unsafe { system::$call($($argument),*) })
        })*
    };
}

of_real_files! {
    clone_file(target: c_int, source: c_int) -> c_int;
    copy_file_range(
        source: c_int, from: *mut off_t, target: c_int, to: *mut off_t, length: size_t, flags: c_uint
    ) -> ssize_t;
    faccessat(directory: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int;
    fallocate(descriptor: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int;
    fchmodat(directory: c_int, path: *const c_char, mode: mode_t, flags: c_int) -> c_int;
    fchown(descriptor: c_int, user: uid_t, group: gid_t) -> c_int;
    fchownat(directory: c_int, path: *const c_char, user: uid_t, group: gid_t, flags: c_int) -> c_int;
    fgetxattr(descriptor: c_int, name: *const c_char, start: *mut c_void, length: size_t) -> ssize_t;
    flistxattr(descriptor: c_int, start: *mut c_char, length: size_t) -> ssize_t;
    fremovexattr(descriptor: c_int, name: *const c_char) -> c_int;
    fsetxattr(
        descriptor: c_int, name: *const c_char, start: *const c_void, length: size_t, flags: c_int
    ) -> c_int;
    futimens(descriptor: c_int, times: *const timespec) -> c_int;
    getxattr(path: *const c_char, name: *const c_char, start: *mut c_void, length: size_t) -> ssize_t;
    lgetxattr(path: *const c_char, name: *const c_char, start: *mut c_void, length: size_t) -> ssize_t;
    listxattr(path: *const c_char, start: *mut c_char, length: size_t) -> ssize_t;
    llistxattr(path: *const c_char, start: *mut c_char, length: size_t) -> ssize_t;
    lremovexattr(path: *const c_char, name: *const c_char) -> c_int;
    lsetxattr(
        path: *const c_char, name: *const c_char, start: *const c_void, length: size_t, flags: c_int
    ) -> c_int;
    mknodat(directory: c_int, path: *const c_char, mode: mode_t, device: dev_t) -> c_int;
    readlinkat(directory: c_int, path: *const c_char, start: *mut c_char, length: size_t) -> ssize_t;
    removexattr(path: *const c_char, name: *const c_char) -> c_int;
    sendfile64(target: c_int, source: c_int, from: *mut off_t, length: size_t) -> ssize_t;
    setxattr(
        path: *const c_char, name: *const c_char, start: *const c_void, length: size_t, flags: c_int
    ) -> c_int;
    sync_file_range(descriptor: c_int, offset: off_t, length: off_t, flags: c_uint) -> c_int;
    statvfs(path: *const c_char, limits: *mut libc::statvfs) -> c_int;
    symlinkat(content: *const c_char, directory: c_int, path: *const c_char) -> c_int;
    utimensat(directory: c_int, path: *const c_char, times: *const timespec, flags: c_int) -> c_int;
}

/// The simulated device keeps no order, whatever is below it.
pub(crate) unsafe fn fstatfs(descriptor: c_int, found: *mut libc::statfs) -> c_int {
    if world().is_some() {
        return give(Err(libc::ENOSYS));
    }
    // SAFETY: the caller's promises, which are those of the system's.
    unsafe { system::fstatfs(descriptor, found) }
}

/// What the model file system does not have.
fn only_real(name: &str) {
    if let Some(world) = modelled() {
        world.die(format!("the model file system has no {name}"));
    }
}

pub(crate) unsafe fn flock(descriptor: c_int, operation: c_int) -> c_int {
    only_real("flock");
    if world().is_none() {
        // SAFETY: no memory is involved.
        return unsafe { system::flock(descriptor, operation) };
    }
    let waits = operation & (libc::LOCK_NB | libc::LOCK_UN) == 0;
    // SAFETY: no memory is involved.
    trial::lock("flock", descriptor, waits, || unsafe {
        system::flock(descriptor, operation | libc::LOCK_NB)
    })
}

pub(crate) unsafe fn set_range_lock(descriptor: c_int, command: c_int, lock: *mut libc::flock) -> c_int {
    only_real("fcntl with locks");
    let waits = command == libc::F_OFD_SETLKW;
    let at_once = if waits && world().is_some() { libc::F_OFD_SETLK } else { command };
    // SAFETY: the caller's promises, which are those of the system's.
    let attempt = || unsafe { system::set_range_lock(descriptor, at_once, lock) };
    if world().is_none() { attempt() } else { trial::lock("fcntl, lock", descriptor, waits, attempt) }
}

// Changes of names, which the device may not have yet.

pub(crate) unsafe fn mkdirat(directory: c_int, path: *const c_char, mode: mode_t) -> c_int {
    only_real("mkdirat");
    // SAFETY: the caller's promises, which are those of the system's.
    unsafe {
        let made = trial::call("mkdirat", || system::mkdirat(directory, path, mode));
        device::named("mkdirat", made, Some((directory, path)), None)
    }
}

pub(crate) unsafe fn linkat(
    from: c_int,
    path: *const c_char,
    to: c_int,
    target: *const c_char,
    flags: c_int,
) -> c_int {
    only_real("linkat");
    // SAFETY: the caller's promises, which are those of the system's.
    unsafe {
        let linked = trial::call("linkat", || system::linkat(from, path, to, target, flags));
        device::named("linkat", linked, None, Some((to, target)))
    }
}

pub(crate) unsafe fn renameat(from: c_int, path: *const c_char, to: c_int, target: *const c_char) -> c_int {
    only_real("renameat");
    // SAFETY: the caller's promises, which are those of the system's.
    unsafe {
        let renamed = trial::call("renameat", || system::renameat(from, path, to, target));
        device::named("renameat", renamed, Some((from, path)), Some((to, target)))
    }
}

pub(crate) unsafe fn renameat2(
    from: c_int,
    path: *const c_char,
    to: c_int,
    target: *const c_char,
    flags: c_uint,
) -> c_long {
    only_real("renameat2");
    // SAFETY: the caller's promises, which are those of the system's.
    unsafe {
        let renamed = trial::call("renameat2", || system::renameat2(from, path, to, target, flags));
        device::named("renameat2", renamed as c_int, Some((from, path)), Some((to, target))).into()
    }
}
