//! Reading into the caller's memory.

use super::checks::{check, check_open, check_written, done, number};
use crate::handle::complaint::Complaint;
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::{Fetched, Guard};
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink, Target};
use crate::handle::task::Task;
use crate::handle::trace::Unread;
use crate::limits::{READ_AT_ONCE, READ_INTO_PIECE};
use crate::memory::copied;

/// Reads into the caller's memory.
#[derive(Debug)]
pub struct ReadInto<T> {
    target: T,
    /// Whether to read at most once.
    once: bool,
    done: usize,
}

impl<T> ReadInto<T> {
    /// Fills the memory, completely unless the file ends before. `once`: with one read at most.
    pub fn new(target: T, once: bool) -> Self {
        Self { target, once, done: 0 }
    }
}

impl<S: Sink> FileOperation<S> for ReadInto<S::Target> {
    fn name(&self) -> &'static str {
        if self.once { "readinto1" } else { "readinto" }
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        check(file.readable, if self.once { Complaint::CannotRead1 } else { Complaint::CannotRead })?;
        check_open(guard, Complaint::ReadIntoOfClosedFile)?;
        if let Some(step) = check_written(guard)? {
            return Ok(step);
        }
        let length = self.target.length();
        let wanted = if self.once { 1.min(length) } else { length };
        if reply.is_none()
            && self.done == 0
            && guard.available().len() < wanted
            && !self.once
            && wanted <= READ_AT_ONCE
        {
            // SAFETY: the memory has room for that much.
            match unsafe { guard.read_into(self.target.start(), length) } {
                (read, Fetched::Enough | Fetched::End) => return number(context, read as u64),
                (_, Fetched::Missing) => {}
            }
        }
        if reply.is_none() && self.once && guard.available().is_empty() && wanted > 0 {
            guard.fetch(1);
        }
        let count = guard.available().len().min(length - self.done);
        // SAFETY: within the memory.
        unsafe {
            let start = self.target.start().add(self.done);
            std::ptr::copy_nonoverlapping(guard.available().as_ptr(), start, count);
        }
        guard.consume(count);
        self.done += count;
        match reply {
            Some(Reply::WouldBlock) if self.done == 0 => return done(context),
            Some(Reply::Filled(true)) | None if self.done < wanted => {}
            _ => return number(context, self.done as u64),
        }
        let at_least = (wanted - self.done).min(READ_INTO_PIECE);
        Ok(Advance::Task(Task::ReadAhead { at_least, once: self.once }))
    }

    fn unread(&mut self) -> Option<Unread> {
        // SAFETY: within the memory, and written before.
        let content = unsafe { std::slice::from_raw_parts(self.target.start(), self.done) };
        copied(content).ok().map(Unread::Bytes)
    }
}
