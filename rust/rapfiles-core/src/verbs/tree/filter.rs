//! What of a tree is wanted: rules about names, types and what `stat(2)` tells.

use std::io;

use crate::verbs::metadata::{FileType, Metadata, Timestamp};

use super::pattern::{Names, Patterns};

/// The bits of a mode that are permissions.
const PERMISSIONS: u32 = 0o7777;

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
    /// The number of its owner.
    pub owner: Option<u32>,
    /// All of its permissions.
    pub permissions: Option<u32>,
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

    /// Whether something is handed out, as far as `stat(2)` tells.
    pub(super) fn accepts(
        &self,
        metadata: &Metadata,
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
            && self.owner.is_none_or(|owner| metadata.user == owner)
            && self.permissions.is_none_or(|permissions| metadata.mode & PERMISSIONS == permissions);
        let Some(empty) = self.empty.filter(|_| accepted) else { return Ok(accepted) };
        let is_empty = match metadata.file_type() {
            FileType::DIRECTORY => is_empty_directory()?,
            file_type => file_type == FileType::REGULAR && metadata.size == 0,
        };
        Ok(is_empty == empty)
    }
}
