//! Mount points: roots of drives and shares, and directories on which a volume is mounted.

use std::io;
use std::ptr;

use windows_sys::Win32::Foundation::ERROR_INVALID_NAME;
use windows_sys::Win32::Storage::FileSystem::{GetFullPathNameW, GetVolumePathNameW};

use super::NativePath;
use super::errors::{checked, error};
use super::handle::text;
use super::lexical::{
    Parts, folded, is_absolute, is_separator, join, normalised, split_root, without_separators_behind,
};
use super::resolve::working_directory;

/// `os.path.ismount`.
pub(crate) fn is_mount(path: &NativePath) -> io::Result<bool> {
    let path = absolute(path.units())?;
    let Parts { drive, root, rest } = split_root(&path);
    if drive.first().is_some_and(|unit| is_separator(*unit)) {
        return Ok(rest.is_empty());
    }
    if !root.is_empty() && rest.is_empty() {
        return Ok(true);
    }
    let volume = volume_of(&path)?;
    Ok(folded(without_separators_behind(&path)) == folded(without_separators_behind(&volume)))
}

/// `ntpath.abspath`.
fn absolute(path: &[u16]) -> io::Result<Vec<u16>> {
    let normal = normalised(path);
    if let Ok(absolute) = full_path(&normal) {
        return Ok(absolute);
    }
    // Of the rules for what is absolute, it does not matter here which are followed.
    if is_absolute(&normal, u32::MAX) {
        return Ok(normal);
    }
    Ok(normalised(&join(&working_directory()?, &normal)))
}

fn full_path(path: &[u16]) -> io::Result<Vec<u16>> {
    let path = native(path)?;
    // SAFETY: the path ends with a NUL, the room is as long as it says, and nobody wants the file's part.
    text(|room, length| unsafe { GetFullPathNameW(path.as_ptr(), length, room, ptr::null_mut()) })
}

/// Where the volume is mounted that a path is on.
fn volume_of(path: &[u16]) -> io::Result<Vec<u16>> {
    /// The place is a part of the path, but the call wants at least this much room.
    const LEAST_ROOM: usize = 260;
    let mut room = vec![0; LEAST_ROOM.max(path.len() + 2)];
    let path = native(path)?;
    // SAFETY: the path ends with a NUL, and the room is as long as it says.
    checked(unsafe { GetVolumePathNameW(path.as_ptr(), room.as_mut_ptr(), room.len() as u32) })?;
    let length = room.iter().position(|unit| *unit == 0).unwrap_or(room.len());
    room.truncate(length);
    Ok(room)
}

fn native(path: &[u16]) -> io::Result<NativePath> {
    NativePath::from_wide(path.to_vec()).ok_or_else(|| error(ERROR_INVALID_NAME))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn the_root_of_a_drive_is_a_mount_point() {
        let directory = tempfile::tempdir().unwrap();
        // The first two components are the drive and its root.
        let root: PathBuf = directory.path().components().take(2).collect();
        assert!(is_mount(&NativePath::from(&*root)).unwrap());
        assert!(is_mount(&NativePath::from(Path::new(r"\"))).unwrap());
        assert!(!is_mount(&NativePath::from(directory.path())).unwrap());
        assert!(is_mount(&NativePath::from(Path::new(r"\\server\share\"))).unwrap());
        assert!(!is_mount(&NativePath::from(Path::new(r"\\server\share\directory"))).unwrap());
    }
}
