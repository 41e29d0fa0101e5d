//! The first door: threads, conditions and the clock of the world that this thread simulates; the system's where it
//! simulates none.

use std::io;
use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError, TryLockResult};
use std::time::{Duration, Instant};

use super::trial::Trial;
use super::world::{Wait, World, world};
use crate::engine::runtime::system;

pub(crate) fn now() -> Instant {
    world().map_or_else(system::now, |world| world.now())
}

pub(crate) fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let Some(world) = world() else { return system::spawn(work) };
    let refused_in_trial = world.trial.get().is_some_and(Trial::refuses_thread);
    if refused_in_trial || world.faults.refuses_thread(&world) {
        world.note(|| "a thread is refused".to_owned());
        return Err(io::Error::from_raw_os_error(libc::EAGAIN));
    }
    world.note(|| "a thread is started".to_owned());
    world.spawn(work);
    Ok(())
}

pub(crate) fn random() -> u64 {
    world().map_or_else(system::random, |world| world.random())
}

/// Nobody helps in a simulation.
pub(crate) fn run_beside(helpers: usize, work: impl Fn() + Sync) {
    if world().is_some() { work() } else { system::run_beside(helpers, work) }
}

pub(crate) fn spin(until: Instant, come: impl Fn() -> bool) -> bool {
    let Some(world) = world() else { return system::spin(until, come) };
    loop {
        if come() {
            return true;
        }
        if world.now() >= until {
            return false;
        }
        world.wait(Wait::Spin { until: world.nanoseconds(until) });
    }
}

/// How often a thread looks for a lock that another one holds, which has stopped on its way to a second one.
const LOOKS: usize = 10_000;
/// After so many looks the others come first, or one of low priority would never give the lock back.
const PATIENCE: usize = 100;

/// After so many looks it sleeps before the next one: who has the lock may be in a slow system call.
const LONG_PATIENCE: usize = 1_000;
const SLEEP: u64 = 10_000_000;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    let Some(world) = world() else { return system::lock(mutex) };
    if world.chance(64) {
        world.step();
    }
    take(&world, || mutex.try_lock())
}

pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    let Some(world) = world() else { return system::read(lock) };
    take(&world, || lock.try_read())
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    let Some(world) = world() else { return system::write(lock) };
    take(&world, || lock.try_write())
}

fn take<Guard>(world: &World, attempt: impl Fn() -> TryLockResult<Guard>) -> Guard {
    for look in 1..=LOOKS {
        match attempt() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                if look.is_multiple_of(PATIENCE) {
                    world.give_way();
                }
                if look.is_multiple_of(LONG_PATIENCE) && world.is_unlocked() {
                    world.wait(Wait::Until(world.after(SLEEP)));
                }
                world.step();
            }
        }
    }
    world.die("a deadlock: a lock is not given back")
}

/// A condition, known by its address in a simulation.
#[derive(Debug, Default)]
pub(crate) struct Condition(system::Condition);

impl Condition {
    fn key(&self) -> usize {
        &raw const *self as usize
    }

    pub(crate) fn wait<'a, T>(
        &self,
        mutex: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        most: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        let Some(world) = world() else { return self.0.wait(mutex, guard, most) };
        drop(guard);
        let until = world.nanoseconds(world.now() + most);
        let timed_out = world.wait(Wait::For { key: self.key(), until: Some(until) });
        (lock(mutex), timed_out)
    }

    pub(crate) fn notify_one(&self) {
        match world() {
            Some(world) => world.notify(self.key(), false),
            None => self.0.notify_one(),
        }
    }

    pub(crate) fn notify_all(&self) {
        match world() {
            Some(world) => world.notify(self.key(), true),
            None => self.0.notify_all(),
        }
    }
}

pub(crate) fn enter_worker() {
    match world() {
        Some(world) => world.enter_worker(),
        None => system::enter_worker(),
    }
}

pub(crate) fn in_worker() -> bool {
    world().map_or_else(system::in_worker, |world| world.is_worker())
}

pub(crate) fn forks() -> u32 {
    world().map_or_else(system::forks, |world| world.forks.get())
}

pub(crate) fn forks_so_far() -> Option<u32> {
    match world() {
        Some(world) => world.begun_forks.get().is_multiple_of(2).then(|| world.begun_forks.get() / 2),
        None => system::forks_so_far(),
    }
}

pub(crate) use system::{begin_fork, count_fork, end_fork, forget_forks};
