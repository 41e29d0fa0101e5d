//! A map from files to something, for each lock that is acquired and released.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use super::lock_file::Identity;

/// A map whose keys are the numbers of files.
pub(super) type IdentityMap<T> = HashMap<Identity, T, Mixing>;

/// Hashes numbers by multiplying them, which takes a fraction of the time of the standard library's hash. The seed keeps
/// who chooses the numbers of files, as a file system in user space does, from choosing those with the same hash.
#[derive(Debug, Clone)]
pub(super) struct Mixing(u64);

impl Default for Mixing {
    fn default() -> Self {
        Self(RandomState::new().hash_one(()))
    }
}

impl BuildHasher for Mixing {
    type Hasher = Mixed;

    fn build_hasher(&self) -> Mixed {
        Mixed(self.0)
    }
}

/// What has been hashed so far.
pub(super) struct Mixed(u64);

impl Hasher for Mixed {
    fn write_u64(&mut self, number: u64) {
        // An odd number without a pattern: the fraction of the golden ratio.
        let product = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn write_u128(&mut self, number: u128) {
        self.write_u64(number as u64);
        self.write_u64((number >> 64) as u64);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_that_follow_one_another_are_spread() {
        let mixing = Mixing::default();
        let hash = |inode| mixing.hash_one(Identity { device: 1, inode });
        let hashes: Vec<u64> = (0..10_000).map(hash).collect();
        // Of a table with 2^14 places, and of the seven bits by which it tells those that share one.
        let places: HashSet<u64> = hashes.iter().map(|hash| hash % (1 << 14)).collect();
        let tags: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert!(places.len() > 6_000, "{}", places.len());
        assert_eq!(tags.len(), 128);
    }
}
