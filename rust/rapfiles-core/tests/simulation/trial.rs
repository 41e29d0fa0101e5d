//! Work on a real file system, with something that happens at one of its calls: the threads are a world's, but the calls
//! reach the system, all but the one that fails, or those that come after the end of the process.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use libc::{c_int, c_long};

use super::calls::give;
use super::device::{self, Device};
use super::world::{LOOP, Wait, World, world};
use crate::platform::calls::system;

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// It fails.
    Error(c_int),
    /// It fails, and so do all later ones of the same name.
    Lasting(c_int),
    /// The consumer gives up what it waits for.
    Cancel,
    /// The process is killed: neither it nor what comes after it is done.
    Kill,
    /// There is one descriptor less than it would have: no more than that are open at once, the first one being 1.
    FewDescriptors,
    /// This start of a thread is refused, and all later ones.
    FewThreads,
}

impl Event {
    /// The error that comes of it.
    pub(super) fn code(self) -> Option<c_int> {
        match self {
            Self::Error(code) | Self::Lasting(code) => Some(code),
            Self::FewDescriptors => Some(libc::EMFILE),
            Self::FewThreads => Some(libc::EAGAIN),
            Self::Cancel | Self::Kill => None,
        }
    }
}

/// What happens, and what has happened so far.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) event: Event,
    /// At this call, the first one being 1.
    pub(super) at: u64,
    /// Calls that never work, each with its error: the file system is one that has them not.
    pub(super) lacks: &'static [(&'static str, c_int)],
    pub(super) calls: Cell<u64>,
    /// Threads that were to be started.
    threads: Cell<u64>,
    /// The work has ended: there are threads again.
    pub(super) ended: Cell<bool>,
    /// The call at which it has happened.
    pub(super) happened: Cell<Option<&'static str>>,
    pub(super) open: RefCell<BTreeSet<c_int>>,
    /// One that is about to be closed; afterwards its number may be another file's.
    pub(super) closing: Cell<Option<c_int>>,
    /// Those that somebody is about to close: a child that is forked now has them.
    pub(super) leaving: RefCell<BTreeSet<c_int>>,
    /// In a forked child: those that it has of its parent, whose locks it must leave alone.
    pub(super) inherited: RefCell<BTreeSet<c_int>>,
    pub(super) device: Device,
}

impl Trial {
    pub(super) fn new(event: Event, at: u64, lacks: &'static [(&'static str, c_int)]) -> Self {
        Self {
            event,
            at,
            lacks,
            calls: Cell::new(0),
            threads: Cell::new(0),
            ended: Cell::new(false),
            happened: Cell::new(None),
            open: RefCell::default(),
            closing: Cell::new(None),
            leaving: RefCell::default(),
            inherited: RefCell::default(),
            device: Device::default(),
        }
    }

    /// Whether there is no thread to be had.
    pub(super) fn refuses_thread(&self) -> bool {
        let number = self.threads.get() + 1;
        self.threads.set(number);
        let refuses = self.event == Event::FewThreads && number >= self.at && !self.ended.get();
        if refuses {
            self.happened.set(Some("spawn"));
        }
        refuses
    }

    /// Whether there is no descriptor to be had.
    fn refuses_descriptor(&self) -> bool {
        let refuses = self.event == Event::FewDescriptors && self.open.borrow().len() as u64 >= self.at;
        if refuses {
            self.happened.set(Some("open"));
        }
        refuses
    }

    /// Whether the consumer is to give up now.
    pub(super) fn is_cancelled(&self) -> bool {
        self.event == Event::Cancel && self.happened.get().is_some()
    }

    fn is_killed(&self) -> bool {
        self.event == Event::Kill && self.calls.get() >= self.at
    }

    /// Counts a call; whether it is that one, or comes after the end of the process.
    fn is_due(&self, name: &'static str) -> bool {
        let number = self.calls.get() + 1;
        self.calls.set(number);
        let happens = !matches!(self.event, Event::FewDescriptors | Event::FewThreads);
        if happens && number == self.at {
            self.happened.set(Some(name));
        }
        let lasts = match self.event {
            Event::Kill => true,
            Event::Lasting(_) => self.happened.get() == Some(name),
            _ => false,
        };
        happens && (number == self.at || (lasts && number > self.at))
    }
}

/// A call, or what happens instead.
pub(super) fn call<T: From<i8>>(name: &'static str, work: impl FnOnce() -> T) -> T {
    let Some(world) = world() else { return work() };
    let Some(trial) = world.trial.get() else { return work() };
    if world.has_failed() {
        return work();
    }
    if !world.is_unlocked() {
        world.die(format!("{name} is called under a lock"));
    }
    if world.is_loop() {
        world.die(format!("{name} is called on the loop"));
    }
    // Sometimes it takes so long that a step is over.
    if world.chance(24) {
        world.wait(Wait::Until(world.after(6_000_000)));
    } else {
        world.step();
    }
    happen(&world, trial, name, work)
}

/// A call that the loop may make too, because it does not wait there.
pub(super) fn call_anywhere<T: From<i8>>(name: &'static str, work: impl FnOnce() -> T) -> T {
    let Some(world) = world() else { return work() };
    let Some(trial) = world.trial.get() else { return work() };
    if !world.is_loop() || world.has_failed() {
        return call(name, work);
    }
    if !world.is_unlocked() {
        world.die(format!("{name} is called under a lock"));
    }
    happen(&world, trial, name, work)
}

fn happen<T: From<i8>>(world: &World, trial: &Trial, name: &'static str, work: impl FnOnce() -> T) -> T {
    world.note(|| format!("{name}, call {}", trial.calls.get() + 1));
    if let Some((_, code)) = trial.lacks.iter().find(|(call, _)| *call == name) {
        return give(Err(*code));
    }
    if trial.is_due(name) {
        match trial.event {
            Event::Error(code) | Event::Lasting(code) => return give(Err(code)),
            Event::Kill => return give(Err(libc::EIO)),
            Event::Cancel => world.notify(LOOP, true),
            Event::FewDescriptors | Event::FewThreads => {}
        }
    }
    work()
}

/// How long a thread sleeps before it looks whether it gets a lock that it waits for in the kernel.
const LOOK_AGAIN: u64 = 200_000;

/// A call that locks a file, or what happens instead. One that waits keeps its thread alone waiting; one that does not is
/// permitted on the loop. `attempt` never waits.
pub(super) fn lock(name: &'static str, descriptor: c_int, waits: bool, attempt: impl Fn() -> c_int) -> c_int {
    if let Some(world) = world()
        && world.trial.get().is_some_and(|trial| trial.inherited.borrow().contains(&descriptor))
    {
        world.die(format!("{name}: a forked child changes a lock of its parent's"));
    }
    if !waits {
        return call_anywhere(name, attempt);
    }
    let Some(world) = world() else { return attempt() };
    let Some(trial) = world.trial.get() else { return attempt() };
    let mut result = call(name, &attempt);
    while result != 0 && std::io::Error::last_os_error().kind() == std::io::ErrorKind::WouldBlock {
        world.wait(Wait::Until(world.after(LOOK_AGAIN)));
        result = if trial.is_killed() { give(Err(libc::EIO)) } else { attempt() };
    }
    result
}

/// `close(2)`, which closes a descriptor even when it fails, as the end of a process does.
pub(super) fn close(descriptor: c_int) -> c_int {
    // SAFETY: the descriptor is the caller's.
    let close = || unsafe { system::close(descriptor) };
    let Some(world) = world() else { return close() };
    let Some(trial) = world.trial.get() else { return close() };
    let close = || {
        trial.leaving.borrow_mut().remove(&descriptor);
        close()
    };
    trial.inherited.borrow_mut().remove(&descriptor);
    trial.closing.set(trial.closing.get().filter(|closing| *closing != descriptor));
    if !trial.open.borrow_mut().remove(&descriptor) && !world.has_failed() {
        world.fail("a descriptor is closed that is not open");
    }
    trial.leaving.borrow_mut().insert(descriptor);
    let mut closed = None;
    if world.is_loop() || world.has_failed() {
        return close();
    }
    let result = call("close", || {
        device::closes(descriptor);
        *closed.insert(close())
    });
    if closed.is_none() {
        // An interruption is none: the descriptor is closed (close(2)).
        if trial.event != Event::Error(libc::EINTR) {
            device::close_fails(descriptor);
        }
        close();
        return give(Err(match trial.event {
            Event::Error(code) | Event::Lasting(code) => code,
            _ => libc::EIO,
        }));
    }
    result
}

/// A call that opens a descriptor, or what happens instead.
pub(super) fn open(name: &'static str, work: impl FnOnce() -> c_int) -> c_int {
    opened(call(name, || {
        let world = world();
        let trial = world.as_ref().and_then(|world| world.trial.get());
        if trial.is_some_and(Trial::refuses_descriptor) { give(Err(libc::EMFILE)) } else { work() }
    }))
}

/// Takes note of a descriptor that has been opened.
pub(super) fn opened(descriptor: c_int) -> c_int {
    if descriptor >= 0
        && let Some(world) = world()
        && let Some(trial) = world.trial.get()
    {
        trial.open.borrow_mut().insert(descriptor);
    }
    descriptor
}

/// The same for `openat2(2)`, which does not wait.
pub(super) fn open_at_once(work: impl FnOnce() -> c_long) -> c_long {
    let world = world();
    let trial = world.as_ref().and_then(|world| world.trial.get());
    if trial.is_some_and(Trial::refuses_descriptor) {
        return give(Err(libc::EMFILE));
    }
    opened(work() as c_int).into()
}
