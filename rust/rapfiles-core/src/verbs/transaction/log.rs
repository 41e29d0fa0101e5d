//! The directories of logs: `.rapfiles`, and in it one for each transaction.

use std::io;

use super::file_lock::FileLock;
use super::name::LOGS;
use super::refused;
use super::tree::{list, unless_missing};
use crate::error::{About, Error, Subject};
use crate::limits::{BEGUN_AGAIN, EMPTIED_TRIED};
use crate::platform::{self, Directory, File, NativePath, codes};
use crate::verbs::replaced::{MayBeGone, again_if_stale};

/// The file that is locked: of all logs, and of each.
const LOCK: &str = "lock";
/// What is to be done, before it is complete …
pub(super) const MANIFEST: &str = "manifest";
/// … and from the commit point on.
pub(super) const COMMIT: &str = "commit";
/// In the log of a directory that has been exchanged for another one.
pub(super) const SWAPPED: &str = "swapped";
/// Permissions of the directories.
const PRIVATE: u32 = 0o700;
/// Permissions that others must not have on them.
const OTHERS_WRITE: u32 = 0o022;
/// How long an id is: 96 bits in hexadecimal digits.
const ID_LENGTH: usize = 24;

/// The name of an entry of a log.
pub(super) fn entry(name: &str) -> io::Result<NativePath> {
    platform::entry_name(name.as_bytes())
}

/// The directory of all logs of a directory.
#[derive(Debug)]
pub(super) struct Logs {
    directory: Directory,
    path: NativePath,
}

/// The log of one transaction, locked.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) directory: Directory,
    pub(super) id: NativePath,
    lock: FileLock,
}

/// Whether an entry of the directory of all logs is one.
fn is_id(name: &[u8]) -> bool {
    name.len() == ID_LENGTH && name.iter().all(u8::is_ascii_hexdigit)
}

impl Logs {
    /// Opens the directory of logs; `None` if there is none. `path`: that of the directory it is in.
    pub(super) fn open(root: &Directory, path: &NativePath) -> Result<Option<Self>, Error> {
        let name = entry(LOGS).about_path()?;
        let path = platform::joined([path, &name].into_iter()).unwrap_or(name.clone());
        let about = || Subject::Other(path.clone());
        // A transaction that ends meanwhile removes it, also when it has been opened.
        let opened: io::Result<_> = again_if_stale(|| {
            let directory = Directory::open(&name, Some(root))?;
            let found = directory.metadata()?;
            Ok((directory, found))
        });
        let (directory, found) = match opened {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::new(&error, about())),
        };
        let above = root.metadata().about(about)?;
        // The owner of the directory can do anything in it anyway.
        let trusted = found.user == above.user || platform::is_own(&found);
        if !trusted || (cfg!(unix) && found.mode & OTHERS_WRITE != 0) {
            return Err(refused::foreign_log(path));
        }
        Ok(Some(Self { directory, path }))
    }

    /// The path of the log with this id, or of the directory of all.
    pub(super) fn path(&self, id: Option<&NativePath>) -> NativePath {
        platform::joined([&self.path].into_iter().chain(id)).unwrap_or_else(|| self.path.clone())
    }

    fn about(&self) -> Subject {
        Subject::Other(self.path.clone())
    }

    /// Waits for a commit or a recovery; `None` if the directory has been removed meanwhile.
    pub(super) fn lock(&self) -> Result<Option<FileLock>, Error> {
        let name = entry(LOCK).about_path()?;
        match again_if_stale(|| FileLock::acquire(&self.directory, &name, true)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            locked => locked.about(|| self.about()),
        }
    }

    /// The ids of all logs.
    pub(super) fn ids(&self) -> Result<Vec<NativePath>, Error> {
        let mut ids = Vec::new();
        self.list(|name| {
            if is_id(name) {
                ids.push(name.to_vec());
            }
        })
        .about(|| self.about())?;
        ids.sort();
        ids.iter().map(|id| platform::entry_name(id).about(|| self.about())).collect()
    }

    fn list(&self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        list(&self.directory, |entry| each(entry.name))
    }

    /// Opens the log of a transaction that is not alive. `None`: it is alive, or gone.
    pub(super) fn take(&self, id: &NativePath) -> io::Result<Option<Log>> {
        let taken: io::Result<_> = again_if_stale(|| {
            let directory = Directory::open(id, Some(&self.directory))?;
            let lock = FileLock::acquire(&directory, &entry(LOCK)?, false)?;
            Ok(lock.map(|lock| Log { directory, id: id.clone(), lock }))
        });
        match taken {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            taken => taken,
        }
    }

    /// The directory with the names of logs.
    pub(super) fn to_synchronise(&self) -> io::Result<File> {
        self.directory.to_synchronise()
    }

    /// Removes a log. Once its first entry, `commit`, is gone, all others are removed by the next commit or recovery.
    ///
    /// The caller holds the lock of all logs, if it can be had at all: otherwise a recovery may take the log when it is not
    /// locked any more, and create the file of the lock again.
    pub(super) fn remove(&self, log: Log) -> io::Result<()> {
        let Log { directory, id, lock } = log;
        let mut names = Vec::new();
        list(&directory, |entry| names.push(entry.name.to_vec()))?;
        // The lock is last: until then nobody else removes anything.
        names.sort_by_key(|name| (name == LOCK.as_bytes(), name != COMMIT.as_bytes()));
        for name in names {
            unless_missing(directory.unlink(&platform::entry_name(&name)?))?;
        }
        // Whoever has opened its file meanwhile finds that it has been removed. Some systems remove nothing that is open.
        drop((lock, directory));
        match remove_emptied(&self.directory, &id, |_| false) {
            // A transaction has just begun it, and is about to find that its lock has been removed. It goes on, or removes it.
            Err(error) if error.raw_os_error().is_some_and(platform::is_not_empty) => Ok(()),
            removed => removed,
        }
    }

    /// Removes the directory of logs, if it has none.
    pub(super) fn tidy(self, root: &Directory, lock: FileLock) -> io::Result<()> {
        let mut others = false;
        self.list(|name| others |= is_id(name))?;
        if others {
            return Ok(());
        }
        // Those who have waited for this lock check whether it is still there.
        self.directory.unlink(&entry(LOCK)?)?;
        drop(lock);
        let Self { directory, .. } = self;
        drop(directory);
        match remove_emptied(root, &entry(LOGS)?, |name| name == LOCK.as_bytes() || is_id(name)) {
            // Another transaction has begun.
            Err(error) if error.raw_os_error().is_some_and(platform::is_not_empty) => Ok(()),
            removed => removed,
        }
    }
}

/// Removes a directory whose entries have been removed, if it is still there. `is_used`: an entry that somebody has made
/// since.
///
/// Network and FUSE file systems keep what is removed while it is open, under another name in its directory, and may learn
/// only a moment after it was closed that it has been.
fn remove_emptied(above: &Directory, name: &NativePath, is_used: impl Fn(&[u8]) -> bool) -> io::Result<()> {
    let mut attempts = 0;
    loop {
        match Directory::remove(name, Some(above)) {
            Err(error)
                if error.raw_os_error().is_some_and(platform::is_not_empty) && attempts < EMPTIED_TRIED =>
            {
                let mut used = false;
                let listed = Directory::open(name, Some(above))
                    .and_then(|directory| list(&directory, |entry| used |= is_used(entry.name)));
                match listed {
                    Err(gone) if gone.is_gone() => {}
                    listed => listed?,
                }
                if used {
                    return Err(error);
                }
                attempts += 1;
            }
            removed => return unless_missing(removed),
        }
    }
}

/// Begins a log.
pub(super) fn begin(root: &Directory, path: &NativePath) -> Result<(Logs, Log), Error> {
    let name = entry(LOGS).about_path()?;
    // Otherwise what is made here could not be removed.
    root.may_rename().about_path()?;
    for attempt in 0..BEGUN_AGAIN {
        let made = match root.make(&name, PRIVATE) {
            Err(error) if error.raw_os_error() != Some(codes::EXISTS) => {
                return Err(Error::new(&error, Subject::Path));
            }
            made => made.is_ok(),
        };
        let logs = match Logs::open(root, path) {
            Ok(Some(logs)) => logs,
            Ok(None) => continue,
            Err(error) => {
                if made {
                    remove_empty(root);
                }
                return Err(error);
            }
        };
        let id = platform::random_name().and_then(|id| entry(&id)).about_path()?;
        // A recovery removes a log that is not locked yet. Not for the first attempt, so that a transaction does not wait
        // for a commit.
        let quiet = match attempt {
            0 => None,
            _ => match logs.lock() {
                Ok(Some(lock)) => Some(lock),
                Ok(None) => continue,
                Err(error) => {
                    remove_empty(root);
                    return Err(error);
                }
            },
        };
        match logs.directory.make(&id, PRIVATE) {
            Ok(()) => {}
            // Another transaction has just ended, and removed the directory, which was empty.
            Err(error) if error.is_gone() => continue,
            Err(error) if error.raw_os_error() == Some(codes::EXISTS) => continue,
            Err(error) => {
                discard(root, logs, quiet, None);
                return Err(Error::new(&error, Subject::Path));
            }
        }
        match logs.take(&id) {
            // A recovery that has found it unlocked removes it, which it does before it releases the lock.
            Ok(Some(log)) => match logs.directory.metadata_of(&id, false) {
                Ok(_) => return Ok((logs, log)),
                Err(error) if error.is_gone() => continue,
                Err(error) => {
                    let _ = logs.remove(log);
                    discard(root, logs, quiet, None);
                    return Err(Error::new(&error, Subject::Path));
                }
            },
            Ok(None) => continue,
            Err(error) if error.is_gone() => continue,
            Err(error) => {
                discard(root, logs, quiet, Some(&id));
                return Err(Error::new(&error, Subject::Path));
            }
        }
    }
    Err(Error::Os { code: codes::BUSY, subject: Subject::Path })
}

/// The log of a transaction in the directory that takes the place of the transaction's. `others`: those of transactions
/// that are alive, and lose theirs by that. Whoever recovers finds by their ids what they may have left.
pub(super) fn begin_swapped(
    root: &Directory,
    path: &NativePath,
    id: &NativePath,
    others: &[NativePath],
) -> Result<(Logs, Log), Error> {
    root.make(&entry(LOGS).about_path()?, PRIVATE).about_path()?;
    let gone = || Error::Os { code: codes::NOT_FOUND, subject: Subject::Path };
    let logs = Logs::open(root, path)?.ok_or_else(gone)?;
    for id in others.iter().chain([id]) {
        logs.directory.make(id, PRIVATE).about_path()?;
    }
    let log = logs.take(id).about_path()?.ok_or_else(gone)?;
    platform::close(log.directory.create(&entry(SWAPPED).about_path()?, PRIVATE).about_path()?)
        .about_path()?;
    Ok((logs, log))
}

/// Removes what was made for a log that could not be begun. `lock`: that of all logs, if the caller has it already.
fn discard(root: &Directory, logs: Logs, lock: Option<FileLock>, id: Option<&NativePath>) {
    // The error that is reported is that of the beginning.
    let lock = lock.or_else(|| logs.lock().ok().flatten());
    if let Some(id) = id {
        let _ = match logs.take(id) {
            Ok(Some(log)) => logs.remove(log),
            _ => Directory::remove(id, Some(&logs.directory)),
        };
    }
    match lock {
        Some(lock) => {
            let _ = logs.tidy(root, lock);
        }
        None => remove_empty(root),
    }
}

/// Removes the directory of logs, if it has nothing at all: not even a lock that somebody may wait for.
pub(super) fn remove_empty(root: &Directory) {
    // An error is not the one that is reported.
    let _ = entry(LOGS).and_then(|name| Directory::remove(&name, Some(root)));
}
