//! The listing of one directory of a tree, while it is read and as it is handed out.

use std::collections::TryReserveError;
use std::io;
use std::sync::Arc;

use crate::engine::stream::Slice;
use crate::error::Error;
use crate::limits::{TREE_DIRECTORY, TREE_REUSED};
use crate::platform::{self, Directory, DirectoryReader, NativePath};
use crate::verbs::descriptors::BeingRead;
use crate::verbs::listing::{Block, Entry};
use crate::verbs::metadata::{FileType, Metadata};
use crate::verbs::report::Amount;
use crate::verbs::scandir::{EntryFacts, EntryStats};

use super::frontier::Next;
use super::node::Node;
use super::options::{Options, Purpose};
use super::pattern::Names;
use super::source::Shared;
use super::usage::Usage;

/// The entries of one directory of a tree.
#[derive(Debug)]
pub struct Listing {
    node: Arc<Node>,
    entries: Block,
    children: Vec<Arc<Node>>,
    directories: usize,
    /// The properties of each entry, if they are requested.
    facts: Vec<EntryFacts>,
    stats: Vec<EntryStats>,
    usage: Usage,
    amount: Amount,
    errors: Vec<Error>,
    /// Whether the directory could not be read to its end.
    incomplete: bool,
    /// Whether it was skipped, because it belongs to another file system.
    skipped: bool,
}

impl Listing {
    fn new(node: Arc<Node>) -> Self {
        Self {
            node,
            entries: Block::default(),
            children: Vec::new(),
            directories: 0,
            facts: Vec::new(),
            stats: Vec::new(),
            usage: Usage::default(),
            amount: Amount::default(),
            errors: Vec::new(),
            incomplete: false,
            skipped: false,
        }
    }

    /// The same, in the memory of one that is not needed any more.
    fn reusing(spent: Self, node: Arc<Node>) -> Self {
        if spent.entries.capacity() > TREE_REUSED {
            return Self::new(node);
        }
        let Self { mut entries, mut children, mut facts, mut stats, .. } = spent;
        entries.clear();
        children.clear();
        facts.clear();
        stats.clear();
        Self { entries, children, facts, stats, ..Self::new(node) }
    }

    /// The directory.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The entries, with their types where they are known.
    pub fn entries(&self) -> &Block {
        &self.entries
    }

    /// The subdirectories to enter, in order.
    pub fn children(&self) -> &[Arc<Node>] {
        &self.children
    }

    /// How many of the entries are directories.
    pub fn directories(&self) -> usize {
        self.directories
    }

    /// Takes the properties of the entry at a position.
    pub fn take_facts(&mut self, index: usize) -> Option<(EntryFacts, Option<EntryStats>)> {
        Some((self.facts.get(index)?.clone(), self.stats.get_mut(index).map(EntryStats::take)))
    }

    /// The space of everything in it, except subdirectories to enter.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// How many entries there are in it that are not left out, and how many bytes in those of which the size is wanted.
    /// The first directory is one of its own.
    pub fn amount(&self) -> Amount {
        self.amount
    }

    /// Takes its errors: of reading the directory, of entries, and of rules that are to be followed.
    pub fn take_errors(&mut self) -> Vec<Error> {
        std::mem::take(&mut self.errors)
    }

    /// Whether the directory could not be read to its end.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Whether it is a directory of another file system, which has not been read.
    pub fn is_skipped(&self) -> bool {
        self.skipped
    }

    /// Nothing is handed out of a directory that cannot be read to its end.
    pub(super) fn without_content(mut self) -> Self {
        if self.incomplete {
            (self.entries, self.children, self.directories) = (Block::default(), Vec::new(), 0);
        }
        self
    }

    /// Its weight in the amount that is read ahead.
    pub(super) fn weight(&self) -> usize {
        self.entries.len()
    }

    /// Adds an entry of which nothing is asked but its name and its type.
    fn push_name(&mut self, entry: Entry<'_>, enters: bool) -> Result<(), TryReserveError> {
        if entry.file_type == Some(FileType::DIRECTORY) {
            self.directories += 1;
            if enters && let Some(name) = platform::native_name(entry.name) {
                self.children.push(self.node.child(name));
            }
        }
        self.entries.push(entry)
    }

    fn failed(mut self, error: Error) -> Self {
        self.errors.push(error);
        self.incomplete = true;
        self
    }

    fn sort(&mut self) -> Result<(), Error> {
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        let name = |index: usize| self.entries.get(index).map(|entry| entry.name);
        order.sort_unstable_by(|one, other| name(*one).cmp(&name(*other)));
        let mut sorted = Block::default();
        for entry in order.iter().filter_map(|index| self.entries.get(*index)) {
            sorted.push(entry)?;
        }
        self.entries = sorted;
        reorder(&mut self.facts, &order);
        reorder(&mut self.stats, &order);
        self.children.sort_by_cached_key(|child| child.name().encoded().into_owned());
        Ok(())
    }
}

/// Brings what there is, if there is anything, into an order.
fn reorder<T>(items: &mut Vec<T>, order: &[usize]) {
    let mut before: Vec<_> = std::mem::take(items).into_iter().map(Some).collect();
    if !before.is_empty() {
        *items = order.iter().filter_map(|index| before[*index].take()).collect();
    }
}

/// The result of opening a directory.
#[derive(Debug)]
pub(super) enum Begun {
    /// It is open.
    Reading(Reading),
    /// There is nothing to read; the listing has the error.
    Over(Listing),
    /// Opening it may have to wait for others, which was not known.
    Elsewhere(Next),
    /// There is no descriptor for it now.
    Lacking(Next),
}

/// A directory that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    listing: Listing,
    directory: Directory,
    reader: DirectoryReader,
    _being_read: BeingRead,
    /// The last block of the reader, and how much of it has been processed.
    block: Block,
    at: usize,
    is_read: bool,
}

impl Reading {
    /// Opens a directory. `may_wait`: whether that may be tried again later, where there is no descriptor.
    pub(super) fn begin((node, spent): Next, shared: &Shared, may_wait: &mut dyn FnMut() -> bool) -> Begun {
        let mut listing = match spent {
            Some(spent) => Listing::reusing(spent, node),
            None => Listing::new(node),
        };
        let node = &listing.node;
        let failed = |code| Error::Os { code, subject: node.subject(None) };
        let mut being_read = shared.engine.descriptors.read();
        if !shared.options.beyond_longest_path && node.is_too_long() {
            let error = failed(platform::PATH_TOO_LONG);
            return Begun::Over(listing.failed(error));
        }
        let opened = shared.open.open(node).and_then(|directory| {
            let Some(directory) = directory else { return Ok(None) };
            if node.may_wait_for_others() {
                node.set_may_wait_for_others(shared.engine.may_wait_for_others(&directory));
            }
            if shared.options.same_file_system || shared.options.detect_loops {
                let identity = directory.identity()?;
                node.identify(identity);
                shared.device.get_or_init(|| identity.0);
            }
            let reader = directory.reader()?;
            being_read.opened();
            Ok(Some((directory, reader)))
        });
        if let Purpose::Totals { follows_top: false, .. } = shared.options.purpose
            && node.depth() == 0
            && platform::metadata(node.name(), false).is_ok_and(|found| found.is_symlink())
        {
            listing.amount.files = 1;
            return Begun::Over(listing);
        }
        // The others have been counted with their parents.
        let counts = shared.options.purpose == Purpose::Usage && node.depth() == 0;
        let (directory, reader) = match opened {
            Ok(Some(opened)) => opened,
            Ok(None) => {
                node.set_may_wait_for_others(true);
                return Begun::Elsewhere((Arc::clone(node), Some(listing)));
            }
            Err(error) if error.raw_os_error().is_some_and(platform::lacks_descriptors) && may_wait() => {
                return Begun::Lacking((Arc::clone(node), Some(listing)));
            }
            Err(error) => {
                if let Purpose::Totals { sizes, .. } = shared.options.purpose
                    && node.depth() == 0
                    && error.raw_os_error().is_some_and(platform::is_no_directory)
                    && let Ok(metadata) = platform::metadata(node.name(), true)
                {
                    let bytes = if sizes { content(&metadata) } else { 0 };
                    listing.amount = Amount { files: 1, bytes, ..Amount::default() };
                    return Begun::Over(listing);
                }
                if counts
                    && error.raw_os_error().is_some_and(platform::is_no_directory)
                    && let Ok(metadata) = platform::metadata(node.name(), true)
                {
                    listing.usage = shared.counted.usage(&metadata);
                    listing.amount.files = 1;
                    return Begun::Over(listing);
                }
                let error = Error::new(&error, node.subject(None));
                return Begun::Over(listing.failed(error));
            }
        };
        if let Some((device, _)) = node.identity() {
            if shared.options.same_file_system && shared.device.get().is_some_and(|first| *first != device) {
                return Begun::Over(Listing { skipped: true, ..listing });
            }
            if node.line().skip(1).any(|above| above.identity() == node.identity())
                && shared.options.detect_loops
            {
                let error = failed(platform::LINKS_LOOP);
                return Begun::Over(listing.failed(error));
            }
        }
        listing.amount.directories = u64::from(listing.node.depth() == 0);
        if counts {
            match directory.metadata() {
                Ok(metadata) => listing.usage = shared.counted.usage(&metadata),
                Err(error) => listing.errors.push(Error::new(&error, listing.node.subject(None))),
            }
        }
        if shared.options.gitignore {
            let mut errors = listing.node.rule(&directory, &shared.open);
            listing.errors.append(&mut errors);
        }
        let block = Block::default();
        Begun::Reading(Self {
            listing,
            directory,
            reader,
            _being_read: being_read,
            block,
            at: 0,
            is_read: false,
        })
    }

    /// Continues to read; `true` at the end.
    pub(super) fn go_on(&mut self, shared: &Shared, slice: &Slice<'_>) -> Result<bool, Error> {
        loop {
            while self.at < self.block.len() {
                let has_asked = self.see_to(self.at, shared)?;
                self.at += 1;
                if has_asked && slice.is_over() {
                    return Ok(false);
                }
            }
            if self.is_read {
                return Ok(true);
            }
            self.block.clear();
            self.at = 0;
            let before = self.listing.entries.len();
            let (block, listing) = (&mut self.block, &mut self.listing);
            let enters = shared.options.max_depth.is_none_or(|most| listing.node.depth() < most);
            let is_simple = shared.options.wants_names_alone();
            let mut push = |entry: Entry<'_>| {
                // In order: the entries after one that needs a look-up have to wait.
                if is_simple && entry.file_type.is_some() && block.is_empty() {
                    listing.push_name(entry, enters)
                } else {
                    block.push(entry)
                }
            };
            match self.reader.read(&mut push) {
                Ok(goes_on) => self.is_read = !goes_on,
                Err(error) => {
                    self.is_read = true;
                    self.listing.incomplete = true;
                    self.listing.errors.push(Error::new(&error, self.listing.node.subject(None)));
                }
            }
            slice.count((self.listing.entries.len() - before + self.block.len()) as u64);
            if shared.options.purpose != Purpose::Usage {
                self.listing.entries.reserve_for(&self.block)?;
            }
            if slice.is_over() {
                return Ok(false);
            }
        }
    }

    /// Processes an entry; returns whether that needed a system call.
    fn see_to(&mut self, index: usize, shared: &Shared) -> Result<bool, Error> {
        let Some(entry) = self.block.get(index) else { return Ok(false) };
        let options = &shared.options;
        // The name is only converted if a system call needs it.
        let name = || platform::native_name(entry.name);
        let mut file_type = entry.file_type;
        let mut asks = false;
        if file_type.is_none()
            && let Some(name) = name()
        {
            asks = true;
            file_type = self.directory.type_of(&name).ok();
        }
        let is_link = file_type == Some(FileType::SYMLINK);
        let mut is_directory = file_type == Some(FileType::DIRECTORY);
        if is_link
            && options.follow_symlinks
            && let Some(name) = name()
        {
            asks = true;
            is_directory = self.target_type(&name) == Some(FileType::DIRECTORY);
        }
        if self.is_left_out(entry.name, is_directory, options) {
            return Ok(asks);
        }
        let enters = is_directory
            && options.max_depth.is_none_or(|most| self.listing.node.depth() < most)
            && !options.filter.prune.match_any(&self.names(entry.name), is_directory);
        let shown_type = if is_directory { Some(FileType::DIRECTORY) } else { file_type };
        let wanted = match options.purpose {
            Purpose::Names => {
                is_directory
                    || options.filter.include.is_empty()
                    || options.filter.includes(&self.names(entry.name), false)
            }
            Purpose::Entries { with_stat } => {
                let with_stat = with_stat || options.filter.asks_stat();
                let (facts, stats) = EntryFacts::find(&entry, with_stat, |follow| {
                    self.directory.metadata_of_entry(entry.name, follow)
                });
                asks |= with_stat || is_link;
                let wanted = match self.wants(entry.name, &facts, stats.as_ref(), is_directory, shared) {
                    Ok(wanted) => wanted,
                    // It is gone.
                    Err(code) if platform::is_not_found(code) => false,
                    Err(code) => {
                        let subject = self.listing.node.subject(name().as_ref());
                        self.listing.errors.push(Error::Os { code, subject });
                        false
                    }
                };
                if wanted {
                    self.listing.facts.try_reserve(1)?;
                    self.listing.facts.push(facts);
                    if let Some(stats) = stats {
                        self.listing.stats.try_reserve(1)?;
                        self.listing.stats.push(stats);
                    }
                }
                wanted
            }
            Purpose::Usage => {
                asks = true;
                let follow = options.follow_symlinks && is_directory;
                let metadata = self.directory.metadata_of_entry(entry.name, follow);
                match metadata {
                    Ok(metadata) => self.listing.usage += shared.counted.usage(&metadata),
                    Err(error) if error.raw_os_error().is_some_and(platform::is_not_found) => {}
                    Err(error) => {
                        let subject = self.listing.node.subject(name().as_ref());
                        self.listing.errors.push(Error::new(&error, subject));
                    }
                }
                false
            }
            Purpose::Totals { sizes, hard_links_once, .. } => {
                let has_content = file_type.is_none_or(|found| found == FileType::REGULAR)
                    || (is_link && options.follow_symlinks);
                if !is_directory && sizes && has_content {
                    asks = true;
                    let metadata = platform::entry_name(entry.name)
                        .and_then(|name| self.directory.metadata_of(&name, options.follow_symlinks));
                    match metadata {
                        Ok(metadata) if !hard_links_once || shared.counted.is_new(&metadata) => {
                            self.listing.amount.bytes += content(&metadata);
                        }
                        // It is gone, and will not be there for what is to be done.
                        Err(error)
                            if !is_link && error.raw_os_error().is_some_and(platform::is_not_found) =>
                        {
                            return Ok(asks);
                        }
                        _ => {}
                    }
                }
                false
            }
        };
        let listing = &mut self.listing;
        listing.amount.directories += u64::from(is_directory);
        listing.amount.files += u64::from(!is_directory);
        if enters && let Some(name) = platform::native_name(entry.name) {
            let node = &listing.node;
            let child = if is_link { node.followed_child(name, true) } else { node.child(name) };
            listing.children.push(child);
        }
        if wanted {
            listing.directories += usize::from(is_directory);
            listing.entries.push(Entry { file_type: shown_type, ..entry })?;
        }
        Ok(asks)
    }

    fn names<'a>(&'a self, name: &'a [u8]) -> Names<'a> {
        Names { node: &self.listing.node, name }
    }

    /// Whether an entry is neither handed out nor entered.
    fn is_left_out(&self, name: &[u8], is_directory: bool, options: &Options) -> bool {
        options.filter.leaves_out(&self.names(name), is_directory)
            || (options.gitignore && self.listing.node.ignores(name, is_directory))
    }

    /// Whether an entry is handed out; the code of the error that keeps that from being known.
    fn wants(
        &self,
        name: &[u8],
        facts: &EntryFacts,
        stats: Option<&EntryStats>,
        is_directory: bool,
        shared: &Shared,
    ) -> Result<bool, i32> {
        let options = &shared.options;
        let filter = &options.filter;
        if self.listing.node.depth() + 1 < options.min_depth
            || !((is_directory && options.all_directories)
                || filter.includes(&self.names(name), is_directory))
            || filter.hidden.is_some_and(|hidden| hidden != name.starts_with(b"."))
        {
            return Ok(false);
        }
        let kind = if options.follow_symlinks { facts.target.or(facts.own)? } else { facts.own? };
        if !filter.wants_kind(kind) {
            return Ok(false);
        }
        if !filter.asks_stat() {
            // An entry that is known to be gone is not handed out.
            return match stats {
                Some(stats) if stats.own.as_ref().is_err_and(|code| platform::is_not_found(*code)) => {
                    Ok(false)
                }
                _ => Ok(true),
            };
        }
        let Some(stats) = stats else { return Ok(false) };
        let metadata = match stats.target.as_deref() {
            Some(Ok(target)) if options.follow_symlinks => target,
            _ => match &stats.own {
                Ok(metadata) => metadata,
                Err(code) => return Err(*code),
            },
        };
        let is_empty = || self.is_empty(&platform::entry_name(name)?, options.follow_symlinks);
        filter
            .accepts(metadata, shared.owner(), is_empty)
            .map_err(|error| error.raw_os_error().unwrap_or(platform::EIO))
    }

    /// Whether there is nothing in a directory.
    fn is_empty(&self, name: &NativePath, follow: bool) -> io::Result<bool> {
        let open = if follow { Directory::open_followed } else { Directory::open };
        let mut reader = open(name, Some(&self.directory))?.reader()?;
        loop {
            let mut found = false;
            let mut note = |_: Entry<'_>| {
                found = true;
                Ok(())
            };
            let goes_on = reader.read(&mut note)?;
            if found || !goes_on {
                return Ok(!found);
            }
        }
    }

    /// The type of a link's target.
    fn target_type(&self, name: &NativePath) -> Option<FileType> {
        let node = &self.listing.node;
        let target = if node.is_behind_links() {
            // The kernel follows at most 40 links in one path, where a loop ends: path_resolution(7).
            platform::metadata(&node.path_of(Some(name))?, true)
        } else {
            self.directory.metadata_of(name, true)
        };
        target.ok().map(|metadata| metadata.file_type())
    }

    /// The listing.
    pub(super) fn finish(self, shared: &Shared) -> Result<Listing, Error> {
        let Self { mut listing, directory, .. } = self;
        if shared.options.sort {
            listing.sort()?;
        }
        if !listing.children.is_empty() {
            shared.open.keep_open(&listing.node, directory);
        }
        Ok(listing)
    }
}

/// How many bytes there are to be copied of something.
fn content(metadata: &Metadata) -> u64 {
    if metadata.is_regular_file() { metadata.size } else { 0 }
}

/// The weight of a listing in a batch.
pub(super) fn size(listing: &Listing) -> usize {
    listing.entries.len() + TREE_DIRECTORY
}
