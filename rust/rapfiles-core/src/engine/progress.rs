//! How far something has come that is asked again and again until it is done.

use std::sync::Arc;

use crate::engine::ticket::Ticket;

/// What came of an attempt to go on.
#[derive(Debug)]
pub enum Progress<T> {
    /// It is over, with this result.
    Done(T),
    /// This ticket has to be finished first.
    Pending(Arc<Ticket>),
    /// Other tasks should have a turn first.
    Yield,
}

impl<T> Progress<T> {
    /// The same, with what `change` makes of the result.
    #[inline]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Progress<U> {
        match self {
            Self::Done(result) => Progress::Done(change(result)),
            Self::Pending(ticket) => Progress::Pending(ticket),
            Self::Yield => Progress::Yield,
        }
    }
}
