//! Reading what is available, and peeking at it.

use super::checks::{check, check_open, check_written, take};
use crate::handle::complaint::Complaint;
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::{Fetched, Guard};
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::task::Task;
use crate::limits::IO_BUFFER;

/// Reads what is available, with one read at most.
#[derive(Debug)]
pub struct ReadSome {
    /// The most bytes to return.
    pub size: usize,
    /// Whether the bytes stay available.
    pub peek: bool,
}

impl<S: Sink> FileOperation<S> for ReadSome {
    fn name(&self) -> &'static str {
        if self.peek { "peek" } else { "read1" }
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        if self.peek {
            // In io, only files for reading have this method, so a closed file is the first error.
            check_open(guard, Complaint::PeekOfClosedFile)?;
        }
        check(file.readable, if self.peek { Complaint::CannotPeek } else { Complaint::CannotRead1 })?;
        check_open(guard, Complaint::ReadOfClosedFile)?;
        if let Some(step) = check_written(guard)? {
            return Ok(step);
        }
        let wants = self.size > 0 || self.peek;
        if wants && reply.is_none() && guard.available().is_empty() && guard.fetch(1) == Fetched::Missing {
            return Ok(Advance::Task(Task::ReadAhead { at_least: 1, once: true }));
        }
        if !self.peek {
            return take(context, guard, self.size);
        }
        let available = guard.available();
        S::bytes(context, &available[..available.len().min(self.size.max(IO_BUFFER))]).map(Advance::Done)
    }
}
