//! Turns: operations on one handle run one at a time, in the order in which they were begun.
//!
//! The turn gives access to the file, the read buffer and the decoder. It is not a lock: its holder may run code of the
//! caller's, such as a finalizer that uses the same file, which finds the turn taken and waits in the queue. Taking and
//! passing on a turn that nobody else wants is one atomic exchange each.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::guard::Guard;
use super::handle::{Handle, in_use};
use super::job::HandleJob;
use super::reply::Reply;
use super::shared::{Shared, TaskState};
use super::task::Task;
use super::trace::Unread;
use crate::engine::ticket::Ticket;
use crate::error::Error;
use crate::outcome::Outcome;

/// Nobody has the turn.
pub(super) const FREE: u8 = 0;
/// Somebody has it, and nobody else wants it.
pub(super) const TAKEN: u8 = 1;
/// Passing it on needs more than an exchange. Set and reset only under the lock.
pub(super) const WANTED: u8 = 2;

/// The turn of an operation that waits for something. Dropping it passes it on: if a worker performs a task of the
/// operation, when that ends, otherwise at once.
pub struct Turn {
    handle: Arc<Handle>,
    /// It has been passed on.
    over: bool,
}

/// The result of requesting the turn.
#[derive(Debug)]
pub enum TurnRequest {
    /// The turn is granted.
    Granted(Turn),
    /// Others are before it in the queue.
    Queued(QueuedTurn),
}

/// A place in the queue for the turn. Dropping it leaves the queue.
#[derive(Debug)]
pub struct QueuedTurn {
    handle: Arc<Handle>,
    ticket: Arc<Ticket>,
    taken: bool,
}

impl Handle {
    /// Takes the turn, for as long as the guard exists, if nobody has it or waits for it.
    ///
    /// # Errors
    /// In a forked child, if the parent was using the handle during the fork.
    pub fn begin(self: &Arc<Self>) -> Result<Option<Guard<'_>>, Error> {
        if self.is_inherited() {
            self.check_inherited()?;
        }
        let taken = self.turn.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok();
        // SAFETY: the turn has just been taken.
        Ok(taken.then(|| unsafe { Guard::new(self, true) }))
    }

    /// A guard without taking the turn, if nobody has it. `None` also if the file has been closed.
    ///
    /// # Errors
    /// In a forked child, if the parent was using the handle during the fork.
    ///
    /// # Safety
    /// While the guard exists, no other code calls a method of this handle, neither in another thread, which something
    /// prevents, nor in this one. (A worker calls none unless an operation has the turn, or the owner has dropped the
    /// handle.)
    #[inline]
    pub unsafe fn begin_alone(self: &Arc<Self>) -> Result<Option<Guard<'_>>, Error> {
        if self.is_inherited() {
            self.check_inherited()?;
        }
        // A file that will be closed in the background counts as closed already.
        let free = self.turn.load(Ordering::Acquire) == FREE && !self.is_closed();
        // SAFETY: nobody has the turn, and the caller guarantees that nobody takes it.
        Ok(free.then(|| unsafe { Guard::new(self, false) }))
    }

    /// Waits for the turn. The ticket is finished when it comes.
    pub fn queue(self: &Arc<Self>, ticket: &Arc<Ticket>) -> TurnRequest {
        let mut shared = self.shared();
        loop {
            let state = self.turn.load(Ordering::Relaxed);
            let (from, to) = if state == FREE { (FREE, TAKEN) } else { (state, WANTED) };
            if self.turn.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed).is_err() {
                continue;
            }
            if from == FREE {
                return TurnRequest::Granted(Turn { handle: Arc::clone(self), over: false });
            }
            shared.queue.push_back(Arc::clone(ticket));
            return TurnRequest::Queued(QueuedTurn {
                handle: Arc::clone(self),
                ticket: Arc::clone(ticket),
                taken: false,
            });
        }
    }

    /// Passes the turn on.
    ///
    /// # Safety
    /// The caller has it, and does not use it any more.
    pub(super) unsafe fn pass_on(self: &Arc<Self>) {
        if self.turn.compare_exchange(TAKEN, FREE, Ordering::Release, Ordering::Relaxed).is_err() {
            // SAFETY: guaranteed by the caller.
            unsafe { self.pass_on_slowly() };
        }
    }

    /// # Safety
    /// That of `pass_on`.
    #[cold]
    pub(super) unsafe fn pass_on_slowly(self: &Arc<Self>) {
        let mut shared = self.shared();
        shared.file.pass_on();
        // SAFETY: guaranteed by the caller.
        let close = unsafe { self.close_in_background_in_turn(&mut shared) };
        let next = shared.queue.pop_front();
        let state = match &next {
            None => FREE,
            Some(_) if shared.queue.is_empty() && !shared.file.awaits_background() => TAKEN,
            Some(_) => WANTED,
        };
        self.turn.store(state, Ordering::Release);
        drop(shared);
        if let Some(ticket) = next {
            ticket.finish(Ok(Outcome::Done));
        }
        if let Some(close) = close {
            close.begin();
        }
    }

    /// Lets the holder of the turn, when it passes it on, check whether the file has to be closed in the background. If
    /// nobody has the turn, takes it for the caller, who has to pass it on slowly, without the lock.
    #[must_use]
    pub(super) fn want_background_close(&self, _locked: &mut Shared) -> bool {
        self.turn.swap(WANTED, Ordering::Acquire) == FREE
    }
}

impl QueuedTurn {
    /// The ticket that is finished when the turn is granted.
    pub fn ticket(&self) -> &Arc<Ticket> {
        &self.ticket
    }

    /// The turn, if it has been granted.
    ///
    /// # Errors
    /// It has not been granted yet.
    pub fn turn(mut self) -> Result<Turn, Self> {
        if !self.ticket.is_done() {
            return Err(self);
        }
        self.taken = true;
        Ok(Turn { handle: Arc::clone(&self.handle), over: false })
    }
}

impl Drop for QueuedTurn {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let Ok(mut shared) = self.handle.try_shared() else { return };
        let place = shared.queue.iter().position(|waiting| Arc::ptr_eq(waiting, &self.ticket));
        let left = place.and_then(|place| shared.queue.remove(place));
        drop(shared);
        if left.is_none() {
            // SAFETY: an operation that has left the queue in another way has been granted the turn.
            unsafe { self.handle.pass_on() };
        }
    }
}

impl Turn {
    /// The turn of a guard.
    ///
    /// # Safety
    /// The turn has been taken, and nobody else passes it on.
    pub(super) unsafe fn new(handle: &Arc<Handle>) -> Self {
        Self { handle: Arc::clone(handle), over: false }
    }

    /// A guard of this turn. Not while a worker performs a task.
    ///
    /// # Errors
    /// In a forked child, if the parent was using the handle during the fork.
    pub fn guard(&mut self) -> Result<Guard<'_>, Error> {
        self.resume().map(|(guard, _)| guard)
    }

    /// The same, and the reply of the task that has ended since.
    ///
    /// # Errors
    /// Those of [`Turn::guard`].
    #[allow(clippy::type_complexity, reason = "the reply is there once, and may be an error")]
    pub fn resume(&mut self) -> Result<(Guard<'_>, Option<Result<Reply, Error>>), Error> {
        let mut shared = self.handle.try_shared()?;
        if shared.task.is_running() {
            return Err(in_use());
        }
        let task = std::mem::take(&mut shared.task);
        drop(shared);
        // The trace is dropped without the lock: it may hold the last reference to memory of the caller's.
        let reply = if let TaskState::Ended(_, reply) = task { reply } else { None };
        // SAFETY: the turn is this one's, and borrowed for as long, and no worker has a task.
        Ok((unsafe { Guard::new(&self.handle, false) }, reply))
    }

    /// A task for a worker, which the caller must submit. Until it is complete, the worker has exclusive access.
    ///
    /// # Errors
    /// While a worker already performs one; for closing, while positional operations are running; in a forked child, if
    /// the parent was using the handle during the fork.
    pub fn task(&mut self, task: Task) -> Result<HandleJob, Error> {
        let mut shared = self.handle.try_shared()?;
        if shared.task.is_running() {
            return Err(in_use());
        }
        if matches!(task, Task::Close) && !shared.file.is_closed() && !shared.file.begin_closing() {
            return Err(in_use());
        }
        let before = std::mem::replace(&mut shared.task, TaskState::Running);
        drop(shared);
        drop(before);
        Ok(HandleJob::new(Arc::clone(&self.handle), task))
    }

    /// Abandons the operation while it waits. The unreported effects of its tasks are undone, `unread` is put back in
    /// front of that, and the turn is passed on. `ticket`: that of the task that it waits for.
    pub fn abandon(mut self, ticket: Option<&Ticket>, unread: Option<Unread>) {
        self.end(ticket, unread);
    }

    fn end(&mut self, ticket: Option<&Ticket>, unread: Option<Unread>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let handle = &self.handle;
        let Ok(mut shared) = handle.try_shared() else { return };
        shared.writer.waiter = None;
        shared.file.stop_waiting();
        // Under this lock, a worker that finishes either sees that nobody waits, or has stored its reply.
        if shared.task.is_running() {
            shared.task = TaskState::Abandoned(unread);
            if let Some(signal) = &handle.signal {
                signal.raise();
            }
            drop(shared);
            if let Some(ticket) = ticket {
                ticket.cancel();
            }
            return;
        }
        let task = std::mem::take(&mut shared.task);
        drop(shared);
        // SAFETY: the turn is this one's, no worker has a task, and it is passed on when this guard is dropped.
        let mut guard = unsafe { Guard::new(handle, true) };
        if let TaskState::Ended(mut trace, reply) = task {
            // A job that was never begun has no reply, but its ticket has the error.
            let failed = || ticket.and_then(Ticket::take)?.err().map(Err);
            if let Some(reply) = reply.or_else(failed) {
                trace.undo(&mut guard, reply);
            }
        }
        if let Some(unread) = unread {
            guard.restore(unread);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.end(None, None);
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Turn").field(&self.handle).finish()
    }
}
