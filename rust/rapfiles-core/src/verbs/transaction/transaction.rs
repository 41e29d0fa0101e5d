//! A transaction, from its beginning to its end: the operations that stage changes.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::changes::{Change, Changes};
use super::commit::Committing;
use super::copying::copy;
use super::log::{self, Log, Logs};
use super::name::Name;
use super::options::TransactionOptions;
use super::places::{Mount, Places};
use super::refused;
use super::staged::{Staged, file_name};
use crate::engine::queue::Lane;
use crate::engine::runtime::sync::{Mutex, MutexGuard};
use crate::engine::{Engine, Process, runtime};
use crate::error::{About, Error, Subject};
use crate::limits::{STAGED_OPEN, STAGED_OPEN_SHARE};
use crate::outcome::Outcome;
use crate::platform::{self, Directory, NativePath, codes};
use crate::text::{Codec, Newline, TextSource};
use crate::verbs::metadata::Metadata;
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

/// A transaction.
#[derive(Debug)]
pub struct Transaction {
    path: NativePath,
    mount: Mount,
    options: TransactionOptions,
    process: Process,
    /// Until its end. Operations that stage something hold the lock shared.
    opened: RwLock<Option<Opened>>,
    changes: Mutex<Changes>,
    abandoned: AtomicBool,
    committed: AtomicBool,
}

/// What is open until the end of a transaction.
#[derive(Debug)]
struct Opened {
    root: Directory,
    logs: Logs,
    log: Log,
}

impl Opened {
    /// Removes the log. Nothing else has been changed.
    fn undo(self) -> Result<(), Error> {
        let Self { root, logs, log } = self;
        let removed = logs.remove(log);
        let Some(lock) = logs.lock()? else { return Ok(()) };
        removed.and(logs.tidy(&root, lock)).about_path()
    }
}

impl Transaction {
    /// Begins a transaction.
    pub(crate) fn begin(path: &NativePath, options: TransactionOptions) -> Result<Outcome, Error> {
        let root = Directory::open_followed(path, None).about_path()?;
        let mount = Mount::of(&root).about_path()?;
        let (logs, log) = log::begin(&root, path)?;
        Ok(Outcome::Transaction(Arc::new(Self {
            path: path.clone(),
            mount,
            options,
            process: Process::current(),
            opened: RwLock::new(Some(Opened { root, logs, log })),
            changes: Mutex::default(),
            abandoned: AtomicBool::new(false),
            committed: AtomicBool::new(false),
        })))
    }

    /// The path of its directory.
    pub(crate) fn path(&self) -> &NativePath {
        &self.path
    }

    /// Whether the commit point has been passed.
    pub fn is_committed(&self) -> bool {
        self.committed.load(Ordering::Acquire)
    }

    /// Ends it in the background: undoes it, unless it has been committed. For when nobody can wait.
    pub fn abandon(self: &Arc<Self>) {
        self.abandoned.store(true, Ordering::Release);
        let transaction = Arc::clone(self);
        Engine::current().spawn(Lane::Unknown, move || {
            // Nobody waits, so there is nobody to report an error to.
            let _ = transaction.undo();
        });
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        runtime::lock(&self.changes)
    }

    /// Ends the transaction.
    fn end(&self) -> Result<Option<Opened>, Error> {
        if self.process != Process::current() {
            return Err(Error::Forked);
        }
        Ok(runtime::write(&self.opened).take())
    }

    /// Removes the log. Nothing else has been changed.
    pub(crate) fn undo(&self) -> Result<Outcome, Error> {
        if let Some(opened) = self.end()? {
            drop(std::mem::take(&mut *self.changes()));
            opened.undo()?;
        }
        Ok(Outcome::Done)
    }

    /// Makes all changes.
    pub(crate) fn commit(&self) -> Result<Outcome, Error> {
        let Opened { root, logs, log } = self.end()?.ok_or_else(refused::ended)?;
        let changes = std::mem::take(&mut *self.changes());
        let lock = match logs.lock() {
            Ok(Some(lock)) => lock,
            failed => {
                // The error that is reported is that of the lock.
                let _ = logs.remove(log);
                log::remove_empty(&root);
                return Err(failed.err().unwrap_or(Error::Os { code: codes::BUSY, subject: Subject::Path }));
            }
        };
        let committing = Committing {
            root: &root,
            path: &self.path,
            mount: self.mount,
            logs: &logs,
            log: &log,
            durable: self.options.durable,
            abandoned: &self.abandoned,
            committed: &self.committed,
        };
        let outcome = if changes.is_empty() { Ok(()) } else { committing.run(changes) };
        if matches!(outcome, Err(Error::Unfinished { .. })) {
            // Its log is for whoever recovers.
            return outcome.map(|()| Outcome::Done);
        }
        // What remains is removed by the next one that commits or recovers.
        let _ = logs.remove(log).and_then(|()| logs.tidy(&root, lock));
        outcome.map(|()| Outcome::Done)
    }

    /// Stages something.
    pub(crate) fn stage(&self, staging: &Staging) -> Result<Outcome, Error> {
        if self.process != Process::current() {
            return Err(Error::Forked);
        }
        let opened = runtime::read(&self.opened);
        let Opened { root, log, .. } = opened.as_ref().ok_or_else(refused::ended)?;
        let stage = Stage { transaction: self, root, log: &log.directory };
        match staging {
            Staging::Write { name, data } => {
                stage.write(&valid(name, false)?, data.bytes())?;
                Ok(Outcome::Count(data.bytes().len() as u64))
            }
            Staging::WriteText { name, text, codec, newline } => {
                let Some(bytes) = text.encode(*codec, *newline)? else { return Ok(Outcome::Unencodable) };
                stage.write(&valid(name, false)?, &bytes)?;
                Ok(Outcome::Count(text.chars() as u64))
            }
            Staging::Append { name, data, bom } => {
                stage.append(&valid(name, false)?, data.bytes(), *bom)?;
                Ok(Outcome::Count(data.bytes().len() as u64))
            }
            Staging::AppendText { name, text, codec, newline } => {
                let Some(bytes) = text.encode(*codec, *newline)? else { return Ok(Outcome::Unencodable) };
                stage.append(&valid(name, false)?, &bytes, 0)?;
                Ok(Outcome::Count(text.chars() as u64))
            }
            Staging::Rename { name, target } => {
                stage.rename(&valid(name, false)?, &valid(target, true)?)?;
                Ok(Outcome::Done)
            }
            Staging::Copy { name, target } => {
                stage.copy(&valid(name, false)?, &valid(target, true)?)?;
                Ok(Outcome::Done)
            }
            Staging::Remove { name, missing_ok } => {
                stage.remove(&valid(name, false)?, *missing_ok)?;
                Ok(Outcome::Done)
            }
            Staging::MakeDirectory { name } => {
                stage.make_directory(&valid(name, false)?)?;
                Ok(Outcome::Done)
            }
            Staging::Length { name } => {
                let name = valid(name, false)?;
                Ok(Outcome::Count(stage.length(&mut self.changes(), &name)?))
            }
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let opened = self.opened.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // A forked child leaves it to its parent.
        let Some(opened) = opened.filter(|_| self.process == Process::current()) else { return };
        let undo = move || {
            // An error cannot be reported.
            let _ = opened.undo();
        };
        if runtime::in_worker() {
            undo();
        } else {
            Engine::current().spawn(Lane::Unknown, undo);
        }
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

/// What stages a change.
struct Stage<'a> {
    transaction: &'a Transaction,
    root: &'a Directory,
    log: &'a Directory,
}

impl Stage<'_> {
    /// What has this name on the disk, which is on the mount of the transaction.
    fn find(&self, changes: &Changes, name: &Name, subject: &Subject) -> Result<Option<Metadata>, Error> {
        if changes.is_in_new(name) {
            return Ok(None);
        }
        let failed = |error: io::Error| Error::new(&error, subject.clone());
        let mut places = Places::new(self.root);
        let directory = places.of(name).map_err(failed)?;
        let leaf = name.leaf().map_err(failed)?;
        let mount = self.transaction.mount;
        if !mount.has(directory, None).map_err(failed)?
            || !mount.has(directory, Some(&leaf)).map_err(failed)?
        {
            return Err(refused::elsewhere(subject.clone()));
        }
        match directory.metadata_of(&leaf, false) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
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
        let filled = fill(&mut staged);
        if filled.is_err() {
            self.discard(Some(staged));
        } else {
            return Ok(staged);
        }
        Err(filled.about_path().err().unwrap_or_else(refused::ended))
    }

    /// Begins to write staged content to the device.
    fn settle(&self, changes: &mut Changes, staged: &mut Staged) -> Result<(), Error> {
        let most = STAGED_OPEN.min(platform::most_descriptors() / STAGED_OPEN_SHARE);
        let keep = changes.open < most;
        changes.open += usize::from(keep);
        staged.settle(keep, self.transaction.options.durable).about_path()
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
        let opened = places.of(name).and_then(|directory| directory.open_to_overwrite(&name.leaf()?));
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
                match Directory::open_to_read(&origin.leaf()?, Some(directory), false) {
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
