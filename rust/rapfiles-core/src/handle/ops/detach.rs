//! Giving the descriptor away.

use crate::handle::complaint::Complaint;
use crate::handle::file::HandleFile;
use crate::handle::sink::{Fallible, Sink};

/// The descriptor, with everything written and the position where the user is, for somebody else to use and close. Waits
/// for the system.
///
/// # Errors
/// When the file is closed or in use; else what writing or moving the position fails with.
pub fn detach<S: Sink>(context: S::Context<'_>, file: &HandleFile<S>) -> Fallible<S, i32> {
    if file.handle.is_closed() {
        return Err(Complaint::ClosedFile.into());
    }
    let guard = file.handle.begin().map_err(|_| Complaint::Forked)?;
    let mut guard = guard.ok_or(Complaint::UnderWay)?;
    file.ahead.settle(context, &mut guard, 0);
    Ok(guard.into_descriptor().ok_or(Complaint::UnderWay)??)
}
