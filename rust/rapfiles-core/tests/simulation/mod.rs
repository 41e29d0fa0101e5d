//! The simulator: random programs of operations, cancels, faults and forks against the engine, with everything that
//! decides what happens drawn from a seed. See CONTRIBUTING.md for how to replay a failure.
//!
//! It is compiled into the crate's unit tests, where it stands behind the two doors ([`crate::engine::runtime`],
//! `platform::calls`) and can look at everything.

mod atomic_files;
mod atomic_writes;
pub(crate) mod calls;
mod consumer;
mod descriptors;
mod device;
mod durable_appends;
mod durable_names;
mod exchanged_directories;
mod faults;
mod files;
pub(crate) mod folder;
mod ground;
mod locks;
mod operations;
mod oracle;
mod paths;
mod program;
mod readings;
mod run;
pub(crate) mod runtime;
mod sink;
mod source;
mod text;
mod transactions;
mod trees;
mod trial;
mod user;
mod world;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use program::Program;
pub(crate) use world::world;

/// How many programs run by default.
const PROGRAMS: u64 = 200_000;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

fn describe(program: &Program) -> String {
    program.instructions.iter().map(|instruction| format!("  {instruction:?}\n")).collect()
}

fn report(program: &Program, what: &str, why: &str) -> String {
    let short = program.shortened(run::failing);
    let short_why = run::run(&short, false).unwrap_or_default();
    format!("{what} fails: {why}\nshortened: {short_why}\n{}for the corpus:\n{short}\n", describe(&short))
}

/// Runs programs on all processors, until one fails.
fn search(first: u64, count: u64, steps: Option<usize>) -> Result<(), String> {
    let next = AtomicU64::new(first);
    let stop = AtomicBool::new(false);
    let failure = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let program = Program::new(seed, steps);
                    if let Some(why) = run::run(&program, false) {
                        stop.store(true, Ordering::Relaxed);
                        let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                        failure.get_or_insert((seed, program, why));
                        return;
                    }
                }
            });
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((seed, program, why)) => Err(report(&program, &format!("SIMULATION_SEED={seed}"), &why)),
        None => Ok(()),
    }
}

/// `SIMULATION_PROGRAMS` of them, from `SIMULATION_FIRST` on; or the one of `SIMULATION_SEED`, step by step.
#[test]
fn random_programs_keep_every_promise() {
    let steps = variable("SIMULATION_STEPS").map(|steps| steps as usize);
    if let Some(seed) = variable("SIMULATION_SEED") {
        let program = Program::new(seed, steps);
        let failure = run::run(&program, true);
        assert!(
            failure.is_none(),
            "{}",
            report(&program, &format!("SIMULATION_SEED={seed}"), &failure.unwrap_or_default())
        );
        return;
    }
    if let Ok(line) = std::env::var("SIMULATION_PROGRAM") {
        let program: Program = line.parse().unwrap_or_else(|why| panic!("{why}"));
        let failure = run::run(&program, true);
        assert!(failure.is_none(), "{}", failure.unwrap_or_default());
        return;
    }
    let began = Instant::now();
    let count = variable("SIMULATION_PROGRAMS").unwrap_or(if cfg!(debug_assertions) {
        PROGRAMS / 40
    } else {
        PROGRAMS
    });
    let first = variable("SIMULATION_FIRST").unwrap_or(0);
    if let Err(report) = search(first, count, steps) {
        panic!("after {:?}: {report}", began.elapsed());
    }
    eprintln!("{count} programs in {:?}", began.elapsed());
}

/// Programs that have failed once.
#[test]
fn what_has_failed_once_does_not_fail_again() {
    for line in include_str!("corpus.txt").lines() {
        let (program, why) = line.split_once('#').unwrap_or((line, ""));
        if program.trim().is_empty() {
            continue;
        }
        let program: Program = program.parse().unwrap_or_else(|why| panic!("{why}"));
        let failure = run::run(&program, std::env::var_os("SIMULATION_CORPUS").is_some());
        assert!(
            failure.is_none(),
            "{line}\n{}\n({why})\n{}",
            failure.unwrap_or_default(),
            describe(&program)
        );
    }
}

/// One and the same seed gives one and the same run.
#[test]
fn a_seed_determines_everything() {
    for seed in 0..50 {
        let program = Program::new(seed, Some(40));
        let runs: Vec<_> = (0..2).map(|_| (run::run(&program, false), run::steps())).collect();
        assert_eq!(runs[0], runs[1], "seed {seed}");
    }
}

/// The engine of the process that is simulated.
pub(crate) fn engine() -> Option<&'static crate::engine::Engine> {
    let world = world()?;
    let engine = world.current.borrow();
    // SAFETY: the world keeps it, and lets go of it when nobody of the program uses it any more.
    engine.as_ref().map(|engine| unsafe { &*Arc::as_ptr(engine) })
}
