//! Atomic writes, with something that happens at each of their system calls in turn. Whatever that is, the target has its
//! old content or all of the new one, as the outcome says, and no temporary file is left.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use libc::{EACCES, EBUSY, EINTR, EINVAL, EIO, ENOSPC, EOPNOTSUPP, c_int};

use super::consumer;
use super::device::Device;
use super::folder::Folder;
use super::ground::{Snapshot, age, differences, link, look, native};
use super::trial::{Event, Trial};
use crate::error::{Error, Subject};
use crate::limits::RESERVED_FROM;
use crate::outcome::Outcome;
use crate::path_operation::PathOperation;
use crate::verbs::atomic::AtomicOptions;
use crate::verbs::write::Data;

/// What the target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Nothing,
    File,
    /// A link to a file.
    Link,
}

#[derive(Debug, Clone, Copy)]
struct Scenario {
    target: Target,
    options: AtomicOptions,
    length: usize,
    /// What the file system has not.
    lacks: &'static [(&'static str, c_int)],
}

pub(super) const PLAIN: AtomicOptions =
    AtomicOptions { durable: false, overwrite: true, follow_symlinks: true, in_place: false };
pub(super) const DURABLE: AtomicOptions = AtomicOptions { durable: true, ..PLAIN };
const NEW: AtomicOptions = AtomicOptions { overwrite: false, ..PLAIN };
const IN_PLACE: AtomicOptions = AtomicOptions { in_place: true, ..DURABLE };

const SMALL: usize = 1000;
const NO_UNNAMED: (&str, c_int) = ("openat, O_TMPFILE", EOPNOTSUPP);
const NO_NEW_NAMES: (&str, c_int) = ("renameat2", EINVAL);
const NO_ROOM_RESERVED: (&str, c_int) = ("fallocate", EOPNOTSUPP);
/// The target is where something is mounted.
const MOUNTED: (&str, c_int) = ("renameat", EBUSY);

const fn scenario(
    target: Target,
    options: AtomicOptions,
    length: usize,
    lacks: &'static [(&'static str, c_int)],
) -> Scenario {
    Scenario { target, options, length, lacks }
}

const SCENARIOS: &[Scenario] = &[
    scenario(Target::Nothing, PLAIN, SMALL, &[]),
    scenario(Target::Nothing, DURABLE, SMALL, &[]),
    scenario(Target::Nothing, DURABLE, RESERVED_FROM, &[NO_UNNAMED]),
    scenario(Target::Nothing, NEW, 0, &[]),
    scenario(Target::Nothing, NEW, SMALL, &[NO_UNNAMED]),
    scenario(Target::Nothing, NEW, SMALL, &[NO_UNNAMED, NO_NEW_NAMES]),
    scenario(Target::File, PLAIN, SMALL, &[]),
    scenario(Target::File, DURABLE, RESERVED_FROM, &[]),
    scenario(Target::File, DURABLE, RESERVED_FROM, &[NO_UNNAMED, NO_ROOM_RESERVED]),
    scenario(Target::File, IN_PLACE, SMALL, &[MOUNTED]),
    scenario(Target::File, IN_PLACE, SMALL, &[MOUNTED, NO_UNNAMED]),
    scenario(Target::Link, DURABLE, SMALL, &[]),
    scenario(Target::Link, AtomicOptions { follow_symlinks: false, ..DURABLE }, SMALL, &[]),
];

/// What the target, or the file that it leads to, had before.
const OLD: &str = "old content";
const PERMISSIONS: u32 = 0o640;

/// Where it happens: the target is in a folder of its own, with what a link leads to.
struct Place {
    folder: Folder,
    before: Snapshot,
}

impl Place {
    fn new(scenario: &Scenario) -> Self {
        let folder = Folder::in_memory();
        let file = match scenario.target {
            Target::Nothing => None,
            Target::File => Some("target"),
            Target::Link => {
                link("real", &folder.path().join("target"));
                Some("real")
            }
        };
        if let Some(file) = file {
            fs::write(folder.path().join(file), OLD).unwrap();
            age(&folder.path().join(file), PERMISSIONS);
        }
        let before = look(folder.path(), false);
        Self { folder, before }
    }
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|index| index as u8).collect()
}

/// What there is when it is over, but for the folder itself, whose times change.
fn check(
    scenario: &Scenario,
    place: &Place,
    outcome: Option<&Result<Outcome, Error>>,
    event: Event,
    happened: Option<&'static str>,
) -> Result<(), String> {
    let mut after = look(place.folder.path(), false);
    let mut before = place.before.clone();
    after.remove(Path::new(""));
    before.remove(Path::new(""));
    let temporary: Vec<_> =
        after.keys().filter(|name| name.as_os_str().as_bytes().starts_with(b".rapfiles-")).cloned().collect();
    let killed = event == Event::Kill && happened.is_some();
    let mut backups = Vec::new();
    for name in temporary {
        let file = after.remove(&name);
        if name.as_os_str().as_bytes().ends_with(b".backup") {
            backups.extend(file);
        }
        // One error of removing it is all that there can be.
        if !killed && happened != Some("unlinkat") {
            return Err(format!("{} is left", name.display()));
        }
    }
    if backups.iter().any(|backup| backup.content != OLD.as_bytes()) {
        return Err("a backup is incomplete".to_owned());
    }
    let replaced = match scenario.target {
        Target::Link if scenario.options.follow_symlinks => "real",
        _ => "target",
    };
    let is_old = after == before;
    let file = after.get(Path::new(replaced));
    let is_new = file.is_some_and(|file| {
        let old = place.before.get(Path::new(replaced));
        let mode = old.filter(|old| old.mode & libc::S_IFMT == libc::S_IFREG).map(|old| old.mode);
        file.mode & libc::S_IFMT == libc::S_IFREG
            && file.content == content(scenario.length)
            && mode.is_none_or(|mode| file.mode == mode)
    });
    let others = |seen: &Snapshot| {
        let mut seen = seen.clone();
        seen.remove(Path::new(replaced));
        seen
    };
    if others(&after) != others(&before) {
        return Err(format!("something else is touched:\n{}", differences(&before, &after)));
    }
    let is_in_place = scenario.options.in_place && !scenario.lacks.is_empty();
    if !is_old && !is_new {
        // A crash while a mounted file is overwritten leaves its backup.
        if is_in_place && (killed || event == Event::Cancel) {
            return match backups.iter().any(|backup| backup.content == OLD.as_bytes()) {
                true => Ok(()),
                false => Err("neither the file nor a backup has the old content".to_owned()),
            };
        }
        let has_old = file.is_some_and(|file| file.content == OLD.as_bytes());
        if !(is_in_place && has_old) {
            return Err(format!("neither old nor new:\n{}", differences(&before, &after)));
        }
    }
    let code = |error: &Error| match error {
        Error::NotDurable { code, .. } => Some(*code),
        error => error.code(),
    };
    let Some(outcome) = outcome else {
        return if event == Event::Cancel { Ok(()) } else { Err("it is given up".to_owned()) };
    };
    match outcome {
        _ if killed => Ok(()),
        Ok(_) if is_new => Ok(()),
        Ok(_) => Err("it is said to be written".to_owned()),
        Err(error) if happened.is_none() || event == Event::Error(EINTR) || code(error) != event.code() => {
            Err(format!("it fails with {error:?}"))
        }
        Err(Error::NotDurable { subject: Subject::Path, .. }) => {
            if is_new {
                Ok(())
            } else {
                Err("it is said to be written, though not durably".to_owned())
            }
        }
        Err(_) if event == Event::FewThreads && is_old => Ok(()),
        Err(Error::Os { subject: Subject::Path, .. }) if !is_new => Ok(()),
        // What a link leads to is found directory by directory.
        Err(Error::Os { subject: Subject::Other(_), .. }) if scenario.target == Target::Link && !is_new => {
            Ok(())
        }
        // The content is there, but the backup could not be removed.
        Err(Error::Os { subject: Subject::Path, .. }) if is_in_place && happened == Some("unlinkat") => {
            Ok(())
        }
        Err(error) => Err(format!("it fails, and is written, or names no path: {error:?}")),
    }
}

/// Whether the device has what it must have.
fn check_device(
    scenario: &Scenario,
    place: &Place,
    device: &Device,
    outcome: Option<&Result<Outcome, Error>>,
) -> Result<(), String> {
    let target = place.folder.path().join("target");
    let is_in_place = scenario.options.in_place && !scenario.lacks.is_empty();
    let lost = device.changes().into_iter().find(|change| is_in_place && change.path == target);
    if let Some(pending) = lost.map(|change| change.pending).filter(|pending| !pending.is_empty()) {
        return Err(format!("the file is overwritten before the device has its backup: {pending:?}"));
    }
    let Some(Ok(_)) = outcome else { return Ok(()) };
    let mut pending = device.pending();
    // A temporary name that is back after a crash is nobody's loss.
    let is_temporary = |name: &Vec<u8>| name.starts_with(b".rapfiles-");
    pending.retain(|pending| pending.names.is_empty() || !pending.names.iter().all(is_temporary));
    if scenario.options.durable && !pending.is_empty() {
        return Err(format!("it is said to be written, and the device has not {pending:?}"));
    }
    // A file without a name is given that of the target before it is closed.
    let named_while_open = scenario.target == Target::Nothing && !scenario.lacks.contains(&NO_UNNAMED);
    if !named_while_open && !is_in_place && device.has_not_closed(&target) {
        return Err("it is said to be written, although it could not be closed".to_owned());
    }
    Ok(())
}

fn enumerate(event: Event) {
    consumer::enumerate(SCENARIOS, event, |scenario, at, seed| {
        let place = Rc::new(Place::new(scenario));
        let path = native(place.folder.path().join("target"));
        let (options, length) = (scenario.options, scenario.length);
        let trial = Trial::new(event, at, scenario.lacks);
        let ((outcome, device), happened) = consumer::attempt(trial, seed, move |consumer| {
            let data = Data::Owned(content(length));
            let outcome = consumer.run(PathOperation::WriteAtomically { path, data, options });
            (outcome, Device::clone(&consumer.trial().device))
        })?;
        let result = check(scenario, &place, outcome.as_ref(), event, happened)
            .and_then(|()| check_device(scenario, &place, &device, outcome.as_ref()));
        Ok((happened, result.map_err(|why| format!("{why}\n{outcome:?}"))))
    });
}

#[test]
fn an_error_at_any_call_leaves_the_old_content_or_the_new_one() {
    for code in [EIO, EACCES, ENOSPC] {
        enumerate(Event::Error(code));
    }
}

#[test]
fn an_interruption_at_any_call_is_not_noticed() {
    enumerate(Event::Error(EINTR));
}

#[test]
fn a_cancel_at_any_call_leaves_the_old_content_or_the_new_one() {
    enumerate(Event::Cancel);
}

#[test]
fn the_end_of_the_process_at_any_call_leaves_the_old_content_or_the_new_one() {
    enumerate(Event::Kill);
}

#[test]
fn with_few_descriptors_or_threads_the_old_content_or_the_new_one_is_there() {
    enumerate(Event::FewDescriptors);
    enumerate(Event::FewThreads);
}
