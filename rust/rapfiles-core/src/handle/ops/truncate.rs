//! Truncating a file.

use super::checks::{check, check_open, check_writer, number};
use crate::handle::complaint::Complaint;
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::Guard;
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::task::Task;

/// Truncates the file, or extends it with zeros, and returns its length.
#[derive(Debug)]
pub struct Truncate {
    /// The new length; `None`: where the position is.
    pub length: Option<i64>,
    /// The complaint about a file that is not for writing.
    pub refusal: Complaint,
    /// The complaint about a closed file.
    pub closed: Complaint,
}

impl<S: Sink> FileOperation<S> for Truncate {
    fn name(&self) -> &'static str {
        "truncate"
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        check_open(guard, self.closed)?;
        check(file.writable, self.refusal)?;
        if let Some(Reply::Count(length)) = reply {
            return number(context, length);
        }
        if let Some(step) = check_writer(guard)? {
            return Ok(step);
        }
        Ok(Advance::Task(Task::Truncate { length: self.length }))
    }
}
