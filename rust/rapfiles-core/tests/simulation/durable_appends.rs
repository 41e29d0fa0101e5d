//! Durable appends, with something that happens at each of their system calls in turn: the file has what it had, and then
//! what was appended, or the beginning of that where it failed; and if it did not, the device has it under its name.

use std::fs;
use std::path::Path;

use libc::{EACCES, EINTR, EIO, ENOSPC};

use super::consumer;
use super::folder::Folder;
use super::ground::{age, link, look, native};
use super::trial::{Event, Trial};
use crate::error::{Error, Subject};
use crate::path_operation::PathOperation;
use crate::verbs::write::Data;

#[derive(Debug, Clone, Copy)]
struct Scenario {
    exists: bool,
    /// It is found through a link.
    linked: bool,
    length: usize,
    bom: usize,
}

const SCENARIOS: &[Scenario] = &[
    Scenario { exists: false, linked: false, length: 100, bom: 0 },
    Scenario { exists: true, linked: false, length: 100, bom: 3 },
    Scenario { exists: true, linked: true, length: 300_000, bom: 0 },
    Scenario { exists: false, linked: true, length: 1, bom: 1 },
    Scenario { exists: true, linked: false, length: 0, bom: 0 },
];

const OLD: &[u8] = b"old content";

fn place(scenario: &Scenario) -> Folder {
    let folder = Folder::in_memory();
    let path = |name| folder.path().join(name);
    fs::create_dir(path("folder")).unwrap();
    if scenario.linked {
        link("folder/real", &path("target"));
    }
    if scenario.exists {
        fs::write(path(real(scenario)), OLD).unwrap();
        age(&path(real(scenario)), 0o640);
    }
    folder
}

fn real(scenario: &Scenario) -> &'static str {
    if scenario.linked { "folder/real" } else { "target" }
}

fn enumerate(event: Event) {
    consumer::enumerate(SCENARIOS, event, |scenario, at, seed| {
        let folder = place(scenario);
        let path = native(folder.path().join("target"));
        let added: Vec<u8> = (0..scenario.length).map(|index| index as u8).collect();
        let (data, bom) = (Data::Owned(added.clone()), scenario.bom);
        let ((outcome, pending), happened) =
            consumer::attempt(Trial::new(event, at, &[]), seed, move |consumer| {
                let outcome = consumer.run(PathOperation::AppendDurably { path, data, bom });
                (outcome, consumer.trial().device.pending())
            })?;
        let found = look(folder.path(), false);
        let file = found.get(Path::new(real(scenario)));
        let content = file.map(|file| file.content.clone());
        let old = if scenario.exists { OLD } else { &[] };
        let all = [old, if scenario.exists { &added[bom..] } else { &added }].concat();
        let strangers = found.len() - usize::from(file.is_some()) - usize::from(scenario.linked);
        let is_all = content.as_ref() == Some(&all);
        let is_part = match &content {
            Some(content) => content.starts_with(old) && all.starts_with(content),
            None => !scenario.exists,
        };
        let fails = happened.is_some() && event != Event::Error(EINTR);
        let fits = match &outcome {
            _ if event == Event::Kill && happened.is_some() => is_part,
            None => event == Event::Cancel && is_part,
            Some(Ok(_)) => is_all && pending.is_empty(),
            Some(Err(Error::NotDurable { code, subject: Subject::Path })) => {
                fails && is_all && Some(*code) == event.code()
            }
            Some(Err(error)) => fails && is_part && error.code() == event.code(),
        };
        // The folder and the one in it.
        if fits && strangers == 2 {
            return Ok((happened, Ok(())));
        }
        let length = content.map(|content| content.len());
        let wrong = format!("{outcome:?}: {length:?} of {} bytes, not on the device: {pending:?}", all.len());
        Ok((happened, Err(wrong)))
    });
}

#[test]
fn an_error_at_any_call_is_told_and_adds_no_more_than_a_part() {
    for code in [EIO, EACCES, ENOSPC, EINTR] {
        enumerate(Event::Error(code));
    }
}

#[test]
fn a_cancel_or_the_end_of_the_process_at_any_call_adds_no_more_than_a_part() {
    enumerate(Event::Cancel);
    enumerate(Event::Kill);
}

#[test]
fn with_few_descriptors_or_threads_all_is_added_or_nothing() {
    enumerate(Event::FewDescriptors);
    enumerate(Event::FewThreads);
}
