//! Tickets: a submitted operation, shared between the loop that waits for it and the worker that runs it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use crate::engine::keep_alive;
use crate::engine::port::Port;
use crate::engine::runtime::sync::{AtomicU8, Mutex, MutexGuard};
use crate::error::Error;
use crate::outcome::Outcome;

const DONE: u8 = 1;
/// The loop's task has suspended and must be woken.
const AWAITED: u8 = 2;
const CANCELLED: u8 = 4;

/// A submitted operation: its state, and its outcome when there is one.
#[derive(Debug)]
pub struct Ticket {
    progress: AtomicU8,
    outcome: Mutex<Option<Result<Outcome, Error>>>,
    /// The port on which the completion is announced: that of the loop whose task has suspended.
    port: Mutex<Option<Arc<Port>>>,
    token: u64,
}

impl Ticket {
    /// A ticket that ports know by `token`.
    pub fn new(token: u64) -> Arc<Self> {
        Arc::new(Self {
            progress: AtomicU8::new(0),
            outcome: Mutex::new(None),
            port: Mutex::new(None),
            token,
        })
    }

    /// A ticket whose token is unique in the process.
    pub fn unique() -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self::new(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The token under which a port announces the completion.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Whether there is an outcome.
    pub fn is_done(&self) -> bool {
        self.progress.load(Ordering::Acquire) & DONE != 0
    }

    /// Requests a completion on the port of the loop whose task is about to suspend; `false` if there is an outcome
    /// already, and so no completion.
    pub fn expect(&self, port: &Arc<Port>) -> bool {
        let before = self.lock_port().replace(Arc::clone(port));
        drop(before);
        self.progress.fetch_or(AWAITED, Ordering::AcqRel) & DONE == 0
    }

    /// Cancels it: a job that has not started is dropped, and so is a later outcome.
    pub fn cancel(&self) {
        self.progress.fetch_or(CANCELLED, Ordering::AcqRel);
    }

    /// Whether it has been cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.progress.load(Ordering::Relaxed) & CANCELLED != 0
    }

    /// Takes the outcome, once.
    pub fn take(&self) -> Option<Result<Outcome, Error>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Wakes the loop, if its task has suspended, without an outcome.
    pub fn ring(self: &Arc<Self>) {
        self.finish(Ok(Outcome::Done));
    }

    /// After a cancellation: wakes the loop only if much memory waits to be released; `true` if it was woken.
    pub(crate) fn give_memory_back(&self) -> bool {
        if !keep_alive::is_worth_a_wake() {
            return false;
        }
        let port = self.lock_port().take();
        port.is_some_and(|port| port.call_to_release())
    }

    /// Stores the outcome, and wakes the loop if its task has suspended; `true` if it was woken.
    pub(crate) fn finish(self: &Arc<Self>, outcome: Result<Outcome, Error>) -> bool {
        self.leave(outcome);
        self.tell()
    }

    /// Stores the outcome without announcing it yet.
    pub(crate) fn leave(&self, outcome: Result<Outcome, Error>) {
        let before = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).replace(outcome);
        drop(before);
    }

    /// After [`Ticket::leave`]: wakes the loop if its task has suspended; `true` if it was woken.
    pub(crate) fn tell(self: &Arc<Self>) -> bool {
        let before = self.progress.fetch_or(DONE, Ordering::AcqRel);
        if before & CANCELLED != 0 {
            drop(self.take());
            return false;
        }
        if before & AWAITED == 0 {
            return false;
        }
        let port = self.lock_port().take();
        port.is_some_and(|port| port.announce(Arc::clone(self)))
    }

    fn lock_port(&self) -> MutexGuard<'_, Option<Arc<Port>>> {
        self.port.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
