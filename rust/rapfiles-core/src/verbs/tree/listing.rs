//! The listing of one directory of a tree, as it is read and as it is handed out.

use std::sync::Arc;

use crate::engine::stream::Slice;
use crate::error::Error;
use crate::platform::{self, Directory, DirectoryReader, NativePath};
use crate::verbs::listing::{Block, Entry};
use crate::verbs::metadata::FileType;

use super::frontier::DIRECTORY;
use super::node::Node;
use super::source::Shared;

/// What is in one directory of a tree.
#[derive(Debug)]
pub struct Listing {
    node: Arc<Node>,
    entries: Block,
    children: Vec<Arc<Node>>,
    directories: usize,
    error: Option<Error>,
    /// It belongs to another file system, and is not wanted.
    skipped: bool,
}

impl Listing {
    fn new(node: Arc<Node>) -> Self {
        let (entries, children) = (Block::default(), Vec::new());
        Self { node, entries, children, directories: 0, error: None, skipped: false }
    }

    /// The directory.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The entries, with their types where they are known.
    pub fn entries(&self) -> &Block {
        &self.entries
    }

    /// The directories in it that are to be entered, in their order.
    pub fn children(&self) -> &[Arc<Node>] {
        &self.children
    }

    /// How many of the entries are directories.
    pub fn directories(&self) -> usize {
        self.directories
    }

    /// Why it is not complete.
    pub fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    /// Whether it is a directory of another file system, which has not been read.
    pub fn is_skipped(&self) -> bool {
        self.skipped
    }

    /// Nothing is handed out of a directory that cannot be read to its end.
    pub(super) fn without_content(mut self) -> Self {
        if self.error.is_some() {
            (self.entries, self.children, self.directories) = (Block::default(), Vec::new(), 0);
        }
        self
    }

    /// How much it counts in what is read ahead.
    pub(super) fn weight(&self) -> usize {
        self.entries.len()
    }

    fn failed(mut self, error: Error) -> Self {
        self.error = Some(error);
        self
    }

    fn sort(&mut self) -> Result<(), Error> {
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        let name = |index: usize| self.entries.get(index).map(|entry| entry.name);
        order.sort_unstable_by(|one, other| name(*one).cmp(&name(*other)));
        let mut sorted = Block::default();
        for entry in order.into_iter().filter_map(|index| self.entries.get(index)) {
            sorted.push(entry)?;
        }
        self.entries = sorted;
        self.children.sort_by_cached_key(|child| child.name().to_os_string().into_encoded_bytes());
        Ok(())
    }
}

/// What has become of a directory that was to be read.
#[derive(Debug)]
pub(super) enum Begun {
    /// It is open.
    Reading(Reading),
    /// There is nothing to be read, and the listing says why.
    Over(Listing),
}

/// A directory that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    listing: Listing,
    directory: Directory,
    reader: DirectoryReader,
    /// What the reader gave last, and how much of it has been seen to.
    block: Block,
    at: usize,
    is_read: bool,
}

impl Reading {
    /// Opens a directory.
    pub(super) fn begin(node: Arc<Node>, shared: &Shared) -> Begun {
        let listing = Listing::new(node);
        let node = &listing.node;
        let failed = |code| Error::Os { code, subject: node.subject(None) };
        if !shared.options.beyond_longest_path && node.is_too_long() {
            let error = failed(platform::PATH_TOO_LONG);
            return Begun::Over(listing.failed(error));
        }
        let opened = shared.open.open(node).and_then(|directory| {
            if shared.options.same_file_system || shared.options.detect_loops {
                node.identify(directory.identity()?);
            }
            let reader = directory.reader()?;
            Ok((directory, reader))
        });
        let (directory, reader) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let error = Error::new(&error, node.subject(None));
                return Begun::Over(listing.failed(error));
            }
        };
        if let Some((device, _)) = node.identity() {
            let root = node.line().last().and_then(Node::identity);
            if shared.options.same_file_system && root.is_some_and(|(of_root, _)| of_root != device) {
                return Begun::Over(Listing { skipped: true, ..listing });
            }
            if node.line().skip(1).any(|above| above.identity() == node.identity())
                && shared.options.detect_loops
            {
                let error = failed(platform::LINKS_LOOP);
                return Begun::Over(listing.failed(error));
            }
        }
        Begun::Reading(Self { listing, directory, reader, block: Block::default(), at: 0, is_read: false })
    }

    /// Reads on; `true` at the end.
    pub(super) fn go_on(&mut self, shared: &Shared, slice: &Slice<'_>) -> Result<bool, Error> {
        loop {
            while self.at < self.block.len() {
                let has_asked = self.see_to(self.at, shared)?;
                self.at += 1;
                if has_asked && slice.is_over() {
                    return Ok(false);
                }
            }
            slice.count(self.block.len() as u64);
            if self.is_read {
                return Ok(true);
            }
            self.block = Block::default();
            self.at = 0;
            let block = &mut self.block;
            match self.reader.read(&mut |entry| block.push(entry)) {
                Ok(goes_on) => self.is_read = !goes_on,
                Err(error) => {
                    self.is_read = true;
                    self.listing.error = Some(Error::new(&error, self.listing.node.subject(None)));
                }
            }
            if slice.is_over() {
                return Ok(false);
            }
        }
    }

    /// Sees to an entry; whether that took a call of its own.
    fn see_to(&mut self, index: usize, shared: &Shared) -> Result<bool, Error> {
        let Some(entry) = self.block.get(index) else { return Ok(false) };
        let options = &shared.options;
        let asks = entry.file_type.is_none_or(|known| options.follow_symlinks && known == FileType::SYMLINK);
        let mut file_type = entry.file_type;
        let mut is_link = false;
        if asks && let Some(name) = platform::native_name(entry.name) {
            if file_type.is_none() {
                file_type = self.directory.type_of(&name).ok();
            }
            is_link = file_type == Some(FileType::SYMLINK);
            if is_link && options.follow_symlinks {
                file_type = self.target_type(&name).or(file_type);
            }
        }
        let listing = &mut self.listing;
        if file_type == Some(FileType::DIRECTORY) {
            listing.directories += 1;
            if options.max_depth.is_none_or(|most| listing.node.depth() < most)
                && let Some(name) = platform::native_name(entry.name)
            {
                let node = &listing.node;
                let child = if is_link { node.followed_child(name, true) } else { node.child(name) };
                listing.children.push(child);
            }
        }
        listing.entries.push(Entry { file_type, ..entry })?;
        Ok(asks)
    }

    /// The type of what a link leads to.
    fn target_type(&self, name: &NativePath) -> Option<FileType> {
        let node = &self.listing.node;
        let target = if node.is_behind_links() {
            // The kernel follows only so many links of one path, and that is where a loop ends: path_resolution(7).
            platform::metadata(&node.path_of(Some(name))?, true)
        } else {
            self.directory.metadata_of(name, true)
        };
        target.ok().map(|metadata| metadata.file_type())
    }

    /// What has been read.
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

/// How much a listing counts in a batch.
pub(super) fn size(listing: &Listing) -> usize {
    listing.entries.len() + DIRECTORY
}
