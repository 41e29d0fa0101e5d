//! Detaching the descriptor.

use crate::handle::complaint::Complaint;
use crate::handle::file::HandleFile;
use crate::handle::sink::{Fallible, Sink};

/// The descriptor, with everything written and at the user's position; the caller closes it. Blocks.
///
/// # Errors
/// The file is closed or in use; otherwise those of writing and of moving the position.
pub fn detach<S: Sink>(context: S::Context<'_>, file: &HandleFile<S>) -> Fallible<S, i32> {
    if file.handle.is_closed() {
        return Err(Complaint::ClosedFile.into());
    }
    let guard = file.handle.begin().map_err(|_| Complaint::Forked)?;
    let mut guard = guard.ok_or(Complaint::UnderWay)?;
    file.ahead.settle(context, &mut guard, 0);
    Ok(guard.into_descriptor().ok_or(Complaint::UnderWay)??)
}
