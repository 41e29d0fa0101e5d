//! Recovery: finishing or undoing what a crash has interrupted.

use std::ffi::OsString;
use std::io;

use super::apply::{Target, about};
use super::log::{COMMIT, Log, Logs, SWAPPED, entry};
use super::manifest::{self, Record};
use super::name::Name;
use super::places::synchronise;
use super::refused;
use super::replacement;
use super::staged::{content_of, file_name};
use super::tree::list;
use crate::error::{About, Error, Subject};
use crate::limits::STALE_TRIED;
use crate::platform::{self, Directory, NativePath, entry_name};
use crate::verbs::replaced::{MayBeGone, again_if_stale, is_replaced};
use crate::verbs::temporary::{is_temporary, remove_abandoned};

/// What was done with each log, by id.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Transactions that were committed, and have been applied.
    pub finished: Vec<OsString>,
    /// Transactions that were not committed, and have been removed.
    pub undone: Vec<OsString>,
    /// Transactions that are alive.
    pub skipped: Vec<OsString>,
    /// Files with temporary names that nobody was going to complete, and that have been removed.
    pub removed: Vec<OsString>,
}

/// Finishes or undoes all transactions of a directory that are not alive, and removes the files that interrupted operations
/// have left in it.
pub(crate) fn recover(path: &NativePath) -> Result<Recovery, Error> {
    let mut recovery = Recovery::default();
    let mut again = 0;
    loop {
        recovery.skipped.clear();
        let root = again_if_stale(|| Directory::open_followed(path, None)).about_path()?;
        let finished = finish_all(&root, path, &mut recovery);
        let done = finished.and(remove_left(&root, path, &mut recovery));
        match done {
            // Another transaction exchanges the directory and removes the old one, of which Linux then says that it does not
            // exist (`iterate_dir()` of `fs/readdir.c`).
            Err(error) if again < STALE_TRIED && (error.is_stale() || is_replaced(&root, path)) => again += 1,
            done => return done.map(|()| recovery),
        }
    }
}

/// Finishes or undoes all transactions of a directory that are not alive.
pub(super) fn finish_all(root: &Directory, path: &NativePath, recovery: &mut Recovery) -> Result<(), Error> {
    let Some(logs) = Logs::open(root, path)? else { return Ok(()) };
    let Some(lock) = logs.lock()? else { return Ok(()) };
    finish_others(root, path, &logs, None, recovery)?;
    logs.tidy(root, lock).about_path()
}

/// Removes files with temporary names that nobody is going to complete.
///
/// An error with one does not keep the others from being removed; the first error is returned.
fn remove_left(root: &Directory, path: &NativePath, recovery: &mut Recovery) -> Result<(), Error> {
    let mut names = Vec::new();
    let listed = list(root, |entry| {
        if is_temporary(entry.name) {
            names.push(entry.name.to_vec());
        }
    });
    match listed {
        // Transactions need no permission to list the directory.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        listed => listed.about_path()?,
    }
    names.sort();
    let mut first = Ok(());
    for name in names {
        let about = || about(path, &Name::found(b"", &name));
        let leaf = entry_name(&name).about(about)?;
        match remove_abandoned(root, &leaf).about(about) {
            Ok(true) => recovery.removed.push(leaf.to_os_string()),
            Ok(false) => {}
            Err(error) => first = first.and(Err(error)),
        }
    }
    first
}

/// The same, by the holder of the lock of all logs. `own`: the log of the caller.
///
/// An error with one does not keep the others from being finished; the first error is returned.
pub(super) fn finish_others(
    root: &Directory,
    path: &NativePath,
    logs: &Logs,
    own: Option<&NativePath>,
    recovery: &mut Recovery,
) -> Result<(), Error> {
    let mut first = Ok(());
    for id in logs.ids()? {
        if Some(&id) == own {
            continue;
        }
        let about = Subject::Other(logs.path(Some(&id)));
        let finished = match logs.take(&id).about(about.clone()) {
            Ok(Some(log)) => finish(root, path, logs, log),
            Ok(None) => {
                recovery.skipped.push(id.to_os_string());
                continue;
            }
            Err(error) => Err(error),
        };
        match finished {
            Ok(true) => recovery.finished.push(id.to_os_string()),
            Ok(false) => recovery.undone.push(id.to_os_string()),
            Err(error) => first = first.and(Err(error)),
        }
    }
    first
}

/// Finishes or undoes one; whether it was committed.
fn finish(root: &Directory, path: &NativePath, logs: &Logs, log: Log) -> Result<bool, Error> {
    let about = logs.path(Some(&log.id));
    let committed = match read(&log.directory) {
        Ok(text) => {
            let records = manifest::decode(&text).ok_or_else(|| refused::damaged(about.clone()))?;
            if !is_complete(&log.directory, &records).about(Subject::Other(about.clone()))? {
                return Err(refused::damaged(about));
            }
            let target = Target { root, path, log: &log.directory, durable: true };
            target.apply(&records)?;
            end(&log.directory, true).about(Subject::Other(about.clone()))?;
            true
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let exchanged = log.directory.metadata_of(&entry(SWAPPED).about_path()?, false).is_ok();
            replacement::clear(root, path, &log.id)?;
            exchanged
        }
        Err(error) => return Err(Error::new(&error, Subject::Other(about))),
    };
    logs.remove(log).about(Subject::Other(about))?;
    Ok(committed)
}

/// The manifest of a committed transaction.
fn read(log: &Directory) -> io::Result<Vec<u8>> {
    let file = Directory::open_to_read(&entry(COMMIT)?, Some(log), false)?;
    let mut text = Vec::new();
    platform::read_to_end(&file, &mut text, None)?;
    Ok(text)
}

/// Whether the content that is in the log is what was written to it.
fn is_complete(log: &Directory, records: &[Record]) -> io::Result<bool> {
    for record in records {
        let (Record::Put { file, content: Some(content), .. } | Record::Append { file, content, .. }) =
            record
        else {
            continue;
        };
        match Directory::open_to_read(&file_name(*file)?, Some(log), false) {
            Ok(file) if content_of(&file)? != *content => return Ok(false),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(true)
}

/// The end of a transaction that was applied: from here on nobody applies it again, which would take back what has been
/// changed since.
pub(super) fn end(log: &Directory, durable: bool) -> io::Result<()> {
    log.unlink(&entry(COMMIT)?)?;
    if durable { synchronise(log) } else { Ok(()) }
}
