//! The disk usage of a tree, as `du` counts it.

use std::collections::HashSet;
use std::ops::AddAssign;
use std::sync::{Mutex, PoisonError};

use crate::verbs::metadata::{FileType, Metadata};

/// The unit of `st_blocks`: see stat(3type).
const BLOCK: u64 = 512;

/// Disk usage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The sum of the sizes.
    pub apparent: u64,
    /// The allocated space.
    pub allocated: u64,
    /// The number of regular files.
    pub files: u64,
    /// The number of directories.
    pub directories: u64,
    /// The number of symbolic links.
    pub symlinks: u64,
    /// The number of other entries.
    pub others: u64,
}

impl Usage {
    fn of(metadata: &Metadata) -> Self {
        let file_type = metadata.file_type();
        let one = |wanted: bool| u64::from(wanted);
        let (file, directory, link) = (
            file_type == FileType::REGULAR,
            file_type == FileType::DIRECTORY,
            file_type == FileType::SYMLINK,
        );
        // Other entries, such as devices, have no size of their own.
        let sized = file || directory || link;
        Self {
            apparent: if sized { metadata.size } else { 0 },
            allocated: metadata.blocks.saturating_mul(BLOCK),
            files: one(file),
            directories: one(directory),
            symlinks: one(link),
            others: one(!sized),
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.apparent += other.apparent;
        self.allocated += other.allocated;
        self.files += other.files;
        self.directories += other.directories;
        self.symlinks += other.symlinks;
        self.others += other.others;
    }
}

/// The files with several hard links that have been counted.
#[derive(Debug, Default)]
pub(super) struct Counted(Mutex<HashSet<(u64, u128)>>);

impl Counted {
    /// The usage of a file; nothing if it has been counted under another name.
    pub(super) fn usage(&self, metadata: &Metadata) -> Usage {
        if self.is_new(metadata) { Usage::of(metadata) } else { Usage::default() }
    }

    /// Whether a file has not been counted under another name.
    pub(super) fn is_new(&self, metadata: &Metadata) -> bool {
        if metadata.links <= 1 || metadata.file_type() == FileType::DIRECTORY {
            return true;
        }
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.insert((metadata.device, metadata.inode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_counts_once_and_another_with_its_number_elsewhere_does_too() {
        let counted = Counted::default();
        let file = |device| Metadata {
            mode: FileType::REGULAR.0,
            links: 2,
            device,
            inode: 7,
            ..Metadata::default()
        };
        assert!(counted.is_new(&file(1)) && !counted.is_new(&file(1)));
        assert!(counted.is_new(&file(2)) && !counted.is_new(&file(2)));
    }
}
