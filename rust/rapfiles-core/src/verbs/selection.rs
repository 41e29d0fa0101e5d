//! A directory whose entries wait until the consumer of the work has selected some of them.

use std::collections::TryReserveError;
use std::fmt;
use std::sync::Arc;

use crate::platform::NativePath;
use crate::verbs::listing::Block;

/// Takes the selected entries. It has no effect if the work is over.
type Proceed = Box<dyn FnOnce(Arc<Block>) + Send + Sync>;

/// The entries of a directory, from which the consumer selects.
///
/// It keeps nothing open, and nothing of the work alive: after the work it only holds names.
pub struct Selection {
    directory: NativePath,
    entries: Arc<Block>,
    proceed: Proceed,
}

impl Selection {
    pub(crate) fn new(directory: NativePath, entries: Arc<Block>, proceed: Proceed) -> Self {
        Self { directory, entries, proceed }
    }

    /// The path of the directory.
    pub fn directory(&self) -> &NativePath {
        &self.directory
    }

    /// Its entries.
    pub fn entries(&self) -> &Block {
        &self.entries
    }

    /// Continues the work with the entries at these positions, and only those.
    ///
    /// # Errors
    /// Memory for the list of them cannot be allocated; then the work does not continue.
    pub fn keep(self, is_kept: impl Fn(usize) -> bool) -> Result<(), TryReserveError> {
        let length = self.entries.len();
        let kept = if (0..length).all(&is_kept) {
            self.entries
        } else {
            let mut kept = Block::default();
            let entries = (0..length).filter(|position| is_kept(*position));
            for entry in entries.filter_map(|position| self.entries.get(position)) {
                kept.push(entry)?;
            }
            Arc::new(kept)
        };
        (self.proceed)(kept);
        Ok(())
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Selection").field("directory", &self.directory).finish_non_exhaustive()
    }
}
