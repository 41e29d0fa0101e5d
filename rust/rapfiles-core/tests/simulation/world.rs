//! The world of a simulated program: its threads, which run one at a time, its clock, and who runs next.
//!
//! A thread is a coroutine with a stack of its own. It goes on until it waits, or comes to a point at which another one may
//! be given its turn ([`World::step`]): before a system call, at a lock, between two looks of somebody who spins. Which one
//! is next is drawn from a generator of random numbers, so a seed determines everything. Time passes a little with each
//! step, and jumps to the next point at which somebody wants to be woken when nobody can go on.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::faults::Faults;
use super::files::Files;
use super::trial::Trial;
use crate::engine::Engine;
use crate::engine::configuration::Configuration;

/// What a thread waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Its turn.
    Turn,
    /// A point in time: it is in a slow system call.
    Until(u64),
    /// Somebody to notify it, or a point in time.
    For { key: usize, until: Option<u64> },
    /// It spins, and looks again whenever it has its turn.
    Spin { until: u64 },
    /// Nothing any more: the program has failed.
    Nothing,
}

/// Tells what does not hold.
pub(super) type Invariant = Box<dyn Fn() -> Result<(), String>>;

type Fiber = Coroutine<bool, Wait, (), DefaultStack>;

struct Thread {
    /// Not here while it runs, and when it has ended.
    fiber: Option<Fiber>,
    ended: bool,
    wait: Wait,
    timed_out: bool,
    worker: bool,
    /// Who has the highest goes first, where the world is ruled so.
    priority: u64,
}

/// The most steps of a program: one that takes more does not end.
const MOST_STEPS: u64 = 200_000;
/// While somebody waits and nobody is in a system call, nothing may be left to a timeout that is longer.
const LONGEST_REST: Duration = Duration::from_millis(20);
const STACK: usize = 256 << 10;

pub(crate) struct World {
    random: Cell<u64>,
    clock: Cell<u64>,
    threads: RefCell<Vec<Thread>>,
    yielders: RefCell<Vec<*const Yielder<bool, Wait>>>,
    running: Cell<usize>,
    /// Whether who runs next is a matter of priorities that seldom change, and not drawn anew each time.
    ruled: bool,
    /// The priority of the last one that gave way.
    lowest: Cell<u64>,
    failure: RefCell<Option<String>>,
    pub(super) steps: Cell<u64>,
    pub(super) forks: Cell<u32>,
    /// The beginnings and ends of forks whose child is another process.
    pub(super) begun_forks: Cell<u32>,
    pub(super) faults: Faults,
    pub(super) files: RefCell<Files>,
    /// Where paths are those of the real file system: what happens there.
    pub(super) trial: OnceCell<Trial>,
    pub(super) current: RefCell<Option<Arc<Engine>>>,
    pub(super) configuration: Configuration,
    /// What has to hold between two steps.
    pub(super) invariant: RefCell<Option<Invariant>>,
    /// The locks that nobody may hold while it waits.
    pub(super) locks: RefCell<Vec<Box<dyn Fn() -> bool>>>,
    pub(super) verbose: bool,
}

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
    static ORIGIN: Instant = Instant::now();
}

/// The world that this thread simulates.
pub(crate) fn world() -> Option<Rc<World>> {
    WORLD.with_borrow(Clone::clone)
}

/// The key of the loop's waiting.
pub(super) const LOOP: usize = 1;
/// The key of whoever waits for a descriptor.
pub(super) const DESCRIPTORS: usize = 2;

impl World {
    pub(super) fn new(seed: u64, faults: Faults, configuration: Configuration, verbose: bool) -> Rc<Self> {
        Rc::new(Self {
            random: Cell::new(seed ^ 0x9e37_79b9_7f4a_7c15),
            clock: Cell::new(1_000_000),
            threads: RefCell::default(),
            yielders: RefCell::default(),
            running: Cell::new(0),
            ruled: seed.is_multiple_of(2),
            lowest: Cell::new(u32::MAX.into()),
            failure: RefCell::default(),
            steps: Cell::new(0),
            forks: Cell::new(0),
            begun_forks: Cell::new(0),
            faults,
            files: RefCell::default(),
            trial: OnceCell::new(),
            current: RefCell::default(),
            configuration,
            invariant: RefCell::default(),
            locks: RefCell::default(),
            verbose,
        })
    }

    /// A random number (splitmix64).
    pub(super) fn random(&self) -> u64 {
        let next = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(next);
        mix(next)
    }

    /// Whether something happens that does so in so many of 256 cases.
    pub(super) fn chance(&self, of_256: u8) -> bool {
        of_256 > 0 && ((self.random() >> 33) as u8) < of_256
    }

    pub(super) fn now(&self) -> Instant {
        ORIGIN.with(|origin| *origin) + Duration::from_nanos(self.clock.get())
    }

    pub(super) fn nanoseconds(&self, at: Instant) -> u64 {
        at.saturating_duration_since(ORIGIN.with(|origin| *origin)).as_nanos() as u64
    }

    /// The point in time after so many nanoseconds.
    pub(super) fn after(&self, nanoseconds: u64) -> u64 {
        self.clock.get() + nanoseconds
    }

    /// Something has gone wrong. The program ends here.
    pub(super) fn fail(&self, why: impl Into<String>) {
        let why = why.into();
        if self.verbose {
            eprintln!("FAILED: {why}");
        }
        self.failure.borrow_mut().get_or_insert(why);
    }

    /// The same, in a thread of the world, which ends with it.
    pub(super) fn die(&self, why: impl Into<String>) -> ! {
        self.fail(why);
        loop {
            self.suspend(Wait::Nothing);
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        if self.verbose {
            let running = self.running.get();
            eprintln!("{:>12} ns  thread {running}: {}", self.clock.get(), what());
        }
    }

    /// Whether this is the loop's thread.
    pub(super) fn is_loop(&self) -> bool {
        self.running.get() == 0
    }

    pub(super) fn is_worker(&self) -> bool {
        self.threads.borrow()[self.running.get()].worker
    }

    pub(super) fn enter_worker(&self) {
        self.threads.borrow_mut()[self.running.get()].worker = true;
    }

    /// Threads beside the loop's that exist.
    pub(super) fn workers(&self) -> usize {
        self.threads.borrow().iter().skip(1).filter(|thread| !thread.ended).count()
    }

    /// Whether nobody holds a lock.
    pub(super) fn is_unlocked(&self) -> bool {
        self.locks.borrow().iter().all(|is_free| is_free())
    }

    /// Gives the turn to another thread, or goes on.
    pub(super) fn step(&self) {
        if self.is_unlocked() {
            self.suspend(Wait::Turn);
        }
    }

    /// Has everybody else who can go on do so first, where priorities decide; also those who gave way before.
    pub(super) fn give_way(&self) {
        let lowest = self.lowest.get() - 1;
        self.lowest.set(lowest);
        self.threads.borrow_mut()[self.running.get()].priority = lowest;
    }

    /// Waits; whether that took until its end.
    pub(super) fn wait(&self, wait: Wait) -> bool {
        if !self.is_unlocked() {
            self.die("a thread waits and holds a lock");
        }
        self.suspend(wait)
    }

    fn suspend(&self, wait: Wait) -> bool {
        let running = self.running.get();
        let yielder = self.yielders.borrow()[running];
        // SAFETY: the coroutine that runs has put it there, where its stack frame stays for as long as it runs.
        unsafe { &*yielder }.suspend(wait)
    }

    /// Wakes one of those, or all, that wait for somebody with this key.
    pub(super) fn notify(&self, key: usize, all: bool) {
        let mut threads = self.threads.borrow_mut();
        let waiting: Vec<usize> = (0..threads.len())
            .filter(|index| matches!(threads[*index].wait, Wait::For { key: other, .. } if other == key))
            .collect();
        if waiting.is_empty() {
            return;
        }
        let first = self.random() as usize % waiting.len();
        for index in
            waiting.into_iter().skip(if all { 0 } else { first }).take(if all { usize::MAX } else { 1 })
        {
            threads[index].wait = Wait::Turn;
            threads[index].timed_out = false;
        }
    }

    /// Starts a thread.
    pub(super) fn spawn(self: &Rc<Self>, work: impl FnOnce() + 'static) {
        let stack = STACKS
            .with_borrow_mut(Vec::pop)
            .unwrap_or_else(|| DefaultStack::new(STACK).expect("there is memory for a stack"));
        let index = {
            let threads = self.threads.borrow();
            threads.iter().skip(1).position(|thread| thread.ended).map_or(threads.len(), |at| at + 1)
        };
        let world = Rc::downgrade(self);
        let fiber = Fiber::with_stack(stack, move |yielder, _| {
            if let Some(world) = world.upgrade() {
                world.yielders.borrow_mut()[index] = yielder;
            }
            work();
        });
        let priority = self.random();
        let thread = Thread {
            fiber: Some(fiber),
            ended: false,
            wait: Wait::Turn,
            timed_out: false,
            worker: false,
            priority,
        };
        let mut threads = self.threads.borrow_mut();
        if index == threads.len() {
            threads.push(thread);
            self.yielders.borrow_mut().push(std::ptr::null());
        } else {
            threads[index] = thread;
        }
    }

    /// The thread that is next, if there is one; time may pass until it can go on.
    fn choose(&self) -> Option<usize> {
        let mut threads = self.threads.borrow_mut();
        let clock = self.clock.get() + self.random() % 2_000;
        self.clock.set(clock);
        let (mut ready, mut spinning) = ([0_u16; 64], [0_u16; 64]);
        let (mut ready_count, mut spinning_count) = (0, 0);
        for (index, thread) in threads.iter_mut().enumerate() {
            if thread.fiber.is_none() {
                continue;
            }
            match thread.wait {
                Wait::Until(until) | Wait::For { until: Some(until), .. } if until <= clock => {
                    thread.wait = Wait::Turn;
                    thread.timed_out = true;
                }
                // A condition may wake a thread for no reason.
                Wait::For { until: Some(_), .. } if self.faults.spurious && self.chance(2) => {
                    thread.wait = Wait::Turn;
                    thread.timed_out = false;
                }
                Wait::Spin { .. } if spinning_count < 64 => {
                    spinning[spinning_count] = index as u16;
                    spinning_count += 1;
                }
                _ => {}
            }
            if thread.wait == Wait::Turn && ready_count < 64 {
                ready[ready_count] = index as u16;
                ready_count += 1;
            }
        }
        let (ready, spinning) = (&ready[..ready_count], &spinning[..spinning_count]);
        let draw = self.random();
        if !spinning.is_empty() && (ready.is_empty() || draw.is_multiple_of(8)) {
            if ready.is_empty() {
                // Nothing else happens until one of them has had enough.
                let wakes =
                    threads.iter().filter(|thread| thread.fiber.is_some()).filter_map(|thread| match thread
                        .wait
                    {
                        Wait::Until(until) | Wait::Spin { until } | Wait::For { until: Some(until), .. } => {
                            Some(until)
                        }
                        _ => None,
                    });
                self.clock.set(wakes.min().unwrap_or(clock).max(clock));
            }
            return Some(spinning[(draw >> 8) as usize % spinning.len()].into());
        }
        if ready.is_empty() {
            return None;
        }
        if self.ruled {
            let first =
                ready.iter().copied().map(usize::from).max_by_key(|index| threads[*index].priority)?;
            // While somebody spins, no multiple of 8 gets here.
            let chance = if spinning.is_empty() { draw } else { draw >> 3 };
            if chance.is_multiple_of(16) {
                threads[first].priority = mix(draw);
            }
            return Some(first);
        }
        Some(ready[(draw >> 8) as usize % ready.len()].into())
    }

    /// Nobody can go on: passes the time until somebody wants to.
    fn rest(&self) -> Result<(), String> {
        let threads = self.threads.borrow();
        let existing = || threads.iter().filter(|thread| thread.fiber.is_some());
        let next = existing()
            .filter_map(|thread| match thread.wait {
                Wait::Until(until) | Wait::For { until: Some(until), .. } => Some(until),
                _ => None,
            })
            .min();
        let waits = matches!(threads[0].wait, Wait::For { key: LOOP, .. });
        let works = existing()
            .any(|thread| matches!(thread.wait, Wait::Until(_) | Wait::For { key: DESCRIPTORS, .. }));
        let Some(next) = next else {
            return Err("somebody waits, and nobody is going to wake it".to_owned());
        };
        let time = Duration::from_nanos(next.saturating_sub(self.clock.get()));
        if waits && !works && time > LONGEST_REST {
            return Err(format!(
                "somebody waits, and nothing happens for {time:?} until a thread has slept enough"
            ));
        }
        self.clock.set(next.max(self.clock.get()));
        Ok(())
    }

    /// Runs everything until the first thread has ended. Gives the reason where something has gone wrong.
    pub(super) fn run(self: &Rc<Self>, first: impl FnOnce() + 'static) -> Option<String> {
        WORLD.set(Some(Rc::clone(self)));
        self.spawn(first);
        while self.threads.borrow()[0].fiber.is_some() && !self.has_failed() {
            if let Some(index) = self.choose() {
                self.resume(index);
                self.check();
            } else if let Err(why) = self.rest() {
                self.fail(why);
            }
        }
        self.end();
        self.failure.borrow().clone()
    }

    /// Lets the time pass that sleeping threads wait for.
    pub(super) fn sleep(&self, time: Duration) {
        self.wait(Wait::Until(self.clock.get() + time.as_nanos() as u64));
    }

    fn check(&self) {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        if steps > MOST_STEPS {
            return self.fail("it does not end");
        }
        if self.has_failed() {
            return;
        }
        if !self.is_unlocked() {
            return self.fail("a lock is held while others have their turn");
        }
        let result = self.invariant.borrow().as_ref().map_or(Ok(()), |invariant| invariant());
        if let Err(why) = result {
            self.fail(why);
        }
    }

    fn resume(&self, index: usize) {
        self.running.set(index);
        let (mut fiber, timed_out) = {
            let thread = &mut self.threads.borrow_mut()[index];
            let Some(fiber) = thread.fiber.take() else { return };
            (fiber, std::mem::take(&mut thread.timed_out))
        };
        match fiber.resume(timed_out) {
            CoroutineResult::Yield(wait) => {
                let thread = &mut self.threads.borrow_mut()[index];
                thread.fiber = Some(fiber);
                thread.wait = wait;
            }
            CoroutineResult::Return(()) => {
                self.threads.borrow_mut()[index].ended = true;
                STACKS.with_borrow_mut(|stacks| stacks.push(fiber.into_stack()));
            }
        }
    }

    /// Threads do not survive a fork: they are gone, with everything that they had in hand.
    pub(super) fn forget_workers(&self) {
        for thread in self.threads.borrow_mut().iter_mut().skip(1) {
            forget(thread);
        }
    }

    fn end(&self) {
        for thread in self.threads.borrow_mut().iter_mut() {
            forget(thread);
        }
        self.invariant.take();
        self.locks.take();
        self.current.take();
        // Threads that are gone in a fork had this world in hand.
        self.files.take();
        WORLD.set(None);
    }
}

/// Takes a thread's stack without anything on it being dropped.
fn forget(thread: &mut Thread) {
    thread.ended = true;
    if let Some(mut fiber) = thread.fiber.take() {
        if fiber.started() && !fiber.done() {
            // SAFETY: nothing refers to what is on the stack, which nobody will see again, but for memory that leaks.
            unsafe { fiber.force_reset() };
            STACKS.with_borrow_mut(|stacks| stacks.push(fiber.into_stack()));
        } else {
            drop(fiber);
        }
    }
}

pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
