//! Counters of what the engine has done and is doing.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that only increases.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The engine's running totals.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) cached: Counter,
    pub(crate) submitted: Counter,
    pub(crate) unsuspended: Counter,
    pub(crate) completed: Counter,
    pub(crate) cancelled: Counter,
    pub(crate) wakeups: Counter,
    pub(crate) panics: Counter,
}

/// One reading of the engine's counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Operations answered on the loop from the kernel's caches (tier 0).
    pub cached: u64,
    /// Jobs handed to workers (tier 1).
    pub submitted: u64,
    /// Jobs whose answer came before the caller had to suspend.
    pub unsuspended: u64,
    /// Jobs that workers have finished.
    pub completed: u64,
    /// Jobs dropped before they started, because their caller was cancelled.
    pub cancelled: u64,
    /// Times a loop was woken for completions.
    pub wakeups: u64,
    /// Panics caught in workers.
    pub panics: u64,
    /// Jobs waiting for a worker now.
    pub queued: u64,
    /// Jobs that workers are running now.
    pub in_flight: u64,
    /// Worker threads now.
    pub workers: u64,
    /// Worker threads without a job now.
    pub idle_workers: u64,
}
