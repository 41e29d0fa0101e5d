//! Where a search has found nothing, so that it does not look there again.
//!
//! Behind a wildcard, `..` makes the same directory be reached by many paths, and each further one multiplies them. What
//! is found there belongs to all of these paths. But where nothing is found by one of them, nothing is found by the
//! others: so all the time beyond that of the tree and the pattern is spent on results.
//!
//! That is known when a directory and everything below it has been searched, which is when the last reference to its
//! [`Search`] is dropped: those of its subdirectories refer to it.

use std::collections::HashMap;
use std::io;
use std::path::MAIN_SEPARATOR;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use super::selector::{Position, Positions};
use crate::engine::runtime;
use crate::limits::GLOB_BARREN;
use crate::platform::{self, Directory};
use crate::verbs::metadata::Metadata;

/// A directory, and whether a pattern takes it for existing without having looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    device: u64,
    inode: u128,
    exists: bool,
}

impl Place {
    pub(super) fn new(found: &Metadata, exists: bool) -> Self {
        Self { device: found.device, inode: found.inode, exists }
    }
}

/// The directories and positions from which nothing is found: by paths to them of this length, or longer ones.
#[derive(Debug, Default)]
pub(super) struct Barren(Mutex<HashMap<(Place, Position), usize>>);

impl Barren {
    /// Those positions from which something may be found by a path of this length, and what to doubt about the others.
    pub(super) fn without(
        &self,
        place: Place,
        length: usize,
        positions: &[Position],
    ) -> (Vec<Position>, Doubt) {
        let known = runtime::lock(&self.0);
        let mut doubt = Doubt::None;
        let may_find = |position: &Position| match known.get(&(place, *position)) {
            Some(from) if *from <= length => {
                if *from > 0 {
                    doubt = Doubt::Shorter;
                }
                false
            }
            _ => true,
        };
        (positions.iter().copied().filter(may_find).collect(), doubt)
    }

    fn add(&self, place: Place, length: usize, positions: &[Position]) {
        let mut known = runtime::lock(&self.0);
        for position in positions {
            if known.len() >= GLOB_BARREN {
                known.clear();
            }
            let from = known.entry((place, *position)).or_insert(length);
            *from = length.min(*from);
        }
    }
}

/// Whether the same would be found by another path to a directory.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Doubt {
    None,
    /// More may be found by a shorter path.
    Shorter,
    Unsure,
}

impl Doubt {
    /// The doubt about what has not been found because of an error. `alike`: whether the error does not depend on the
    /// path to the directory.
    pub(super) fn of(error: &io::Error, alike: impl FnOnce() -> bool) -> Self {
        match error.raw_os_error() {
            Some(platform::PATH_TOO_LONG) => Self::Shorter,
            Some(platform::LINKS_LOOP) if !alike() => Self::Unsure,
            Some(code) if platform::means_missing(code) || platform::is_refused(code) => Self::None,
            _ => Self::Unsure,
        }
    }
}

/// The search of a directory and of everything below it.
#[derive(Debug)]
pub(super) struct Search {
    barren: Arc<Barren>,
    above: Option<Arc<Self>>,
    place: Place,
    /// The length of the path to it.
    length: usize,
    positions: Arc<Positions>,
    found: AtomicBool,
    /// A [`Doubt`]; those that follow include those before.
    doubt: AtomicU8,
    /// Whether it has been read to its end.
    ended: AtomicBool,
}

impl Search {
    pub(super) fn new(
        barren: &Arc<Barren>,
        above: Option<Arc<Self>>,
        (place, length): (Place, usize),
        positions: &Arc<Positions>,
    ) -> Arc<Self> {
        Arc::new(Self {
            barren: Arc::clone(barren),
            above,
            place,
            length,
            positions: Arc::clone(positions),
            found: AtomicBool::new(false),
            doubt: AtomicU8::new(Doubt::None as u8),
            ended: AtomicBool::new(false),
        })
    }

    /// Something has been found in it.
    pub(super) fn has_found(&self) {
        self.found.store(true, Ordering::Relaxed);
    }

    /// It has been read to its end; what is below it may not.
    pub(super) fn has_ended(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub(super) fn doubt(&self, doubt: Doubt) {
        self.doubt.fetch_max(doubt as u8, Ordering::Relaxed);
    }

    /// Everything below it has been searched; the one above it, which may be over with that.
    fn close(&mut self) -> Option<Arc<Self>> {
        let doubt = if *self.ended.get_mut() { *self.doubt.get_mut() } else { Doubt::Unsure as u8 };
        let found = std::mem::replace(self.found.get_mut(), true);
        if !found && doubt != Doubt::Unsure as u8 {
            let length = if doubt == Doubt::None as u8 { 0 } else { self.length };
            self.barren.add(self.place, length, &self.positions.open);
        }
        let above = self.above.take()?;
        above.doubt.fetch_max(doubt, Ordering::Relaxed);
        above.found.fetch_or(found, Ordering::Relaxed);
        Some(above)
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        // One after the other, not recursively.
        let mut above = self.close();
        while let Some(mut search) = above.and_then(Arc::into_inner) {
            above = search.close();
        }
    }
}

/// Whether what has this name in a directory leads round in a circle of links by itself, whatever the path to the
/// directory.
pub(super) fn loops_by_itself(prefix: &[u8], name: &[u8]) -> bool {
    let looped = || -> io::Result<bool> {
        let open =
            |path: &[u8]| platform::native_name(path).map(|path| Directory::open_followed(&path, None));
        let prefix = if prefix.is_empty() { &b"."[..] } else { prefix };
        let (Some(directory), Some(name)) = (open(prefix), platform::native_name(name)) else {
            return Ok(false);
        };
        let directory = directory?;
        let found = Directory::entry(&name, Some(&directory), true);
        Ok(found.is_err_and(|error| error.raw_os_error() == Some(platform::LINKS_LOOP)))
    };
    looped().unwrap_or(false)
}

/// The directory and the name in a path that ends with a separator.
pub(super) fn split(prefix: &[u8]) -> (&[u8], &[u8]) {
    let (path, _) = prefix.split_at(prefix.len().saturating_sub(1));
    path.split_at(path.iter().rposition(|byte| *byte == MAIN_SEPARATOR as u8).map_or(0, |at| at + 1))
}
