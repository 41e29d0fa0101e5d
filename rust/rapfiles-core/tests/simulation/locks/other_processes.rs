//! Other processes: those that want the same locks, and forked children. Their locks are those of open file descriptions of
//! their own, which exclude those of this process as another process's would (flock(2), `F_OFD_SETLK` in fcntl(2)).

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Wish;
use crate::lock::{Extent, Identity, Mode, known_to_children};

/// Which file a path leads to.
pub(super) fn identity_of(path: &Path) -> Option<Identity> {
    let found = std::fs::symlink_metadata(path).ok()?;
    Some(Identity::of(found.dev(), found.ino()))
}

/// Another descriptor of an open file.
fn copy(descriptor: i32) -> OwnedFd {
    // SAFETY: it is open.
    unsafe { BorrowedFd::borrow_raw(descriptor) }.try_clone_to_owned().unwrap()
}

/// Locks a file, without waiting; whether that was possible.
fn try_lock(file: &File, wish: &Wish) -> bool {
    let shared = wish.mode == Mode::Shared;
    let operation = if shared { libc::LOCK_SH } else { libc::LOCK_EX };
    let kind = if shared { libc::F_RDLCK } else { libc::F_WRLCK };
    set_lock(file.as_raw_fd(), wish.extent, operation, kind)
}

/// Unlocks a file.
pub(super) fn unlock(descriptor: i32, extent: Extent) {
    set_lock(descriptor, extent, libc::LOCK_UN, libc::F_UNLCK);
}

fn set_lock(descriptor: i32, extent: Extent, operation: i32, kind: i32) -> bool {
    let Extent::Range { start, length } = extent else {
        // SAFETY: no memory is involved.
        return unsafe { libc::flock(descriptor, operation | libc::LOCK_NB) == 0 };
    };
    // SAFETY: all zeros is a valid `struct flock`.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = start as libc::off_t;
    lock.l_len = length as libc::off_t;
    // SAFETY: the struct is complete.
    unsafe { libc::fcntl(descriptor, libc::F_OFD_SETLK, &raw mut lock) == 0 }
}

fn open(path: &Path) -> File {
    File::options().read(true).append(true).create(true).open(path).unwrap()
}

/// Whether another process would get a lock of the file now.
pub(super) fn is_free(path: &Path, wish: &Wish) -> bool {
    try_lock(&open(path), wish)
}

/// Another process that has a lock, until it is dropped.
pub(super) struct Other {
    pub(super) wish: Wish,
    pub(super) file: Identity,
    /// The parent of the process that is simulated.
    pub(super) is_parent: bool,
    /// The open file whose lock it is.
    locked: File,
}

impl Drop for Other {
    fn drop(&mut self) {
        // A forked child may have the open file, too.
        if self.wish.through.is_some() {
            unlock(self.locked.as_raw_fd(), self.wish.extent);
        }
    }
}

impl Other {
    /// One that gets the lock, if nobody is in the way.
    pub(super) fn try_lock(path: &Path, wish: Wish) -> Option<Self> {
        let locked = open(path);
        let metadata = locked.metadata().unwrap();
        let file = Identity::of(metadata.dev(), metadata.ino());
        try_lock(&locked, &wish).then(|| Self { wish, file, is_parent: false, locked })
    }

    /// The parent of this process, which has a lock through a file with this descriptor.
    pub(super) fn parent(wish: Wish, file: Identity, descriptor: i32) -> Self {
        Self { wish, file, is_parent: true, locked: copy(descriptor).into() }
    }
}

/// A forked child, which has this process's open files.
pub(super) struct Child {
    /// The lock files that it knows of, and closes as soon as it runs.
    known: Vec<OwnedFd>,
    /// Those that it keeps.
    unknown: Vec<OwnedFd>,
}

impl Child {
    /// One that gets these files.
    pub(super) fn of(open: &BTreeSet<i32>) -> Self {
        let listed = known_to_children();
        let copies = open.iter().map(|descriptor| (listed.contains(descriptor), copy(*descriptor)));
        let (known, unknown): (Vec<_>, Vec<_>) = copies.partition(|(known, _)| *known);
        let files = |copies: Vec<(bool, OwnedFd)>| copies.into_iter().map(|(_, file)| file).collect();
        Self { known: files(known), unknown: files(unknown) }
    }

    /// It runs.
    pub(super) fn begin(&mut self) {
        self.known.clear();
    }

    /// It closes an open file that it has of its parent.
    pub(super) fn close(&mut self, descriptor: i32) {
        self.unknown.retain(|file| !is_same_description(file.as_raw_fd(), descriptor));
    }

    /// Whether it has the open file behind a descriptor of its parent's, and does not know that it is a lock file.
    pub(super) fn has_unknowingly(&self, descriptor: i32) -> bool {
        self.unknown.iter().any(|file| is_same_description(file.as_raw_fd(), descriptor))
    }
}

/// Whether two descriptors are of one open file: they have one position, which nothing else changes.
fn is_same_description(one: i32, other: i32) -> bool {
    /// A position of no other file's.
    const MARK: libc::off_t = 7_777;
    // SAFETY: no memory is involved.
    unsafe {
        libc::lseek(one, MARK, libc::SEEK_SET);
        let same = libc::lseek(other, 0, libc::SEEK_CUR) == MARK;
        libc::lseek(one, 0, libc::SEEK_SET);
        same
    }
}
