//! What all sides of a handle share, under a lock that is held for short moments, and never while the caller's code
//! runs: who waits for what, what workers are at, and what is to be written.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};

use super::reply::Reply;
use super::trace::{Trace, Unread};
use super::writer::Writer;
use crate::engine::ticket::Ticket;
use crate::error::Error;
use crate::platform::File;

/// What the lock protects.
pub(super) struct Shared {
    /// The file; `None` once it has been closed or given up.
    pub(super) file: Option<Arc<File>>,
    /// Who waits for the turn.
    pub(super) queue: VecDeque<Arc<Ticket>>,
    /// A worker has a task of the holder of the turn.
    pub(super) job: bool,
    /// And that is to close the file: whatever needs no turn is not to begin any more.
    pub(super) closing: bool,
    /// What the one that ended last has done and replied, until the holder of the turn collects it. There is no reply
    /// where it was never begun.
    pub(super) ended: Option<(Trace, Option<Result<Reply, Error>>)>,
    /// The holder of the turn has gone, and this is to be put back: the worker passes it on when the job ends.
    pub(super) abandoned: Option<Option<Unread>>,
    /// Positional operations under way, and who waits for their end.
    pub(super) positional: usize,
    pub(super) positional_waiter: Option<Arc<Ticket>>,
    /// One has written since anything was read ahead, perhaps there.
    pub(super) stale: bool,
    pub(super) writer: Writer,
    /// How far it has come with a file that nobody is going to close, and who waits for the end of that.
    pub(super) unattended: Unattended,
    pub(super) close_waiters: Vec<Arc<Ticket>>,
    /// The holder of the turn waits for that, and does not use the file.
    pub(super) turn_waits_for_close: bool,
}

/// How far it has come with a file that nobody is going to close. It only ever goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unattended {
    /// Somebody is going to close it, or has done so.
    No,
    /// Nobody is going to close it any more. The holder of the turn still ends first, who would else be told that a
    /// file is closed in which something has just been done.
    Left,
    /// It counts as closed, and is closed as soon as no worker uses it.
    Due,
    /// It is being closed in the background.
    Closing,
    /// It is closed.
    Closed,
}

/// What is known without the lock.
#[derive(Default)]
pub(super) struct Known {
    /// The file has been closed, or given up, or has to be closed.
    pub(super) closed: AtomicBool,
    /// There may be something to be written, an error to be told, or something stale that was read ahead. It can become
    /// so only in somebody's turn, but for what positional operations leave.
    pub(super) unsettled: AtomicBool,
}

/// The lock, held. What is known without it is brought up to date when it is let go of.
pub(super) struct Locked<'a> {
    pub(super) shared: MutexGuard<'a, Shared>,
    pub(super) known: &'a Known,
}

impl Deref for Locked<'_> {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Shared {
        &mut self.shared
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let Shared { file, unattended, closing, writer, stale, .. } = &*self.shared;
        let due = *unattended >= Unattended::Due;
        self.known.closed.store(file.is_none() || due || *closing, Ordering::Release);
        let unsettled = !writer.is_done() || writer.error.is_some() || *stale;
        self.known.unsettled.store(unsettled, Ordering::Release);
    }
}
