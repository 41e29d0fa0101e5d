//! The directories of a whole tree, one after the other.

use std::io;

use super::apply::about;
use super::log::entry;
use super::name::{LOGS, Name};
use super::places::{Mount, Places};
use super::refused;
use crate::error::{About, Error, Subject};
use crate::platform::{self, Directory, NativePath};
use crate::verbs::listing::Entry;
use crate::verbs::metadata::FileType;

/// The permissions that an owner needs to remove what is in a directory.
const CHANGE: u32 = 0o300;

/// A directory, and everything in it that is on the same mount.
#[derive(Clone, Copy)]
pub(super) struct Tree<'a> {
    pub(super) root: &'a Directory,
    /// Its path, for errors.
    pub(super) path: &'a NativePath,
    pub(super) mount: Mount,
}

/// A directory of a tree, and the names in it.
pub(super) struct Listed<'a> {
    /// Its name; that of the root is empty.
    pub(super) path: &'a [u8],
    pub(super) directory: &'a Directory,
    pub(super) directories: Vec<Vec<u8>>,
    pub(super) others: Vec<Vec<u8>>,
}

impl Tree<'_> {
    /// Whom an error about a directory is about.
    pub(super) fn about(&self, path: &[u8]) -> Subject {
        if path.is_empty() { Subject::Path } else { about(self.path, &Name::found(b"", path)) }
    }

    /// Hands over each directory from one on, the outer ones before the inner ones, which are visited if it leaves them
    /// in its list.
    ///
    /// No more than two are open at once, however deep the tree is.
    pub(super) fn each(
        &self,
        start: &[u8],
        mut visit: impl FnMut(&mut Listed<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut places = Places::new(self.root);
        let mut to_do = vec![start.to_vec()];
        while let Some(path) = to_do.pop() {
            let about = || self.about(&path);
            let directory = places.at(&path).about(about())?;
            if !self.mount.has(directory).about(about())? {
                return Err(refused::elsewhere(about()));
            }
            let (mut directories, mut others) = (Vec::new(), Vec::new());
            let mut unknown = Vec::new();
            list(directory, |entry| {
                let list = match entry.file_type {
                    Some(FileType::DIRECTORY) => &mut directories,
                    Some(_) => &mut others,
                    None => &mut unknown,
                };
                list.push(entry.name.to_vec());
            })
            .about(about())?;
            for name in unknown {
                let is_directory =
                    platform::entry_name(&name).and_then(|name| directory.has_directory(&name));
                if is_directory.about(about())? { &mut directories } else { &mut others }.push(name);
            }
            let mut listed = Listed { path: &path, directory, directories, others };
            visit(&mut listed)?;
            to_do.extend(listed.directories.iter().map(|name| Name::found(&path, name).bytes().to_vec()));
        }
        Ok(())
    }

    /// Removes everything in it. The log with this id is last: a transaction that has begun in it finds that log, and
    /// so knows that the directory has been exchanged, until its own is gone.
    pub(super) fn clear(&self, id: &[u8]) -> Result<(), Error> {
        let logs = Name::found(b"", LOGS.as_bytes());
        let log = Name::found(logs.bytes(), id);
        self.remove_in(b"", Some(LOGS.as_bytes()))?;
        self.remove_in(logs.bytes(), Some(id))?;
        self.remove_in(log.bytes(), None)?;
        let mut places = Places::new(self.root);
        self.remove(&mut places, &log)?;
        self.remove(&mut places, &logs)
    }

    /// Removes everything in a directory but one that is in it.
    fn remove_in(&self, start: &[u8], except: Option<&[u8]>) -> Result<(), Error> {
        match Places::new(self.root).at(start) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => drop(opened.about(self.about(start))?),
        }
        let mut found = Vec::new();
        self.each(start, |listed| {
            let about = || self.about(listed.path);
            if listed.path == start {
                listed.directories.retain(|name| Some(name.as_slice()) != except);
            }
            if listed.directory.metadata().about(about())?.mode & CHANGE != CHANGE {
                // If that is not permitted, an entry that cannot be removed says so.
                let _ = listed.directory.permit();
            }
            for name in &listed.others {
                let removed = platform::entry_name(name).and_then(|name| listed.directory.unlink(&name));
                unless_missing(removed).about(about())?;
            }
            found.extend(listed.directories.iter().map(|name| Name::found(listed.path, name)));
            Ok(())
        })?;
        let mut places = Places::new(self.root);
        found.iter().rev().try_for_each(|name| self.remove(&mut places, name))
    }

    /// Removes an empty directory.
    fn remove(&self, places: &mut Places<'_>, name: &Name) -> Result<(), Error> {
        let removed = places.of(name).and_then(|above| Directory::remove(&name.leaf()?, Some(above)));
        unless_missing(removed).about(self.about(name.bytes()))
    }
}

/// It is no error that somebody else has removed something.
pub(super) fn unless_missing(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Reads the names in a directory.
pub(super) fn list(directory: &Directory, mut each: impl FnMut(Entry<'_>)) -> io::Result<()> {
    // Readers of one descriptor share a position.
    let again = Directory::open(&entry(".")?, Some(directory))?;
    let mut reader = again.reader()?;
    loop {
        let more = reader.read(&mut |found| {
            each(found);
            Ok(())
        })?;
        if !more {
            return Ok(());
        }
    }
}
