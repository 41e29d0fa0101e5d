//! The mean time that each kind of operation takes in a worker, which decides whether polling for the answer pays.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::engine::kind::Kind;
use crate::limits::{LOOK_FIRST_SAMPLE, LOOK_HIGHEST_MEAN, LOOK_PAYS_BELOW};

/// A running mean in nanoseconds for each kind of operation.
#[derive(Debug)]
pub(crate) struct Timing([AtomicU32; Kind::COUNT]);

impl Timing {
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU32::new(0) }; Kind::COUNT])
    }

    /// Notes that an operation of this kind took `elapsed` in a worker.
    pub(crate) fn note(&self, kind: Kind, elapsed: Duration) {
        let mean = &self.0[kind as usize];
        // Two workers may overwrite each other's update; a lost sample does not matter for a mean.
        let old = mean.load(Ordering::Relaxed);
        // A single sample, in which the worker may have waited for a processor, must not change much.
        let most = old.saturating_mul(2).saturating_add(LOOK_FIRST_SAMPLE).min(LOOK_HIGHEST_MEAN);
        let sample = u32::try_from(elapsed.as_nanos()).unwrap_or(most).min(most);
        mean.store(old - old / 4 + sample / 4, Ordering::Relaxed);
    }

    /// Whether an operation of this kind is likely to be answered within [`LONGEST_LOOK`](crate::limits::LONGEST_LOOK).
    pub(crate) fn worth_looking(&self, kind: Kind) -> bool {
        self.0[kind as usize].load(Ordering::Relaxed) < LOOK_PAYS_BELOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_kinds_are_left_alone_and_come_back() {
        let timing = Timing::new();
        assert!(timing.worth_looking(Kind::Stat));
        timing.note(Kind::Stat, Duration::from_secs(1));
        assert!(timing.worth_looking(Kind::Stat), "once is not enough");
        for _ in 0..16 {
            timing.note(Kind::Stat, Duration::from_secs(1));
        }
        assert!(!timing.worth_looking(Kind::Stat));
        for _ in 0..32 {
            timing.note(Kind::Stat, Duration::from_micros(5));
        }
        assert!(timing.worth_looking(Kind::Stat));
    }
}
