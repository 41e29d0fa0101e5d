//! A transaction, from its beginning to its end: the operations that stage changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::changes::Changes;
use super::commit::Committing;
use super::log::{self, Log, Logs};
use super::options::TransactionOptions;
use super::places::Mount;
use super::recover::{Recovery, finish_all};
use super::refused;
use super::replacement::Replacement;
use super::stage::{Stage, Staging, StagingResult};
use super::swapping;
use crate::engine::lane::Lane;
use crate::engine::runtime::sync::{Mutex, MutexGuard};
use crate::engine::{Engine, Process, runtime};
use crate::error::{About, Error, Subject};
use crate::limits::NAMES_TRIED;
use crate::platform::{Directory, NativePath, codes};
use crate::verbs::replaced::{MayBeGone, again_if_stale, is_replaced, leads_elsewhere};

/// A transaction.
#[derive(Debug)]
pub struct Transaction {
    /// The engine that it was begun in.
    engine: Arc<Engine>,
    path: NativePath,
    mount: Mount,
    options: TransactionOptions,
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
    /// The directory that is to be exchanged with the transaction's, if that is how it is committed.
    replacement: Option<Replacement>,
}

impl Opened {
    fn begin_at(path: &NativePath, swap: bool) -> Result<(Mount, Self), Error> {
        for _ in 0..NAMES_TRIED {
            let root = again_if_stale(|| Directory::open_followed(path, None)).about_path()?;
            let found = match root.metadata() {
                // Exchanged and removed meanwhile.
                Err(error) if error.is_gone() => continue,
                found => found.about_path()?,
            };
            let mount = Mount::of(&root).about_path()?;
            let begun = Self::begin(path, mount, root, swap);
            // A transaction that exchanges the directory just now would remove the log with the old one.
            if !leads_elsewhere(path, &found) {
                return Ok((mount, begun?));
            }
            if let Ok(opened) = begun {
                // It goes with the directory, otherwise.
                let _ = opened.undo();
            }
        }
        Err(busy())
    }

    fn begin(path: &NativePath, mount: Mount, root: Directory, swap: bool) -> Result<Self, Error> {
        let (logs, log) = log::begin(&root, path)?;
        let mut opened = Self { root, logs, log, replacement: None };
        if swap {
            let made = Replacement::begin(&opened.root, path, mount, &opened.log.id);
            if let Err(error) = made.and_then(|made| opened.replacement.insert(made).probe()) {
                // The error that is reported is that of the beginning.
                let _ = opened.undo();
                return Err(error);
            }
        }
        Ok(opened)
    }

    /// Removes the log, and the replacement before it. Nothing else has been changed.
    fn undo(self) -> Result<(), Error> {
        let Self { root, logs, log, replacement } = self;
        if let Some(replacement) = replacement {
            replacement.remove()?;
        }
        match logs.lock() {
            Ok(Some(lock)) => logs.remove(log).and(logs.tidy(&root, lock)).about_path(),
            Ok(None) => Ok(()),
            Err(error) => {
                let _ = logs.remove(log);
                log::remove_empty(&root);
                Err(error)
            }
        }
    }
}

impl Transaction {
    /// Begins a transaction.
    pub(crate) fn begin(
        engine: &Engine,
        path: &NativePath,
        options: TransactionOptions,
    ) -> Result<Arc<Self>, Error> {
        // Unless the device has the copy before it is exchanged, files may be missing in it after a power cut: btrfs has
        // the new names of directories, but not all that was linked into them, when somebody synchronises a file.
        let options = TransactionOptions { durable: options.durable || options.swap, ..options };
        let (mount, opened) = Opened::begin_at(path, options.swap)?;
        Ok(Arc::new(Self {
            engine: engine.share(),
            path: path.clone(),
            mount,
            options,
            opened: RwLock::new(Some(opened)),
            changes: Mutex::default(),
            abandoned: AtomicBool::new(false),
            committed: AtomicBool::new(false),
        }))
    }

    /// The path of its directory.
    pub(crate) fn path(&self) -> &NativePath {
        &self.path
    }

    /// The mount that it is on.
    pub(crate) fn mount(&self) -> Mount {
        self.mount
    }

    pub(super) fn options(&self) -> TransactionOptions {
        self.options
    }

    /// Whether the commit point has been passed.
    pub fn is_committed(&self) -> bool {
        self.committed.load(Ordering::Acquire)
    }

    /// Ends it in the background: undoes it, unless it has been committed. For when nobody can wait.
    pub fn abandon(self: &Arc<Self>) {
        self.abandoned.store(true, Ordering::Release);
        let transaction = Arc::clone(self);
        self.engine.here().spawn(Lane::Unknown, move || {
            // Nobody waits, so there is nobody to report an error to.
            let _ = transaction.undo();
        });
    }

    pub(super) fn changes(&self) -> MutexGuard<'_, Changes> {
        runtime::lock(&self.changes)
    }

    fn is_of_this_process(&self) -> bool {
        self.engine.process() == Process::current()
    }

    fn check_process(&self) -> Result<(), Error> {
        if self.is_of_this_process() { Ok(()) } else { Err(Error::Forked) }
    }

    /// Ends the transaction.
    fn end(&self) -> Result<Option<Opened>, Error> {
        self.check_process()?;
        Ok(runtime::write(&self.opened).take())
    }

    /// Removes the log. Nothing else has been changed.
    pub(crate) fn undo(&self) -> Result<(), Error> {
        if let Some(opened) = self.end()? {
            drop(std::mem::take(&mut *self.changes()));
            opened.undo()?;
        }
        Ok(())
    }

    /// Makes all changes.
    pub(crate) fn commit(&self) -> Result<(), Error> {
        let opened = self.end()?.ok_or_else(refused::ended)?;
        let changes = std::mem::take(&mut *self.changes());
        if opened.replacement.is_some() && changes.is_empty() {
            opened.undo()?;
            return Ok(());
        }
        let Opened { root, logs, log, replacement } = opened;
        let lock = match logs.lock() {
            Ok(Some(lock)) => lock,
            failed => {
                let error = self.or_replaced(&root, failed.err().unwrap_or_else(busy));
                // The error that is reported is that of the lock.
                let _ = Opened { root, logs, log, replacement }.undo();
                return Err(error);
            }
        };
        let committing = Committing {
            engine: &self.engine,
            root: &root,
            path: &self.path,
            mount: self.mount,
            logs: &logs,
            log: &log,
            durable: self.options.durable,
            abandoned: &self.abandoned,
            committed: &self.committed,
        };
        let outcome = match &replacement {
            _ if changes.is_empty() => Ok(()),
            None => committing.run(changes),
            Some(replacement) => swapping::run(&committing, replacement, changes),
        };
        if matches!(outcome, Err(Error::Unfinished { .. })) {
            // Its log is for the recovery.
            return outcome;
        }
        if let Some(Replacement { directory, .. }) = &replacement
            && self.is_committed()
        {
            // The log was in the old directory, which systems that keep open files do not remove before they are closed.
            drop((log, logs, lock));
            // What remains then is removed by the next one that commits or recovers.
            let _ = finish_all(directory, &self.path, &mut Recovery::default());
            return outcome;
        }
        // What remains is removed by the next one that commits or recovers.
        let _ = replacement
            .map_or(Ok(()), Replacement::remove)
            .and_then(|()| logs.remove(log).and_then(|()| logs.tidy(&root, lock)).about_path());
        outcome.map_err(|error| self.or_replaced(&root, error))
    }

    /// The error, or that it comes of an exchange of the directory, which has removed what was staged.
    fn or_replaced(&self, root: &Directory, error: Error) -> Error {
        if is_replaced(root, &self.path) { refused::replaced() } else { error }
    }

    /// Stages something.
    pub(crate) fn stage(&self, staging: &Staging) -> Result<StagingResult, Error> {
        self.check_process()?;
        let opened = runtime::read(&self.opened);
        let Opened { root, log, .. } = opened.as_ref().ok_or_else(refused::ended)?;
        let stage = Stage { transaction: self, root, log: &log.directory };
        stage.run(staging).map_err(|error| self.or_replaced(root, error))
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let opened = self.opened.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // A forked child leaves it to its parent.
        let Some(opened) = opened.filter(|_| self.is_of_this_process()) else { return };
        let undo = move || {
            // An error cannot be reported.
            let _ = opened.undo();
        };
        if runtime::in_worker() {
            undo();
        } else {
            self.engine.spawn(Lane::Unknown, undo);
        }
    }
}

fn busy() -> Error {
    Error::Os { code: codes::BUSY, subject: Subject::Path }
}
