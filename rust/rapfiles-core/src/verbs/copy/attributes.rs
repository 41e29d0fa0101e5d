//! The metadata of a copy, set in pathlib's order: attributes while permissions still allow it.

use std::io;

use crate::platform::{self, Directory, File, NativePath};
use crate::verbs::metadata::Metadata;

/// Copies the metadata of a file or directory to an open one.
pub(crate) fn preserve(source: &File, like: &Metadata, target: &File) -> io::Result<()> {
    let attributes = platform::copy_attributes(source, target)?;
    platform::set_file_mode(target, like.mode & attributes.permitted)?;
    platform::set_file_times(target, (like.accessed, like.modified))?;
    platform::copy_flags(like, target)
}

/// Copies the metadata to an entry that is not a file.
pub(crate) fn preserve_entry(
    (source, from): (&NativePath, Option<&Directory>),
    like: &Metadata,
    (target, to): (&NativePath, &Directory),
) -> io::Result<()> {
    Directory::copy_entry_attributes((source, from), (target, to))?;
    to.set_times(target, (like.accessed, like.modified))
}
