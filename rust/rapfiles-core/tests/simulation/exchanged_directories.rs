//! Transactions that exchange their directory, with something that happens at each of their system calls in turn: whoever
//! looks finds all as before or all as it should be, as the outcome says, and recovery leaves nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libc::{EIO, ENOSPC};

use super::consumer::{self, Consumer};
use super::folder::Folder;
use super::ground::native;
use super::trial::{Event, Trial};
use crate::error::Error;
use crate::outcome::Outcome;
use crate::path_operation::PathOperation;
use crate::platform::NativePath;
use crate::verbs::transaction::{Recovery, Staging, TransactionOptions, recover};
use crate::verbs::write::Data;

/// The content of each file.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Where it happens.
struct Place {
    above: Folder,
    here: PathBuf,
}

impl Place {
    fn new() -> Self {
        let above = Folder::in_memory();
        let here = above.path().join("here");
        fs::create_dir_all(here.join("folder/inner")).unwrap();
        for name in ["changed", "extended", "folder/moved", "folder/inner/untouched"] {
            fs::write(here.join(name), name).unwrap();
        }
        Self { above, here }
    }

    fn path(&self) -> NativePath {
        native(&self.here)
    }

    fn files(&self) -> Files {
        fn add(found: &mut Files, top: &Path, here: &Path) {
            for entry in fs::read_dir(here).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(top).unwrap();
                if name == Path::new(".rapfiles") {
                } else if path.is_dir() {
                    add(found, top, &path);
                } else {
                    found.insert(name.to_owned(), fs::read(&path).unwrap());
                }
            }
        }
        let mut found = Files::new();
        add(&mut found, &self.here, &self.here);
        found
    }

    fn is_tidy(&self) -> bool {
        fs::read_dir(self.above.path()).unwrap().count() == 1 && !self.here.join(".rapfiles").exists()
    }

    fn recover(&self) -> Recovery {
        recover(&self.path()).unwrap()
    }
}

/// Does all of a transaction; `None` if it is given up. Ends it in the background then, as Python does.
fn transact(consumer: &Consumer, path: NativePath) -> Option<Result<(), Error>> {
    let options = TransactionOptions { durable: true, swap: true };
    let transaction = match consumer.run(PathOperation::BeginTransaction { path, options })? {
        Ok(Outcome::Transaction(transaction)) => transaction,
        Ok(other) => panic!("{other:?}"),
        Err(error) => return Some(Err(error)),
    };
    let data = || Data::Owned(b" new".to_vec());
    let stagings = [
        Staging::Write { name: native("changed"), data: data() },
        Staging::Append { name: native("extended"), data: data(), bom: 0 },
        Staging::Rename { name: native("folder/moved"), target: native("moved") },
        Staging::Append { name: native("moved"), data: data(), bom: 0 },
    ];
    let mut done = Some(Ok(Outcome::Done));
    for staging in stagings {
        let operation = PathOperation::Stage { transaction: transaction.clone(), staging };
        done = consumer.run(operation);
        if !matches!(done, Some(Ok(_))) {
            break;
        }
    }
    let staged = matches!(done, Some(Ok(_)));
    if staged {
        done = consumer.run(PathOperation::CommitTransaction { transaction: transaction.clone() });
    }
    match done {
        None if staged => transaction.abandon(),
        Some(Err(_)) if !staged => {
            consumer.run(PathOperation::UndoTransaction { transaction });
        }
        // What is being staged holds a lock, for which no thread of a world may wait: it is dropped at the end of that.
        None | Some(_) => {}
    }
    Some(done?.map(drop))
}

fn new() -> Files {
    let file = |name: &str, content: &str| (PathBuf::from(name), content.as_bytes().to_vec());
    [
        file("changed", " new"),
        file("extended", "extended new"),
        file("moved", "folder/moved new"),
        file("folder/inner/untouched", "folder/inner/untouched"),
    ]
    .into()
}

fn enumerate(event: Event) {
    let after = new();
    consumer::enumerate(&["durable"], event, |_, at, seed| {
        let place = Rc::new(Place::new());
        let before = place.files();
        let path = place.path();
        let trial = Trial::new(event, at, &[]);
        let (outcome, happened) = consumer::attempt(trial, seed, move |consumer| transact(consumer, path))?;
        let found = place.files();
        let tidy = place.is_tidy();
        let (is_before, is_after) = (found == before, found == after);
        // What comes after the call works again.
        let once = matches!(event, Event::Error(_) | Event::Cancel);
        let killed = event == Event::Kill && happened.is_some();
        let fits = match &outcome {
            _ if killed => is_before || is_after,
            None => event == Event::Cancel && (is_before || is_after) && tidy,
            Some(Ok(())) => is_after,
            Some(Err(Error::Unfinished { .. })) => happened.is_some() && is_after,
            Some(Err(_)) => happened.is_some() && is_before && (tidy || !once),
        };
        let recovery = place.recover();
        let clean = place.files() == found && place.is_tidy() && recovery.skipped.is_empty();
        let again = place.recover();
        let over = again.finished.is_empty() && again.undone.is_empty();
        let wrong = || format!("{outcome:?}, tidy {tidy}, {recovery:?}, {again:?}\n{found:?}");
        Ok((happened, if fits && clean && over { Ok(()) } else { Err(wrong()) }))
    });
}

#[test]
fn an_error_at_any_call_leaves_the_old_directory_or_the_new_one() {
    for code in [EIO, ENOSPC] {
        enumerate(Event::Error(code));
    }
}

#[test]
fn a_cancel_or_the_end_of_the_process_at_any_call_leaves_the_old_directory_or_the_new_one() {
    enumerate(Event::Cancel);
    enumerate(Event::Kill);
}

#[test]
fn with_few_descriptors_or_threads_the_old_directory_or_the_new_one_is_there() {
    enumerate(Event::FewDescriptors);
    enumerate(Event::FewThreads);
}
