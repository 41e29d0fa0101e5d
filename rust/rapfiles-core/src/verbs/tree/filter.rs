//! What of a tree is wanted: rules about names, types and what `stat(2)` tells.

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

/// What of a tree is wanted. What is not said is not asked for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// What is handed out, whatever else is entered.
    pub include: Patterns,
    /// What is neither handed out nor entered.
    pub exclude: Patterns,
    /// What is handed out, but not entered.
    pub prune: Patterns,
    /// Types of files; none for all.
    pub kinds: Vec<FileType>,
    /// The least and the largest size.
    pub size: Option<(u64, u64)>,
    /// When it was modified: not before, and not after.
    pub modified: Option<(Option<Timestamp>, Option<Timestamp>)>,
    /// When it was changed.
    pub changed: Option<(Option<Timestamp>, Option<Timestamp>)>,
    /// Its owner.
    pub owner: Option<Account>,
    /// Its permissions.
    pub permissions: Option<Permissions>,
    /// Whether it is an empty file or an empty directory.
    pub empty: Option<bool>,
    /// Whether it is hidden. If it is not to be, what is hidden is not entered either.
    pub hidden: Option<bool>,
}

impl Filter {
    /// Whether something is neither handed out nor entered.
    pub(super) fn leaves_out(&self, names: &Names<'_>, is_directory: bool) -> bool {
        (self.hidden == Some(false) && names.name.starts_with(b"."))
            || (!self.exclude.is_empty() && self.exclude.match_any(names, is_directory))
    }

    /// Whether no name is left out, nor kept from being entered.
    pub(super) fn takes_all_names(&self) -> bool {
        self.include.is_empty()
            && self.exclude.is_empty()
            && self.prune.is_empty()
            && self.hidden != Some(false)
    }

    /// Whether something is handed out, as far as its name tells.
    pub(super) fn includes(&self, names: &Names<'_>, is_directory: bool) -> bool {
        self.include.is_empty() || self.include.match_any(names, is_directory)
    }

    /// Whether something of this type is handed out.
    pub(super) fn wants_kind(&self, file_type: FileType) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&file_type)
    }

    /// Whether what `stat(2)` tells has to be known.
    pub(super) fn asks_stat(&self) -> bool {
        self.size.is_some()
            || self.modified.is_some()
            || self.changed.is_some()
            || self.owner.is_some()
            || self.permissions.is_some()
            || self.empty.is_some()
    }

    /// Whether something is handed out, as far as `stat(2)` tells. `owner`: the number of the one that is wanted.
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
