//! A task of the traversal, which one worker at a time goes on with.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::node::Node;
use super::traversal::{Shared, Task, slices};
use super::visitor::{At, Entered, Left, Visit, Visitor};
use crate::engine::runtime;
use crate::engine::stream::{Part, Slice, Step};
use crate::error::Error;
use crate::limits::{TREE_LEAST_OPEN, TREE_SLICE};
use crate::platform::{self, DirectoryReader, NativePath};
use crate::verbs::descriptors::Patience;
use crate::verbs::listing::Block;
use crate::verbs::report::{Policy, Report};

pub(super) enum State<V: Visitor> {
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

pub(super) struct Entries<V: Visitor> {
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
    pub(super) fn new(shared: &Arc<Shared<V>>, state: State<V>) -> Self {
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
        let node = Node::new(name, mark, Some(above), &place);
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
            self.shared.push_slices(&node, &block, &slices);
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
                            shared.push(Task::Enter(node, name));
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
            shared.push(again);
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
