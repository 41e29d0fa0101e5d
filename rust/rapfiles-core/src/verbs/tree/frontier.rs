//! The frontier: the directories of a tree that are read next, in order, and only a bounded amount ahead of the
//! consumer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::limits::{STREAM_STEPS, TREE_AHEAD, TREE_DIRECTORY, TREE_FAST, TREE_SLOW};

use super::listing::Listing;
use super::node::Node;

/// A directory that has not been read.
#[derive(Debug)]
struct Slot {
    node: Arc<Node>,
    /// It is being read.
    taken: bool,
}

/// A directory to be read, and a listing whose memory may be used again for that.
pub(super) type Next = (Arc<Node>, Option<Listing>);

/// The directories that are known and have not been read.
#[derive(Debug)]
pub(super) struct Frontier {
    /// The next one is the last element.
    slots: Vec<Slot>,
    /// The amount that has been read and not been handed out.
    ahead: usize,
    /// The directory that the consumer needs next.
    needed: Option<Arc<Node>>,
    /// The number of running parts.
    parts: usize,
    most_parts: usize,
    /// The number of parts that suffices if nothing blocks; `None` if the caller has given one.
    usual_parts: Option<usize>,
    reads_ahead: bool,
    /// Listings that the consumer does not need any more. What one worker has allocated and the consumer frees makes both
    /// wait for the allocator's lock (`M_ARENA_MAX` in `mallopt(3)`), so workers use it again.
    spent: Vec<Listing>,
}

impl Frontier {
    pub(super) fn new(root: Arc<Node>, workers: usize, processors: usize) -> Self {
        let usual = processors.clamp(1, STREAM_STEPS);
        Self {
            slots: vec![Slot { node: root, taken: false }],
            ahead: 0,
            needed: None,
            parts: 0,
            most_parts: if workers == 0 { usual } else { workers },
            usual_parts: (workers == 0).then_some(usual),
            reads_ahead: workers != 1,
            spent: Vec::new(),
        }
    }

    /// Takes a directory for a new part.
    pub(super) fn begin_part(&mut self) -> Option<Next> {
        if self.parts >= self.most_parts {
            return None;
        }
        let next = self.take()?;
        self.parts += 1;
        Some(next)
    }

    pub(super) fn end_part(&mut self) {
        self.parts -= 1;
    }

    /// Takes the first directory that nobody has taken, unless that is too far ahead.
    pub(super) fn take(&mut self) -> Option<Next> {
        let slot = self.slots.iter_mut().rfind(|slot| !slot.taken)?;
        let is_needed = self.needed.as_ref().is_some_and(|needed| Arc::ptr_eq(needed, &slot.node));
        if !is_needed && (self.ahead >= TREE_AHEAD || !self.reads_ahead) {
            return None;
        }
        slot.taken = true;
        self.ahead += TREE_DIRECTORY;
        Some((Arc::clone(&slot.node), self.spent.pop()))
    }

    /// Notes how long a directory has taken: if reading blocks, more of them are read at once.
    pub(super) fn note(&mut self, took: Duration) {
        let Some(usual) = self.usual_parts else { return };
        if took >= TREE_SLOW {
            self.most_parts = (self.most_parts + 1).min(STREAM_STEPS);
        } else if took <= TREE_FAST && self.most_parts > usual {
            self.most_parts -= 1;
        }
    }

    /// Notes that a directory has been read: its subdirectories take its place, unless it is not wanted any more.
    pub(super) fn finish(&mut self, node: &Arc<Node>, children: &[Arc<Node>], entries: usize) {
        self.ahead += entries;
        if let Some(at) = self.slots.iter().rposition(|slot| Arc::ptr_eq(&slot.node, node)) {
            let children = children.iter().rev().map(|node| Slot { node: Arc::clone(node), taken: false });
            drop(self.slots.splice(at..=at, children));
        }
    }

    /// Notes that the consumer waits for a directory.
    pub(super) fn need(&mut self, node: &Arc<Node>) {
        self.needed = Some(Arc::clone(node));
    }

    /// Takes back listings that the consumer does not need any more.
    pub(super) fn take_back(&mut self, spent: &mut Vec<Listing>) {
        self.spent.append(spent);
    }

    /// Notes that a directory has been handed out, or dropped. Returns whether workers that were far enough ahead can
    /// continue.
    pub(super) fn hand_out(&mut self, entries: usize) -> bool {
        self.ahead = self.ahead.saturating_sub(TREE_DIRECTORY + entries);
        self.reads_ahead && self.parts == 0 && self.ahead < TREE_AHEAD / 2 && !self.slots.is_empty()
    }

    /// Drops everything: the consumer is gone.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.spent.clear();
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::platform::NativePath;

    fn node(parent: &Arc<Node>, name: &str) -> Arc<Node> {
        parent.child(NativePath::from_vec(name.into()).unwrap())
    }

    fn root() -> Arc<Node> {
        Node::root(NativePath::from_vec(b"top".to_vec()).unwrap())
    }

    fn name(next: Option<Next>) -> String {
        next.map_or_else(String::new, |(node, _)| String::from_utf8(node.name().to_bytes().to_vec()).unwrap())
    }

    #[test]
    fn what_comes_first_is_read_first_whichever_is_ready_earlier() {
        let root = root();
        let mut frontier = Frontier::new(Arc::clone(&root), 0, 2);
        assert_eq!(name(frontier.take()), "top");
        assert!(frontier.take().is_none());
        let (a, b) = (node(&root, "a"), node(&root, "b"));
        frontier.finish(&root, &[Arc::clone(&a), Arc::clone(&b)], 2);
        assert_eq!(name(frontier.take()) + &name(frontier.take()), "ab");
        frontier.finish(&b, &[node(&b, "c")], 1);
        frontier.finish(&a, &[node(&a, "d"), node(&a, "e")], 2);
        let order: Vec<String> = (0..4).map(|_| name(frontier.take())).collect();
        assert_eq!(order, ["d", "e", "c", ""]);
    }

    #[test]
    fn only_what_is_needed_is_read_beyond_what_is_read_ahead() {
        let root = root();
        for (workers, entries) in [(0, TREE_AHEAD), (1, 0)] {
            let mut frontier = Frontier::new(Arc::clone(&root), workers, 2);
            frontier.need(&root);
            frontier.take();
            let children = [node(&root, "a"), node(&root, "b")];
            frontier.finish(&root, &children, entries);
            assert!(frontier.take().is_none());
            frontier.need(&children[0]);
            assert_eq!(name(frontier.take()), "a");
            assert!(frontier.take().is_none());
        }
    }

    #[test]
    fn what_the_consumer_changes_changes_what_is_read() {
        let root = root();
        let mut frontier = Frontier::new(Arc::clone(&root), 0, 2);
        frontier.take();
        let (a, b, c) = (node(&root, "a"), node(&root, "b"), node(&root, "c"));
        frontier.finish(&root, &[Arc::clone(&a), Arc::clone(&b), Arc::clone(&c)], 3);
        frontier.take();
        frontier.finish(&a, &[node(&a, "in a"), node(&a, "in a too")], 2);
        // One that is gone while it is being read is nobody's any more.
        frontier.take();
        let new = node(&root, "new");
        frontier.reorder(&root, &[Arc::clone(&c), Arc::clone(&new), Arc::clone(&a)], |node| {
            Arc::ptr_eq(node, &new)
        });
        frontier.finish(&b, &[node(&b, "in b")], 1);
        let order: Vec<String> = (0..5).map(|_| name(frontier.take())).collect();
        // The first of `a` was taken before.
        assert_eq!(order, ["c", "new", "in a too", "", ""]);
    }

    #[test]
    fn slow_directories_are_read_more_at_once() {
        let mut frontier = Frontier::new(root(), 0, 2);
        (0..20).for_each(|_| frontier.note(TREE_SLOW));
        assert_eq!(frontier.most_parts, STREAM_STEPS);
        (0..20).for_each(|_| frontier.note(TREE_FAST));
        assert_eq!(frontier.most_parts, 2);
        let mut frontier = Frontier::new(root(), 3, 2);
        frontier.note(TREE_SLOW);
        assert_eq!(frontier.most_parts, 3);
    }
}
