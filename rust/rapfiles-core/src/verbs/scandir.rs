//! Scanning a directory: its entries, and beforehand what will be asked of each without waiting.
//!
//! A directory tells the type of an entry with its name. What it does not tell is looked up by the worker: what a link
//! leads to, a type that the file system keeps to itself, and everything where all of `stat(2)` is wanted.

use std::io;
use std::vec::IntoIter;

use crate::engine::Engine;
use crate::engine::kind::Kind;
use crate::engine::stream::{Part, Single, Slice, Step, Stream};
use crate::error::{About, Error, Subject, code_of};
use crate::limits::SCAN_FIRST;
use crate::platform::{self, DirectoryReader, NativePath};
use crate::verbs::listing::{Block, Entry};
use crate::verbs::metadata::{FileType, Metadata};
use crate::verbs::report::Amount;

/// The tag of a junction (`IO_REPARSE_TAG_MOUNT_POINT`); only Windows has tags.
const JUNCTION: u32 = 0xA000_0003;

/// The properties of an entry, or the code of the error of looking them up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryFacts {
    /// The number of the inode; 0 if it is not known.
    pub inode: u128,
    /// The type of the entry itself.
    pub own: Result<FileType, i32>,
    /// The type of what it leads to, if it is a link; otherwise its own.
    pub target: Result<FileType, i32>,
    /// Whether it is a junction of Windows.
    pub is_junction: bool,
}

/// The result of `stat(2)` about an entry, or the code of its error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryStats {
    /// About the entry itself.
    pub own: Result<Metadata, i32>,
    /// About what it leads to; `None` unless it is a link.
    pub target: Option<Box<Result<Metadata, i32>>>,
}

impl EntryStats {
    /// Takes it out of a place that is not looked at any more.
    pub(crate) fn take(&mut self) -> Self {
        Self { own: self.own.clone(), target: self.target.take() }
    }
}

impl EntryFacts {
    /// Whether it is of a type; `follow`: whether to follow a link. An entry that does not exist has no type.
    ///
    /// # Errors
    /// The error of the look-up.
    pub fn is(&self, wanted: FileType, follow: bool) -> Result<bool, Error> {
        match if follow { self.target } else { self.own } {
            Ok(file_type) => Ok(file_type == wanted),
            Err(code) if platform::is_not_found(code) => Ok(false),
            Err(code) => Err(Error::Os { code, subject: Subject::Path }),
        }
    }

    /// Looks up what the directory did not contain, and the results of `stat(2)` if they are requested. `stat` is called for
    /// the entry, following a link or not.
    pub(crate) fn find(
        entry: &Entry<'_>,
        with_stat: bool,
        stat: impl Fn(bool) -> io::Result<Metadata>,
    ) -> (Self, Option<EntryStats>) {
        let stat = |follow| stat(follow).map_err(|error| code_of(&error));
        let own_stat = (with_stat || !is_told(entry)).then(|| stat(false));
        let type_of = |metadata: &Result<Metadata, i32>| match metadata {
            Ok(metadata) => Ok(metadata.file_type()),
            Err(code) => Err(*code),
        };
        let own = match (entry.file_type, &own_stat) {
            (Some(file_type), _) => Ok(file_type),
            (None, Some(metadata)) => type_of(metadata),
            (None, None) => Err(platform::EIO),
        };
        let target_stat = (own == Ok(FileType::SYMLINK)).then(|| stat(true));
        let known = own_stat.as_ref().and_then(|metadata| metadata.as_ref().ok());
        let facts = Self {
            inode: match entry.inode {
                0 => known.map_or(0, |metadata| metadata.inode),
                inode => inode.into(),
            },
            own,
            target: target_stat.as_ref().map_or(own, type_of),
            is_junction: known.is_some_and(|metadata| metadata.reparse_tag == JUNCTION),
        };
        let stats = own_stat.filter(|_| with_stat);
        (facts, stats.map(|own| EntryStats { own, target: target_stat.map(Box::new) }))
    }
}

/// What is known of entries, one after the other.
#[derive(Debug, Default)]
pub struct Facts {
    facts: IntoIter<EntryFacts>,
    /// As many, or none.
    stats: IntoIter<EntryStats>,
}

impl Facts {
    pub(crate) fn new(facts: Vec<EntryFacts>, stats: Vec<EntryStats>) -> Self {
        Self { facts: facts.into_iter(), stats: stats.into_iter() }
    }
}

impl Iterator for Facts {
    type Item = (EntryFacts, Option<EntryStats>);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.facts.next()?, self.stats.next()))
    }
}

/// Whether the directory contains everything about an entry itself but its `stat`. On Windows it contains no inode
/// number.
fn is_told(entry: &Entry<'_>) -> bool {
    entry.file_type.is_some() && entry.inode != 0
}

/// Some of the entries of a directory, with their properties.
#[derive(Debug, Default)]
pub struct Scanned {
    block: Block,
    facts: Vec<EntryFacts>,
    /// As many, where they are wanted.
    stats: Vec<EntryStats>,
}

impl Scanned {
    /// The number of entries.
    pub fn len(&self) -> usize {
        self.block.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.block.is_empty()
    }

    /// The name of the entry at a position.
    pub fn name(&self, index: usize) -> Option<&[u8]> {
        self.block.get(index).map(|entry| entry.name)
    }

    /// How many entries there are.
    pub fn amount(&self) -> Amount {
        let directories = self.facts.iter().filter(|facts| facts.own == Ok(FileType::DIRECTORY)).count();
        let files = self.facts.len() - directories;
        Amount { files: files as u64, directories: directories as u64, bytes: 0 }
    }

    /// Takes the properties of the entries, in their order.
    pub fn take_facts(&mut self) -> Facts {
        Facts::new(std::mem::take(&mut self.facts), std::mem::take(&mut self.stats))
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// Memory cannot be allocated.
    pub(crate) fn push(
        &mut self,
        entry: Entry<'_>,
        facts: EntryFacts,
        stats: Option<EntryStats>,
    ) -> Result<(), Error> {
        self.facts.try_reserve(1)?;
        if let Some(stats) = stats {
            self.stats.try_reserve(1)?;
            self.stats.push(stats);
        }
        self.block.push(entry)?;
        self.facts.push(facts);
        Ok(())
    }
}

/// The scanning of a directory: the only part of its stream. It yields entries as they are read.
#[derive(Debug)]
pub struct ScanDirectory {
    path: NativePath,
    with_stat: bool,
    reader: Option<DirectoryReader>,
    /// Entries that have been read and not yet looked up, from this position on.
    read: Block,
    at: usize,
    /// Whether everything has been read.
    ended: bool,
    /// After how many look-ups what has been found is handed out.
    most: usize,
}

impl ScanDirectory {
    fn new(path: NativePath, with_stat: bool) -> Self {
        Self { path, with_stat, reader: None, read: Block::default(), at: 0, ended: false, most: SCAN_FIRST }
    }
}

impl Part for ScanDirectory {
    type Batch = Scanned;

    fn step(&mut self, slice: &Slice<'_>) -> Result<Step<Scanned>, Error> {
        let mut scanned = Scanned::default();
        let mut looked_up = 0;
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(DirectoryReader::open(&self.path).about_path()?),
        };
        while scanned.is_empty() {
            if self.at == self.read.len() && !self.ended {
                self.read = Block::default();
                self.at = 0;
                self.ended = !reader.read(&mut |entry| self.read.push(entry)).about_path()?;
            }
            while let Some(entry) = self.read.get(self.at) {
                let stat = |follow| reader.stat_entry(&self.path, entry.name, follow);
                let (facts, stats) = EntryFacts::find(&entry, self.with_stat, stat);
                let was_looked_up = stats.is_some() || facts.own == Ok(FileType::SYMLINK);
                scanned.push(entry, facts, stats)?;
                self.at += 1;
                if was_looked_up || !is_told(&entry) {
                    looked_up += 1;
                    // Each look-up may have to wait for a server.
                    if looked_up == self.most || slice.is_over() {
                        break;
                    }
                }
            }
            if self.ended && self.at == self.read.len() {
                self.reader = None;
                slice.count(scanned.len() as u64);
                return Ok(Step::Last((!scanned.is_empty()).then_some(scanned)));
            }
            if slice.is_over() {
                break;
            }
        }
        self.most = self.most.saturating_add(self.most / 2);
        slice.count(scanned.len() as u64);
        Ok(if scanned.is_empty() { Step::Again } else { Step::Batch(scanned) })
    }
}

impl Engine {
    /// The entries of a directory, with their properties; `with_stat`: including the results of `stat(2)`.
    pub fn scan(&self, path: NativePath, with_stat: bool) -> Stream<Single<ScanDirectory>> {
        let lane = self.lane(&path);
        Stream::new(self, lane, Kind::ScanDirectory, Single::new(ScanDirectory::new(path, with_stat)))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    type Found = (EntryFacts, Option<EntryStats>);

    fn facts(file_type: Option<FileType>, inode: u64, with_stat: bool) -> (Found, Vec<bool>) {
        let asked = RefCell::new(Vec::new());
        let entry = Entry { name: b"name", file_type, inode };
        let facts = EntryFacts::find(&entry, with_stat, |follow| {
            asked.borrow_mut().push(follow);
            let mode = if follow { FileType::DIRECTORY.0 } else { FileType::SYMLINK.0 };
            Ok(Metadata { mode: mode | 0o600, inode: 7, ..Metadata::default() })
        });
        (facts, asked.into_inner())
    }

    #[test]
    fn what_the_directory_tells_is_not_looked_up() {
        let ((facts, stats), asked) = facts(Some(FileType::REGULAR), 5, false);
        assert!(asked.is_empty());
        assert_eq!((facts.own, facts.target), (Ok(FileType::REGULAR), Ok(FileType::REGULAR)));
        assert_eq!((facts.inode, stats), (5, None));
    }

    #[test]
    fn what_a_link_leads_to_is_looked_up_once() {
        let ((facts, _), asked) = facts(Some(FileType::SYMLINK), 5, false);
        assert_eq!(asked, [true]);
        assert_eq!((facts.own, facts.target), (Ok(FileType::SYMLINK), Ok(FileType::DIRECTORY)));
    }

    #[test]
    fn what_the_directory_does_not_tell_is_looked_up() {
        let ((unknown, stats), asked) = facts(None, 5, false);
        assert_eq!(asked, [false, true]);
        assert_eq!((unknown.own, unknown.target), (Ok(FileType::SYMLINK), Ok(FileType::DIRECTORY)));
        assert_eq!(stats, None);
        let ((numberless, _), asked) = facts(Some(FileType::REGULAR), 0, false);
        assert_eq!((numberless.inode, asked), (7, vec![false]));
    }

    #[test]
    fn everything_is_looked_up_where_it_is_wanted() {
        let ((_, stats), asked) = facts(Some(FileType::SYMLINK), 5, true);
        assert_eq!(asked, [false, true]);
        let stats = stats.unwrap();
        assert_eq!(stats.own.unwrap().file_type(), FileType::SYMLINK);
        assert_eq!(stats.target.as_deref().unwrap().as_ref().unwrap().file_type(), FileType::DIRECTORY);
    }

    #[test]
    fn an_error_is_kept() {
        let entry = Entry { name: b"name", file_type: None, inode: 5 };
        let (facts, stats) = EntryFacts::find(&entry, true, |_| Err(io::Error::from_raw_os_error(13)));
        assert_eq!((facts.own, facts.target), (Err(13), Err(13)));
        assert_eq!(stats.unwrap().own, Err(13));
    }
}
