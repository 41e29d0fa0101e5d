//! `Tree`: the consumer's side of a tree, directory by directory, in an order that the consumer may change.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::kind::Kind;
use crate::engine::progress::Progress;
use crate::engine::stream::Stream;
use crate::engine::ticket::Ticket;
use crate::error::Error;
use crate::limits::STREAM_STEPS;
use crate::platform::NativePath;

use super::listing::Listing;
use super::node::Node;
use super::options::Options;
use super::source::Shared;

pub use super::source::WalkSource;

/// What comes next.
#[derive(Debug)]
enum Next {
    /// A directory, and then its subdirectories.
    Enter(Arc<Node>),
    /// A directory that has been read, after its subdirectories.
    Leave(Box<Listing>),
}

/// The directories of a tree, one after the other: each before those in it, or after them.
#[derive(Debug)]
pub struct Tree {
    stream: Stream<WalkSource>,
    shared: Arc<Shared>,
    /// The next one is the last element.
    stack: Vec<Next>,
    /// Directories that have been read before their turn.
    found: HashMap<usize, Listing>,
    /// The directory that was handed out last and its subdirectories, until it is known which of them are wanted.
    undecided: Option<(Arc<Node>, Vec<Arc<Node>>)>,
    has_pruned: bool,
    /// Listings to be given back to the workers.
    spent: Vec<Listing>,
}

impl Engine {
    /// The directories of a tree.
    pub fn walk(&self, path: NativePath, options: Options) -> Tree {
        let lane = self.lane(&path);
        let (shared, root) = Shared::new(self.share(), path, options);
        let stream =
            Stream::with_steps(self, lane, Kind::Walk, STREAM_STEPS, WalkSource(Arc::clone(&shared)));
        let stack = vec![Next::Enter(root)];
        let (found, spent) = (HashMap::new(), Vec::new());
        Tree { stream, shared, stack, found, undecided: None, has_pruned: false, spent }
    }
}

impl Tree {
    /// The next directory; `None` after the last.
    pub fn next(&mut self, ticket: impl Fn() -> Arc<Ticket>) -> Progress<Result<Option<Listing>, Error>> {
        if !self.stream.is_own() {
            // Locks that a forked child has inherited may never be released (fork(2)).
            return self.stream.next(ticket).map(|ended| ended.map(|_| None));
        }
        self.descend_into_all();
        loop {
            let node = match self.stack.pop() {
                None => return Progress::Done(Ok(None)),
                Some(Next::Leave(listing)) => return Progress::Done(Ok(Some(*listing))),
                Some(Next::Enter(node)) => node,
            };
            if let Some(listing) = self.found.remove(&address(&node)) {
                match self.enter(listing) {
                    Some(listing) => return Progress::Done(Ok(Some(listing))),
                    None => continue,
                }
            }
            self.shared.frontier().need(&node);
            self.stack.push(Next::Enter(node));
            match self.stream.next(&ticket) {
                Progress::Done(Ok(Some(batch))) => {
                    for listing in batch {
                        if self.has_pruned && listing.node().is_pruned() {
                            self.shared.frontier().hand_out(listing.weight());
                        } else {
                            self.found.insert(address(listing.node()), listing);
                        }
                    }
                }
                Progress::Done(ended) => return Progress::Done(ended.map(|_| None)),
                Progress::Yield => return Progress::Yield,
                Progress::Pending(ticket) => return Progress::Pending(ticket),
            }
        }
    }

    /// Handles a directory whose turn it is: it is handed out now, or later.
    fn enter(&mut self, listing: Listing) -> Option<Listing> {
        let mut frontier = self.shared.frontier();
        frontier.take_back(&mut self.spent);
        let goes_on = frontier.hand_out(listing.weight());
        drop(frontier);
        if goes_on {
            self.stream.go_on();
        }
        let children = listing.children().to_vec();
        if self.shared.options.top_down {
            self.undecided = Some((Arc::clone(listing.node()), children));
            return Some(listing);
        }
        self.stack.push(Next::Leave(Box::new(listing)));
        self.stack.extend(children.into_iter().rev().map(Next::Enter));
        None
    }

    fn descend_into_all(&mut self) {
        if let Some((_, children)) = self.undecided.take() {
            self.stack.extend(children.into_iter().rev().map(Next::Enter));
        }
    }

    /// Sets the subdirectories of the last directory to enter, in this order. Names that were not among its children
    /// are entered too, whatever they are.
    pub fn descend(&mut self, names: Vec<NativePath>) {
        let Some((parent, children)) = self.undecided.take() else { return };
        if self.shared.options.max_depth.is_some_and(|most| parent.depth() >= most) || !self.stream.is_own() {
            return;
        }
        let mut known: HashMap<Vec<u8>, Arc<Node>> =
            children.into_iter().map(|child| (key(child.name()), child)).collect();
        let mut wanted = Vec::with_capacity(names.len());
        let mut new = HashSet::new();
        for name in names {
            let child = known.remove(&key(&name)).unwrap_or_else(|| {
                let child = parent.followed_child(name, true);
                new.insert(address(&child));
                child
            });
            wanted.push(child);
        }
        self.has_pruned |= !known.is_empty();
        known.values().for_each(|child| child.prune());
        let mut frontier = self.shared.frontier();
        frontier.reorder(&parent, &wanted, |child| new.contains(&address(child)));
        if !known.is_empty() {
            self.found.retain(|_, listing| {
                let wanted = !listing.node().is_pruned();
                if !wanted {
                    frontier.hand_out(listing.weight());
                }
                wanted
            });
        }
        drop(frontier);
        self.stack.extend(wanted.into_iter().rev().map(Next::Enter));
    }

    /// Takes back a directory that is not needed any more, so that workers use its memory again.
    pub fn take_back(&mut self, listing: Listing) {
        self.spent.push(listing);
    }

    /// How many entries have been read.
    pub fn progress(&self) -> u64 {
        self.stream.progress()
    }
}

/// The identity of a node among the existing ones.
fn address(node: &Arc<Node>) -> usize {
    Arc::as_ptr(node).addr()
}

fn key(name: &NativePath) -> Vec<u8> {
    name.encoded().into_owned()
}

impl Drop for Tree {
    fn drop(&mut self) {
        let found = (std::mem::take(&mut self.found), std::mem::take(&mut self.spent));
        let held = (std::mem::take(&mut self.stack), found, self.undecided.take());
        if !self.stream.is_own() {
            std::mem::forget((held, Arc::clone(&self.shared)));
            return;
        }
        self.stream.close();
        // Closing directories may have to be waited for.
        let shared = Arc::clone(&self.shared);
        if self.stream.has_begun() {
            self.stream.leave_to_worker(move || {
                drop(held);
                shared.frontier().clear();
            });
        }
    }
}
