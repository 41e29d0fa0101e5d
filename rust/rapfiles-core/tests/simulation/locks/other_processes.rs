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

/// Locks a file, without waiting; whether that was possible.
fn try_lock(file: &File, wish: &Wish) -> bool {
    let Extent::Range { start, length } = wish.extent else {
        let operation = if wish.mode == Mode::Shared { libc::LOCK_SH } else { libc::LOCK_EX };
        // SAFETY: no memory is involved.
        return unsafe { libc::flock(file.as_raw_fd(), operation | libc::LOCK_NB) == 0 };
    };
    // SAFETY: all zeros is a valid `struct flock`.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    let kind = if wish.mode == Mode::Shared { libc::F_RDLCK } else { libc::F_WRLCK };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = start as libc::off_t;
    lock.l_len = length as libc::off_t;
    // SAFETY: the struct is complete.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw mut lock) == 0 }
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
    /// The open file whose lock it is.
    _locked: File,
}

impl Other {
    /// One that gets the lock, if nobody is in the way.
    pub(super) fn try_lock(path: &Path, wish: Wish) -> Option<Self> {
        let locked = open(path);
        let metadata = locked.metadata().unwrap();
        let file = Identity::of(metadata.dev(), metadata.ino());
        try_lock(&locked, &wish).then_some(Self { wish, file, _locked: locked })
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
        let copies = open.iter().map(|descriptor| {
            // SAFETY: it is open.
            let file = unsafe { BorrowedFd::borrow_raw(*descriptor) };
            (listed.contains(descriptor), file.try_clone_to_owned().unwrap())
        });
        let (known, unknown): (Vec<_>, Vec<_>) = copies.partition(|(known, _)| *known);
        let files = |copies: Vec<(bool, OwnedFd)>| copies.into_iter().map(|(_, file)| file).collect();
        Self { known: files(known), unknown: files(unknown) }
    }

    /// It runs.
    pub(super) fn begin(&mut self) {
        self.known.clear();
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
