//! Reading bytes.

use super::checks::{check, check_open, check_written, take};
use super::read_large::ReadLarge;
use crate::handle::complaint::{Complaint, Failure};
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::{Fetched, Guard};
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::task::Task;
use crate::limits::READ_AT_ONCE;

/// Reads `size` bytes, or up to the end of the file; at most what may be read on the loop at once.
#[derive(Debug)]
pub struct Read {
    size: usize,
    /// Whether this is the next item of an iteration, which ends with the file.
    iterates: bool,
}

/// An operation that reads `size` bytes, fewer only at the end of the file, or everything. `iterates`: it is the next
/// item of an iteration, which ends with the file.
pub fn read<S: Sink>(size: Option<usize>, iterates: bool) -> Box<dyn FileOperation<S>> {
    match size {
        Some(size) if size <= READ_AT_ONCE => Box::new(Read { size, iterates }),
        size => Box::new(ReadLarge::new(size, iterates)),
    }
}

impl<S: Sink> FileOperation<S> for Read {
    fn name(&self) -> &'static str {
        "read"
    }

    fn at_hand(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
    ) -> Option<Fallible<S, S::Value>> {
        let bytes = guard.available().get(..self.size)?;
        if !file.readable || !guard.is_settled() || !file.ahead.is_off() {
            return None;
        }
        let bytes = S::bytes(context, bytes);
        if bytes.is_ok() {
            guard.consume(self.size);
        }
        Some(bytes)
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        if self.iterates {
            check_open(guard, Complaint::ReadOfClosedFile)?;
        }
        check(file.readable, Complaint::CannotRead)?;
        check_open(guard, Complaint::ReadOfClosedFile)?;
        if let Some(step) = check_written(guard)? {
            return Ok(step);
        }
        if reply.is_none()
            && !file.writable
            && let Some(bytes) = file.ahead.take(context, guard, self.size)?
        {
            return Ok(Advance::Done(bytes));
        }
        let available = guard.available().len();
        if available >= self.size {
            return take(context, guard, self.size);
        }
        match reply {
            // Nothing to read, but not the end.
            Some(Reply::WouldBlock) if available == 0 => return Ok(Advance::Done(S::nothing(context))),
            Some(_) if available == 0 && self.iterates => return Err(Failure::NoMoreItems),
            Some(_) => return take(context, guard, self.size),
            None => {}
        }
        let (bytes, start) = S::new_bytes(context, self.size)?;
        // SAFETY: the buffer has that size, and is not exposed.
        match unsafe { guard.read_into(start, self.size) } {
            (0, Fetched::End) if self.iterates => Err(Failure::NoMoreItems),
            (length, Fetched::Enough | Fetched::End) => {
                // SAFETY: that many bytes have been read into it.
                unsafe { S::finish(context, bytes, length, &[]) }.map(Advance::Done)
            }
            (_, Fetched::Missing) => Ok(Advance::Task(Task::ReadAhead { at_least: self.size, once: false })),
        }
    }

    fn takes_ahead(&self) -> usize {
        self.size
    }
}
