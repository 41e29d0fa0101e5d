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

/// Whether a file can be renamed while it is open: only if everybody who has opened it permits that.
pub(crate) const RENAMES_OPEN_FILES: bool = false;

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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn neither_directories_nor_read_only_files_are_unlinked() {
        let directory = tempfile::tempdir().unwrap();
        let (file, native) = {
            let file = directory.path().join("file");
            let native = NativePath::from(&*file);
            (file, native)
        };
        fs::write(&file, b"").unwrap();
        super::super::change_mode(&native, 0o444, true).unwrap();
        assert_eq!(unlink(&native).unwrap_err().raw_os_error(), Some(5));
        assert!(file.exists());
        super::super::change_mode(&native, 0o666, true).unwrap();
        unlink(&native).unwrap();
        assert!(!file.exists());
        assert_eq!(unlink(&native).unwrap_err().raw_os_error(), Some(2));
        assert_eq!(unlink(&NativePath::from(directory.path())).unwrap_err().raw_os_error(), Some(5));
    }

    #[test]
    fn only_replacing_renames_over_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| directory.path().join(name));
        fs::write(&old, b"old").unwrap();
        fs::write(&new, b"new").unwrap();
        let (from, to) = (NativePath::from(&*old), NativePath::from(&*new));
        assert_eq!(rename(&from, &to, false).unwrap_err().raw_os_error(), Some(183));
        rename(&from, &to, true).unwrap();
        assert_eq!(fs::read(&new).unwrap(), b"old");
        rename(&to, &from, false).unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"old");
    }
}
