//! The metadata that a new file takes over from the file that it replaces: permissions, owner, extended attributes and
//! access lists.

use std::io;

use crate::platform::{self, Directory, File, NativePath};
use crate::verbs::metadata::Metadata;

/// The set-user-ID and set-group-ID bits: kept only if the owner and the group are.
const SET_ID: u32 = 0o6000;

/// Copies the metadata of the old file, as far as that is permitted; its permissions in any case.
pub(crate) fn inherit(
    directory: &Directory,
    name: &NativePath,
    old: &Metadata,
    file: &File,
) -> io::Result<()> {
    let kept = platform::set_file_owner(file, old)?;
    match Directory::open_to_read(name, Some(directory), false) {
        Ok(source) => platform::copy_attributes(&source, file)?,
        // A process that may replace a file need not be permitted to read it; or the file has been removed meanwhile.
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) => {}
        Err(error) => return Err(error),
    }
    // Last, because chown(2) clears the set-ID bits, and an access list changes the bits of the group (acl(5)).
    platform::set_file_mode(file, if kept { old.mode } else { old.mode & !SET_ID })
}
