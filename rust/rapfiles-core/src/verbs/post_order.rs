//! Going through a tree of directories with several workers at once, each directory left after everything in it.
//!
//! Everything in a directory is reached by its descriptor, so no link that takes the place of one can mislead a visit. How
//! many are open at once does not grow with the depth of the tree: those far above the one at hand are closed, and opened
//! again on the way back up through `..`, if that is still the directory that it was.
//!
//! What there is to do is kept on a stack, so what is deep is done first and little waits. A directory with many entries
//! is cut into slices, which several workers do at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::engine::runtime;
use crate::engine::stream::{Claim, Order, Part, Slice, Source, Step};
use crate::error::Error;
use crate::limits::{TREE_LEAST_OPEN, TREE_LOOK, TREE_MOST_OPEN, TREE_SHARE, TREE_SLICE};
use crate::platform::{self, DirectoryReader, NativePath};
use crate::verbs::listing::Block;
use crate::verbs::metadata::FileType;
use crate::verbs::report::{Policy, Report, Reporter};

/// What is done with the entries and directories of a tree.
pub(crate) trait Visitor: Send + Sync + Sized + 'static {
    /// What is open of a directory while something is done in it.
    type Place: Send + Sync + 'static;
    /// What is remembered of a directory until it is left.
    type Mark: Send + Sync + 'static;
    /// An entry that takes several steps.
    type Leaf: Send + 'static;

    /// Sees to an entry.
    fn visit(&self, at: &At<'_, Self>, file_type: Option<FileType>) -> Result<Visit<Self::Leaf>, Error>;

    /// Goes on with an entry for as long as the slice lasts; `true` when it is done.
    fn go_on(&self, leaf: &mut Self::Leaf, at: &At<'_, Self>, slice: &Slice<'_>) -> Result<bool, Error>;

    /// Opens a directory; `None` where there is nothing to do in it.
    fn enter(&self, at: &At<'_, Self>) -> Result<Option<Entered<Self>>, Error>;

    /// Opens again the directory that one is in, if that is still the one that it was.
    fn above(&self, node: &Node<Self>, place: &Self::Place, above: &Node<Self>)
    -> Result<Self::Place, Error>;

    /// Ends a directory after everything in it.
    fn leave(
        &self,
        node: &Arc<Node<Self>>,
        place: Arc<Self::Place>,
        above: &Arc<Self::Place>,
    ) -> Result<(), Error>;
}

/// What is to be done with an entry.
pub(crate) enum Visit<Leaf> {
    /// Nothing any more.
    Done,
    /// It takes several steps.
    Leaf(Leaf),
    /// It is a directory, to be entered.
    Directory,
}

/// A directory that has been opened.
pub(crate) struct Entered<V: Visitor> {
    pub(crate) place: V::Place,
    pub(crate) mark: V::Mark,
    pub(crate) reader: DirectoryReader,
    /// There is no way back from here through `..`: what is above has to stay open.
    pub(crate) keeps_above: bool,
}

/// Where a visit is.
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
    /// Closed while what is done is far below.
    open: Mutex<Option<Arc<V::Place>>>,
    stays_open: std::sync::atomic::AtomicBool,
    /// Tasks that are not done; the entering is one.
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

    pub(crate) fn place(&self) -> Option<Arc<V::Place>> {
        runtime::lock(&self.open).clone()
    }
}

impl<V: Visitor> Drop for Node<V> {
    /// Step by step: the chain may be longer than a thread's stack is deep.
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
    /// Tasks that have been claimed and are not done.
    claimed: usize,
}

pub(crate) struct Shared<V: Visitor> {
    reporter: Arc<Reporter>,
    outside: Arc<Node<V>>,
    stack: Mutex<Stack<V>>,
    /// So many directories on one way down are open.
    most_open: usize,
    /// One task at a time.
    in_turn: bool,
    /// Dropped last: then nothing is open any more.
    visitor: V,
}

/// A way through a tree, as the source of a stream.
pub struct PostOrder<V: Visitor>(Arc<Shared<V>>);

/// How a tree is gone through.
pub(crate) struct Manner {
    /// One task at a time.
    pub(crate) in_turn: bool,
    /// The number of descriptors that one directory takes.
    pub(crate) descriptors: usize,
    pub(crate) workers: usize,
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
        let stack = Stack { tasks: vec![Task::Top(top)], claimed: 0 };
        // For all ways down together.
        let budget = (platform::most_descriptors() / TREE_SHARE).min(TREE_MOST_OPEN);
        Self(Arc::new(Shared {
            visitor,
            reporter,
            outside,
            stack: Mutex::new(stack),
            most_open: (budget / (manner.descriptors * manner.workers.max(1))).max(TREE_LEAST_OPEN),
            in_turn: manner.in_turn,
        }))
    }
}

impl<V: Visitor> Source for PostOrder<V> {
    type Batch = Report;
    type Part = Visiting<V>;

    fn claim(&mut self) -> Claim<Visiting<V>> {
        let mut stack = runtime::lock(&self.0.stack);
        if stack.tasks.is_empty() {
            return if stack.claimed == 0 { Claim::Over } else { Claim::Later };
        }
        if self.0.in_turn && stack.claimed > 0 {
            return Claim::Later;
        }
        let look = if stack.claimed == 0 { usize::MAX } else { TREE_LOOK };
        let mut open = stack.tasks.iter().enumerate().rev().take(look).filter_map(|(index, task)| {
            let node = task.node().unwrap_or(&self.0.outside);
            node.place().map(|place| (index, place))
        });
        let Some((index, place)) = open.next() else { return Claim::Later };
        drop(open);
        let task = stack.tasks.remove(index);
        stack.claimed += 1;
        Claim::Part(Visiting { shared: Arc::clone(&self.0), state: State::Begin(task, place), failure: None })
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
    },
    Entries(Entries<V>),
    /// A task of this directory is done.
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

/// A task of the tree, and what comes of it.
pub struct Visiting<V: Visitor> {
    state: State<V>,
    /// What has failed and is still to be told.
    failure: Option<Error>,
    /// Dropped last, as the visitor is.
    shared: Arc<Shared<V>>,
}

impl<V: Visitor> Visiting<V> {
    /// Does a little; an error is of one entry, and what else there is can be gone on with, unless the state is over.
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
            State::Reading { node, place, reader } => self.read(node, place, reader),
            State::Entries(entries) => self.see_to(entries, slice),
            State::Ending(node) => self.end(node),
            State::Over => Ok(()),
        }
    }

    fn enter(&mut self, above: Arc<Node<V>>, place: Arc<V::Place>, name: NativePath) -> Result<(), Error> {
        let entered = self.shared.visitor.enter(&At { node: &above, place: &place, name: &name });
        let Entered { place, mark, reader, keeps_above } = match entered {
            Ok(Some(entered)) => entered,
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
        // Closed in this worker: nobody else has it, or they close it.
        if let Some(far) = node.chain().nth(self.shared.most_open)
            && !far.stays_open.load(Ordering::Relaxed)
        {
            let closed = runtime::lock(&far.open).take();
            drop(closed);
        }
        self.state = State::Reading { node, place, reader };
        Ok(())
    }

    /// Reads some of what is in a directory, and leaves it to whoever has time.
    fn read(
        &mut self,
        node: Arc<Node<V>>,
        place: Arc<V::Place>,
        mut reader: DirectoryReader,
    ) -> Result<(), Error> {
        let mut block = Block::default();
        let read = reader.read(&mut |entry| block.push(entry));
        let (block, length) = {
            let length = block.len();
            (Arc::new(block), length)
        };
        let mut from = 0;
        let mut tasks = Vec::new();
        // Unless there is more to be read, the last slice is done here.
        let goes_on = matches!(read, Ok(true));
        while from < length {
            let end = length.min(from + TREE_SLICE);
            tasks.push((from, end));
            from = end;
        }
        let own = if goes_on { None } else { tasks.pop() };
        if !tasks.is_empty() {
            node.pending.fetch_add(tasks.len(), Ordering::Relaxed);
            let mut stack = runtime::lock(&self.shared.stack);
            for (from, end) in tasks {
                stack.tasks.push(Task::Entries(Arc::clone(&node), Arc::clone(&block), from, end));
            }
        }
        let failed = read.err().map(|error| self.shared.visitor_error(&error, &node));
        self.state = match own {
            Some((at, end)) => State::Entries(Entries { node, place, block, at, end, leaf: None }),
            None if goes_on => State::Reading { node, place, reader },
            None => State::Ending(node),
        };
        failed.map_or(Ok(()), Err)
    }

    /// Sees to the next entry.
    fn see_to(&mut self, mut entries: Entries<V>, slice: &Slice<'_>) -> Result<(), Error> {
        let shared = &self.shared;
        let (node, place) = (Arc::clone(&entries.node), Arc::clone(&entries.place));
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
        self.state = State::Entries(entries);
        done
    }

    /// A task of a directory is done, and if that was the last one, the directory is.
    fn end(&mut self, node: Arc<Node<V>>) -> Result<(), Error> {
        if node.pending.fetch_sub(1, Ordering::AcqRel) > 1 {
            return Ok(());
        }
        let Some(above) = node.above.clone() else { return Ok(()) };
        let visitor = &self.shared.visitor;
        // What has nothing pending below it is open.
        let place = runtime::lock(&node.open).take();
        let Some(place) = place else {
            return Err(Error::Panic("a directory of a tree was closed too early".to_owned()));
        };
        let opened = match above.place() {
            Some(opened) => opened,
            None => {
                // Without a way back, the rest cannot be done: the state stays over.
                let opened =
                    Arc::new(visitor.above(&node, &place, &above).inspect_err(|_| self.shared.give_up())?);
                *runtime::lock(&above.open) = Some(Arc::clone(&opened));
                opened
            }
        };
        let left = visitor.leave(&node, place, &opened);
        self.state = State::Ending(above);
        left
    }

    /// Whether what has just failed leaves nothing to go on with.
    fn is_about_everything(&self) -> bool {
        match &self.state {
            State::Entries(entries) => entries.node.is_outside(),
            State::Ending(node) => node.is_outside(),
            State::Over => true,
            State::Begin(..) | State::Reading { .. } => false,
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
    /// The error of reading a directory.
    fn visitor_error(&self, error: &std::io::Error, node: &Node<V>) -> Error {
        let path = platform::joined(node.names().into_iter());
        Error::new(error, path.map_or(crate::error::Subject::Nothing, crate::error::Subject::Other))
    }

    /// Nothing more is begun.
    fn give_up(&self) {
        let tasks = std::mem::take(&mut runtime::lock(&self.stack).tasks);
        drop(tasks);
    }

    fn finish_task(&self) {
        runtime::lock(&self.stack).claimed -= 1;
    }
}

impl<V: Visitor> Part for Visiting<V> {
    type Batch = Report;

    fn step(&mut self, slice: &Slice<'_>) -> Result<Step<Report>, Error> {
        loop {
            if let Some(error) = self.failure.take() {
                return Ok(Step::Batch(Report::Failed(error)));
            }
            if let Err(error) = self.advance(slice) {
                match self.shared.reporter.failed() {
                    _ if self.is_about_everything() => return Err(error),
                    Policy::Raise => return Err(error),
                    Policy::Ignore => {}
                    Policy::Report => self.failure = Some(error),
                }
            }
            if matches!(self.state, State::Over) {
                let failure = self.failure.take().map(Report::Failed);
                self.shared.finish_task();
                return Ok(Step::Last(failure));
            }
            if let Some(snapshot) = self.shared.reporter.snapshot(|| self.current()) {
                return Ok(Step::Batch(Report::Progress(snapshot)));
            }
            if slice.is_over() {
                return Ok(Step::Again);
            }
        }
    }
}
