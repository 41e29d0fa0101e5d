//! All locks of this process: the queues of their files, and when to look at them again.
//!
//! A request first needs a place in its file's queue ([`super::queue`]). Those whom nobody in this process is in the way of ask
//! the kernel, without waiting ([`super::attempt`]); if another process is in the way they ask again from time to time
//! ([`super::poller`]), and after a while a thread waits in the kernel for them ([`super::waiting_thread`]). Nothing is
//! called under the lock of the queues, and nothing that may block on the loop's thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::lock_file::Identity;
use super::queues::Queues;
use super::request::Requested;
use crate::engine::runtime::sync::{Mutex, MutexGuard};
use crate::engine::runtime::{self, Condition};
use crate::engine::ticket::Ticket;

/// The queues, and when to look at them again.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) queues: Queues,
    pub(super) next: u64,
    /// Where those who wait are, by the order of their requests.
    pub(super) waiting: HashMap<u64, (Identity, u64)>,
    /// When to ask the kernel again, and for whom.
    pub(super) polls: BTreeMap<(Instant, u64), Identity>,
    /// When a request times out.
    pub(super) deadlines: BTreeMap<(Instant, u64), Arc<Requested>>,
    /// When to wake somebody who waits for something else.
    pub(super) alarms: BTreeMap<(Instant, u64), Arc<Ticket>>,
    /// Whether there is a thread that looks at these times.
    pub(super) poller: bool,
    /// How many threads wait in the kernel.
    pub(super) blocked: usize,
}

impl State {
    /// For how many the kernel is going to be asked again.
    pub(super) fn asked(&self) -> usize {
        self.polls.len() + self.alarms.len()
    }
}

/// The locks of a process.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    pub(super) state: Mutex<State>,
    pub(super) times: Condition,
}

impl Locks {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        runtime::lock(&self.state)
    }
}
