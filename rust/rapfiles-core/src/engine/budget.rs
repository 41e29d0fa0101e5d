//! Fairness: how much tasks may do without suspending before other tasks of the loop must run.

use crate::limits::{BUDGET_FEWEST, BUDGET_OPERATIONS, BUDGET_TIME};
use std::time::Instant;

/// The remaining budget of one loop thread, after which a task has to suspend.
///
/// In a tight loop, operations that complete without suspending would starve all other tasks. As in Tokio's cooperative
/// scheduling (`tokio::task::coop`), operations are counted, and a task yields when the budget is spent. All tasks of a
/// thread share it, because they run one after the other in each iteration of the loop.
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

    /// Counts one operation that completed without suspending; `true` if the caller must suspend now.
    pub fn spend(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        self.spent += 1;
        let exhausted = self.spent >= self.size || now.saturating_duration_since(since) >= BUDGET_TIME;
        self.shrink_if(exhausted)
    }

    /// The same, without a look at the clock: for one that always follows another, which takes that look.
    pub fn spend_again(&mut self) -> bool {
        self.spent += 1;
        self.shrink_if(self.spent >= self.size)
    }

    /// Whether the time is spent, for operations that are too small and too many to be counted.
    pub fn spend_time(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let exhausted = now.saturating_duration_since(since) >= BUDGET_TIME * self.size / BUDGET_OPERATIONS;
        self.shrink_if(exhausted)
    }

    /// Begins a smaller one if this one is exhausted, and returns whether it is.
    fn shrink_if(&mut self, exhausted: bool) -> bool {
        if exhausted {
            *self = Self { size: (self.size / 2).max(BUDGET_FEWEST), ..Self::new() };
        }
        exhausted
    }

    /// The loop has begun its next iteration: restore the full budget.
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
    fn what_does_not_look_at_the_clock_is_counted_too() {
        let (mut budget, now) = (Budget::new(), Instant::now());
        let pairs = (1..).find(|_| budget.spend(now) || budget.spend_again()).unwrap();
        assert_eq!(pairs, BUDGET_OPERATIONS / 2);
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
