//! What threads hand work to each other by, in every order in which they can go on: the ticket, the port, the pool and the
//! turn, tried by loom under the memory model of C11. See CONTRIBUTING.md for how to run them.
//!
//! Where somebody is not woken, nobody goes on, and loom tells of a deadlock. Two that use at once what belongs to one of
//! them are a race that it tells of as well, also where only an ordering is too weak.

pub(crate) mod runtime;

use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use loom::thread;

use crate::engine::Engine;
use crate::engine::configuration::Configuration;
use crate::engine::lane::Lane;
use crate::engine::port::{Port, Wake};
use crate::engine::queue::Detached;
use crate::engine::ticket::Ticket;
use crate::error::Error;
use crate::handle::{Handle, TurnRequest};
use crate::outcome::Outcome;
use crate::path_operation::PathOperation;
use crate::platform::NativePath;

/// Tries every order in which at most so many threads are interrupted where they do not wait.
fn model(preemptions: usize, what: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.max_branches = 100_000;
    builder.check(what);
}

/// A loop that sleeps until it is woken, as on an eventfd.
#[derive(Debug, Default)]
struct Loop {
    /// How often it was woken since it last looked, and altogether.
    woken: Mutex<(u32, u32)>,
    call: Call,
}

#[derive(Debug)]
struct Call(Condvar);

impl Default for Call {
    fn default() -> Self {
        Self(Condvar::new())
    }
}

impl Wake for Loop {
    fn wake(&self) {
        let mut woken = self.woken.lock().unwrap();
        woken.0 += 1;
        woken.1 += 1;
        self.call.0.notify_one();
    }

    fn acknowledge(&self) {
        self.woken.lock().unwrap().0 = 0;
    }
}

impl Loop {
    fn new() -> (Arc<Self>, Arc<Port>) {
        let waiting = Arc::new(Self::default());
        let port = Port::new(Arc::clone(&waiting) as Arc<dyn Wake>);
        (waiting, port)
    }

    /// One turn: sleeps until it is woken, and takes what has come.
    fn turn(&self, port: &Port) -> Vec<Arc<Ticket>> {
        let mut woken = self.woken.lock().unwrap();
        while woken.0 == 0 {
            woken = self.call.0.wait(woken).unwrap();
        }
        drop(woken);
        port.drain()
    }

    /// Waits for a ticket as a task does, and takes its outcome.
    fn outcome(&self, port: &Arc<Port>, ticket: &Arc<Ticket>) -> Result<Outcome, Error> {
        if ticket.expect(port) {
            let mut told = 0;
            while told == 0 {
                told += self.turn(port).iter().filter(|other| Arc::ptr_eq(other, ticket)).count();
            }
            assert_eq!(told, 1, "a ticket was told of twice");
        }
        assert!(ticket.is_done());
        let outcome = ticket.take().expect("there is an outcome");
        assert!(ticket.take().is_none(), "there is another one");
        outcome
    }
}

#[test]
fn a_ticket_is_told_of_once_or_found_done() {
    model(4, || {
        let (waiting, port) = Loop::new();
        let ticket = Ticket::new(1);
        let worker = thread::spawn({
            let ticket = Arc::clone(&ticket);
            move || ticket.finish(Ok(Outcome::Done))
        });
        assert!(waiting.outcome(&port, &ticket).is_ok());
        let woke = worker.join().unwrap();
        assert_eq!(waiting.woken.lock().unwrap().1, u32::from(woke));
        assert!(port.drain().is_empty(), "it was told of once more");
    });
}

#[test]
fn a_ticket_that_is_given_up_keeps_nothing() {
    model(4, || {
        let (_, port) = Loop::new();
        let ticket = Ticket::new(1);
        let kept = Arc::new(());
        let worker = thread::spawn({
            let (ticket, kept) =
                (Arc::clone(&ticket), crate::engine::keep_alive::KeepAlive::new(Arc::clone(&kept)));
            move || {
                drop(kept);
                ticket.finish(Ok(Outcome::Done))
            }
        });
        let expected = ticket.expect(&port);
        ticket.cancel();
        let woke = worker.join().unwrap();
        assert!(!woke || expected, "nobody waited, and it was told of");
        assert!(ticket.is_done());
        assert!(port.drain().len() <= 1);
    });
}

#[test]
fn a_ticket_that_goes_to_another_loop_is_told_of_at_most_once() {
    model(3, || {
        let (first, port) = Loop::new();
        let (second, other) = Loop::new();
        let ticket = Ticket::new(1);
        let worker = thread::spawn({
            let ticket = Arc::clone(&ticket);
            move || ticket.finish(Ok(Outcome::Done))
        });
        if ticket.expect(&port) && ticket.expect(&other) {
            assert_eq!(second.turn(&other).len(), 1);
        }
        worker.join().unwrap();
        assert!(ticket.take().is_some());
        assert!(first.woken.lock().unwrap().1 + second.woken.lock().unwrap().1 <= 1);
    });
}

#[test]
fn a_port_loses_nothing_of_a_burst() {
    model(3, || {
        let (waiting, port) = Loop::new();
        let tickets = [Ticket::new(1), Ticket::new(2)];
        assert!(tickets.iter().all(|ticket| ticket.expect(&port)));
        let workers = tickets.clone().map(|ticket| thread::spawn(move || ticket.finish(Ok(Outcome::Done))));
        let mut told = Vec::new();
        let mut turns = 0;
        while told.len() < 2 {
            told.extend(waiting.turn(&port).iter().map(|ticket| ticket.token()));
            turns += 1;
        }
        told.sort_unstable();
        assert_eq!(told, [1, 2]);
        let woke = workers.map(|worker| u32::from(worker.join().unwrap()));
        assert!(waiting.woken.lock().unwrap().1 == woke.iter().sum::<u32>());
        assert!(woke.iter().sum::<u32>() <= turns + 1);
    });
}

fn engine(max_workers: usize, usable_cpus: usize) -> Arc<Engine> {
    Engine::new(Configuration { max_workers, usable_cpus })
}

fn job() -> PathOperation {
    PathOperation::Home { user: None }
}

#[test]
fn a_job_is_taken_up_by_a_worker_that_is_about_to_sleep() {
    model(2, || {
        let engine = engine(1, 1);
        let (waiting, port) = Loop::new();
        for token in 1..=2 {
            let ticket = Ticket::new(token);
            engine.submit(job(), Lane::Unknown, &ticket);
            assert!(waiting.outcome(&port, &ticket).is_ok());
        }
        assert_eq!(engine.counters().panics, 0);
        engine.pool().end();
    });
}

#[test]
fn a_job_is_taken_up_by_a_worker_that_lingers() {
    model(2, || {
        let engine = engine(2, 2);
        let (waiting, port) = Loop::new();
        for token in 1..=2 {
            let ticket = Ticket::new(token);
            if let crate::engine::Submitted::Pending = engine.submit(job(), Lane::Unknown, &ticket) {
                assert!(waiting.outcome(&port, &ticket).is_ok());
            }
        }
        assert_eq!(engine.counters().panics, 0);
        engine.pool().end();
    });
}

#[test]
fn two_loops_hand_jobs_over_at_the_same_time() {
    model(2, || {
        let engine = engine(2, 1);
        let other = thread::spawn({
            let engine = Arc::clone(&engine);
            move || {
                let (waiting, port) = Loop::new();
                let ticket = Ticket::new(1);
                engine.submit(job(), Lane::Unknown, &ticket);
                assert!(waiting.outcome(&port, &ticket).is_ok());
            }
        });
        let (waiting, port) = Loop::new();
        let ticket = Ticket::new(2);
        engine.submit(job(), Lane::Unknown, &ticket);
        assert!(waiting.outcome(&port, &ticket).is_ok());
        other.join().unwrap();
        assert_eq!(engine.counters().panics, 0);
        engine.pool().end();
    });
}

#[test]
fn a_job_that_is_given_up_is_dropped_or_done() {
    model(2, || {
        let engine = engine(1, 1);
        let (waiting, port) = Loop::new();
        let given_up = Ticket::new(1);
        engine.submit(job(), Lane::Unknown, &given_up);
        given_up.cancel();
        let ticket = Ticket::new(2);
        engine.submit(job(), Lane::Unknown, &ticket);
        assert!(waiting.outcome(&port, &ticket).is_ok());
        let counters = engine.counters();
        assert_eq!(counters.completed + counters.cancelled, 2);
        engine.pool().end();
    });
}

/// An open file, and the engine that it was opened in.
fn handle() -> (Arc<Engine>, Arc<Handle>) {
    let engine = engine(1, 1);
    let path = NativePath::from_vec(b"/dev/null".to_vec()).unwrap();
    let opened = crate::handle::open(&engine, &path, libc::O_RDWR, 0).unwrap();
    (engine, Handle::new(opened, None))
}

/// The file is closed, so that nothing is under way when the model is over.
fn close(engine: &Arc<Engine>, handle: Arc<Handle>) {
    let guard = handle.begin().unwrap().expect("nobody has the turn, and nobody waits for it");
    drop(guard);
    handle.close_in_background();
    engine.finish_closing(std::time::Duration::from_secs(1));
    drop(handle);
    engine.pool().end();
}

/// Has the turn once, and uses what belongs to whoever has it.
fn take_turn(handle: &Arc<Handle>) {
    if let Some(guard) = handle.begin().unwrap() {
        assert!(guard.available().is_empty());
        return;
    }
    let (waiting, port) = Loop::new();
    let ticket = Ticket::new(1);
    let mut turn = match handle.queue(&ticket) {
        TurnRequest::Granted(turn) => turn,
        TurnRequest::Queued(place) => {
            assert!(waiting.outcome(&port, &ticket).is_ok());
            place.turn().expect("it has come")
        }
    };
    assert!(turn.guard().unwrap().available().is_empty());
}

#[test]
fn a_turn_comes_to_everybody_and_to_one_at_a_time() {
    model(3, || {
        let (engine, handle) = handle();
        let other = thread::spawn({
            let handle = Arc::clone(&handle);
            move || take_turn(&handle)
        });
        take_turn(&handle);
        other.join().unwrap();
        close(&engine, handle);
    });
}

#[test]
fn a_turn_goes_past_a_place_that_is_given_up() {
    model(2, || {
        let (engine, handle) = handle();
        let other = thread::spawn({
            let handle = Arc::clone(&handle);
            move || {
                let ticket = Ticket::new(1);
                drop(handle.queue(&ticket));
            }
        });
        take_turn(&handle);
        other.join().unwrap();
        close(&engine, handle);
    });
}

#[test]
fn a_turn_of_three_is_not_lost() {
    model(2, || {
        let (engine, handle) = handle();
        let others = [true, false].map(|stays| {
            let handle = Arc::clone(&handle);
            thread::spawn(move || {
                if stays {
                    take_turn(&handle);
                } else {
                    drop(handle.queue(&Ticket::new(1)));
                }
            })
        });
        take_turn(&handle);
        for other in others {
            other.join().unwrap();
        }
        close(&engine, handle);
    });
}

#[test]
fn what_nobody_closes_is_closed_after_the_last_turn() {
    model(3, || {
        let (engine, handle) = handle();
        let other = thread::spawn({
            let handle = Arc::clone(&handle);
            move || handle.close_in_background()
        });
        take_turn(&handle);
        other.join().unwrap();
        engine.finish_closing(std::time::Duration::from_secs(1));
        assert!(handle.is_closed());
        drop(handle);
        engine.pool().end();
    });
}

#[test]
fn work_that_nobody_waits_for_is_done() {
    model(2, || {
        let engine = engine(1, 1);
        let done = Arc::new((Mutex::new(false), Condvar::new()));
        let work = Arc::clone(&done);
        engine.pool().spawn(
            Lane::Unknown,
            Detached::new(move || {
                *work.0.lock().unwrap() = true;
                work.1.notify_one();
            }),
        );
        let mut is_done = done.0.lock().unwrap();
        while !*is_done {
            is_done = done.1.wait(is_done).unwrap();
        }
        drop(is_done);
        engine.pool().end();
    });
}
