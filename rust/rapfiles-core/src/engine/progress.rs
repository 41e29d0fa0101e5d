//! The progress of an operation that is advanced repeatedly until it is done.

use std::sync::Arc;

use crate::engine::ticket::Ticket;

/// The result of an attempt to advance.
#[derive(Debug)]
pub enum Progress<T> {
    /// It is complete, with this result.
    Done(T),
    /// It waits for this ticket.
    Pending(Arc<Ticket>),
    /// Other tasks should run first.
    Yield,
}

impl<T> Progress<T> {
    /// The same, with `change` applied to the result.
    #[inline]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Progress<U> {
        match self {
            Self::Done(result) => Progress::Done(change(result)),
            Self::Pending(ticket) => Progress::Pending(ticket),
            Self::Yield => Progress::Yield,
        }
    }
}
