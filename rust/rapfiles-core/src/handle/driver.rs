//! Driving an operation on a handle, step by step.

mod in_turn;
mod positional;

use std::sync::Arc;

use super::file::HandleFile;
use super::handle::Handle;
use super::job::HandleJob;
use super::sink::{Fallible, Sink};
use crate::engine::progress::Progress;
use crate::engine::ticket::Ticket;

use in_turn::InTurn;
pub use in_turn::{Advance, FileOperation, begin_briefly};
use positional::Positional;
pub use positional::{AdvancePositional, PositionalOperation};

/// The progress of an operation.
pub type FileProgress<S> = Progress<Fallible<S, <S as Sink>::Value>>;

/// An operation on a handle, driven step by step.
pub struct Driver<S: Sink>(Kind<S>);

enum Kind<S: Sink> {
    InTurn(InTurn<S>),
    Positional(Positional<S>),
}

impl<S: Sink> Driver<S> {
    /// An operation in its turn, which has not begun.
    pub fn new(operation: Box<dyn FileOperation<S>>) -> Self {
        Self(Kind::InTurn(InTurn::new(operation)))
    }

    /// One that needs no turn, and has not begun.
    pub fn positional(operation: Box<dyn PositionalOperation<S>>) -> Self {
        Self(Kind::Positional(Positional::new(operation)))
    }

    /// Whether it has not begun.
    #[inline]
    pub fn is_untouched(&self) -> bool {
        match &self.0 {
            Kind::InTurn(driver) => driver.is_untouched(),
            Kind::Positional(driver) => driver.is_untouched(),
        }
    }

    /// What the operation is called.
    pub fn name(&self) -> &'static str {
        match &self.0 {
            Kind::InTurn(driver) => driver.name(),
            Kind::Positional(driver) => driver.name(),
        }
    }

    /// Advances as far as possible, but may yield before it begins.
    #[inline]
    pub fn advance_fairly(&mut self, context: S::Context<'_>, file: &HandleFile<S>) -> FileProgress<S> {
        match &mut self.0 {
            Kind::InTurn(driver) => driver.advance_fairly(context, file),
            Kind::Positional(driver) => driver.advance_fairly(context, file),
        }
    }

    /// Advances as far as possible.
    #[inline]
    pub fn advance(&mut self, context: S::Context<'_>, file: &HandleFile<S>) -> FileProgress<S> {
        match &mut self.0 {
            Kind::InTurn(driver) => driver.advance(context, file),
            Kind::Positional(driver) => driver.advance(context, file),
        }
    }

    /// Abandons the operation: the task that awaited it is gone.
    pub fn abandon(&mut self, file: &HandleFile<S>) {
        match &mut self.0 {
            Kind::InTurn(driver) => driver.abandon(file),
            Kind::Positional(driver) => driver.abandon(file),
        }
    }

    /// For an operation that is awaited in a cancelled task: only closing is done nevertheless.
    pub fn refuse(&mut self, file: &HandleFile<S>) {
        match &mut self.0 {
            Kind::InTurn(driver) => driver.refuse(file),
            Kind::Positional(driver) => driver.refuse(),
        }
    }
}

/// Hands a job to a worker. The ticket is finished with it.
fn submit(handle: &Handle, job: HandleJob) -> Arc<Ticket> {
    let ticket = Ticket::unique();
    handle.submit(job, &ticket, Some(&ticket));
    ticket
}
