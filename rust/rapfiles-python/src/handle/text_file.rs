//! Text files: the native half of `AsyncTextIOWrapper`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use rapfiles_core::Form;
use rapfiles_core::handle::ops::text::{Read, ReadAll, ReadLine, ReadLines, Seek, Tell, Write};
use rapfiles_core::handle::ops::{Close, Flush, Sequence, Stat, Synchronise, Truncate};
use rapfiles_core::handle::{Complaint, FileOperation, TextSettings, TextState, ops};

use super::buffered::{BufferedFile, hint, length, size};
use super::complaints::worded;
use super::objects::Objects;
use super::open_file::OpenFile;
use super::strings::{ascii_string, string};
use super::text::{PythonCodec, PythonCodecParts, to_be_written};
use crate::arguments;
use crate::next_item::{self, Ask, next_item};
use crate::operation::{Operation, file_operation, positional_operation};

/// The native half of `AsyncTextIOWrapper`.
#[pyclass(frozen, subclass, weakref, module = "rapfiles._native")]
pub(crate) struct TextFile {
    file: Py<OpenFile>,
    buffer: Py<BufferedFile>,
    state: Arc<TextState<Objects>>,
    detached: AtomicBool,
}

impl TextFile {
    /// The open file, unless its buffer has been detached.
    fn attached(&self) -> PyResult<&OpenFile> {
        if self.detached.load(Ordering::Relaxed) {
            return Err(PyValueError::new_err("underlying buffer has been detached"));
        }
        // The buffer may have been detached from its raw layer.
        self.buffer.get().attached()
    }

    fn submit(
        &self,
        py: Python<'_>,
        operation: impl FileOperation<Objects> + 'static,
    ) -> PyResult<Operation> {
        self.attached()?;
        Ok(file_operation(py, &self.file, Box::new(operation)))
    }
}

/// A number that an operation counts up.
#[pyclass(frozen, module = "rapfiles._native")]
pub(crate) struct Counter(Arc<AtomicUsize>);

#[pymethods]
impl Counter {
    #[new]
    fn new() -> Self {
        Self(Arc::default())
    }

    /// The number.
    #[getter]
    fn value(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn newline(newline: Option<&str>) -> PyResult<Option<&'static str>> {
    match newline {
        None => Ok(None),
        Some("") => Ok(Some("")),
        Some("\n") => Ok(Some("\n")),
        Some("\r") => Ok(Some("\r")),
        Some("\r\n") => Ok(Some("\r\n")),
        Some(other) => Err(PyValueError::new_err(format!("illegal newline value: {other}"))),
    }
}

#[pymethods]
impl TextFile {
    #[new]
    #[pyo3(signature = (buffer, line_buffering, /))]
    fn new(buffer: Py<BufferedFile>, line_buffering: bool) -> Self {
        let file = Python::attach(|py| buffer.get().file.clone_ref(py));
        let settings =
            TextSettings { native: None, newline: None, line_buffering, write_through: false, sliced: false };
        let state = Arc::new(TextState::new(settings, PythonCodec::default()));
        Self { file, buffer, state, detached: AtomicBool::new(false) }
    }

    /// Sets how text is encoded and lines end. `codec`: the native one, or else what Python has.
    #[pyo3(signature = (encoding, errors, newline, codec, decoder, encoder, sliced, /))]
    #[allow(clippy::too_many_arguments, reason = "they belong together")]
    fn _set_encoding(
        &self,
        py: Python<'_>,
        encoding: String,
        errors: String,
        newline: Option<&str>,
        codec: Option<&str>,
        decoder: Option<Py<PyAny>>,
        encoder: Option<Py<PyAny>>,
        sliced: bool,
    ) -> PyResult<()> {
        let file = self.attached()?;
        let native = codec.map(arguments::codec).transpose()?;
        let newline = self::newline(newline)?;
        // The holder of the turn may be at it.
        let refused = |complaint| worded(py, complaint);
        self.state
            .set_encoding(&file.file, native, newline, sliced, || {
                self.state.codec.set(PythonCodecParts { encoding, errors, newline, decoder, encoder });
            })
            .map_err(refused)?;
        Ok(())
    }

    /// Sets when lines are flushed.
    #[pyo3(signature = (line_buffering, write_through, /))]
    fn _set_buffering(&self, line_buffering: bool, write_through: bool) {
        self.state.set(|settings| {
            (settings.line_buffering, settings.write_through) = (line_buffering, write_through);
        });
    }

    /// Whether characters have been read that are not used up.
    #[getter]
    fn _has_read(&self, py: Python<'_>) -> PyResult<bool> {
        self.state.has_read(&self.attached()?.file).map_err(|complaint| worded(py, complaint))
    }

    /// The open file, for the other layers.
    #[getter]
    fn _file(&self, py: Python<'_>) -> Py<OpenFile> {
        self.file.clone_ref(py)
    }

    /// Takes the buffer away.
    fn _detach(&self, py: Python<'_>) -> PyResult<()> {
        self.state.detach(&self.attached()?.file).map_err(|complaint| worded(py, complaint))?;
        self.detached.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the buffer has been taken away.
    #[getter]
    fn _detached(&self) -> bool {
        self.detached.load(Ordering::Relaxed)
    }

    /// The buffered file underneath.
    #[getter]
    fn buffer(&self, py: Python<'_>) -> PyResult<Py<BufferedFile>> {
        if self.detached.load(Ordering::Relaxed) {
            return Err(PyValueError::new_err("underlying buffer has been detached"));
        }
        Ok(self.buffer.clone_ref(py))
    }

    /// Reads size characters, fewer only at the end of the file; everything where size is negative or None.
    #[pyo3(signature = (size=-1, /), text_signature = "($self, size=-1, /)")]
    fn read(&self, py: Python<'_>, size: Option<isize>) -> PyResult<Operation> {
        match self::size(size) {
            Some(characters) => self.submit(py, Read::new(&self.state, characters)),
            None => self.submit(py, ReadAll::new(&self.state)),
        }
    }

    /// Reads a line, of up to size characters.
    #[pyo3(signature = (size=-1, /), text_signature = "($self, size=-1, /)")]
    fn readline(&self, py: Python<'_>, size: isize) -> PyResult<Operation> {
        self.submit(py, ReadLine::new(&self.state, usize::try_from(size).ok(), false))
    }

    /// Reads lines until they have hint characters.
    #[pyo3(signature = (hint=-1, /), text_signature = "($self, hint=-1, /)")]
    fn readlines(&self, py: Python<'_>, hint: Option<isize>) -> PyResult<Operation> {
        self.submit(py, ReadLines::new(&self.state, self::hint(hint)))
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// The slot of the classes has a function of its own (`set_next_slot`).
    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        anext(slf.as_any())
    }

    /// Writes text to the buffer, and waits while it is full. Returns the number of characters.
    #[pyo3(signature = (text, /))]
    fn write(&self, py: Python<'_>, text: &Bound<'_, PyAny>) -> PyResult<Operation> {
        self.submit(py, Write::new(&self.state, to_be_written(text)?))
    }

    /// Writes several strings as one operation. `written`: receives how many have been written.
    #[pyo3(signature = (lines, written, /))]
    fn _write_all(
        &self,
        py: Python<'_>,
        lines: Vec<Bound<'_, PyAny>>,
        written: &Bound<'_, Counter>,
    ) -> PyResult<Operation> {
        let requests = lines.iter().map(|line| {
            Ok(Box::new(Write::new(&self.state, to_be_written(line)?)) as Box<dyn FileOperation<Objects>>)
        });
        let requests = requests.collect::<PyResult<_>>()?;
        self.submit(py, Sequence::new("writelines", requests, Arc::clone(&written.get().0)))
    }

    /// Passes the write buffer to the operating system.
    fn flush(&self, py: Python<'_>) -> PyResult<Operation> {
        self.submit(py, Flush { closed: Complaint::ClosedStream })
    }

    /// Moves to a position of tell(), or to the beginning, or with whence=2 to the end. Returns the position.
    #[pyo3(signature = (cookie, whence=0, /))]
    fn seek(&self, py: Python<'_>, cookie: Py<PyAny>, whence: i32) -> PyResult<Operation> {
        self.submit(py, Seek::new(&self.state, cookie, whence))
    }

    /// Returns the position, as a number that only seek() understands.
    fn tell(&self, py: Python<'_>) -> PyResult<Operation> {
        self.submit(py, Tell::new(&self.state))
    }

    /// Truncates the file to a size in bytes, by default at the position. Returns the size.
    #[pyo3(signature = (pos=None, /))]
    fn truncate(&self, py: Python<'_>, pos: Option<&Bound<'_, PyAny>>) -> PyResult<Operation> {
        self.submit(
            py,
            Truncate {
                length: length(self.file.get(), pos)?,
                refusal: Complaint::CannotTruncate,
                closed: Complaint::ClosedStream,
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
        self.attached()?;
        Ok(positional_operation(py, &self.file, Stat))
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

    /// The name of the encoding.
    #[getter]
    fn encoding(&self) -> String {
        self.state.codec.parts().encoding.clone()
    }

    /// The name of the error handler.
    #[getter]
    fn errors(&self) -> String {
        self.state.codec.parts().errors.clone()
    }

    /// Whether a write with a line end in it flushes.
    #[getter]
    fn line_buffering(&self) -> bool {
        self.state.settings().line_buffering
    }

    /// Whether writes are passed to the buffer at once.
    #[getter]
    fn write_through(&self) -> bool {
        self.state.settings().write_through
    }

    /// The line ends that the native decoder has seen, as a number; None if Python's decoder has them.
    #[getter]
    fn _seen(&self, py: Python<'_>) -> PyResult<Option<u8>> {
        self.state.seen(&self.attached()?.file).map_err(|complaint| worded(py, complaint))
    }

    /// The argument `newline` of open.
    #[getter]
    fn _newline(&self) -> Option<&'static str> {
        self.state.settings().newline
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

/// Takes the next line, if it has been decoded already and there is memory for it.
fn next_line<'py>(file: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let py = file.py();
    // SAFETY: this is asked of files of this class only.
    let text = unsafe { file.cast_unchecked::<TextFile>() }.get();
    // The operation raises errors.
    let open = text.file.get();
    if text.detached.load(Ordering::Relaxed) || text.buffer.get().is_detached() || open.pace.is_due() {
        return None;
    }
    let make = |content: &[u8], form| match form {
        Form::Ascii => ascii_string(py, content),
        form => string(py, content, form).ok(),
    };
    // SAFETY: nothing but the memory for a string is asked of the interpreter.
    let line = unsafe { ops::next_text_line(&open.file, make) }?;
    Some(line.into_any())
}

/// Begins to read the next line.
fn read_line<'py>(file: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: this is asked of files of this class only.
    let text = unsafe { file.cast_unchecked::<TextFile>() }.get();
    let operation = text.submit(file.py(), ReadLine::new(&text.state, None, true))?;
    Ok(operation.into_pyobject(file.py())?.into_any())
}
