//! The traversal: its tasks, the directories that are open, and which task is begun next.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::node::Node;
use super::visiting::{State, Visiting};
use super::visitor::Visitor;
use crate::engine::runtime;
use crate::engine::stream::{Claim, Order, Source};
use crate::limits::{TREE_ENTRY_OPEN, TREE_LEAST_OPEN, TREE_LOOK, TREE_MOST_OPEN, TREE_SHARE, TREE_SLICE};
use crate::platform::{self, NativePath};
use crate::verbs::descriptors::{Admission, Descriptors};
use crate::verbs::listing::Block;
use crate::verbs::report::{Report, Reporter};
use crate::verbs::selection::Selection;

pub(super) enum Task<V: Visitor> {
    /// An entry or a directory of this name.
    Top(NativePath),
    Enter(Arc<Node<V>>, NativePath),
    /// Entries of a block.
    Entries(Arc<Node<V>>, Arc<Block>, usize, usize),
}

impl<V: Visitor> Task<V> {
    fn node(&self) -> Option<&Arc<Node<V>>> {
        match self {
            Self::Top(_) => None,
            Self::Enter(node, _) | Self::Entries(node, ..) => Some(node),
        }
    }
}

struct Stack<V: Visitor> {
    tasks: Vec<Task<V>>,
    /// Tasks that were running when the visitor paused.
    paused: Vec<State<V>>,
    /// The number of tasks that have been claimed and are not done.
    claimed: usize,
    /// Directories from which the consumer has not selected yet, by numbers that are not reused.
    selecting: HashMap<u64, Arc<Node<V>>>,
    selections: u64,
}

impl<V: Visitor> Stack<V> {
    /// Pushes the entries of a block, in slices.
    fn push_slices(&mut self, node: &Arc<Node<V>>, block: &Arc<Block>, slices: &[(usize, usize)]) {
        for (from, end) in slices {
            self.tasks.push(Task::Entries(Arc::clone(node), Arc::clone(block), *from, *end));
        }
    }
}

/// The slices into which `length` entries are cut.
pub(super) fn slices(length: usize) -> Vec<(usize, usize)> {
    (0..length).step_by(TREE_SLICE).map(|from| (from, length.min(from + TREE_SLICE))).collect()
}

pub(crate) struct Shared<V: Visitor> {
    pub(super) reporter: Arc<Reporter>,
    pub(super) outside: Arc<Node<V>>,
    stack: Mutex<Stack<V>>,
    /// The number of open directories, and of descriptors that each takes.
    pub(super) open: AtomicUsize,
    pub(super) each: usize,
    pub(super) descriptors: Arc<Descriptors>,
    /// With this many, only one task at a time is done. The deepest is begun first, so that only those on one path down
    /// get open.
    most_in_all: AtomicUsize,
    /// The most directories on one path down that are kept open.
    pub(super) most_open: usize,
    /// Whether only one task at a time is done.
    in_turn: bool,
    pub(super) selects: bool,
    admission: Arc<Admission>,
    /// Dropped last, when nothing is open any more.
    pub(super) visitor: V,
}

/// A traversal of a tree, as the source of a stream. A clone is the same traversal.
pub struct PostOrder<V: Visitor>(Arc<Shared<V>>);

impl<V: Visitor> Clone for PostOrder<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The manner of a traversal.
pub(crate) struct Manner {
    /// Whether only one task at a time is done.
    pub(crate) in_turn: bool,
    /// The consumer selects from each directory what is visited.
    pub(crate) selects: bool,
    /// The number of descriptors that one directory takes.
    pub(crate) descriptors: usize,
    pub(crate) workers: usize,
    /// Those that it shares with others.
    pub(crate) shared: Arc<Descriptors>,
}

impl<V: Visitor> PostOrder<V> {
    /// A tree whose top has this name in a place.
    pub(crate) fn new(
        visitor: V,
        reporter: Arc<Reporter>,
        (place, mark): (V::Place, V::Mark),
        top: NativePath,
        manner: &Manner,
    ) -> Self {
        let outside = Node::new(top.clone(), mark, None, &Arc::new(place));
        let stack = Stack {
            tasks: vec![Task::Top(top)],
            paused: Vec::new(),
            claimed: 0,
            selecting: HashMap::new(),
            selections: 0,
        };
        // For all ways down together.
        let budget = (platform::most_descriptors() / TREE_SHARE).min(TREE_MOST_OPEN) / manner.descriptors;
        let needs = manner.descriptors * (TREE_LEAST_OPEN + 1) + TREE_ENTRY_OPEN;
        Self(Arc::new(Shared {
            admission: Admission::new(&manner.shared, needs),
            visitor,
            reporter,
            outside,
            stack: Mutex::new(stack),
            open: AtomicUsize::new(0),
            each: manner.descriptors,
            descriptors: Arc::clone(&manner.shared),
            most_in_all: AtomicUsize::new(budget),
            most_open: (budget / manner.workers.max(1)).max(TREE_LEAST_OPEN),
            in_turn: manner.in_turn,
            selects: manner.selects,
        }))
    }

    pub(crate) fn visitor(&self) -> &V {
        &self.0.visitor
    }

    /// What the consumer has to be admitted by before the first batch.
    pub(crate) fn admission(&self) -> Arc<Admission> {
        Arc::clone(&self.0.admission)
    }

    /// Whether there is nothing more to do.
    pub(crate) fn is_over(&self) -> bool {
        let stack = runtime::lock(&self.0.stack);
        stack.tasks.is_empty() && stack.paused.is_empty() && stack.claimed == 0
    }
}

impl<V: Visitor> Source for PostOrder<V> {
    type Batch = Report;
    type Part = Visiting<V>;

    fn claim(&mut self) -> Claim<Visiting<V>> {
        if self.0.visitor.is_paused() {
            return Claim::Over;
        }
        let mut stack = runtime::lock(&self.0.stack);
        if let Some(state) = stack.paused.pop() {
            stack.claimed += 1;
            return Claim::Part(Visiting::new(&self.0, state));
        }
        // Running tasks yield results by themselves, and a selection when it has been made.
        let nothing_now = match stack.claimed {
            0 if !stack.selecting.is_empty() => Claim::OnDemand,
            0 if stack.tasks.is_empty() => Claim::Over,
            _ => Claim::Later,
        };
        if stack.tasks.is_empty() {
            return nothing_now;
        }
        if stack.claimed > 0 && (self.0.in_turn || self.0.has_many_open()) {
            return Claim::Later;
        }
        let look = if stack.claimed == 0 { usize::MAX } else { TREE_LOOK };
        let mut open = stack.tasks.iter().enumerate().rev().take(look).filter_map(|(index, task)| {
            let node = task.node().unwrap_or(&self.0.outside);
            node.place().map(|place| (index, place))
        });
        let Some((index, place)) = open.next() else { return nothing_now };
        drop(open);
        let task = stack.tasks.remove(index);
        stack.claimed += 1;
        Claim::Part(Visiting::new(&self.0, State::Begin(task, place)))
    }

    fn order(&self) -> Order {
        Order::AsReady
    }
}

impl<V: Visitor> Shared<V> {
    /// Adds a task.
    pub(super) fn push(&self, task: Task<V>) {
        runtime::lock(&self.stack).tasks.push(task);
    }

    /// Adds the entries of a block, in slices.
    pub(super) fn push_slices(&self, node: &Arc<Node<V>>, block: &Arc<Block>, slices: &[(usize, usize)]) {
        runtime::lock(&self.stack).push_slices(node, block, slices);
    }

    pub(super) fn note_open(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.descriptors.opened(self.each);
    }

    fn has_many_open(&self) -> bool {
        self.descriptors.are_many_open()
            || self.open.load(Ordering::Relaxed) >= self.most_in_all.load(Ordering::Relaxed)
    }

    /// Closes a directory in this worker, unless another one still uses it, which then closes it.
    pub(super) fn close(&self, node: &Node<V>) {
        if !node.stays_open.load(Ordering::Relaxed) {
            drop(self.take(node));
        }
    }

    pub(super) fn take(&self, node: &Node<V>) -> Option<Arc<V::Place>> {
        let place = runtime::lock(&node.open).take();
        if place.is_some() {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.descriptors.closed(self.each);
        }
        place
    }

    pub(super) fn open_again(&self, node: &Node<V>, place: Arc<V::Place>) {
        // Another worker may have done the same.
        let before = runtime::lock(&node.open).replace(place);
        if before.is_none() {
            self.note_open();
        }
    }

    /// Defers a directory that cannot be opened because no descriptor is left until others have been closed; `false` if
    /// there are no others.
    pub(super) fn put_back(&self, above: &Arc<Node<V>>, name: &NativePath) -> bool {
        let mut stack = runtime::lock(&self.stack);
        if stack.claimed < 2 {
            return false;
        }
        self.most_in_all.fetch_min(self.open.load(Ordering::Relaxed), Ordering::Relaxed);
        stack.tasks.push(Task::Enter(Arc::clone(above), name.clone()));
        true
    }

    /// Puts aside a running task.
    pub(super) fn pause(&self, state: State<V>) {
        let mut stack = runtime::lock(&self.stack);
        stack.paused.push(state);
        stack.claimed -= 1;
    }

    /// Lets the consumer select from the entries of a directory; the selection counts as one task of it.
    pub(super) fn select(self: &Arc<Self>, node: &Arc<Node<V>>, block: Arc<Block>) -> Selection {
        node.pending.fetch_add(1, Ordering::Relaxed);
        let mut stack = runtime::lock(&self.stack);
        let number = stack.selections;
        stack.selections += 1;
        stack.selecting.insert(number, Arc::clone(node));
        drop(stack);
        let directory = platform::joined(node.names().into_iter()).unwrap_or_else(|| node.name.clone());
        // The selection keeps nothing open.
        let shared = Arc::downgrade(self);
        let proceed = move |kept: Arc<Block>| {
            if let Some(shared) = shared.upgrade() {
                shared.selected(number, &kept);
            }
        };
        Selection::new(directory, block, Box::new(proceed))
    }

    /// The consumer has selected.
    fn selected(&self, number: u64, kept: &Arc<Block>) {
        let mut stack = runtime::lock(&self.stack);
        let Some(node) = stack.selecting.remove(&number) else { return };
        let mut slices = slices(kept.len());
        if slices.is_empty() {
            slices.push((0, 0));
        }
        node.pending.fetch_add(slices.len() - 1, Ordering::Relaxed);
        stack.push_slices(&node, kept, &slices);
    }

    /// Stops: nothing more is begun.
    pub(super) fn give_up(&self) {
        let mut stack = runtime::lock(&self.stack);
        let (tasks, selecting) = (std::mem::take(&mut stack.tasks), std::mem::take(&mut stack.selecting));
        drop(stack);
        drop((tasks, selecting));
    }

    pub(super) fn finish_task(&self) {
        runtime::lock(&self.stack).claimed -= 1;
    }
}

impl<V: Visitor> Drop for Shared<V> {
    fn drop(&mut self) {
        self.descriptors.closed(self.open.load(Ordering::Relaxed) * self.each);
        self.admission.end();
    }
}
