//! Committing by an exchange: the changes are made in a copy of the directory, which then takes its place.
//!
//! It is always durable ([`TransactionOptions::swap`](super::TransactionOptions)).

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::apply::Target;
use super::changes::{Change, Changes};
use super::commit::{Committing, unfinished};
use super::duplicate::Duplicate;
use super::log;
use super::manifest::Record;
use super::name::Name;
use super::recover::{Recovery, finish_others};
use super::refused;
use super::replacement::Replacement;
use super::together;
use super::tree::Tree;
use crate::error::{About, Error};

/// Commits. The caller holds the lock of all logs. It removes the replacement, or when that has been exchanged, finishes what
/// is in its logs.
pub(super) fn run(
    committing: &Committing<'_>,
    replacement: &Replacement,
    mut changes: Changes,
) -> Result<(), Error> {
    let Committing { engine, root, path, logs, log, .. } = *committing;
    // Nobody may apply an older transaction after this one.
    finish_others(root, path, logs, Some(&log.id), &mut Recovery::default())?;
    // Recovery finds the copy by the id of the log.
    committing.synchronise_log().about_path()?;
    let old = Tree { root, path, mount: committing.mount };
    let copy = &replacement.directory;
    let duplicate = Duplicate::make(old, copy, &extended(&changes), committing.abandoned)?;
    let records = Committing { root: copy, ..*committing }.prepare(&mut changes)?;
    let files = changes.open_files().about_path()?;
    together::synchronise(engine, files, Vec::new(), false, false).about_path()?;
    drop(changes);
    Target { root: copy, path, log: &log.directory, durable: true }.apply(&records)?;
    let others: Vec<_> = logs.ids()?.into_iter().filter(|id| *id != log.id).collect();
    let (new_logs, new_log) = log::begin_swapped(copy, path, &log.id, &others)?;
    Committing { root: copy, logs: &new_logs, log: &new_log, ..*committing }
        .synchronise_log()
        .about_path()?;
    let changed = records.iter().filter(|record| !matches!(record, Record::Append { .. }));
    duplicate.settle(&changed.map(|record| record.name().parent_bytes()).collect())?;
    duplicate.unless_disturbed()?;
    if committing.abandoned.load(Ordering::Acquire) {
        return Err(refused::abandoned());
    }
    replacement.exchange(root)?;
    committing.committed.store(true, Ordering::Release);
    replacement.synchronise().map_err(unfinished)?;
    // What remains is removed by whoever finishes the log, which is not locked any more.
    let _ = replacement.remove_old(root).and_then(|()| replacement.synchronise());
    Ok(())
}

/// The files that are written to in the copy.
fn extended(changes: &Changes) -> BTreeSet<Name> {
    let extended = changes.names.iter().filter_map(|(name, change)| match change {
        Change::Extended(_) => Some(name),
        Change::Moved { from, added: Some(_), .. } => Some(from),
        _ => None,
    });
    extended.cloned().collect()
}
