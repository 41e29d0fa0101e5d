//! Driving an operation in its turn: waiting for that and for workers, and yielding to other tasks.

use std::sync::Arc;
use std::time::Instant;

use super::{FileProgress, submit};
use crate::engine::keep_alive::release_memory;
use crate::engine::progress::Progress;
use crate::engine::runtime;
use crate::engine::ticket::Ticket;
use crate::error::Error;
use crate::handle::complaint::{Complaint, Failure};
use crate::handle::file::HandleFile;
use crate::handle::guard::{Guard, WriterState};
use crate::handle::handle::Handle;
use crate::handle::job::HandleJob;
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, MadeText, Sink};
use crate::handle::task::Task;
use crate::handle::trace::Unread;
use crate::handle::turn::{QueuedTurn, Turn, TurnRequest};
use crate::limits::LONGEST_TASK_CHAIN;
use crate::text::Text;

/// How far an operation has advanced, and what it needs next.
pub enum Advance<S: Sink> {
    /// It is complete, with this result.
    Done(S::Value),
    /// A worker has to perform a task.
    Task(Task),
    /// A worker has to discard the read-ahead before the operation begins.
    Refresh,
    /// The writer has to reach this state first.
    AwaitWriter(WriterState),
    /// Positional operations have to end first.
    AwaitPositional,
    /// The file has to be closed in the background first.
    AwaitClose,
    /// A string has to be created from text.
    Text(Box<Text>),
    /// Code of the caller's has to run: [`FileOperation::call`].
    Call,
    /// Other tasks should run.
    Yield,
    /// The next part can begin, perhaps after other tasks have run.
    Next,
}

/// An operation on a handle that has it for itself: in its turn.
pub trait FileOperation<S: Sink>: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Advances as far as possible, in the turn of the guard. `reply`: that of the task that was requested.
    ///
    /// # Errors
    /// The operation is over then.
    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>>;

    /// The result, if it is available at once. Most operations on small pieces end here, so this has to be short. It
    /// must not run code of the caller's that could use the handle.
    fn at_hand(
        &mut self,
        _context: S::Context<'_>,
        _file: &HandleFile<S>,
        _guard: &mut Guard<'_>,
    ) -> Option<Fallible<S, S::Value>> {
        None
    }

    /// Runs the caller's code.
    ///
    /// # Errors
    /// Those of that code.
    fn call(&mut self, _context: S::Context<'_>, _guard: &mut Guard<'_>) -> Fallible<S, ()> {
        Ok(())
    }

    /// Handles the failure of a task. By default the operation fails.
    ///
    /// # Errors
    /// The error, unless the operation continues.
    fn failed(&mut self, error: Error) -> Result<(), Error> {
        Err(error)
    }

    /// How much it reads, if reads of this size may be read ahead together.
    fn takes_ahead(&self) -> usize {
        0
    }

    /// Continues with what needs neither the file nor the task that a worker has just been given.
    ///
    /// # Errors
    /// The operation is over then.
    fn meanwhile(&mut self, _context: S::Context<'_>) -> Fallible<S, ()> {
        Ok(())
    }

    /// After a cancellation: what the operation has taken from the buffers, to be put back.
    fn unread(&mut self) -> Option<Unread> {
        None
    }

    /// Whether the file has to be closed even if the operation is cancelled.
    fn closes(&self) -> bool {
        false
    }
}

/// The state of an operation.
enum Phase {
    /// Not begun.
    Start,
    /// Another operation has the turn.
    Queued(QueuedTurn),
    /// It waits for a ticket.
    Waiting(Turn, Arc<Ticket>),
    /// A worker performs a task of it.
    Working(Turn, Arc<Ticket>),
    /// It has yielded to other tasks, perhaps before it had the turn.
    Yielded(Option<Turn>),
    /// It has the turn, and can advance.
    Going(Turn),
    Over,
}

/// Whether an operation has had a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// It has not.
    Before,
    /// A worker discards the read-ahead first.
    Refreshing,
    /// It has.
    Begun,
}

/// An operation in its turn, driven step by step.
pub(super) struct InTurn<S: Sink> {
    operation: Box<dyn FileOperation<S>>,
    phase: Phase,
    start: Start,
    /// The value in which a worker lays out text.
    room: Option<S::Value>,
}

impl<S: Sink> InTurn<S> {
    /// An operation that has not begun.
    pub(super) fn new(operation: Box<dyn FileOperation<S>>) -> Self {
        Self { operation, phase: Phase::Start, start: Start::Before, room: None }
    }

    /// Whether it has not begun.
    pub(super) fn is_untouched(&self) -> bool {
        matches!(self.phase, Phase::Start)
    }

    /// What the operation is called.
    pub(super) fn name(&self) -> &'static str {
        self.operation.name()
    }

    /// Advances as far as possible, but may yield before it begins.
    #[inline]
    pub(super) fn advance_fairly(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
    ) -> FileProgress<S> {
        // Not when it is complete: a cancellation then would lose its result.
        match self.gives_way(context, file) {
            Ok(true) => Progress::Yield,
            Ok(false) => self.advance(context, file),
            Err(failure) => Progress::Done(Err(failure)),
        }
    }

    /// Whether other tasks should run before it begins. It takes its place among the operations on the file first.
    #[inline]
    fn gives_way(&mut self, context: S::Context<'_>, file: &HandleFile<S>) -> Fallible<S, bool> {
        if !self.is_untouched() || !S::must_yield(context)? {
            return Ok(false);
        }
        // Else it has to wait for its turn anyway.
        let Some(guard) = begin(&file.handle)? else { return Ok(false) };
        self.phase = Phase::Yielded(guard.keep());
        Ok(true)
    }

    /// Advances as far as possible.
    #[inline]
    pub(super) fn advance(&mut self, context: S::Context<'_>, file: &HandleFile<S>) -> FileProgress<S> {
        if self.is_untouched()
            && let Some(answer) = self.at_hand(context, file)
        {
            self.phase = Phase::Over;
            return Progress::Done(answer);
        }
        self.start(context, file)
    }

    /// Advances as far as possible, if the result is not available at once.
    #[inline(never)]
    fn start(&mut self, context: S::Context<'_>, file: &HandleFile<S>) -> FileProgress<S> {
        if self.is_untouched() {
            match begin(&file.handle) {
                Ok(Some(guard)) => return self.begin(context, file, guard),
                Ok(None) => {}
                Err(complaint) => return self.fail(file, complaint.into()),
            }
        }
        self.resume(context, file)
    }

    /// Advances for the first time. Most operations complete here, so this has to be short.
    #[inline]
    fn begin(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        mut guard: Guard<'_>,
    ) -> FileProgress<S> {
        // An error from here on ends the operation, and its turn.
        self.phase = Phase::Over;
        file.ahead.settle(context, &mut guard, self.operation.takes_ahead());
        if !guard.refresh() {
            self.start = Start::Refreshing;
            return self.go_on_after(context, file, guard, Advance::Refresh);
        }
        self.start = Start::Begun;
        match self.operation.advance(context, file, &mut guard, None) {
            Ok(Advance::Done(value)) => {
                let job = guard.start_writer(false);
                drop(guard);
                start_writer(&file.handle, job);
                Progress::Done(Ok(value))
            }
            Ok(step) => self.go_on_after(context, file, guard, step),
            Err(failure) => Progress::Done(Err(failure)),
        }
    }

    /// Advances after the first attempt.
    #[inline(never)]
    fn go_on_after(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        mut guard: Guard<'_>,
        step: Advance<S>,
    ) -> FileProgress<S> {
        let called = self.call(context, &mut guard, &step);
        let waits = called.and_then(|()| match guard.keep() {
            Some(turn) => self.wait(context, file, turn, step),
            None => Err(Complaint::Misplaced.into()),
        });
        match waits {
            Ok(Some(progress)) => progress,
            Ok(None) => self.resume(context, file),
            Err(failure) => self.fail(file, failure),
        }
    }

    /// Runs the caller's code, if that is what comes next.
    fn call(&mut self, context: S::Context<'_>, guard: &mut Guard<'_>, step: &Advance<S>) -> Fallible<S, ()> {
        if matches!(step, Advance::Call) { self.operation.call(context, guard) } else { Ok(()) }
    }

    /// Advances as far as possible, once it has begun.
    #[inline(never)]
    fn resume(&mut self, context: S::Context<'_>, file: &HandleFile<S>) -> FileProgress<S> {
        match self.go_on(context, file) {
            Ok(progress) => progress,
            Err(failure) => self.fail(file, failure),
        }
    }

    /// Handles an error. If a worker has just been given a task, the turn is passed on when that ends; otherwise it has
    /// already been passed on.
    #[cold]
    fn fail(&mut self, file: &HandleFile<S>, failure: Failure<S::Error>) -> FileProgress<S> {
        if matches!(self.phase, Phase::Working(..)) {
            self.abandon(file);
        }
        self.phase = Phase::Over;
        Progress::Done(Err(failure))
    }

    /// The result, if nobody has the turn and it is available at once.
    #[inline]
    fn at_hand(&mut self, context: S::Context<'_>, file: &HandleFile<S>) -> Option<Fallible<S, S::Value>> {
        // SAFETY: the sink guarantees that the guard is dropped before anybody else can use the handle, and operations
        // run no code of the caller's here.
        let mut guard = unsafe { begin_briefly::<S>(&file.handle) }?;
        self.operation.at_hand(context, file, &mut guard)
    }

    /// The ticket that has to be finished first.
    fn pending(&self) -> Option<&Arc<Ticket>> {
        let ticket = match &self.phase {
            Phase::Queued(place) => place.ticket(),
            Phase::Waiting(_, ticket) | Phase::Working(_, ticket) => ticket,
            _ => return None,
        };
        (!ticket.is_done()).then_some(ticket)
    }

    fn go_on(&mut self, context: S::Context<'_>, file: &HandleFile<S>) -> Fallible<S, FileProgress<S>> {
        let mut began: Option<Instant> = None;
        loop {
            // If workers are quick, one task follows the other, but only for a limited time.
            if matches!(self.phase, Phase::Working(..)) {
                let now = runtime::now();
                if now.saturating_duration_since(*began.get_or_insert(now)) > LONGEST_TASK_CHAIN {
                    return Ok(Progress::Yield);
                }
            }
            if let Some(ticket) = self.pending() {
                return Ok(Progress::Pending(Arc::clone(ticket)));
            }
            // An error from here on ends the operation, and its turn.
            let (turn, ticket) = match std::mem::replace(&mut self.phase, Phase::Over) {
                Phase::Start | Phase::Yielded(None) => (None, None),
                Phase::Queued(place) => (place.turn().ok(), None),
                Phase::Waiting(turn, ticket) => {
                    // No thread will ever do what it waits for. It ends as if it were abandoned.
                    if let Some(Err(error)) = ticket.take() {
                        turn.abandon(None, self.operation.unread());
                        return Err(error.into());
                    }
                    (Some(turn), None)
                }
                Phase::Yielded(Some(turn)) | Phase::Going(turn) => (Some(turn), None),
                Phase::Working(turn, ticket) => (Some(turn), Some(ticket)),
                Phase::Over => return Err(Complaint::Reused.into()),
            };
            if let Some(progress) = self.go_on_in_turn(context, file, turn, ticket.as_deref())? {
                return Ok(progress);
            }
        }
    }

    /// The reply of a completed task. `turn`: the reply that it has left with the turn. If it was never begun there is none,
    /// and the ticket has the error.
    fn collect(&mut self, ticket: &Ticket, turn: Option<Result<Reply, Error>>) -> Fallible<S, Option<Reply>> {
        let reply = turn.or_else(|| ticket.take()?.err().map(Err));
        // The caller's memory may have been the worker's.
        release_memory();
        match reply {
            Some(Ok(reply)) => Ok(Some(reply)),
            Some(Err(error)) => {
                self.operation.failed(error)?;
                Ok(None)
            }
            None => Err(Complaint::Cancelled.into()),
        }
    }

    /// Advances in a turn, once it has one.
    #[inline]
    fn go_on_in_turn(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        mut turn: Option<Turn>,
        ticket: Option<&Ticket>,
    ) -> Fallible<S, Option<FileProgress<S>>> {
        let mut reply = None;
        let mut guard = match &mut turn {
            Some(turn) => {
                let (guard, left) = turn.resume().map_err(|_| Complaint::Forked)?;
                if let Some(ticket) = ticket {
                    reply = self.collect(ticket, left)?;
                }
                guard
            }
            None => match begin(&file.handle)? {
                Some(guard) => guard,
                None => {
                    self.phase = match file.handle.queue(&Ticket::unique()) {
                        TurnRequest::Granted(turn) => Phase::Going(turn),
                        TurnRequest::Queued(place) => Phase::Queued(place),
                    };
                    return Ok(None);
                }
            },
        };
        if let Some(Reply::LaidOut(_)) = reply {
            let room = self.room.take().unwrap_or_else(|| S::nothing(context));
            return Ok(Some(Progress::Done(Ok(room))));
        }
        file.ahead.settle(context, &mut guard, self.operation.takes_ahead());
        let step = match std::mem::replace(&mut self.start, Start::Begun) {
            Start::Before if !guard.refresh() => {
                self.start = Start::Refreshing;
                Advance::Refresh
            }
            Start::Before | Start::Refreshing => self.operation.advance(context, file, &mut guard, None)?,
            Start::Begun => self.operation.advance(context, file, &mut guard, reply)?,
        };
        match step {
            Advance::Done(value) => {
                let job = guard.start_writer(false);
                drop(guard);
                drop(turn);
                start_writer(&file.handle, job);
                Ok(Some(Progress::Done(Ok(value))))
            }
            step => {
                self.call(context, &mut guard, &step)?;
                // The guard holds the turn only for the moment; waiting needs it for longer.
                let turn = guard.keep().or(turn).ok_or(Complaint::Misplaced)?;
                self.wait(context, file, turn, step)
            }
        }
    }

    /// Keeps the turn while the operation waits.
    fn wait(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        mut turn: Turn,
        step: Advance<S>,
    ) -> Fallible<S, Option<FileProgress<S>>> {
        match step {
            Advance::Task(task) => {
                self.hand_over(file, turn, task)?;
                self.operation.meanwhile(context)?;
                return Ok(None);
            }
            Advance::Refresh => {
                self.hand_over(file, turn, Task::Refresh)?;
                return Ok(None);
            }
            Advance::AwaitWriter(until) => {
                let ticket = Ticket::unique();
                let job = turn.guard().map_err(|_| Complaint::Forked)?.await_writer(&ticket, until);
                if let Some(job) = job {
                    file.handle.submit(job, &Ticket::unique(), Some(&ticket));
                }
                self.phase = Phase::Waiting(turn, ticket);
                return Ok(None);
            }
            Advance::AwaitPositional => {
                let ticket = Ticket::unique();
                if turn.guard().map_err(|_| Complaint::Forked)?.await_positional(&ticket) {
                    self.phase = Phase::Waiting(turn, ticket);
                    return Ok(None);
                }
            }
            Advance::AwaitClose => {
                let ticket = Ticket::unique();
                if turn.guard().map_err(|_| Complaint::Forked)?.await_background_close(&ticket) {
                    self.phase = Phase::Waiting(turn, ticket);
                    return Ok(None);
                }
            }
            Advance::Next => {
                start_writer(&file.handle, turn.guard().map_err(|_| Complaint::Forked)?.start_writer(false));
                if S::must_yield(context)? {
                    self.phase = Phase::Yielded(Some(turn));
                    return Ok(Some(Progress::Yield));
                }
            }
            Advance::Yield => {
                self.phase = Phase::Yielded(Some(turn));
                return Ok(Some(Progress::Yield));
            }
            Advance::Text(text) => {
                return match S::text(context, *text) {
                    Err((failure, text)) => {
                        turn.guard().map_err(|_| Complaint::Forked)?.give_back(*text);
                        Err(failure)
                    }
                    Ok(MadeText::Value(value)) => Ok(Some(Progress::Done(Ok(value)))),
                    Ok(MadeText::ToLayOut(fill, value)) => {
                        self.room = Some(value);
                        self.hand_over(file, turn, Task::LayOut(Box::new(fill)))?;
                        Ok(None)
                    }
                };
            }
            Advance::Call => {}
            Advance::Done(value) => return Ok(Some(Progress::Done(Ok(value)))),
        }
        self.phase = Phase::Going(turn);
        Ok(None)
    }

    /// Gives a worker a task.
    fn hand_over(&mut self, file: &HandleFile<S>, mut turn: Turn, task: Task) -> Result<(), Complaint> {
        let job = turn.task(task).map_err(|_| Complaint::Forked)?;
        self.phase = Phase::Working(turn, submit(&file.handle, job));
        Ok(())
    }

    /// Abandons the operation: the task that awaited it is gone.
    pub(super) fn abandon(&mut self, file: &HandleFile<S>) {
        let begun = !matches!(self.phase, Phase::Start | Phase::Over);
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Working(turn, ticket) => turn.abandon(Some(&ticket), self.operation.unread()),
            Phase::Waiting(turn, _) | Phase::Yielded(Some(turn)) | Phase::Going(turn) => {
                turn.abandon(None, self.operation.unread());
            }
            Phase::Start | Phase::Queued(_) | Phase::Yielded(None) | Phase::Over => {}
        }
        if begun && self.operation.closes() {
            file.handle.close_in_background();
        }
        // Undoing has dropped memory of the caller's.
        release_memory();
    }

    /// For an operation that is awaited in a cancelled task: only closing is done nevertheless.
    pub(super) fn refuse(&mut self, file: &HandleFile<S>) {
        self.phase = Phase::Over;
        if self.operation.closes() {
            file.handle.close_in_background();
        }
    }
}

/// Lets a worker write what has been accepted.
fn start_writer(handle: &Handle, job: Option<HandleJob>) {
    if let Some(job) = job {
        handle.submit(job, &Ticket::unique(), None);
    }
}

/// A guard of the turn, if nobody else has it.
fn begin(handle: &Arc<Handle>) -> Result<Option<Guard<'_>>, Complaint> {
    handle.begin().map_err(|_| Complaint::Forked)
}

/// A guard for the moment, if nobody has the turn and the file is open. If the sink guarantees that operations are
/// advanced alone, the turn is not taken, which would cost two atomic exchanges.
///
/// # Safety
/// While the guard exists, no code of the caller's runs that could use the handle, or let others do so.
#[inline]
pub unsafe fn begin_briefly<S: Sink>(handle: &Arc<Handle>) -> Option<Guard<'_>> {
    if !S::ALONE {
        return handle.begin().ok().flatten().filter(|guard| !guard.is_closed());
    }
    // SAFETY: guaranteed by the sink and by the caller.
    unsafe { handle.begin_alone() }.ok().flatten()
}
