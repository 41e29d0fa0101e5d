//! The consumer of work on the real file system: it waits for what comes next, or gives it up.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::faults::Faults;
use super::run::{Bell, new_loop, watch_engine};
use super::trial::{Event, Trial};
use super::world::{LOOP, Wait, World};
use crate::engine::configuration::Configuration;
use crate::engine::lane::Lane;
use crate::engine::port::Port;
use crate::engine::progress::Progress;
use crate::engine::ticket::Ticket;
use crate::engine::{Engine, Submitted};
use crate::error::Error;
use crate::outcome::Outcome;
use crate::path_operation::PathOperation;

pub(super) struct Consumer {
    world: Rc<World>,
    /// In a forked child, the child's own; and so is the loop.
    engine: RefCell<Arc<Engine>>,
    event_loop: RefCell<(Arc<Bell>, Arc<Port>)>,
}

impl Consumer {
    pub(super) fn trial(&self) -> &Trial {
        self.world.trial.get().unwrap()
    }

    pub(super) fn world(&self) -> Rc<World> {
        Rc::clone(&self.world)
    }

    pub(super) fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine.borrow())
    }

    /// From now on this is a forked child of the process: its threads are gone, and its engine and its loop are not used
    /// any more.
    pub(super) fn fork(&self) {
        self.world.forget_workers();
        self.world.forks.set(self.world.forks.get() + 1);
        let engine = Engine::new(self.world.configuration);
        // The parent's is not this process's to be taken down.
        std::mem::forget(self.engine.replace(Arc::clone(&engine)));
        self.world.current.replace(Some(Arc::clone(&engine)));
        watch_engine(&self.world, &engine);
        std::mem::forget(self.event_loop.replace(new_loop()));
    }

    /// Something that must not be.
    pub(super) fn wrong(&self, why: impl Into<String>) -> ! {
        self.world.die(why)
    }

    /// What happens at a call.
    pub(super) fn event(&self) -> Event {
        self.trial().event
    }

    /// Waits for what comes next; `None` if that is given up.
    pub(super) fn next<T>(&self, mut next: impl FnMut() -> Progress<T>) -> Option<T> {
        while !self.trial().is_cancelled() {
            match next() {
                Progress::Done(done) => return Some(done),
                Progress::Yield => self.world.step(),
                Progress::Pending(ticket) => self.wait(&ticket),
            }
        }
        None
    }

    /// Waits for an operation on a path; `None` if it is given up.
    pub(super) fn run(&self, operation: PathOperation) -> Option<Result<Outcome, Error>> {
        let ticket = Ticket::unique();
        if let Submitted::Ready(outcome) = self.engine().submit(operation, Lane::Unknown, &ticket) {
            return Some(outcome);
        }
        while !self.trial().is_cancelled() {
            if let Some(outcome) = ticket.take() {
                return Some(outcome);
            }
            self.wait(&ticket);
        }
        ticket.cancel();
        None
    }

    fn wait(&self, ticket: &Arc<Ticket>) {
        let (bell, port) = self.event_loop.borrow().clone();
        if ticket.expect(&port) {
            while !bell.0.load(Ordering::Relaxed) && !self.trial().is_cancelled() {
                self.world.wait(Wait::For { key: LOOP, until: None });
            }
            bell.0.store(false, Ordering::Relaxed);
            drop(port.drain());
        }
    }

    /// Waits until one of these is done, for so long at most.
    pub(super) fn wait_for_any(&self, tickets: &[Arc<Ticket>], most: Duration) {
        let (bell, port) = self.event_loop.borrow().clone();
        let mut all_expected = true;
        for ticket in tickets {
            all_expected &= ticket.expect(&port);
        }
        if all_expected && !bell.0.load(Ordering::Relaxed) {
            let until = Some(self.world.after(most.as_nanos() as u64));
            self.world.wait(Wait::For { key: LOOP, until });
        }
        bell.0.store(false, Ordering::Relaxed);
        drop(port.drain());
    }

    /// Waits until what was given up has been cleared away in the background.
    fn rest(&self) {
        self.trial().ended.set(true);
        // What found no thread is done when there is one.
        self.engine().spawn(Lane::Unknown, || ());
        loop {
            let counters = self.engine().counters();
            if counters.panics > 0 {
                self.world.die("a worker has panicked");
            }
            if counters.queued == 0 && counters.in_flight == 0 {
                return;
            }
            self.world.sleep(Duration::from_millis(1));
        }
    }
}

/// Does some work in a world of its own, in which something happens. Gives the result, and the call at which it has
/// happened. Afterwards nothing may be open, and no thread left.
pub(super) fn attempt<R: 'static>(
    trial: Trial,
    seed: u64,
    work: impl FnOnce(&Consumer) -> R + 'static,
) -> Result<(R, Option<&'static str>), String> {
    let verbose = std::env::var_os("SIMULATION_TRIAL").is_some();
    let faults = Faults { descriptors: 200, space: usize::MAX, ..Faults::default() };
    let world = World::new(seed, faults, Configuration { max_workers: 3, usable_cpus: 2 }, verbose);
    let _ = world.trial.set(trial);
    let result = Rc::new(RefCell::new(None));
    let (inside, answer) = (Rc::clone(&world), Rc::clone(&result));
    let failure = world.run(move || {
        let world = inside;
        let engine = Engine::new(world.configuration);
        world.current.replace(Some(Arc::clone(&engine)));
        watch_engine(&world, &engine);
        let (engine, event_loop) = (RefCell::new(engine), RefCell::new(new_loop()));
        let consumer = Consumer { world, engine, event_loop };
        answer.replace(Some(work(&consumer)));
        consumer.rest();
        let Consumer { world, engine, .. } = consumer;
        world.current.take();
        drop(engine);
        world.sleep(Duration::from_secs(30));
        if world.workers() > 0 {
            world.die("threads are left");
        }
    });
    STEPS.set(world.steps.get());
    if let Some(failure) = failure {
        return Err(failure);
    }
    let trial = world.trial.get().unwrap();
    let open = trial.open.borrow().len();
    if open > 0 {
        return Err(format!("{open} descriptors are left open"));
    }
    let result = result.take().ok_or("it has no end")?;
    Ok((result, trial.happened.get()))
}

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// How many steps the last attempt of this thread took.
pub(super) fn steps() -> u64 {
    STEPS.get()
}

/// The call at which something has happened, and what is wrong then.
pub(super) type Tried = (Option<&'static str>, Result<(), String>);

/// Lets something happen at the first call of each scenario, at the second, and so on until nothing happens any more.
/// `run` gives the call at which it has happened, and what is wrong then; or why there was no end.
pub(super) fn enumerate<S: Debug>(
    scenarios: &[S],
    event: Event,
    run: impl Fn(&S, u64, u64) -> Result<Tried, String>,
) {
    let only = super::variable("SIMULATION_SCENARIO");
    let (mut runs, mut failures) = (0, String::new());
    for (index, scenario) in scenarios.iter().enumerate() {
        if only.is_some_and(|only| only != index as u64) {
            continue;
        }
        // In every other world, who runs next seldom changes.
        for seed in [1, 2].into_iter().take(if cfg!(debug_assertions) { 1 } else { 2 }) {
            for at in 1.. {
                runs += 1;
                let (happened, result) = run(scenario, at, seed).unwrap_or_else(|why| (None, Err(why)));
                if let Err(why) = result {
                    failures.push_str(&format!(
                        "{index}: {scenario:?}\n{event:?} at {at} ({happened:?}), seed {seed}: {why}\n"
                    ));
                    break;
                }
                if happened.is_none() {
                    break;
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
    eprintln!("{event:?}: {runs} runs");
}
