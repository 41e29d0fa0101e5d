//! Threads, condition variables and the clock: the first of the two doors that a simulation can replace.
//!
//! All waiting, waking and reading of the clock in the engine goes through here. These are re-exports of the standard
//! library's; in the crate's unit tests, a thread that simulates a world gets the simulated ones (`tests/simulation/`),
//! and with `--cfg loom` they are loom's (`tests/models/`). The other door is `platform::calls`.

use std::time::Instant;

#[cfg(not(any(loom, all(test, target_os = "linux"))))]
pub(crate) use system::*;

#[cfg(all(test, target_os = "linux", not(loom)))]
pub(crate) use crate::simulation::runtime::*;

#[cfg(all(test, loom))]
pub(crate) use crate::models::runtime::*;

/// What threads hand work to each other by: the ticket, the port, the pool and the turn.
#[cfg(not(all(test, loom)))]
pub(crate) mod sync {
    pub(crate) use std::cell::UnsafeCell;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize};
    pub(crate) use std::sync::{Mutex, MutexGuard};
}

/// The time that has passed since then.
#[inline]
pub(crate) fn elapsed(since: Instant) -> std::time::Duration {
    now().saturating_duration_since(since)
}

/// The functions of the system.
#[cfg_attr(loom, allow(dead_code, reason = "loom has its own"))]
pub(crate) mod system {
    use std::cell::Cell;
    use std::hash::{BuildHasher, RandomState};
    use std::io;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
    use std::thread;
    use std::time::{Duration, Instant};

    use crate::platform::with_signals_blocked;

    /// The time.
    #[inline]
    pub(crate) fn now() -> Instant {
        Instant::now()
    }

    /// Starts a thread, which leaves signals to others.
    ///
    /// # Errors
    /// When the system has none to give.
    #[inline]
    pub(crate) fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        with_signals_blocked(|| builder().spawn(work)).map(drop)
    }

    fn builder() -> thread::Builder {
        thread::Builder::new().name("rapfiles".to_owned())
    }

    /// Runs the same function in `helpers` threads and in this one, and waits for all of them. If the system refuses
    /// threads, there are fewer.
    pub(crate) fn run_beside(helpers: usize, work: impl Fn() + Sync) {
        thread::scope(|scope| {
            for _ in 0..helpers {
                let _ = with_signals_blocked(|| builder().spawn_scoped(scope, &work));
            }
            work();
        });
    }

    /// A random number, of no cryptographic use.
    pub(crate) fn random() -> u64 {
        RandomState::new().hash_one(())
    }

    /// Polls without sleeping; `false` if nothing has come by `until`.
    #[inline]
    pub(crate) fn spin(until: Instant, come: impl Fn() -> bool) -> bool {
        loop {
            for _ in 0..32 {
                if come() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if Instant::now() >= until {
                return false;
            }
        }
    }

    /// Takes a lock, ignoring poisoning: all state is consistent after a panic.
    #[inline]
    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a lock together with others who only read.
    #[inline]
    pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
        lock.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes such a lock alone.
    #[inline]
    pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
        lock.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A condition variable.
    #[derive(Debug, Default)]
    pub(crate) struct Condition(Condvar);

    impl Condition {
        /// Releases the lock and sleeps until woken, for at most `most`; returns whether that time has passed.
        #[inline]
        pub(crate) fn wait<'a, T>(
            &self,
            _mutex: &'a Mutex<T>,
            guard: MutexGuard<'a, T>,
            most: Duration,
        ) -> (MutexGuard<'a, T>, bool) {
            let (guard, waited) = self.0.wait_timeout(guard, most).unwrap_or_else(PoisonError::into_inner);
            (guard, waited.timed_out())
        }

        /// Wakes one sleeping thread.
        #[inline]
        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        /// Wakes all sleeping threads.
        #[inline]
        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }

    thread_local! {
        static IN_WORKER: Cell<bool> = const { Cell::new(false) };
    }

    /// Marks this thread as a worker.
    #[inline]
    pub(crate) fn enter_worker() {
        IN_WORKER.set(true);
    }

    /// Whether this thread is a worker.
    #[inline]
    pub(crate) fn in_worker() -> bool {
        IN_WORKER.get()
    }

    /// The number of forks between the first process and this one.
    static FORKS: AtomicU32 = AtomicU32::new(0);

    /// The number of forks, which distinguishes a forked child from its parent.
    #[inline]
    pub(crate) fn forks() -> u32 {
        FORKS.load(Ordering::Relaxed)
    }

    /// Counts a fork, in the child.
    pub(crate) fn count_fork() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }

    /// The forks of this process that have begun, and those that are over. They differ while it is being forked.
    static BEGUN: AtomicU32 = AtomicU32::new(0);
    static ENDED: AtomicU32 = AtomicU32::new(0);

    /// This process is about to be forked.
    pub(crate) fn begin_fork() {
        BEGUN.fetch_add(1, Ordering::SeqCst);
    }

    /// It has been, or that has failed.
    pub(crate) fn end_fork() {
        ENDED.fetch_add(1, Ordering::SeqCst);
    }

    /// No fork is under way: in a forked child, where the other threads that were forking are gone.
    pub(crate) fn forget_forks() {
        ENDED.store(BEGUN.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// How many forks of this process there have been; `None` while one is under way.
    pub(crate) fn forks_so_far() -> Option<u32> {
        let ended = ENDED.load(Ordering::SeqCst);
        (BEGUN.load(Ordering::SeqCst) == ended).then_some(ended)
    }
}
