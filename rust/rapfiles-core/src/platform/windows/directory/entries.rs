//! What is done with the entries of an open directory besides removing them.

use std::fs::File;
use std::io;
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_ALREADY_EXISTS, ERROR_BAD_PATHNAME, ERROR_BUSY, ERROR_CALL_NOT_IMPLEMENTED,
    ERROR_CANT_RESOLVE_FILENAME, ERROR_DIRECTORY, ERROR_FILE_NOT_FOUND, ERROR_INVALID_FUNCTION,
    ERROR_INVALID_PARAMETER, ERROR_LOCK_VIOLATION, ERROR_NOT_SAME_DEVICE, ERROR_NOT_SUPPORTED,
    ERROR_SHARING_VIOLATION,
};

use super::{Directory, path_of};
use crate::platform::windows::errors::error;
use crate::platform::windows::lexical::split;
use crate::platform::windows::{self, NativePath};
use crate::verbs::link::TargetKind;
use crate::verbs::metadata::{Metadata, Timestamp};

/// How many milliseconds to wait each time before a refused rename is tried again.
const SHARED_RENAME_PAUSES: [u64; 6] = [1, 4, 16, 32, 64, 128];

impl Directory {
    /// The directory that the entry of a path is in, and the entry's name there.
    pub(crate) fn of_entry(path: &NativePath) -> io::Result<(Self, NativePath)> {
        let above = windows::parent(path).unwrap_or_else(|| path.clone());
        windows::metadata(&above, true)?;
        Ok((Self(above), file_name(path)))
    }

    /// The same directory once more.
    pub(crate) fn again(&self) -> io::Result<Self> {
        Ok(Self(self.0.clone()))
    }

    /// The directory that it is in.
    pub(crate) fn above_to_search(&self) -> io::Result<Self> {
        self.above()
    }

    /// Opens the directory of this name. `follow`: also what a link of this name leads to.
    pub(crate) fn open_as(name: &NativePath, inside: Option<&Self>, follow: bool) -> io::Result<Self> {
        if !follow {
            return Self::open(name, inside);
        }
        let path = path_of(name, inside)?;
        if windows::metadata(&path, true)?.is_directory() {
            Ok(Self(path))
        } else {
            Err(error(ERROR_DIRECTORY))
        }
    }

    /// What `stat` or `lstat` tells of an entry.
    pub(crate) fn entry(name: &NativePath, inside: Option<&Self>, follow: bool) -> io::Result<Metadata> {
        windows::metadata(&path_of(name, inside)?, follow)
    }

    /// Opens a file for reading.
    pub(crate) fn open_to_read(name: &NativePath, inside: Option<&Self>, follow: bool) -> io::Result<File> {
        let path = path_of(name, inside)?;
        if !follow && windows::metadata(&path, false)?.is_symlink() {
            return Err(error(ERROR_CANT_RESOLVE_FILENAME));
        }
        windows::open_to_read(&path)
    }

    /// Opens what is there for writing from the start, as Python's `open` does.
    pub(crate) fn open_to_replace(&self, name: &NativePath) -> io::Result<File> {
        windows::open_to_replace(&path_of(name, Some(self))?)
    }

    /// The same for a regular file that is there, and never for what a link leads to.
    pub(crate) fn open_to_overwrite(&self, name: &NativePath) -> io::Result<File> {
        let path = path_of(name, Some(self))?;
        if !windows::metadata(&path, false)?.is_regular_file() {
            return Err(error(ERROR_ALREADY_EXISTS));
        }
        windows::open_to_replace(&path)
    }

    /// Creates a file that was not there.
    pub(crate) fn create(&self, name: &NativePath, mode: u32) -> io::Result<File> {
        windows::create(&path_of(name, Some(self))?, mode, true)
    }

    /// Makes a directory.
    pub(crate) fn make(&self, name: &NativePath, mode: u32) -> io::Result<()> {
        windows::make_directory(&path_of(name, Some(self))?, mode)
    }

    /// Makes a symbolic link.
    pub(crate) fn make_link(
        &self,
        name: &NativePath,
        target: &NativePath,
        directory: bool,
    ) -> io::Result<()> {
        let kind = if directory { TargetKind::Directory } else { TargetKind::File };
        windows::symlink(target, &path_of(name, Some(self))?, kind)
    }

    /// Makes another name for a file.
    pub(crate) fn make_name(&self, name: &NativePath, of: &NativePath, inside: &Self) -> io::Result<()> {
        windows::link(&path_of(of, Some(inside))?, &path_of(name, Some(self))?, false)
    }

    /// Where a symbolic link leads.
    pub(crate) fn read_link(name: &NativePath, inside: Option<&Self>) -> io::Result<NativePath> {
        let target = windows::read_link(&path_of(name, inside)?)?;
        NativePath::from_os_string(target).map_err(|_| error(ERROR_BAD_PATHNAME))
    }

    /// Renames an entry over whatever may be renamed over.
    pub(crate) fn rename(&self, name: &NativePath, to: &NativePath) -> io::Result<()> {
        self.rename_into(name, self, to, true)
    }

    /// The same, to a name in another directory. `replace`: also over a file. It is refused while another program, such as
    /// a virus scanner, has either of them open, normally for a moment, so it is tried again for a while.
    pub(crate) fn rename_into(
        &self,
        name: &NativePath,
        directory: &Self,
        to: &NativePath,
        replace: bool,
    ) -> io::Result<()> {
        let (from, to) = (path_of(name, Some(self))?, path_of(to, Some(directory))?);
        for pause in SHARED_RENAME_PAUSES {
            match windows::rename(&from, &to, replace) {
                Err(error) if error.raw_os_error().is_some_and(is_shared) => {
                    std::thread::sleep(Duration::from_millis(pause))
                }
                renamed => return renamed,
            }
        }
        windows::rename(&from, &to, replace)
    }

    /// Opens a file for appending, and creates it if there is none.
    pub(crate) fn open_to_append(&self, name: &NativePath) -> io::Result<File> {
        windows::open_to_append(&path_of(name, Some(self))?)
    }

    /// Waits until the device has the content of a file, for which it must be writable (`FlushFileBuffers`). There is no
    /// such call for a directory.
    pub(crate) fn synchronise_entry(
        name: &NativePath,
        inside: Option<&Self>,
        follow: bool,
    ) -> io::Result<()> {
        let path = path_of(name, inside)?;
        if !windows::metadata(&path, follow)?.is_regular_file() {
            return Ok(());
        }
        let file = std::fs::OpenOptions::new().write(true).open(path.to_os_string())?;
        windows::synchronise(&file, false)
    }

    /// Windows cannot exchange two entries.
    pub(crate) fn exchange(
        &self,
        _name: &NativePath,
        _directory: &Self,
        _other: &NativePath,
    ) -> io::Result<()> {
        Err(error(ERROR_CALL_NOT_IMPLEMENTED))
    }

    /// Renames an entry to a name that is not in use.
    pub(crate) fn rename_new(&self, name: &NativePath, to: &NativePath) -> io::Result<()> {
        self.rename_into(name, self, to, false)
    }

    /// Access lists decide, entry by entry.
    pub(crate) fn may_change(&self) -> io::Result<()> {
        Ok(())
    }

    /// Sets the times of an entry, of a link's own where it is one.
    pub(crate) fn set_times(&self, name: &NativePath, times: (Timestamp, Timestamp)) -> io::Result<()> {
        windows::set_times(&path_of(name, Some(self))?, Some(times), false)
    }

    /// The directory as an open file, for what is done with either.
    pub(crate) fn as_file(&self) -> io::Result<File> {
        use windows_sys::Win32::Storage::FileSystem::{FILE_READ_ATTRIBUTES, FILE_WRITE_ATTRIBUTES};
        windows::handle::open_to_look(&self.0, FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES, 0, true)
            .map(File::from)
    }

    /// The directory as [`windows::synchronise_directory`] takes it.
    pub(crate) fn to_synchronise(&self) -> io::Result<File> {
        self.as_file()
    }

    /// Windows has no files without names.
    pub(crate) fn create_unnamed(&self, _mode: u32) -> io::Result<Option<File>> {
        Ok(None)
    }

    /// As there are none, nobody has one.
    pub(crate) fn name_file(&self, _file: &File, _name: &NativePath) -> io::Result<()> {
        Err(error(ERROR_CALL_NOT_IMPLEMENTED))
    }

    /// Windows' special files are not in directories.
    pub(crate) fn make_special(&self, _name: &NativePath, _like: &Metadata) -> io::Result<()> {
        Err(error(ERROR_CALL_NOT_IMPLEMENTED))
    }

    /// Windows has no extended attributes that Python knows of.
    pub(crate) fn copy_entry_attributes(
        _from: (&NativePath, Option<&Self>),
        _to: (&NativePath, &Self),
    ) -> io::Result<()> {
        Ok(())
    }

    /// The path of an entry.
    pub(crate) fn path_of(&self, name: &NativePath) -> io::Result<NativePath> {
        path_of(name, Some(self))
    }
}

/// The last name of a path that pathlib has normalised.
pub(crate) fn file_name(path: &NativePath) -> NativePath {
    let (_, name) = split(path.units());
    NativePath::from_wide(name.to_vec()).unwrap_or_else(|| path.clone())
}

/// Access lists decide, not owners.
pub(crate) fn is_own(_found: &Metadata) -> bool {
    true
}

/// The bytes of a name, as a listing has them.
pub(crate) fn name_bytes(name: &NativePath) -> Vec<u8> {
    name.to_os_string().as_encoded_bytes().to_vec()
}

/// Something random, as text for a name: the keys of a hash map are from the operating system.
pub(crate) fn random_name() -> io::Result<String> {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let random = || RandomState::new().build_hasher().finish();
    Ok(format!("{:016x}{:08x}", random(), random() & 0xffff_ffff))
}

/// The error codes that copying decides by.
pub(crate) mod codes {
    pub(crate) const BUSY: i32 = super::ERROR_BUSY.cast_signed();
    pub(crate) const EXISTS: i32 = super::ERROR_ALREADY_EXISTS.cast_signed();
    pub(crate) const INVALID: i32 = super::ERROR_INVALID_PARAMETER.cast_signed();
    pub(crate) const IS_DIRECTORY: i32 = crate::platform::IS_A_DIRECTORY;
    pub(crate) const LOOP: i32 = super::ERROR_CANT_RESOLVE_FILENAME.cast_signed();
    pub(crate) const NOT_DIRECTORY: i32 = super::ERROR_DIRECTORY.cast_signed();
    pub(crate) const NOT_FOUND: i32 = super::ERROR_FILE_NOT_FOUND.cast_signed();
    pub(crate) const NOT_PERMITTED: i32 = super::ERROR_ACCESS_DENIED.cast_signed();
    pub(crate) const OTHER_DEVICE: i32 = super::ERROR_NOT_SAME_DEVICE.cast_signed();
}

/// Whether an error code may mean that another program has a file open.
fn is_shared(code: i32) -> bool {
    matches!(code.cast_unsigned(), ERROR_ACCESS_DENIED | ERROR_SHARING_VIOLATION | ERROR_LOCK_VIOLATION)
}

/// Whether a way to copy is not to be had for these files, so that another one is tried.
pub(crate) fn is_unable(code: i32) -> bool {
    matches!(
        code.cast_unsigned(),
        ERROR_CALL_NOT_IMPLEMENTED | ERROR_NOT_SUPPORTED | ERROR_INVALID_FUNCTION | ERROR_INVALID_PARAMETER
    )
}
