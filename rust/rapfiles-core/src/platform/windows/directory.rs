//! Creating, removing and listing directories.

mod entries;

use std::collections::TryReserveError;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::windows::ffi::OsStringExt;
use std::ptr;

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_BAD_PATHNAME, ERROR_CANT_RESOLVE_FILENAME, ERROR_DIR_NOT_EMPTY,
    ERROR_DIRECTORY, ERROR_FILE_NOT_FOUND, ERROR_FILENAME_EXCED_RANGE, ERROR_NO_MORE_FILES,
    ERROR_PATH_NOT_FOUND, ERROR_TOO_MANY_OPEN_FILES, HANDLE, INVALID_HANDLE_VALUE, LocalFree,
};
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;
use windows_sys::Win32::Storage::FileSystem::{
    CreateDirectoryW, FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_REPARSE_POINT, FIND_FIRST_EX_LARGE_FETCH,
    FindClose, FindExInfoBasic, FindExSearchNameMatch, FindFirstFileExW, FindNextFileW, RemoveDirectoryW,
    WIN32_FIND_DATAW,
};
use windows_sys::Win32::System::SystemServices::IO_REPARSE_TAG_MOUNT_POINT;
use windows_sys::w;

use super::NativePath;
use super::errors::{checked, code, error};
use super::lexical::is_separator;
use crate::limits::LISTING_ENTRIES;
use crate::verbs::listing::Entry;
use crate::verbs::metadata::{FileType, Metadata};

pub(crate) use entries::{codes, file_name, is_own, is_unable, name_bytes, random_name};

/// The mode of a directory for its owner only, the only one that Python supports on Windows (`os.mkdir`).
const OWNER_ONLY: u32 = 0o700;

pub(crate) fn make_directory(path: &NativePath, mode: u32) -> io::Result<()> {
    if mode != OWNER_ONLY {
        // SAFETY: the path ends with a NUL, and without attributes the parent's are inherited.
        return checked(unsafe { CreateDirectoryW(path.as_ptr(), ptr::null()) });
    }
    let descriptor = Descriptor::owner_only()?;
    let attributes = SECURITY_ATTRIBUTES {
        nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
        lpSecurityDescriptor: descriptor.0,
        bInheritHandle: 0,
    };
    // SAFETY: the path ends with a NUL, and the descriptor lives until it has been used.
    checked(unsafe { CreateDirectoryW(path.as_ptr(), &raw const attributes) })
}

/// A security descriptor that the system has allocated.
struct Descriptor(*mut std::ffi::c_void);

impl Descriptor {
    /// Full control for the system, the administrators and the owner, and no access for others.
    fn owner_only() -> io::Result<Self> {
        let rules = w!("D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)");
        let mut descriptor = ptr::null_mut();
        // SAFETY: the rules end with a NUL, and there is room for the pointer.
        checked(unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                rules,
                SDDL_REVISION_1,
                &raw mut descriptor,
                ptr::null_mut(),
            )
        })?;
        Ok(Self(descriptor))
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the system has allocated it so, and nobody uses it afterwards.
        unsafe { LocalFree(self.0) };
    }
}

pub(crate) fn remove_directory(path: &NativePath) -> io::Result<()> {
    // SAFETY: the path ends with a NUL.
    checked(unsafe { RemoveDirectoryW(path.as_ptr()) })
}

/// Reads a directory.
pub(crate) struct DirectoryReader {
    /// The search, and its current entry; `None` at the end.
    found: Option<(Search, Box<WIN32_FIND_DATAW>)>,
}

// SAFETY: a search may be gone on with by any thread, by one at a time.
unsafe impl Send for DirectoryReader {}

impl fmt::Debug for DirectoryReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DirectoryReader").finish_non_exhaustive()
    }
}

impl DirectoryReader {
    /// Begins to list a directory.
    pub(crate) fn open(path: &NativePath) -> io::Result<Self> {
        let found = match find(&everything_in(path)) {
            Ok((search, found)) => Some((search, Box::new(found))),
            // A root has no entry for itself, so it may be empty.
            Err(error) if code(&error) == ERROR_FILE_NOT_FOUND => None,
            Err(error) => return Err(error),
        };
        Ok(Self { found })
    }

    /// Passes on the next entries, without `.` and `..`; `false` with the last ones.
    pub(crate) fn read(
        &mut self,
        push: &mut dyn FnMut(Entry<'_>) -> Result<(), TryReserveError>,
    ) -> io::Result<bool> {
        for _ in 0..LISTING_ENTRIES {
            let Some((search, found)) = &mut self.found else { return Ok(false) };
            let name = name_of(found);
            let name = name.as_encoded_bytes();
            if name != b"." && name != b".." {
                push(Entry { name, file_type: file_type_of(found), inode: 0 })?;
            }
            // SAFETY: the search is open, and there is room for the result.
            match checked(unsafe { FindNextFileW(search.0, &raw mut **found) }) {
                Ok(()) => {}
                Err(error) if code(&error) == ERROR_NO_MORE_FILES => self.found = None,
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// `os.stat` or `os.lstat` of an entry of the directory with this path.
    pub(crate) fn stat_entry(&self, path: &NativePath, name: &[u8], follow: bool) -> io::Result<Metadata> {
        let name = native_name(name).ok_or_else(|| error(ERROR_BAD_PATHNAME))?;
        let path = joined([path, &name].into_iter()).ok_or_else(|| error(ERROR_BAD_PATHNAME))?;
        super::metadata(&path, follow)
    }
}

/// The type of an entry, unless it is a reparse point, whose tag would have to be read.
fn file_type_of(found: &WIN32_FIND_DATAW) -> Option<FileType> {
    match found.dwFileAttributes {
        attributes if attributes & FILE_ATTRIBUTE_REPARSE_POINT != 0 => None,
        attributes if attributes & FILE_ATTRIBUTE_DIRECTORY != 0 => Some(FileType::DIRECTORY),
        _ => Some(FileType::REGULAR),
    }
}

/// A directory, by its path: Windows does not allow one that is in use to be replaced, and links are not opened here.
#[derive(Debug)]
pub(crate) struct Directory(NativePath);

impl Directory {
    /// The directory of this name, without following a link.
    pub(crate) fn open(name: &NativePath, inside: Option<&Self>) -> io::Result<Self> {
        let path = path_of(name, inside)?;
        if is_directory(&path)? { Ok(Self(path)) } else { Err(error(ERROR_DIRECTORY)) }
    }

    /// The same: what is mounted on it is a link.
    pub(crate) fn open_in_mount(name: &NativePath, inside: Option<&Self>) -> io::Result<Option<Self>> {
        Self::open(name, inside).map(Some)
    }

    /// The directory of this name, following a link.
    pub(crate) fn open_followed(name: &NativePath, inside: Option<&Self>) -> io::Result<Self> {
        let path = path_of(name, inside)?;
        if super::metadata(&path, true)?.is_directory() {
            Ok(Self(path))
        } else {
            Err(error(ERROR_DIRECTORY))
        }
    }

    /// The parent directory.
    pub(crate) fn above(&self) -> io::Result<Self> {
        super::parent(&self.0).map(Self).ok_or_else(|| error(ERROR_PATH_NOT_FOUND))
    }

    /// Its identity: volume and file number.
    pub(crate) fn identity(&self) -> io::Result<(u64, u128)> {
        super::metadata(&self.0, false).map(|metadata| (metadata.device, metadata.inode))
    }

    /// A reader of its entries.
    pub(crate) fn reader(&self) -> io::Result<DirectoryReader> {
        DirectoryReader::open(&self.0)
    }

    /// Its metadata.
    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        super::metadata(&self.0, false)
    }

    /// The metadata of an entry.
    pub(crate) fn metadata_of(&self, name: &NativePath, follow: bool) -> io::Result<Metadata> {
        super::metadata(&path_of(name, Some(self))?, follow)
    }

    /// The same for an entry with a name from a reader.
    pub(crate) fn metadata_of_entry(&self, name: &[u8], follow: bool) -> io::Result<Metadata> {
        self.metadata_of(&entry_name(name)?, follow)
    }

    /// The type of an entry whose name came without one. A junction is a link here.
    pub(crate) fn type_of(&self, name: &NativePath) -> io::Result<FileType> {
        let metadata = self.metadata_of(name, false)?;
        let junction = metadata.reparse_tag == IO_REPARSE_TAG_MOUNT_POINT;
        Ok(if junction { FileType::SYMLINK } else { metadata.file_type() })
    }

    /// Whether an entry is a directory itself, not a link to one.
    pub(crate) fn has_directory(&self, name: &NativePath) -> io::Result<bool> {
        is_directory(&path_of(name, Some(self))?)
    }

    /// Removes an entry that is not a directory.
    pub(crate) fn unlink(&self, name: &NativePath) -> io::Result<()> {
        super::unlink(&path_of(name, Some(self))?)
    }

    /// Removes an empty directory.
    pub(crate) fn remove(name: &NativePath, inside: Option<&Self>) -> io::Result<()> {
        remove_directory(&path_of(name, inside)?)
    }

    /// Gives its owner every permission on it.
    pub(crate) fn permit(&self) -> io::Result<()> {
        super::change_mode(&self.0, OWNER_ONLY, false)
    }

    /// Gives the owner of a directory that could not be opened every permission on it.
    pub(crate) fn permit_entry(name: &NativePath, inside: Option<&Self>) -> io::Result<()> {
        super::change_mode(&path_of(name, inside)?, OWNER_ONLY, false)
    }
}

/// Clears the attribute that prevents a file from being removed.
pub(crate) fn clear_flags(path: &NativePath) -> io::Result<()> {
    super::change_mode(path, OWNER_ONLY, false)
}

fn path_of(name: &NativePath, inside: Option<&Directory>) -> io::Result<NativePath> {
    let names = inside.map(|directory| &directory.0).into_iter().chain([name]);
    joined(names).ok_or_else(|| error(ERROR_BAD_PATHNAME))
}

/// Whether it is a directory, and not a junction, which has the attribute of one.
fn is_directory(path: &NativePath) -> io::Result<bool> {
    let metadata = super::metadata(path, false)?;
    Ok(metadata.is_directory() && metadata.reparse_tag != IO_REPARSE_TAG_MOUNT_POINT)
}

/// The path of what has these names, each in the directory before it.
pub(crate) fn joined<'a>(names: impl Iterator<Item = &'a NativePath>) -> Option<NativePath> {
    let mut path = Vec::new();
    for name in names {
        if path.last().is_some_and(|unit| !is_separator(*unit)) {
            path.push(u16::from(b'\\'));
        }
        path.extend_from_slice(name.units());
    }
    NativePath::from_wide(path)
}

/// A path as calls take it.
pub(crate) fn native_path(path: OsString) -> io::Result<NativePath> {
    NativePath::from_os_string(path).map_err(|_| error(ERROR_BAD_PATHNAME))
}

/// The name of an entry, as a call wants it.
pub(crate) fn native_name(name: &[u8]) -> Option<NativePath> {
    // SAFETY: it is a name that a reader has given.
    let name = unsafe { OsStr::from_encoded_bytes_unchecked(name) };
    NativePath::from_os_string(name.to_owned()).ok()
}

/// The same; an invalid name is an error.
pub(crate) fn entry_name(name: &[u8]) -> io::Result<NativePath> {
    native_name(name).ok_or_else(|| error(ERROR_BAD_PATHNAME))
}

/// Whether an error code is one that Python raises as `PermissionError`.
pub(crate) fn is_refused(code: i32) -> bool {
    code.cast_unsigned() == ERROR_ACCESS_DENIED
}

/// Whether an error code says that something other than a directory was found.
pub(crate) fn is_no_directory(code: i32) -> bool {
    code.cast_unsigned() == ERROR_DIRECTORY
}

/// Whether an error code says that no handle is left.
pub(crate) fn lacks_descriptors(code: i32) -> bool {
    code.cast_unsigned() == ERROR_TOO_MANY_OPEN_FILES
}

/// Directories are known by their paths here, so there is no limit.
pub(crate) fn most_descriptors() -> usize {
    usize::MAX
}

/// Of the paths that begin with `\\\\?\\`.
pub(crate) const LONGEST_PATH: usize = 32_767;
pub(crate) const PATH_TOO_LONG: i32 = ERROR_FILENAME_EXCED_RANGE.cast_signed();
pub(crate) const LINKS_LOOP: i32 = ERROR_CANT_RESOLVE_FILENAME.cast_signed();

/// Whether an error code says that a directory is not empty.
pub(crate) fn is_not_empty(code: i32) -> bool {
    code.cast_unsigned() == ERROR_DIR_NOT_EMPTY
}

/// The pattern that matches every name in a directory.
fn everything_in(path: &NativePath) -> NativePath {
    let mut pattern = path.units().to_vec();
    if pattern.last().is_some_and(|unit| !is_separator(*unit) && *unit != u16::from(b':')) {
        pattern.push(u16::from(b'\\'));
    }
    pattern.push(u16::from(b'*'));
    NativePath::from_wide(pattern).unwrap_or_else(|| path.clone())
}

/// The name of an entry.
pub(super) fn name_of(found: &WIN32_FIND_DATAW) -> OsString {
    let name = found.cFileName.split(|unit| *unit == 0).next().unwrap_or_default();
    OsString::from_wide(name)
}

/// A search through a directory.
pub(super) struct Search(HANDLE);

impl Drop for Search {
    fn drop(&mut self) {
        // SAFETY: the search is open and nobody else's.
        unsafe { FindClose(self.0) };
    }
}

/// Begins a search; gives its first entry too.
pub(super) fn find(pattern: &NativePath) -> io::Result<(Search, WIN32_FIND_DATAW)> {
    let mut found = WIN32_FIND_DATAW::default();
    // SAFETY: the pattern ends with a NUL, there is room for a result of this kind, and there is no filter.
    let search = unsafe {
        FindFirstFileExW(
            pattern.as_ptr(),
            FindExInfoBasic,
            (&raw mut found).cast(),
            FindExSearchNameMatch,
            ptr::null(),
            FIND_FIRST_EX_LARGE_FETCH,
        )
    };
    if search == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    Ok((Search(search), found))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    fn names(path: &std::path::Path) -> io::Result<BTreeSet<Vec<u8>>> {
        let mut names = BTreeSet::new();
        let mut reader = DirectoryReader::open(&NativePath::from(path))?;
        let mut push = |entry: Entry<'_>| {
            assert!(names.insert(entry.name.to_vec()));
            Ok(())
        };
        while reader.read(&mut push)? {}
        Ok(names)
    }

    #[test]
    fn every_name_is_listed_once() {
        let directory = tempfile::tempdir().unwrap();
        assert!(names(directory.path()).unwrap().is_empty());
        let expected: BTreeSet<String> = (0..2_500).map(|number| format!("{number}-ä")).collect();
        for name in &expected {
            fs::write(directory.path().join(name), b"").unwrap();
        }
        let found = names(directory.path()).unwrap();
        assert_eq!(found, expected.into_iter().map(String::into_bytes).collect());
    }

    #[test]
    fn only_directories_are_listed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"").unwrap();
        assert_eq!(names(&file).unwrap_err().raw_os_error(), Some(267));
        assert_eq!(names(&directory.path().join("missing")).unwrap_err().raw_os_error(), Some(3));
    }

    #[test]
    fn directories_come_and_go() {
        let directory = tempfile::tempdir().unwrap();
        for mode in [0o777, OWNER_ONLY] {
            let new = directory.path().join("new");
            let native = NativePath::from(&*new);
            make_directory(&native, mode).unwrap();
            assert!(fs::metadata(&new).unwrap().is_dir());
            assert_eq!(make_directory(&native, mode).unwrap_err().raw_os_error(), Some(183));
            fs::write(new.join("file"), b"").unwrap();
            assert_eq!(remove_directory(&native).unwrap_err().raw_os_error(), Some(145));
            fs::remove_file(new.join("file")).unwrap();
            remove_directory(&native).unwrap();
            let deeper = NativePath::from(&*new.join("deeper"));
            assert_eq!(make_directory(&deeper, mode).unwrap_err().raw_os_error(), Some(3));
        }
    }
}
