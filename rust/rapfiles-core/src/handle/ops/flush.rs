//! Flushing: passing everything to the kernel.

use super::checks::{check_open, check_written, done};
use crate::handle::complaint::Complaint;
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::Guard;
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};

/// Waits until the kernel has everything that was written.
#[derive(Debug)]
pub struct Flush {
    /// The complaint about a closed file.
    pub closed: Complaint,
}

impl<S: Sink> FileOperation<S> for Flush {
    fn name(&self) -> &'static str {
        "flush"
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        _reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        check_open(guard, self.closed)?;
        if let Some(step) = check_written(guard)? {
            return Ok(step);
        }
        if file.writable && file.readable && guard.decoder().is_none() {
            guard.rewind();
        }
        done(context)
    }
}
