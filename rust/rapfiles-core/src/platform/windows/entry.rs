//! Entries of directories: renaming and unlinking them.

use std::io;

use windows_sys::Win32::Storage::FileSystem::{
    DeleteFileW, FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_REPARSE_POINT, GetFileAttributesW,
    INVALID_FILE_ATTRIBUTES, MOVEFILE_REPLACE_EXISTING, MoveFileExW,
};
use windows_sys::Win32::System::SystemServices::{IO_REPARSE_TAG_MOUNT_POINT, IO_REPARSE_TAG_SYMLINK};

use super::directory::find;
use super::errors::checked;
use super::metadata::tag_of;
use super::{NativePath, remove_directory};

/// Removes a file or a link; a link to a directory is itself one to Windows.
pub(crate) fn unlink(path: &NativePath) -> io::Result<()> {
    if is_link_to_directory(path) {
        return remove_directory(path);
    }
    // SAFETY: the path ends with a NUL.
    checked(unsafe { DeleteFileW(path.as_ptr()) })
}

fn is_link_to_directory(path: &NativePath) -> bool {
    const BOTH: u32 = FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT;
    // SAFETY: the path ends with a NUL.
    let attributes = unsafe { GetFileAttributesW(path.as_ptr()) };
    attributes != INVALID_FILE_ATTRIBUTES
        && attributes & BOTH == BOTH
        && find(path).is_ok_and(|(_, found)| {
            matches!(tag_of(&found), IO_REPARSE_TAG_SYMLINK | IO_REPARSE_TAG_MOUNT_POINT)
        })
}

/// Renames. `replace`: over an existing file.
pub(crate) fn rename(path: &NativePath, target: &NativePath, replace: bool) -> io::Result<()> {
    let flags = if replace { MOVEFILE_REPLACE_EXISTING } else { 0 };
    // SAFETY: both paths end with a NUL.
    checked(unsafe { MoveFileExW(path.as_ptr(), target.as_ptr(), flags) })
}
