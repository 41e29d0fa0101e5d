//! Moving the position.

use super::checks::{check, check_open, check_writer, number};
use crate::handle::complaint::Complaint;
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::Guard;
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::task::Task;

/// Moves the position, and returns it.
#[derive(Debug)]
pub struct Seek {
    /// The offset.
    pub offset: i64,
    /// As for `lseek(2)`.
    pub whence: i32,
    /// Whether the file is a raw one, whose errors differ from a buffered one's.
    pub raw: bool,
}

impl<S: Sink> FileOperation<S> for Seek {
    fn name(&self) -> &'static str {
        "seek"
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        check_open(guard, if self.raw { Complaint::ClosedFile } else { Complaint::SeekOfClosedFile })?;
        check(self.raw || file.handle.info.seekable, Complaint::CannotSeek)?;
        if let Some(step) = check_writer(guard)? {
            return Ok(step);
        }
        if let Some(Reply::Count(position)) = reply {
            return number(context, position);
        }
        match guard.seek(self.offset, self.whence) {
            Some(position) => number(context, position?),
            None => Ok(Advance::Task(Task::Seek { offset: self.offset, whence: self.whence })),
        }
    }
}
