//! What holds of a file's queue whenever nobody holds the lock of the queues: for the simulation.

use super::{Holder, Phase, Queue};

impl Queue {
    /// The requests that wait: their numbers, their orders, and whether the kernel is to be asked again for each.
    pub(in crate::lock) fn waiting(&self) -> impl Iterator<Item = (u64, u64, bool)> {
        self.waiting
            .iter()
            .map(|waiting| (waiting.id, waiting.requested.order, matches!(waiting.phase, Phase::Polling(_))))
    }

    /// What does not hold.
    pub(in crate::lock) fn broken(&self) -> Option<&'static str> {
        let held_twice = self.holders.iter().enumerate().any(|(index, holder)| {
            let others = &self.holders[index + 1..];
            let excludes = |other| holder.is_there() && holder.claim.conflicts(other);
            others.iter().any(|other| other.is_there() && excludes(&other.claim))
        });
        if held_twice {
            return Some("two hold a lock that excludes each other");
        }
        if self.is_empty() {
            return Some("a queue of nobody's is kept");
        }
        // The thread that closes an open file, which releases its lock, tells them afterwards, and so does the one that asks
        // the kernel for a lock that others can share.
        let asks = self.shared.strong_count() == 0;
        let tells = |holder: &Holder| holder.is_there() && !(asks && holder.claim.is_shareable());
        if self.holders.iter().all(tells) && !self.ready().is_empty() {
            return Some("somebody waits, nobody is in the way, and nobody has told it");
        }
        let ranges = self.waiting.iter().filter(|waiting| waiting.wants_range()).count();
        if ranges != self.ranges {
            return Some("the number of those who wait for ranges is another");
        }
        let in_order = self.waiting.iter().map(|waiting| waiting.requested.order).is_sorted();
        (!in_order).then_some("those who wait are not in their order")
    }
}
