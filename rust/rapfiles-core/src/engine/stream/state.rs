//! The state of a stream, which its consumer and the workers share, and all decisions: what is stepped, what is delivered,
//! and whether a job is wanted.
//!
//! They are made under one lock, and everything that may take long is done without it: stepping, dropping the source's
//! resources, handing jobs to the pool, waking the consumer. While a consumer waits, there is a job that is queued or
//! running ([`State::wants_job`]).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::stream::source::{Claim, Order, Source, Step};
use crate::engine::ticket::Ticket;
use crate::error::Error;

/// A part that has been claimed.
pub(super) struct Claimed<P> {
    pub(super) ordinal: u64,
    pub(super) part: P,
}

/// A batch that waits to be taken, or the error that ends the stream.
pub(super) struct Ready<B> {
    ordinal: u64,
    item: Result<B, Error>,
}

/// Values that are not needed any more, to be dropped without the lock.
pub(super) struct Garbage<S: Source> {
    pub(super) source: Option<S>,
    pub(super) parts: Vec<Claimed<S::Part>>,
    pub(super) ready: Vec<Ready<S::Batch>>,
}

impl<S: Source> Default for Garbage<S> {
    fn default() -> Self {
        Self { source: None, parts: Vec::new(), ready: Vec::new() }
    }
}

pub(super) struct State<S: Source> {
    /// `None` once all its parts have been claimed.
    source: Option<S>,
    order: Order,
    most_ready: usize,
    /// The ordinal of the part that was claimed last; the first one is 1.
    pub(super) claimed: u64,
    /// Parts that are not being stepped, with their ordinals.
    pub(super) waiting: VecDeque<Claimed<S::Part>>,
    /// The ordinals of those that are being stepped.
    pub(super) stepping: Vec<u64>,
    /// Finished batches, in the order in which they are taken. An error is the last.
    pub(super) ready: VecDeque<Ready<S::Batch>>,
    /// Jobs in the pool: those that are stepping, and those that have not begun.
    pub(super) jobs: usize,
    /// The ordinal of the part with the error that ends the stream.
    pub(super) failed: Option<u64>,
    /// The consumer has closed the stream.
    pub(super) closed: bool,
    /// The consumer waits.
    pub(super) waiter: Option<Arc<Ticket>>,
    pub(super) garbage: Garbage<S>,
    /// Batches that the consumer does not need any more, for a worker to drop.
    pub(super) spent: Vec<S::Batch>,
}

impl<S: Source> State<S> {
    pub(super) fn new(source: S) -> Self {
        Self {
            order: source.order(),
            most_ready: source.most_ready(),
            source: Some(source),
            claimed: 0,
            waiting: VecDeque::new(),
            stepping: Vec::new(),
            ready: VecDeque::new(),
            jobs: 0,
            failed: None,
            closed: false,
            waiter: None,
            garbage: Garbage::default(),
            spent: Vec::new(),
        }
    }

    /// Claims parts until there is one more than the jobs that have not begun will take.
    pub(super) fn refill(&mut self) {
        while self.waiting.len() <= self.jobs - self.stepping.len() {
            match self.source.as_mut().map(S::claim) {
                Some(Claim::Part(part)) => {
                    self.claimed += 1;
                    self.waiting.push_back(Claimed { ordinal: self.claimed, part });
                }
                Some(Claim::Later) if self.waiting.is_empty() && self.stepping.is_empty() => {
                    let defect = "a source is not over, and there is nothing to be done for it";
                    return self.fail(self.claimed, Error::Panic(defect.to_owned()));
                }
                Some(Claim::Later | Claim::OnDemand) | None => return,
                Some(Claim::Over) => self.garbage.source = self.source.take(),
            }
        }
    }

    /// Whether the consumer would wait although nothing is being done: the source has nothing, and has been told
    /// everything.
    pub(super) fn is_starved(&self) -> bool {
        self.source.is_some() && self.waiting.is_empty() && self.stepping.is_empty()
    }

    /// The first part that is not complete: those before it have returned everything.
    pub(super) fn head(&self) -> Option<u64> {
        self.waiting.iter().map(|claimed| claimed.ordinal).chain(self.stepping.iter().copied()).min()
    }

    /// Whether a batch can be taken now.
    pub(super) fn is_deliverable(&self) -> bool {
        let Some(first) = self.ready.front() else { return false };
        self.order == Order::AsReady || self.head().is_none_or(|head| first.ordinal <= head)
    }

    /// Whether nothing more will become ready.
    pub(super) fn is_over(&self) -> bool {
        self.source.is_none() && self.waiting.is_empty() && self.stepping.is_empty()
    }

    /// Whether the first waiting part may be stepped: there is room for its batch, or all ready batches wait for it.
    pub(super) fn may_step(&self) -> bool {
        let Some(next) = self.waiting.front() else { return false };
        let is_head = self.stepping.iter().all(|ordinal| *ordinal > next.ordinal);
        self.ready.len() + self.stepping.len() < self.most_ready || (is_head && !self.is_deliverable())
    }

    /// Whether one more job must be handed to the pool.
    ///
    /// While the consumer waits nothing is deliverable. If there were no job then, nothing would be stepping, so the
    /// head would be the first of the waiting parts, and one would be wanted.
    fn wants_job(&self, most: usize) -> bool {
        if self.jobs == 0 {
            return self.may_step() && (self.ready.len() < self.most_ready / 2 || !self.is_deliverable());
        }
        self.jobs < most
            && self.waiting.len() > self.jobs - self.stepping.len()
            && self.ready.len() + self.jobs < self.most_ready
    }

    /// Counts one more job if one is wanted; the caller hands it to the pool when the lock has been released.
    pub(super) fn adds_job(&mut self, most: usize) -> bool {
        let adds = self.wants_job(most);
        self.jobs += usize::from(adds);
        adds
    }

    /// Takes the next batch; the inner `None` is the end.
    #[expect(clippy::option_option, reason = "nothing yet, and nothing any more")]
    pub(super) fn take(&mut self) -> Option<Option<Result<S::Batch, Error>>> {
        if self.is_deliverable() {
            let item = self.ready.pop_front()?.item;
            if item.is_err() {
                self.close();
            }
            return Some(Some(item));
        }
        self.is_over().then_some(None)
    }

    /// Stores the result of a step.
    pub(super) fn settle(&mut self, claimed: Claimed<S::Part>, step: Result<Step<S::Batch>, Error>) {
        let ordinal = claimed.ordinal;
        let wanted = !self.closed && self.failed.is_none_or(|failed| ordinal < failed);
        let (batch, goes_on) = match step {
            Ok(Step::Batch(batch)) => (Some(batch), true),
            Ok(Step::Again | Step::Later) => (None, true),
            Ok(Step::Last(batch)) => (batch, false),
            Err(error) if wanted => {
                self.fail(ordinal, error);
                (None, false)
            }
            Err(_) => (None, false),
        };
        if let Some(batch) = batch {
            let ready = Ready { ordinal, item: Ok(batch) };
            if wanted { self.deliver(ready) } else { self.garbage.ready.push(ready) }
        }
        if goes_on && wanted {
            let at = self.waiting.partition_point(|waiting| waiting.ordinal < ordinal);
            self.waiting.insert(at, claimed);
        } else {
            self.garbage.parts.push(claimed);
        }
    }

    fn deliver(&mut self, ready: Ready<S::Batch>) {
        let at = match self.order {
            Order::AsReady => self.ready.len(),
            Order::AsClaimed => self.ready.partition_point(|before| before.ordinal <= ready.ordinal),
        };
        self.ready.insert(at, ready);
    }

    /// Ends the stream with an error, which is reported after the batches before it.
    pub(super) fn fail(&mut self, ordinal: u64, error: Error) {
        // Without an order of parts, only the batches that are ready come before it.
        let ordinal = if self.order == Order::AsReady { 0 } else { ordinal };
        self.failed = Some(ordinal);
        self.deliver(Ready { ordinal, item: Err(error) });
        let end = self.ready.iter().position(|ready| ready.item.is_err()).map_or(0, |at| at + 1);
        self.garbage.ready.extend(self.ready.drain(end..));
        let wanted = self.waiting.partition_point(|claimed| claimed.ordinal < ordinal);
        self.garbage.parts.extend(self.waiting.drain(wanted..));
        self.garbage.source = self.source.take().or(self.garbage.source.take());
    }

    /// Drops everything: the consumer has closed the stream.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.garbage.source = self.source.take().or(self.garbage.source.take());
        self.garbage.parts.extend(self.waiting.drain(..));
        self.garbage.ready.extend(self.ready.drain(..));
        self.waiter = None;
    }
}
