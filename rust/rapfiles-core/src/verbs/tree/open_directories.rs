//! The directories that a tree keeps open, so that their entries are accessed by a single name.
//!
//! All trees of an engine share a budget of descriptors. Beyond it, the directory that was opened first is closed,
//! and opened again when it is needed: from the nearest open one above it, one name at a time, so that no link that
//! replaces a directory meanwhile is followed, and no path is too long.

use std::collections::VecDeque;
use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::limits::{TREE_OPEN, TREE_OPEN_SHARE};
use crate::platform::{self, Directory};

use super::node::Node;

/// A directory that counts as open.
#[derive(Debug)]
pub(super) struct OpenDirectory(Directory, Arc<OpenDirectories>);

impl Drop for OpenDirectory {
    fn drop(&mut self) {
        self.1.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Deref for OpenDirectory {
    type Target = Directory;

    fn deref(&self) -> &Directory {
        &self.0
    }
}

/// The directories that all trees of an engine keep open.
#[derive(Debug, Default)]
pub(crate) struct OpenDirectories {
    /// How many there are.
    open: AtomicUsize,
    /// In the order in which they were opened. Some may have been dropped.
    kept: Mutex<VecDeque<Weak<Node>>>,
}

impl OpenDirectories {
    fn count(self: &Arc<Self>, directory: Directory) -> Arc<OpenDirectory> {
        self.open.fetch_add(1, Ordering::Relaxed);
        Arc::new(OpenDirectory(directory, Arc::clone(self)))
    }

    /// Opens a directory, and if necessary those above it first; `None` if that may have to wait, although the node does
    /// not say so, because another file system is mounted on it.
    pub(super) fn open(self: &Arc<Self>, node: &Node) -> io::Result<Option<Directory>> {
        let mut missing = Vec::new();
        let mut above = node.parent();
        let mut inside = loop {
            let Some(parent) = above else { break None };
            if let Some(open) = parent.opened() {
                break Some(open);
            }
            missing.push(parent);
            above = parent.parent();
        };
        while let Some(node) = missing.pop() {
            let directory = self.count(self.enter(node, inside.as_deref())?);
            self.keep(node, &directory);
            inside = Some(directory);
        }
        if node.may_wait_for_others() {
            return self.enter(node, inside.as_deref()).map(Some);
        }
        self.make_room(|| Directory::open_in_mount(node.name(), inside.as_deref().map(Deref::deref)))
    }

    fn enter(&self, node: &Node, inside: Option<&OpenDirectory>) -> io::Result<Directory> {
        let open = if node.is_followed() { Directory::open_followed } else { Directory::open };
        self.make_room(|| open(node.name(), inside.map(Deref::deref)))
    }

    /// Opens something; where no descriptor is left, once more after the directories that are kept open are closed.
    pub(super) fn make_room<T>(&self, attempt: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match attempt() {
            Err(error) if error.raw_os_error().is_some_and(platform::lacks_descriptors) => {
                self.close_all();
                attempt()
            }
            opened => opened,
        }
    }

    /// Keeps a directory open, for opening its subdirectories.
    pub(super) fn keep_open(self: &Arc<Self>, node: &Arc<Node>, directory: Directory) {
        let directory = self.count(directory);
        self.keep(node, &directory);
    }

    fn keep(&self, node: &Arc<Node>, directory: &Arc<OpenDirectory>) {
        let most = (platform::most_descriptors() / TREE_OPEN_SHARE).clamp(1, TREE_OPEN);
        while self.open.load(Ordering::Relaxed) > most {
            let first = self.lock().pop_front();
            let Some(first) = first else { return };
            if let Some(node) = first.upgrade() {
                node.set_open(None);
            }
        }
        node.set_open(Some(Arc::clone(directory)));
        let mut kept = self.lock();
        kept.push_back(Arc::downgrade(node));
        if kept.len() > 2 * most {
            // What is gone keeps its memory until nobody knows of it.
            kept.retain(|node| node.upgrade().is_some_and(|node| node.opened().is_some()));
        }
    }

    /// Closes them, for somebody who found no descriptor.
    pub(crate) fn close_all(&self) {
        let kept = std::mem::take(&mut *self.lock());
        for node in kept.iter().filter_map(Weak::upgrade) {
            node.set_open(None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Weak<Node>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
