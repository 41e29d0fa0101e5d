//! The messages of errors of operations on files: those of `io`.

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyStopAsyncIteration, PyValueError};
use pyo3::prelude::*;
use rapfiles_core::handle::{Complaint, Failure};

use crate::errors::{self, Names, unsupported};

/// The exception of a complaint.
pub(crate) fn worded(py: Python<'_>, complaint: Complaint) -> PyErr {
    let refused = |message| unsupported(py, message);
    match complaint {
        Complaint::ReadOfClosedFile => PyValueError::new_err("read of closed file"),
        Complaint::PeekOfClosedFile => PyValueError::new_err("peek of closed file"),
        Complaint::ReadIntoOfClosedFile => PyValueError::new_err("readinto of closed file"),
        Complaint::ReadLineOfClosedFile => PyValueError::new_err("readline of closed file"),
        Complaint::WriteToClosedFile => PyValueError::new_err("write to closed file"),
        Complaint::FlushOfClosedFile => PyValueError::new_err("flush of closed file"),
        Complaint::SeekOfClosedFile => PyValueError::new_err("seek of closed file"),
        Complaint::TruncateOfClosedFile => PyValueError::new_err("truncate of closed file"),
        Complaint::ClosedFile => PyValueError::new_err("I/O operation on closed file"),
        Complaint::ClosedStream => PyValueError::new_err("I/O operation on closed file."),
        Complaint::CannotRead => refused("read"),
        Complaint::CannotRead1 => refused("read1"),
        Complaint::CannotPeek => refused("peek"),
        Complaint::CannotWrite => refused("write"),
        Complaint::CannotTruncate => refused("truncate"),
        Complaint::CannotSeek => refused("File or stream is not seekable."),
        Complaint::NotForReading => refused("File not open for reading"),
        Complaint::NotForWriting => refused("File not open for writing"),
        Complaint::TextNotReadable => refused("not readable"),
        Complaint::TextNotWritable => refused("not writable"),
        Complaint::TextNotSeekable => refused("underlying stream is not seekable"),
        Complaint::Detached => PyValueError::new_err("underlying buffer has been detached"),
        Complaint::SeekFromHere => refused("can't do nonzero cur-relative seeks"),
        Complaint::SeekFromEnd => refused("can't do nonzero end-relative seeks"),
        Complaint::InvalidWhence(whence) => {
            PyValueError::new_err(format!("invalid whence ({whence}, should be 0, 1 or 2)"))
        }
        Complaint::CannotRestorePosition => PyOSError::new_err("can't restore logical file position"),
        Complaint::UnderWay => PyRuntimeError::new_err("an operation on this file is running"),
        Complaint::Forked => {
            PyRuntimeError::new_err("this file was in use when the process was forked: open it again")
        }
        Complaint::Reused => PyRuntimeError::new_err("cannot reuse already awaited coroutine"),
        Complaint::Cancelled => PyRuntimeError::new_err("this operation was cancelled"),
        Complaint::Misplaced => {
            PyRuntimeError::new_err("operation without a turn, which is a bug of rapfiles")
        }
    }
}

/// The exception of a failure.
pub(crate) fn raised(py: Python<'_>, failure: Failure<PyErr>) -> PyErr {
    match failure {
        Failure::Complaint(complaint) => worded(py, complaint),
        Failure::Error(error) => errors::exception(py, error, &Names::none()),
        Failure::NoMoreItems => PyStopAsyncIteration::new_err(()),
        Failure::Caller(error) => error,
    }
}
