//! Conditions on the entries of a tree: names, types and metadata.

use std::io;

use crate::verbs::metadata::{FileType, Metadata, Timestamp};
use crate::verbs::ownership::Account;

use super::pattern::{Names, Patterns};

/// The bits of a mode that are permissions.
const PERMISSIONS: u32 = 0o7777;

/// Which permissions something has to have: the three forms of find(1)'s `-perm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permissions {
    /// These and no others.
    Exactly(u32),
    /// All of these.
    All(u32),
    /// Any of these; everything, where there is none.
    Any(u32),
}

impl Permissions {
    fn accept(self, mode: u32) -> bool {
        match self {
            Self::Exactly(bits) => mode == bits,
            Self::All(bits) => mode & bits == bits,
            Self::Any(bits) => bits == 0 || mode & bits != 0,
        }
    }
}

/// Conditions on the entries of a tree. By default there are none.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only entries that match are handed out; others are still entered.
    pub include: Patterns,
    /// Entries that match are neither handed out nor entered.
    pub exclude: Patterns,
    /// Entries that match are handed out, but not entered.
    pub prune: Patterns,
    /// Types of files; none for all.
    pub kinds: Vec<FileType>,
    /// The least and the largest size.
    pub size: Option<(u64, u64)>,
    /// The earliest and the latest time of modification.
    pub modified: Option<(Option<Timestamp>, Option<Timestamp>)>,
    /// The earliest and the latest time of change (`st_ctime`).
    pub changed: Option<(Option<Timestamp>, Option<Timestamp>)>,
    /// Its owner.
    pub owner: Option<Account>,
    /// Its permissions.
    pub permissions: Option<Permissions>,
    /// Whether it is an empty file or an empty directory.
    pub empty: Option<bool>,
    /// Whether it is hidden. With `false`, hidden directories are not entered either.
    pub hidden: Option<bool>,
}

impl Filter {
    /// Whether something is neither handed out nor entered.
    pub(super) fn leaves_out(&self, names: &Names<'_>, is_directory: bool) -> bool {
        (self.hidden == Some(false) && names.name.starts_with(b"."))
            || (!self.exclude.is_empty() && self.exclude.match_any(names, is_directory))
    }

    /// Those of the conditions that decide where a search goes, and what it looks at there.
    pub(super) fn of_ways(&self) -> Self {
        let Self { exclude, prune, hidden, .. } = self.clone();
        Self { exclude, prune, hidden, ..Self::default() }
    }

    /// Whether no name is left out, nor kept from being entered.
    pub(super) fn takes_all_names(&self) -> bool {
        self.include.is_empty()
            && self.exclude.is_empty()
            && self.prune.is_empty()
            && self.hidden != Some(false)
    }

    /// Whether the name of an entry meets the conditions.
    pub(super) fn includes(&self, names: &Names<'_>, is_directory: bool) -> bool {
        self.include.is_empty() || self.include.match_any(names, is_directory)
    }

    /// Whether this type meets the conditions.
    pub(super) fn wants_kind(&self, file_type: FileType) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&file_type)
    }

    /// Whether the conditions need the result of `stat(2)`.
    pub(super) fn asks_stat(&self) -> bool {
        self.size.is_some()
            || self.modified.is_some()
            || self.changed.is_some()
            || self.owner.is_some()
            || self.permissions.is_some()
            || self.empty.is_some()
    }

    /// Whether the metadata of an entry meets the conditions. `owner`: the number of the requested owner.
    pub(super) fn accepts(
        &self,
        metadata: &Metadata,
        owner: Option<u32>,
        is_empty_directory: impl FnOnce() -> io::Result<bool>,
    ) -> io::Result<bool> {
        let within = |range: Option<(Option<Timestamp>, Option<Timestamp>)>, time: Timestamp| {
            range.is_none_or(|(after, before)| {
                after.is_none_or(|after| time >= after) && before.is_none_or(|before| time <= before)
            })
        };
        let accepted = self.size.is_none_or(|(least, most)| (least..=most).contains(&metadata.size))
            && within(self.modified, metadata.modified)
            && within(self.changed, metadata.changed)
            && owner.is_none_or(|owner| metadata.user == owner)
            && self.permissions.is_none_or(|permissions| permissions.accept(metadata.mode & PERMISSIONS));
        let Some(empty) = self.empty.filter(|_| accepted) else { return Ok(accepted) };
        let is_empty = match metadata.file_type() {
            FileType::DIRECTORY => is_empty_directory()?,
            file_type => file_type == FileType::REGULAR && metadata.size == 0,
        };
        Ok(is_empty == empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_included() {
        let time = |seconds| Some(Timestamp { seconds, nanoseconds: 0 });
        let filter = Filter { size: Some((2, 4)), modified: Some((time(10), time(20))), ..Filter::default() };
        let accepts = |size, seconds| {
            let modified = Timestamp { seconds, nanoseconds: 0 };
            let metadata = Metadata { mode: FileType::REGULAR.0, size, modified, ..Metadata::default() };
            filter.accepts(&metadata, None, || Ok(false)).unwrap()
        };
        assert!(accepts(2, 10) && accepts(4, 20));
        assert!(!accepts(1, 15) && !accepts(5, 15) && !accepts(3, 9) && !accepts(3, 21));
    }
}
