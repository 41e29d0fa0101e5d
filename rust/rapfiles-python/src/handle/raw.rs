//! Files without a buffer: the native half of `AsyncFileIO`.

use pyo3::prelude::*;
use rapfiles_core::handle::ops::{
    Close, Flush, ReadAt, ReadLarge, ReadLine, ReadLines, ReadOnce, ReadOnceInto, Seek, Stat, Synchronise,
    Tell, Truncate, WriteAt, WriteOnce, read,
};
use rapfiles_core::handle::{Complaint, FileOperation, PositionalOperation};

use super::buffered::{file_offset, length};
use super::objects::Objects;
use super::open_file::OpenFile;
use super::payload::{Payload, Target};
use crate::operation::{Operation, file_operation, next_operation, positional_operation};

/// The native half of `AsyncFileIO`.
#[pyclass(frozen, subclass, weakref, module = "rapfiles._native")]
pub(crate) struct RawFile {
    file: Py<OpenFile>,
}

impl RawFile {
    fn submit(&self, py: Python<'_>, operation: impl FileOperation<Objects> + 'static) -> Operation {
        file_operation(py, &self.file, Box::new(operation))
    }

    fn submit_positional(
        &self,
        py: Python<'_>,
        operation: impl PositionalOperation<Objects> + 'static,
    ) -> Operation {
        positional_operation(py, &self.file, operation)
    }
}

#[pymethods]
impl RawFile {
    #[new]
    #[pyo3(signature = (file, /))]
    fn new(file: Py<OpenFile>) -> Self {
        Self { file }
    }

    /// The open file, for the other layers.
    #[getter]
    fn _file(&self, py: Python<'_>) -> Py<OpenFile> {
        self.file.clone_ref(py)
    }

    /// Reads up to size bytes with one system call; everything up to the end if size is negative. Returns None if the
    /// file is non-blocking and has no data.
    #[pyo3(signature = (size=-1, /), text_signature = "($self, size=-1, /)")]
    fn read(&self, py: Python<'_>, size: Option<isize>) -> Operation {
        match usize::try_from(size.unwrap_or(-1)) {
            Ok(size) => self.submit(py, ReadOnce::new(size)),
            Err(_) if !self.file.get().file.readable => self.submit(py, ReadOnce::new(0)),
            Err(_) => self.readall(py),
        }
    }

    /// Reads everything up to the end of the file.
    fn readall(&self, py: Python<'_>) -> Operation {
        self.submit(py, ReadLarge::raw())
    }

    /// Reads into a buffer with one system call. Returns the number of bytes.
    #[pyo3(signature = (buffer, /))]
    fn readinto(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<Operation> {
        Ok(self.submit(py, ReadOnceInto { target: Target::new(buffer, "readinto")? }))
    }

    /// Reads a line, of up to limit bytes.
    #[pyo3(signature = (limit=-1, /), text_signature = "($self, limit=-1, /)")]
    fn readline(&self, py: Python<'_>, limit: Option<isize>) -> Operation {
        self.submit(py, ReadLine::new(usize::try_from(limit.unwrap_or(-1)).ok(), false, true))
    }

    /// Reads lines until they have hint bytes.
    #[pyo3(signature = (hint=-1, /), text_signature = "($self, hint=-1, /)")]
    fn readlines(&self, py: Python<'_>, hint: Option<isize>) -> Operation {
        self.submit(
            py,
            ReadLines::new(hint.and_then(|hint| usize::try_from(hint).ok()).filter(|h| *h > 0), true),
        )
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__(&self, py: Python<'_>) -> Operation {
        next_operation(py, &self.file, Box::new(ReadLine::new(None, true, true)))
    }

    /// Reads the next chunk of an iteration over chunks.
    #[pyo3(signature = (size, /))]
    fn _next_chunk(&self, py: Python<'_>, size: usize) -> PyResult<Operation> {
        Ok(next_operation(py, &self.file, read(Some(size), true)))
    }

    /// Writes bytes with one system call. Returns the number of bytes written, which may be fewer than given, or None
    /// if the file is non-blocking and has no room.
    #[pyo3(signature = (data, /))]
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Operation> {
        Ok(self.submit(py, WriteOnce { source: Payload::new(data)? }))
    }

    /// Does nothing: there is no buffer.
    fn flush(&self, py: Python<'_>) -> Operation {
        self.submit(py, Flush { closed: Complaint::ClosedStream })
    }

    /// Moves the position, and returns it.
    #[pyo3(signature = (offset, whence=0, /))]
    fn seek(&self, py: Python<'_>, offset: i64, whence: i32) -> Operation {
        self.submit(py, Seek { offset, whence, raw: true })
    }

    /// Returns the position.
    fn tell(&self, py: Python<'_>) -> Operation {
        self.submit(py, Tell)
    }

    /// Truncates the file to a size, by default at the position, or extends it with zeros. Returns the size.
    #[pyo3(signature = (size=None, /))]
    fn truncate(&self, py: Python<'_>, size: Option<&Bound<'_, PyAny>>) -> PyResult<Operation> {
        Ok(self.submit(
            py,
            Truncate {
                length: length(self.file.get(), size)?,
                refusal: Complaint::NotForWriting,
                closed: Complaint::ClosedFile,
            },
        ))
    }

    /// Waits until the device has the content and the metadata.
    fn sync(&self, py: Python<'_>) -> Operation {
        self.submit(py, Synchronise { data_only: false })
    }

    /// Waits until the device has the content.
    fn datasync(&self, py: Python<'_>) -> Operation {
        self.submit(py, Synchronise { data_only: true })
    }

    /// The os.fstat result.
    fn stat(&self, py: Python<'_>) -> Operation {
        self.submit_positional(py, Stat)
    }

    /// Reads up to size bytes at an offset.
    #[pyo3(signature = (size, offset, /))]
    fn pread(&self, py: Python<'_>, size: usize, offset: i64) -> PyResult<Operation> {
        Ok(self.submit_positional(py, ReadAt { size, offset: file_offset(offset)? }))
    }

    /// Writes all of the bytes at an offset.
    #[pyo3(signature = (data, offset, /))]
    fn pwrite(&self, py: Python<'_>, data: &Bound<'_, PyAny>, offset: i64) -> PyResult<Operation> {
        let (source, offset) = (Payload::new(data)?, file_offset(offset)?);
        Ok(self.submit_positional(py, WriteAt { source, offset }))
    }

    /// Closes the file.
    fn close(&self, py: Python<'_>) -> Operation {
        self.submit(py, Close::default())
    }

    /// The descriptor.
    fn fileno(&self) -> PyResult<i32> {
        self.file.get().fileno("I/O operation on closed file")
    }
}
