//! The metadata of a path: `stat(2)` and related calls.

use crate::error::{About, Error, Subject};
use crate::platform::{self, NativePath};
use crate::verbs::resolve;

/// A point in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since 1970, rounded down.
    pub seconds: i64,
    /// Nanoseconds after that.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// The point in time this many nanoseconds after 1970.
    pub fn from_nanoseconds(nanoseconds: i128) -> Option<Self> {
        let seconds = i64::try_from(nanoseconds.div_euclid(1_000_000_000)).ok()?;
        Some(Self { seconds, nanoseconds: nanoseconds.rem_euclid(1_000_000_000) as u32 })
    }
}

/// What a file got of another one's extended attributes and access lists.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes {
    /// Whether there were any.
    pub(crate) any: bool,
    /// The permissions that the file may have: fewer than all if an access list was lost that denied something.
    pub(crate) permitted: u32,
}

impl Attributes {
    /// There were none.
    pub(crate) const NONE: Self = Self { any: false, permitted: 0o7777 };
}

/// Whether a file got the owner and the group of another one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ownership {
    pub(crate) user: bool,
    pub(crate) group: bool,
}

impl Ownership {
    /// It got both.
    pub(crate) const BOTH: Self = Self { user: true, group: true };

    pub(crate) fn is_both(self) -> bool {
        self.user && self.group
    }
}

/// The fields of `os.stat_result`. Fields that the platform does not have are zero or `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of struct stat, described there")]
pub struct Metadata {
    pub mode: u32,
    pub inode: u128,
    pub device: u64,
    pub links: u64,
    pub user: u32,
    pub group: u32,
    pub size: u64,
    pub accessed: Timestamp,
    pub modified: Timestamp,
    pub changed: Timestamp,
    pub born: Option<Timestamp>,
    pub block_size: u64,
    pub blocks: u64,
    pub special_device: u64,
    pub flags: u32,
    pub generation: u32,
    pub file_attributes: u32,
    pub reparse_tag: u32,
}

/// The bits of a mode that hold the type of the file.
const TYPE_BITS: u32 = 0o170_000;

impl Metadata {
    /// The type of the file.
    pub fn file_type(&self) -> FileType {
        FileType(self.mode & TYPE_BITS)
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.file_type() == FileType::DIRECTORY
    }

    pub(crate) fn is_regular_file(&self) -> bool {
        self.file_type() == FileType::REGULAR
    }

    pub(crate) fn is_symlink(&self) -> bool {
        self.file_type() == FileType::SYMLINK
    }

    /// Whether both are about the same file. A link, say, may have the number of a file that was removed before.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        self.inode == other.inode && self.device == other.device && self.file_type() == other.file_type()
    }
}

/// The type of a file, as in the mode of `stat(2)` (`inode(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileType(pub u32);

impl FileType {
    /// Any type at all.
    pub const ANY: Self = Self(0);
    /// A directory.
    pub const DIRECTORY: Self = Self(0o040_000);
    /// A regular file.
    pub const REGULAR: Self = Self(0o100_000);
    /// A symbolic link.
    pub const SYMLINK: Self = Self(0o120_000);
    /// A named pipe.
    pub const FIFO: Self = Self(0o010_000);
    /// A Unix socket.
    pub const SOCKET: Self = Self(0o140_000);
    /// A character device.
    pub const CHARACTER_DEVICE: Self = Self(0o020_000);
    /// A block device.
    pub const BLOCK_DEVICE: Self = Self(0o060_000);

    /// Whether this includes files of type `actual`.
    pub(crate) fn includes(self, actual: Self) -> bool {
        self == Self::ANY || self == actual
    }
}

/// The definition of a mount point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountRules {
    /// `pathlib.Path.is_mount` up to Python 3.11: the directory that a link leads to, and its lexical parent.
    Pathlib,
    /// `os.path.ismount`, which pathlib uses since Python 3.12: a link is never a mount point.
    OsPath,
}

/// The result of `statvfs(3)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatVfs {
    /// File system block size, in bytes.
    pub block_size: u64,
    /// Fragment size, in bytes: the unit of the three block counts.
    pub fragment_size: u64,
    /// Size of the file system in fragments.
    pub blocks: u64,
    /// Free fragments.
    pub blocks_free: u64,
    /// Free fragments for unprivileged users.
    pub blocks_available: u64,
    /// Number of inodes.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
    /// Free inodes for unprivileged users.
    pub files_available: u64,
    /// Mount flags.
    pub flags: u64,
    /// Longest file name, in bytes.
    pub name_max: u64,
    /// File system number.
    pub id: u64,
}

/// The result of `stat(2)` or `lstat(2)`.
pub(crate) fn stat(path: &NativePath, follow: bool) -> Result<Metadata, Error> {
    platform::metadata(path, follow).about_path()
}

/// Whether there is an entry of this type.
pub(crate) fn is_type(
    path: &NativePath,
    file_type: FileType,
    follow: bool,
    tolerant: bool,
) -> Result<bool, Error> {
    match platform::metadata(path, follow).about_path() {
        Ok(metadata) => Ok(file_type.includes(metadata.file_type())),
        Err(error) => absent(error, tolerant),
    }
}

/// The answer of a predicate if the file system returns an error.
pub(crate) fn absent(error: Error, tolerant: bool) -> Result<bool, Error> {
    let missing = error.code().is_some_and(platform::means_missing);
    if tolerant || missing { Ok(false) } else { Err(error) }
}

/// Whether the path is where a file system is mounted.
pub(crate) fn is_mount(path: &NativePath, rules: MountRules) -> Result<bool, Error> {
    match rules {
        MountRules::OsPath => Ok(platform::is_mount(path).unwrap_or(false)),
        MountRules::Pathlib => is_mount_of_pathlib(path),
    }
}

fn is_mount_of_pathlib(path: &NativePath) -> Result<bool, Error> {
    let metadata = match platform::metadata(path, true).about_path() {
        Ok(metadata) => metadata,
        Err(error) => return absent(error, false),
    };
    if !metadata.is_directory() {
        return Ok(false);
    }
    let parent = resolve::parent(path).unwrap_or_else(|| path.clone());
    let Ok(parent) = platform::metadata(&parent, true) else { return Ok(false) };
    Ok(metadata.device != parent.device || metadata.inode == parent.inode)
}

/// Whether the path is a Windows junction.
pub(crate) fn is_junction(path: &NativePath) -> bool {
    platform::is_junction(path)
}

/// Whether two paths lead to the same file.
pub(crate) fn same_file(path: &NativePath, other: &NativePath) -> Result<bool, Error> {
    let first = platform::metadata(path, true).about_path()?;
    let second = platform::metadata(other, true).about(Subject::Second)?;
    Ok(first.is_same_file(&second))
}

/// The result of `statvfs(3)`.
pub(crate) fn statvfs(path: &NativePath) -> Result<StatVfs, Error> {
    platform::statvfs(path).about_path()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_round_down() {
        assert_eq!(
            Timestamp::from_nanoseconds(-1),
            Some(Timestamp { seconds: -1, nanoseconds: 999_999_999 })
        );
        assert_eq!(Timestamp::from_nanoseconds(i128::MAX), None);
    }
}
