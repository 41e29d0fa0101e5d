//! Committing: from what was staged to the commit point, and from there to the end.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::apply::{Target, about};
use super::changes::{Change, Changes};
use super::log::{COMMIT, Log, Logs, MANIFEST, entry};
use super::manifest::{self, Record};
use super::name::Name;
use super::places::{Mount, Places, synchronise};
use super::recover::{Recovery, end, finish_others};
use super::refused;
use super::staged::{Staged, file_name};
use super::together;
use crate::engine::Engine;
use crate::error::{About, Error, Subject, code_of};
use crate::platform::{self, Directory, File, NativePath};
use crate::verbs::atomic::inherit;
use crate::verbs::metadata::Metadata;
use crate::verbs::replaced::again_if_stale;

/// Permissions of the manifest.
const PRIVATE: u32 = 0o600;

/// What is committed.
pub(super) struct Committing<'a> {
    pub(super) engine: &'a Engine,
    pub(super) root: &'a Directory,
    pub(super) path: &'a NativePath,
    pub(super) mount: Mount,
    pub(super) logs: &'a Logs,
    pub(super) log: &'a Log,
    pub(super) durable: bool,
    /// Whether the task that waits for it has been cancelled.
    pub(super) abandoned: &'a AtomicBool,
    /// Set at the commit point.
    pub(super) committed: &'a AtomicBool,
}

impl Committing<'_> {
    /// Commits and applies. The caller holds the lock of all logs, and undoes what is not committed.
    pub(super) fn run(&self, mut changes: Changes) -> Result<(), Error> {
        // Nobody may apply an older transaction after this one.
        finish_others(self.root, self.path, self.logs, Some(&self.log.id), &mut Recovery::default())?;
        let records = self.prepare(&mut changes)?;
        let staged = changes.open_files().about_path()?;
        drop(changes);
        // Without waiting, a power cut leaves all or nothing only because file systems write changes of directories in
        // their order. The content of a file is not among them: what is appended could be lost although the log, which
        // has it, has been removed, or be there although the commit is not. Nor are names that go: btrfs may have the new
        // name of a file and not the end of its old one, when somebody else synchronises another file.
        let waits =
            |record: &Record| !matches!(record, Record::Make { .. } | Record::Put { content: Some(_), .. });
        let durable = self.durable || records.iter().any(waits);
        let ordered = self.write(&records, staged, durable).about_path()?;
        if self.abandoned.load(Ordering::Acquire) {
            return Err(refused::abandoned());
        }
        let log = &self.log.directory;
        log.rename(&entry(MANIFEST).about_path()?, &entry(COMMIT).about_path()?).about_path()?;
        self.committed.store(true, Ordering::Release);
        self.finish(&records, durable, ordered).map_err(unfinished)
    }

    /// What is done with each name, by what is there now. What has to be held is in the log.
    pub(super) fn prepare(&self, changes: &mut Changes) -> Result<Vec<Record>, Error> {
        let mut places = Places::new(self.root);
        let mut checked = None;
        let mut records: Vec<Record> =
            changes.made.iter().map(|name| Record::Make { name: name.clone() }).collect();
        let (mut appends, mut removals) = (Vec::new(), Vec::new());
        let mut next = changes.number();
        let mut number = || {
            next += 1;
            next
        };
        for (name, change) in &mut changes.names {
            let is_new = |name: &Name| name.parent().is_some_and(|above| changes.made.contains(&above));
            let failed = |error: io::Error| Error::new(&error, about(self.path, name));
            let leaf = name.leaf().map_err(failed)?;
            let (directory, found) = if is_new(name) {
                (None, None)
            } else {
                let (directory, found) = self.look(&mut places, &mut checked, name)?;
                (Some(directory), found)
            };
            if let Some(found) = &found {
                let may_be_link = !matches!(change, Change::Extended(_));
                refused::unless_regular(found, about(self.path, name), may_be_link)?;
                if let Some(directory) = directory.filter(|_| may_be_link) {
                    directory.may_replace(&leaf).map_err(failed)?;
                }
            }
            match change {
                Change::Written(staged) => {
                    if let (Some(old), Some(directory)) =
                        (found.filter(|found| found.is_regular_file()), directory)
                    {
                        let file = staged.reopen(&self.log.directory).map_err(failed)?;
                        inherit(directory, &leaf, &old, file).map_err(failed)?;
                    }
                    records.push(put(staged, name));
                }
                Change::Extended(staged) => match (found, directory) {
                    (Some(_), Some(directory)) => {
                        let old = reserve(directory, &leaf, staged.size()).map_err(failed)?;
                        appends.push(append(staged, old, name));
                    }
                    _ => records.push(put(staged, name)),
                },
                Change::Moved { from, added, may_lack } => {
                    let file = number();
                    match self.hold(from, file) {
                        Ok(old) => {
                            records.push(Record::Put { file, content: None, name: name.clone() });
                            appends.extend(added.as_ref().map(|staged| append(staged, old, name)));
                        }
                        Err(error) if *may_lack && error.kind() == io::ErrorKind::NotFound => {
                            records.extend(added.as_ref().map(|staged| put(staged, name)));
                        }
                        Err(error) => return Err(Error::new(&error, about(self.path, from))),
                    }
                }
                Change::Gone => {
                    removals.extend(
                        found.map(|found| Record::Remove { modified: found.modified, name: name.clone() }),
                    );
                }
            }
        }
        records.append(&mut removals);
        records.append(&mut appends);
        Ok(records)
    }

    /// The directory that an entry is in, if it may be changed, and the entry. `checked`: the directory of the last one.
    fn look<'p>(
        &self,
        places: &'p mut Places<'_>,
        checked: &mut Option<Vec<u8>>,
        name: &Name,
    ) -> Result<(&'p Directory, Option<Metadata>), Error> {
        let subject = || about(self.path, name);
        let failed = |error: io::Error| Error::new(&error, subject());
        let directory = places.of(name).map_err(failed)?;
        if checked.as_deref() != Some(name.parent_bytes()) {
            directory.may_change().map_err(failed)?;
            if !self.mount.has(directory).map_err(failed)? {
                return Err(refused::elsewhere(subject()));
            }
            *checked = Some(name.parent_bytes().to_vec());
        }
        let found = self.mount.find(directory, &name.leaf().map_err(failed)?, &subject)?;
        Ok((directory, found))
    }

    /// Gives a file a second name in the log, from which it is moved to its new one; returns its length.
    fn hold(&self, name: &Name, file: u64) -> io::Result<u64> {
        let mut places = Places::new(self.root);
        let directory = places.of(name)?;
        let held = file_name(file)?;
        let leaf = name.leaf()?;
        again_if_stale(|| self.log.directory.make_name(&held, &leaf, directory))?;
        Ok(self.log.directory.metadata_of(&held, false)?.size)
    }

    /// Writes the manifest, and waits until the device has it, what was staged, and the names that lead to them: in any
    /// order, as none of them counts before the commit point. Returns whether the file system keeps the order of changes:
    /// then it suffices that the content is written back, as all of the rest is before the commit point anyway.
    fn write(&self, records: &[Record], mut files: Vec<File>, durable: bool) -> io::Result<bool> {
        let log = &self.log.directory;
        let manifest = log.create(&entry(MANIFEST)?, PRIVATE)?;
        platform::write_all(&manifest, manifest::encode(records).as_bytes())?;
        let ordered = platform::keeps_order(&manifest);
        files.push(manifest);
        let directories = if durable && !ordered { self.leading_to_log()?.into() } else { Vec::new() };
        together::synchronise(self.engine, files, directories, !durable, ordered)?;
        Ok(ordered)
    }

    /// Waits until the device has the log, and the names that lead to it.
    pub(super) fn synchronise_log(&self) -> io::Result<()> {
        self.leading_to_log()?.iter().try_for_each(platform::synchronise_directory)
    }

    /// The directory of the log, and those that lead to it.
    fn leading_to_log(&self) -> io::Result<[File; 3]> {
        Ok([self.log.directory.to_synchronise()?, self.logs.to_synchronise()?, self.root.to_synchronise()?])
    }

    /// From the commit point on.
    fn finish(&self, records: &[Record], durable: bool, ordered: bool) -> Result<(), Error> {
        let log = &self.log.directory;
        // The content that is appended has no order.
        let appends = records.iter().any(|record| matches!(record, Record::Append { .. }));
        let waits = durable && (appends || !ordered);
        if waits {
            synchronise(log).about_path()?;
        }
        let target = Target { root: self.root, path: self.path, log, durable };
        target.apply(records)?;
        end(log, waits).about_path()
    }
}

fn put(staged: &Staged, name: &Name) -> Record {
    Record::Put { file: staged.number, content: Some(staged.content()), name: name.clone() }
}

fn append(staged: &Staged, old: u64, name: &Name) -> Record {
    Record::Append { file: staged.number, content: staged.content(), old, name: name.clone() }
}

/// Reserves room for what a file is to be extended by; returns its length.
fn reserve(directory: &Directory, leaf: &NativePath, size: u64) -> io::Result<u64> {
    let file = again_if_stale(|| directory.open_to_overwrite(leaf))?;
    let old = platform::length_of(&file)?;
    if size > 0 {
        platform::reserve_after(&file, old, size)?;
    }
    Ok(old)
}

/// An error after the commit point.
pub(super) fn unfinished(error: Error) -> Error {
    match error {
        Error::Os { code, subject } | Error::Refused { code, subject, .. } => {
            Error::Unfinished { code, subject }
        }
        Error::OutOfMemory => {
            let code = code_of(&io::Error::from(io::ErrorKind::OutOfMemory));
            Error::Unfinished { code, subject: Subject::Path }
        }
        other => other,
    }
}
