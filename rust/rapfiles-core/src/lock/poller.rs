//! The threads of locks: one that asks the kernel from time to time, and a few that wait in the kernel.
//!
//! They are no workers: whoever waits for another process may wait for ever, and must not keep a worker from the work of
//! others. The exit of the process waits for none of them.

use std::sync::Arc;

use super::lock_file::{Identity, LockFile};
use super::locks::{Locks, State, no_thread};
use super::request::Requested;
use crate::engine::ticket::Ticket;
use crate::engine::{Engine, runtime};
use crate::error::Error;
use crate::limits::{LOCK_POLLER_KEPT_FOR, LOCK_THREADS};

impl Locks {
    /// Ensures that there is a thread that looks at the times.
    pub(super) fn start_poller(&self, state: &mut State, engine: &Engine) -> Result<(), Error> {
        if state.poller {
            return Ok(());
        }
        let engine = engine.share();
        let started = runtime::spawn(move || engine.locks().look_at_the_times(&engine));
        state.poller = started.is_ok();
        started.map_err(|_| no_thread())
    }

    /// Does what is due, until there has been nothing to do for a while.
    fn look_at_the_times(&self, engine: &Engine) {
        let mut state = self.lock();
        loop {
            let now = runtime::now();
            let mut timed_out = Vec::new();
            while let Some(entry) = state.deadlines.first_entry().filter(|entry| entry.key().0 <= now) {
                timed_out.push(entry.remove());
            }
            let poll = state.polls.first_entry().filter(|entry| entry.key().0 <= now).map(|entry| {
                let ((_, id), identity) = entry.remove_entry();
                (identity, id)
            });
            let mut rung = Vec::new();
            while let Some(entry) = state.alarms.first_entry().filter(|entry| entry.key().0 <= now) {
                rung.push(entry.remove());
            }
            if poll.is_some() || !timed_out.is_empty() || !rung.is_empty() {
                drop(state);
                rung.iter().for_each(Ticket::ring);
                drop(rung);
                for requested in &timed_out {
                    self.time_out(engine, requested);
                }
                drop(timed_out);
                if let Some((identity, id)) = poll {
                    self.poll(engine, identity, id);
                }
                state = self.lock();
                continue;
            }
            let deadline = state.deadlines.first_key_value().map(|((time, _), _)| *time);
            let next = state.polls.first_key_value().map(|((time, _), _)| *time);
            let alarm = state.alarms.first_key_value().map(|((time, _), _)| *time);
            let next = deadline.into_iter().chain(next).chain(alarm).min();
            let most = next.map_or(LOCK_POLLER_KEPT_FOR, |next| next.saturating_duration_since(now));
            let (back, timed_out) = self.times.wait(&self.state, state, most);
            state = back;
            let idle = state.deadlines.is_empty() && state.polls.is_empty() && state.alarms.is_empty();
            if timed_out && next.is_none() && idle {
                state.poller = false;
                return;
            }
        }
    }
}

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
