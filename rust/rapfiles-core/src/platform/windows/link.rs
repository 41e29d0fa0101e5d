//! Symbolic and hard links.

use std::ffi::OsString;
use std::io;
use std::os::windows::ffi::OsStringExt;
use std::os::windows::io::AsRawHandle;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use windows_sys::Win32::Foundation::{
    ERROR_INVALID_PARAMETER, ERROR_INVALID_REPARSE_DATA, ERROR_REPARSE_TAG_INVALID,
};
use windows_sys::Win32::Storage::FileSystem::{
    CreateHardLinkW, CreateSymbolicLinkW, FILE_ATTRIBUTE_DIRECTORY, GetFileAttributesW,
    INVALID_FILE_ATTRIBUTES, MAXIMUM_REPARSE_DATA_BUFFER_SIZE, SYMBOLIC_LINK_FLAG_ALLOW_UNPRIVILEGED_CREATE,
    SYMBOLIC_LINK_FLAG_DIRECTORY,
};
use windows_sys::Win32::System::IO::DeviceIoControl;
use windows_sys::Win32::System::Ioctl::FSCTL_GET_REPARSE_POINT;
use windows_sys::Win32::System::SystemServices::{IO_REPARSE_TAG_MOUNT_POINT, IO_REPARSE_TAG_SYMLINK};

use super::NativePath;
use super::errors::{checked, code, error};
use super::handle::open_to_look;
use super::lexical::{join, split};
use crate::verbs::link::TargetKind;

pub(crate) fn symlink(target: &NativePath, path: &NativePath, kind: TargetKind) -> io::Result<()> {
    /// Cleared on systems that do not know the flag, which came with Windows 10.
    static UNPRIVILEGED: AtomicBool = AtomicBool::new(true);
    let directory = kind == TargetKind::Directory || is_directory(target, path);
    let flags = if directory { SYMBOLIC_LINK_FLAG_DIRECTORY } else { 0 };
    if !UNPRIVILEGED.load(Ordering::Relaxed) {
        return create_symlink(target, path, flags);
    }
    match create_symlink(target, path, flags | SYMBOLIC_LINK_FLAG_ALLOW_UNPRIVILEGED_CREATE) {
        Err(error) if code(&error) == ERROR_INVALID_PARAMETER => {
            let outcome = create_symlink(target, path, flags);
            if outcome.as_ref().map_or_else(|error| code(error) != ERROR_INVALID_PARAMETER, |()| true) {
                UNPRIVILEGED.store(false, Ordering::Relaxed);
            }
            outcome
        }
        outcome => outcome,
    }
}

fn create_symlink(target: &NativePath, path: &NativePath, flags: u32) -> io::Result<()> {
    // SAFETY: both paths end with a NUL.
    let created = unsafe { CreateSymbolicLinkW(path.as_ptr(), target.as_ptr(), flags) };
    if created { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether a link at `path` would lead to a directory.
fn is_directory(target: &NativePath, path: &NativePath) -> bool {
    let (parent, _) = split(path.units());
    NativePath::from_wide(join(&parent, target.units())).is_some_and(|target| {
        // SAFETY: the path ends with a NUL.
        let attributes = unsafe { GetFileAttributesW(target.as_ptr()) };
        attributes != INVALID_FILE_ATTRIBUTES && attributes & FILE_ATTRIBUTE_DIRECTORY != 0
    })
}

/// Windows links to a symbolic link itself, never to what it leads to.
pub(crate) fn link(target: &NativePath, path: &NativePath, _follow: bool) -> io::Result<()> {
    // SAFETY: both paths end with a NUL.
    checked(unsafe { CreateHardLinkW(path.as_ptr(), target.as_ptr(), ptr::null()) })
}

/// Where a symbolic link or a junction leads.
pub(crate) fn read_link(path: &NativePath) -> io::Result<OsString> {
    target_of(path).map(|target| OsString::from_wide(&target))
}

/// Where a symbolic link or a junction leads.
pub(super) fn target_of(path: &NativePath) -> io::Result<Vec<u16>> {
    let handle = open_to_look(path, 0, 0, false)?;
    let mut room = vec![0_u8; MAXIMUM_REPARSE_DATA_BUFFER_SIZE as usize];
    let mut length = 0;
    // SAFETY: the handle is open, the room is as long as it says, and nothing is overlapped.
    checked(unsafe {
        DeviceIoControl(
            handle.as_raw_handle(),
            FSCTL_GET_REPARSE_POINT,
            ptr::null(),
            0,
            room.as_mut_ptr().cast(),
            MAXIMUM_REPARSE_DATA_BUFFER_SIZE,
            &raw mut length,
            ptr::null_mut(),
        )
    })?;
    room.truncate(length as usize);
    parsed(&room)
}

/// The target in a `REPARSE_DATA_BUFFER`.
fn parsed(data: &[u8]) -> io::Result<Vec<u16>> {
    let broken = || error(ERROR_INVALID_REPARSE_DATA);
    // Behind the tag and two lengths come the position and the length of the target's name, then those of the name
    // to be shown; a symbolic link has flags before the names begin.
    let names = match u32::from_le_bytes(*data.first_chunk().ok_or_else(broken)?) {
        IO_REPARSE_TAG_SYMLINK => data.get(20..),
        IO_REPARSE_TAG_MOUNT_POINT => data.get(16..),
        _ => return Err(error(ERROR_REPARSE_TAG_INVALID)),
    };
    let number = |at: usize| {
        let bytes = data.get(at..)?.first_chunk()?;
        Some(usize::from(u16::from_le_bytes(*bytes)))
    };
    let name = number(8)
        .zip(number(10))
        .and_then(|(start, length)| names?.get(start..start + length))
        .ok_or_else(broken)?;
    let mut target: Vec<u16> =
        name.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    // The kernel's prefix `\??\` becomes the Win32 prefix.
    const KERNEL_PREFIX: [u16; 4] = [b'\\' as u16, b'?' as u16, b'?' as u16, b'\\' as u16];
    if target.len() > KERNEL_PREFIX.len() && target.starts_with(&KERNEL_PREFIX) {
        target[1] = u16::from(b'\\');
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{metadata, unlink};
    use super::*;

    /// What Windows says to those who may not make links.
    const PRIVILEGE_NOT_HELD: i32 = 1314;

    #[test]
    fn links_lead_where_they_say() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("target")).unwrap();
        fs::write(directory.path().join("target").join("file"), b"").unwrap();
        let link = directory.path().join("link");
        let (from, to) = (NativePath::from(&*link), NativePath::from(std::path::Path::new("target")));
        match symlink(&to, &from, TargetKind::File) {
            Err(error) if error.raw_os_error() == Some(PRIVILEGE_NOT_HELD) => {
                return eprintln!("skipped: this user may not make symbolic links");
            }
            outcome => outcome.unwrap(),
        }
        assert_eq!(read_link(&from).unwrap(), "target");
        assert!(metadata(&from, false).unwrap().is_symlink());
        // That it leads to a directory was found out without being told.
        assert!(metadata(&from, true).unwrap().is_directory());
        assert!(link.join("file").exists());
        unlink(&from).unwrap();
        assert!(metadata(&from, false).is_err());
        assert!(directory.path().join("target").join("file").exists());
    }

    #[test]
    fn what_is_not_a_link_cannot_be_read_as_one() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read_link(&NativePath::from(directory.path())).unwrap_err().raw_os_error(), Some(4390));
        let missing = NativePath::from(&*directory.path().join("missing"));
        assert_eq!(read_link(&missing).unwrap_err().raw_os_error(), Some(2));
    }

    #[test]
    fn a_hard_link_is_the_same_file() {
        let directory = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| directory.path().join(name));
        fs::write(&first, b"content").unwrap();
        let (first, native) = (NativePath::from(&*first), NativePath::from(&*second));
        link(&first, &native, false).unwrap();
        assert_eq!(fs::read(&second).unwrap(), b"content");
        assert_eq!(link(&first, &native, false).unwrap_err().raw_os_error(), Some(183));
    }

    /// The data of a reparse point (`REPARSE_DATA_BUFFER`): the target, and after it the name to display.
    fn data(tag: u32, flags: &[u8], target: &str) -> Vec<u8> {
        let name: Vec<u8> = target.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let length = (name.len() as u16).to_le_bytes();
        let mut data = [tag.to_le_bytes(), [0; 4]].concat();
        data.extend([[0; 2], length, length, length].concat());
        data.extend([flags, &name, &name].concat());
        data
    }

    #[test]
    fn links_and_junctions_are_read() {
        let link = data(IO_REPARSE_TAG_SYMLINK, &[1, 0, 0, 0], r"..\target");
        assert_eq!(String::from_utf16(&parsed(&link).unwrap()).unwrap(), r"..\target");
        let junction = data(IO_REPARSE_TAG_MOUNT_POINT, &[], r"\??\C:\target");
        assert_eq!(String::from_utf16(&parsed(&junction).unwrap()).unwrap(), r"\\?\C:\target");
    }

    #[test]
    fn other_and_broken_data_is_refused() {
        let other = data(0x8000_001b, &[], "program");
        assert_eq!(parsed(&other).unwrap_err().raw_os_error(), Some(4393));
        let link = data(IO_REPARSE_TAG_SYMLINK, &[1, 0, 0, 0], "target");
        for length in 0..20 + 2 * "target".len() {
            assert!(parsed(&link[..length]).is_err(), "{length}");
        }
    }
}
