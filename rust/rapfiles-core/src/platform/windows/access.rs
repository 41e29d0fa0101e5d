//! Permissions and times of files.

use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle};
use std::ptr;

use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, ERROR_INVALID_PARAMETER, FILETIME};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_NORMAL, FILE_ATTRIBUTE_READONLY, FILE_BASIC_INFO,
    FILE_READ_ATTRIBUTES, FILE_WRITE_ATTRIBUTES, FileBasicInfo, GetFileAttributesW, INVALID_FILE_ATTRIBUTES,
    SetFileInformationByHandle, SetFileTime,
};
use windows_sys::Win32::System::SystemInformation::GetSystemTimeAsFileTime;

use super::NativePath;
use super::errors::{checked, error};
use super::handle::{information, open_to_look};
use super::metadata::{SECONDS_TO_1970, TICKS};
use crate::verbs::metadata::Timestamp;

/// `os.W_OK`.
const WRITE: i32 = 2;
const OWNER_MAY_WRITE: u32 = 0o200;

/// `os.access`, which only checks the attributes here, of a link itself, for any user (`os_access_impl` in CPython's
/// Modules/posixmodule.c).
pub(crate) fn access(path: &NativePath, mode: i32, _effective_ids: bool, _follow: bool) -> io::Result<()> {
    // SAFETY: the path ends with a NUL.
    let attributes = unsafe { GetFileAttributesW(path.as_ptr()) };
    if attributes == INVALID_FILE_ATTRIBUTES {
        return Err(io::Error::last_os_error());
    }
    let read_only = attributes & FILE_ATTRIBUTE_READONLY != 0;
    // For a directory the attribute has another meaning.
    let is_directory = attributes & FILE_ATTRIBUTE_DIRECTORY != 0;
    if mode & WRITE != 0 && read_only && !is_directory { Err(error(ERROR_ACCESS_DENIED)) } else { Ok(()) }
}

/// Windows knows only one permission: whether the file may be written.
pub(crate) fn change_mode(path: &NativePath, mode: u32, follow: bool) -> io::Result<()> {
    let handle = open_to_look(path, FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES, 0, follow)?;
    let before = information::<FILE_BASIC_INFO>(handle.as_handle())?.FileAttributes;
    let after = if mode & OWNER_MAY_WRITE == 0 {
        before | FILE_ATTRIBUTE_READONLY
    } else {
        before & !FILE_ATTRIBUTE_READONLY
    };
    // Zero would mean no change, as it does for the times (FILE_BASIC_INFO).
    let attributes = if after == 0 { FILE_ATTRIBUTE_NORMAL } else { after };
    let change = FILE_BASIC_INFO { FileAttributes: attributes, ..FILE_BASIC_INFO::default() };
    let (start, size) = ((&raw const change).cast(), size_of::<FILE_BASIC_INFO>() as u32);
    // SAFETY: the handle is open, and the structure is the one of this class.
    checked(unsafe { SetFileInformationByHandle(handle.as_raw_handle(), FileBasicInfo, start, size) })
}

pub(crate) fn set_times(
    path: &NativePath,
    times: Option<(Timestamp, Timestamp)>,
    follow: bool,
) -> io::Result<()> {
    let handle = open_to_look(path, FILE_WRITE_ATTRIBUTES, 0, follow)?;
    let (accessed, modified) = match times {
        Some((accessed, modified)) => (file_time(accessed)?, file_time(modified)?),
        None => (now(), now()),
    };
    // SAFETY: the handle is open, and the times may be read.
    checked(unsafe {
        SetFileTime(handle.as_raw_handle(), ptr::null(), &raw const accessed, &raw const modified)
    })
}

fn now() -> FILETIME {
    let mut now = FILETIME::default();
    // SAFETY: there is room for the result.
    unsafe { GetSystemTimeAsFileTime(&raw mut now) };
    now
}

pub(super) fn file_time(time: Timestamp) -> io::Result<FILETIME> {
    let ticks = time
        .seconds
        .checked_add(SECONDS_TO_1970)
        .and_then(|seconds| seconds.checked_mul(TICKS))
        .and_then(|ticks| ticks.checked_add(i64::from(time.nanoseconds / 100)))
        .and_then(|ticks| u64::try_from(ticks).ok())
        .ok_or_else(|| error(ERROR_INVALID_PARAMETER))?;
    Ok(FILETIME { dwLowDateTime: ticks as u32, dwHighDateTime: (ticks >> 32) as u32 })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::metadata;
    use super::*;

    #[test]
    fn a_read_only_file_may_not_be_written() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"").unwrap();
        let native = NativePath::from(&*file);
        assert!(access(&native, WRITE, false, true).is_ok());
        for follow in [true, false] {
            change_mode(&native, 0o444, follow).unwrap();
            assert!(fs::metadata(&file).unwrap().permissions().readonly());
            assert!(access(&native, 0, false, true).is_ok());
            assert!(access(&native, WRITE, false, true).is_err());
            change_mode(&native, 0o666, follow).unwrap();
            assert!(access(&native, WRITE, false, true).is_ok());
        }
        let missing = NativePath::from(&*directory.path().join("missing"));
        assert_eq!(access(&missing, 0, false, true).unwrap_err().raw_os_error(), Some(2));
        assert_eq!(change_mode(&missing, 0, true).unwrap_err().raw_os_error(), Some(2));
    }

    #[test]
    fn the_attributes_that_were_there_stay() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"").unwrap();
        let native = NativePath::from(&*file);
        let before = metadata(&native, true).unwrap();
        change_mode(&native, 0o444, true).unwrap();
        change_mode(&native, 0o666, true).unwrap();
        let after = metadata(&native, true).unwrap();
        assert_eq!(after.file_attributes, before.file_attributes);
        assert_eq!((after.modified, after.born), (before.modified, before.born));
    }

    #[test]
    fn times_are_set_to_a_tenth_of_a_microsecond() {
        let directory = tempfile::tempdir().unwrap();
        let native = NativePath::from(directory.path());
        let accessed = Timestamp { seconds: 1_000_000_000, nanoseconds: 123_456_700 };
        let modified = Timestamp { seconds: 1_000, nanoseconds: 999_999_900 };
        set_times(&native, Some((accessed, modified)), true).unwrap();
        let found = metadata(&native, true).unwrap();
        assert_eq!((found.accessed, found.modified), (accessed, modified));
        let before = std::time::SystemTime::now();
        set_times(&native, None, true).unwrap();
        let now = fs::metadata(directory.path()).unwrap().modified().unwrap();
        // The clock of files may tick less often than the other.
        assert!(now + std::time::Duration::from_secs(1) > before, "{now:?} {before:?}");
    }

    #[test]
    fn times_that_windows_cannot_count_are_refused() {
        let time = file_time(Timestamp { seconds: 0, nanoseconds: 1_234 }).unwrap();
        let ticks = u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime);
        assert_eq!(ticks, 116_444_736_000_000_012);
        assert!(file_time(Timestamp { seconds: i64::MAX, nanoseconds: 0 }).is_err());
        assert!(file_time(Timestamp { seconds: -SECONDS_TO_1970 - 1, nanoseconds: 0 }).is_err());
    }
}
