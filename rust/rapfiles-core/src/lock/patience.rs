//! How long somebody has been asking the kernel for a lock, and when to ask again.

use std::time::{Duration, Instant};

use crate::engine::runtime;
use crate::limits::{
    LOCK_FIRST_PAUSE, LOCK_LONGEST_PAUSE, LOCK_PAUSE_FOR_EACH, LOCK_PAUSE_SHARE, LOCK_POLLED_FOR,
};

/// How long one has been asking the kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// `None` before the first refusal.
    since: Option<Instant>,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { since: None }
    }

    /// Whether a thread should wait in the kernel instead.
    pub(super) fn is_exhausted(self) -> bool {
        self.since.is_some_and(|since| runtime::elapsed(since) >= LOCK_POLLED_FOR)
    }

    /// When to ask the next time, if the kernel is asked for `others` other locks, too. Those who began at the same time ask at
    /// different ones.
    pub(super) fn next(self, others: usize) -> (Instant, Self) {
        let now = runtime::now();
        let since = self.since.unwrap_or(now);
        let pause = pause(now.saturating_duration_since(since), others);
        (now + jittered(pause), Self { since: Some(since) })
    }
}

fn pause(waited: Duration, others: usize) -> Duration {
    let for_all = LOCK_PAUSE_FOR_EACH.saturating_mul(u32::try_from(others).unwrap_or(u32::MAX));
    (waited / LOCK_PAUSE_SHARE).max(LOCK_FIRST_PAUSE).max(for_all).min(LOCK_LONGEST_PAUSE)
}

/// Between three and five quarters of a time.
fn jittered(time: Duration) -> Duration {
    let random = runtime::random() % 256;
    time * (384 + random as u32) / 512
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_the_time_waited_and_with_the_number_of_those_who_wait() {
        let ms = Duration::from_millis;
        assert_eq!(pause(ms(0), 0), LOCK_FIRST_PAUSE);
        assert_eq!(pause(ms(64), 0), ms(2));
        assert_eq!(pause(ms(0), 200), ms(4));
        assert_eq!(pause(ms(60_000), 0), LOCK_LONGEST_PAUSE);
        assert_eq!(pause(ms(0), usize::MAX), LOCK_LONGEST_PAUSE);
    }
}
