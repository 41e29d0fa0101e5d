//! The metadata that a copy is given, in pathlib's order: attributes are set while permissions still allow it.

use std::io;

use crate::platform::{self, Directory, File, NativePath};
use crate::verbs::metadata::Metadata;

/// Gives an open file or directory the metadata of another one.
pub(crate) fn preserve(source: &File, like: &Metadata, target: &File) -> io::Result<()> {
    platform::copy_attributes(source, target)?;
    platform::set_file_mode(target, like.mode)?;
    platform::set_file_times(target, (like.accessed, like.modified))?;
    platform::copy_flags(like, target)
}

/// Gives an entry that is no file the metadata of another one.
pub(crate) fn preserve_entry(
    (source, from): (&NativePath, Option<&Directory>),
    like: &Metadata,
    (target, to): (&NativePath, &Directory),
) -> io::Result<()> {
    Directory::copy_entry_attributes((source, from), (target, to))?;
    to.set_times(target, (like.accessed, like.modified))
}
