//! Handles, driven without Python.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rapfiles_core::{
    Adoption, Configuration, Engine, Error, Handle, HandleJob, Lane, Outcome, PathOperation, Reply,
    Submitted, Task, Ticket, Turn, TurnRequest, Unread, WriterState, Written,
};

const MEBIBYTE: usize = 1 << 20;

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("rapfiles-handle-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn ticket() -> Arc<Ticket> {
    Ticket::new(0)
}

/// Waits as a loop would that has nothing else to do.
fn end_of(ticket: &Ticket) {
    while !ticket.is_done() {
        std::thread::yield_now();
    }
}

fn outcome(ticket: &Ticket) -> Result<Outcome, Error> {
    end_of(ticket);
    ticket.take().unwrap()
}

/// A handle for a file that is opened for reading and writing, in the engine of this process.
fn open(path: &Path) -> Arc<Handle> {
    open_in(&Engine::current().share(), path)
}

fn open_in(engine: &Arc<Engine>, path: &Path) -> Arc<Handle> {
    use std::os::fd::IntoRawFd;
    let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap();
    adopt(engine, file.into_raw_fd(), true)
}

fn adopt(engine: &Arc<Engine>, descriptor: i32, close: bool) -> Arc<Handle> {
    let engine = Arc::clone(engine);
    let adoption = Adoption { engine: engine.share(), descriptor, close, owned: close, to_end: false };
    let adopted = ticket();
    let adopted = match engine.submit(PathOperation::Adopt(adoption), Lane::Unknown, &adopted) {
        Submitted::Ready(outcome) => outcome,
        Submitted::Pending => outcome(&adopted),
    };
    match adopted {
        Ok(Outcome::Opened(opened)) => Handle::new(*opened, None),
        other => panic!("{other:?}"),
    }
}

fn turn(handle: &Arc<Handle>) -> Turn {
    handle.begin().unwrap().unwrap().keep().unwrap()
}

fn submit(handle: &Handle, job: HandleJob) -> Arc<Ticket> {
    let ticket = ticket();
    handle.submit(job, &ticket, Some(&ticket));
    ticket
}

fn close(handle: &Arc<Handle>) -> Result<Reply, Error> {
    let mut turn = turn(handle);
    let closing = submit(handle, turn.task(Task::Close).unwrap());
    while !closing.is_done() {
        std::thread::yield_now();
    }
    let (_, reply) = turn.resume().unwrap();
    reply.unwrap()
}

#[test]
fn whoever_waits_for_room_has_a_writer() {
    let folder = folder("room");
    let handle = open(&folder.join("file"));
    let mut turn = turn(&handle);
    assert_eq!(turn.guard().unwrap().write(b"x"), Written::Accepted);
    assert!(turn.guard().unwrap().start_writer(false).is_none(), "not worth it");
    assert_eq!(turn.guard().unwrap().write(&vec![b'y'; MEBIBYTE]), Written::Full);
    let waiting = ticket();
    let job = turn.guard().unwrap().await_writer(&waiting, WriterState::RoomFor(MEBIBYTE)).unwrap();
    submit(&handle, job);
    outcome(&waiting).unwrap();
    assert_eq!(turn.guard().unwrap().write(&vec![b'y'; MEBIBYTE]), Written::Accepted);
    drop(turn);
    close(&handle).unwrap();
    assert!(handle.is_closed());
    assert_eq!(fs::metadata(folder.join("file")).unwrap().len(), MEBIBYTE as u64 + 1);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_handle_is_served_by_the_engine_that_opened_it() {
    let folder = folder("engine");
    let path = folder.join("file");
    let engine = Engine::new(Configuration { max_workers: 2, usable_cpus: 2 });
    let handle = open_in(&engine, &path);
    turn(&handle).guard().unwrap().write(b"content");
    close(&handle).unwrap();
    assert_eq!((engine.counters().submitted, engine.counters().completed), (2, 2), "opened and closed");
    // So is one that has not been closed, and a file that was not taken.
    open_in(&engine, &path).close_in_background();
    engine.finish_closing(std::time::Duration::from_secs(30));
    assert_eq!(fs::read(&path).unwrap(), b"content");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn turns_come_in_order() {
    let folder = folder("order");
    let handle = open(&folder.join("file"));
    let first = turn(&handle);
    assert!(handle.begin().unwrap().is_none());
    let mut places = Vec::new();
    for _ in 0..3 {
        match handle.queue(&ticket()) {
            TurnRequest::Queued(place) => places.push(place),
            TurnRequest::Granted(_) => panic!("the turn is taken"),
        }
    }
    // Who gives up its place does not hold up the others.
    drop(places.remove(1));
    assert!(!places[0].ticket().is_done());
    drop(first);
    assert!(places[0].ticket().is_done() && !places[1].ticket().is_done());
    let second = places.remove(0).turn().unwrap();
    drop(second);
    // Nor does who was given the turn, and did not take it.
    assert!(places[0].ticket().is_done());
    drop(places);
    assert!(handle.begin().unwrap().is_some());
    close(&handle).unwrap();
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_a_task_has_read_is_put_back() {
    let folder = folder("undo");
    let content: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
    fs::write(folder.join("file"), &content).unwrap();
    for turns in 0..50 {
        let handle = open(&folder.join("file"));
        let mut turn = turn(&handle);
        let task = turn.task(Task::ReadAhead { at_least: 300_000, once: false }).unwrap();
        assert!(turn.guard().is_err(), "everything is the worker's");
        let reading = submit(&handle, task);
        for _ in 0..turns * 20 {
            std::hint::spin_loop();
        }
        turn.abandon(Some(&reading), Some(Unread::Bytes(b"before".to_vec())));
        // The turn is passed on when the worker is done.
        let waiting = ticket();
        let mut turn = match handle.queue(&waiting) {
            TurnRequest::Granted(turn) => turn,
            TurnRequest::Queued(place) => {
                outcome(&waiting).unwrap();
                place.turn().unwrap()
            }
        };
        let guard = turn.guard().unwrap();
        let (before, read) = guard.available().split_at(6);
        assert!(before == b"before" && content.starts_with(read));
        drop(guard);
        drop(turn);
        close(&handle).unwrap();
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_nobody_closes_is_closed_when_nobody_uses_it() {
    let folder = folder("unattended");
    let handle = open(&folder.join("file"));
    let mut first = turn(&handle);
    handle.close_in_background();
    // The operation that has the turn ends normally.
    assert!(!handle.is_closed());
    first.guard().unwrap().write(b"written");
    drop(first);
    assert!(handle.is_closed());
    // A waiter does not delay that.
    let mut turn = turn(&handle);
    let waiting = ticket();
    if turn.guard().unwrap().await_background_close(&waiting) {
        outcome(&waiting).unwrap();
    }
    assert_eq!(fs::read(folder.join("file")).unwrap(), b"written");
    assert!(!turn.guard().unwrap().is_closing_in_background());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_descriptor_that_was_only_lent_survives_the_handle() {
    use std::os::fd::AsRawFd;
    let file = fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let handle = adopt(&Engine::current().share(), file.as_raw_fd(), false);
    // Not closed, as in a forked child whose parent was using it.
    drop(handle);
    assert!(file.metadata().is_ok());
}

#[test]
fn what_is_done_alone_is_done_only_while_nobody_has_the_turn() {
    let folder = folder("alone");
    let path = folder.join("file");
    fs::write(&path, b"one\ntwo\n").unwrap();
    let handle = open(&path);
    // SAFETY: in this test, there is one thread, which has one guard at a time.
    let alone = || unsafe { handle.begin_alone() }.unwrap();
    let mut turn = turn(&handle);
    assert!(alone().is_none());
    turn.guard().unwrap().put_back(b"one\ntwo\n");
    drop(turn);
    let mut guard = alone().unwrap();
    assert_eq!(guard.find_line(0), Some(4));
    guard.consume(4);
    assert!(guard.keep().is_none());
    assert_eq!(handle.begin().unwrap().unwrap().available(), b"two\n");
    handle.close_in_background();
    assert!(alone().is_none());
    fs::remove_dir_all(folder).unwrap();
}

/// A device that has no space left, which other systems do not have.
#[cfg(target_os = "linux")]
mod without_space {
    use std::os::fd::AsRawFd;

    use super::*;

    fn full() -> Arc<Handle> {
        open(Path::new("/dev/full"))
    }

    fn is_full<T>(result: Result<T, Error>) -> bool {
        matches!(result, Err(Error::Os { code: libc::ENOSPC, .. }))
    }

    /// Has what is buffered written, which fails.
    fn write_in_vain(handle: &Handle, turn: &mut Turn) {
        assert_eq!(turn.guard().unwrap().write(b"content"), Written::Accepted);
        let waiting = ticket();
        let job = turn.guard().unwrap().await_writer(&waiting, WriterState::Written).unwrap();
        submit(handle, job);
        outcome(&waiting).unwrap();
    }

    #[test]
    fn an_error_of_the_background_is_told_once() {
        let handle = full();
        let mut turn = turn(&handle);
        write_in_vain(&handle, &mut turn);
        assert!(is_full(turn.guard().unwrap().take_error().map_or(Ok(()), Err)));
        assert!(turn.guard().unwrap().take_error().is_none());
        // What was not written is tried again, as a synchronous file does it when it is closed.
        drop(turn);
        assert!(is_full(close(&handle)));
        assert!(handle.is_closed() && close(&handle).is_ok());
    }

    #[test]
    fn closing_tells_of_an_error_that_does_not_come_back() {
        let folder = folder("once");
        let handle = full();
        let mut turn = turn(&handle);
        write_in_vain(&handle, &mut turn);
        // There is space again.
        let file = fs::File::create(folder.join("file")).unwrap();
        let descriptor = handle.descriptor().unwrap().unwrap();
        // SAFETY: both are open, and the one that goes is the handle's, which notices nothing.
        assert_eq!(unsafe { libc::dup2(file.as_raw_fd(), descriptor) }, descriptor);
        drop(turn);
        assert!(is_full(close(&handle)));
        assert_eq!(fs::read(folder.join("file")).unwrap(), b"content");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_writer_without_a_thread_hides_no_error_of_writing() {
        let handle = full();
        let mut turn = turn(&handle);
        assert_eq!(turn.guard().unwrap().write(b"content"), Written::Accepted);
        // That is what the engine does if there is no thread.
        drop(turn.guard().unwrap().start_writer(true).unwrap());
        drop(turn);
        assert!(is_full(close(&handle)));
    }
}

#[test]
fn a_writer_without_a_thread_fails_only_those_who_need_it() {
    let folder = folder("refused");
    let handle = open(&folder.join("file"));
    let mut turn = turn(&handle);
    assert_eq!(turn.guard().unwrap().write(b"content"), Written::Accepted);
    let writer = |turn: &mut Turn| turn.guard().unwrap().start_writer(true).unwrap();
    drop(writer(&mut turn));
    assert!(turn.guard().unwrap().take_error().is_none(), "nobody has asked for it");
    let states =
        [(WriterState::Written, true), (WriterState::RoomFor(MEBIBYTE), true), (WriterState::Idle, false)];
    for (until, needed) in states {
        let refused = writer(&mut turn);
        let waiting = ticket();
        assert!(turn.guard().unwrap().await_writer(&waiting, until).is_none(), "there is one");
        drop(refused);
        assert_eq!(matches!(outcome(&waiting), Err(Error::NoThread)), needed, "{until:?}");
        assert!(turn.guard().unwrap().take_error().is_none());
    }
    drop(turn);
    close(&handle).unwrap();
    assert_eq!(fs::read(folder.join("file")).unwrap(), b"content");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn closing_waits_for_whoever_is_at_work() {
    let folder = folder("busy");
    let content = vec![7; 3 * MEBIBYTE];
    fs::write(folder.join("file"), &content).unwrap();
    let handle = open(&folder.join("file"));
    let mut reading = turn(&handle);
    let task = reading.task(Task::ReadAhead { at_least: content.len(), once: false }).unwrap();
    let place = match handle.queue(&ticket()) {
        TurnRequest::Queued(place) => place,
        TurnRequest::Granted(_) => panic!("somebody reads"),
    };
    let read = submit(&handle, task);
    end_of(&read);
    assert!(!place.ticket().is_done() && !handle.is_closed());
    assert_eq!(reading.guard().unwrap().available().len(), content.len());
    drop(reading);
    let mut turn = place.turn().unwrap();
    let closing = submit(&handle, turn.task(Task::Close).unwrap());
    end_of(&closing);
    assert!(turn.resume().unwrap().1.unwrap().is_ok());
    assert!(handle.is_closed());
    fs::remove_dir_all(folder).unwrap();
}
