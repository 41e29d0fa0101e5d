//! A cache of recently seen files, so that a file that is read repeatedly is looked up only once each time.
//!
//! Before a path is opened for reading it is looked up with `O_PATH`, because opening a FIFO or a device has side
//! effects (`open(2)`). A path that led to a regular file less than [`RECENT_FOR`] ago is opened directly, and the
//! opened file is compared with the one in the cache. Only absolute paths are cached: others depend on the working
//! directory.

use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::time::Instant;

use super::mounts::MountNumber;
use crate::engine::runtime;
use crate::limits::{RECENT_FILES, RECENT_FOR};

/// A regular file on a local mount.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RecentFile {
    pub(super) device: u64,
    pub(super) inode: u128,
    pub(super) mount: MountNumber,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    path: u64,
    file: RecentFile,
    seen: Instant,
}

/// The place of a path in the cache: its hash.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlaceOfPath(u64);

/// The recently seen files, each at the place given by the hash of its path.
#[derive(Debug)]
pub(super) struct RecentFiles {
    // With a secret of this process, so that nobody can construct collisions.
    hasher: RandomState,
    places: Mutex<Vec<Option<Place>>>,
}

impl RecentFiles {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), places: Mutex::new(Vec::new()) }
    }

    /// The place of a path; `None` if it is not cached.
    pub(super) fn place(&self, path: &[u8]) -> Option<PlaceOfPath> {
        path.starts_with(b"/").then(|| PlaceOfPath(self.hasher.hash_one(path)))
    }

    /// The place of an entry's directory, which differs from the places of files.
    pub(super) fn place_of_directory(&self, entry: &[u8]) -> Option<PlaceOfPath> {
        let name = entry.iter().rposition(|byte| *byte == b'/')?;
        entry.starts_with(b"/").then(|| PlaceOfPath(self.hasher.hash_one((&entry[..name], "directory"))))
    }

    /// What was recently seen there: a directory, or a file that is not compared with it. Its time in the cache goes on.
    pub(super) fn peek(&self, path: PlaceOfPath, now: Instant) -> Option<RecentFile> {
        let places = runtime::lock(&self.places);
        let place = places.get(path.0 as usize % RECENT_FILES)?.as_ref()?;
        let known = place.path == path.0 && now.saturating_duration_since(place.seen) < RECENT_FOR;
        known.then_some(place.file)
    }

    /// The file that a path recently led to. Its time in the cache starts again.
    pub(super) fn get(&self, path: PlaceOfPath, now: Instant) -> Option<RecentFile> {
        let mut places = runtime::lock(&self.places);
        let place = places.get_mut(path.0 as usize % RECENT_FILES)?.as_mut()?;
        let known = place.path == path.0 && now.saturating_duration_since(place.seen) < RECENT_FOR;
        known.then(|| {
            place.seen = now;
            place.file
        })
    }

    /// Caches the file that a path leads to.
    pub(super) fn insert(&self, path: PlaceOfPath, file: RecentFile, now: Instant) {
        let mut places = runtime::lock(&self.places);
        if places.is_empty() {
            // Without memory for it nothing is cached: a failed allocation would end the process.
            if places.try_reserve_exact(RECENT_FILES).is_err() {
                return;
            }
            places.resize(RECENT_FILES, None);
        }
        places[path.0 as usize % RECENT_FILES] = Some(Place { path: path.0, file, seen: now });
    }

    /// Removes a path from the cache.
    pub(super) fn forget(&self, path: PlaceOfPath) {
        let mut places = runtime::lock(&self.places);
        if let Some(place) = places.get_mut(path.0 as usize % RECENT_FILES) {
            *place = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_for_a_moment() {
        let known = RecentFiles::new();
        let now = Instant::now();
        let (here, there) = (known.place(b"/a").unwrap(), known.place(b"/b").unwrap());
        known.insert(here, RecentFile { inode: 7, ..RecentFile::default() }, now);
        assert_eq!(known.get(here, now).map(|file| file.inode), Some(7));
        assert!(known.get(there, now).is_none());
        assert!(known.get(here, now + RECENT_FOR).is_none());
        known.forget(here);
        assert!(known.get(here, now).is_none());
    }

    #[test]
    fn relative_paths_are_not_kept() {
        assert!(RecentFiles::new().place(b"a").is_none());
        assert!(RecentFiles::new().place_of_directory(b"a/b").is_none());
    }

    #[test]
    fn a_directory_is_known_for_a_moment_however_often_it_is_asked_for() {
        let known = RecentFiles::new();
        let now = Instant::now();
        let place = known.place_of_directory(b"/a/b").unwrap();
        known.insert(place, RecentFile { device: 7, ..RecentFile::default() }, now);
        let sibling = known.place_of_directory(b"/a/c").unwrap();
        assert_eq!(known.peek(sibling, now + RECENT_FOR / 2).map(|directory| directory.device), Some(7));
        assert!(known.peek(place, now + RECENT_FOR).is_none());
        assert!(known.get(known.place(b"/a").unwrap(), now).is_none());
    }
}
