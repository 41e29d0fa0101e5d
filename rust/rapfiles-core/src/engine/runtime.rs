//! Threads, conditions and the clock: the first of the two doors behind which a simulation can stand.
//!
//! Everything by which the engine waits, wakes and looks at the time goes through here. These are the standard library's
//! own, by another name; but in the crate's unit tests, a thread that simulates a world gets that world's
//! (`tests/simulation/`). The other door is `platform::calls`.

use std::time::Instant;

#[cfg(not(all(test, target_os = "linux")))]
pub(crate) use system::*;

#[cfg(all(test, target_os = "linux"))]
pub(crate) use crate::simulation::runtime::*;

/// For how long since.
#[inline]
pub(crate) fn elapsed(since: Instant) -> std::time::Duration {
    now().saturating_duration_since(since)
}

/// What the system has.
pub(crate) mod system {
    use std::cell::Cell;
    use std::io;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
    use std::thread;
    use std::time::{Duration, Instant};

    /// The time.
    #[inline]
    pub(crate) fn now() -> Instant {
        Instant::now()
    }

    /// Starts a thread.
    ///
    /// # Errors
    /// When the system has none to give.
    #[inline]
    pub(crate) fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        thread::Builder::new().name("rapfiles".to_owned()).spawn(work).map(drop)
    }

    /// Does the same in so many threads and in this one, and waits for all of them. Where the system has no thread to give,
    /// fewer do it.
    pub(crate) fn run_beside(helpers: usize, work: impl Fn() + Sync) {
        thread::scope(|scope| {
            for _ in 0..helpers {
                let _ = thread::Builder::new().name("rapfiles".to_owned()).spawn_scoped(scope, &work);
            }
            work();
        });
    }

    /// Looks again and again, without sleeping; `false` when it is `until` and nothing has come.
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

    /// Takes a lock. A panic under it leaves everything usable.
    #[inline]
    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What threads sleep on until others wake them.
    #[derive(Debug, Default)]
    pub(crate) struct Condition(Condvar);

    impl Condition {
        /// Lets go of the lock, and sleeps until it is woken, for `most` at most; whether that has passed.
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

        /// Wakes one of those that sleep.
        #[inline]
        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        /// Wakes all of them.
        #[inline]
        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }

    thread_local! {
        static IN_WORKER: Cell<bool> = const { Cell::new(false) };
    }

    /// This thread is a worker from now on.
    #[inline]
    pub(crate) fn enter_worker() {
        IN_WORKER.set(true);
    }

    /// Whether this thread is a worker.
    #[inline]
    pub(crate) fn in_worker() -> bool {
        IN_WORKER.get()
    }

    /// How often this process, or the ones it was forked from, have been a forked child.
    static FORKS: AtomicU32 = AtomicU32::new(0);

    /// That number, which tells a forked child from its parent.
    #[inline]
    pub(crate) fn forks() -> u32 {
        FORKS.load(Ordering::Relaxed)
    }

    /// This process is a forked child.
    pub(crate) fn count_fork() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
}
