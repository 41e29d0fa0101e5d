//! How large the batches of a tree's entries are that workers hand out: small ones first, so that the consumer begins
//! soon, and then as large as makes waking it cheap.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use crate::engine::runtime;
use crate::limits::{TREE_BATCH, TREE_BATCH_TIME, TREE_BATCHES_HALVED};

/// The batches of one tree.
#[derive(Debug)]
pub(super) struct Batches {
    /// How often the next one is halved.
    halved: AtomicU32,
}

impl Batches {
    pub(super) fn new() -> Self {
        Self { halved: AtomicU32::new(TREE_BATCHES_HALVED) }
    }

    /// How many entries the batch may have that begins now, and until when.
    pub(super) fn begin(&self) -> (usize, Instant) {
        let less = |left: u32| left.checked_sub(1);
        let halved = self.halved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).unwrap_or(0);
        (TREE_BATCH >> halved, runtime::now() + TREE_BATCH_TIME / (1 << halved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_grow_to_their_size() {
        let batches = Batches::new();
        let sizes: Vec<usize> = (0..=TREE_BATCHES_HALVED + 1).map(|_| batches.begin().0).collect();
        assert_eq!(sizes.first(), Some(&(TREE_BATCH >> TREE_BATCHES_HALVED)));
        assert!(sizes.windows(2).all(|pair| pair[1] == TREE_BATCH.min(pair[0] * 2)));
        assert_eq!(sizes.last(), Some(&TREE_BATCH));
    }
}
