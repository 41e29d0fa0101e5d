//! Getting the position.

use super::checks::{check_open, check_written, number};
use crate::handle::complaint::Complaint;
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::Guard;
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::task::Task;

/// Returns the position.
#[derive(Debug)]
pub struct Tell;

impl<S: Sink> FileOperation<S> for Tell {
    fn name(&self) -> &'static str {
        "tell"
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        _file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        check_open(guard, Complaint::ClosedFile)?;
        if let Some(Reply::Count(position)) = reply {
            return number(context, position);
        }
        match guard.position() {
            Some(position) => number(context, position?),
            None if guard.is_written() => Ok(Advance::Task(Task::Position)),
            None => Ok(check_written(guard)?.unwrap_or(Advance::Task(Task::Position))),
        }
    }
}
