//! Transactions, with something that happens at each of their system calls in turn. Whatever that is, all changes are made
//! or none, as the outcome says or as recovery finds; and the device has what it must have before each point of no return.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, fs};

use libc::{EACCES, EINTR, EIO, ENOSPC};

use super::consumer::{self, Consumer};
use super::device::{Device, Pending};
use super::folder::Folder;
use super::ground::{Seen, Snapshot, age, differences, look, native};
use super::trial::{Event, Trial};
use crate::engine::Engine;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::path_operation::PathOperation;
use crate::verbs::transaction::{Staging, Transaction, TransactionOptions, recover};
use crate::verbs::write::Data;

const LOGS: &str = ".rapfiles";

/// Something that is staged.
#[derive(Debug, Clone, Copy)]
enum Change {
    Write(&'static str, &'static str),
    /// So many files.
    WriteMany(usize),
    Append(&'static str, &'static str),
    Rename(&'static str, &'static str),
    Copy(&'static str, &'static str),
    Remove(&'static str),
    MakeDirectory(&'static str),
    Length(&'static str),
}

use Change::{Append, Copy as CopyOf, Length, MakeDirectory, Remove, Rename, Write, WriteMany};

#[derive(Debug, Clone, Copy)]
struct Scenario {
    durable: bool,
    /// What one transaction does.
    changes: &'static [Change],
    /// What another one does that begins later and is committed first.
    beside: &'static [Change],
    /// It ends with an exception.
    undone: bool,
}

const fn scenario(durable: bool, changes: &'static [Change]) -> Scenario {
    Scenario { durable, changes, beside: &[], undone: false }
}

const EVERYTHING: &[Change] = &[
    Write("replaced", "new"),
    Append("log", "more"),
    Append("log", " and more"),
    Append("created", "first line"),
    // The first two exchange their names.
    Rename("first", "between"),
    Rename("second", "first"),
    Rename("between", "second"),
    Append("second", " extended"),
    Rename("third", "sub/third"),
    CopyOf("sub/inner", "copy"),
    Remove("removed"),
    MakeDirectory("new"),
    Write("new/file", "in a new directory"),
    Length("log"),
];

const SCENARIOS: &[Scenario] = &[
    scenario(true, &[Write("replaced", "new"), Append("log", "more"), Rename("first", "second")]),
    scenario(false, &[Write("replaced", "new"), Write("another", "one"), Remove("removed")]),
    scenario(true, &[WriteMany(20)]),
    scenario(true, &[]),
    Scenario { undone: true, ..scenario(true, &[Write("another", "one"), MakeDirectory("new")]) },
    Scenario {
        beside: &[Append("log", "theirs"), Write("another", "theirs")],
        ..scenario(true, &[Append("log", "ours"), Write("replaced", "ours")])
    },
    scenario(true, EVERYTHING),
];

/// All but the last one, which has the most calls.
const MOST: &[Scenario] = SCENARIOS.split_last().unwrap().1;

fn stagings(changes: &[Change]) -> Vec<Staging> {
    let name = |name: &str| native(name);
    let data = |text: &str| Data::Owned(text.as_bytes().to_vec());
    let mut stagings = Vec::new();
    for change in changes {
        stagings.push(match *change {
            Write(path, text) => Staging::Write { name: name(path), data: data(text) },
            WriteMany(count) => {
                stagings.extend((0..count).map(|number| Staging::Write {
                    name: name(&format!("many{number:02}")),
                    data: data("one of many"),
                }));
                continue;
            }
            Append(path, text) => Staging::Append { name: name(path), data: data(text), bom: 0 },
            Rename(path, target) => Staging::Rename { name: name(path), target: name(target) },
            CopyOf(path, target) => Staging::Copy { name: name(path), target: name(target) },
            Remove(path) => Staging::Remove { name: name(path), missing_ok: false },
            MakeDirectory(path) => Staging::MakeDirectory { name: name(path) },
            Length(path) => Staging::Length { name: name(path) },
        });
    }
    stagings
}

/// A directory with files.
fn place() -> Folder {
    let folder = Folder::in_memory();
    fs::create_dir(folder.path().join("sub")).unwrap();
    for name in ["replaced", "log", "first", "second", "third", "removed", "sub/inner"] {
        fs::write(folder.path().join(name), format!("old {name}")).unwrap();
        age(&folder.path().join(name), 0o640);
    }
    folder
}

/// What is there, but for the logs and for times.
fn seen(folder: &Path) -> Snapshot {
    let mut found = look(folder, false);
    found.retain(|path, _| !path.starts_with(LOGS));
    for Seen { modified, .. } in found.values_mut() {
        *modified = (0, 0);
    }
    found
}

/// What is there after these transactions, one after the other.
fn after(transactions: &[&[Change]]) -> Snapshot {
    let folder = place();
    for changes in transactions {
        let options = TransactionOptions { durable: false, swap: false };
        let transaction = Transaction::begin(Engine::current(), &native(folder.path()), options).unwrap();
        for staging in stagings(changes) {
            transaction.stage(&staging).unwrap();
        }
        transaction.commit().unwrap();
    }
    seen(folder.path())
}

/// How a transaction has ended.
#[derive(Debug)]
enum End {
    Committed,
    Undone,
    Failed(Error),
    GivenUp,
}

/// A transaction that goes on.
enum Going {
    On(Arc<Transaction>),
    Ended(End),
}

fn begin(consumer: &Consumer, folder: &Path, durable: bool) -> Going {
    let options = TransactionOptions { durable, swap: false };
    match consumer.run(PathOperation::BeginTransaction { path: native(folder), options }) {
        None => Going::Ended(End::GivenUp),
        Some(Err(error)) => Going::Ended(End::Failed(error)),
        Some(Ok(Outcome::Transaction(transaction))) => Going::On(transaction),
        Some(Ok(_)) => unreachable!("it is a transaction"),
    }
}

fn stage(consumer: &Consumer, going: Going, changes: &[Change]) -> Going {
    let Going::On(transaction) = going else { return going };
    for staging in stagings(changes) {
        let operation = PathOperation::Stage { transaction: Arc::clone(&transaction), staging };
        match consumer.run(operation) {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                undo(consumer, &transaction);
                return Going::Ended(End::Failed(error));
            }
            None => {
                transaction.abandon();
                return Going::Ended(End::GivenUp);
            }
        }
    }
    Going::On(transaction)
}

fn undo(consumer: &Consumer, transaction: &Arc<Transaction>) -> End {
    match consumer.run(PathOperation::UndoTransaction { transaction: Arc::clone(transaction) }) {
        None => {
            transaction.abandon();
            End::GivenUp
        }
        Some(Ok(_)) => End::Undone,
        Some(Err(error)) => End::Failed(error),
    }
}

fn finish(consumer: &Consumer, going: Going, undone: bool) -> End {
    let transaction = match going {
        Going::On(transaction) => transaction,
        Going::Ended(end) => return end,
    };
    if undone {
        return undo(consumer, &transaction);
    }
    match consumer.run(PathOperation::CommitTransaction { transaction: Arc::clone(&transaction) }) {
        None => {
            transaction.abandon();
            End::GivenUp
        }
        Some(Ok(_)) => End::Committed,
        Some(Err(error)) => End::Failed(error),
    }
}

/// What a run has left.
struct Left {
    /// Of the other transaction, if there was one, and of the first one.
    ends: [Option<End>; 2],
    event: Event,
    happened: Option<&'static str>,
}

impl Left {
    /// The process was killed.
    fn is_killed(&self) -> bool {
        self.event == Event::Kill && self.happened.is_some()
    }
}

fn check(scenario: &Scenario, folder: &Path, left: &Left, states: &States) -> Result<(), String> {
    let before_recovery = seen(folder);
    let left_of_logs = fs::read_dir(folder.join(LOGS))
        .map(|left| left.flatten().map(|entry| entry.file_name()).collect::<Vec<_>>());
    let recovery = recover(&native(folder)).map_err(|error| format!("recovery fails: {error:?}"))?;
    if folder.join(LOGS).exists() {
        return Err("the logs are left by recovery".to_owned());
    }
    if !recovery.skipped.is_empty() {
        return Err("a transaction of nobody's is alive".to_owned());
    }
    let found = seen(folder);
    let is = |ours: bool, theirs: bool| found == states[&(ours, theirs)];
    let Some((ours, theirs)) = states.keys().copied().find(|(ours, theirs)| is(*ours, *theirs)) else {
        return Err(format!("neither all nor nothing:\n{}", differences(&states[&(true, true)], &found)));
    };
    if left.is_killed() {
        return Ok(());
    }
    let unfinished = |end: &Option<End>| matches!(end, Some(End::Failed(Error::Unfinished { .. })));
    if !left.ends.iter().any(unfinished) && before_recovery != found {
        return Err("recovery changes something that nobody was told of".to_owned());
    }
    // What cannot be removed is left for whoever comes next; and the lock of all logs, if that is what cannot be had.
    let may_be_left = match left.event {
        Event::Error(EINTR) => false,
        Event::Error(_) => {
            let only_lock = left_of_logs.as_ref().is_ok_and(|names| *names == ["lock"]);
            // That of undoing them is told.
            only_lock || scenario.undone || !matches!(&left.ends[1], Some(End::Failed(_)))
        }
        Event::FewDescriptors => true,
        _ => false,
    };
    let may_be_left = (may_be_left && left.happened.is_some()) || left.ends.iter().any(unfinished);
    if left_of_logs.is_ok() && !may_be_left {
        return Err(format!("the logs are left: {left_of_logs:?}"));
    }
    for (end, done) in [(&left.ends[0], theirs), (&left.ends[1], ours)] {
        let code = left.event.code().filter(|code| left.happened.is_some() && *code != EINTR);
        let fits = match end {
            None => true,
            Some(End::Committed) => done || (scenario.changes.is_empty() && !scenario.undone),
            Some(End::Undone) => !done,
            Some(End::Failed(Error::Unfinished { code: told, .. })) => done && Some(*told) == code,
            Some(End::Failed(error)) => {
                (!done || scenario.changes.is_empty()) && code.is_some() && error.code() == code
            }
            Some(End::GivenUp) => left.event == Event::Cancel && left.happened.is_some(),
        };
        if !fits {
            return Err(format!("made: {done}, and it ends with {end:?}"));
        }
    }
    Ok(())
}

/// What the device must have, and when.
fn check_device(scenario: &Scenario, device: &Device) -> Result<(), String> {
    let of_logs = |pending: &Pending| pending.path.components().any(|part| part.as_os_str() == LOGS);
    for naming in device.namings().iter().filter(|_| scenario.durable) {
        let committed = naming.call == "renameat" && naming.name == b"commit";
        let ended = naming.call == "unlinkat" && naming.name == b"commit";
        let lacks = naming.pending.iter().find(|pending| {
            let only_logs =
                !pending.names.is_empty() && pending.names.iter().all(|name| name == LOGS.as_bytes());
            committed || (ended && !of_logs(pending) && !only_logs)
        });
        if let Some(pending) = lacks {
            return Err(format!("{:?} before the device has {pending:?}", naming.name));
        }
    }
    let namings = device.namings();
    let ended = namings.iter().position(|naming| naming.call == "unlinkat" && naming.name == b"commit");
    let after = ended.and_then(|ended| namings.get(ended + 1)).filter(|_| scenario.durable);
    if let Some(pending) = after.and_then(|naming| {
        naming.pending.iter().find(|pending| pending.names.iter().any(|name| name == b"commit"))
    }) {
        return Err(format!("the log is removed before the device has its end: {pending:?}"));
    }
    Ok(())
}

/// What is there, by whether the first transaction and the other one have been made.
type States = BTreeMap<(bool, bool), Snapshot>;

fn states(scenario: &Scenario) -> States {
    let mut states = States::new();
    for (ours, theirs) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut made = Vec::new();
        if theirs && !scenario.beside.is_empty() {
            made.push(scenario.beside);
        }
        if ours && !scenario.undone {
            made.push(scenario.changes);
        }
        states.insert((ours, theirs), after(&made));
    }
    states
}

/// A scenario, and what may come of it.
struct Prepared {
    scenario: Scenario,
    states: States,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.scenario.fmt(formatter)
    }
}

/// Does what a scenario says in a directory, with an event at a call.
fn attempt(scenario: Scenario, folder: &Path, event: Event, at: u64, seed: u64) -> Result<Left, String> {
    let path = folder.to_owned();
    let work = move |consumer: &Consumer| {
        let going = begin(consumer, &path, scenario.durable);
        let going = stage(consumer, going, scenario.changes);
        let other = (!scenario.beside.is_empty()).then(|| {
            let other = begin(consumer, &path, scenario.durable);
            finish(consumer, stage(consumer, other, scenario.beside), false)
        });
        let end = finish(consumer, going, scenario.undone);
        let device = &consumer.trial().device;
        let kept = if scenario.beside.is_empty() { check_device(&scenario, device) } else { Ok(()) };
        ([other, Some(end)], kept)
    };
    let ((ends, kept), happened) = consumer::attempt(Trial::new(event, at, &[]), seed, work)?;
    kept.map(|()| Left { ends, event, happened })
}

fn enumerate(event: Event) {
    enumerate_in(SCENARIOS, event);
}

fn enumerate_in(scenarios: &[Scenario], event: Event) {
    let prepare = |scenario: &Scenario| Prepared { scenario: *scenario, states: states(scenario) };
    let prepared: Vec<_> = scenarios.iter().map(prepare).collect();
    consumer::enumerate(&prepared, event, |Prepared { scenario, states }, at, seed| {
        let folder = place();
        let left = attempt(*scenario, folder.path(), event, at, seed)?;
        let result = check(scenario, folder.path(), &left, states);
        Ok((left.happened, result.map_err(|why| format!("{why}\nended: {:?}", left.ends))))
    });
}

#[test]
fn an_error_at_any_call_makes_all_changes_or_none() {
    enumerate(Event::Error(EIO));
    // These are treated differently in a few places.
    for code in [EACCES, ENOSPC] {
        enumerate_in(&SCENARIOS[..1], Event::Error(code));
    }
}

#[test]
fn an_interruption_at_any_call_is_not_noticed() {
    enumerate_in(MOST, Event::Error(EINTR));
}

#[test]
fn a_cancel_at_any_call_makes_all_changes_or_none() {
    enumerate_in(MOST, Event::Cancel);
}

#[test]
fn the_end_of_the_process_at_any_call_makes_all_changes_or_none() {
    enumerate(Event::Kill);
}

#[test]
fn with_few_descriptors_or_threads_all_changes_are_made_or_none() {
    enumerate(Event::FewDescriptors);
    enumerate(Event::FewThreads);
}

/// The calls at which the process ends whose transaction is recovered are so far apart: the one that is recovered is not
/// begun, being staged, committed, half applied, at its end.
const APART: usize = 29;

#[test]
fn a_recovery_with_something_at_any_call_is_finished_by_the_next() {
    let scenario = scenario(true, EVERYTHING);
    let states = states(&scenario);
    let (old, new) = (&states[&(false, false)], &states[&(true, false)]);
    for event in [Event::Error(EIO), Event::Kill, Event::Cancel, Event::FewDescriptors] {
        let mut points = Vec::new();
        for killed_at in (1..).step_by(APART) {
            let folder = place();
            let left = attempt(scenario, folder.path(), Event::Kill, killed_at, 1).unwrap();
            if !left.is_killed() {
                break;
            }
            let logs = fs::read_dir(folder.path().join(LOGS)).into_iter().flatten().flatten();
            let mut commits = logs.map(|log| log.path().join("commit").exists());
            if let Some(committed) = commits.by_ref().max() {
                points.push((killed_at, committed));
            }
        }
        assert!(points.iter().any(|(_, committed)| *committed), "{points:?}");
        consumer::enumerate(&points, event, |(killed_at, committed), at, seed| {
            let folder = place();
            attempt(scenario, folder.path(), Event::Kill, *killed_at, 1).unwrap();
            let path = native(folder.path());
            let (outcome, happened) = consumer::attempt(Trial::new(event, at, &[]), seed, move |consumer| {
                consumer.run(PathOperation::Recover { path })
            })?;
            let fails = happened.is_some() && event != Event::Error(EINTR);
            let told = match &outcome {
                Some(Ok(_)) => event == Event::Kill || !folder.path().join(LOGS).exists(),
                Some(Err(error)) => fails && (event == Event::Kill || error.code() == event.code()),
                None => event == Event::Cancel,
            };
            let again = recover(&native(folder.path()));
            let found = seen(folder.path());
            let fits = if *committed { found == *new } else { found == *old || found == *new };
            let is_left = folder.path().join(LOGS).exists();
            let result = if told && fits && !is_left && again.is_ok() {
                Ok(())
            } else {
                Err(format!("{outcome:?}, then {again:?}\n{}", differences(new, &found)))
            };
            Ok((happened, result))
        });
    }
}
