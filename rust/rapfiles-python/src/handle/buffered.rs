//! Buffered binary files: the native half of `AsyncBufferedReader`, `AsyncBufferedWriter` and `AsyncBufferedRandom`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use rapfiles_core::IO_BUFFER;
use rapfiles_core::handle::ops::{
    Close, Flush, ReadAt, ReadInto, ReadLine, ReadLines, ReadSome, Seek, Sequence, Stat, Synchronise, Tell,
    Truncate, Write, WriteAt, read,
};
use rapfiles_core::handle::{Complaint, FileOperation, PositionalOperation, ops};

use super::objects::Objects;
use super::open_file::OpenFile;
use super::payload::{Payload, Target};
use crate::handle::strings::bytes_of;
use crate::next_item::{self, Ask, next_item};
use crate::operation::{Operation, file_operation, next_operation, positional_operation};

/// The native half of the buffered file classes.
#[pyclass(frozen, subclass, weakref, module = "rapfiles._native")]
pub(crate) struct BufferedFile {
    pub(crate) file: Py<OpenFile>,
    detached: AtomicBool,
}

impl BufferedFile {
    /// The open file, unless its raw layer has been detached.
    pub(crate) fn attached(&self) -> PyResult<&OpenFile> {
        if self.detached.load(Ordering::Relaxed) {
            return Err(PyValueError::new_err("raw stream has been detached"));
        }
        Ok(self.file.get())
    }

    /// Whether its raw layer has been detached.
    #[inline]
    pub(crate) fn is_detached(&self) -> bool {
        self.detached.load(Ordering::Relaxed)
    }

    /// For operations that read: a file that cannot read raises that error even when it is detached.
    fn submit_reading(
        &self,
        py: Python<'_>,
        operation: impl FileOperation<Objects> + 'static,
    ) -> PyResult<Operation> {
        if self.file.get().file.readable {
            self.attached()?;
        }
        Ok(file_operation(py, &self.file, Box::new(operation)))
    }

    fn submit(
        &self,
        py: Python<'_>,
        operation: impl FileOperation<Objects> + 'static,
    ) -> PyResult<Operation> {
        self.attached()?;
        Ok(file_operation(py, &self.file, Box::new(operation)))
    }

    fn submit_positional(
        &self,
        py: Python<'_>,
        operation: impl PositionalOperation<Objects> + 'static,
    ) -> PyResult<Operation> {
        self.attached()?;
        Ok(positional_operation(py, &self.file, operation))
    }
}

/// A size, if it is not negative.
pub(crate) fn size(size: Option<isize>) -> Option<usize> {
    size.and_then(|size| usize::try_from(size).ok())
}

/// A hint, if it is positive.
pub(crate) fn hint(hint: Option<isize>) -> Option<usize> {
    size(hint).filter(|hint| *hint > 0)
}

/// An offset as `lseek(2)` takes it.
pub(crate) fn offset(offset: &Bound<'_, PyAny>) -> PyResult<i64> {
    let py = offset.py();
    offset.extract().map_err(|error: PyErr| match offset.get_type().name() {
        Ok(name) if error.is_instance_of::<PyOverflowError>(py) => {
            PyValueError::new_err(format!("cannot fit '{name}' into an offset-sized integer"))
        }
        _ => error,
    })
}

/// A length for truncating a file. For a closed file, that error comes first.
pub(crate) fn length(file: &OpenFile, length: Option<&Bound<'_, PyAny>>) -> PyResult<Option<i64>> {
    match length.map(|length| length.extract()).transpose() {
        Err(_) if file.is_closed() => Ok(None),
        other => other,
    }
}

/// An offset within a file.
pub(crate) fn file_offset(offset: i64) -> PyResult<u64> {
    u64::try_from(offset).map_err(|_| PyValueError::new_err("offset must not be negative"))
}

/// A `whence`.
pub(crate) fn whence(whence: i32) -> PyResult<i32> {
    let most = if cfg!(target_os = "linux") { 4 } else { 2 };
    if (0..=most).contains(&whence) {
        return Ok(whence);
    }
    Err(PyValueError::new_err(format!("whence value {whence} unsupported")))
}

#[pymethods]
impl BufferedFile {
    #[new]
    #[pyo3(signature = (file, /))]
    fn new(file: Py<OpenFile>) -> Self {
        Self { file, detached: AtomicBool::new(false) }
    }

    /// The open file, for the other layers.
    #[getter]
    fn _file(&self, py: Python<'_>) -> Py<OpenFile> {
        self.file.clone_ref(py)
    }

    /// Detaches the raw layer.
    fn _detach(&self) -> PyResult<()> {
        self.attached()?;
        self.detached.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the raw layer has been detached.
    #[getter]
    fn _detached(&self) -> bool {
        self.detached.load(Ordering::Relaxed)
    }

    /// Reads size bytes, fewer only at the end of the file; everything if size is negative or None.
    #[pyo3(signature = (size=-1, /), text_signature = "($self, size=-1, /)")]
    fn read(&self, py: Python<'_>, size: Option<isize>) -> PyResult<Operation> {
        if size.is_some_and(|size| size < -1) {
            return Err(PyValueError::new_err("read length must be non-negative or -1"));
        }
        if self.file.get().file.readable {
            self.attached()?;
        }
        Ok(file_operation(py, &self.file, read(self::size(size), false)))
    }

    /// Reads up to size bytes with one system call at most.
    #[pyo3(signature = (size=-1, /), text_signature = "($self, size=-1, /)")]
    fn read1(&self, py: Python<'_>, size: isize) -> PyResult<Operation> {
        self.submit_reading(py, ReadSome { size: usize::try_from(size).unwrap_or(IO_BUFFER), peek: false })
    }

    /// Returns buffered bytes without moving the position, after one system call at most.
    #[pyo3(signature = (size=0, /))]
    fn peek(&self, py: Python<'_>, size: isize) -> PyResult<Operation> {
        self.submit_reading(py, ReadSome { size: usize::try_from(size).unwrap_or_default(), peek: true })
    }

    /// Fills a buffer, completely unless the file ends before. Returns the number of bytes.
    #[pyo3(signature = (buffer, /))]
    fn readinto(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<Operation> {
        self.submit_reading(py, ReadInto::new(Target::new(buffer, "readinto")?, false))
    }

    /// Reads into a buffer with one system call at most. Returns the number of bytes.
    #[pyo3(signature = (buffer, /))]
    fn readinto1(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<Operation> {
        self.submit_reading(py, ReadInto::new(Target::new(buffer, "readinto1")?, true))
    }

    /// Reads a line, of up to size bytes.
    #[pyo3(signature = (size=-1, /), text_signature = "($self, size=-1, /)")]
    fn readline(&self, py: Python<'_>, size: Option<isize>) -> PyResult<Operation> {
        self.submit_reading(py, ReadLine::new(self::size(size), false, false))
    }

    /// Reads lines until they have hint bytes.
    #[pyo3(signature = (hint=-1, /), text_signature = "($self, hint=-1, /)")]
    fn readlines(&self, py: Python<'_>, hint: Option<isize>) -> PyResult<Operation> {
        self.submit(py, ReadLines::new(self::hint(hint), false))
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// The slot of the classes has a function of its own (`set_next_slot`).
    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        anext(slf.as_any())
    }

    /// Reads the next chunk of an iteration over chunks.
    #[pyo3(signature = (size, /))]
    fn _next_chunk(&self, py: Python<'_>, size: usize) -> PyResult<Operation> {
        self.attached()?;
        Ok(next_operation(py, &self.file, read(Some(size), true)))
    }

    /// Writes bytes to the buffer, and waits while it is full. Returns their number.
    #[pyo3(signature = (data, /))]
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Operation> {
        if self.file.get().file.writable {
            self.attached()?;
        }
        Ok(file_operation(py, &self.file, Box::new(Write { source: Payload::new(data)? })))
    }

    /// Writes several chunks as one operation.
    #[pyo3(signature = (lines, /))]
    fn _write_all(&self, py: Python<'_>, lines: Vec<Bound<'_, PyAny>>) -> PyResult<Operation> {
        let requests = lines.iter().map(|line| {
            let source = Payload::new(line)?;
            Ok(Box::new(Write { source }) as Box<dyn FileOperation<Objects>>)
        });
        let requests = requests.collect::<PyResult<_>>()?;
        self.submit(py, Sequence::new("writelines", requests, Arc::default()))
    }

    /// Passes the write buffer to the operating system.
    fn flush(&self, py: Python<'_>) -> PyResult<Operation> {
        // A reader's flush is that of the raw file, with its errors.
        let writable = self.file.get().file.writable;
        self.submit(
            py,
            Flush { closed: if writable { Complaint::FlushOfClosedFile } else { Complaint::ClosedStream } },
        )
    }

    /// Moves the position, and returns it.
    #[pyo3(signature = (offset, whence=0, /))]
    fn seek(&self, py: Python<'_>, offset: &Bound<'_, PyAny>, whence: i32) -> PyResult<Operation> {
        let (offset, whence) = (self::offset(offset)?, self::whence(whence)?);
        self.submit(py, Seek { offset, whence, raw: false })
    }

    /// Returns the position.
    fn tell(&self, py: Python<'_>) -> PyResult<Operation> {
        self.submit(py, Tell)
    }

    /// Truncates the file to a size, by default at the position, or extends it with zeros. Returns the size.
    #[pyo3(signature = (size=None, /))]
    fn truncate(&self, py: Python<'_>, size: Option<&Bound<'_, PyAny>>) -> PyResult<Operation> {
        self.submit(
            py,
            Truncate {
                length: length(self.file.get(), size)?,
                refusal: Complaint::CannotTruncate,
                closed: Complaint::TruncateOfClosedFile,
            },
        )
    }

    /// Waits until the device has everything that was written, and the metadata.
    fn sync(&self, py: Python<'_>) -> PyResult<Operation> {
        self.submit(py, Synchronise { data_only: false })
    }

    /// Waits until the device has everything that was written.
    fn datasync(&self, py: Python<'_>) -> PyResult<Operation> {
        self.submit(py, Synchronise { data_only: true })
    }

    /// The os.fstat result.
    fn stat(&self, py: Python<'_>) -> PyResult<Operation> {
        self.submit_positional(py, Stat)
    }

    /// Reads up to size bytes at an offset, concurrently with other operations.
    #[pyo3(signature = (size, offset, /))]
    fn pread(&self, py: Python<'_>, size: usize, offset: i64) -> PyResult<Operation> {
        self.submit_positional(py, ReadAt { size, offset: file_offset(offset)? })
    }

    /// Writes all of the bytes at an offset, concurrently with other operations.
    #[pyo3(signature = (data, offset, /))]
    fn pwrite(&self, py: Python<'_>, data: &Bound<'_, PyAny>, offset: i64) -> PyResult<Operation> {
        let (source, offset) = (Payload::new(data)?, file_offset(offset)?);
        self.submit_positional(py, WriteAt { source, offset })
    }

    /// Flushes and closes the file.
    fn close(&self, py: Python<'_>) -> PyResult<Operation> {
        self.submit(py, Close::default())
    }

    /// The descriptor.
    fn fileno(&self) -> PyResult<i32> {
        self.attached()?.fileno("I/O operation on closed file")
    }

    /// Whether the file has been closed.
    #[getter]
    fn closed(&self) -> PyResult<bool> {
        Ok(self.attached()?.is_closed())
    }
}

/// The function in the `am_anext` slot of the classes.
///
/// # Safety
/// Called by the interpreter with a file of this class.
pub(crate) unsafe extern "C" fn am_anext(file: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls this attached, and the caller has a reference to the file.
    unsafe { next_item::am_anext(file, anext) }
}

/// The awaitable of the next line.
fn anext<'py>(file: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    next_item(file, &Ask { ready: next_line, operation: read_line })
}

/// Takes the next line, if it has been read already and there is memory for it.
fn next_line<'py>(file: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let py = file.py();
    // SAFETY: this is asked of files of this class only.
    let buffered = unsafe { file.cast_unchecked::<BufferedFile>() }.get();
    let open = buffered.attached().ok()?;
    if open.pace.is_due() {
        return None;
    }
    // SAFETY: nothing but the memory for the bytes is asked of the interpreter.
    let line = unsafe { ops::next_line(&open.file, |line| bytes_of(py, line).ok()) }?;
    Some(line.into_any())
}

/// Begins to read the next line.
fn read_line<'py>(file: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: this is asked of files of this class only.
    let buffered = unsafe { file.cast_unchecked::<BufferedFile>() }.get();
    let operation = buffered.submit(file.py(), ReadLine::new(None, true, false))?;
    Ok(operation.into_pyobject(file.py())?.into_any())
}
