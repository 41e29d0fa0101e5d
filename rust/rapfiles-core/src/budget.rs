//! Fairness: how much may be done without suspending before a task must let the others have a turn.

use std::time::{Duration, Instant};

/// Operations that may complete without suspending in one turn of the loop.
const OPERATIONS: u32 = 128;
/// Time that may pass in such operations, and between them, in one turn of the loop.
const TIME: Duration = Duration::from_millis(2);

/// What one loop thread may still do before it has to suspend for real.
///
/// An operation that completes without suspending would starve every other task in a tight loop. Tokio's
/// cooperative budget is the model: count, and yield when it is used up.
#[derive(Debug)]
pub struct Budget {
    spent: u32,
    since: Option<Instant>,
}

impl Budget {
    /// A full budget.
    pub const fn new() -> Self {
        Self { spent: 0, since: None }
    }

    /// Counts one operation that completed without suspending; `true` when the caller must suspend now.
    pub fn spend(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        self.spent += 1;
        let exhausted = self.spent >= OPERATIONS || now.saturating_duration_since(since) >= TIME;
        if exhausted {
            self.refill();
        }
        exhausted
    }

    /// The loop had a turn: start afresh.
    pub fn refill(&mut self) {
        *self = Self::new();
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tight_loop_must_suspend_again_and_again() {
        let mut budget = Budget::new();
        let suspended = (0..10 * OPERATIONS).filter(|_| budget.spend(Instant::now())).count();
        assert!(suspended >= 10);
    }

    #[test]
    fn a_turn_of_the_loop_refills_it() {
        let mut budget = Budget::new();
        for _ in 0..OPERATIONS - 1 {
            budget.spend(Instant::now());
        }
        budget.refill();
        assert_eq!(budget.spent, 0);
        assert!(budget.since.is_none());
    }
}
