//! A directory of the tree while there is work in it.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use super::visitor::Visitor;
use crate::engine::runtime;
use crate::platform::NativePath;

/// A directory between its entering and its end; the top one stands for where the tree is.
pub(crate) struct Node<V: Visitor> {
    pub(crate) name: NativePath,
    pub(crate) mark: V::Mark,
    pub(crate) above: Option<Arc<Self>>,
    pub(super) depth: usize,
    /// `None` while the work is far below, and the directory closed.
    pub(super) open: Mutex<Option<Arc<V::Place>>>,
    pub(super) stays_open: AtomicBool,
    /// The number of unfinished tasks; entering it is one.
    pub(super) pending: AtomicUsize,
}

impl<V: Visitor> Node<V> {
    /// A directory that has been entered; without one above it, where the tree is, which stays open.
    pub(super) fn new(
        name: NativePath,
        mark: V::Mark,
        above: Option<Arc<Self>>,
        place: &Arc<V::Place>,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            mark,
            depth: above.as_ref().map_or(0, |above| above.depth + 1),
            open: Mutex::new(Some(Arc::clone(place))),
            stays_open: above.is_none().into(),
            above,
            pending: AtomicUsize::new(1),
        })
    }

    /// The names from the top to this directory.
    pub(crate) fn names(&self) -> Vec<&NativePath> {
        let mut names = Vec::new();
        let mut node = Some(self);
        while let Some(here) = node.filter(|here| here.above.is_some()) {
            names.push(&here.name);
            node = here.above.as_deref();
        }
        names.reverse();
        names
    }

    /// This directory and those above it.
    pub(crate) fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |node| node.above.as_deref()).filter(|node| node.above.is_some())
    }

    /// Whether this is where the tree is, not a part of it.
    pub(crate) fn is_outside(&self) -> bool {
        self.above.is_none()
    }

    pub(super) fn is_open(&self) -> bool {
        runtime::lock(&self.open).is_some()
    }

    pub(crate) fn place(&self) -> Option<Arc<V::Place>> {
        runtime::lock(&self.open).clone()
    }
}

impl<V: Visitor> Drop for Node<V> {
    /// Not recursive: the chain may be longer than the stack allows.
    fn drop(&mut self) {
        let mut above = self.above.take();
        while let Some(mut node) = above.and_then(Arc::into_inner) {
            above = node.above.take();
        }
    }
}
