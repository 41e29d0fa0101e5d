//! The directories of what a transaction changes, opened without following a link.

use std::io;

use super::name::Name;
use crate::platform::{self, Directory, NativePath};

/// Opens the directories of names. The last one stays open, as names come in their order.
pub(super) struct Places<'a> {
    root: &'a Directory,
    last: Option<(Vec<u8>, Directory)>,
}

impl<'a> Places<'a> {
    pub(super) fn new(root: &'a Directory) -> Self {
        Self { root, last: None }
    }

    /// The directory that an entry is in.
    pub(super) fn of(&mut self, name: &Name) -> io::Result<&Directory> {
        self.at(name.parent_bytes())
    }

    /// The directory with this name; the empty one is that of the root.
    pub(super) fn at(&mut self, path: &[u8]) -> io::Result<&Directory> {
        if path.is_empty() {
            return Ok(self.root);
        }
        if self.last.as_ref().is_none_or(|(opened, _)| opened != path) {
            self.last = None;
            let mut here: Option<Directory> = None;
            for part in path.split(|byte| *byte == b'/') {
                let next = platform::entry_name(part)?;
                here = Some(Directory::open(&next, Some(here.as_ref().unwrap_or(self.root)))?);
            }
            self.last = here.map(|directory| (path.to_vec(), directory));
        }
        Ok(self.last.as_ref().map_or(self.root, |(_, directory)| directory))
    }
}

/// The mount that everything has to be on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mount {
    device: u64,
    number: Option<u64>,
}

impl Mount {
    pub(super) fn of(root: &Directory) -> io::Result<Self> {
        Ok(Self { device: root.metadata()?.device, number: root.mount_of(None) })
    }

    /// Whether a directory is on it, and an entry, if it exists: a file can be a mount point, too.
    pub(super) fn has(&self, directory: &Directory, entry: Option<&NativePath>) -> io::Result<bool> {
        let on = |found: Option<u64>| self.number.is_none() || found.is_none() || found == self.number;
        let found = match entry {
            None => directory.metadata(),
            Some(name) => directory.metadata_of(name, false),
        };
        match found {
            Ok(found) => Ok(found.device == self.device && on(directory.mount_of(entry))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }
}
