//! Durable renames and exchanges, with something that happens at each of their system calls in turn: afterwards all names
//! are as before or all as they should be, as the outcome says, and the device has them if it was a success.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use libc::{EACCES, EINTR, EIO};

use super::consumer;
use super::folder::Folder;
use super::ground::{Snapshot, Thing, differences, look, make, native};
use super::trial::{Event, Trial};
use crate::error::{Error, Subject};
use crate::path_operation::PathOperation;

/// What is done with `one` and `folder/other`.
#[derive(Debug, Clone, Copy)]
enum Scenario {
    Rename { one: Thing, other: Thing },
    Exchange { one: Thing, other: Thing },
}

const SCENARIOS: &[Scenario] = &[
    Scenario::Rename { one: Thing::File, other: Thing::Nothing },
    Scenario::Rename { one: Thing::File, other: Thing::File },
    Scenario::Rename { one: Thing::Link, other: Thing::File },
    Scenario::Rename { one: Thing::Tree, other: Thing::Nothing },
    Scenario::Exchange { one: Thing::File, other: Thing::File },
    Scenario::Exchange { one: Thing::Tree, other: Thing::Link },
];

/// Where it happens, and what is there before and, if all goes well, after it.
struct Place {
    folder: Folder,
    before: Snapshot,
    after: Snapshot,
}

impl Place {
    fn new(scenario: Scenario) -> Self {
        let folder = Folder::in_memory();
        let (Scenario::Rename { one, other } | Scenario::Exchange { one, other }) = scenario;
        fs::create_dir(folder.path().join("folder")).unwrap();
        make(one, &folder.path().join("one"), "content");
        make(other, &folder.path().join("folder/other"), "before");
        let before = seen(folder.path());
        let mut after = Snapshot::new();
        for (path, entry) in &before {
            let moved = if let Ok(rest) = path.strip_prefix("one") {
                Path::new("folder/other").join(rest)
            } else if let Ok(rest) = path.strip_prefix("folder/other") {
                if matches!(scenario, Scenario::Rename { .. }) {
                    continue;
                }
                Path::new("one").join(rest)
            } else {
                path.clone()
            };
            // Joining with nothing leaves a separator at the end.
            after.insert(moved.components().collect(), entry.clone());
        }
        Self { folder, before, after }
    }

    fn operation(&self, scenario: Scenario) -> PathOperation {
        let at = |name: &str| native(self.folder.path().join(name));
        let (path, other) = (at("one"), at("folder/other"));
        match scenario {
            Scenario::Rename { .. } => PathOperation::RenameDurably { path, target: other, replace: true },
            Scenario::Exchange { .. } => PathOperation::Exchange { path, other, durable: true },
        }
    }
}

/// What is in a folder, but for the times of the directories that renames change.
fn seen(folder: &Path) -> Snapshot {
    let mut found = look(folder, false);
    found.remove(Path::new(""));
    found.remove(Path::new("folder"));
    found
}

fn enumerate(event: Event) {
    consumer::enumerate(SCENARIOS, event, |scenario, at, seed| {
        let place = Rc::new(Place::new(*scenario));
        let operation = place.operation(*scenario);
        let trial = Trial::new(event, at, &[]);
        let ((outcome, pending), happened) = consumer::attempt(trial, seed, move |consumer| {
            let outcome = consumer.run(operation);
            (outcome, consumer.trial().device.pending())
        })?;
        let found = seen(place.folder.path());
        let (is_before, is_after) = (found == place.before, found == place.after);
        let killed = event == Event::Kill && happened.is_some();
        let may_fail = happened.is_some() && event != Event::Error(EINTR);
        let fits = match &outcome {
            _ if killed => is_before || is_after,
            None => event == Event::Cancel && (is_before || is_after),
            Some(Ok(_)) => is_after && pending.is_empty(),
            Some(Err(Error::NotDurable { code, subject: Subject::Second })) => {
                may_fail && is_after && Some(*code) == event.code()
            }
            Some(Err(Error::Os { code, subject: Subject::Both })) => {
                may_fail && is_before && Some(*code) == event.code()
            }
            Some(Err(error)) => event == Event::FewThreads && is_before && error.code() == event.code(),
        };
        let wrong =
            || format!("{outcome:?}, not on the device: {pending:?}\n{}", differences(&place.after, &found));
        Ok((happened, if fits { Ok(()) } else { Err(wrong()) }))
    });
}

#[test]
fn an_error_at_any_call_leaves_the_old_names_or_the_new_ones() {
    for code in [EIO, EACCES, EINTR] {
        enumerate(Event::Error(code));
    }
}

#[test]
fn a_cancel_or_the_end_of_the_process_at_any_call_leaves_the_old_names_or_the_new_ones() {
    enumerate(Event::Cancel);
    enumerate(Event::Kill);
}

#[test]
fn with_few_descriptors_or_threads_the_old_names_or_the_new_ones_are_there() {
    enumerate(Event::FewDescriptors);
    enumerate(Event::FewThreads);
}
