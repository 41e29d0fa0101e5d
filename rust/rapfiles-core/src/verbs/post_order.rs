//! Post-order traversal of a tree of directories by several workers, each directory left after everything in it.
//!
//! Entries are accessed relative to the descriptor of their directory, so no link that replaces a directory can mislead
//! a visit. The number of open directories does not grow with the depth of the tree: those far above the current one
//! are closed, and opened again on the way back up through `..`, if that is still the same directory.
//!
//! Tasks are kept on a stack, so that deep ones are done first and few wait. A directory with many entries is cut into
//! slices, which several workers process at once.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::engine::runtime;
use crate::engine::stream::{Claim, Order, Part, Slice, Source, Step};
use crate::error::{Error, Subject};
use crate::limits::{TREE_ENTRY_OPEN, TREE_LEAST_OPEN, TREE_LOOK, TREE_MOST_OPEN, TREE_SHARE, TREE_SLICE};
use crate::platform::{self, DirectoryReader, NativePath};
use crate::verbs::descriptors::{Admission, Descriptors, Patience};
use crate::verbs::listing::Block;
use crate::verbs::metadata::FileType;
use crate::verbs::report::{Policy, Report, Reporter};
use crate::verbs::selection::Selection;

/// The work on the entries and directories of a tree.
pub(crate) trait Visitor: Send + Sync + Sized + 'static {
    /// The open directory while it is worked in.
    type Place: Send + Sync + 'static;
    /// The data that is kept for a directory until it is left.
    type Mark: Send + Sync + 'static;
    /// An entry that takes several steps.
    type Leaf: Send + 'static;

    /// Whether all entries of a directory are known before anything is done with one: some file systems pass over some
    /// when others are removed meanwhile.
    const LISTS_FIRST: bool = false;
    /// Whether a directory that could not be entered for want of descriptors can be entered later: nothing was done.
    const ENTERS_LATER: bool = false;

    /// Visits an entry.
    fn visit(&self, at: &At<'_, Self>, file_type: Option<FileType>) -> Result<Visit<Self::Leaf>, Error>;

    /// Continues with an entry for as long as the slice lasts; `true` when it is done.
    fn go_on(&self, leaf: &mut Self::Leaf, at: &At<'_, Self>, slice: &Slice<'_>) -> Result<bool, Error>;

    /// Opens a directory; `None` if there is nothing to do in it.
    fn enter(&self, at: &At<'_, Self>) -> Result<Option<Entered<Self>>, Error>;

    /// Handles a directory that cannot be entered because no descriptor is left, although others have been closed.
    fn cannot_enter(&self, _at: &At<'_, Self>, error: Error) -> Result<(), Error> {
        Err(error)
    }

    /// Handles a directory whose entries, or some of them, could not be read.
    fn cannot_read(&self, node: &Node<Self>, error: &io::Error) -> Result<(), Error> {
        let path = platform::joined(node.names().into_iter());
        Err(Error::new(error, path.map_or(Subject::Nothing, Subject::Other)))
    }

    /// Opens again the directory that one is in, if that is still the one that it was; `None` where there is no way
    /// back and the consumer is told otherwise.
    fn above(
        &self,
        node: &Node<Self>,
        place: &Self::Place,
        above: &Node<Self>,
    ) -> Result<Option<Self::Place>, Error>;

    /// Handles that a directory cannot be opened again because no descriptor is left.
    fn cannot_go_back(&self, _node: &Node<Self>, error: Error) -> Result<(), Error> {
        Err(error)
    }

    /// Ends a directory after everything in it.
    fn leave(
        &self,
        node: &Arc<Node<Self>>,
        place: Arc<Self::Place>,
        above: &Arc<Self::Place>,
    ) -> Result<Left, Error>;

    /// Whether nothing is to be done until the consumer has seen to something. Then all tasks are put aside and the
    /// stream ends; another one goes on with them.
    fn is_paused(&self) -> bool {
        false
    }
}

/// The result of ending a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// It is ended.
    Done,
    /// It has to be entered once more.
    Again,
}

/// What to do with an entry.
pub(crate) enum Visit<Leaf> {
    /// Nothing more.
    Done,
    /// It takes several steps.
    Leaf(Leaf),
    /// It is a directory to enter.
    Directory,
}

/// A directory that has been opened.
pub(crate) struct Entered<V: Visitor> {
    pub(crate) place: V::Place,
    pub(crate) mark: V::Mark,
    pub(crate) reader: DirectoryReader,
    /// Whether there is no way back from here through `..`, so that the directories above have to stay open.
    pub(crate) keeps_above: bool,
}

/// The place of a visit.
pub(crate) struct At<'a, V: Visitor> {
    pub(crate) node: &'a Arc<Node<V>>,
    pub(crate) place: &'a Arc<V::Place>,
    pub(crate) name: &'a NativePath,
}

/// A directory between its entering and its end; the top one stands for where the tree is.
pub(crate) struct Node<V: Visitor> {
    pub(crate) name: NativePath,
    pub(crate) mark: V::Mark,
    pub(crate) above: Option<Arc<Self>>,
    depth: usize,
    /// `None` while the work is far below, and the directory closed.
    open: Mutex<Option<Arc<V::Place>>>,
    stays_open: std::sync::atomic::AtomicBool,
    /// The number of unfinished tasks; entering it is one.
    pending: AtomicUsize,
}

impl<V: Visitor> Node<V> {
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

    fn is_open(&self) -> bool {
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

enum Task<V: Visitor> {
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
fn slices(length: usize) -> Vec<(usize, usize)> {
    (0..length).step_by(TREE_SLICE).map(|from| (from, length.min(from + TREE_SLICE))).collect()
}

pub(crate) struct Shared<V: Visitor> {
    reporter: Arc<Reporter>,
    outside: Arc<Node<V>>,
    stack: Mutex<Stack<V>>,
    /// The number of open directories, and of descriptors that each takes.
    open: AtomicUsize,
    each: usize,
    descriptors: Arc<Descriptors>,
    /// With this many, only one task at a time is done. The deepest is begun first, so that only those on one path down
    /// get open.
    most_in_all: AtomicUsize,
    /// The most directories on one path down that are kept open.
    most_open: usize,
    /// Whether only one task at a time is done.
    in_turn: bool,
    selects: bool,
    admission: Arc<Admission>,
    /// Dropped last, when nothing is open any more.
    visitor: V,
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
        let outside = Arc::new(Node {
            name: top.clone(),
            mark,
            above: None,
            depth: 0,
            open: Mutex::new(Some(Arc::new(place))),
            stays_open: true.into(),
            pending: AtomicUsize::new(1),
        });
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

enum State<V: Visitor> {
    Begin(Task<V>, Arc<V::Place>),
    Reading {
        node: Arc<Node<V>>,
        place: Arc<V::Place>,
        reader: DirectoryReader,
        /// What has been read before, where all of it has to be known first.
        block: Block,
    },
    Entries(Entries<V>),
    /// A task of this directory is complete.
    Ending(Arc<Node<V>>),
    Over,
}

struct Entries<V: Visitor> {
    node: Arc<Node<V>>,
    place: Arc<V::Place>,
    block: Arc<Block>,
    at: usize,
    end: usize,
    leaf: Option<(NativePath, V::Leaf)>,
}

/// A task of the tree, and its results.
pub struct Visiting<V: Visitor> {
    state: State<V>,
    /// Reports that have not been handed out.
    news: VecDeque<Report>,
    patience: Patience,
    /// There was no descriptor for what is tried again.
    gives_way: bool,
    /// Dropped last, as the visitor is.
    shared: Arc<Shared<V>>,
}

impl<V: Visitor> Visiting<V> {
    fn new(shared: &Arc<Shared<V>>, state: State<V>) -> Self {
        let (news, patience) = (VecDeque::new(), Patience::default());
        Self { state, news, patience, gives_way: false, shared: Arc::clone(shared) }
    }

    /// Whether to try again what failed for want of a descriptor, when others have done something.
    fn tries_again(&mut self, error: &Error) -> bool {
        if error.lacks_descriptors() {
            let shared = &self.shared;
            let own = shared.open.load(Ordering::Relaxed) * shared.each;
            self.gives_way = self.patience.lasts(&shared.descriptors, own);
        }
        self.gives_way
    }

    /// Does a little work; an error concerns one entry, and the rest can continue, unless the state is over.
    fn advance(&mut self, slice: &Slice<'_>) -> Result<(), Error> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Begin(Task::Top(name), place) => {
                let node = Arc::clone(&self.shared.outside);
                let mut block = Block::default();
                block.push(crate::verbs::listing::Entry {
                    name: &platform::name_bytes(&name),
                    file_type: None,
                    inode: 0,
                })?;
                let block = Arc::new(block);
                self.state = State::Entries(Entries { node, place, block, at: 0, end: 1, leaf: None });
                Ok(())
            }
            State::Begin(Task::Enter(node, name), place) => self.enter(node, place, name),
            State::Begin(Task::Entries(node, block, at, end), place) => {
                self.state = State::Entries(Entries { node, place, block, at, end, leaf: None });
                Ok(())
            }
            State::Reading { node, place, reader, block } => self.read(node, place, reader, block),
            State::Entries(entries) => self.see_to(entries, slice),
            State::Ending(node) => self.end(node),
            State::Over => Ok(()),
        }
    }

    fn enter(&mut self, above: Arc<Node<V>>, place: Arc<V::Place>, name: NativePath) -> Result<(), Error> {
        let at = At { node: &above, place: &place, name: &name };
        let entered = self.shared.visitor.enter(&at).or_else(|error| {
            if !V::ENTERS_LATER || !error.lacks_descriptors() {
                return Err(error);
            }
            above.chain().skip(1).for_each(|far| self.shared.close(far));
            self.shared.visitor.enter(&at)
        });
        let Entered { place, mark, reader, keeps_above } = match entered {
            Ok(Some(entered)) => entered,
            Err(error) if V::ENTERS_LATER && error.lacks_descriptors() => {
                if self.shared.put_back(&above, &name) {
                    return Ok(());
                }
                if self.tries_again(&error) {
                    self.state = State::Begin(Task::Enter(above, name), place);
                    return Ok(());
                }
                let failed = self.shared.visitor.cannot_enter(&at, error);
                self.state = State::Ending(above);
                return failed;
            }
            Ok(None) => {
                self.state = State::Ending(above);
                return Ok(());
            }
            Err(error) => {
                self.state = State::Ending(above);
                return Err(error);
            }
        };
        if keeps_above {
            above.stays_open.store(true, Ordering::Relaxed);
        }
        let place = Arc::new(place);
        let node = Arc::new(Node {
            name,
            mark,
            depth: above.depth + 1,
            above: Some(above),
            open: Mutex::new(Some(Arc::clone(&place))),
            stays_open: false.into(),
            pending: AtomicUsize::new(1),
        });
        self.patience.rest();
        self.shared.note_open();
        // Only the nearest, if others need some too.
        let most =
            if self.shared.descriptors.are_many_open() { TREE_LEAST_OPEN } else { self.shared.most_open };
        for far in node.chain().skip(most).take_while(|far| far.is_open()) {
            self.shared.close(far);
        }
        self.state = State::Reading { node, place, reader, block: Block::default() };
        Ok(())
    }

    /// Reads some of the entries of a directory, and leaves them to any worker.
    fn read(
        &mut self,
        node: Arc<Node<V>>,
        place: Arc<V::Place>,
        mut reader: DirectoryReader,
        mut block: Block,
    ) -> Result<(), Error> {
        let read = reader.read(&mut |entry| block.push(entry));
        let goes_on = matches!(read, Ok(true));
        if goes_on && (self.shared.selects || V::LISTS_FIRST) {
            self.state = State::Reading { node, place, reader, block };
            return Ok(());
        }
        let failed = read.map_or_else(|error| self.shared.visitor.cannot_read(&node, &error), |_| Ok(()));
        if V::LISTS_FIRST
            && block.len() > TREE_SLICE
            && let Ok(sorted) = block.by_inode()
        {
            // Neighbours share the blocks of the inode table and of its bitmaps, which the order of a directory that is
            // hashed jumps between (`fs/ext4/hash.c` of the kernel). coreutils' `rm` does the same (`fts.c` of gnulib).
            block = sorted;
        }
        let block = Arc::new(block);
        if self.shared.selects {
            self.news.push_back(Report::Selecting(self.shared.select(&node, block)));
            self.state = State::Ending(node);
            return failed;
        }
        let mut slices = slices(block.len());
        // Unless there is more to be read, the last slice is done here.
        let own = if goes_on { None } else { slices.pop() };
        if !slices.is_empty() {
            node.pending.fetch_add(slices.len(), Ordering::Relaxed);
            runtime::lock(&self.shared.stack).push_slices(&node, &block, &slices);
        }
        self.state = match own {
            Some((at, end)) => State::Entries(Entries { node, place, block, at, end, leaf: None }),
            None if goes_on => State::Reading { node, place, reader, block: Block::default() },
            None => State::Ending(node),
        };
        failed
    }

    /// Visits the next entry.
    fn see_to(&mut self, mut entries: Entries<V>, slice: &Slice<'_>) -> Result<(), Error> {
        let shared = &self.shared;
        let (node, place) = (Arc::clone(&entries.node), Arc::clone(&entries.place));
        let was_begun = entries.leaf.is_some();
        let done = if let Some((name, leaf)) = &mut entries.leaf {
            match shared.visitor.go_on(leaf, &At { node: &node, place: &place, name }, slice) {
                Ok(false) => Ok(()),
                ended => {
                    // Dropped after the name was used.
                    entries.leaf = None;
                    ended.map(drop)
                }
            }
        } else if entries.at == entries.end {
            self.state = State::Ending(node);
            return Ok(());
        } else {
            let found = entries.block.get(entries.at);
            entries.at += 1;
            let named = found.and_then(|entry| Some((platform::native_name(entry.name)?, entry.file_type)));
            match named {
                None => Ok(()),
                Some((name, file_type)) => {
                    match shared.visitor.visit(&At { node: &node, place: &place, name: &name }, file_type) {
                        Ok(Visit::Done) => Ok(()),
                        Ok(Visit::Leaf(leaf)) => {
                            entries.leaf = Some((name, leaf));
                            Ok(())
                        }
                        Ok(Visit::Directory) => {
                            node.pending.fetch_add(1, Ordering::Relaxed);
                            runtime::lock(&shared.stack).tasks.push(Task::Enter(node, name));
                            Ok(())
                        }
                        Err(error) => Err(error),
                    }
                }
            }
        };
        let is_begun = entries.leaf.is_some();
        self.state = State::Entries(entries);
        match done {
            Err(error) if !is_begun && !was_begun && self.tries_again(&error) => {
                if let State::Entries(entries) = &mut self.state {
                    entries.at -= 1;
                }
                Ok(())
            }
            done => done,
        }
    }

    /// Completes a task of a directory, and with the last one the directory.
    fn end(&mut self, node: Arc<Node<V>>) -> Result<(), Error> {
        if node.pending.fetch_sub(1, Ordering::AcqRel) > 1 {
            return Ok(());
        }
        let Some(above) = node.above.clone() else { return Ok(()) };
        let shared = Arc::clone(&self.shared);
        let visitor = &shared.visitor;
        // A directory with nothing pending below it is open.
        let Some(place) = shared.take(&node) else {
            return Err(Error::Panic("a directory of a tree was closed too early".to_owned()));
        };
        let opened = match above.place() {
            Some(opened) => opened,
            None => {
                let opened = match visitor.above(&node, &place, &above) {
                    Err(error) if self.tries_again(&error) => {
                        node.pending.store(1, Ordering::Relaxed);
                        shared.open_again(&node, place);
                        self.state = State::Ending(node);
                        return Ok(());
                    }
                    Err(error) if error.lacks_descriptors() => {
                        shared.give_up();
                        return shared.visitor.cannot_go_back(&node, error);
                    }
                    // Without a way back, the rest cannot be done: the state stays over.
                    opened => opened.inspect_err(|_| shared.give_up())?,
                };
                let Some(opened) = opened.map(Arc::new) else {
                    shared.give_up();
                    return Ok(());
                };
                shared.open_again(&above, Arc::clone(&opened));
                opened
            }
        };
        let left = visitor.leave(&node, place, &opened);
        if matches!(left, Ok(Left::Again)) {
            above.pending.fetch_add(1, Ordering::Relaxed);
            let again = Task::Enter(Arc::clone(&above), node.name.clone());
            runtime::lock(&shared.stack).tasks.push(again);
        } else if above.is_outside() {
            // Nothing is open any more when the consumer knows that it is over.
            let closed = runtime::lock(&above.open).take();
            drop(closed);
        }
        self.state = State::Ending(above);
        left.map(drop)
    }

    /// Whether the failure leaves nothing to continue with.
    fn is_about_everything(&self) -> bool {
        match &self.state {
            State::Entries(entries) => entries.node.is_outside(),
            State::Ending(node) => node.is_outside(),
            State::Over => true,
            State::Begin(..) | State::Reading { .. } => false,
        }
    }

    /// How deep it is, the top being 1, and whether it is reading a directory.
    #[cfg(all(test, unix))]
    pub(crate) fn place_in_tree(&self) -> (usize, bool) {
        match &self.state {
            State::Entries(entries) => (entries.node.depth, false),
            State::Ending(node) => (node.depth, false),
            State::Reading { node, .. } => (node.depth, true),
            State::Begin(..) | State::Over => (0, false),
        }
    }

    /// The path for a report of progress.
    fn current(&self) -> Option<NativePath> {
        let (node, name) = match &self.state {
            State::Entries(entries) => {
                let name = match &entries.leaf {
                    Some((name, _)) => Some(name.clone()),
                    None => entries
                        .block
                        .get(entries.at.saturating_sub(1))
                        .and_then(|e| platform::native_name(e.name)),
                };
                (&entries.node, name)
            }
            State::Reading { node, .. } | State::Ending(node) => (node, None),
            State::Begin(..) | State::Over => return None,
        };
        platform::joined(node.names().into_iter().chain(&name))
    }
}

impl<V: Visitor> Shared<V> {
    fn note_open(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.descriptors.opened(self.each);
    }

    fn has_many_open(&self) -> bool {
        self.descriptors.are_many_open()
            || self.open.load(Ordering::Relaxed) >= self.most_in_all.load(Ordering::Relaxed)
    }

    /// Closes a directory in this worker, unless another one still uses it, which then closes it.
    fn close(&self, node: &Node<V>) {
        if !node.stays_open.load(Ordering::Relaxed) {
            drop(self.take(node));
        }
    }

    fn take(&self, node: &Node<V>) -> Option<Arc<V::Place>> {
        let place = runtime::lock(&node.open).take();
        if place.is_some() {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.descriptors.closed(self.each);
        }
        place
    }

    fn open_again(&self, node: &Node<V>, place: Arc<V::Place>) {
        // Another worker may have done the same.
        let before = runtime::lock(&node.open).replace(place);
        if before.is_none() {
            self.note_open();
        }
    }

    /// Defers a directory that cannot be opened because no descriptor is left until others have been closed; `false` if
    /// there are no others.
    fn put_back(&self, above: &Arc<Node<V>>, name: &NativePath) -> bool {
        let mut stack = runtime::lock(&self.stack);
        if stack.claimed < 2 {
            return false;
        }
        self.most_in_all.fetch_min(self.open.load(Ordering::Relaxed), Ordering::Relaxed);
        stack.tasks.push(Task::Enter(Arc::clone(above), name.clone()));
        true
    }

    /// Puts aside a running task.
    fn pause(&self, state: State<V>) {
        let mut stack = runtime::lock(&self.stack);
        stack.paused.push(state);
        stack.claimed -= 1;
    }

    /// Lets the consumer select from the entries of a directory; the selection counts as one task of it.
    fn select(self: &Arc<Self>, node: &Arc<Node<V>>, block: Arc<Block>) -> Selection {
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
    fn give_up(&self) {
        let mut stack = runtime::lock(&self.stack);
        let (tasks, selecting) = (std::mem::take(&mut stack.tasks), std::mem::take(&mut stack.selecting));
        drop(stack);
        drop((tasks, selecting));
    }

    fn finish_task(&self) {
        runtime::lock(&self.stack).claimed -= 1;
    }
}

impl<V: Visitor> Part for Visiting<V> {
    type Batch = Report;

    fn step(&mut self, slice: &Slice<'_>) -> Result<Step<Report>, Error> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Ok(Step::Batch(news));
            }
            if self.shared.visitor.is_paused() {
                self.shared.pause(std::mem::replace(&mut self.state, State::Over));
                return Ok(Step::Last(None));
            }
            if let Err(error) = self.advance(slice) {
                match self.shared.reporter.failed() {
                    _ if self.is_about_everything() => return Err(error),
                    Policy::Raise => return Err(error),
                    Policy::Ignore => {}
                    Policy::Report => self.news.push_back(Report::Failed(error)),
                }
            }
            if matches!(self.state, State::Over) && self.news.len() <= 1 {
                self.shared.finish_task();
                return Ok(Step::Last(self.news.pop_front()));
            }
            if let Some(snapshot) = self.shared.reporter.snapshot(|| self.current()) {
                return Ok(Step::Batch(Report::Progress(snapshot)));
            }
            if std::mem::take(&mut self.gives_way) {
                return Ok(Step::Later);
            }
            if slice.is_over() {
                return Ok(Step::Again);
            }
        }
    }
}

impl<V: Visitor> Drop for Shared<V> {
    fn drop(&mut self) {
        self.descriptors.closed(self.open.load(Ordering::Relaxed) * self.each);
        self.admission.end();
    }
}
