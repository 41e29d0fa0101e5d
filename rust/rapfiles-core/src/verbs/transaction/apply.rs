//! Applying the records of a committed transaction: once after the commit point, or again after a crash.

use std::collections::BTreeMap;
use std::io;

use super::manifest::Record;
use super::name::Name;
use super::places::{Places, synchronise};
use super::refused;
use super::staged::{Content, each_piece, file_name};
use super::tree::unless_missing;
use crate::error::{Error, Subject};
use crate::platform::{self, Directory, File, NativePath, codes};
use crate::verbs::metadata::Timestamp;
use crate::verbs::replaced::{again_if_stale, found};

/// The permissions of a new directory, before the umask.
const NEW: u32 = 0o777;

/// What records are applied to.
pub(super) struct Target<'a> {
    pub(super) root: &'a Directory,
    /// Its path, for errors.
    pub(super) path: &'a NativePath,
    pub(super) log: &'a Directory,
    /// Wait until the device has everything.
    pub(super) durable: bool,
}

impl Target<'_> {
    /// Whom an error about this name is about.
    pub(super) fn about(&self, name: &Name) -> Subject {
        about(self.path, name)
    }

    /// Applies all records, and synchronises each directory once.
    pub(super) fn apply(&self, records: &[Record]) -> Result<(), Error> {
        let mut places = Places::new(self.root);
        let mut touched: BTreeMap<&[u8], &Name> = BTreeMap::new();
        let is_append = |record: &&Record| matches!(record, Record::Append { .. });
        for record in records.iter().filter(|record| !is_append(record)) {
            self.apply_one(record, &mut places)?;
            touched.insert(record.name().parent_bytes(), record.name());
        }
        for name in touched.into_values().filter(|_| self.durable) {
            places.of(name).and_then(synchronise).map_err(|error| Error::new(&error, self.about(name)))?;
        }
        // Only now: a file that has been renamed and is extended does not look any more like the one whose old name is to
        // be removed.
        for record in records.iter().filter(is_append) {
            self.apply_one(record, &mut places)?;
        }
        Ok(())
    }

    fn apply_one(&self, record: &Record, places: &mut Places<'_>) -> Result<(), Error> {
        let name = record.name();
        let failed = |error: io::Error| Error::new(&error, self.about(name));
        let directory = places.of(name).map_err(failed)?;
        let leaf = name.leaf().map_err(failed)?;
        match record {
            Record::Make { .. } => make(directory, &leaf).map_err(failed),
            Record::Put { file, .. } => self.put(*file, directory, &leaf).map_err(failed),
            Record::Append { file, content, old, .. } => {
                match self.append(*file, content, *old, directory, &leaf) {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(refused::changed(self.about(name))),
                    Err(error) => Err(failed(error)),
                }
            }
            Record::Remove { modified, .. } => remove(directory, &leaf, *modified).map_err(failed),
        }
    }

    /// A file that is not in the log any more has been put.
    fn put(&self, file: u64, directory: &Directory, leaf: &NativePath) -> io::Result<()> {
        let staged = file_name(file)?;
        match self.log.rename_into(&staged, directory, leaf, true) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match self.log.metadata_of(&staged, false) {
                    Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(()),
                    Err(unknown) => Err(unknown),
                    Ok(_) => Err(error),
                }
            }
            put => put,
        }
    }

    /// Writes at the old end, again if need be; `false` if the file has been changed by somebody else since.
    fn append(
        &self,
        file: u64,
        content: &Content,
        old: u64,
        directory: &Directory,
        leaf: &NativePath,
    ) -> io::Result<bool> {
        let target = again_if_stale(|| directory.open_to_overwrite(leaf))?;
        let found = platform::metadata_of(&target)?;
        let end = old + content.size;
        if !found.is_regular_file() {
            return Ok(false);
        }
        let staged = match Directory::open_to_read(&file_name(file)?, Some(self.log), false) {
            // Only the last thing that is done with a log removes it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found.size >= end),
            staged => staged?,
        };
        if found.size < old || found.size > end {
            return Ok(false);
        }
        if found.size > old && !begins_like(directory, leaf, old, &staged)? {
            return Ok(false);
        }
        each_piece(&staged, 0, |piece, offset| write_all_at(&target, piece, old + offset))?;
        // In any case: the names that are changed, and the end of the log, may reach the device before content does.
        platform::synchronise(&target, !self.durable)?;
        platform::close(target)?;
        Ok(true)
    }
}

/// Whom an error about a name is about: its path.
pub(super) fn about(path: &NativePath, name: &Name) -> Subject {
    match platform::entry_name(name.bytes()) {
        Ok(name) => Subject::Other(platform::joined([path, &name].into_iter()).unwrap_or(name)),
        Err(_) => Subject::Other(path.clone()),
    }
}

/// Whether what follows the old end of a file is the beginning of what is to be there. Zeros may be in its place after a
/// power cut: the length reached the device, the content did not.
fn begins_like(directory: &Directory, leaf: &NativePath, old: u64, staged: &File) -> io::Result<bool> {
    let there = again_if_stale(|| Directory::open_to_read(leaf, Some(directory), false))?;
    let mut same = true;
    let mut expected = Vec::new();
    each_piece(&there, old, |piece, offset| {
        expected.resize(piece.len(), 0);
        let mut filled = 0;
        while filled < expected.len() {
            match platform::read_at(staged, &mut expected[filled..], offset - old + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        same &= filled == piece.len()
            && piece.iter().zip(&expected).all(|(found, expected)| found == expected || *found == 0);
        Ok(())
    })?;
    Ok(same)
}

fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match platform::write_at(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
        }
    }
    Ok(())
}

fn make(directory: &Directory, leaf: &NativePath) -> io::Result<()> {
    match directory.make(leaf, NEW) {
        Err(error) if error.raw_os_error() == Some(codes::EXISTS) => match directory.has_directory(leaf) {
            Ok(true) => Ok(()),
            Ok(false) => Err(error),
            Err(unknown) => Err(unknown),
        },
        made => made,
    }
}

/// What has been created or changed by somebody else since stays. Inodes would tell it as well, but not in a copy of the
/// directory.
fn remove(directory: &Directory, leaf: &NativePath, modified: Timestamp) -> io::Result<()> {
    match found(directory, leaf, false)? {
        Some(found) if found.modified == modified => unless_missing(directory.unlink(leaf)),
        _ => Ok(()),
    }
}
