//! How long somebody has been asking the kernel for a lock, and when to ask again.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::engine::runtime;
use crate::limits::{LOCK_FIRST_PAUSE, LOCK_LONGEST_PAUSE, LOCK_POLLED_FOR};

/// How long one has been asking the kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    since: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { since: runtime::now(), pause: LOCK_FIRST_PAUSE }
    }

    /// Whether a thread should wait in the kernel instead.
    pub(super) fn is_exhausted(self) -> bool {
        runtime::elapsed(self.since) >= LOCK_POLLED_FOR
    }

    /// When to ask the next time. Those who began at the same time ask at different ones.
    pub(super) fn next(self) -> (Instant, Self) {
        let now = runtime::now();
        let pause = jittered(self.pause);
        let next = Self { pause: (self.pause * 2).min(LOCK_LONGEST_PAUSE), ..self };
        (now + pause, next)
    }
}

/// Between three and five quarters of a time.
fn jittered(time: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) % 256;
    time * (384 + random as u32) / 512
}
