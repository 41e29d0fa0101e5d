//! What a transaction has staged so far: what each name will be.
//!
//! Not the history, but its result: the records that lead there do not depend on each other, so they may be applied
//! again after a crash at any point.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::name::Name;
use super::staged::Staged;
use crate::platform::File;

/// What a name will be.
#[derive(Debug)]
pub(super) enum Change {
    /// A staged file.
    Written(Staged),
    /// What the name is when the transaction is committed, with more content at its end.
    Extended(Staged),
    /// What another name is when the transaction is committed, perhaps with more content at its end.
    Moved {
        from: Name,
        added: Option<Staged>,
        /// What is added creates it.
        may_lack: bool,
    },
    /// Nothing.
    Gone,
}

/// All changes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) names: BTreeMap<Name, Change>,
    /// New directories.
    pub(super) made: BTreeSet<Name>,
    /// How many staged files are open.
    pub(super) open: usize,
    next: u64,
}

impl Changes {
    /// A number for a file of the log.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.made.is_empty()
    }

    /// Whether the directory of this name is a new one, or in a new one.
    pub(super) fn is_in_new(&self, name: &Name) -> bool {
        name.parent().is_some_and(|above| self.made.contains(&above))
    }

    /// Whether something above this name will be a file.
    pub(super) fn is_in_file(&self, name: &Name) -> bool {
        std::iter::successors(name.parent(), Name::parent)
            .any(|above| self.names.get(&above).is_some_and(|change| !matches!(change, Change::Gone)))
    }

    /// Hands over the staged files that are open, which have not been synchronised.
    pub(super) fn open_files(&mut self) -> io::Result<Vec<File>> {
        self.staged().filter_map(|staged| staged.take().transpose()).collect()
    }

    /// The staged files.
    fn staged(&mut self) -> impl Iterator<Item = &mut Staged> {
        self.names.values_mut().filter_map(|change| match change {
            Change::Written(staged)
            | Change::Extended(staged)
            | Change::Moved { added: Some(staged), .. } => Some(staged),
            Change::Moved { added: None, .. } | Change::Gone => None,
        })
    }
}
