//! Which directory of a tree is to be read next: those that come first, and ahead of the consumer only so far.

use std::collections::HashMap;
use std::sync::Arc;

use super::node::Node;

/// What is read ahead of the consumer, in entries: some two milliseconds of its work.
const MOST_AHEAD: usize = 16 << 10;
/// A directory counts as so many entries.
pub(super) const DIRECTORY: usize = 32;

/// A directory that has not been read.
#[derive(Debug)]
struct Slot {
    node: Arc<Node>,
    /// It is being read.
    taken: bool,
}

/// The directories that are known and have not been read.
#[derive(Debug)]
pub(super) struct Frontier {
    /// The one that comes first is the last.
    slots: Vec<Slot>,
    /// What has been read and not been handed out.
    ahead: usize,
    /// What the consumer needs next.
    needed: Option<Arc<Node>>,
    /// Parts that are at work.
    parts: usize,
    most_parts: usize,
    reads_ahead: bool,
}

impl Frontier {
    pub(super) fn new(root: Arc<Node>, workers: usize) -> Self {
        Self {
            slots: vec![Slot { node: root, taken: false }],
            ahead: 0,
            needed: None,
            parts: 0,
            most_parts: if workers == 0 { usize::MAX } else { workers },
            reads_ahead: workers != 1,
        }
    }

    /// Takes a directory for a new part.
    pub(super) fn begin_part(&mut self) -> Option<Arc<Node>> {
        if self.parts >= self.most_parts {
            return None;
        }
        let node = self.take()?;
        self.parts += 1;
        Some(node)
    }

    pub(super) fn end_part(&mut self) {
        self.parts -= 1;
    }

    /// Takes the first directory that nobody has taken, unless that is too far ahead.
    pub(super) fn take(&mut self) -> Option<Arc<Node>> {
        let slot = self.slots.iter_mut().rfind(|slot| !slot.taken)?;
        let is_needed = self.needed.as_ref().is_some_and(|needed| Arc::ptr_eq(needed, &slot.node));
        if !is_needed && (self.ahead >= MOST_AHEAD || !self.reads_ahead) {
            return None;
        }
        slot.taken = true;
        self.ahead += DIRECTORY;
        Some(Arc::clone(&slot.node))
    }

    /// A directory has been read: those in it take its place, unless it is not wanted any more.
    pub(super) fn finish(&mut self, node: &Arc<Node>, children: &[Arc<Node>], entries: usize) {
        self.ahead += entries;
        if let Some(at) = self.slots.iter().rposition(|slot| Arc::ptr_eq(&slot.node, node)) {
            let children = children.iter().rev().map(|node| Slot { node: Arc::clone(node), taken: false });
            drop(self.slots.splice(at..=at, children));
        }
    }

    /// The consumer needs a directory, and waits for it.
    pub(super) fn need(&mut self, node: &Arc<Node>) {
        self.needed = Some(Arc::clone(node));
    }

    /// A directory has been handed out, or thrown away. Whether workers that had read far enough ahead can go on.
    pub(super) fn hand_out(&mut self, entries: usize) -> bool {
        self.ahead = self.ahead.saturating_sub(DIRECTORY + entries);
        self.reads_ahead && self.parts == 0 && self.ahead < MOST_AHEAD / 2 && !self.slots.is_empty()
    }

    /// Nobody wants anything any more.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.needed = None;
    }

    /// The directories in the one that was handed out last shall be these, in this order; `new` ones are not known yet.
    pub(super) fn reorder(
        &mut self,
        parent: &Arc<Node>,
        children: &[Arc<Node>],
        is_new: impl Fn(&Arc<Node>) -> bool,
    ) {
        // All that comes before it has been handed out, so what is in it is at the end.
        let depth = parent.depth() + 1;
        let mut branches: HashMap<*const Node, Vec<Slot>> = HashMap::new();
        while let Some(slot) = self.slots.last() {
            let branch = slot.node.line().find(|node| node.depth() <= depth);
            let inside =
                branch.filter(|branch| branch.parent().is_some_and(|above| Arc::ptr_eq(above, parent)));
            let Some(branch) = inside.map(std::ptr::from_ref) else { break };
            branches.entry(branch).or_default().extend(self.slots.pop());
        }
        for child in children.iter().rev() {
            if let Some(slots) = branches.remove(&Arc::as_ptr(child)) {
                self.slots.extend(slots.into_iter().rev());
            } else if is_new(child) {
                self.slots.push(Slot { node: Arc::clone(child), taken: false });
            }
        }
    }
}
