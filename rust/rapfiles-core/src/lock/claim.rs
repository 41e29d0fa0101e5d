//! A claim: what a lock covers, and what it excludes.

/// Whether others may hold the lock, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With other shared ones.
    Shared,
    /// Alone.
    Exclusive,
}

/// What is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The whole file. On POSIX this is a lock of its own kind, which locks of ranges do not see.
    Whole,
    /// Some of its bytes, which need not exist.
    Range {
        /// The first byte.
        start: u64,
        /// Their number; zero for all bytes from the first on.
        length: u64,
    },
}

impl Extent {
    /// Whether two locks have to do with each other.
    fn meets(self, other: Self) -> bool {
        let end = |start: u64, length: u64| if length == 0 { u64::MAX } else { start.saturating_add(length) };
        match (self, other) {
            (Self::Whole, Self::Whole) => true,
            (Self::Range { start, length }, Self::Range { start: other, length: other_length }) => {
                start < end(other, other_length) && other < end(start, length)
            }
            _ => false,
        }
    }
}

/// What a lock covers, and for whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) mode: Mode,
    pub(super) extent: Extent,
    /// The task, as the caller numbers them; zero for none.
    pub(super) owner: usize,
    /// The open file description, if several claims may be made through one; zero otherwise.
    pub(super) description: usize,
}

impl Claim {
    /// Whether it has to wait for the other one.
    pub(super) fn conflicts(&self, other: &Self) -> bool {
        // The kernel has one lock for an open file description, which the first of two holders would release.
        let same = self.description != 0 && self.description == other.description;
        let both_shared = self.mode == Mode::Shared && other.mode == Mode::Shared;
        self.extent.meets(other.extent) && (same || !both_shared)
    }

    /// Whether one open file will do for all of this process who have such a claim: the first one locks it, and the last
    /// one unlocks it.
    pub(super) fn is_shareable(&self) -> bool {
        self.mode == Mode::Shared && self.extent == Extent::Whole && self.description == 0
    }

    /// Whether the file has to be open for writing.
    pub(super) fn needs_writing(&self) -> bool {
        self.mode == Mode::Exclusive && self.extent != Extent::Whole
    }

    /// Whether the same task asks for what it holds.
    pub(super) fn is_reentry(&self, held: &Self) -> bool {
        self.owner != 0 && self.owner == held.owner && self.extent.meets(held.extent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(mode: Mode, extent: Extent) -> Claim {
        Claim { mode, extent, owner: 0, description: 0 }
    }

    fn range(start: u64, length: u64) -> Extent {
        Extent::Range { start, length }
    }

    #[test]
    fn shared_ones_exclude_only_exclusive_ones() {
        let (shared, exclusive) = (claim(Mode::Shared, Extent::Whole), claim(Mode::Exclusive, Extent::Whole));
        assert!(!shared.conflicts(&shared));
        assert!(
            shared.conflicts(&exclusive) && exclusive.conflicts(&shared) && exclusive.conflicts(&exclusive)
        );
        let through_one = Claim { description: 1, ..shared };
        assert!(through_one.conflicts(&through_one));
    }

    #[test]
    fn ranges_meet_where_they_overlap() {
        assert!(range(0, 10).meets(range(9, 1)) && range(9, 1).meets(range(0, 10)));
        assert!(!range(0, 10).meets(range(10, 1)) && !range(10, 1).meets(range(0, 10)));
        assert!(range(5, 0).meets(range(u64::MAX - 1, 1)) && !range(5, 0).meets(range(0, 5)));
        assert!(!range(0, 0).meets(Extent::Whole));
    }

    #[test]
    fn a_task_is_told_that_it_holds_the_lock() {
        let held = Claim { owner: 7, ..claim(Mode::Shared, Extent::Whole) };
        assert!(held.is_reentry(&held));
        assert!(!Claim { owner: 8, ..held }.is_reentry(&held));
        assert!(!claim(Mode::Shared, Extent::Whole).is_reentry(&claim(Mode::Shared, Extent::Whole)));
    }
}
