//! The directories of what a transaction changes, opened without following a link.

use std::io;

use super::name::Name;
use super::refused;
use crate::error::{About, Error, Subject};
use crate::platform::{self, Directory, NativePath};
use crate::verbs::metadata::Metadata;
use crate::verbs::replaced::found;

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

/// Waits until the device has the entries of a directory.
pub(super) fn synchronise(directory: &Directory) -> io::Result<()> {
    platform::synchronise_directory(&directory.to_synchronise()?)
}

/// The mount that everything has to be on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mount {
    pub(crate) device: u64,
    number: Option<u64>,
}

impl Mount {
    pub(super) fn of(root: &Directory) -> io::Result<Self> {
        Ok(Self { device: root.metadata()?.device, number: root.mount_of(None) })
    }

    /// Whether a directory is on it.
    pub(super) fn has(&self, directory: &Directory) -> io::Result<bool> {
        Ok(self.is(&directory.metadata()?, directory.mount_of(None)))
    }

    /// What has a name; `None` if nothing has. It is refused if it is on another mount: a file can be a mount point, too.
    pub(super) fn find(
        &self,
        directory: &Directory,
        name: &NativePath,
        subject: &dyn Fn() -> Subject,
    ) -> Result<Option<Metadata>, Error> {
        match found(directory, name, false).about(subject)? {
            Some(found) if !self.is(&found, directory.mount_of(Some(name))) => {
                Err(refused::elsewhere(subject()))
            }
            found => Ok(found),
        }
    }

    fn is(&self, found: &Metadata, number: Option<u64>) -> bool {
        found.device == self.device && (self.number.is_none() || number.is_none() || number == self.number)
    }
}
