//! Driving an operation that needs no turn: it runs beside all others.

use std::sync::Arc;

use super::{FileProgress, submit};
use crate::engine::keep_alive::release_memory;
use crate::engine::progress::Progress;
use crate::engine::ticket::Ticket;
use crate::handle::complaint::Complaint;
use crate::handle::file::HandleFile;
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::task::PositionalTask;
use crate::outcome::Outcome;

/// How far an operation has advanced, and what it needs next.
pub enum AdvancePositional<S: Sink> {
    /// It is complete, with this result.
    Done(S::Value),
    /// A worker has to perform a task.
    Task(PositionalTask),
}

/// An operation on a handle that needs no turn.
pub trait PositionalOperation<S: Sink>: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Advances as far as possible. `reply`: that of the task that was requested.
    ///
    /// # Errors
    /// The operation is over then.
    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        reply: Option<Reply>,
    ) -> Fallible<S, AdvancePositional<S>>;

    /// Whether it writes: its error is reported even if the operation is cancelled.
    fn writes(&self) -> bool {
        false
    }
}

/// The state of an operation.
enum Phase {
    /// Not begun.
    Start,
    /// It has yielded to other tasks before it begins.
    Yielded,
    /// A worker performs a task of it.
    Working(Arc<Ticket>),
    Over,
}

/// An operation that needs no turn, driven step by step.
pub(super) struct Positional<S: Sink> {
    operation: Box<dyn PositionalOperation<S>>,
    phase: Phase,
}

impl<S: Sink> Positional<S> {
    pub(super) fn new(operation: Box<dyn PositionalOperation<S>>) -> Self {
        Self { operation, phase: Phase::Start }
    }

    pub(super) fn is_untouched(&self) -> bool {
        matches!(self.phase, Phase::Start)
    }

    pub(super) fn name(&self) -> &'static str {
        self.operation.name()
    }

    pub(super) fn advance_fairly(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
    ) -> FileProgress<S> {
        if self.is_untouched() {
            match S::must_yield(context) {
                Ok(false) => {}
                Ok(true) => {
                    self.phase = Phase::Yielded;
                    return Progress::Yield;
                }
                Err(failure) => return Progress::Done(Err(failure)),
            }
        }
        self.advance(context, file)
    }

    pub(super) fn advance(&mut self, context: S::Context<'_>, file: &HandleFile<S>) -> FileProgress<S> {
        loop {
            // An error from here on ends the operation.
            let reply = match std::mem::replace(&mut self.phase, Phase::Over) {
                Phase::Start | Phase::Yielded => None,
                Phase::Working(ticket) if !ticket.is_done() => {
                    self.phase = Phase::Working(Arc::clone(&ticket));
                    return Progress::Pending(ticket);
                }
                Phase::Working(ticket) => {
                    let outcome = ticket.take();
                    // The caller's memory may have been the worker's.
                    release_memory();
                    match outcome {
                        Some(Ok(Outcome::Reply(reply))) => Some(reply),
                        Some(Err(error)) => return Progress::Done(Err(error.into())),
                        _ => return Progress::Done(Err(Complaint::Cancelled.into())),
                    }
                }
                Phase::Over => return Progress::Done(Err(Complaint::Reused.into())),
            };
            match self.operation.advance(context, file, reply) {
                Ok(AdvancePositional::Done(value)) => return Progress::Done(Ok(value)),
                Ok(AdvancePositional::Task(task)) => match file.handle.positional(task) {
                    Ok(Some(job)) => self.phase = Phase::Working(submit(&file.handle, job)),
                    Ok(None) => return Progress::Done(Err(Complaint::ClosedFile.into())),
                    Err(_) => return Progress::Done(Err(Complaint::Forked.into())),
                },
                Err(failure) => return Progress::Done(Err(failure)),
            }
        }
    }

    pub(super) fn abandon(&mut self, file: &HandleFile<S>) {
        if let Phase::Working(ticket) = std::mem::replace(&mut self.phase, Phase::Over) {
            file.handle.abandon_positional(&ticket, self.operation.writes());
        }
        // Undoing has dropped memory of the caller's.
        release_memory();
    }

    pub(super) fn refuse(&mut self) {
        self.phase = Phase::Over;
    }
}
