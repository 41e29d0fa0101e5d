//! What a stream is made of: the source of its batches, divided into parts.

use crate::engine::stream::slice::Slice;
use crate::error::Error;
use crate::limits::STREAM_READY;

/// The source of a stream's batches.
pub trait Source: Send + 'static {
    /// The items that are taken from the queue at once.
    type Batch: Send + 'static;
    /// A piece of the work.
    type Part: Part<Batch = Self::Batch>;

    /// Returns the next part that can be begun. Called under a lock, also on the loop's thread: it must neither block
    /// nor take long.
    fn claim(&mut self) -> Claim<Self::Part>;

    /// The order in which batches are handed out.
    fn order(&self) -> Order {
        Order::AsClaimed
    }

    /// The source is not stepped while this many batches are ready, and is stepped again when fewer than half of them
    /// are left: more than [`STREAM_READY`] for a source of small ones.
    fn most_ready(&self) -> usize {
        STREAM_READY
    }
}

/// The work that a source offers.
#[derive(Debug)]
pub enum Claim<P> {
    /// This part can be begun.
    Part(P),
    /// Nothing, until one of the parts that have been begun has advanced.
    Later,
    /// Nothing, until the consumer has told the source more. It does so before it asks for a batch that depends on
    /// that.
    OnDemand,
    /// Nothing more.
    Over,
}

/// The order in which batches are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In the order in which their parts were claimed, whichever is ready earlier.
    AsClaimed,
    /// In the order in which they become ready.
    AsReady,
}

/// A piece of a stream's work, stepped by one worker at a time.
pub trait Part: Send + 'static {
    /// The result of a step.
    type Batch: Send + 'static;

    /// Works until there is a batch, or until the slice [is over](Slice::is_over), which is also the case when nobody
    /// wants the rest.
    ///
    /// # Errors
    /// Any error that ends the stream. It is reported after the batches that come before it.
    fn step(&mut self, slice: &Slice<'_>) -> Result<Step<Self::Batch>, Error>;
}

/// The result of a step.
#[derive(Debug)]
pub enum Step<B> {
    /// A batch. There may be more.
    Batch(B),
    /// Nothing yet.
    Again,
    /// Nothing, and nothing before others have done something.
    Later,
    /// The part is complete, with its last batch, if it has one.
    Last(Option<B>),
}

/// A source of a single part.
#[derive(Debug)]
pub struct Single<P>(Option<P>);

impl<P: Part> Single<P> {
    /// The source with only this part.
    pub fn new(part: P) -> Self {
        Self(Some(part))
    }
}

impl<P: Part> Source for Single<P> {
    type Batch = P::Batch;
    type Part = P;

    fn claim(&mut self) -> Claim<P> {
        self.0.take().map_or(Claim::Over, Claim::Part)
    }
}
