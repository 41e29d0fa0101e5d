//! Staging: the operations that say what a transaction is to change.

use std::io;

use super::changes::{Change, Changes};
use super::copying::copy;
use super::name::Name;
use super::places::Places;
use super::refused;
use super::staged::{Staged, file_name};
use super::transaction::Transaction;
use crate::error::{About, Error, Subject};
use crate::limits::{STAGED_OPEN, STAGED_OPEN_SHARE};
use crate::platform::{self, Directory, NativePath, codes};
use crate::text::{Codec, Newline, TextSource};
use crate::verbs::metadata::Metadata;
use crate::verbs::replaced::again_if_stale;
use crate::verbs::write::Data;

/// What a transaction stages. Names are relative to its directory, with `/` between their parts.
#[derive(Debug)]
#[allow(missing_docs, reason = "each variant is documented, and its fields are the parameters of its method")]
pub enum Staging {
    /// Replace a file's content, or create it.
    Write { name: NativePath, data: Data },
    /// The same with encoded text.
    WriteText { name: NativePath, text: TextSource, codec: Codec, newline: Newline },
    /// Extend a file, or create it. `bom`: leading bytes that are omitted unless the file is empty.
    Append { name: NativePath, data: Data, bom: usize },
    /// The same with encoded text.
    AppendText { name: NativePath, text: TextSource, codec: Codec, newline: Newline },
    /// Rename a file or a link, over an existing one.
    Rename { name: NativePath, target: NativePath },
    /// Copy a file's content.
    Copy { name: NativePath, target: NativePath },
    /// Remove a file or a link.
    Remove { name: NativePath, missing_ok: bool },
    /// Create a directory.
    MakeDirectory { name: NativePath },
    /// How long a file is, with what is staged.
    Length { name: NativePath },
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum StagingResult {
    Done,
    /// How many bytes or characters were staged, or how long the file is.
    Count(u64),
    /// The text has characters that the codec does not encode, and nothing was staged.
    Unencodable,
}

/// What stages a change.
pub(super) struct Stage<'a> {
    pub(super) transaction: &'a Transaction,
    pub(super) root: &'a Directory,
    pub(super) log: &'a Directory,
}

impl Stage<'_> {
    /// Stages something.
    pub(super) fn run(&self, staging: &Staging) -> Result<StagingResult, Error> {
        match staging {
            Staging::Write { name, data } => {
                self.write(&valid(name, false)?, data.bytes())?;
                Ok(StagingResult::Count(data.bytes().len() as u64))
            }
            Staging::WriteText { name, text, codec, newline } => {
                let Some(bytes) = text.encode(*codec, *newline)? else {
                    return Ok(StagingResult::Unencodable);
                };
                self.write(&valid(name, false)?, &bytes)?;
                Ok(StagingResult::Count(text.chars() as u64))
            }
            Staging::Append { name, data, bom } => {
                self.append(&valid(name, false)?, data.bytes(), *bom)?;
                Ok(StagingResult::Count(data.bytes().len() as u64))
            }
            Staging::AppendText { name, text, codec, newline } => {
                let Some(bytes) = text.encode(*codec, *newline)? else {
                    return Ok(StagingResult::Unencodable);
                };
                self.append(&valid(name, false)?, &bytes, 0)?;
                Ok(StagingResult::Count(text.chars() as u64))
            }
            Staging::Rename { name, target } => {
                self.rename(&valid(name, false)?, &valid(target, true)?)?;
                Ok(StagingResult::Done)
            }
            Staging::Copy { name, target } => {
                self.copy(&valid(name, false)?, &valid(target, true)?)?;
                Ok(StagingResult::Done)
            }
            Staging::Remove { name, missing_ok } => {
                self.remove(&valid(name, false)?, *missing_ok)?;
                Ok(StagingResult::Done)
            }
            Staging::MakeDirectory { name } => {
                self.make_directory(&valid(name, false)?)?;
                Ok(StagingResult::Done)
            }
            Staging::Length { name } => {
                let name = valid(name, false)?;
                Ok(StagingResult::Count(self.length(&mut self.transaction.changes(), &name)?))
            }
        }
    }

    /// What has this name on the disk, which is on the mount of the transaction.
    fn find(&self, changes: &Changes, name: &Name, subject: &Subject) -> Result<Option<Metadata>, Error> {
        if changes.is_in_new(name) {
            return Ok(None);
        }
        if changes.is_in_file(name) {
            return Err(Error::Os { code: codes::NOT_DIRECTORY, subject: subject.clone() });
        }
        let failed = |error: io::Error| Error::new(&error, subject.clone());
        let mut places = Places::new(self.root);
        let directory = places.of(name).map_err(failed)?;
        let leaf = name.leaf().map_err(failed)?;
        let mount = self.transaction.mount();
        // The directory of the transaction is on its own mount.
        if name.parent().is_some() && !mount.has(directory).map_err(failed)? {
            return Err(refused::elsewhere(subject.clone()));
        }
        mount.find(directory, &leaf, &|| subject.clone())
    }

    /// Checks that a file may get this name. `link`: what is there may be a link, which is replaced.
    fn check_target(
        &self,
        changes: &Changes,
        name: &Name,
        subject: &Subject,
        link: bool,
    ) -> Result<(), Error> {
        if changes.made.contains(name) {
            return Err(Error::Os { code: codes::IS_DIRECTORY, subject: subject.clone() });
        }
        match (self.find(changes, name, subject)?, changes.names.get(name)) {
            (Some(found), None) => refused::unless_regular(&found, subject.clone(), link),
            _ => Ok(()),
        }
    }

    /// Creates a file in the log and fills it.
    fn create(&self, number: u64, fill: impl FnOnce(&mut Staged) -> io::Result<()>) -> Result<Staged, Error> {
        let mut staged = Staged::create(self.log, number).about_path()?;
        match fill(&mut staged) {
            Ok(()) => Ok(staged),
            Err(error) => {
                self.discard(Some(staged));
                Err(Error::new(&error, Subject::Path))
            }
        }
    }

    /// Begins to write staged content to the device.
    fn settle(&self, changes: &mut Changes, staged: &mut Staged) -> Result<(), Error> {
        let most = STAGED_OPEN.min(platform::most_descriptors() / STAGED_OPEN_SHARE);
        let keep = changes.open < most;
        changes.open += usize::from(keep);
        staged.settle(keep, self.transaction.options().durable).about_path()
    }

    /// Removes a file of the log that is not needed any more. It goes with the log at the latest.
    fn discard(&self, staged: Option<Staged>) {
        if let Some(staged) = staged {
            let _ = file_name(staged.number).and_then(|name| self.log.unlink(&name));
        }
    }

    /// Sets what a name will be.
    fn set(&self, changes: &mut Changes, name: &Name, change: Change) {
        match changes.names.insert(name.clone(), change) {
            Some(Change::Written(staged) | Change::Extended(staged)) => self.discard(Some(staged)),
            Some(Change::Moved { added, .. }) => self.discard(added),
            Some(Change::Gone) | None => {}
        }
    }

    fn write(&self, name: &Name, content: &[u8]) -> Result<(), Error> {
        let mut changes = self.transaction.changes();
        self.check_target(&changes, name, &Subject::Path, false)?;
        let number = changes.number();
        // Others may be staged meanwhile.
        drop(changes);
        let mut staged = self.create(number, |staged| staged.write(self.log, content))?;
        let mut changes = self.transaction.changes();
        self.settle(&mut changes, &mut staged)?;
        self.set(&mut changes, name, Change::Written(staged));
        Ok(())
    }

    fn append(&self, name: &Name, content: &[u8], bom: usize) -> Result<(), Error> {
        let mut changes = self.transaction.changes();
        let changes = &mut *changes;
        if bom == 0 {
            self.check_target(changes, name, &Subject::Path, false)?;
        }
        let skipped = if bom > 0 && self.length(changes, name)? > 0 { bom.min(content.len()) } else { 0 };
        let content = &content[skipped..];
        if let Some(
            Change::Written(staged) | Change::Extended(staged) | Change::Moved { added: Some(staged), .. },
        ) = changes.names.get_mut(name)
        {
            return staged.write(self.log, content).about_path();
        }
        if !changes.names.contains_key(name) && !changes.is_in_new(name) {
            self.check_may_extend(name)?;
        }
        let number = changes.number();
        let mut staged = self.create(number, |staged| staged.write(self.log, content))?;
        self.settle(changes, &mut staged)?;
        let change = match changes.names.remove(name) {
            Some(Change::Moved { from, may_lack, .. }) => {
                Change::Moved { from, added: Some(staged), may_lack }
            }
            Some(Change::Gone) => Change::Written(staged),
            _ => Change::Extended(staged),
        };
        changes.names.insert(name.clone(), change);
        Ok(())
    }

    /// Checks that a file may be written to, if it exists.
    fn check_may_extend(&self, name: &Name) -> Result<(), Error> {
        let mut places = Places::new(self.root);
        let opened = places.of(name).and_then(|directory| {
            let leaf = name.leaf()?;
            again_if_stale(|| directory.open_to_overwrite(&leaf))
        });
        match opened {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::new(&error, Subject::Path)),
            _ => Ok(()),
        }
    }

    /// Checks that a name stands for a file or a link, with what has been staged.
    fn check_source(&self, changes: &Changes, name: &Name) -> Result<Option<Metadata>, Error> {
        let missing = || Error::Os { code: codes::NOT_FOUND, subject: Subject::Path };
        if changes.made.contains(name) {
            return Err(Error::Os { code: codes::IS_DIRECTORY, subject: Subject::Path });
        }
        match changes.names.get(name) {
            Some(Change::Gone) => Err(missing()),
            Some(_) => Ok(None),
            None => {
                let found = self.find(changes, name, &Subject::Path)?.ok_or_else(missing)?;
                refused::unless_regular(&found, Subject::Path, true)?;
                Ok(Some(found))
            }
        }
    }

    fn rename(&self, name: &Name, target: &Name) -> Result<(), Error> {
        let mut changes = self.transaction.changes();
        let changes = &mut *changes;
        self.check_source(changes, name)?;
        self.check_target(changes, target, &Subject::Second, true)?;
        if name == target {
            return Ok(());
        }
        let from = name.clone();
        let change = match changes.names.insert(name.clone(), Change::Gone) {
            None => Change::Moved { from, added: None, may_lack: false },
            Some(Change::Extended(staged)) => Change::Moved { from, added: Some(staged), may_lack: true },
            Some(change) => change,
        };
        self.set(changes, target, change);
        Ok(())
    }

    fn copy(&self, name: &Name, target: &Name) -> Result<(), Error> {
        let mut changes = self.transaction.changes();
        let changes = &mut *changes;
        if let Some(found) = self.check_source(changes, name)? {
            refused::unless_regular(&found, Subject::Path, false)?;
        }
        self.check_target(changes, target, &Subject::Second, false)?;
        if name == target {
            return Ok(());
        }
        let number = changes.number();
        let (origin, added) = match changes.names.get(name) {
            None => (Some(name), None),
            Some(Change::Extended(staged)) => (Some(name), Some(staged)),
            Some(Change::Moved { from, added, .. }) => (Some(from), added.as_ref()),
            Some(Change::Written(staged)) => (None, Some(staged)),
            Some(Change::Gone) => (None, None),
        };
        let mut staged = self.create(number, |staged| {
            if let Some(origin) = origin {
                let mut places = Places::new(self.root);
                let directory = places.of(origin)?;
                let leaf = origin.leaf()?;
                match again_if_stale(|| Directory::open_to_read(&leaf, Some(directory), false)) {
                    Ok(source) => copy(&source, staged, self.log)?,
                    // What extends it creates it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound && added.is_some() => {}
                    Err(error) => return Err(error),
                }
            }
            if let Some(added) = added {
                let source = Directory::open_to_read(&file_name(added.number)?, Some(self.log), false)?;
                copy(&source, staged, self.log)?;
            }
            Ok(())
        })?;
        self.settle(changes, &mut staged)?;
        self.set(changes, target, Change::Written(staged));
        Ok(())
    }

    fn remove(&self, name: &Name, missing_ok: bool) -> Result<(), Error> {
        let mut changes = self.transaction.changes();
        match self.check_source(&changes, name) {
            Ok(_) => self.set(&mut changes, name, Change::Gone),
            Err(Error::Os { code, .. }) if missing_ok && platform::is_not_found(code) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn make_directory(&self, name: &Name) -> Result<(), Error> {
        let mut changes = self.transaction.changes();
        if changes.made.contains(name)
            || changes.names.contains_key(name)
            || self.find(&changes, name, &Subject::Path)?.is_some()
        {
            return Err(Error::Os { code: codes::EXISTS, subject: Subject::Path });
        }
        changes.made.insert(name.clone());
        Ok(())
    }

    /// How long a file is, with what has been staged; 0 if it does not exist.
    fn length(&self, changes: &mut Changes, name: &Name) -> Result<u64, Error> {
        self.check_target(changes, name, &Subject::Path, false)?;
        let (origin, added) = match changes.names.get(name) {
            None => (Some(name), 0),
            Some(Change::Extended(staged)) => (Some(name), staged.size()),
            Some(Change::Moved { from, added, .. }) => (Some(from), added.as_ref().map_or(0, Staged::size)),
            Some(Change::Written(staged)) => (None, staged.size()),
            Some(Change::Gone) => (None, 0),
        };
        let before = match origin {
            Some(origin) => self.find(changes, origin, &Subject::Path)?.map_or(0, |found| found.size),
            None => 0,
        };
        Ok(before + added)
    }
}

fn valid(name: &NativePath, is_target: bool) -> Result<Name, Error> {
    Name::parse(&platform::name_bytes(name)).ok_or_else(|| {
        let mut error = refused::invalid_name();
        if let (true, Error::Refused { subject, .. }) = (is_target, &mut error) {
            *subject = Subject::Second;
        }
        error
    })
}
