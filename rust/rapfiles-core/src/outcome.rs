//! The results of operations.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Instant;

use crate::cached::FileSystem;
use crate::engine::lane::Lane;
use crate::error::Error;
use crate::handle::{OpenedFile, Reply};
use crate::lock::HeldLock;
use crate::text::{Text, TextFill};
use crate::verbs::atomic::StagedFile;
use crate::verbs::metadata::{Metadata, StatVfs};
use crate::verbs::read::LargeFile;
use crate::verbs::transaction::{Recovery, Transaction};

/// The result of an operation, of whatever kind: what a [`Ticket`](crate::Ticket) brings.
#[derive(Debug)]
pub enum Outcome {
    /// Done, without a value.
    Done,
    /// An answer to a question.
    Flag(bool),
    /// How many bytes or characters were written.
    Count(u64),
    /// Content.
    Bytes(Vec<u8>),
    /// The content is in the buffer that the caller provided.
    InBuffer,
    /// A file that has been opened for a handle.
    Opened(Box<OpenedFile>),
    /// A file that is to replace another one, for a handle, and what gives it its name.
    Staged(Box<(OpenedFile, StagedFile)>),
    /// An open file of known size, too large to be read before the caller provides a buffer.
    Large(LargeFile),
    /// The caller's buffer was filled with `length` bytes; `tail` is the content that was added since the size was
    /// read.
    Filled {
        /// Valid bytes in the buffer.
        length: usize,
        /// The content after them.
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
    /// The result of `stat(2)`.
    Metadata(Box<Metadata>),
    /// The result of `statvfs(3)`.
    StatVfs(Box<StatVfs>),
    /// A name or a path.
    Path(OsString),
    /// A name or a path, if there is one.
    MaybePath(Option<OsString>),
    /// Names of extended attributes.
    Names(Vec<OsString>),
    /// Whether and how tier 0 works on a file system.
    FileSystem(Box<FileSystem>),
    /// A lock that has been acquired.
    Locked(HeldLock),
    /// A lock that has been converted, or was not.
    Converted(HeldLock, bool),
    /// The number of the process that has a lock.
    Holder(Option<u32>),
    /// A transaction that has begun.
    Transaction(Arc<Transaction>),
    /// What a recovery has done.
    Recovered(Box<Recovery>),
    /// The reply to a positional operation of a handle, which has no turn to leave it with.
    Reply(Reply),
}

/// The result of an attempt to answer without blocking: the answer, and when it was there; otherwise the lane in which a
/// worker has to do it.
pub(crate) type Attempted = Result<(Result<Outcome, Error>, Instant), Lane>;
