//! Whose turn it is: the queue of a file goes on when somebody leaves it.

use std::sync::Arc;

use super::candidate::{Candidate, Entry as Place};
use super::claim::Mode;
use super::lock_file::{Identity, closed};
use super::locks::{Locks, State};
use super::own_file::OwnFile;
use super::patience::Patience;
use super::queue::Queue;
use super::request::Requested;
use crate::engine::{Engine, Process, runtime};
use crate::limits::{LOCK_LET_IN, LOCK_LONGEST_STREAK, LOCKS_AT_ONCE};

/// Somebody whose turn it is.
pub(super) struct Ready(Arc<Requested>, Place);

impl Locks {
    /// Removes a holder of a file's locks. The next one may try.
    pub(super) fn leave(&self, engine: &Engine, identity: Identity, id: u64) {
        let mut state = self.lock();
        let released = state.queues.get_mut(identity).and_then(|queue| queue.release(id));
        let ready = self.take_ready(&mut state, engine, identity);
        drop(state);
        drop(released);
        self.go_on(engine, ready);
    }

    /// An open file has been closed, which has released its locks: those that have waited for others to release them may try.
    /// Those who wait for its own locks do so in vain.
    pub(crate) fn closed(&self, engine: &Engine, identity: Identity, description: usize) {
        let mut state = self.lock();
        let Some(queue) = state.queues.get_mut(identity) else { return };
        let in_vain = queue.take_waiting(description);
        for waiting in &in_vain {
            state.waiting.remove(&waiting.requested.order);
        }
        let ready = self.take_ready(&mut state, engine, identity);
        drop(state);
        self.go_on(engine, ready);
        for waiting in in_vain {
            self.unwatch(&waiting.requested);
            waiting.requested.answer(Err(closed()));
        }
    }

    /// The task of a holder wants its lock no more, although a worker still has it.
    pub(super) fn let_go(&self, engine: &Engine, (identity, id): (Identity, u64)) {
        // In a forked child the queues are the parent's, and perhaps locked for ever.
        if engine.process() == Process::current()
            && let Some(queue) = self.lock().queues.get(identity)
        {
            queue.let_go(id);
        }
    }

    /// Gives up a request, wherever it is.
    pub(super) fn forget(&self, engine: &Engine, requested: &Arc<Requested>) {
        self.unwatch(requested);
        let mut state = self.lock();
        let Some((identity, id)) = state.waiting.remove(&requested.order) else { return };
        let Some(queue) = state.queues.get_mut(identity) else { return };
        // One whose thread waits in the kernel is unlocked by that thread as soon as it is locked.
        let waiting = queue.remove(id);
        let ready = self.take_ready(&mut state, engine, identity);
        drop(state);
        drop(waiting);
        self.go_on(engine, ready);
    }

    /// The open file through which a file is locked for those of this process who share it.
    pub(super) fn shared_file(&self, identity: Identity) -> Option<Arc<OwnFile>> {
        self.lock().queues.get(identity).and_then(Queue::shared)
    }

    /// Has others share the file of a shared lock. Those who have waited for it may try.
    pub(super) fn offer(&self, engine: &Engine, candidate: &Candidate) {
        let (Some(file), identity) = (candidate.file.own(), candidate.entry.identity) else { return };
        let mut state = self.lock();
        if !state.queues.get_mut(identity).is_some_and(|queue| queue.offer(file)) {
            return;
        }
        let ready = self.take_ready(&mut state, engine, identity);
        drop(state);
        self.go_on(engine, ready);
    }

    /// Makes the claim of a holder another one, unless another one in this process is in the way. Those that have waited
    /// for the old one may try.
    pub(super) fn convert(&self, engine: &Engine, entry: &Place, mode: Mode) -> bool {
        let mut state = self.lock();
        let Some(queue) = state.queues.get_mut(entry.identity) else { return false };
        let converted = queue.convert(entry.id, mode);
        let ready = self.take_ready(&mut state, engine, entry.identity);
        drop(state);
        self.go_on(engine, ready);
        converted
    }

    /// Makes holders of those who have waited for others of this process and need not any more. If nobody is left in the
    /// queue, it is forgotten.
    pub(super) fn take_ready(&self, state: &mut State, engine: &Engine, identity: Identity) -> Vec<Ready> {
        let Some(queue) = state.queues.after_leaving(identity) else { return Vec::new() };
        let ready = queue.ready();
        if ready.is_empty() {
            return Vec::new();
        }
        let now = runtime::now();
        let since = *queue.since.get_or_insert(now);
        // Other processes get it now and then.
        let let_in = now.saturating_duration_since(since) > LOCK_LONGEST_STREAK;
        let (mut at_once, mut next) = (LOCKS_AT_ONCE, now);
        if let_in {
            queue.since = None;
            (at_once, next) = (0, now + LOCK_LET_IN);
        }
        let (mut taken, mut later) = (Vec::new(), Vec::new());
        for (number, id) in ready.into_iter().enumerate() {
            // Without a thread for later, it is done now.
            if number >= at_once && self.poll_at(state, engine, next, (identity, id)).is_ok() {
                later.push(id);
            } else if let Some(waiting) = state.queues.get_mut(identity).and_then(|queue| queue.promote(id)) {
                state.waiting.remove(&waiting.requested.order);
                taken.push(Ready(waiting.requested, Place::new(engine, identity, id)));
            }
        }
        if let Some(queue) = state.queues.get_mut(identity) {
            queue.start_polling(&later, Patience::new());
        }
        taken
    }

    /// Lets those whose turn it is try.
    pub(super) fn go_on(&self, engine: &Engine, ready: Vec<Ready>) {
        for Ready(requested, entry) in ready {
            if let Some(answer) = self.reopen(engine, &requested, entry, false) {
                requested.answer(answer);
            }
        }
    }
}
