//! What holds of locks whenever nobody holds the lock of their queues: for the simulation.

use std::os::fd::AsRawFd;

use super::lock_file::Identity;
use super::locks::Locks;
use super::{Acquisition, HeldLock};

impl Locks {
    /// Whether nobody holds the lock.
    pub(crate) fn is_unlocked(&self) -> bool {
        self.state.try_lock().is_ok()
    }

    /// Whether there has been a request, or somebody who wants to be woken.
    pub(crate) fn is_used(&self) -> bool {
        self.state.try_lock().is_ok_and(|state| state.next > 0 || state.poller)
    }

    /// What does not hold.
    pub(crate) fn broken(&self) -> Option<&'static str> {
        let Ok(state) = self.state.try_lock() else { return Some("the lock of the queues is held") };
        if let Some(why) = state.queues.iter().find_map(|(_, queue)| queue.broken()) {
            return Some(why);
        }
        let (mut count, mut in_hand) = (0, 0);
        for (identity, queue) in state.queues.iter() {
            for (id, order, polls) in queue.waiting() {
                count += 1;
                if state.waiting.get(&order) != Some(&(identity, id)) {
                    return Some("somebody who waits cannot be found by its request");
                }
                in_hand += usize::from(polls && !state.polls.keys().any(|(_, polled)| *polled == id));
            }
        }
        // The thread that asks for them has one in hand at a time. Without it they are told that there is none.
        if state.poller && in_hand > 1 {
            return Some("the kernel is not going to be asked for somebody again");
        }
        if count != state.waiting.len() {
            return Some("a request is thought to wait that does not");
        }
        let timed = !state.polls.is_empty() || !state.deadlines.is_empty() || !state.alarms.is_empty();
        (timed && !state.poller).then_some("something is to be done at a time, and nobody looks at the clock")
    }

    /// What is left although nobody asks for a lock or holds one.
    pub(crate) fn left(&self) -> Option<&'static str> {
        let state = self.lock();
        if !state.queues.is_empty() || !state.waiting.is_empty() {
            return Some("somebody holds a lock or waits for one, whom there is not");
        }
        if !state.deadlines.is_empty() {
            return Some("a deadline of nobody's is left");
        }
        (state.blocked > 0).then_some("a thread waits in the kernel for nobody")
    }
}

impl Acquisition {
    /// Whether it has a place in the queue, and waits there.
    pub(crate) fn is_queued(&self) -> bool {
        self.engine.locks().lock().waiting.contains_key(&self.requested.order)
    }
}

impl Identity {
    pub(crate) fn of(device: u64, inode: u64) -> Self {
        Self { device, inode: inode.into() }
    }
}

impl HeldLock {
    /// The file that is locked.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.0.as_ref().map(|candidate| candidate.file.identity)
    }

    /// The descriptor through which it is locked, if it was opened for that.
    pub(crate) fn descriptor(&self) -> Option<i32> {
        Some(self.0.as_ref()?.file.own()?.get()?.as_raw_fd())
    }
}
