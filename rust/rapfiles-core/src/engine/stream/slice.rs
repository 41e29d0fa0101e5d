//! The time that a step may take, and what the consumer and the workers tell each other meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::engine::pool::Pool;
use crate::engine::runtime;

/// The time that a step may take.
#[derive(Debug)]
pub struct Slice<'a> {
    until: Option<Instant>,
    /// From when on it is also over as soon as a job waits that is no step, and the pool that knows.
    shared: Option<(Instant, &'a Pool)>,
    ordinal: u64,
    signals: &'a Signals,
}

impl<'a> Slice<'a> {
    /// For a step of the part with this ordinal, which ends when the time is up, and before that if others wait for the
    /// pool from `shared` on.
    pub(super) fn of_step(
        until: Instant,
        shared: (Instant, &'a Pool),
        ordinal: u64,
        signals: &'a Signals,
    ) -> Self {
        Self { until: Some(until), shared: Some(shared), ordinal, signals }
    }

    /// For work outside a stream that may take `most`.
    pub(crate) fn alone(most: std::time::Duration) -> Slice<'static> {
        static SIGNALS: Signals = Signals::new();
        Slice::outside(runtime::now() + most, &SIGNALS)
    }

    /// For a step outside the workers, which leaves its thread to no other job.
    pub(super) fn outside(until: Instant, signals: &'a Signals) -> Self {
        Self { until: Some(until), shared: None, ordinal: 0, signals }
    }

    /// Whether the step must end. Reads the clock.
    pub fn is_over(&self) -> bool {
        if self.is_unwanted() {
            return true;
        }
        let Some(until) = self.until else { return false };
        let now = runtime::now();
        now >= until || self.is_called_off(now)
    }

    /// Whether a job waits that is no step, and this one has had its time.
    pub(super) fn is_called_off(&self, now: Instant) -> bool {
        self.shared.is_some_and(|(from, pool)| now >= from && pool.has_more_than_steps())
    }

    /// Whether nobody wants the rest of the part's results.
    pub fn is_unwanted(&self) -> bool {
        self.ordinal > self.signals.last_wanted.load(Ordering::Relaxed)
    }

    /// Adds to the count of [`Stream::progress`](super::Stream::progress).
    pub fn count(&self, done: u64) {
        self.signals.done.fetch_add(done, Ordering::Relaxed);
    }
}

/// The flags that the consumer and the workers exchange during a step.
#[derive(Debug)]
pub(super) struct Signals {
    /// Parts up to this ordinal are wanted.
    last_wanted: AtomicU64,
    done: AtomicU64,
}

impl Signals {
    pub(super) const fn new() -> Self {
        Self { last_wanted: AtomicU64::new(u64::MAX), done: AtomicU64::new(0) }
    }

    /// Makes steps of parts behind this ordinal end.
    pub(super) fn want_up_to(&self, ordinal: u64) {
        self.last_wanted.store(ordinal, Ordering::Relaxed);
    }

    /// How much has been counted.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }
}
