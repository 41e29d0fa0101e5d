//! The thread that looks at the times: it answers those whose time is over, and asks the kernel again for others.
//!
//! It is no worker, never waits in the kernel for a lock, and the exit of the process does not wait for it.

use super::candidate::{Candidate, Entry};
use super::lock_file::Identity;
use super::locks::{Locks, State};
use super::queue::Phase;
use crate::engine::ticket::Ticket;
use crate::engine::{Engine, runtime};
use crate::error::{Error, Subject};
use crate::limits::LOCK_POLLER_KEPT_FOR;
use crate::platform;

impl Locks {
    /// Ensures that there is a thread that looks at the times.
    pub(super) fn start_poller(&self, state: &mut State, engine: &Engine) -> Result<(), Error> {
        if state.poller {
            return Ok(());
        }
        let engine = engine.share();
        let started = runtime::spawn(move || engine.locks().look_at_the_times(&engine));
        state.poller = started.is_ok();
        started.map_err(|_| Error::Refused {
            code: platform::NO_THREAD,
            message: "The system refuses the thread that looks at the time while a lock is waited for",
            subject: Subject::Path,
            special: false,
        })
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

    /// It is time to ask the kernel again.
    fn poll(&self, engine: &Engine, identity: Identity, id: u64) {
        let mut state = self.lock();
        let Some(queue) = state.queues.get_mut(identity) else { return };
        let patience = match queue.find(id).map(|waiting| &waiting.phase) {
            Some(Phase::Polling(patience)) => *patience,
            Some(Phase::Queued | Phase::Blocked) | None => return,
        };
        let Some(waiting) = queue.promote(id) else {
            let Some(waiting) = queue.find(id) else { return };
            // Somebody has come between.
            waiting.phase = Phase::Queued;
            let file = waiting.file.take();
            drop(state);
            drop(file);
            return;
        };
        state.waiting.remove(&waiting.requested.order);
        drop(state);
        let (requested, entry) = (waiting.requested, Entry::new(engine, identity, id));
        let answer = match waiting.file {
            Some(file) if patience.is_exhausted() && file.may_wait() => {
                self.block(engine, &requested, Candidate { file, entry }, patience)
            }
            Some(file) => self.settle(engine, &requested, Candidate { file, entry }, patience, false),
            None => self.reopen(engine, &requested, entry, false),
        };
        if let Some(answer) = answer {
            requested.answer(answer);
        }
    }
}
