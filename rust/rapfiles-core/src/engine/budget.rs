//! Fairness: how much may be done without suspending before a task must let the others have a turn.

use crate::limits::{BUDGET_FEWEST, BUDGET_OPERATIONS, BUDGET_TIME};
use std::time::Instant;

/// What one loop thread may still do before a task has to suspend for real.
///
/// An operation that completes without suspending would starve every other task in a tight loop. Tokio's
/// cooperative budget is the model: count, and yield when it is used up. It is shared by all tasks of a thread, because
/// in a turn of the loop one runs after the other.
#[derive(Debug)]
pub struct Budget {
    size: u32,
    spent: u32,
    since: Option<Instant>,
}

impl Budget {
    /// A full budget.
    pub const fn new() -> Self {
        Self { size: BUDGET_OPERATIONS, spent: 0, since: None }
    }

    /// Counts one operation that completed without suspending; `true` when the caller must suspend now.
    pub fn spend(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        self.spent += 1;
        let exhausted = self.spent >= self.size || now.saturating_duration_since(since) >= BUDGET_TIME;
        if exhausted {
            *self = Self { size: (self.size / 2).max(BUDGET_FEWEST), ..Self::new() };
        }
        exhausted
    }

    /// Whether the time is used up, where operations are too small and too many to be counted.
    pub fn spend_time(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let exhausted = now.saturating_duration_since(since) >= BUDGET_TIME * self.size / BUDGET_OPERATIONS;
        if exhausted {
            *self = Self { size: (self.size / 2).max(BUDGET_FEWEST), ..Self::new() };
        }
        exhausted
    }

    /// The loop has gone on to its next turn: start afresh.
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

    /// How many operations fit in until the next task has to suspend.
    fn run(budget: &mut Budget) -> usize {
        let now = Instant::now();
        (1..).find(|_| budget.spend(now)).unwrap()
    }

    #[test]
    fn a_tight_loop_must_suspend_again_and_again() {
        let mut budget = Budget::new();
        for _ in 0..10 {
            assert_eq!(run(&mut budget), BUDGET_OPERATIONS as usize);
            budget.refill();
        }
    }

    #[test]
    fn many_tasks_share_one_turn() {
        let mut budget = Budget::new();
        let turn: usize = (0..20).map(|_| run(&mut budget)).sum();
        assert!(turn < 3 * BUDGET_OPERATIONS as usize);
    }

    #[test]
    fn time_counts_too() {
        let mut budget = Budget::new();
        let now = Instant::now();
        assert!(!budget.spend(now));
        assert!(budget.spend(now + BUDGET_TIME));
    }
}
