//! The shared state of a handle: waiting operations, running jobs, and the write buffer. Its lock is held only briefly,
//! and never while the caller's code runs.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::file_state::FileState;
use super::reply::Reply;
use super::trace::{Trace, Unread};
use super::writer::Writer;
use crate::engine::runtime::sync::{AtomicBool, MutexGuard};
use crate::engine::ticket::Ticket;
use crate::error::Error;

/// The state that the lock protects.
pub(super) struct Shared {
    /// The file, and who uses it or waits for its end.
    pub(super) file: FileState,
    /// The operations that wait for the turn.
    pub(super) queue: VecDeque<Arc<Ticket>>,
    /// What a worker does for the turn's holder.
    pub(super) task: TaskState,
    /// Whether a positional operation has written since the read-ahead, perhaps to the same place.
    pub(super) stale: bool,
    pub(super) writer: Writer,
}

impl Shared {
    /// Whether the file has to be closed in the background, and neither a writer nor a positional operation uses it.
    pub(super) fn is_due(&self) -> bool {
        !self.writer.running && self.file.is_due()
    }

    /// Keeps the error of a write for the next call to raise; the first one, if there are several. That there was no
    /// thread is not kept: nothing has been written, the next call tries again, and an error of that would be lost.
    pub(super) fn leave_error(&mut self, error: Error) {
        if !matches!(error, Error::NoThread) {
            self.writer.error.get_or_insert(error);
        }
    }
}

/// The state of the task that the turn's holder has given a worker.
#[derive(Default)]
pub(super) enum TaskState {
    /// There is none.
    #[default]
    None,
    /// A worker performs it, and has exclusive access.
    Running,
    /// The same, but the turn's holder has been abandoned. This has to be put back when it ends, and the turn is passed on
    /// by the worker.
    Abandoned(Option<Unread>),
    /// It has ended. These are its effects and its reply, until the turn's holder collects them. There is no reply if it was
    /// never begun.
    Ended(Trace, Option<Result<Reply, Error>>),
}

impl TaskState {
    /// Whether a worker has exclusive access.
    pub(super) fn is_running(&self) -> bool {
        matches!(self, Self::Running | Self::Abandoned(_))
    }
}

/// Flags that can be read without the lock.
#[derive(Default)]
pub(super) struct Known {
    /// The file has been closed, or given up, or has to be closed.
    pub(super) closed: AtomicBool,
    /// Whether there may be something to write, an error to raise, or stale read-ahead. It is set only in a turn, or by
    /// positional operations.
    pub(super) unsettled: AtomicBool,
    /// Closing it has failed, so that something of what was written may be missing.
    pub(super) incomplete: AtomicBool,
}

/// The held lock. The flags are updated when it is released.
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
        let Shared { file, writer, stale, .. } = &*self.shared;
        self.known.closed.store(file.is_closed(), Ordering::Release);
        let unsettled = !writer.is_done() || writer.error.is_some() || *stale;
        self.known.unsettled.store(unsettled, Ordering::Release);
    }
}
