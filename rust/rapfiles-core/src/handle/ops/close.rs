//! Closing a file.

use super::checks::done;
use crate::error::Error;
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::{Guard, WriterState};
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::task::Task;

/// Writes the buffer and closes the file, even if writing fails.
#[derive(Debug, Default)]
pub struct Close {
    /// The first error, which is the one that is reported.
    failure: Option<Error>,
    closed: bool,
}

impl<S: Sink> FileOperation<S> for Close {
    fn name(&self) -> &'static str {
        "close"
    }

    fn at_hand(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
    ) -> Option<Fallible<S, S::Value>> {
        let idle = guard.is_settled() && file.ahead.is_off() && !guard.has_positional();
        (idle && guard.close_now()).then(|| Ok(S::nothing(context)))
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        _file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        _reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        if guard.is_closing_in_background() {
            return Ok(Advance::AwaitClose);
        }
        // The error of an earlier attempt to close it, which was cancelled.
        if guard.is_closed()
            && let Some(error) = guard.take_error()
        {
            self.failure.get_or_insert(error);
        }
        if !self.closed && !guard.is_closed() {
            // An error of an earlier write is left to the task: taken here, it would be lost if this is cancelled.
            if guard.is_writing() {
                return Ok(Advance::AwaitWriter(WriterState::Idle));
            }
            if !guard.begin_closing() {
                return Ok(Advance::AwaitPositional);
            }
            self.closed = true;
            if !guard.close_now() {
                return Ok(Advance::Task(Task::Close));
            }
        }
        match self.failure.take() {
            Some(failure) => Err(failure.into()),
            None => done(context),
        }
    }

    fn failed(&mut self, error: Error) -> Result<(), Error> {
        self.failure.get_or_insert(error);
        Ok(())
    }

    fn closes(&self) -> bool {
        true
    }
}
