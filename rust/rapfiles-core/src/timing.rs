//! How long each kind of operation takes in a worker, so that waiting for it on the loop is tried only where it pays.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The longest that a submitter looks for an answer before it suspends.
pub(crate) const LONGEST_LOOK: Duration = Duration::from_micros(50);
/// Kinds that take longer than this on average are not worth looking for.
const WORTHWHILE: u32 = 45_000;
/// The mean goes no higher, so that it comes down again soon.
const SLOWEST: u32 = 400_000;
/// Where the mean is not known yet, a run counts for so many nanoseconds at most.
const FIRST_STEPS: u32 = 20_000;
/// Room for every kind of operation.
const KINDS: usize = 64;

/// A running mean in nanoseconds for each kind of operation.
#[derive(Debug)]
pub(crate) struct Timing([AtomicU32; KINDS]);

impl Timing {
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU32::new(0) }; KINDS])
    }

    /// Notes that an operation of this kind took `elapsed` in a worker.
    pub(crate) fn note(&self, kind: usize, elapsed: Duration) {
        let mean = &self.0[kind];
        // Two workers may overwrite each other's note; a lost sample does no harm to a mean.
        let old = mean.load(Ordering::Relaxed);
        // A single run, in which the worker may have had to wait for a processor, must not change much.
        let most = old.saturating_mul(2).saturating_add(FIRST_STEPS).min(SLOWEST);
        let sample = u32::try_from(elapsed.as_nanos()).unwrap_or(most).min(most);
        mean.store(old - old / 4 + sample / 4, Ordering::Relaxed);
    }

    /// Whether an operation of this kind is likely to be answered within [`LONGEST_LOOK`].
    pub(crate) fn worth_looking(&self, kind: usize) -> bool {
        self.0[kind].load(Ordering::Relaxed) < WORTHWHILE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_kinds_are_left_alone_and_come_back() {
        let timing = Timing::new();
        assert!(timing.worth_looking(3));
        timing.note(3, Duration::from_secs(1));
        assert!(timing.worth_looking(3), "once is not enough");
        for _ in 0..16 {
            timing.note(3, Duration::from_secs(1));
        }
        assert!(!timing.worth_looking(3));
        for _ in 0..32 {
            timing.note(3, Duration::from_micros(5));
        }
        assert!(timing.worth_looking(3));
    }
}
