//! When something is due: a request times out, the kernel is asked again, somebody else is woken.

use std::sync::Arc;
use std::time::Instant;

use super::claim::Extent;
use super::lock_file::Identity;
use super::locks::{Locks, State};
use super::request::Requested;
use crate::engine::ticket::Ticket;
use crate::engine::{Engine, runtime};
use crate::error::Error;
use crate::platform;

impl Locks {
    /// Notes when a request times out.
    pub(super) fn watch(&self, engine: &Engine, requested: &Arc<Requested>) -> Result<(), Error> {
        let Some(deadline) = requested.deadline else { return Ok(()) };
        let mut state = self.lock();
        if requested.is_over() {
            return Ok(());
        }
        let key = (deadline, requested.order);
        let first = state.deadlines.first_key_value().is_none_or(|(first, _)| key < *first);
        state.deadlines.insert(key, Arc::clone(requested));
        let started = self.start_poller(&mut state, engine);
        if first {
            self.times.notify_one();
        }
        if started.is_err() {
            state.deadlines.remove(&key);
        }
        started
    }

    /// Forgets when a request times out.
    pub(super) fn unwatch(&self, requested: &Requested) {
        if let Some(deadline) = requested.deadline {
            let forgotten = self.lock().deadlines.remove(&(deadline, requested.order));
            // Not under the lock.
            drop(forgotten);
        }
    }

    /// A request has timed out.
    pub(super) fn time_out(&self, engine: &Engine, requested: &Arc<Requested>) {
        if let Some(until) = requested.first_try().filter(|until| *until > runtime::now()) {
            // Only a worker knows yet whether somebody is in the way.
            let mut state = self.lock();
            if requested.first_try().is_some() && !requested.is_over() {
                state.deadlines.insert((until, requested.order), Arc::clone(requested));
                return;
            }
        }
        if !requested.claim_answer() {
            return;
        }
        requested.give_up();
        let mut state = self.lock();
        let place = state.waiting.get(&requested.order).copied();
        let (mut locked, mut file) = (false, None);
        if let Some((identity, id)) = place
            && let Some(queue) = state.queues.get_mut(identity)
        {
            locked = queue.is_locked(&requested.claim());
            file = queue.find(id).and_then(|waiting| waiting.file.take());
        }
        drop(state);
        let holder = if locked {
            Some(std::process::id())
        } else {
            // The table of locks is in memory, but on a network the server has it.
            file.as_ref().filter(|file| file.local).and_then(|file| file.holder(&requested.claim())).or_else(
                || {
                    // Who has a lock of the whole file is not in the way of one of a range.
                    place
                        .filter(|_| requested.request.extent == Extent::Whole)
                        .and_then(|(identity, _)| platform::file_lock_holder(identity.device, identity.inode))
                },
            )
        };
        requested.ticket().finish(Err(Error::LockTimeout { holder }));
        self.forget(engine, requested);
        drop(file);
    }

    /// Notes when to ask the kernel again.
    pub(super) fn poll_at(
        &self,
        state: &mut State,
        engine: &Engine,
        time: Instant,
        (identity, id): (Identity, u64),
    ) -> Result<(), Error> {
        self.start_poller(state, engine)?;
        let first = state.polls.first_key_value().is_none_or(|(first, _)| (time, id) < *first);
        state.polls.insert((time, id), identity);
        if first {
            self.times.notify_one();
        }
        Ok(())
    }

    /// Wakes somebody at a time.
    pub(super) fn alarm(&self, engine: &Engine, time: Instant, ticket: &Arc<Ticket>) -> Result<(), Error> {
        let mut state = self.lock();
        self.start_poller(&mut state, engine)?;
        state.alarms.insert((time, ticket.token()), Arc::clone(ticket));
        self.times.notify_one();
        Ok(())
    }
}
