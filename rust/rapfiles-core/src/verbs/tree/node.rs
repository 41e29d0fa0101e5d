//! A directory of a tree: its name in its parent.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::error::{Error, Subject};
use crate::platform::{self, Directory, NativePath};

use super::gitignore::{ReadingRules, Ruled};
use super::open_directories::{OpenDirectories, OpenDirectory};

/// A directory of a tree.
#[derive(Debug)]
pub struct Node {
    /// The path of the first one; the name of each other.
    name: NativePath,
    parent: Option<Arc<Node>>,
    depth: u32,
    /// The length of its path.
    length: usize,
    /// Whether it may be a link to a directory.
    followed: bool,
    /// The number of links on its path below the first directory.
    links: u32,
    /// Whether its content is not wanted.
    pruned: AtomicBool,
    /// Whether opening it, or once that has been done the work in it, may have to wait for a network or another process.
    waits: AtomicBool,
    /// Its identity, if that is needed.
    identity: OnceLock<(u64, u128)>,
    /// Its ignore rules, if they are needed.
    ruled: OnceLock<Ruled>,
    open: Mutex<Option<Arc<OpenDirectory>>>,
}

impl Node {
    /// The first directory of a tree, or a link to it.
    pub(super) fn root(path: NativePath) -> Arc<Self> {
        Arc::new(Self::new(path, None, true, false))
    }

    /// A subdirectory, without following a link.
    pub(super) fn child(self: &Arc<Self>, name: NativePath) -> Arc<Self> {
        Arc::new(Self::new(name, Some(Arc::clone(self)), false, false))
    }

    /// A subdirectory whose name may be a link, and was one if `is_link`.
    pub(super) fn followed_child(self: &Arc<Self>, name: NativePath, is_link: bool) -> Arc<Self> {
        Arc::new(Self::new(name, Some(Arc::clone(self)), true, is_link))
    }

    fn new(name: NativePath, parent: Option<Arc<Self>>, followed: bool, is_link: bool) -> Self {
        let before = parent.as_ref().map_or(0, |parent| parent.length + 1);
        // A link may lead to any mount.
        let waits = followed || parent.as_ref().is_some_and(|parent| parent.may_wait_for_others());
        let parent_links = parent.as_ref().map_or(0, |parent| parent.links);
        Self {
            depth: parent.as_ref().map_or(0, |parent| parent.depth + 1),
            length: before + name.len(),
            name,
            parent,
            followed,
            links: parent_links + u32::from(is_link),
            pruned: AtomicBool::new(false),
            waits: waits.into(),
            identity: OnceLock::new(),
            ruled: OnceLock::new(),
            open: Mutex::new(None),
        }
    }

    /// How many directories are above it.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// The parent directory; `None` for the first.
    pub fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    /// Its name, or the path of the first directory.
    pub fn name(&self) -> &NativePath {
        &self.name
    }

    /// Whether it may be a link to a directory.
    pub fn is_followed(&self) -> bool {
        self.followed
    }

    /// Whether links have been followed on the way to it.
    pub(super) fn is_behind_links(&self) -> bool {
        self.links > 0
    }

    /// Whether its path is longer than a system call takes.
    pub(super) fn is_too_long(&self) -> bool {
        self.length >= platform::LONGEST_PATH
    }

    /// It and those above it, from the inside out.
    pub(super) fn line(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |node| node.parent.as_deref())
    }

    /// Its path: that of the first directory, and the names down to it.
    pub fn path(&self) -> Option<NativePath> {
        self.path_of(None)
    }

    /// The path of an entry in it.
    pub(super) fn path_of(&self, name: Option<&NativePath>) -> Option<NativePath> {
        let mut names: Vec<&NativePath> =
            name.into_iter().chain(self.line().map(|node| &node.name)).collect();
        names.reverse();
        platform::joined(names.into_iter())
    }

    pub(super) fn subject(&self, name: Option<&NativePath>) -> Subject {
        self.path_of(name).map_or(Subject::Nothing, Subject::Other)
    }

    /// Notes that its content is not wanted.
    pub(super) fn prune(&self) {
        self.pruned.store(true, Ordering::Relaxed);
    }

    /// Whether its content, or that of a directory above it, is not wanted.
    pub(super) fn is_pruned(&self) -> bool {
        self.line().any(|node| node.pruned.load(Ordering::Relaxed))
    }

    /// Whether opening it, or once that has been done the work in it, may have to wait for a network or another process.
    pub(super) fn may_wait_for_others(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    pub(super) fn set_may_wait_for_others(&self, waits: bool) {
        self.waits.store(waits, Ordering::Relaxed);
    }

    pub(super) fn identify(&self, identity: (u64, u128)) {
        let _ = self.identity.set(identity);
    }

    pub(super) fn identity(&self) -> Option<(u64, u128)> {
        self.identity.get().copied()
    }

    /// Reads its ignore rules. Where that fails, they do not hold.
    pub(super) fn rule(&self, directory: &Directory, open: &OpenDirectories) -> Vec<Error> {
        let mut reading = ReadingRules::new(open);
        let ruled = match self.parent.as_ref().and_then(|parent| parent.ruled.get()) {
            Some(above) => above.child(Path::new(&self.name.to_os_string())),
            None => reading.above(&self.name),
        };
        let _ = self.ruled.set(reading.with_file(ruled, directory, |name| self.subject(Some(name))));
        reading.errors
    }

    /// Whether git would ignore an entry of it.
    pub(super) fn ignores(&self, name: &[u8], is_directory: bool) -> bool {
        // SAFETY: the engine keeps names as `as_encoded_bytes` gives them, one by one.
        let name = unsafe { OsStr::from_encoded_bytes_unchecked(name) };
        self.ruled.get().is_some_and(|ruled| ruled.ignores(Path::new(name), is_directory))
    }

    /// The directory, if it is open.
    pub(super) fn opened(&self) -> Option<Arc<OpenDirectory>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets or drops the open directory.
    pub(super) fn set_open(&self, directory: Option<Arc<OpenDirectory>>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *open, directory);
        // Closing may block.
        drop(open);
        drop(before);
    }
}

impl Drop for Node {
    /// Not recursive: the chain may be longer than the stack allows.
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(mut node) = parent.and_then(Arc::into_inner) {
            parent = node.parent.take();
        }
    }
}
