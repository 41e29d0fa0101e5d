//! Synchronising: waiting until the device has everything.

use super::checks::{check_open, check_writer, done};
use crate::handle::complaint::Complaint;
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::Guard;
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::task::Task;

/// Waits until the device has everything that was written.
#[derive(Debug)]
pub struct Synchronise {
    /// Whether metadata need not be written (`fdatasync(2)`).
    pub data_only: bool,
}

impl<S: Sink> FileOperation<S> for Synchronise {
    fn name(&self) -> &'static str {
        if self.data_only { "datasync" } else { "sync" }
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        _file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        check_open(guard, Complaint::ClosedFile)?;
        if matches!(reply, Some(Reply::Done)) {
            return done(context);
        }
        if let Some(step) = check_writer(guard)? {
            return Ok(step);
        }
        Ok(Advance::Task(Task::Synchronise { data_only: self.data_only }))
    }
}
