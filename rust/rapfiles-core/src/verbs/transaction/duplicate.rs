//! The copy of a directory that a transaction changes in its place.
//!
//! Directories are made anew, with the metadata of the old ones. Files, links and everything else get a second name in the
//! copy: nothing of them changes, not even their inodes, and what others write to them meanwhile is in both. Only a file
//! whose content the transaction extends is copied, for an inode that both directories have would change in both.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::name::{LOGS, Name};
use super::places::{Places, synchronise};
use super::refused;
use super::tree::{Listed, Tree};
use crate::engine::stream::Slice;
use crate::error::{About, Error, Subject};
use crate::limits::DUPLICATE_STEP;
use crate::platform::{self, Directory, File, NativePath};
use crate::verbs::copy::Transfer;
use crate::verbs::metadata::Metadata;

/// The permissions of an owner, which are needed until everything is in a directory.
const OWNERS: u32 = 0o700;
/// Permissions of a new file, until it has those of the old one.
const PRIVATE: u32 = 0o600;
/// All permissions but those of somebody.
const SET_BITS: u32 = 0o7000;

/// A copy of a tree.
pub(super) struct Duplicate<'a> {
    old: Tree<'a>,
    new: &'a Directory,
    /// The directories as they were before they were read.
    directories: BTreeMap<Vec<u8>, Metadata>,
    /// The files that were copied, as they were before.
    files: BTreeMap<Name, Metadata>,
}

impl<'a> Duplicate<'a> {
    /// Copies a tree into an empty directory. `extended`: what is not to have the same inode.
    pub(super) fn make(
        old: Tree<'a>,
        new: &'a Directory,
        extended: &BTreeSet<Name>,
        abandoned: &AtomicBool,
    ) -> Result<Self, Error> {
        let mut duplicate = Self { old, new, directories: BTreeMap::new(), files: BTreeMap::new() };
        let mut places = Places::new(new);
        old.each(b"", |listed| {
            if abandoned.load(Ordering::Acquire) {
                return Err(refused::abandoned());
            }
            duplicate.directory(listed, &mut places, extended, abandoned)
        })?;
        Ok(duplicate)
    }

    fn directory(
        &mut self,
        listed: &mut Listed<'_>,
        places: &mut Places<'_>,
        extended: &BTreeSet<Name>,
        abandoned: &AtomicBool,
    ) -> Result<(), Error> {
        let path = listed.path;
        let about = || self.old.about(path);
        let like = listed.directory.metadata().about(about)?;
        if let Some(logs) = listed.directories.iter().position(|name| name == LOGS.as_bytes()) {
            if !path.is_empty() {
                return Err(refused::inner_log(about()));
            }
            listed.directories.swap_remove(logs);
        }
        // With flags of chattr(1), nothing could be removed from the old one.
        let itself = platform::entry_name(b".").about(about)?;
        listed.directory.may_replace(&itself).about(about)?;
        let into = places.at(path).about(about)?;
        let target = into.as_file().about(about)?;
        // Nobody else is let into the copy before it is complete.
        let mode = if path.is_empty() { like.mode & SET_BITS } else { like.mode };
        let source = listed.directory.as_file().about(about)?;
        preserve(&source, &like, &target, mode | OWNERS, &about)?;
        for name in &listed.directories {
            let leaf = platform::entry_name(name).about(about)?;
            into.make(&leaf, OWNERS).about(|| self.old.about(Name::found(path, name).bytes()))?;
        }
        for leaf in &listed.others {
            let name = Name::found(path, leaf);
            let about = || self.old.about(name.bytes());
            let leaf = platform::entry_name(leaf).about(about)?;
            let found = if extended.contains(&name) {
                self.file(&leaf, listed.directory, into, &about, abandoned)?
            } else {
                None
            };
            match found {
                Some(found) => drop(self.files.insert(name, found)),
                None => match into.make_name(&leaf, &leaf, listed.directory) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        return Err(refused::disturbed(about()));
                    }
                    made => made.about(about)?,
                },
            }
        }
        self.directories.insert(path.to_vec(), like);
        Ok(())
    }

    /// Copies a file, if it is one.
    fn file(
        &self,
        leaf: &NativePath,
        from: &Directory,
        into: &Directory,
        about: &dyn Fn() -> Subject,
        abandoned: &AtomicBool,
    ) -> Result<Option<Metadata>, Error> {
        if !from.metadata_of(leaf, false).about(about)?.is_regular_file() {
            return Ok(None);
        }
        let source = Directory::open_to_read(leaf, Some(from), false).about(about)?;
        let like = platform::metadata_of(&source).about(about)?;
        let target = into.create(leaf, PRIVATE).about(about)?;
        let mut transfer = Transfer::new(&like, true);
        while !transfer.go_on(&source, &target, &Slice::alone(DUPLICATE_STEP), |_| {}).about(about)? {
            if abandoned.load(Ordering::Acquire) {
                return Err(refused::abandoned());
            }
        }
        preserve(&source, &like, &target, like.mode, about)?;
        platform::copy_flags(&like, &target).about(about)?;
        platform::close(target).about(about)?;
        Ok(Some(like))
    }

    /// Gives the directories of the copy what they have only at the end: their permissions and flags, and the times of those in which
    /// nothing has been changed; and waits until the device has them.
    pub(super) fn settle(&self, changed: &BTreeSet<&[u8]>) -> Result<(), Error> {
        let mut places = Places::new(self.new);
        // The innermost first: the outer ones may be closed to their owner.
        for (path, like) in self.directories.iter().rev() {
            let settled = places.at(path).and_then(|directory| {
                let target = directory.as_file()?;
                if path.is_empty() || like.mode & OWNERS != OWNERS {
                    platform::set_file_mode(&target, like.mode)?;
                }
                // The log is in the directory of the transaction.
                if !path.is_empty() && !changed.contains(path.as_slice()) {
                    platform::set_file_times(&target, (like.accessed, like.modified))?;
                }
                platform::copy_flags(like, &target)?;
                synchronise(directory)
            });
            settled.about(|| self.old.about(path))?;
        }
        Ok(())
    }

    /// Checks that nobody has changed what the copy would take back: the names in a directory, and the content of a file
    /// that was copied.
    pub(super) fn unless_disturbed(&self) -> Result<(), Error> {
        let mut places = Places::new(self.old.root);
        for (path, before) in &self.directories {
            let now = places.at(path).and_then(Directory::metadata);
            if !now.is_ok_and(|now| now.modified == before.modified && now.changed == before.changed) {
                return Err(refused::disturbed(self.old.about(path)));
            }
        }
        for (name, before) in &self.files {
            let now = places.of(name).and_then(|directory| directory.metadata_of(&name.leaf()?, false));
            let same = |now: Metadata| {
                now.is_same_file(before) && now.modified == before.modified && now.size == before.size
            };
            if !now.is_ok_and(same) {
                return Err(refused::disturbed(self.old.about(name.bytes())));
            }
        }
        Ok(())
    }
}

/// Gives a copy the owner, the attributes, the access lists and the permissions of what it is a copy of.
fn preserve(
    source: &File,
    like: &Metadata,
    target: &File,
    mode: u32,
    about: &dyn Fn() -> Subject,
) -> Result<(), Error> {
    let own = platform::metadata_of(target).about(about)?;
    if !platform::set_file_owner(target, &own, like).about(about)?.is_both() {
        return Err(refused::foreign(about()));
    }
    let attributes = platform::copy_attributes(source, target).about(about)?;
    // Last, because chown(2) clears the set-ID bits, and an access list changes the bits of the group (acl(5)).
    platform::set_file_mode(target, mode & attributes.permitted).about(about)
}
