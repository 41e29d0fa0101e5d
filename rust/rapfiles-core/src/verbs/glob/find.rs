//! The search: the directories found last first, each read once, several at the same time.
//!
//! A part of the search reads directories until they are a batch, those that it finds among them, and leaves the others
//! to the parts that are begun later. Batches are handed out in the order in which their parts were begun, so a
//! directory comes before what is in it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::path::MAIN_SEPARATOR_STR;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use super::barren::{self, Barren, Doubt, Place, Search};
use super::selector::{Part as PatternPart, Position, Positions, Selector, Sets};
use crate::engine::Engine;
use crate::engine::kind::Kind;
use crate::engine::runtime;
use crate::engine::stream::{Claim, Part, Slice, Source, Step, Stream};
use crate::error::{Error, Subject};
use crate::limits::{GLOB_BATCH, GLOB_BATCH_TIME, GLOB_CLAIMED, GLOB_FOUND, GLOB_READY, TREE_DIRECTORY};
use crate::memory::joined;
use crate::platform::{self, DirectoryReader, NativePath};
use crate::verbs::descriptors::{BeingRead, Patience};
use crate::verbs::listing::{Block, Entry};
use crate::verbs::metadata::{FileType, Metadata};
use crate::verbs::report::Amount;

const SEPARATOR: &[u8] = MAIN_SEPARATOR_STR.as_bytes();
const PARENT: &[u8] = b"..";

/// The matches in one directory, or the directory itself.
#[derive(Debug, Default)]
pub struct GlobGroup {
    /// The text of paths before the names.
    pub prefix: Arc<[u8]>,
    /// Whether the top itself was found, of which there is no name.
    pub top: bool,
    /// The end of its names among all of them.
    pub end: usize,
}

/// Some of what was found.
#[derive(Debug, Default)]
pub struct GlobFound {
    /// Directory by directory; one may come several times.
    pub groups: VecDeque<GlobGroup>,
    /// The names of what was found, group after group. A type is that of the entry itself.
    pub names: Block,
    /// What names lead to whose own types are links or not known, where that was looked up: their numbers, and the types.
    targets: Vec<(usize, FileType)>,
    /// What has been read since the batch before, if somebody wants to know.
    pub amount: Amount,
    /// The text of the paths in the directory that was read last.
    place: Arc<[u8]>,
}

/// A directory to search.
#[derive(Debug)]
struct Node {
    prefix: Arc<[u8]>,
    positions: Arc<Positions>,
    /// Whether it is known to exist.
    exists: bool,
    /// Whether opening it may have to wait for a network or another process, as far as is known of where it is.
    waits: bool,
    /// The search that it is part of, if directories are recognised; its own, once it has been.
    search: Option<Arc<Search>>,
    is_recognised: bool,
}

/// Subdirectories of one directory to search.
#[derive(Debug)]
struct Level {
    prefix: Arc<[u8]>,
    names: Block,
    positions: Vec<Arc<Positions>>,
    at: usize,
    exists: bool,
    waits: bool,
    search: Option<Arc<Search>>,
}

/// A directory that is being read.
#[derive(Debug)]
struct Reading {
    node: Node,
    path: NativePath,
    reader: DirectoryReader,
    being_read: BeingRead,
    read: Block,
    at: usize,
    ended: bool,
    /// Those of its positions' literals that have come up.
    seen: Vec<Position>,
    /// The subdirectories that have been found so far.
    below: Level,
}

/// What of a directory that is being read an entry is looked at with.
struct View<'a> {
    node: &'a Node,
    path: &'a NativePath,
    reader: &'a DirectoryReader,
    seen: &'a mut Vec<Position>,
    below: &'a mut Level,
}

/// Directories that are to be looked into, those that come first behind the others.
#[derive(Debug, Default)]
struct Levels(Vec<Level>);

/// What the parts of a search share.
#[derive(Debug)]
struct Shared {
    engine: Arc<Engine>,
    selector: Selector,
    /// The path of the top, and its text as it comes before names.
    top: NativePath,
    prefix: Arc<[u8]>,
    workers: usize,
    /// Where nothing is found, if the pattern may lead to the same directory again and again.
    barren: Option<Arc<Barren>>,
    /// Somebody wants to know how far it has come.
    counts: bool,
    frontier: Mutex<Frontier>,
}

/// What is known of a search, and no part's.
#[derive(Debug, Default)]
struct Frontier {
    begun: bool,
    /// Directories that parts were begun with and have not come to.
    nodes: Vec<Node>,
    levels: Levels,
    /// Parts that may still leave some.
    under_way: usize,
    /// Sets that parts have made use of.
    spare: Vec<Sets>,
}

/// A search: the source of its stream.
#[derive(Debug)]
pub struct Glob(Arc<Shared>);

/// As much of a search as makes a batch.
#[derive(Debug)]
pub struct GlobPart {
    shared: Arc<Shared>,
    sets: Sets,
    /// Whether the top has to be looked at first.
    begins: bool,
    /// Why it could not be begun.
    failed: Option<Error>,
    /// What it was begun with, and what it has found of directories.
    claimed: Vec<Node>,
    levels: Levels,
    /// A directory that is entered when what has been found before has been handed out.
    delayed: Option<Node>,
    /// When it is to end, and how much it has read.
    until: Option<Instant>,
    size: usize,
    reading: Option<Reading>,
    patience: Patience,
    /// There is no descriptor for the directory that is next.
    gives_way: bool,
    /// The memory for the names of a directory, when it is not in use.
    read: Block,
    found: GlobFound,
    /// The text of the paths in the directory that was read last.
    place: Arc<[u8]>,
    room: Vec<u32>,
}

impl Level {
    fn new(node: &Node, exists: bool) -> Self {
        let (names, positions, search) = (Block::default(), Vec::new(), node.search.clone());
        Self { prefix: Arc::clone(&node.prefix), names, positions, at: 0, exists, waits: node.waits, search }
    }

    fn push(&mut self, entry: Entry<'_>, positions: Arc<Positions>) -> Result<(), Error> {
        self.positions.try_reserve(1)?;
        self.names.push(entry)?;
        self.positions.push(positions);
        Ok(())
    }
}

impl GlobFound {
    /// The type of what the entry of this number leads to, if that was looked up.
    pub fn target(&self, index: usize) -> Option<FileType> {
        let at = self.targets.binary_search_by_key(&index, |(number, _)| *number).ok()?;
        Some(self.targets[at].1)
    }

    /// `target`: what it leads to, if that was looked up.
    fn push(&mut self, node: &Node, entry: Entry<'_>, target: Option<FileType>) -> Result<(), Error> {
        if let Some(search) = &node.search {
            search.has_found();
        }
        let prefix = &node.prefix;
        if let Some(target) = target.filter(|_| entry.file_type.is_none_or(|own| own == FileType::SYMLINK)) {
            self.targets.try_reserve(1)?;
            self.targets.push((self.names.len(), target));
        }
        self.names.push(entry)?;
        let end = self.names.len();
        let last = self.groups.back_mut().filter(|last| Arc::ptr_eq(&last.prefix, prefix) && !last.top);
        match last {
            Some(group) => group.end = end,
            None => self.groups.push_back(GlobGroup { prefix: Arc::clone(prefix), top: false, end }),
        }
        Ok(())
    }

    /// The path of the directory that was read last.
    pub fn place(&self) -> Option<NativePath> {
        native(&self.place)
    }

    fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

/// The path of a directory with this text before the names in it.
fn native(prefix: &[u8]) -> Option<NativePath> {
    platform::native_name(if prefix.is_empty() { b"." } else { prefix })
}

/// `stat(2)` or `lstat(2)` of what has this name in a directory.
fn stat(node: &Node, name: &[u8], follow: bool) -> Option<Metadata> {
    let path = joined(&[&node.prefix, name]).ok()?;
    let found = platform::metadata(&platform::native_name(&path)?, follow);
    node.noted(found, || barren::loops_by_itself(&node.prefix, name))
}

impl Node {
    /// A result; notes what else another path to this directory might have found. `alike`: whether too many links are too
    /// many by any path.
    fn noted<T>(&self, result: io::Result<T>, alike: impl FnOnce() -> bool) -> Option<T> {
        match result {
            Ok(found) => Some(found),
            Err(error) => {
                if let Some(search) = &self.search {
                    search.doubt(Doubt::of(&error, alike));
                }
                None
            }
        }
    }
}

impl Levels {
    fn count(&self) -> usize {
        self.0.iter().map(|level| level.positions.len() - level.at).sum()
    }

    /// The next directory.
    fn next_node(&mut self) -> Result<Option<Node>, Error> {
        while let Some(level) = self.0.last_mut() {
            if let (Some(entry), Some(positions)) = (level.names.get(level.at), level.positions.get(level.at))
            {
                let prefix = joined(&[&level.prefix, entry.name, SEPARATOR])?.into();
                level.at += 1;
                let (positions, exists, waits) = (Arc::clone(positions), level.exists, level.waits);
                let search = level.search.clone();
                return Ok(Some(Node { prefix, positions, exists, waits, search, is_recognised: false }));
            }
            self.0.pop();
        }
        Ok(None)
    }
}

impl Shared {
    fn frontier(&self) -> MutexGuard<'_, Frontier> {
        runtime::lock(&self.frontier)
    }
}

impl Frontier {
    /// What a new part is to begin with: as much as leaves enough for the others.
    fn claim(&mut self, workers: usize, most: usize) -> Result<Vec<Node>, Error> {
        let most = ((self.nodes.len() + self.levels.count()) / (2 * workers)).clamp(1, most);
        let mut claimed = self.nodes.split_off(self.nodes.len().saturating_sub(most));
        while claimed.len() < most
            && let Some(node) = self.levels.next_node()?
        {
            claimed.push(node);
        }
        Ok(claimed)
    }
}

impl Source for Glob {
    type Batch = GlobFound;
    type Part = GlobPart;

    fn claim(&mut self) -> Claim<GlobPart> {
        let mut frontier = self.0.frontier();
        // A directory must have been searched before the next path to it is followed.
        if self.0.barren.is_some() && frontier.under_way > 0 {
            return Claim::Later;
        }
        let begins = !std::mem::replace(&mut frontier.begun, true);
        let most = if self.0.barren.is_some() { 1 } else { GLOB_CLAIMED };
        let (claimed, failed) = match frontier.claim(self.0.workers, most) {
            Ok(claimed) => (claimed, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        if claimed.is_empty() && failed.is_none() && !begins {
            return if frontier.under_way == 0 { Claim::Over } else { Claim::Later };
        }
        frontier.under_way += 1;
        let sets = frontier.spare.pop().unwrap_or_else(|| Sets::new(&self.0.selector));
        Claim::Part(GlobPart {
            shared: Arc::clone(&self.0),
            sets,
            begins,
            failed,
            claimed,
            levels: Levels::default(),
            delayed: None,
            until: None,
            size: 0,
            reading: None,
            patience: Patience::default(),
            gives_way: false,
            read: Block::default(),
            found: GlobFound::default(),
            place: Arc::clone(&self.0.prefix),
            room: Vec::new(),
        })
    }

    fn most_ready(&self) -> usize {
        GLOB_READY
    }
}

impl GlobPart {
    /// Looks at the top.
    fn begin(&mut self) -> Result<(), Error> {
        let (sets, shared) = (&mut self.sets, &self.shared);
        let Selector { rules, parts } = &shared.selector;
        sets.begin();
        sets.add(parts, 0);
        let is_found = sets.matches();
        let exists = (is_found || rules.needs_directory)
            && platform::metadata(&shared.top, true).is_ok_and(|found| found.is_directory());
        if rules.needs_directory && !exists {
            return Ok(());
        }
        let prefix = Arc::clone(&shared.prefix);
        if is_found && exists {
            let prefix = Arc::clone(&prefix);
            self.found.groups.push_back(GlobGroup { prefix, top: true, end: 0 });
        }
        match sets.finish(parts) {
            Some(positions) => {
                let (waits, search, is_recognised) = (true, None, false);
                self.enter(Node { prefix, positions, exists, waits, search, is_recognised })
            }
            None => Ok(()),
        }
    }

    /// The directory that is next; what it has found itself comes before what it was begun with.
    fn next_node(&mut self) -> Result<Option<Node>, Error> {
        if let Some(node) = self.delayed.take() {
            return Ok(Some(node));
        }
        Ok(self.levels.next_node()?.or_else(|| self.claimed.pop()))
    }

    /// Leaves out what would find nothing in a directory; `false` if nothing is left.
    fn recognise(&mut self, node: &mut Node) -> bool {
        let Some(barren) = self.shared.barren.as_ref().filter(|_| !node.is_recognised) else { return true };
        node.is_recognised = true;
        let Some(path) = native(&node.prefix) else { return true };
        let found = node.noted(platform::metadata(&path, true), || {
            let (directory, name) = barren::split(&node.prefix);
            barren::loops_by_itself(directory, name)
        });
        let Some(found) = found else { return true };
        let (place, length) = (Place::new(&found, node.exists), node.prefix.len());
        let (left, doubt) = barren.without(place, length, &node.positions.open);
        if let Some(search) = &node.search {
            search.doubt(doubt);
        }
        let Some(positions) = self.sets.of(left, &self.shared.selector.parts) else { return false };
        let search = Search::new(barren, node.search.take(), (place, length), &positions);
        (node.positions, node.search) = (positions, Some(search));
        true
    }

    /// Begins with a directory.
    fn enter(&mut self, mut node: Node) -> Result<(), Error> {
        if !self.recognise(&mut node) {
            return Ok(());
        }
        let mut below = Level::new(&node, true);
        let path = if node.positions.scans { native(&node.prefix) } else { None };
        let Some(path) = path else { return self.leave(&node, &[], below) };
        let mut being_read = self.shared.engine.descriptors.read();
        match DirectoryReader::open(&path) {
            Ok(reader) => {
                being_read.opened();
                self.found.amount.directories += u64::from(self.shared.counts);
                self.place = Arc::clone(&node.prefix);
                if node.waits {
                    node.waits = self.shared.engine.may_wait_for_others(&reader);
                    below.waits = node.waits;
                }
                let (mut read, seen) = (std::mem::take(&mut self.read), Vec::new());
                read.clear();
                self.reading =
                    Some(Reading { node, path, reader, being_read, read, at: 0, ended: false, seen, below });
                self.patience.rest();
                Ok(())
            }
            Err(error)
                if error.raw_os_error().is_some_and(platform::lacks_descriptors)
                    && self.patience.lasts(&self.shared.engine.descriptors, 1) =>
            {
                self.gives_way = true;
                self.delayed = Some(node);
                Ok(())
            }
            Err(error) => {
                self.check(&error, path)?;
                node.noted(Err::<(), _>(error), || false);
                self.leave(&node, &[], below)
            }
        }
    }

    /// Whether to leave the directory that is being read.
    fn is_over(&self, slice: &Slice<'_>) -> bool {
        slice.is_unwanted() || (slice.is_over() && self.shared.engine.descriptors.may_leave_open())
    }

    /// Ignores the errors that pathlib ignores, but never that something was not found for want of a descriptor.
    fn check(&self, error: &io::Error, path: NativePath) -> Result<(), Error> {
        let swallowed = error.raw_os_error().is_some_and(|code| {
            platform::is_refused(code) || platform::is_no_directory(code) || platform::means_missing(code)
        });
        let lacks = error.raw_os_error().is_some_and(platform::lacks_descriptors);
        match lacks || (self.shared.selector.rules.raises && !swallowed) {
            true => Err(Error::new(error, Subject::Other(path))),
            false => Ok(()),
        }
    }

    /// Goes on reading a directory, until it has been read to its end, there is a batch, or the slice is over.
    fn read(&mut self, mut reading: Reading, slice: &Slice<'_>) -> Result<(), Error> {
        loop {
            while let Some(entry) = reading.read.get(reading.at) {
                let view = View {
                    node: &reading.node,
                    path: &reading.path,
                    reader: &reading.reader,
                    seen: &mut reading.seen,
                    below: &mut reading.below,
                };
                let looked = self.look_at(entry, view)?;
                reading.at += 1;
                // Each may have to wait for a server.
                if looked && self.is_over(slice) {
                    self.reading = Some(reading);
                    return Ok(());
                }
            }
            if reading.ended {
                let Reading { node, reader, being_read, seen, below, read, .. } = reading;
                drop((reader, being_read));
                self.read = read;
                return self.leave(&node, &seen, below);
            }
            if self.found.names.len() >= GLOB_FOUND || self.is_over(slice) {
                self.reading = Some(reading);
                return Ok(());
            }
            let Reading { read, reader, .. } = &mut reading;
            read.clear();
            let outcome = reader.read(&mut |entry| read.push(entry));
            slice.count(reading.read.len() as u64);
            self.size += reading.read.len();
            reading.at = 0;
            reading.ended = !matches!(outcome, Ok(true));
            if let Err(error) = outcome {
                self.check(&error, reading.path.clone())?;
                reading.node.noted(Err::<(), _>(error), || false);
            }
        }
    }

    /// Matches an entry; returns whether that needed a system call.
    fn look_at(&mut self, entry: Entry<'_>, view: View<'_>) -> Result<bool, Error> {
        let (sets, Selector { rules, parts }) = (&mut self.sets, &self.shared.selector);
        let looked = Cell::new(false);
        let stat = |follow| {
            looked.set(true);
            view.node.noted(view.reader.stat_entry(view.path, entry.name, follow), || true)
        };
        let own = entry.file_type.or_else(|| Some(stat(false)?.file_type()));
        // The target of a link is looked up once, and only if it matters.
        let known = Cell::new(match own {
            Some(FileType::SYMLINK) => None,
            own => Some(own),
        });
        let target = || {
            let found = known.get().unwrap_or_else(|| stat(true).map(|found| found.file_type()));
            known.set(Some(found));
            found
        };
        sets.begin();
        for position in &view.node.positions.open {
            let (part, next) = (&parts[*position as usize], position + 1);
            let is_last = next as usize == parts.len();
            match part {
                PatternPart::Parent => {}
                PatternPart::Recursive { .. } => {
                    let seen = if rules.recurses_symlinks { target() } else { own };
                    if seen == Some(FileType::DIRECTORY) {
                        sets.add(parts, *position);
                        sets.add(parts, next);
                    } else if is_last && rules.ends_in_files && !rules.directories_only {
                        sets.add(parts, next);
                    }
                }
                PatternPart::Pattern(pattern) => {
                    let matches = pattern.matches(entry.name, &mut self.room);
                    let is_enough = is_last && !rules.directories_only;
                    if matches && (is_enough || target() == Some(FileType::DIRECTORY)) {
                        sets.add(parts, next);
                    }
                }
                PatternPart::Literal(name) => {
                    if name.as_deref() != Some(entry.name) {
                        continue;
                    }
                    view.seen.push(*position);
                    // A directory may be readable but not searchable (path_resolution(7)).
                    let is_found = if is_last {
                        let follow = rules.directories_only || !rules.finds_dangling;
                        let found = stat(follow);
                        if follow {
                            known.set(Some(found.as_ref().map(Metadata::file_type)));
                        }
                        found.is_some_and(|found| !rules.directories_only || found.is_directory())
                    } else {
                        target() == Some(FileType::DIRECTORY)
                    };
                    if is_found {
                        sets.add(parts, next);
                    }
                }
            }
        }
        self.found.amount.files += u64::from(self.shared.counts && own != Some(FileType::DIRECTORY));
        let entry = Entry { file_type: own, ..entry };
        if sets.matches() {
            self.found.push(view.node, entry, known.get().flatten())?;
        }
        if let Some(positions) = sets.finish(parts) {
            view.below.push(entry, positions)?;
        }
        Ok(looked.get())
    }

    /// Completes a directory: looks up the literal names.
    fn leave(&mut self, node: &Node, seen: &[Position], below: Level) -> Result<(), Error> {
        let (sets, Selector { rules, parts }) = (&mut self.sets, &self.shared.selector);
        let name_at = |position: Position| match &parts[position as usize] {
            PatternPart::Literal(name) => name.as_deref(),
            _ => None,
        };
        let literals = &node.positions.literals;
        let mut looked_up = Level::new(node, false);
        for (index, position) in literals.iter().enumerate() {
            let Some(name) = name_at(*position).filter(|_| !seen.contains(position)) else { continue };
            if literals[..index].iter().any(|before| name_at(*before) == Some(name)) {
                continue;
            }
            sets.begin();
            let mut is_enough = false;
            for same in literals[index..].iter().filter(|other| name_at(**other) == Some(name)) {
                sets.add(parts, same + 1);
                is_enough |= *same as usize + 1 == parts.len() && !rules.directories_only;
            }
            let entry = Entry { name, file_type: None, inode: 0 };
            if sets.matches() {
                let found = stat(node, name, !(is_enough && rules.finds_dangling));
                if let Some(found) = found.filter(|found| is_enough || found.is_directory()) {
                    // What a link leads to says nothing of the entry itself.
                    let own = (is_enough && rules.finds_dangling).then(|| found.file_type());
                    let target = if own.is_none() { Some(found.file_type()) } else { None };
                    self.found.push(node, Entry { file_type: own, ..entry }, target)?;
                }
            }
            if let Some(positions) = sets.finish(parts) {
                looked_up.push(entry, positions)?;
            }
        }
        let mut above = Level::new(node, node.exists);
        if !node.positions.parents.is_empty() {
            let entry = Entry { name: PARENT, file_type: None, inode: 0 };
            sets.begin();
            for position in &node.positions.parents {
                sets.add(parts, position + 1);
            }
            if sets.matches() {
                // What finds no dangling link looks up everything.
                let is_known = node.exists && rules.finds_dangling;
                let looked_up = if is_known { None } else { stat(node, PARENT, true) };
                if is_known || looked_up.is_some() {
                    let file_type = looked_up.map(|found| found.file_type());
                    self.found.push(node, Entry { file_type, ..entry }, None)?;
                }
            }
            if let Some(positions) = sets.finish(parts) {
                above.push(entry, positions)?;
            }
        }
        if let Some(search) = &node.search {
            search.has_ended();
        }
        for level in [above, looked_up, below] {
            if !level.positions.is_empty() {
                self.levels.0.push(level);
            }
        }
        Ok(())
    }
}

impl GlobPart {
    /// What it has found, or read if that is to be told.
    fn hand_out(&mut self) -> Option<GlobFound> {
        let mut found = std::mem::take(&mut self.found);
        found.place = Arc::clone(&self.place);
        (!found.is_empty() || found.amount != Amount::default()).then_some(found)
    }

    /// What has not been looked into is left to the parts that come later.
    fn leave_the_rest(&mut self) {
        let mut frontier = self.shared.frontier();
        frontier.under_way -= 1;
        frontier.nodes.append(&mut self.claimed);
        frontier.nodes.extend(self.delayed.take());
        frontier.levels.0.append(&mut self.levels.0);
        frontier.spare.push(std::mem::take(&mut self.sets));
    }
}

impl Part for GlobPart {
    type Batch = GlobFound;

    fn step(&mut self, slice: &Slice<'_>) -> Result<Step<GlobFound>, Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let until = *self.until.get_or_insert_with(|| runtime::now() + GLOB_BATCH_TIME);
        if std::mem::take(&mut self.begins) {
            self.begin()?;
        }
        loop {
            if let Some(reading) = self.reading.take() {
                self.read(reading, slice)?;
            }
            let is_full = self.found.names.len() >= GLOB_FOUND || slice.is_over();
            if self.reading.is_some() {
                if is_full {
                    return Ok(self.hand_out().map_or(Step::Again, Step::Batch));
                }
                continue;
            }
            if std::mem::take(&mut self.gives_way) {
                return Ok(self.hand_out().map_or(Step::Later, Step::Batch));
            }
            let goes_on = !is_full && self.size < GLOB_BATCH && runtime::now() < until;
            match if goes_on { self.next_node()? } else { None } {
                Some(node) if node.waits && !self.found.is_empty() => {
                    // It may never answer.
                    self.delayed = Some(node);
                    return Ok(Step::Batch(std::mem::take(&mut self.found)));
                }
                Some(node) => {
                    self.size += TREE_DIRECTORY;
                    self.enter(node)?;
                }
                None => {
                    self.leave_the_rest();
                    return Ok(Step::Last(self.hand_out()));
                }
            }
        }
    }
}

impl Engine {
    /// What matches a pattern below a directory. `prefix`: what comes before names in the texts of paths in it.
    /// `counts`: whether it tells how much it has read.
    pub fn glob(&self, top: NativePath, prefix: &[u8], selector: Selector, counts: bool) -> Stream<Glob> {
        let lane = self.lane(&top);
        let workers = self.configuration().usable_cpus.max(1);
        let barren = selector.returns().then(Arc::default);
        let (engine, prefix, frontier) = (self.share(), prefix.into(), Mutex::default());
        let shared = Shared { engine, selector, top, prefix, workers, barren, counts, frontier };
        Stream::new(self, lane, Kind::Glob, Glob(Arc::new(shared)))
    }
}
