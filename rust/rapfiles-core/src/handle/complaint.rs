//! What operations on a handle complain of, and how they fail.

use std::collections::TryReserveError;

use crate::error::Error;

/// What is wrong with a request. The caller finds the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Complaint {
    /// A read of a closed file.
    ReadOfClosedFile,
    /// A look into the buffer of a closed file.
    PeekOfClosedFile,
    /// A read of a closed file into the caller's memory.
    ReadIntoOfClosedFile,
    /// A read of a line of a closed file.
    ReadLineOfClosedFile,
    /// A write to a closed file.
    WriteToClosedFile,
    /// A flush of a closed file.
    FlushOfClosedFile,
    /// A move within a closed file.
    SeekOfClosedFile,
    /// A cut of a closed file.
    TruncateOfClosedFile,
    /// Anything else with a closed file.
    ClosedFile,
    /// The same, where Python's base class of all files would notice it.
    ClosedStream,
    /// A buffered file that is not for reading: `read`.
    CannotRead,
    /// The same of `read1`.
    CannotRead1,
    /// The same of `peek`.
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
    /// Text files can be moved by zero from where they are, and not otherwise.
    SeekFromHere,
    /// Text files can be moved to the end, and not otherwise from there.
    SeekFromEnd,
    /// What says where an offset counts from says nothing.
    InvalidWhence(i32),
    /// The characters that were to be skipped are not there any more.
    CannotRestorePosition,
    /// An operation on the file is under way.
    UnderWay,
    /// The handle was in use when the process was forked.
    Forked,
    /// An operation that is over was asked to go on.
    Reused,
    /// An operation that was cancelled was asked to go on.
    Cancelled,
    /// An operation asks for what it has no turn for, or needs none for: a defect of this library.
    Misplaced,
}

/// Why an operation has failed. `E`: what goes wrong where results are made.
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
