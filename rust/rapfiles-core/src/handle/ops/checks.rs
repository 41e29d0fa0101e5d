//! Checks at the beginning of operations.

use crate::error::Error;
use crate::handle::complaint::Complaint;
use crate::handle::driver::Advance;
use crate::handle::guard::{Guard, WriterState};
use crate::handle::handle::Handle;
use crate::handle::sink::{Fallible, Sink};

/// Fails if the file is closed.
#[inline]
pub(super) fn check_open(handle: &Handle, complaint: Complaint) -> Result<(), Complaint> {
    check(!handle.is_closed(), complaint)
}

/// Fails with a complaint unless a condition holds.
#[inline]
pub(super) fn check(holds: bool, complaint: Complaint) -> Result<(), Complaint> {
    if holds { Ok(()) } else { Err(complaint) }
}

/// The wait that is needed before an operation that requires the write buffer to be empty.
#[inline]
pub(super) fn check_written<S: Sink>(guard: &mut Guard<'_>) -> Result<Option<Advance<S>>, Error> {
    if let Some(error) = guard.take_error() {
        return Err(error);
    }
    Ok(if guard.is_written() { None } else { Some(Advance::AwaitWriter(WriterState::Written)) })
}

/// The wait that is needed before a task that writes the write buffer itself: the writer must not be running.
#[inline]
pub(super) fn check_writer<S: Sink>(guard: &mut Guard<'_>) -> Result<Option<Advance<S>>, Error> {
    if let Some(error) = guard.take_error() {
        return Err(error);
    }
    Ok(guard.is_writing().then_some(Advance::AwaitWriter(WriterState::Idle)))
}

/// Done, without a value.
pub(super) fn done<S: Sink>(context: S::Context<'_>) -> Fallible<S, Advance<S>> {
    Ok(Advance::Done(S::nothing(context)))
}

/// Done, with a number.
#[inline]
pub(super) fn number<S: Sink>(context: S::Context<'_>, number: u64) -> Fallible<S, Advance<S>> {
    S::number(context, number).map(Advance::Done)
}

/// Takes the first of the available bytes.
#[inline]
pub(super) fn take<S: Sink>(
    context: S::Context<'_>,
    guard: &mut Guard<'_>,
    count: usize,
) -> Fallible<S, Advance<S>> {
    let count = count.min(guard.available().len());
    let bytes = S::bytes(context, &guard.available()[..count])?;
    guard.consume(count);
    Ok(Advance::Done(bytes))
}
