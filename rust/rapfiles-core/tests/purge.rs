//! Jobs that nobody wants any more leave the queue under its lock, and are dropped under none.

#![cfg(unix)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rapfiles_core::{
    Configuration, Engine, Handle, Lane, NativePath, Outcome, PathOperation, Port, PositionalTask, Submitted,
    Ticket, Wake,
};

/// A loop that asks the engine something as soon as it is woken, by whomever.
struct Curious(Arc<Engine>, AtomicU64);

impl Wake for Curious {
    fn wake(&self) {
        self.1.fetch_add(self.0.counters().queued + 1, Ordering::Relaxed);
    }
}

fn native(path: &std::path::Path) -> NativePath {
    NativePath::from_vec(path.to_str().unwrap().as_bytes().to_vec()).unwrap()
}

#[test]
fn who_is_woken_by_the_end_of_an_unwanted_job_may_use_the_engine() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    let name = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
    // SAFETY: the path is a C string.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let file = directory.path().join("file");
    std::fs::write(&file, b"content").unwrap();
    let engine = Engine::new(Configuration { max_workers: 1, usable_cpus: 2 });

    let [handle, other] = [0, 1].map(|_| open(&engine, &file));

    let stuck = Ticket::new(1);
    engine.submit(PathOperation::Read { path: native(&fifo) }, Lane::Special, &stuck);
    wait_until(|| engine.counters().in_flight == 1);

    let (done, is_done) = mpsc::channel();
    let submitter = Arc::clone(&engine);
    thread::spawn(move || {
        let engine = submitter;
        let port = Port::new(Arc::new(Curious(Arc::clone(&engine), AtomicU64::new(0))));
        let waiting = Ticket::new(2);
        let unwanted = |handle: &Arc<Handle>| {
            let own = Ticket::new(3);
            let job = handle.positional(PositionalTask::Stat).unwrap().unwrap();
            own.cancel();
            (job, own)
        };
        let (job, own) = unwanted(&handle);
        assert!(handle.begin().unwrap().unwrap().await_positional(&waiting));
        assert!(waiting.expect(&port));
        engine.submit_for_handle(job, &own, None);
        // Until it is thrown out to make room.
        for _ in 0..200 {
            let (job, own) = unwanted(&other);
            engine.submit_for_handle(job, &own, None);
        }
        assert!(waiting.is_done());
        done.send(()).unwrap();
    });
    is_done.recv_timeout(Duration::from_secs(30)).expect("no deadlock");
    drop(std::fs::OpenOptions::new().write(true).open(&fifo).unwrap());
    wait_until(|| engine.counters().queued == 0 && engine.counters().in_flight == 0);
}

fn open(engine: &Engine, file: &std::path::Path) -> Arc<Handle> {
    let ticket = Ticket::new(0);
    let open = PathOperation::Open { path: native(file), flags: libc::O_RDONLY, permissions: 0 };
    let outcome = match engine.submit(open, Lane::Unknown, &ticket) {
        Submitted::Ready(outcome) => outcome,
        Submitted::Pending => {
            wait_until(|| ticket.is_done());
            ticket.take().unwrap()
        }
    };
    let Ok(Outcome::Opened(opened)) = outcome else { panic!("{outcome:?}") };
    Handle::new(*opened, None)
}

fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..30_000 {
        if condition() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("it did not happen within 30 s");
}
