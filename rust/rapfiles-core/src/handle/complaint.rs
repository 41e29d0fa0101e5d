//! The errors of operations on handles.

use std::collections::TryReserveError;

use crate::error::Error;

/// What is wrong with a request. The caller words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Complaint {
    /// A read of a closed file.
    ReadOfClosedFile,
    /// A peek into the buffer of a closed file.
    PeekOfClosedFile,
    /// A read of a closed file into the caller's memory.
    ReadIntoOfClosedFile,
    /// A read of a line of a closed file.
    ReadLineOfClosedFile,
    /// A write to a closed file.
    WriteToClosedFile,
    /// A flush of a closed file.
    FlushOfClosedFile,
    /// A seek in a closed file.
    SeekOfClosedFile,
    /// A truncation of a closed file.
    TruncateOfClosedFile,
    /// Anything else with a closed file.
    ClosedFile,
    /// The same, if `io.IOBase` detects it in Python, which words it in another way.
    ClosedStream,
    /// A buffered file that is not for reading: `read`.
    CannotRead,
    /// The same for `read1`.
    CannotRead1,
    /// The same for `peek`.
    CannotPeek,
    /// A buffered file that is not for writing: `write`.
    CannotWrite,
    /// A buffered file that is not for writing: `truncate`.
    CannotTruncate,
    /// A buffered file without a position that can be moved.
    CannotSeek,
    /// A file without a buffer that is not for reading.
    NotForReading,
    /// A file without a buffer that is not for writing.
    NotForWriting,
    /// A text file that is not for reading.
    TextNotReadable,
    /// A text file that is not for writing.
    TextNotWritable,
    /// A text file without a position that can be moved.
    TextNotSeekable,
    /// A text file whose text layer has been taken away.
    Detached,
    /// Text files can be moved by zero from where they are, and not otherwise.
    SeekFromHere,
    /// Text files can be moved to the end, and not otherwise from there.
    SeekFromEnd,
    /// `whence` is invalid.
    InvalidWhence(i32),
    /// The characters that have to be skipped do not exist any more.
    CannotRestorePosition,
    /// An operation on the file is running.
    UnderWay,
    /// The handle was in use when the process was forked.
    Forked,
    /// A completed operation was advanced again.
    Reused,
    /// A cancelled operation was advanced again.
    Cancelled,
    /// An operation asks for something that needs a turn which it does not have, or the reverse: a bug of this library.
    Misplaced,
}

/// Why an operation has failed. `E`: the error of the sink.
#[derive(Debug)]
pub enum Failure<E> {
    /// The request is wrong.
    Complaint(Complaint),
    /// The system has failed.
    Error(Error),
    /// There are no more items.
    NoMoreItems,
    /// The caller has failed.
    Caller(E),
}

impl<E> From<Complaint> for Failure<E> {
    fn from(complaint: Complaint) -> Self {
        Self::Complaint(complaint)
    }
}

impl<E> From<Error> for Failure<E> {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl<E> From<TryReserveError> for Failure<E> {
    fn from(_: TryReserveError) -> Self {
        Self::Error(Error::OutOfMemory)
    }
}
