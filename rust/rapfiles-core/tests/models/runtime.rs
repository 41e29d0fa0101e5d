//! The first door, as loom has it: threads, locks and atomic numbers whose every interleaving is tried.
//!
//! Time stands still, so nothing ever times out, and whoever is woken by a timeout alone sleeps for ever, which loom finds;
//! until the model [is over](Condition::end), when everybody has slept enough.

use std::io;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use loom::sync::atomic::{AtomicBool, Ordering};

/// No model depends on chance, or forks.
pub(crate) use crate::engine::runtime::system::{begin_fork, end_fork, forget_forks, forks_so_far, random};
/// No model has two threads at one.
pub(crate) use crate::engine::runtime::system::{read, write};

pub(crate) mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize};
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    /// One whose users loom looks after: no two of them without something that orders them.
    pub(crate) struct UnsafeCell<T> {
        content: std::cell::UnsafeCell<T>,
        witness: loom::cell::UnsafeCell<()>,
    }

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(content: T) -> Self {
            Self { content: std::cell::UnsafeCell::new(content), witness: loom::cell::UnsafeCell::new(()) }
        }

        pub(crate) fn get(&self) -> *mut T {
            self.witness.with_mut(|_| ());
            self.content.get()
        }
    }
}

pub(crate) fn now() -> Instant {
    static NOW: OnceLock<Instant> = OnceLock::new();
    *NOW.get_or_init(Instant::now)
}

#[expect(clippy::unnecessary_wraps, reason = "the system's may fail")]
pub(crate) fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    loom::thread::spawn(work);
    Ok(())
}

pub(crate) fn run_beside(_helpers: usize, work: impl Fn() + Sync) {
    work();
}

/// Looks twice: before and after whatever others do meanwhile.
pub(crate) fn spin(_until: Instant, come: impl Fn() -> bool) -> bool {
    come() || {
        loom::thread::yield_now();
        come()
    }
}

/// A lock of loom's, or one of the standard library's, which no model has two threads at.
pub(crate) trait Lock {
    type Guard<'a>
    where
        Self: 'a;

    fn guard(&self) -> Self::Guard<'_>;
}

impl<T> Lock for sync::Mutex<T> {
    type Guard<'a>
        = sync::MutexGuard<'a, T>
    where
        T: 'a;

    fn guard(&self) -> Self::Guard<'_> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Lock for std::sync::Mutex<T> {
    type Guard<'a>
        = std::sync::MutexGuard<'a, T>
    where
        T: 'a;

    fn guard(&self) -> Self::Guard<'_> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: Lock> Lock for Arc<L> {
    type Guard<'a>
        = L::Guard<'a>
    where
        L: 'a;

    fn guard(&self) -> Self::Guard<'_> {
        (**self).guard()
    }
}

pub(crate) fn lock<L: Lock>(mutex: &L) -> L::Guard<'_> {
    mutex.guard()
}

#[derive(Debug, Default)]
pub(crate) struct Condition {
    condition: Variable,
    over: AtomicBool,
}

#[derive(Debug)]
struct Variable(loom::sync::Condvar);

impl Default for Variable {
    fn default() -> Self {
        Self(loom::sync::Condvar::new())
    }
}

impl Condition {
    pub(crate) fn wait<'a, T>(
        &self,
        _mutex: &'a sync::Mutex<T>,
        guard: sync::MutexGuard<'a, T>,
        _most: Duration,
    ) -> (sync::MutexGuard<'a, T>, bool) {
        if self.over.load(Ordering::Relaxed) {
            return (guard, true);
        }
        let guard = self.condition.0.wait(guard).unwrap_or_else(PoisonError::into_inner);
        (guard, self.over.load(Ordering::Relaxed))
    }

    pub(crate) fn notify_one(&self) {
        self.condition.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.condition.0.notify_all();
    }

    /// Everybody has slept enough. To be called under the lock that they let go of while they wait.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.notify_all();
    }
}

loom::thread_local! {
    static IN_WORKER: std::cell::Cell<bool> = std::cell::Cell::new(false);
}

pub(crate) fn enter_worker() {
    IN_WORKER.with(|inside| inside.set(true));
}

pub(crate) fn in_worker() -> bool {
    IN_WORKER.with(std::cell::Cell::get)
}

pub(crate) fn forks() -> u32 {
    0
}

pub(crate) fn count_fork() {}
