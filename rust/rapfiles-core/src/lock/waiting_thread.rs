//! The threads that wait in the kernel for somebody else's lock.
//!
//! They are no workers: a wait for another process may have no end, and must not keep a worker from the work of
//! others. There are few of them, and the exit of the process waits for none.

use std::sync::Arc;

use super::candidate::{Candidate, Entry};
use super::lock_file::{Identity, LockFile};
use super::locks::Locks;
use super::patience::Patience;
use super::queue::{Phase, Waiting};
use super::request::{Answer, Requested};
use crate::engine::{Engine, runtime};
use crate::error::Error;
use crate::limits::{LOCK_LONGEST_PAUSE, LOCK_THREADS};

/// A thread that waits in the kernel, or the right to start one.
pub(super) struct WaitingThread(Arc<Engine>);

impl WaitingThread {
    /// Reserves one of those that there may be.
    pub(super) fn reserve(engine: &Engine) -> Option<Self> {
        let mut state = engine.locks().lock();
        if state.blocked >= LOCK_THREADS {
            return None;
        }
        state.blocked += 1;
        drop(state);
        Some(Self(engine.share()))
    }

    /// Starts it. If the system refuses, the kernel is asked again and again as before.
    pub(super) fn begin(self, requested: Arc<Requested>, mut file: LockFile, identity: Identity, id: u64) {
        let engine = Arc::clone(&self.0);
        // What a refused thread would have had is lost, with the file in it.
        let started = runtime::spawn(move || {
            let outcome = file.wait(&requested.claim());
            let engine = Arc::clone(&self.0);
            // Another one may wait now.
            drop(self);
            engine.locks().unblocked(&engine, &requested, file, id, outcome);
        });
        if started.is_err() {
            engine.locks().unblockable(&engine, identity, id);
        }
    }
}

impl Drop for WaitingThread {
    fn drop(&mut self) {
        self.0.locks().lock().blocked -= 1;
    }
}

impl Locks {
    /// Lets a thread of its own wait in the kernel, if there may be another one.
    pub(super) fn block(
        &self,
        engine: &Engine,
        requested: &Arc<Requested>,
        candidate: Candidate,
        patience: Patience,
    ) -> Option<Answer> {
        let Some(place) = WaitingThread::reserve(engine) else {
            return self.settle(engine, requested, candidate, patience, false);
        };
        let Candidate { file, entry } = candidate;
        let (identity, id) = (entry.identity, entry.id);
        let mut state = self.lock();
        if requested.is_over() {
            drop(state);
            drop(file);
            drop(entry);
            return None;
        }
        entry.forget();
        let queue = state.queues.of(identity);
        queue.release(id);
        queue.wait(Waiting { id, requested: Arc::clone(requested), phase: Phase::Blocked, file: None });
        state.waiting.insert(requested.order, (identity, id));
        drop(state);
        place.begin(Arc::clone(requested), file, identity, id);
        None
    }

    /// A thread has waited in the kernel. If nobody waits for it any more, or somebody else is first, the file is unlocked
    /// at once.
    pub(super) fn unblocked(
        &self,
        engine: &Engine,
        requested: &Arc<Requested>,
        file: LockFile,
        id: u64,
        outcome: Result<(), Error>,
    ) {
        let identity = file.identity;
        let mut state = self.lock();
        let Some(queue) = state.queues.get_mut(identity) else {
            drop(state);
            return drop(file);
        };
        if queue.promote(id).is_none() {
            // One that has asked earlier, but took longer to open the file, has come between. That one tells it.
            if let Some(waiting) = queue.find(id) {
                waiting.phase = Phase::Queued;
            }
            drop(state);
            return drop(file);
        }
        state.waiting.remove(&requested.order);
        drop(state);
        let candidate = Candidate { file, entry: Entry::new(engine, identity, id) };
        let answer = match outcome {
            // It may have been replaced while this one waited.
            Ok(()) => self.settle(engine, requested, candidate, Patience::new(), true),
            Err(error) if requested.opens_again(&error) => {
                self.open_again(engine, requested, candidate);
                None
            }
            Err(error) => Some(Err(error)),
        };
        if let Some(answer) = answer {
            requested.answer(answer);
        }
    }

    /// There is no thread to wait in the kernel: asks again and again as before, with a new file.
    pub(super) fn unblockable(&self, engine: &Engine, identity: Identity, id: u64) {
        let mut state = self.lock();
        let Some(waiting) = state.queues.get_mut(identity).and_then(|queue| queue.find(id)) else { return };
        waiting.phase = Phase::Polling(Patience::new());
        // There is the thread that looks at the times, because it has called this.
        let next = runtime::now() + LOCK_LONGEST_PAUSE;
        let _ = self.poll_at(&mut state, engine, next, (identity, id));
    }
}
