//! How long somebody has been asking the kernel for a lock, and when to ask again.

use std::time::{Duration, Instant};

use crate::engine::runtime;
use crate::limits::{LOCK_FIRST_PAUSE, LOCK_LONGEST_PAUSE, LOCK_POLLED_FOR};

/// How long one has been asking the kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// `None` before the first refusal.
    since: Option<Instant>,
    pause: Duration,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { since: None, pause: LOCK_FIRST_PAUSE }
    }

    /// Whether a thread should wait in the kernel instead.
    pub(super) fn is_exhausted(self) -> bool {
        self.since.is_some_and(|since| runtime::elapsed(since) >= LOCK_POLLED_FOR)
    }

    /// When to ask the next time. Those who began at the same time ask at different ones.
    pub(super) fn next(self) -> (Instant, Self) {
        let now = runtime::now();
        let pause = jittered(self.pause);
        let longer = (self.pause * 2).min(LOCK_LONGEST_PAUSE);
        let next = Self { since: self.since.or(Some(now)), pause: longer };
        (now + pause, next)
    }
}

/// Between three and five quarters of a time.
fn jittered(time: Duration) -> Duration {
    let random = runtime::random() % 256;
    time * (384 + random as u32) / 512
}
