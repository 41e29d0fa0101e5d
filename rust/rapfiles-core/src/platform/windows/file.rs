//! Files: opening them as the C library does for Python, reading and writing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::windows::fs::FileExt;
use std::os::windows::io::IntoRawHandle;

use windows_sys::Win32::Foundation::{CloseHandle, ERROR_INVALID_PARAMETER, GENERIC_READ, GENERIC_WRITE};
use windows_sys::Win32::Storage::FileSystem::{
    CREATE_ALWAYS, CREATE_NEW, FILE_APPEND_DATA, FILE_ATTRIBUTE_NORMAL, FILE_ATTRIBUTE_READONLY,
    FILE_GENERIC_WRITE, FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_WRITE_DATA, OPEN_ALWAYS, OPEN_EXISTING,
};

use super::errors::{checked, error};
use super::{NativePath, handle, metadata_of};

const OWNER_MAY_WRITE: u32 = 0o200;

fn open(path: &NativePath, access: u32, disposition: u32, attributes: u32) -> io::Result<File> {
    handle::open(path, access, FILE_SHARE_READ | FILE_SHARE_WRITE, disposition, attributes).map(File::from)
}

pub(crate) fn open_to_read(path: &NativePath) -> io::Result<File> {
    open(path, GENERIC_READ, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL)
}

pub(crate) fn open_to_replace(path: &NativePath) -> io::Result<File> {
    open(path, GENERIC_WRITE, CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL)
}

/// With only FILE_APPEND_DATA, each write goes to the end.
pub(crate) fn open_to_append(path: &NativePath) -> io::Result<File> {
    const { assert!(FILE_GENERIC_WRITE & FILE_APPEND_DATA != 0) };
    open(path, FILE_GENERIC_WRITE & !FILE_WRITE_DATA, OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL)
}

/// Windows knows only one permission: whether the file may be written.
pub(crate) fn create(path: &NativePath, mode: u32, exclusive: bool) -> io::Result<File> {
    let disposition = if exclusive { CREATE_NEW } else { OPEN_ALWAYS };
    let attributes =
        if mode & OWNER_MAY_WRITE == 0 { FILE_ATTRIBUTE_READONLY } else { FILE_ATTRIBUTE_NORMAL };
    open(path, GENERIC_WRITE, disposition, attributes)
}

/// Closes a file and returns its error, which dropping it does not.
pub(crate) fn close(file: File) -> io::Result<()> {
    // SAFETY: the handle is ours, and nobody uses it afterwards.
    checked(unsafe { CloseHandle(file.into_raw_handle()) })
}

/// Appends everything up to the end of the file; from the current position, or from `offset` on.
pub(crate) fn read_to_end(mut file: &File, content: &mut Vec<u8>, offset: Option<u64>) -> io::Result<()> {
    const ROOM: usize = 16 << 10;
    let (start, mut end) = (content.len(), content.len());
    let outcome = loop {
        if content.len() == end {
            if content.capacity() == end && content.try_reserve(ROOM.max(end / 2)).is_err() {
                break Err(io::ErrorKind::OutOfMemory.into());
            }
            content.resize(content.capacity(), 0);
        }
        let room = &mut content[end..];
        let read = match offset {
            Some(offset) => file.seek_read(room, offset + (end - start) as u64),
            None => file.read(room),
        };
        match read {
            Ok(0) => break Ok(()),
            Ok(read) => end += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    content.truncate(end);
    outcome
}

/// Reads once at an offset.
pub(crate) fn read_at(file: &File, part: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(part, offset)
}

/// Writes everything, even if the kernel writes only a part at a time.
pub(crate) fn write_all(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)
}

/// The length of an open file, if it has one.
pub(crate) fn length_of(file: &File) -> io::Result<u64> {
    Ok(metadata_of(file)?.size)
}

pub(crate) fn truncate(path: &NativePath, length: i64) -> io::Result<()> {
    let length = u64::try_from(length).map_err(|_| error(ERROR_INVALID_PARAMETER))?;
    let file = open(path, GENERIC_WRITE, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL)?;
    file.set_len(length)?;
    close(file)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let native = NativePath::from(&*path);
        for (content, length) in [(&b"first"[..], 5), (&b"second"[..], 11)] {
            let file = open_to_append(&native).unwrap();
            write_all(&file, content).unwrap();
            assert_eq!(length_of(&file).unwrap(), length);
            close(file).unwrap();
        }
        assert_eq!(fs::read(&path).unwrap(), b"firstsecond");
        let long = vec![b'x'; 100_000];
        let file = open_to_replace(&native).unwrap();
        write_all(&file, &long).unwrap();
        close(file).unwrap();

        let file = open_to_read(&native).unwrap();
        let mut content = b"before".to_vec();
        read_to_end(&file, &mut content, None).unwrap();
        assert_eq!(content, [&b"before"[..], &long].concat());
        let mut tail = Vec::new();
        read_to_end(&file, &mut tail, Some(99_990)).unwrap();
        assert_eq!(tail, vec![b'x'; 10]);
        let mut part = [0; 4];
        assert_eq!(read_at(&file, &mut part, 99_998).unwrap(), 2);
        assert_eq!(read_at(&file, &mut part, 100_000).unwrap(), 0);
    }

    #[test]
    fn files_are_cut_and_extended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let native = NativePath::from(&*path);
        fs::write(&path, b"content").unwrap();
        truncate(&native, 3).unwrap();
        truncate(&native, 5).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"con\0\0");
        assert_eq!(truncate(&native, -1).unwrap_err().raw_os_error(), Some(87));
        let missing = NativePath::from(&*directory.path().join("missing"));
        assert_eq!(truncate(&missing, 0).unwrap_err().raw_os_error(), Some(2));
    }

    #[test]
    fn a_file_is_created_once_and_as_its_mode_says() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let native = NativePath::from(&*path);
        close(create(&native, 0o444, true).unwrap()).unwrap();
        assert!(fs::metadata(&path).unwrap().permissions().readonly());
        assert_eq!(create(&native, 0o666, true).unwrap_err().raw_os_error(), Some(80));
        super::super::change_mode(&native, 0o666, true).unwrap();
        fs::write(&path, b"content").unwrap();
        close(create(&native, 0o666, false).unwrap()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"content");
    }

    #[test]
    fn a_directory_is_not_opened_as_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let native = NativePath::from(directory.path());
        let expected = Some(super::super::IS_A_DIRECTORY);
        assert_eq!(open_to_read(&native).unwrap_err().raw_os_error(), expected);
        assert_eq!(open_to_append(&native).unwrap_err().raw_os_error(), expected);
    }
}
