//! Copying, moving and removing, with something that happens at each of their system calls in turn: an error, a cancel, the
//! end of the process. Whenever that is, sources are untouched, and targets as they were, or complete.
//!
//! The files are real ones, because what decides here is what the kernel does; threads and the clock are simulated. The
//! calls are counted, so nothing is left to chance but who runs next, which is drawn from a seed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use libc::{EACCES, EINTR, EINVAL, EIO, ENOSPC, ENOTEMPTY, EOPNOTSUPP, EXDEV, c_int};

use super::faults::Faults;
use super::run::{new_loop, watch_engine};
use super::trial::{Event, Trial};
use super::world::{LOOP, Wait, World};
use crate::engine::Engine;
use crate::engine::configuration::Configuration;
use crate::engine::progress::Progress;
use crate::engine::ticket::Ticket;
use crate::error::{Error, Subject};
use crate::limits::COPY_SMALL;
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
enum Thing {
    Nothing,
    File,
    Link,
    Tree,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Copy,
    Move,
    Remove,
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
];

/// What is known of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    mode: u32,
    modified: (i64, i64),
    /// Of a file; where a link leads.
    content: Vec<u8>,
}

impl Seen {
    fn is_like(&self, other: &Self, with_metadata: bool) -> bool {
        self.mode & libc::S_IFMT == other.mode & libc::S_IFMT
            && self.content == other.content
            && (!with_metadata || (self.mode == other.mode && self.modified == other.modified))
    }
}

/// What there is, by the way to it; the top has none.
type Snapshot = BTreeMap<PathBuf, Seen>;

/// Looks at a tree. `follow`: links stand for what they lead to.
fn look(top: &Path, follow: bool) -> Snapshot {
    fn add(found: &mut Snapshot, path: &Path, name: PathBuf, follow: bool) {
        let metadata = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
        let Ok(metadata) = metadata else { return };
        let mut content = Vec::new();
        if metadata.is_symlink() {
            content = fs::read_link(path).unwrap().into_os_string().into_encoded_bytes();
        } else if metadata.is_file() {
            content = fs::read(path).unwrap();
        } else if metadata.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                let entry = entry.unwrap().file_name();
                add(found, &path.join(&entry), name.join(&entry), follow);
            }
        }
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        found.insert(name, Seen { mode: metadata.mode(), modified, content });
    }
    let mut found = Snapshot::new();
    add(&mut found, top, PathBuf::new(), follow);
    found
}

/// Sets permissions and an old time.
fn age(path: &Path, mode: u32) {
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000 + u64::from(mode), 123);
    fs::File::open(path).unwrap().set_times(fs::FileTimes::new().set_modified(time)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// An old link.
fn link(content: &str, path: &Path) {
    symlink(content, path).unwrap();
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let time = libc::timespec { tv_sec: 1_000_000_000, tv_nsec: 321 };
    // SAFETY: the path is a C string, and there are two points in time.
    let set = unsafe {
        libc::utimensat(libc::AT_FDCWD, path.as_ptr(), [time, time].as_ptr(), libc::AT_SYMLINK_NOFOLLOW)
    };
    assert_eq!(set, 0);
}

/// A little more than what goes through memory.
fn large(text: &str) -> String {
    text.repeat(COPY_SMALL as usize / text.len() + 1)
}

fn make(thing: Thing, path: &Path, text: &str) {
    match thing {
        Thing::Nothing => {}
        Thing::File => {
            fs::write(path, large(text)).unwrap();
            age(path, 0o640);
        }
        Thing::Link => link("elsewhere", path),
        Thing::Tree => {
            fs::create_dir_all(path.join("lower/lowest")).unwrap();
            fs::write(path.join("first"), text).unwrap();
            fs::write(path.join("lower/second"), large(text)).unwrap();
            fs::write(path.join("lower/lowest/third"), "").unwrap();
            link("first", &path.join("link"));
            fs::hard_link(path.join("first"), path.join("lower/again")).unwrap();
            age(&path.join("first"), 0o600);
            age(&path.join("lower/second"), 0o444);
            age(&path.join("lower/lowest"), 0o711);
            age(&path.join("lower"), 0o700);
            age(path, 0o750);
        }
    }
}

/// Where it happens.
struct Place {
    folder: tempfile::TempDir,
    source: Snapshot,
    target: Snapshot,
    /// What the target is to become.
    complete: Snapshot,
    outside: Snapshot,
}

impl Place {
    fn new(scenario: &Scenario) -> Self {
        let memory = Path::new("/dev/shm");
        let folder =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let path = |name| folder.path().join(name);
        fs::create_dir(path("outside")).unwrap();
        fs::write(path("outside/file"), "precious").unwrap();
        make(scenario.source, &path("source"), "content");
        make(scenario.target, &path("target"), "before");
        if scenario.source == Thing::Tree && scenario.target == Thing::Nothing {
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
        let path = self.folder.path().join(name);
        NativePath::from_vec(path.as_os_str().as_bytes().to_vec()).unwrap()
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
        match scenario.verb {
            Verb::Remove => Self::Removing(engine.remove(source, scenario.options.policy, false, false)),
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

/// Does the work in a world of its own, with an event at a call.
fn attempt(scenario: &Scenario, place: &Rc<Place>, event: Event, at: u64, seed: u64) -> Result<Left, String> {
    let verbose = std::env::var_os("SIMULATION_TRIAL").is_some();
    let faults = Faults { descriptors: 200, space: usize::MAX, ..Faults::default() };
    let world = World::new(seed, faults, Configuration { max_workers: 3, usable_cpus: 2 }, verbose);
    world.trial.set(Trial::new(event, at, scenario.lacks)).unwrap();
    let result = Rc::new(RefCell::new(None));
    let (inside, answer, scenario, place) =
        (Rc::clone(&world), Rc::clone(&result), *scenario, Rc::clone(place));
    let failure = world.run(move || {
        let world = inside;
        let engine = Engine::new(world.configuration);
        world.current.replace(Some(Arc::clone(&engine)));
        watch_engine(&world, &engine);
        let (bell, port) = new_loop();
        let mut work = Work::begin(&scenario, &engine, &place);
        let mut failures = Vec::new();
        let trial = world.trial.get().unwrap();
        let end = loop {
            if trial.is_cancelled() {
                break End::Cancelled;
            }
            match work.next() {
                Progress::Done(Ok(None)) => break End::Done,
                Progress::Done(Ok(Some(error))) => failures.push(error),
                Progress::Done(Err(error)) => break End::Failed(error),
                Progress::Yield => world.step(),
                Progress::Pending(ticket) => {
                    if ticket.expect(&port) {
                        while !bell.0.load(Ordering::Relaxed) && !trial.is_cancelled() {
                            world.wait(Wait::For { key: LOOP, until: None });
                        }
                        bell.0.store(false, Ordering::Relaxed);
                        drop(port.drain());
                    }
                }
            }
        };
        drop(work);
        // What was given up is cleared away in the background.
        loop {
            let counters = engine.counters();
            if counters.queued == 0 && counters.in_flight == 0 {
                break;
            }
            world.sleep(Duration::from_millis(1));
        }
        if engine.counters().panics > 0 {
            world.die("a worker has panicked");
        }
        answer.replace(Some((end, failures)));
        world.current.take();
        drop(engine);
        world.sleep(Duration::from_secs(30));
        if world.workers() > 0 {
            world.die("threads are left");
        }
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    let trial = world.trial.get().unwrap();
    let open = trial.open.borrow().len();
    if open > 0 {
        return Err(format!("{open} descriptors are left open"));
    }
    let (end, failures) = result.take().ok_or("it has no end")?;
    Ok(Left { end, failures, event, happened: trial.happened.get() })
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
    if let Some(name) = everything.keys().find(|name| temporary(name))
        && !killed
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
        match left.event {
            Event::Error(code) if left.happened.is_some() => {
                // The directory that something is left in cannot be removed either, as shutil reports too.
                let follows = scenario.verb == Verb::Remove
                    && left.failures.first().is_some_and(|first| first.code() == Some(code));
                if error.code() != Some(code) && !(follows && error.code() == Some(ENOTEMPTY)) {
                    return Err(format!("another error is told: {error:?}"));
                }
            }
            Event::Kill => {}
            _ => return Err(format!("nothing has happened, and it fails with {error:?}")),
        }
        if !killed && place.paths(error).iter().all(|path| !path.starts_with(place.folder.path())) {
            return Err(format!("an error has no path: {error:?}"));
        }
    }
    let done = matches!(left.end, End::Done) && left.failures.is_empty();
    if left.event == Event::Error(EINTR) && !done {
        return Err("what was interrupted has not gone on".to_owned());
    }
    if scenario.verb == Verb::Remove {
        let is_left = source
            .iter()
            .all(|(name, seen)| place.source.get(name).is_some_and(|before| before.is_like(seen, false)));
        if !is_left {
            return Err("what is to be removed is changed".to_owned());
        }
        if done && !source.is_empty() && !killed {
            return Err("it is said to be removed".to_owned());
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

fn differences(wanted: &Snapshot, found: &Snapshot) -> String {
    let short = |seen: Option<&Seen>| {
        seen.map(|seen| {
            let start: String = String::from_utf8_lossy(&seen.content).chars().take(12).collect();
            format!("{:o} {:?} {start:?} of {}", seen.mode, seen.modified, seen.content.len())
        })
    };
    let names: std::collections::BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
    let lines = names.into_iter().filter(|name| wanted.get(*name) != found.get(*name)).map(|name| {
        format!("  {name:?}: {:?} should be {:?}\n", short(found.get(name)), short(wanted.get(name)))
    });
    lines.collect()
}

/// Lets an event happen at each call in turn, and gives the number of runs.
fn enumerate(scenario: &Scenario, event: Event, seed: u64) -> Result<u64, String> {
    for at in 1.. {
        let place = Rc::new(Place::new(scenario));
        let left = attempt(scenario, &place, event, at, seed);
        let happened = left.as_ref().map(|left| left.happened).unwrap_or_default();
        let checked = left.and_then(|left| {
            check(scenario, &place, &left)
                .map_err(|why| format!("{why}\nended: {:?} {:?}", left.end, left.failures))
        });
        if let Err(why) = checked {
            return Err(format!("{scenario:?}\n{event:?} at call {at} ({happened:?}), seed {seed}: {why}\n"));
        }
        if happened.is_none() {
            return Ok(at);
        }
    }
    Ok(0)
}

fn enumerate_all(event: Event) {
    let only = super::variable("SIMULATION_SCENARIO");
    let (mut runs, mut failures) = (0, String::new());
    for (index, scenario) in SCENARIOS.iter().enumerate() {
        if only.is_none_or(|only| only == index as u64) {
            // In every other world, who runs next seldom changes.
            for seed in [1, 2].into_iter().take(if cfg!(debug_assertions) { 1 } else { 2 }) {
                match enumerate(scenario, event, seed) {
                    Ok(count) => runs += count,
                    Err(why) => failures.push_str(&format!("{index}: {why}")),
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
    eprintln!("{event:?}: {runs} runs");
}

#[test]
fn an_error_at_any_call_leaves_all_or_nothing() {
    for code in [EIO, EACCES, ENOSPC] {
        enumerate_all(Event::Error(code));
    }
}

#[test]
fn an_interruption_at_any_call_is_not_noticed() {
    enumerate_all(Event::Error(EINTR));
}

#[test]
fn a_cancel_at_any_call_leaves_all_or_nothing() {
    enumerate_all(Event::Cancel);
}

#[test]
fn the_end_of_the_process_at_any_call_leaves_all_or_nothing() {
    enumerate_all(Event::Kill);
}
