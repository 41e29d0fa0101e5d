//! The metadata that a new file takes over from the file that it replaces: permissions, owner, extended attributes and
//! access lists.

use std::io;

use crate::platform::{self, Directory, File, NativePath};
use crate::verbs::metadata::{Attributes, Metadata};
use crate::verbs::replaced::{MayBeGone, again_if_stale, no_longer_names};

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
    let attributes = copy_attributes(directory, name, old, file)?;
    let mut mode = old.mode & attributes.permitted;
    if !kept.is_both() {
        mode &= !SET_ID;
    }
    if !kept.group {
        mode &= common(old.mode);
    }
    // It is a change that the file system has to write down.
    if !attributes.any && (new.user, new.group, new.mode) == (old.user, old.group, mode) {
        return Ok(());
    }
    // Last, because chown(2) clears the set-ID bits, and an access list changes the bits of the group (acl(5)).
    platform::set_file_mode(file, mode)
}

/// Copies the attributes and the access lists, as far as that is permitted. Those that the new file has from its directory
/// are removed in any case: nobody gets access who had none.
fn copy_attributes(
    directory: &Directory,
    name: &NativePath,
    old: &Metadata,
    file: &File,
) -> io::Result<Attributes> {
    let copied = again_if_stale(|| {
        let source = Directory::open_to_read(name, Some(directory), false);
        match source.and_then(|source| platform::copy_attributes(&source, file)) {
            // A process that may replace a file need not be permitted to read it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                platform::copy_access_list_of(name, directory, file)
            }
            copied => copied,
        }
    });
    match copied {
        // There is nothing left to take attributes from, or something else, such as a link, which is not opened.
        Err(error) if error.is_gone() || no_longer_names(directory, name, Some(old)) => {
            platform::remove_access_lists(file)?;
            Ok(Attributes { any: true, permitted: common(old.mode) })
        }
        copied => copied,
    }
}

/// The permissions that give nobody more than before, whichever the group is now and was then: those that the group and the
/// others both have. `io_copy_attrs` of xz does the same, and for the same reason; `cp -p` gives the new group those of the old one.
fn common(mode: u32) -> u32 {
    let both = mode & mode >> 3 & 0o7;
    0o7700 | both << 3 | both
}
