//! Streams: long work that workers do step by step, with results in batches.
//!
//! A [`Source`] is divided into [`Part`]s. One worker at a time *steps* a part, until it has a batch or for 5 ms.
//! Finished batches wait in a bounded queue. The consumer takes a batch without waiting if there is one, and the source
//! is stepped again when less than half of the queue is left. So a stream whose consumer has paused occupies no worker
//! and no thread, is not a job that could be stuck, and a slow consumer slows its source down.

mod consumer;
mod here;
mod slice;
mod source;
mod state;
mod steps;

pub use consumer::Stream;
pub(crate) use here::SliceBySlice;
pub use here::run_here;
pub use slice::Slice;
pub use source::{Claim, Order, Part, Single, Source, Step};
pub(crate) use steps::Steps;
