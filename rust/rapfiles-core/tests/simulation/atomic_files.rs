//! Files that are written through a handle and take the place of another one, with something that happens at each of their
//! system calls in turn. Whatever that is, the target has its old content or all of the new one, as the outcome says.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libc::{EACCES, EINTR, EIO, ENOSPC, EOPNOTSUPP, c_int};

use super::atomic_writes::{DURABLE, PLAIN, Target};
use super::consumer::{self, Consumer};
use super::device::Device;
use super::folder::Folder;
use super::ground::{Snapshot, age, differences, link, look, native};
use super::oracle::PATTERN;
use super::sink::Written;
use super::trial::{Event, Trial};
use super::user::User;
use crate::error::Error;
use crate::handle::ops;
use crate::outcome::Outcome;
use crate::path_operation::PathOperation;
use crate::platform::NativePath;
use crate::verbs::atomic::{AtomicOptions, StagedFile};

#[derive(Debug, Clone, Copy)]
struct Scenario {
    target: Target,
    options: AtomicOptions,
    /// Lengths of the pieces that are written.
    pieces: &'static [usize],
    /// The block ends with an exception.
    discarded: bool,
    lacks: &'static [(&'static str, c_int)],
}

const NEW: AtomicOptions = AtomicOptions { overwrite: false, ..DURABLE };
const NO_UNNAMED: &[(&str, c_int)] = &[("openat, O_TMPFILE", EOPNOTSUPP)];

/// A little, what fills buffers, and what goes past them.
const PIECES: &[usize] = &[10, 9000, 200_000, 1];

const fn scenario(target: Target, options: AtomicOptions, pieces: &'static [usize]) -> Scenario {
    Scenario { target, options, pieces, discarded: false, lacks: &[] }
}

const SCENARIOS: &[Scenario] = &[
    scenario(Target::Nothing, DURABLE, &[10]),
    scenario(Target::Nothing, NEW, &[]),
    Scenario { lacks: NO_UNNAMED, ..scenario(Target::Nothing, NEW, PIECES) },
    scenario(Target::File, DURABLE, PIECES),
    Scenario { lacks: NO_UNNAMED, ..scenario(Target::File, PLAIN, PIECES) },
    Scenario { discarded: true, ..scenario(Target::File, DURABLE, PIECES) },
    scenario(Target::Link, DURABLE, &[10]),
];

const OLD: &str = "old content";

fn place(scenario: &Scenario) -> Folder {
    let folder = Folder::in_memory();
    if scenario.target == Target::Link {
        link("real", &folder.path().join("target"));
    }
    if scenario.target != Target::Nothing {
        fs::write(folder.path().join(replaced(scenario)), OLD).unwrap();
        age(&folder.path().join(replaced(scenario)), 0o640);
    }
    folder
}

fn replaced(scenario: &Scenario) -> &'static str {
    if scenario.target == Target::Link { "real" } else { "target" }
}

fn content(scenario: &Scenario) -> Vec<u8> {
    scenario.pieces.iter().flat_map(|length| &PATTERN[..*length]).copied().collect()
}

impl User<'_> {
    fn discard(&self, staged: StagedFile, error: Error) -> End {
        match self.consumer.run(PathOperation::Discard { file: staged }) {
            None => End::GivenUp,
            Some(_) => End::Failed(error),
        }
    }
}

#[derive(Debug)]
enum End {
    Committed,
    Discarded,
    Failed(Error),
    GivenUp,
}

/// What a block does.
fn block(consumer: &Consumer, scenario: &Scenario, path: NativePath) -> End {
    let operation = PathOperation::OpenAtomically { path: path.clone(), options: scenario.options };
    let (opened, staged) = match consumer.run(operation) {
        None => return End::GivenUp,
        Some(Err(error)) => return End::Failed(error),
        Some(Ok(Outcome::Staged(both))) => *both,
        Some(Ok(_)) => unreachable!("it is a file"),
    };
    let user = User::of(consumer, opened, false);
    for length in scenario.pieces {
        let source = Written { bytes: &PATTERN[..*length], constant: true };
        match user.run(Box::new(ops::Write { source })) {
            None => return End::GivenUp,
            Some(Ok(())) => {}
            Some(Err(error)) => {
                let end = user.discard(staged, error);
                return user.close().map_or(End::GivenUp, |_| end);
            }
        }
    }
    if scenario.discarded {
        let discarded = consumer.run(PathOperation::Discard { file: staged });
        return match (discarded, user.close()) {
            (Some(_), Some(_)) => End::Discarded,
            _ => End::GivenUp,
        };
    }
    match user.close() {
        None => return End::GivenUp,
        Some(Err(error)) => return user.discard(staged, error),
        Some(Ok(())) => {}
    }
    match consumer.run(PathOperation::Commit { file: staged }) {
        None => End::GivenUp,
        Some(Ok(_)) => End::Committed,
        Some(Err(error)) => End::Failed(error),
    }
}

/// What the device must have before the file gets its name, and at the end.
fn check_device(scenario: &Scenario, device: &Device, end: &End) -> Result<(), String> {
    let gets_name = |name: &[u8]| name == replaced(scenario).as_bytes();
    for naming in device.namings().iter().filter(|naming| gets_name(&naming.name)) {
        if let Some(file) = naming.pending.iter().find(|pending| pending.names.is_empty()) {
            return Err(format!("a file gets its name before the device has its content: {file:?}"));
        }
    }
    let pending = device.pending();
    if scenario.options.durable && matches!(end, End::Committed) && !pending.is_empty() {
        return Err(format!("the device does not have {pending:?}"));
    }
    Ok(())
}

fn check(
    scenario: &Scenario,
    folder: &Path,
    before: &Snapshot,
    end: &End,
    (event, happened): (Event, Option<&'static str>),
) -> Result<(), String> {
    let (mut before, mut after) = (before.clone(), look(folder, false));
    before.remove(Path::new(""));
    after.remove(Path::new(""));
    let killed = event == Event::Kill && happened.is_some();
    let temporary = |name: &Path| name.as_os_str().as_bytes().starts_with(b".rapfiles-");
    // One error of removing it is all that there can be.
    if !killed && happened != Some("unlinkat") && after.keys().any(|name| temporary(name)) {
        return Err("a temporary file is left".to_owned());
    }
    after.retain(|name, _| !temporary(name));
    let is_old = after == before;
    let replaced = Path::new(replaced(scenario));
    let is_new = after.get(replaced).is_some_and(|file| {
        let kept = before.get(replaced).is_none_or(|old| old.mode == file.mode);
        kept && file.mode & libc::S_IFMT == libc::S_IFREG && file.content == content(scenario)
    });
    before.remove(replaced);
    let mut others = after.clone();
    others.remove(replaced);
    if others != before || !(is_old || is_new) {
        return Err(format!("neither old nor new:\n{}", differences(&before, &after)));
    }
    let code = event.code().filter(|code| happened.is_some() && *code != EINTR);
    let fits = match end {
        _ if killed => true,
        End::Committed => is_new,
        End::Discarded => is_old,
        End::GivenUp => event == Event::Cancel && happened.is_some(),
        End::Failed(Error::NotDurable { code: told, .. }) => is_new && code == Some(*told),
        End::Failed(error) => is_old && code.is_some() && error.code() == code,
    };
    if fits { Ok(()) } else { Err(format!("old: {is_old}, new: {is_new}")) }
}

fn enumerate(event: Event) {
    consumer::enumerate(SCENARIOS, event, |scenario, at, seed| {
        let folder = place(scenario);
        let before = look(folder.path(), false);
        let path = native(folder.path().join("target"));
        let this = *scenario;
        let ((end, kept), happened) =
            consumer::attempt(Trial::new(event, at, scenario.lacks), seed, move |consumer| {
                let end = block(consumer, &this, path);
                let kept = check_device(&this, &consumer.trial().device, &end);
                (end, kept)
            })?;
        let result = kept.and_then(|()| check(scenario, folder.path(), &before, &end, (event, happened)));
        Ok((happened, result.map_err(|why| format!("{why}\nended: {end:?}"))))
    });
}

#[test]
fn an_error_at_any_call_leaves_the_old_content_or_the_new_one() {
    for code in [EIO, EACCES, ENOSPC, EINTR] {
        enumerate(Event::Error(code));
    }
}

#[test]
fn a_cancel_or_the_end_of_the_process_at_any_call_leaves_the_old_content_or_the_new_one() {
    enumerate(Event::Cancel);
    enumerate(Event::Kill);
}

#[test]
fn with_few_descriptors_or_threads_the_old_content_or_the_new_one_is_there() {
    enumerate(Event::FewDescriptors);
    enumerate(Event::FewThreads);
}
