//! Files that were seen a moment ago, so that a file that is read again and again need not be looked at twice each time.
//!
//! Before a path is opened for reading it is looked at through `O_PATH`, because opening a FIFO or a device has side
//! effects. A path that led to a regular file less than [`MOMENT`] ago is opened straight away; what was opened is
//! then compared with what was seen. Only absolute paths are kept: others depend on the working directory.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::mounts::MountNumber;

/// For how long a path is taken to lead to the same kind of file.
const MOMENT: Duration = Duration::from_millis(50);
/// Files that are kept; a power of two.
const PLACES: usize = 4096;

/// A regular file on a local mount.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KnownFile {
    pub(super) device: u64,
    pub(super) inode: u128,
    pub(super) mount: MountNumber,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    path: u64,
    file: KnownFile,
    seen: Instant,
}

/// The files that were seen a moment ago, each in the one place that the hash of its path gives it.
#[derive(Debug)]
pub(super) struct KnownFiles {
    // With a secret of this process, so that nobody can make two paths meet.
    hasher: RandomState,
    places: Mutex<Vec<Option<Place>>>,
}

impl KnownFiles {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), places: Mutex::new(Vec::new()) }
    }

    /// The file that a path led to a moment ago.
    pub(super) fn get(&self, path: &[u8], now: Instant) -> Option<KnownFile> {
        let hash = self.hash(path)?;
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (*places.get(hash as usize % PLACES)?)?;
        (place.path == hash && now.saturating_duration_since(place.seen) < MOMENT).then_some(place.file)
    }

    /// Remembers the file that a path leads to.
    pub(super) fn insert(&self, path: &[u8], file: KnownFile, now: Instant) {
        let Some(hash) = self.hash(path) else { return };
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.is_empty() {
            places.resize(PLACES, None);
        }
        places[hash as usize % PLACES] = Some(Place { path: hash, file, seen: now });
    }

    fn hash(&self, path: &[u8]) -> Option<u64> {
        path.starts_with(b"/").then(|| self.hasher.hash_one(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_for_a_moment() {
        let known = KnownFiles::new();
        let now = Instant::now();
        let file = KnownFile { inode: 7, ..KnownFile::default() };
        known.insert(b"/a", file, now);
        assert_eq!(known.get(b"/a", now).map(|file| file.inode), Some(7));
        assert!(known.get(b"/b", now).is_none());
        assert!(known.get(b"/a", now + MOMENT).is_none());
    }

    #[test]
    fn relative_paths_are_not_kept() {
        let known = KnownFiles::new();
        let now = Instant::now();
        known.insert(b"a", KnownFile::default(), now);
        assert!(known.get(b"a", now).is_none());
    }
}
