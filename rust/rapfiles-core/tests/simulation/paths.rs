//! Operations on single paths, with something that happens at each of their system calls in turn: they do what they should,
//! or an error says that they have not.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;

use libc::{EACCES, EINTR, EIO};

use super::consumer;
use super::folder::Folder;
use super::ground::{Snapshot, age, link, look, native};
use super::trial::{Event, Trial};
use crate::error::{Error, Subject};
use crate::outcome::Outcome;
use crate::path_operation::PathOperation;
use crate::platform::NativePath;
use crate::verbs::link::TargetKind;
use crate::verbs::metadata::{MountRules, Timestamp};
use crate::verbs::ownership::Account;
use crate::verbs::resolve::Strictness;
use crate::verbs::write::Data;

/// What is changed, if anything, and how it is seen that it has been.
#[derive(Clone, Copy)]
enum Change {
    Nothing,
    /// By one call, so that after an error everything is as it was.
    AtOnce(fn(&Path) -> bool),
    /// By several.
    InSteps(fn(&Path) -> bool),
}

#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    operation: fn(&Path) -> PathOperation,
    change: Change,
    /// Whether an answer is the right one.
    is_right: fn(&Path, &Outcome) -> bool,
    /// Errors mean no.
    tolerant: bool,
}

impl fmt::Debug for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

const fn change(name: &'static str, operation: fn(&Path) -> PathOperation, change: Change) -> Scenario {
    let is_right = |_: &Path, outcome: &Outcome| matches!(outcome, Outcome::Done);
    Scenario { name, operation, change, is_right, tolerant: false }
}

const fn question(
    name: &'static str,
    operation: fn(&Path) -> PathOperation,
    is_right: fn(&Path, &Outcome) -> bool,
) -> Scenario {
    Scenario { name, operation, change: Change::Nothing, is_right, tolerant: false }
}

const fn predicate(
    name: &'static str,
    operation: fn(&Path) -> PathOperation,
    is_right: fn(&Path, &Outcome) -> bool,
) -> Scenario {
    Scenario { tolerant: true, ..question(name, operation, is_right) }
}

const CONTENT: &str = "content";
const ATTRIBUTE: &str = "user.rapfiles";
const TIME: Timestamp = Timestamp { seconds: 1_234_567_890, nanoseconds: 5 };

/// Of attributes, which not every file system has.
const ATTRIBUTES: &[Scenario] = &[
    question(
        "getxattr",
        |folder| PathOperation::GetAttribute {
            path: at(folder, "file"),
            name: native(ATTRIBUTE),
            follow: true,
        },
        |_, outcome| matches!(outcome, Outcome::Bytes(value) if value == b"value"),
    ),
    question(
        "listxattr",
        |folder| PathOperation::ListAttributes { path: at(folder, "file"), follow: false },
        |_, outcome| matches!(outcome, Outcome::Names(names) if names.iter().any(|name| name == ATTRIBUTE)),
    ),
    change(
        "setxattr",
        |folder| {
            let (path, name) = (at(folder, "file"), native(ATTRIBUTE));
            PathOperation::SetAttribute {
                path,
                name,
                value: Data::Owned(b"new".to_vec()),
                flags: 0,
                follow: true,
            }
        },
        Change::AtOnce(|folder| attribute(folder).as_deref() == Some(b"new")),
    ),
    change(
        "removexattr",
        |folder| PathOperation::RemoveAttribute {
            path: at(folder, "link"),
            name: native(ATTRIBUTE),
            follow: true,
        },
        Change::AtOnce(|folder| attribute(folder).is_none()),
    ),
    change(
        "lremovexattr",
        |folder| PathOperation::RemoveAttribute {
            path: at(folder, "file"),
            name: native(ATTRIBUTE),
            follow: false,
        },
        Change::AtOnce(|folder| attribute(folder).is_none()),
    ),
];

const SCENARIOS: &[Scenario] = &[
    change(
        "symlink",
        |folder| {
            let (target, path) = (native("elsewhere"), at(folder, "new"));
            PathOperation::Symlink { target, path, kind: TargetKind::File }
        },
        Change::AtOnce(|folder| {
            fs::read_link(folder.join("new")).is_ok_and(|to| to == Path::new("elsewhere"))
        }),
    ),
    change(
        "link",
        |folder| PathOperation::Link { target: at(folder, "file"), path: at(folder, "new"), follow: false },
        Change::AtOnce(|folder| are_same(folder, "new", "file")),
    ),
    change(
        "link to what a link leads to",
        |folder| PathOperation::Link { target: at(folder, "link"), path: at(folder, "new"), follow: true },
        Change::AtOnce(|folder| are_same(folder, "new", "file")),
    ),
    question(
        "readlink",
        |folder| PathOperation::ReadLink { path: at(folder, "link") },
        |_, outcome| matches!(outcome, Outcome::Path(path) if path == "file"),
    ),
    question(
        "realpath",
        |folder| PathOperation::Resolve {
            path: at(folder, "link"),
            strictness: Strictness::Strict,
            rules: 14,
        },
        |folder, outcome| matches!(outcome, Outcome::Path(path) if Path::new(path) == folder.canonicalize().unwrap().join("file")),
    ),
    predicate(
        "access",
        |folder| PathOperation::Access {
            path: at(folder, "link"),
            mode: libc::R_OK,
            effective_ids: true,
            follow: true,
        },
        |_, outcome| matches!(outcome, Outcome::Flag(true)),
    ),
    predicate(
        "ismount",
        |_| PathOperation::IsMount { path: native("/proc"), rules: MountRules::OsPath },
        |_, outcome| matches!(outcome, Outcome::Flag(true)),
    ),
    question(
        "samefile",
        |folder| PathOperation::SameFile { path: at(folder, "file"), other: at(folder, "link") },
        |_, outcome| matches!(outcome, Outcome::Flag(true)),
    ),
    question(
        "stat",
        |folder| PathOperation::Stat { path: at(folder, "link"), follow: true },
        |_, outcome| matches!(outcome, Outcome::Metadata(found) if found.size == CONTENT.len() as u64),
    ),
    question(
        "statvfs",
        |folder| PathOperation::StatVfs { path: at(folder, "file") },
        |_, outcome| matches!(outcome, Outcome::StatVfs(found) if found.block_size > 0),
    ),
    question(
        "read",
        |folder| PathOperation::Read { path: at(folder, "file") },
        |_, outcome| matches!(outcome, Outcome::Bytes(content) if content == CONTENT.as_bytes()),
    ),
    question(
        "sync",
        |folder| PathOperation::Synchronise { path: at(folder, "file") },
        |_, outcome| matches!(outcome, Outcome::Done),
    ),
    change(
        "chmod",
        |folder| PathOperation::ChangeMode { path: at(folder, "file"), mode: 0o600, follow: true },
        Change::AtOnce(|folder| found(folder, "file").is_some_and(|found| found.mode() & 0o7777 == 0o600)),
    ),
    change(
        "chown",
        |folder| {
            let (user, group) = (Account::Id(new_owner()), Account::Id(u32::MAX));
            PathOperation::ChangeOwner { path: at(folder, "link"), user, group, follow: false }
        },
        // Where only the owner there is can be set, nothing is seen of it.
        Change::InSteps(|folder| found(folder, "link").is_some_and(|found| found.uid() == new_owner())),
    ),
    change(
        "utime",
        |folder| PathOperation::SetTimes {
            path: at(folder, "file"),
            times: Some((TIME, TIME)),
            follow: true,
        },
        Change::AtOnce(|folder| found(folder, "file").is_some_and(|found| found.mtime() == TIME.seconds)),
    ),
    change(
        "truncate",
        |folder| PathOperation::Truncate { path: at(folder, "file"), length: 3 },
        Change::AtOnce(|folder| found(folder, "file").is_some_and(|found| found.len() == 3)),
    ),
    change(
        "touch",
        |folder| PathOperation::Touch { path: at(folder, "new"), mode: 0o600, exist_ok: true },
        Change::InSteps(|folder| found(folder, "new").is_some()),
    ),
    Scenario {
        // Where the times cannot be set, it is enough that it exists, as for pathlib.
        tolerant: true,
        ..change(
            "touch what exists",
            |folder| PathOperation::Touch { path: at(folder, "file"), mode: 0o600, exist_ok: true },
            Change::InSteps(|folder| found(folder, "file").is_some_and(|found| found.mtime() > TIME.seconds)),
        )
    },
    change(
        "makedirs",
        |folder| PathOperation::MakeDirectory {
            path: at(folder, "new/inside/it"),
            mode: 0o700,
            parents: true,
            exist_ok: true,
            parent_mode: None,
            tolerant: false,
        },
        Change::InSteps(|folder| found(folder, "new/inside/it").is_some_and(|found| found.is_dir())),
    ),
    change(
        "rmdir",
        |folder| PathOperation::RemoveDirectory { path: at(folder, "empty") },
        Change::AtOnce(|folder| found(folder, "empty").is_none()),
    ),
    change(
        "unlink",
        |folder| PathOperation::Unlink { path: at(folder, "file"), missing_ok: true },
        Change::AtOnce(|folder| found(folder, "file").is_none()),
    ),
    change(
        "rename",
        |folder| PathOperation::Rename {
            path: at(folder, "file"),
            target: at(folder, "link"),
            replace: true,
        },
        Change::AtOnce(|folder| found(folder, "file").is_none() && !folder.join("link").is_symlink()),
    ),
];

fn at(folder: &Path, name: &str) -> NativePath {
    native(folder.join(name))
}

fn found(folder: &Path, name: &str) -> Option<fs::Metadata> {
    fs::symlink_metadata(folder.join(name)).ok()
}

fn are_same(folder: &Path, one: &str, other: &str) -> bool {
    let inode = |name| found(folder, name).map(|found| found.ino());
    inode(one).is_some() && inode(one) == inode(other)
}

/// Only root can give files away.
fn new_owner() -> u32 {
    // SAFETY: no memory is involved.
    let own = unsafe { libc::geteuid() };
    if own == 0 { 12_345 } else { own }
}

/// The value of the file's attribute.
fn attribute(folder: &Path) -> Option<Vec<u8>> {
    let (path, name, mut room) = (at(folder, "file"), native(ATTRIBUTE), vec![0; 64]);
    // SAFETY: both are C strings, and there is so much room.
    let length =
        unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), room.as_mut_ptr().cast(), room.len()) };
    room.truncate(usize::try_from(length).ok()?);
    Some(room)
}

/// Where it happens.
struct Place {
    folder: Folder,
    before: Snapshot,
    has_attributes: bool,
}

impl Place {
    fn new() -> Self {
        let folder = Folder::in_memory();
        let path = |name| folder.path().join(name);
        fs::write(path("file"), CONTENT).unwrap();
        age(&path("file"), 0o640);
        link("file", &path("link"));
        fs::create_dir(path("empty")).unwrap();
        let (file, name) = (at(folder.path(), "file"), native(ATTRIBUTE));
        // SAFETY: both are C strings, and the value has five bytes.
        let set = unsafe { libc::setxattr(file.as_ptr(), name.as_ptr(), c"value".as_ptr().cast(), 5, 0) };
        let before = look(folder.path(), false);
        Self { folder, before, has_attributes: set == 0 }
    }
}

/// What does not hold when something has happened at a call.
fn check(
    scenario: &Scenario,
    place: &Place,
    outcome: Option<&Result<Outcome, Error>>,
    event: Event,
    happened: Option<&'static str>,
) -> Result<(), String> {
    let folder = place.folder.path();
    let (is_done, at_once) = match scenario.change {
        Change::Nothing => (false, true),
        Change::AtOnce(is_done) => (is_done(folder), true),
        Change::InSteps(is_done) => (is_done(folder), false),
    };
    let changes = !matches!(scenario.change, Change::Nothing);
    let mut after = look(folder, false);
    let mut before = place.before.clone();
    // Its time changes with what is in it.
    after.remove(Path::new(""));
    before.remove(Path::new(""));
    if !is_done && at_once && after != before {
        return Err("something else is changed".to_owned());
    }
    let may_fail = happened.is_some() && event != Event::Error(EINTR);
    let Some(outcome) = outcome else {
        return if event == Event::Cancel { Ok(()) } else { Err("it is given up".to_owned()) };
    };
    match outcome {
        Ok(_) if changes && !is_done && !(scenario.tolerant && may_fail) => {
            Err("it is said to be done".to_owned())
        }
        Ok(outcome) if (scenario.is_right)(folder, outcome) => Ok(()),
        Ok(Outcome::Flag(false)) if scenario.tolerant && may_fail => Ok(()),
        Ok(_) => Err("the answer is wrong".to_owned()),
        Err(_) if changes && is_done && at_once => Err("it is done, and said not to be".to_owned()),
        Err(Error::NoThread) if may_fail && event == Event::FewThreads => Ok(()),
        Err(Error::Os { code, subject }) if may_fail && Some(*code) == event.code() => match subject {
            // As with pathlib, errors of an open file have no path.
            Subject::Nothing if !matches!(happened, Some("read" | "close")) => {
                Err("the error names no path".to_owned())
            }
            _ => Ok(()),
        },
        Err(_) => Err("it fails".to_owned()),
    }
}

fn enumerate(event: Event) {
    let has_attributes = Place::new().has_attributes;
    let attributes = if has_attributes { ATTRIBUTES } else { &[] };
    let scenarios: Vec<Scenario> = SCENARIOS.iter().chain(attributes).copied().collect();
    consumer::enumerate(&scenarios, event, |scenario, at, seed| {
        let place = Rc::new(Place::new());
        let operation = (scenario.operation)(place.folder.path());
        let trial = Trial::new(event, at, &[]);
        let (outcome, happened) = consumer::attempt(trial, seed, move |consumer| consumer.run(operation))?;
        let result = check(scenario, &place, outcome.as_ref(), event, happened);
        Ok((happened, result.map_err(|why| format!("{why}\n{outcome:?}"))))
    });
}

#[test]
fn an_error_at_any_call_is_told() {
    for code in [EIO, EACCES] {
        enumerate(Event::Error(code));
    }
}

#[test]
fn an_interruption_at_any_call_is_not_noticed() {
    enumerate(Event::Error(EINTR));
}

#[test]
fn a_cancel_at_any_call_leaves_nothing_open() {
    enumerate(Event::Cancel);
}

#[test]
fn with_few_descriptors_or_threads_an_error_is_told() {
    enumerate(Event::FewDescriptors);
    enumerate(Event::FewThreads);
}
