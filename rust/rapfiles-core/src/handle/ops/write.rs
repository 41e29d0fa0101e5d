//! Writing bytes.

use super::checks::{check, check_open, number};
use crate::handle::complaint::Complaint;
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::{Guard, WriterState, Written};
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink, Source};
use crate::handle::task::Task;
use crate::limits::{WRITE_COPIED, WRITE_SHARED_FROM};

/// Writes bytes.
#[derive(Debug)]
pub struct Write<B> {
    /// The bytes.
    pub source: B,
}

impl<S: Sink> FileOperation<S> for Write<S::Source> {
    fn name(&self) -> &'static str {
        "write"
    }

    fn at_hand(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
    ) -> Option<Fallible<S, S::Value>> {
        // Getting the bytes of a mutable object may run the caller's code.
        if !file.writable || !file.ahead.is_off() || !self.source.is_constant() {
            return None;
        }
        let write = |bytes: &[u8]| {
            (bytes.len() < WRITE_SHARED_FROM && guard.write_at_hand(bytes)).then_some(bytes.len() as u64)
        };
        match self.source.with(context, write) {
            Ok(written) => written.map(|length| S::number(context, length)),
            Err(failure) => Some(Err(failure)),
        }
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        check(file.writable, Complaint::CannotWrite)?;
        check_open(guard, Complaint::WriteToClosedFile)?;
        if let Some(Reply::Count(written)) = reply {
            return number(context, written);
        }
        if let Some(error) = guard.take_error() {
            return Err(error.into());
        }
        let length = self.source.with(context, <[u8]>::len)?;
        let accepted = if self.source.is_constant() && length >= WRITE_SHARED_FROM {
            guard.write_shared(self.source.shared(context)?).is_ok()
        } else if length > WRITE_COPIED {
            return Ok(if guard.is_written() {
                Advance::Task(Task::WriteThrough(self.source.shared(context)?))
            } else {
                Advance::AwaitWriter(WriterState::Written)
            });
        } else {
            self.source.with(context, |bytes| guard.write(bytes))? == Written::Accepted
        };
        if accepted {
            number(context, length as u64)
        } else {
            Ok(Advance::AwaitWriter(WriterState::RoomFor(length)))
        }
    }
}
