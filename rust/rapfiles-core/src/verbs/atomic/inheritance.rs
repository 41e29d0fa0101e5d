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
    let new = platform::metadata_of(file)?;
    let kept = platform::set_file_owner(file, &new, old)?;
    let source = Directory::open_to_read(name, Some(directory), false);
    let copied = match source.and_then(|source| platform::copy_attributes(&source, file)) {
        Err(error) if !is_passed_over(error.kind()) => return Err(error),
        // What was copied before the error.
        Err(_) => true,
        Ok(copied) => copied,
    };
    let mode = if kept { old.mode } else { old.mode & !SET_ID };
    // It is a change that the file system has to write down.
    if !copied && (new.user, new.group, new.mode) == (old.user, old.group, mode) {
        return Ok(());
    }
    // Last, because chown(2) clears the set-ID bits, and an access list changes the bits of the group (acl(5)).
    platform::set_file_mode(file, mode)
}

/// Whether the attributes are left out after this error: a process that may replace a file need not be permitted to read
/// it; or somebody else has removed or replaced it meanwhile, which network and FUSE file systems report as ESTALE.
fn is_passed_over(error: io::ErrorKind) -> bool {
    matches!(
        error,
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle
    )
}
