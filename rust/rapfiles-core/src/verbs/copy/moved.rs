//! What a move has copied, by which the removal of its source tells that from anything else.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;

use crate::engine::runtime;
use crate::error::Error;
use crate::verbs::metadata::{FileType, Metadata};

/// Which entries have been copied, and as what: a number each, for a tree may have millions.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    /// Nobody can make something that has the number of something else.
    hashes: RandomState,
    entries: Mutex<HashSet<u64>>,
}

impl Moved {
    /// Notes what has been copied.
    pub(crate) fn note(&self, metadata: &Metadata) -> Result<(), Error> {
        let number = self.number(metadata);
        let mut entries = runtime::lock(&self.entries);
        entries.try_reserve(1)?;
        entries.insert(number);
        Ok(())
    }

    /// Whether this has been copied, and has not been written to since. What is in a directory is noted by itself.
    pub(crate) fn has(&self, metadata: &Metadata) -> bool {
        let number = self.number(metadata);
        runtime::lock(&self.entries).contains(&number)
    }

    fn number(&self, metadata: &Metadata) -> u64 {
        let file_type = metadata.file_type();
        let content = (file_type != FileType::DIRECTORY).then(|| {
            let modified = metadata.modified;
            (metadata.size, modified.seconds, modified.nanoseconds)
        });
        self.hashes.hash_one((metadata.device, metadata.inode, file_type.0, content))
    }
}
