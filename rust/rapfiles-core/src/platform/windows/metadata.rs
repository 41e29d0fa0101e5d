//! Metadata: `os.stat` as CPython makes it from Windows' own info.

use std::fs::File;
use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle};

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_BAD_NET_NAME, ERROR_CANT_ACCESS_FILE, ERROR_FILE_NOT_FOUND,
    ERROR_INVALID_FUNCTION, ERROR_INVALID_PARAMETER, ERROR_NOT_READY, ERROR_NOT_SUPPORTED,
    ERROR_PATH_NOT_FOUND, ERROR_SHARING_VIOLATION, FILETIME, GENERIC_READ,
};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_READONLY,
    FILE_ATTRIBUTE_REPARSE_POINT, FILE_ATTRIBUTE_TAG_INFO, FILE_ID_INFO, FILE_READ_ATTRIBUTES,
    FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_TYPE_CHAR, FILE_TYPE_DISK, FILE_TYPE_PIPE, FILE_TYPE_UNKNOWN,
    GetFileAttributesW, GetFileInformationByHandle, GetFileType, INVALID_FILE_ATTRIBUTES, WIN32_FIND_DATAW,
};
use windows_sys::Win32::System::SystemServices::{IO_REPARSE_TAG_MOUNT_POINT, IO_REPARSE_TAG_SYMLINK};

use super::NativePath;
use super::directory::find;
use super::errors::{checked, code};
use super::handle::{information, open_to_look};
use super::lexical::without_separators_behind;
use crate::verbs::metadata::{FileType, Metadata, Timestamp};

const FIFO: u32 = 0o010_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
const BLOCK_DEVICE: u32 = 0o060_000;
const EVERYBODY_MAY_READ: u32 = 0o444;
const EVERYBODY_MAY_WRITE: u32 = 0o222;
const EVERYBODY_MAY_RUN: u32 = 0o111;
/// Set in the tags of reparse points that stand for another file or directory.
const NAME_SURROGATE: u32 = 0x2000_0000;
/// The files that Windows runs.
const PROGRAMS: [&[u8; 4]; 4] = [b".exe", b".bat", b".cmd", b".com"];

/// `os.stat` or `os.lstat`.
pub(crate) fn metadata(path: &NativePath, follow: bool) -> io::Result<Metadata> {
    let error = match open_to_look(path, FILE_READ_ATTRIBUTES, 0, follow) {
        Ok(handle) => return described(path, handle.as_handle(), follow, false),
        Err(error) => error,
    };
    match code(&error) {
        // It may not be opened, but its directory may tell of it. Paging files are never shared.
        ERROR_ACCESS_DENIED | ERROR_SHARING_VIOLATION => told_by_directory(path, follow, error),
        // Devices such as the console have to be opened for something.
        ERROR_INVALID_PARAMETER => {
            let share = FILE_SHARE_READ | FILE_SHARE_WRITE;
            let handle =
                open_to_look(path, FILE_READ_ATTRIBUTES | GENERIC_READ, share, follow).map_err(|_| error)?;
            described(path, handle.as_handle(), follow, false)
        }
        // A reparse point that no file system feels responsible for.
        ERROR_CANT_ACCESS_FILE if follow => {
            let handle = open_to_look(path, FILE_READ_ATTRIBUTES, 0, false).map_err(|_| error)?;
            described(path, handle.as_handle(), false, true)
        }
        _ => Err(error),
    }
}

/// `os.fstat`.
pub(crate) fn metadata_of(file: &File) -> io::Result<Metadata> {
    let handle = file.as_handle();
    match file_type(handle)? {
        FILE_TYPE_DISK => of_disk(None, handle, 0),
        other => Ok(device(None, other)),
    }
}

/// Whether there is a junction.
pub(crate) fn is_junction(path: &NativePath) -> bool {
    metadata(path, false).is_ok_and(|metadata| metadata.reparse_tag == IO_REPARSE_TAG_MOUNT_POINT)
}

/// `unhandled`: it was tried in vain to go where a reparse point leads.
fn described(
    path: &NativePath,
    handle: BorrowedHandle<'_>,
    follow: bool,
    unhandled: bool,
) -> io::Result<Metadata> {
    let file_type = file_type(handle)?;
    if file_type != FILE_TYPE_DISK {
        return Ok(device(Some(path), file_type));
    }
    let tag = if follow { 0 } else { reparse_tag(handle)? };
    if tag != 0 {
        let stands_for_another = tag & NAME_SURROGATE != 0;
        if stands_for_another && unhandled {
            return Err(super::errors::error(ERROR_CANT_ACCESS_FILE));
        }
        // What is not a link is a file in some special form, and looked at as such.
        if !stands_for_another && !unhandled {
            return metadata(path, true);
        }
    }
    of_disk(Some(path), handle, tag)
}

fn file_type(handle: BorrowedHandle<'_>) -> io::Result<u32> {
    // SAFETY: the handle is open.
    let file_type = unsafe { GetFileType(handle.as_raw_handle()) };
    match io::Error::last_os_error() {
        error if file_type == FILE_TYPE_UNKNOWN && error.raw_os_error() != Some(0) => Err(error),
        _ => Ok(file_type),
    }
}

/// The tag of a reparse point, zero for everything else.
fn reparse_tag(handle: BorrowedHandle<'_>) -> io::Result<u32> {
    match information::<FILE_ATTRIBUTE_TAG_INFO>(handle) {
        Ok(found) if found.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT != 0 => Ok(found.ReparseTag),
        Ok(_) => Ok(0),
        Err(error) if is_refused_by_device(&error) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Devices and some file systems do not answer every question.
fn is_refused_by_device(error: &io::Error) -> bool {
    matches!(code(error), ERROR_INVALID_PARAMETER | ERROR_INVALID_FUNCTION | ERROR_NOT_SUPPORTED)
}

/// What is not on a disk.
fn device(path: Option<&NativePath>, file_type: u32) -> Metadata {
    let is_directory = path.is_some_and(|path| {
        // SAFETY: the path ends with a NUL.
        let attributes = unsafe { GetFileAttributesW(path.as_ptr()) };
        attributes != INVALID_FILE_ATTRIBUTES && attributes & FILE_ATTRIBUTE_DIRECTORY != 0
    });
    let mode = match file_type {
        _ if is_directory => FileType::DIRECTORY.0,
        FILE_TYPE_CHAR => CHARACTER_DEVICE,
        FILE_TYPE_PIPE => FIFO,
        _ => 0,
    };
    Metadata { mode, ..Metadata::default() }
}

fn of_disk(path: Option<&NativePath>, handle: BorrowedHandle<'_>, tag: u32) -> io::Result<Metadata> {
    let mut found = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open, and there is room for the result.
    match checked(unsafe { GetFileInformationByHandle(handle.as_raw_handle(), &raw mut found) }) {
        Ok(()) => {}
        // A whole volume or disk.
        Err(error) if is_refused_by_device(&error) => {
            return Ok(Metadata { mode: BLOCK_DEVICE, ..Metadata::default() });
        }
        Err(error) => return Err(error),
    }
    // Some file systems have only the shorter numbers.
    let long = information::<FILE_ID_INFO>(handle).ok();
    let inode = long.map_or(0, |long| u128::from_le_bytes(long.FileId.Identifier));
    let short_inode = joined(found.nFileIndexHigh, found.nFileIndexLow);
    let times = (found.ftCreationTime, found.ftLastAccessTime, found.ftLastWriteTime);
    Ok(Metadata {
        inode: if inode == 0 { short_inode.into() } else { inode },
        device: long.map_or(found.dwVolumeSerialNumber.into(), |long| long.VolumeSerialNumber),
        links: found.nNumberOfLinks.into(),
        size: joined(found.nFileSizeHigh, found.nFileSizeLow),
        ..of_attributes(path, found.dwFileAttributes, tag, times)
    })
}

/// What can be known without opening: no links, no inode.
fn told_by_directory(path: &NativePath, follow: bool, refusal: io::Error) -> io::Result<Metadata> {
    const COLON: u16 = b':' as u16;
    let entry = match without_separators_behind(path.units()) {
        // A drive is in no directory.
        [] | [_, COLON] => return Err(refusal),
        entry => NativePath::from_wide(entry.to_vec()).unwrap_or_else(|| path.clone()),
    };
    let found = match find(&entry) {
        Ok((_, found)) => found,
        Err(error) => {
            return Err(match code(&error) {
                ERROR_FILE_NOT_FOUND | ERROR_PATH_NOT_FOUND | ERROR_NOT_READY | ERROR_BAD_NET_NAME => error,
                _ => refusal,
            });
        }
    };
    let tag = tag_of(&found);
    if tag != 0 && (follow || tag & NAME_SURROGATE == 0) {
        return Err(refusal);
    }
    let times = (found.ftCreationTime, found.ftLastAccessTime, found.ftLastWriteTime);
    Ok(Metadata {
        size: joined(found.nFileSizeHigh, found.nFileSizeLow),
        ..of_attributes(Some(path), found.dwFileAttributes, tag, times)
    })
}

/// The tag of the reparse point that was found, zero for everything else.
pub(super) fn tag_of(found: &WIN32_FIND_DATAW) -> u32 {
    if found.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT == 0 { 0 } else { found.dwReserved0 }
}

fn of_attributes(
    path: Option<&NativePath>,
    attributes: u32,
    tag: u32,
    times: (FILETIME, FILETIME, FILETIME),
) -> Metadata {
    let (born, accessed, modified) = times;
    let is_directory = attributes & FILE_ATTRIBUTE_DIRECTORY != 0;
    let file_type = match tag {
        IO_REPARSE_TAG_SYMLINK => FileType::SYMLINK,
        _ if is_directory => FileType::DIRECTORY,
        _ => FileType::REGULAR,
    };
    let write = if attributes & FILE_ATTRIBUTE_READONLY == 0 { EVERYBODY_MAY_WRITE } else { 0 };
    let run = if is_directory || path.is_some_and(is_program) { EVERYBODY_MAY_RUN } else { 0 };
    Metadata {
        mode: file_type.0 | EVERYBODY_MAY_READ | write | run,
        accessed: timestamp(accessed),
        modified: timestamp(modified),
        // Python has always given the time of creation under this name.
        changed: timestamp(born),
        born: Some(timestamp(born)),
        file_attributes: attributes,
        reparse_tag: tag,
        ..Metadata::default()
    }
}

/// Whether the name ends as the names of programs do.
fn is_program(path: &NativePath) -> bool {
    path.units().last_chunk().is_some_and(|end: &[u16; 4]| {
        let end = end.map(|unit| u8::try_from(unit).unwrap_or(0).to_ascii_lowercase());
        PROGRAMS.contains(&&end)
    })
}

fn joined(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// Ticks of 100 nanoseconds in a second.
pub(super) const TICKS: i64 = 10_000_000;
/// Seconds from 1601, where Windows begins to count, to 1970.
pub(super) const SECONDS_TO_1970: i64 = 11_644_473_600;

fn timestamp(time: FILETIME) -> Timestamp {
    let ticks = joined(time.dwHighDateTime, time.dwLowDateTime).cast_signed();
    Timestamp {
        seconds: ticks.div_euclid(TICKS) - SECONDS_TO_1970,
        nanoseconds: ticks.rem_euclid(TICKS) as u32 * 100,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::windows::fs::MetadataExt;
    use std::path::Path;

    use super::*;

    fn looked_at(path: &Path, follow: bool) -> io::Result<Metadata> {
        metadata(&NativePath::from(path), follow)
    }

    #[test]
    fn a_file_is_what_the_standard_library_says() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"content").unwrap();
        let expected = fs::metadata(&file).unwrap();
        for found in
            [looked_at(&file, true), looked_at(&file, false), metadata_of(&File::open(&file).unwrap())]
        {
            let found = found.unwrap();
            assert_eq!((found.mode, found.size, found.links), (0o100_666, 7, 1));
            assert_eq!(found.file_attributes, expected.file_attributes());
            let ticks = (found.modified.seconds + SECONDS_TO_1970) * TICKS;
            assert_eq!(
                ticks + i64::from(found.modified.nanoseconds / 100),
                expected.last_write_time() as i64
            );
            assert_ne!(found.inode, 0);
        }
        let again = directory.path().join("again");
        fs::hard_link(&file, &again).unwrap();
        let (first, second) = (looked_at(&file, true).unwrap(), looked_at(&again, true).unwrap());
        assert_eq!((first.links, second.links), (2, 2));
        assert!(first.is_same_file(&second));
        assert!(!first.is_same_file(&looked_at(directory.path(), true).unwrap()));
    }

    #[test]
    fn modes_are_made_of_attributes_and_names() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(looked_at(directory.path(), true).unwrap().mode, 0o040_777);
        for (name, mode) in
            [("a.txt", 0o100_666), ("a.exe", 0o100_777), ("a.Cmd", 0o100_777), ("com", 0o100_666)]
        {
            let file = directory.path().join(name);
            fs::write(&file, b"").unwrap();
            assert_eq!(looked_at(&file, true).unwrap().mode, mode, "{name}");
        }
        let file = directory.path().join("a.txt");
        let mut permissions = fs::metadata(&file).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&file, permissions).unwrap();
        assert_eq!(looked_at(&file, true).unwrap().mode, 0o100_444);
        super::super::change_mode(&NativePath::from(&*file), 0o600, true).unwrap();
        assert!(!fs::metadata(&file).unwrap().permissions().readonly());
    }

    #[test]
    fn what_is_missing_is_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        assert_eq!(looked_at(&missing, true).unwrap_err().raw_os_error(), Some(2));
        assert_eq!(looked_at(&missing.join("deeper"), true).unwrap_err().raw_os_error(), Some(3));
        assert!(!is_junction(&NativePath::from(&*missing)));
        assert!(!is_junction(&NativePath::from(directory.path())));
    }

    #[test]
    fn the_null_device_is_a_character_device() {
        assert_eq!(looked_at(Path::new(r"\\.\NUL"), true).unwrap().mode, CHARACTER_DEVICE);
    }

    #[test]
    fn the_epochs_agree() {
        let ticks = (SECONDS_TO_1970 * TICKS + 12).cast_unsigned();
        let time = FILETIME { dwHighDateTime: (ticks >> 32) as u32, dwLowDateTime: ticks as u32 };
        assert_eq!(timestamp(time), Timestamp { seconds: 0, nanoseconds: 1200 });
        let time = FILETIME { dwHighDateTime: 0, dwLowDateTime: 0 };
        assert_eq!(timestamp(time), Timestamp { seconds: -SECONDS_TO_1970, nanoseconds: 0 });
    }
}
