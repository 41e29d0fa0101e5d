//! Listings: the names in a directory, read by workers one buffer at a time.

use std::collections::TryReserveError;

use crate::engine::Engine;
use crate::engine::kind::Kind;
use crate::engine::stream::{Part, Single, Slice, Step, Stream};
use crate::error::{About, Error};
use crate::limits::{BLOCK_ENTRIES, BLOCK_NAME};
use crate::platform::{DirectoryReader, NativePath};
use crate::verbs::metadata::FileType;

/// An entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name, as [`std::ffi::OsStr::as_encoded_bytes`] gives it.
    pub name: &'a [u8],
    /// The type, if the directory contains it (`d_type`, `readdir(3)`).
    pub file_type: Option<FileType>,
    /// The number of the inode; 0 if the directory does not contain it.
    pub inode: u64,
}

/// Some of the entries of a directory, without `.` and `..`, in the file system's order.
#[derive(Debug, Default)]
pub struct Block {
    /// The names, one after the other.
    names: Vec<u8>,
    entries: Vec<Packed>,
}

#[derive(Debug)]
struct Packed {
    inode: u64,
    /// The end of the name.
    end: u32,
    /// The bits of the mode that hold the type, 0 for none.
    file_type: u32,
}

impl Block {
    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry at a position.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Entry<'_>> {
        let Packed { inode, end, file_type } = *self.entries.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.entries[before].end);
        Some(Entry {
            name: &self.names[start as usize..end as usize],
            file_type: (file_type != 0).then_some(FileType(file_type)),
            inode,
        })
    }

    /// Reserves memory for the entries of another one.
    pub(crate) fn reserve_for(&mut self, other: &Self) -> Result<(), TryReserveError> {
        self.entries.try_reserve(other.entries.len())?;
        self.names.try_reserve(other.names.len())
    }

    /// The same entries in the order of their inodes.
    pub(crate) fn by_inode(&self) -> Result<Self, TryReserveError> {
        let mut order = Vec::new();
        order.try_reserve(self.len())?;
        order.extend(0..self.len());
        order.sort_unstable_by_key(|index| self.entries[*index].inode);
        let mut sorted = Self::default();
        sorted.reserve_for(self)?;
        for entry in order.into_iter().filter_map(|index| self.get(index)) {
            sorted.push(entry)?;
        }
        Ok(sorted)
    }

    /// Removes all entries, and keeps the memory for others.
    pub(crate) fn clear(&mut self) {
        self.names.clear();
        self.entries.clear();
    }

    /// For how many entries there is memory.
    pub(crate) fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    #[inline]
    pub(crate) fn push(&mut self, entry: Entry<'_>) -> Result<(), TryReserveError> {
        if self.entries.len() == self.entries.capacity()
            || self.names.capacity() - self.names.len() < entry.name.len()
        {
            self.grow(entry.name.len())?;
        }
        self.names.extend_from_slice(entry.name);
        let file_type = entry.file_type.map_or(0, |file_type| file_type.0);
        // A reader's buffer is far smaller than 4 GiB.
        let end = self.names.len() as u32;
        self.entries.push(Packed { inode: entry.inode, end, file_type });
        Ok(())
    }

    /// Makes room for another entry.
    #[cold]
    fn grow(&mut self, name: usize) -> Result<(), TryReserveError> {
        if self.entries.capacity() == 0 {
            // Most directories are small, and growing bit by bit takes longer than reading them.
            self.entries.try_reserve(BLOCK_ENTRIES)?;
            self.names.try_reserve(BLOCK_ENTRIES * BLOCK_NAME)?;
        }
        self.entries.try_reserve(1)?;
        self.names.try_reserve(name)
    }
}

/// The reading of a directory: the only part of its stream, whose batches are blocks.
///
/// Changes of the directory meanwhile may be seen or not (`readdir(3p)`), and a renamed entry may be seen twice.
/// `os.listdir` and pathlib return nothing before everything has been read: that is up to the consumer.
#[derive(Debug)]
pub struct ReadDirectory {
    path: NativePath,
    reader: Option<DirectoryReader>,
}

impl Part for ReadDirectory {
    type Batch = Block;

    fn step(&mut self, slice: &Slice<'_>) -> Result<Step<Block>, Error> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(DirectoryReader::open(&self.path).about_path()?),
        };
        let mut block = Block::default();
        loop {
            let goes_on = reader.read(&mut |entry| block.push(entry)).about_path()?;
            slice.count(block.len() as u64);
            let is_empty = block.is_empty();
            if !goes_on {
                self.reader = None;
                return Ok(Step::Last((!is_empty).then_some(block)));
            }
            if !is_empty {
                return Ok(Step::Batch(block));
            }
            if slice.is_over() {
                return Ok(Step::Again);
            }
        }
    }
}

impl Engine {
    /// The entries of a directory.
    pub fn list(&self, path: NativePath) -> Stream<Single<ReadDirectory>> {
        let lane = self.lane(&path);
        Stream::new(self, lane, Kind::ListDirectory, Single::new(ReadDirectory { path, reader: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_brought_into_the_order_of_their_inodes() {
        let mut block = Block::default();
        for (name, inode) in [("a long one", 7), ("b", 3), ("", 9), ("c c", 1)] {
            block.push(Entry { name: name.as_bytes(), file_type: None, inode }).unwrap();
        }
        let sorted = block.by_inode().unwrap();
        let found: Vec<_> = (0..4).filter_map(|index| sorted.get(index)).collect();
        let names: Vec<&[u8]> = found.iter().map(|entry| entry.name).collect();
        assert_eq!(names, [&b"c c"[..], b"b", b"a long one", b""]);
        assert_eq!(found.iter().map(|entry| entry.inode).collect::<Vec<_>>(), [1, 3, 7, 9]);
    }

    #[test]
    fn entries_stay_as_they_were_put_in() {
        let name = |number: usize| format!("{number}{}", "x".repeat(number % 200)).into_bytes();
        let mut block = Block::default();
        assert!(block.is_empty());
        for number in 0..5_000 {
            let file_type = (number % 3 > 0).then_some(FileType::DIRECTORY);
            block.push(Entry { name: &name(number), file_type, inode: number as u64 }).unwrap();
        }
        assert_eq!(block.len(), 5_000);
        for number in 0..5_000 {
            let entry = block.get(number).unwrap();
            assert_eq!(entry.name, name(number));
            assert_eq!(entry.file_type.is_some(), number % 3 > 0);
            assert_eq!(entry.inode, number as u64);
        }
        assert!(block.get(5_000).is_none());
    }
}
