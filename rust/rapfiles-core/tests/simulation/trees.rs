//! Copying, moving and removing, with something that happens at each of their system calls in turn: an error, a cancel, the
//! end of the process. Whenever that is, sources are untouched, and targets as they were, or complete.
//!
//! The files are real ones, because what decides here is what the kernel does; threads and the clock are simulated. The
//! calls are counted, so nothing is left to chance but who runs next, which is drawn from a seed.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libc::{EACCES, EINTR, EINVAL, EIO, ENOSPC, ENOTEMPTY, EOPNOTSUPP, EXDEV, c_int};

use super::consumer;
use super::folder::Folder;
use super::ground::{Snapshot, Thing, age, differences, fifo, link, look, make, native};
use super::trial::{Event, Trial};
use crate::engine::Engine;
use crate::engine::progress::Progress;
use crate::engine::ticket::Ticket;
use crate::error::{Error, Subject};
use crate::platform::NativePath;
use crate::verbs::copy::{CopyOptions, CopyRequest, Copying};
use crate::verbs::remove_tree::{Removed, Removing};
use crate::verbs::report::{Policy, Report};

/// What a new file or directory is called until it is complete.
const TEMPORARY: &str = ".rapfiles-";

/// A file system that lacks some calls.
type Lacks = &'static [(&'static str, c_int)];

const NO_UNNAMED: (&str, c_int) = ("openat, O_TMPFILE", EOPNOTSUPP);
const NO_NEW_NAMES: (&str, c_int) = ("renameat2", EINVAL);
const OTHER_DEVICE: (&str, c_int) = ("rename", EXDEV);
const ONLY_BUFFERS: Lacks =
    &[("clone_file", EOPNOTSUPP), ("copy_file_range", EXDEV), ("sendfile64", EINVAL), NO_UNNAMED];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Copy,
    Move,
    Remove,
    /// What tempfile does: missing permissions are granted.
    Clear,
}

impl Verb {
    fn removes(self) -> bool {
        matches!(self, Self::Remove | Self::Clear)
    }
}

/// What is done, with what and to what.
#[derive(Debug, Clone, Copy)]
struct Scenario {
    verb: Verb,
    source: Thing,
    target: Thing,
    options: CopyOptions,
    lacks: Lacks,
}

const PLAIN: CopyOptions = CopyOptions {
    follow_symlinks: false,
    preserve_metadata: true,
    preserve_hard_links: false,
    merge: false,
    atomic: false,
    recreate_special: true,
    selects: false,
    policy: Policy::Raise,
    progress: false,
    totals: false,
};

const fn scenario(verb: Verb, source: Thing, target: Thing, options: CopyOptions, lacks: Lacks) -> Scenario {
    Scenario { verb, source, target, options, lacks }
}

const SCENARIOS: &[Scenario] = &[
    scenario(Verb::Copy, Thing::File, Thing::Nothing, PLAIN, &[]),
    scenario(Verb::Copy, Thing::File, Thing::Nothing, CopyOptions { preserve_metadata: false, ..PLAIN }, &[]),
    scenario(Verb::Copy, Thing::File, Thing::Nothing, PLAIN, &[NO_UNNAMED]),
    scenario(Verb::Copy, Thing::File, Thing::Nothing, PLAIN, &[NO_UNNAMED, NO_NEW_NAMES]),
    scenario(Verb::Copy, Thing::File, Thing::Nothing, PLAIN, ONLY_BUFFERS),
    scenario(Verb::Copy, Thing::File, Thing::File, PLAIN, &[]),
    scenario(Verb::Copy, Thing::File, Thing::File, CopyOptions { atomic: true, ..PLAIN }, &[]),
    scenario(Verb::Copy, Thing::Link, Thing::Nothing, PLAIN, &[]),
    scenario(Verb::Copy, Thing::Link, Thing::File, CopyOptions { atomic: true, ..PLAIN }, &[]),
    scenario(Verb::Copy, Thing::Tree, Thing::Nothing, PLAIN, &[]),
    scenario(Verb::Copy, Thing::Tree, Thing::Nothing, CopyOptions { follow_symlinks: true, ..PLAIN }, &[]),
    scenario(Verb::Copy, Thing::Tree, Thing::Nothing, PLAIN, &[NO_NEW_NAMES]),
    scenario(
        Verb::Copy,
        Thing::Tree,
        Thing::Nothing,
        CopyOptions { preserve_hard_links: true, ..PLAIN },
        ONLY_BUFFERS,
    ),
    scenario(
        Verb::Copy,
        Thing::Tree,
        Thing::Nothing,
        CopyOptions { policy: Policy::Report, preserve_metadata: false, ..PLAIN },
        &[],
    ),
    scenario(Verb::Copy, Thing::Tree, Thing::Tree, CopyOptions { merge: true, atomic: true, ..PLAIN }, &[]),
    scenario(Verb::Move, Thing::File, Thing::Nothing, PLAIN, &[]),
    scenario(Verb::Move, Thing::Tree, Thing::Nothing, PLAIN, &[]),
    scenario(Verb::Move, Thing::File, Thing::Nothing, PLAIN, &[OTHER_DEVICE]),
    scenario(Verb::Move, Thing::File, Thing::File, CopyOptions { atomic: true, ..PLAIN }, &[OTHER_DEVICE]),
    scenario(Verb::Move, Thing::Link, Thing::Nothing, PLAIN, &[OTHER_DEVICE]),
    scenario(Verb::Move, Thing::Tree, Thing::Nothing, PLAIN, &[OTHER_DEVICE]),
    scenario(
        Verb::Move,
        Thing::Tree,
        Thing::Nothing,
        CopyOptions { preserve_hard_links: true, ..PLAIN },
        &[OTHER_DEVICE, NO_NEW_NAMES],
    ),
    scenario(Verb::Remove, Thing::Tree, Thing::Nothing, PLAIN, &[]),
    scenario(Verb::Remove, Thing::Tree, Thing::Nothing, CopyOptions { policy: Policy::Report, ..PLAIN }, &[]),
    scenario(Verb::Clear, Thing::Tree, Thing::Nothing, PLAIN, &[]),
    scenario(Verb::Clear, Thing::Tree, Thing::Nothing, CopyOptions { policy: Policy::Ignore, ..PLAIN }, &[]),
];

/// Where it happens.
struct Place {
    folder: Folder,
    source: Snapshot,
    target: Snapshot,
    /// What the target is to become.
    complete: Snapshot,
    outside: Snapshot,
}

impl Place {
    fn new(scenario: &Scenario) -> Self {
        let folder = Folder::in_memory();
        let path = |name| folder.path().join(name);
        fs::create_dir(path("outside")).unwrap();
        fs::write(path("outside/file"), "precious").unwrap();
        make(scenario.source, &path("source"), "content");
        make(scenario.target, &path("target"), "before");
        if scenario.source == Thing::Tree && scenario.target == Thing::Nothing {
            // Nothing can be read from it, and it is no empty file.
            fifo(&path("source/lower/pipe"));
            age(&path("source/lower"), 0o700);
            // Never entered.
            let inside = path("source/lower/way out");
            if !scenario.options.follow_symlinks {
                link("../../outside", &inside);
                age(&path("source/lower"), 0o700);
            }
        }
        Self {
            source: look(&path("source"), false),
            target: look(&path("target"), false),
            complete: look(&path("source"), scenario.options.follow_symlinks),
            outside: look(&path("outside"), false),
            folder,
        }
    }

    fn native(&self, name: &str) -> NativePath {
        native(self.folder.path().join(name))
    }

    /// The path of an error, or several.
    fn paths(&self, error: &Error) -> Vec<PathBuf> {
        let subject = match error {
            Error::Os { subject, .. } | Error::Refused { subject, .. } | Error::BeingMoved(subject) => {
                subject
            }
            _ => return Vec::new(),
        };
        let path =
            |native: &NativePath| PathBuf::from(String::from_utf8(native.to_bytes().to_vec()).unwrap());
        let (source, target) = (self.folder.path().join("source"), self.folder.path().join("target"));
        match subject {
            Subject::Nothing => Vec::new(),
            Subject::Path => vec![source],
            Subject::Second => vec![target],
            Subject::Both => vec![source, target],
            Subject::Other(other) => vec![path(other)],
            Subject::Others(one, other) => vec![path(one), path(other)],
        }
    }
}

enum Work {
    Copying(Copying),
    Removing(Removing),
}

impl Work {
    fn begin(scenario: &Scenario, engine: &Engine, place: &Place) -> Self {
        let source = place.native("source");
        let policy = scenario.options.policy;
        match scenario.verb {
            Verb::Remove => Self::Removing(engine.remove(source, policy, false, false)),
            Verb::Clear => Self::Removing(engine.remove_tree(source, policy == Policy::Ignore)),
            verb => Self::Copying(engine.copy(CopyRequest {
                source,
                target: place.native("target"),
                moves: verb == Verb::Move,
                options: scenario.options,
            })),
        }
    }

    /// What has failed next; `None` at the end.
    fn next(&mut self) -> Progress<Result<Option<Error>, Error>> {
        match self {
            Self::Copying(copying) => copying.next(Ticket::unique).map(|report| {
                report.map(|report| match report? {
                    Report::Failed(error) => Some(error),
                    Report::Progress(_) | Report::Selecting(_) => None,
                })
            }),
            Self::Removing(removing) => removing.next(Ticket::unique).map(|removed| {
                removed.map(|removed| match removed? {
                    Removed::Failed(_, error) => Some(error),
                    Removed::Progress(_) => None,
                })
            }),
        }
    }
}

/// What came of the work.
#[derive(Debug)]
enum End {
    Done,
    Failed(Error),
    Cancelled,
}

/// What a run has left.
struct Left {
    end: End,
    failures: Vec<Error>,
    event: Event,
    happened: Option<&'static str>,
}

/// Does the work, with an event at a call.
fn attempt(scenario: &Scenario, place: &Rc<Place>, event: Event, at: u64, seed: u64) -> Result<Left, String> {
    let (scenario, place) = (*scenario, Rc::clone(place));
    let trial = Trial::new(event, at, scenario.lacks);
    let ((end, failures), happened) = consumer::attempt(trial, seed, move |consumer| {
        let mut work = Work::begin(&scenario, &consumer.engine(), &place);
        let mut failures = Vec::new();
        let end = loop {
            match consumer.next(|| work.next()) {
                None => break End::Cancelled,
                Some(Ok(None)) => break End::Done,
                Some(Ok(Some(error))) => failures.push(error),
                Some(Err(error)) => break End::Failed(error),
            }
        };
        (end, failures)
    })?;
    Ok(Left { end, failures, event, happened })
}

/// What may be there when it is over, however it has ended.
fn check(scenario: &Scenario, place: &Place, left: &Left) -> Result<(), String> {
    let path = |name| place.folder.path().join(name);
    let killed = left.event == Event::Kill && left.happened.is_some();
    if look(&path("outside"), false) != place.outside {
        return Err("something outside was touched".to_owned());
    }
    let everything = look(place.folder.path(), false);
    let temporary = |name: &Path| {
        name.components().any(|part| part.as_os_str().as_bytes().starts_with(TEMPORARY.as_bytes()))
    };
    // Where a file gets its name as a second one, the first may be impossible to remove.
    let may_keep_first = left.happened == Some("unlinkat") && matches!(left.end, End::Done);
    if let Some(name) = everything.keys().find(|name| temporary(name))
        && !killed
        && !may_keep_first
    {
        return Err(format!("{} is left", name.display()));
    }
    let known = ["", "outside", "source", "target"];
    let stranger = everything.keys().find(|name| {
        !temporary(name)
            && !known.iter().any(|known| {
                name.components().next().is_none() || name.starts_with(known) && !known.is_empty()
            })
    });
    if let Some(name) = stranger {
        return Err(format!("nobody knows {}", name.display()));
    }
    let source = look(&path("source"), false);
    let mut target = look(&path("target"), false);
    target.retain(|name, _| !temporary(name));
    // The errors that were told have the path that they are about.
    let errors = left.failures.iter().chain(match &left.end {
        End::Failed(error) => Some(error),
        _ => None,
    });
    for error in errors {
        match left.event.code().filter(|_| left.happened.is_some()) {
            Some(code) => {
                // The directory that something is left in cannot be removed either, as shutil reports too.
                let follows = scenario.verb.removes()
                    && left.failures.first().is_some_and(|first| first.code() == Some(code));
                if error.code() != Some(code) && !(follows && error.code() == Some(ENOTEMPTY)) {
                    return Err(format!("another error is told: {error:?}"));
                }
            }
            None if left.event == Event::Kill => {}
            None => return Err(format!("nothing has happened, and it fails with {error:?}")),
        }
        let has_path = place.paths(error).iter().any(|path| path.starts_with(place.folder.path()));
        if !has_path && !killed && left.event != Event::FewThreads {
            return Err(format!("an error has no path: {error:?}"));
        }
    }
    let done = matches!(left.end, End::Done) && left.failures.is_empty();
    if left.event == Event::Error(EINTR) && !done {
        return Err("what was interrupted has not gone on".to_owned());
    }
    if scenario.verb.removes() {
        let is_left = source
            .iter()
            .all(|(name, seen)| place.source.get(name).is_some_and(|before| before.is_like(seen, false)));
        if !is_left {
            return Err("what is to be removed is changed".to_owned());
        }
        let ignores = scenario.options.policy == Policy::Ignore && left.happened.is_some();
        if done && !source.is_empty() && !killed && !ignores {
            return Err("it is said to be removed".to_owned());
        }
        if scenario.options.policy == Policy::Report && matches!(left.end, End::Done) && !killed {
            return untold(place, &source, left);
        }
        return Ok(());
    }
    let preserves = scenario.options.preserve_metadata;
    // A move at a stroke changes nothing at all.
    let is_complete = target.len() >= place.complete.len()
        && place
            .complete
            .iter()
            .all(|(name, wanted)| target.get(name).is_some_and(|seen| seen.is_like(wanted, preserves)));
    if done && !is_complete && !killed {
        return Err(format!("it is said to be done:\n{}", differences(&place.complete, &target)));
    }
    let moves = scenario.verb == Verb::Move;
    if source != place.source && !(moves && is_complete) {
        return Err(format!("the source is touched:\n{}", differences(&place.source, &source)));
    }
    if moves && done && !source.is_empty() && !killed {
        return Err("what was moved is there still".to_owned());
    }
    let in_place = scenario.target == Thing::File && !scenario.options.atomic;
    if is_complete || in_place || target == place.target {
        return Ok(());
    }
    if scenario.options.merge {
        let strange = target.iter().find(|(name, seen)| {
            seen.mode & libc::S_IFMT != libc::S_IFDIR
                && place.target.get(*name) != Some(seen)
                && !place.complete.get(*name).is_some_and(|wanted| seen.is_like(wanted, preserves))
        });
        return strange.map_or(Ok(()), |(name, _)| Err(format!("{} is neither nor", name.display())));
    }
    if scenario.options.policy == Policy::Report && matches!(left.end, End::Done) && !killed {
        return missing(place, &target, left);
    }
    Err(format!("the target is neither there nor not:\n{}", differences(&place.complete, &target)))
}

/// Whatever is not there was told of, or is in a directory that was.
fn missing(place: &Place, target: &Snapshot, left: &Left) -> Result<(), String> {
    let told: Vec<PathBuf> = left.failures.iter().flat_map(|error| place.paths(error)).collect();
    for (name, wanted) in &place.complete {
        let is_there = target.get(name).is_some_and(|seen| seen.is_like(wanted, false));
        let is_told = ["source", "target"].iter().any(|side| {
            let path = place.folder.path().join(side).join(name);
            told.iter().any(|told| path.starts_with(told))
        });
        if !is_there && !is_told {
            return Err(format!("{} is missing, and nobody was told: {told:?}", name.display()));
        }
    }
    Ok(())
}

/// Of each entry that is left, an error was told: its own, or that of a directory that it is in, or that is in it. That
/// a directory is not empty says nothing about what is in it.
fn untold(place: &Place, source: &Snapshot, left: &Left) -> Result<(), String> {
    let errors = left.failures.iter().filter(|error| error.code() != Some(ENOTEMPTY));
    let told: Vec<PathBuf> = errors.flat_map(|error| place.paths(error)).collect();
    for name in source.keys() {
        // Joining with nothing would leave a separator at the end.
        let path: PathBuf = place.folder.path().join("source").join(name).components().collect();
        if !told.iter().any(|told| path.starts_with(told) || told.starts_with(&path)) {
            return Err(format!("{} is left, and nobody was told: {told:?}", name.display()));
        }
    }
    Ok(())
}

fn enumerate(event: Event) {
    enumerate_some(SCENARIOS, event);
}

fn enumerate_some(scenarios: &[Scenario], event: Event) {
    consumer::enumerate(scenarios, event, |scenario, at, seed| {
        let place = Rc::new(Place::new(scenario));
        let left = attempt(scenario, &place, event, at, seed)?;
        let result = check(scenario, &place, &left);
        let ended = || format!("ended: {:?} {:?}", left.end, left.failures);
        Ok((left.happened, result.map_err(|why| format!("{why}\n{}", ended()))))
    });
}

#[test]
fn an_error_at_any_call_leaves_all_or_nothing() {
    for code in [EIO, EACCES, ENOSPC] {
        enumerate(Event::Error(code));
    }
}

/// What could be done at a second attempt otherwise hides an error that was lost.
#[test]
fn an_error_that_lasts_keeps_what_is_told_from_being_removed() {
    let removals: Vec<Scenario> =
        SCENARIOS.iter().filter(|scenario| scenario.verb.removes()).copied().collect();
    for code in [EIO, EACCES] {
        enumerate_some(&removals, Event::Lasting(code));
    }
}

#[test]
fn an_interruption_at_any_call_is_not_noticed() {
    enumerate(Event::Error(EINTR));
}

#[test]
fn a_cancel_at_any_call_leaves_all_or_nothing() {
    enumerate(Event::Cancel);
}

#[test]
fn the_end_of_the_process_at_any_call_leaves_all_or_nothing() {
    enumerate(Event::Kill);
}

#[test]
fn with_few_descriptors_all_or_nothing_is_done() {
    enumerate(Event::FewDescriptors);
}

#[test]
fn with_few_threads_all_or_nothing_is_done() {
    enumerate(Event::FewThreads);
}
