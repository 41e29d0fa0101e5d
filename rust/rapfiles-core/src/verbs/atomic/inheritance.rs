//! What a file that replaces another one gets from it: permissions, owner, extended attributes and access lists.

use std::io;

use crate::platform::{self, Directory, File, NativePath};
use crate::verbs::metadata::Metadata;

/// The bits that let a program run as its owner or its group: never for another one than the old file's.
const SET_ID: u32 = 0o6000;

/// Gives a new file what is the old one's, as far as that is permitted: its permissions in any case.
pub(crate) fn inherit(
    directory: &Directory,
    name: &NativePath,
    old: &Metadata,
    file: &File,
) -> io::Result<()> {
    let kept = platform::set_file_owner(file, old)?;
    match Directory::open_to_read(name, Some(directory), false) {
        Ok(source) => platform::copy_attributes(&source, file)?,
        // Whoever may replace a file need not be permitted to read it; or it is gone meanwhile.
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) => {}
        Err(error) => return Err(error),
    }
    // Last, because chown(2) clears the bits that set an identity, and an access list changes those of the group.
    platform::set_file_mode(file, if kept { old.mode } else { old.mode & !SET_ID })
}
