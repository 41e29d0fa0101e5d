//! The hand-off under stress: no operation is lost and none runs twice, whichever thread submits it.
//!
//! What takes long is a FIFO that nobody opens, so this is for POSIX.

#![cfg(unix)]

use std::collections::HashSet;
use std::ffi::OsString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rapfiles_core::{
    Configuration, Engine, Error, Lane, NativePath, Outcome, PathOperation, Port, Submitted, Ticket, Wake,
};

/// A loop that sleeps until a worker wakes it.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    sound: Condvar,
    times: AtomicU64,
}

impl Bell {
    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.sound.wait(rung).unwrap();
        }
    }
}

impl Wake for Bell {
    fn wake(&self) {
        self.times.fetch_add(1, Ordering::Relaxed);
        *self.rung.lock().unwrap() = true;
        self.sound.notify_one();
    }

    fn acknowledge(&self) {
        *self.rung.lock().unwrap() = false;
    }
}

fn engine(max_workers: usize) -> Arc<Engine> {
    Engine::new(Configuration { max_workers, usable_cpus: 2 })
}

/// An operation that needs no file system, whose outcome tells whose it is.
fn operation(number: u64) -> PathOperation {
    PathOperation::Resolve {
        path: native(&format!("/{number}/..")),
        strictness: rapfiles_core::Strictness::Lenient,
        rules: 13,
    }
}

fn native(path: &str) -> NativePath {
    NativePath::from_vec(path.as_bytes().to_vec()).unwrap()
}

fn is_root(outcome: &Result<Outcome, Error>) -> bool {
    matches!(outcome, Ok(Outcome::Path(path)) if path == &OsString::from("/"))
}

/// Submits `count` operations with at most `window` pending, and returns how often the loop was woken.
fn submit_and_collect(engine: &Engine, count: u64, window: usize) -> u64 {
    let bell = Arc::new(Bell::default());
    let port = Port::new(Arc::clone(&bell) as Arc<dyn Wake>);
    let mut pending: HashSet<u64> = HashSet::new();
    let mut next = 0;
    let mut answered = 0;
    while answered < count {
        while next < count && pending.len() < window {
            let ticket = Ticket::new(next);
            match engine.submit(operation(next), Lane::Mount(next % 3), &ticket) {
                Submitted::Ready(outcome) => {
                    assert!(is_root(&outcome), "{outcome:?}");
                    answered += 1;
                }
                Submitted::Pending if ticket.expect(&port) => assert!(pending.insert(next)),
                Submitted::Pending => {
                    assert!(is_root(&ticket.take().unwrap()));
                    answered += 1;
                }
            }
            next += 1;
        }
        if pending.is_empty() {
            continue;
        }
        bell.wait();
        for ticket in port.drain() {
            assert!(pending.remove(&ticket.token()), "announced twice");
            assert!(is_root(&ticket.take().expect("an outcome, once")));
            assert!(ticket.take().is_none());
            answered += 1;
        }
    }
    assert!(port.drain().is_empty());
    bell.times.load(Ordering::Relaxed)
}

#[test]
fn millions_of_operations_from_several_submitters() {
    const SUBMITTERS: u64 = 4;
    const EACH: u64 = 300_000;
    let engine = engine(8);
    let submitters: Vec<_> = (0..SUBMITTERS)
        .map(|submitter| {
            let engine = Arc::clone(&engine);
            // From one at a time to hundreds at once.
            let window = [1, 7, 64, 500][submitter as usize];
            thread::spawn(move || submit_and_collect(&engine, EACH, window))
        })
        .collect();
    for submitter in submitters {
        submitter.join().unwrap();
    }
    let counters = engine.counters();
    assert_eq!(counters.submitted, SUBMITTERS * EACH);
    assert_eq!(counters.queued, 0);
    assert_eq!(counters.cancelled + counters.panics, 0);
}

#[test]
fn a_burst_wakes_the_loop_less_often_than_it_has_operations() {
    let engine = engine(8);
    let count = 20_000;
    let wakes = submit_and_collect(&engine, count, 2_000);
    assert!(wakes < count, "{wakes}");
}

#[test]
fn one_worker_does_everything_in_the_end() {
    submit_and_collect(&engine(1), 50_000, 100);
}

#[test]
fn what_is_cancelled_before_it_starts_is_dropped() {
    let engine = engine(1);
    let (_directory, fifo) = fifo();
    let port = Port::new(Arc::new(Bell::default()));
    let stuck = Ticket::new(0);
    submit(&engine, PathOperation::Read { path: fifo.clone() }, Lane::Special, &stuck);
    wait_until(|| engine.counters().in_flight == 1);
    let tickets: Vec<_> = (1..100).map(Ticket::new).collect();
    for ticket in &tickets {
        submit(&engine, operation(ticket.token()), Lane::Special, ticket);
        ticket.cancel();
    }
    release(&fifo);
    wait_until(|| engine.counters().cancelled == 99);
    assert!(tickets.iter().all(|ticket| !ticket.is_done()));
    assert!(port.drain().is_empty());
}

#[test]
fn a_full_lane_leaves_workers_to_the_others() {
    let engine = engine(4);
    let (_directory, fifo) = fifo();
    let stuck: Vec<_> = (0..64).map(Ticket::new).collect();
    for ticket in &stuck {
        submit(&engine, PathOperation::Read { path: fifo.clone() }, Lane::Special, ticket);
    }
    wait_until(|| engine.counters().in_flight == 3);
    for token in 1_000..1_100 {
        let ticket = Ticket::new(token);
        submit(&engine, operation(token), Lane::Mount(1), &ticket);
        wait_until(|| ticket.is_done());
    }
    assert!(stuck.iter().all(|ticket| !ticket.is_done()));
    for ticket in &stuck {
        ticket.cancel();
    }
    release(&fifo);
    wait_until(|| engine.counters().in_flight == 0 && engine.counters().queued == 0);
}

#[test]
fn a_stuck_lane_does_not_collect_what_nobody_wants() {
    let engine = engine(1);
    let (_directory, fifo) = fifo();
    let stuck = Ticket::new(0);
    submit(&engine, PathOperation::Read { path: fifo.clone() }, Lane::Mount(1), &stuck);
    wait_until(|| engine.counters().in_flight == 1);
    for token in 1..10_000 {
        let ticket = Ticket::new(token);
        submit(&engine, operation(token), Lane::Mount(1), &ticket);
        ticket.cancel();
    }
    assert!(engine.counters().queued < 1_000);
    release(&fifo);
    wait_until(|| engine.counters().cancelled == 9_999);
}

#[test]
fn readers_that_wait_do_not_lock_their_writers_out() {
    let engine = engine(4);
    let (_directory, fifo) = fifo();
    let readers: Vec<_> = (0..20).map(Ticket::new).collect();
    for reader in &readers {
        submit(&engine, PathOperation::Read { path: fifo.clone() }, Lane::Special, reader);
    }
    let writer = Ticket::new(99);
    let data = rapfiles_core::Data::Owned(b"content".to_vec());
    let write = PathOperation::Write { path: fifo.clone(), data, append: true, bom: 0 };
    submit(&engine, write, Lane::Special, &writer);
    wait_until(|| writer.is_done() && readers.iter().any(|reader| reader.is_done()));
    for reader in &readers {
        reader.cancel();
    }
    wait_until(|| {
        release_if_waited_for(&fifo);
        engine.counters().in_flight == 0 && engine.counters().queued == 0
    });
}

#[test]
fn a_writer_comes_as_soon_as_a_reader_counts_as_stuck() {
    let engine = engine(16);
    let (_directory, fifo) = fifo();
    let readers: Vec<_> = (0..12).map(Ticket::new).collect();
    for reader in &readers {
        submit(&engine, PathOperation::Read { path: fifo.clone() }, Lane::Special, reader);
    }
    wait_until(|| engine.counters().in_flight == 12);
    // Each worker that had nothing to do has found out that there is nothing.
    for token in 100..110 {
        let ticket = Ticket::new(token);
        submit(&engine, operation(token), Lane::Mount(1), &ticket);
        wait_until(|| ticket.is_done());
    }
    let writer = Ticket::new(99);
    let data = rapfiles_core::Data::Owned(b"content".to_vec());
    let write = PathOperation::Write { path: fifo.clone(), data, append: true, bom: 0 };
    submit(&engine, write, Lane::Special, &writer);
    // Far below the time for which an idle worker sleeps.
    assert!(happens_within(Duration::from_secs(4), || writer.is_done()));
    for reader in &readers {
        reader.cancel();
    }
    wait_until(|| {
        release_if_waited_for(&fifo);
        engine.counters().in_flight == 0 && engine.counters().queued == 0
    });
}

#[test]
fn stuck_workers_are_stood_in_for() {
    let engine = engine(1);
    let (_directory, fifo) = fifo();
    let stuck = Ticket::new(0);
    submit(&engine, PathOperation::Read { path: fifo.clone() }, Lane::Special, &stuck);
    let other = Ticket::new(1);
    submit(&engine, operation(1), Lane::Mount(1), &other);
    wait_until(|| other.is_done());
    assert!(!stuck.is_done());
    release(&fifo);
    wait_until(|| stuck.is_done());
}

#[test]
fn a_panic_is_an_error_of_its_own_operation() {
    let engine = engine(2);
    let ticket = Ticket::new(0);
    submit(&engine, PathOperation::Panic, Lane::Unknown, &ticket);
    wait_until(|| ticket.is_done());
    assert!(matches!(ticket.take(), Some(Err(Error::Panic(_)))));
    submit_and_collect(&engine, 1_000, 10);
    assert_eq!(engine.counters().panics, 1);
}

#[test]
fn idle_workers_leave() {
    let engine = engine(16);
    submit_and_collect(&engine, 1_000, 100);
    assert!(engine.counters().workers > 0);
    wait_until(|| engine.counters().workers == 0);
    submit_and_collect(&engine, 1_000, 100);
}

#[test]
fn an_engine_may_go_while_its_workers_run() {
    for round in 0..50 {
        let engine = engine(4);
        for token in 0..100 {
            let ticket = Ticket::new(token);
            // Whether it is done at once or never does not matter here.
            drop(engine.submit(operation(round), Lane::Unknown, &ticket));
        }
        drop(engine);
    }
}

fn submit(engine: &Engine, operation: PathOperation, lane: Lane, ticket: &Arc<Ticket>) {
    // An answer that came at once is left in the ticket by nobody; none of these tests can get one, because each has
    // other operations under way or a worker that has yet to start.
    if let Submitted::Ready(outcome) = engine.submit(operation, lane, ticket) {
        panic!("{outcome:?} came at once");
    }
}

fn fifo() -> (tempfile::TempDir, NativePath) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    let native = native(path.to_str().unwrap());
    let path = std::ffi::CString::new(native.to_bytes()).unwrap();
    // SAFETY: the path is a C string.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    (directory, native)
}

/// Opens and closes the other end, which lets everybody go who waits at this one.
fn release(fifo: &NativePath) {
    let path = std::path::PathBuf::from(fifo.to_os_string());
    drop(std::fs::OpenOptions::new().write(true).open(path).unwrap());
}

/// Lets everybody go who waits at this end, if there is anybody.
fn release_if_waited_for(fifo: &NativePath) {
    use std::os::unix::fs::OpenOptionsExt;
    let path = std::path::PathBuf::from(fifo.to_os_string());
    drop(std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path));
}

fn wait_until(condition: impl Fn() -> bool) {
    assert!(happens_within(Duration::from_secs(30), condition), "it did not happen within 30 s");
}

fn happens_within(time: Duration, condition: impl Fn() -> bool) -> bool {
    let until = Instant::now() + time;
    while !condition() {
        if Instant::now() >= until {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}
