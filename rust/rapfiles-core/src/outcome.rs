//! What an operation yields.

use std::ffi::OsString;

use crate::handle::OpenedFile;
use crate::text::{Text, TextFill};
use crate::verbs::metadata::Metadata;
use crate::verbs::read::LargeFile;

/// The figures of `statvfs(3)`.
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

/// What the engine can use on the file system of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// The file system's usual name.
    pub name: String,
    /// Whether it is known to need neither a network nor another process.
    pub local: bool,
    /// Why tier 0 is not used there, or `None` where it is.
    pub obstacle: Option<String>,
    /// How access times are kept there, in words.
    pub access_times: String,
}

/// What an operation yields.
#[derive(Debug)]
pub enum Outcome {
    /// It was done, and there is nothing to tell.
    Done,
    /// An answer to a question.
    Flag(bool),
    /// How many bytes or characters were written.
    Count(u64),
    /// Content.
    Bytes(Vec<u8>),
    /// The content is in the room that the caller has made for it.
    InRoom,
    /// A file that has been opened for a handle.
    Opened(Box<OpenedFile>),
    /// A file that is open and sized, too large to be read before the caller has made room for it.
    Large(LargeFile),
    /// A caller's buffer was filled with `length` bytes; `tail` is what the file has grown by since it was sized.
    Filled {
        /// Valid bytes in the buffer.
        length: usize,
        /// What follows them.
        tail: Vec<u8>,
    },
    /// Decoded text.
    Text(Text),
    /// A caller's string was filled.
    TextFilled(TextFill),
    /// Content that the asked-for codec does not decode.
    Undecodable(Vec<u8>),
    /// The text has characters that the asked-for codec does not encode; the file was opened, nothing written.
    Unencodable,
    /// What `stat(2)` tells.
    Metadata(Box<Metadata>),
    /// What `statvfs(3)` tells.
    StatVfs(Box<StatVfs>),
    /// A name or a path.
    Path(OsString),
    /// A name or a path, or that there is none.
    MaybePath(Option<OsString>),
    /// Names of extended attributes.
    Names(Vec<OsString>),
    /// What the engine can use on a file system.
    FileSystem(Box<FileSystem>),
}
