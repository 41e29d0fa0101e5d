//! What the device has of the files and directories that a trial changes: whether each was synchronised after its last
//! change, and what was not whenever a name was changed.

use std::cell::{Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use libc::{c_char, c_int};

use super::world::world;
use crate::platform::calls::system;

/// Something that the device may not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) path: PathBuf,
    /// Of a directory: the names in it that were changed. A file has none.
    pub(super) names: BTreeSet<Vec<u8>>,
}

/// The change of a name, and what the device may not have had before it.
#[derive(Debug, Clone)]
pub(super) struct Naming {
    pub(super) call: &'static str,
    /// The new name; the old one where there is no new one.
    pub(super) name: Vec<u8>,
    pub(super) pending: Vec<Pending>,
}

/// The first change of a file's content, and what the device may not have had before it.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) path: PathBuf,
    pub(super) pending: Vec<Pending>,
}

type Inode = (u64, u64);

#[derive(Debug, Default, Clone)]
pub(super) struct Device {
    pending: RefCell<BTreeMap<Inode, Pending>>,
    namings: RefCell<Vec<Naming>>,
    changes: RefCell<BTreeMap<Inode, Change>>,
    /// The files of which a descriptor has been closed since they were changed.
    closed: RefCell<BTreeSet<Inode>>,
    /// What the file was of which closing failed, if it had been changed.
    unclosed: RefCell<Option<Inode>>,
}

impl Device {
    /// What it may not have now.
    pub(super) fn pending(&self) -> Vec<Pending> {
        let pending = self.pending.borrow();
        // What was removed is nobody's loss; what has no name yet is there.
        let is_there = |entry: &&Pending| {
            entry.path.exists() || entry.path.as_os_str().as_bytes().ends_with(b" (deleted)")
        };
        pending.values().filter(is_there).cloned().collect()
    }

    /// The changes of names so far.
    pub(super) fn namings(&self) -> Ref<'_, [Naming]> {
        Ref::map(self.namings.borrow(), Vec::as_slice)
    }

    /// The first change of each file.
    pub(super) fn changes(&self) -> Vec<Change> {
        self.changes.borrow().values().cloned().collect()
    }

    /// Whether a file that was changed is the one of which closing failed.
    pub(super) fn has_not_closed(&self, file: &Path) -> bool {
        let found = std::fs::metadata(file).ok().map(|found| (found.dev(), found.ino()));
        found.is_some() && *self.unclosed.borrow() == found
    }

    fn change(&self, inode: Inode, path: impl FnOnce() -> PathBuf, name: Option<&[u8]>) {
        let mut pending = self.pending.borrow_mut();
        let entry =
            pending.entry(inode).or_insert_with(|| Pending { path: path(), names: BTreeSet::default() });
        entry.names.extend(name.map(<[u8]>::to_vec));
    }
}

fn with_device(work: impl FnOnce(&Device)) {
    if let Some(world) = world()
        && let Some(trial) = world.trial.get()
    {
        work(&trial.device);
    }
}

/// Keeps the error number of a call that is over.
fn aside<T: Copy>(result: T, work: impl FnOnce()) -> T {
    // SAFETY: the location is this thread's own.
    let code = unsafe { *libc::__errno_location() };
    work();
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = code };
    result
}

fn inode(descriptor: c_int) -> Option<Inode> {
    // SAFETY: all zeros is a valid `stat`: it is made of numbers only.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: there is room for it.
    let found = unsafe { system::fstat(descriptor, &raw mut stat) } == 0;
    found.then_some((stat.st_dev, stat.st_ino))
}

fn path(descriptor: c_int) -> PathBuf {
    std::fs::read_link(format!("/proc/self/fd/{descriptor}")).unwrap_or_default()
}

/// The content of a file has been changed, if it has. `result`: that of the call.
pub(super) fn changed<T: Copy>(descriptor: c_int, result: T, is_changed: bool) -> T {
    aside(result, || {
        with_device(|device| {
            if let Some(inode) = inode(descriptor).filter(|_| is_changed) {
                let first = || Change { path: path(descriptor), pending: device.pending() };
                device.changes.borrow_mut().entry(inode).or_insert_with(first);
                device.closed.borrow_mut().remove(&inode);
                device.change(inode, || path(descriptor), None);
            }
        });
    })
}

/// The device has a file or a directory, unless that failed.
pub(super) fn synchronised(descriptor: c_int, result: c_int) -> c_int {
    aside(result, || {
        with_device(|device| {
            if result == 0
                && let Some(inode) = inode(descriptor)
            {
                device.pending.borrow_mut().remove(&inode);
            }
        });
    })
}

/// A descriptor is about to be closed, without an error.
pub(super) fn closes(descriptor: c_int) {
    with_device(|device| {
        device.closed.borrow_mut().extend(inode(descriptor));
    });
}

/// An error of closing a descriptor is about to be reported. It concerns a file that has been changed since another one was
/// closed: closing each of them writes what is left (`flush` in `Documentation/filesystems/vfs.rst`).
pub(super) fn close_fails(descriptor: c_int) {
    with_device(|device| {
        let changed = inode(descriptor).filter(|inode| {
            device.changes.borrow().contains_key(inode) && !device.closed.borrow().contains(inode)
        });
        device.unclosed.replace(changed);
    });
}

type Entry = (c_int, *const c_char);

/// Names have been changed, unless that failed: one that is there no more, or was made; and one that something got.
///
/// # Safety
/// They are C strings.
pub(super) unsafe fn named(
    call: &'static str,
    result: c_int,
    first: Option<Entry>,
    second: Option<Entry>,
) -> c_int {
    aside(result, || {
        with_device(|device| {
            if result < 0 {
                return;
            }
            let pending = device.pending();
            let mut name = Vec::new();
            for (directory, entry) in first.into_iter().chain(second) {
                // SAFETY: the caller's promise.
                let entry = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(entry) }.to_bytes()));
                name = entry.file_name().unwrap_or_default().as_bytes().to_vec();
                let above = entry.parent().filter(|above| !above.as_os_str().is_empty());
                let top = if entry.is_absolute() { PathBuf::new() } else { path(directory) };
                let place = above.map_or_else(|| top.clone(), |above| top.join(above));
                if let Ok(found) = std::fs::metadata(&place) {
                    device.change((found.dev(), found.ino()), || place, Some(&name));
                }
            }
            if !name.is_empty() {
                device.namings.borrow_mut().push(Naming { call, name, pending });
            }
        });
    })
}
