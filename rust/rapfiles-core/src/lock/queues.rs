//! The queues of the files of which somebody in this process holds a lock, or waits for one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hasher, RandomState};

use super::lock_file::Identity;
use super::queue::Queue;

/// A queue for each of these files.
#[derive(Debug, Default)]
pub(super) struct Queues {
    queues: HashMap<Identity, Box<Queue>, ByIdentity>,
    /// An empty one, for the next file: a lock that nobody else wants is acquired and released again and again, and each
    /// time asking the allocator for a queue would take a tenth of the time that is not the kernel's.
    spare: Option<Box<Queue>>,
}

impl Queues {
    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    pub(super) fn get(&self, identity: Identity) -> Option<&Queue> {
        self.queues.get(&identity).map(Box::as_ref)
    }

    pub(super) fn get_mut(&mut self, identity: Identity) -> Option<&mut Queue> {
        self.queues.get_mut(&identity).map(Box::as_mut)
    }

    /// The queue of a file, in which somebody is going to be.
    pub(super) fn of(&mut self, identity: Identity) -> &mut Queue {
        let spare = &mut self.spare;
        self.queues.entry(identity).or_insert_with(|| spare.take().unwrap_or_default())
    }

    /// The queue of a file that somebody has left, if there is anybody else in it; otherwise it is forgotten.
    pub(super) fn after_leaving(&mut self, identity: Identity) -> Option<&mut Queue> {
        match self.queues.entry(identity) {
            Entry::Occupied(entry) if !entry.get().is_empty() => Some(entry.into_mut()),
            Entry::Occupied(entry) => {
                let mut queue = entry.remove();
                queue.reset();
                self.spare = Some(queue);
                None
            }
            Entry::Vacant(_) => None,
        }
    }

    #[cfg(all(test, target_os = "linux", not(loom)))]
    pub(super) fn iter(&self) -> impl Iterator<Item = (Identity, &Queue)> {
        self.queues.iter().map(|(identity, queue)| (*identity, queue.as_ref()))
    }
}

/// Hashes an identity with one multiplication: the numbers of files come from file systems, and need not be protected from
/// a choice of numbers that collide as well as SipHash does it. With a secret of this process, so that nobody can construct collisions.
#[derive(Debug, Clone)]
struct ByIdentity(u64);

impl Default for ByIdentity {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for ByIdentity {
    type Hasher = Product;

    fn build_hasher(&self) -> Product {
        Product(self.0)
    }
}

/// The last number, multiplied.
struct Product(u64);

impl Hasher for Product {
    fn write_u64(&mut self, number: u64) {
        let product = u128::from(number ^ self.0) * 0x9e37_79b9_7f4a_7c15;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn write_u128(&mut self, number: u128) {
        self.write_u64(number as u64 ^ (number >> 64) as u64);
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
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_queue_that_nobody_is_in_is_forgotten_and_nothing_of_it_is_left_for_the_next_file() {
        let (mut queues, first, second) =
            (Queues::default(), Identity { device: 1, inode: 2 }, Identity { device: 1, inode: 3 });
        queues.of(first).since = Some(Instant::now());
        assert!(queues.get(first).is_some() && queues.get(second).is_none());
        assert!(queues.after_leaving(first).is_none());
        assert!(queues.is_empty() && queues.get(first).is_none());
        assert!(queues.spare.is_some() && queues.of(second).since.is_none());
        assert!(queues.spare.is_none() && !queues.is_empty());
    }
}
