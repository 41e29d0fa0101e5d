//! An open file, as all of its layers (text, buffer, raw) share it.

use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::{PyResourceWarning, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use rapfiles_core::handle::{Complaint, Handle, HandleFile, OpenedFile, ops};

use super::complaints::{raised, worded};
use super::objects::{Caller, Objects};
use crate::errors::{self, Names};
use crate::fairness::Pace;
use crate::once::intern;

/// An open file: what its layers share.
#[pyclass(frozen, module = "rapfiles._native")]
pub(crate) struct OpenFile {
    /// Its handle, as operations use it.
    pub(crate) file: HandleFile<Objects>,
    /// Whether it was opened in a trio task, where each operation is a cancel point.
    pub(crate) trio: bool,
    /// How much may be done before the clock is read.
    pub(crate) pace: Pace,
    name: Mutex<Py<PyAny>>,
    /// The mode as `io.FileIO` reports it.
    raw_mode: Py<PyString>,
    /// The name of the class that was opened, for the warning about an unclosed file.
    kind: Py<PyString>,
    /// Whether it was passed on by `detach()`, so that this object does not close it.
    detached: AtomicBool,
}

impl OpenFile {
    #[allow(clippy::too_many_arguments, reason = "they are what it is made of")]
    pub(crate) fn new(
        opened: OpenedFile,
        buffer_size: Option<usize>,
        (readable, writable): (bool, bool),
        trio: bool,
        name: Py<PyAny>,
        raw_mode: Py<PyString>,
        kind: Py<PyString>,
    ) -> Self {
        let file = HandleFile::new(Handle::new(opened, buffer_size), readable, writable);
        let detached = AtomicBool::new(false);
        let name = Mutex::new(name);
        Self { file, trio, pace: Pace::default(), name, raw_mode, kind, detached }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.file.handle.is_closed()
    }

    /// The descriptor.
    pub(crate) fn fileno(&self, closed: &'static str) -> PyResult<i32> {
        if !self.file.handle.is_usable() {
            return Err(Python::attach(|py| worded(py, Complaint::Forked)));
        }
        let descriptor = self
            .file
            .handle
            .descriptor()
            .map_err(|error| Python::attach(|py| errors::exception(py, error, &Names::none())))?;
        descriptor.ok_or_else(|| PyValueError::new_err(closed))
    }

    /// Warns of a file that was not closed. A current exception must not be lost.
    fn complain(&self, py: Python<'_>) {
        let before = PyErr::take(py);
        let name = self.name(py).bind(py).repr().map_or_else(|_| String::new(), |name| name.to_string());
        let (kind, mode) = (self.kind.bind(py), self.raw_mode.bind(py));
        let message = format!("unclosed file <rapfiles.{kind} name={name} mode='{mode}'>");
        if let Ok(message) = CString::new(message)
            && let Err(error) = PyErr::warn(py, &py.get_type::<PyResourceWarning>(), &message, 1)
        {
            error.write_unraisable(py, Some(kind));
        }
        if let Some(before) = before {
            before.restore(py);
        }
    }

    /// Notes that it is closed by another object.
    pub(crate) fn mark_detached(&self) {
        self.detached.store(true, Ordering::Relaxed);
    }
}

#[pymethods]
impl OpenFile {
    /// Closes it without being waited for, where nothing can be awaited.
    fn close_in_background(&self) {
        if self.file.handle.is_usable() && !self.detached.load(Ordering::Relaxed) {
            self.file.handle.close_in_background();
        }
    }

    /// The path or descriptor with which it was opened.
    #[getter]
    pub(crate) fn name(&self, py: Python<'_>) -> Py<PyAny> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner).clone_ref(py)
    }

    #[setter]
    fn set_name(&self, name: Py<PyAny>) {
        let before = std::mem::replace(&mut *self.name.lock().unwrap_or_else(PoisonError::into_inner), name);
        // Not under the lock: it may be released here.
        drop(before);
    }

    /// The mode as `io.FileIO` reports it.
    #[getter]
    fn raw_mode(&self, py: Python<'_>) -> Py<PyString> {
        self.raw_mode.clone_ref(py)
    }

    /// Whether it has been closed.
    #[getter]
    fn closed(&self) -> bool {
        self.is_closed()
    }

    /// Whether closing it has failed, so that something of what was written may be missing.
    #[getter]
    fn incomplete(&self) -> bool {
        self.file.handle.is_incomplete()
    }

    /// Whether it is a terminal.
    #[getter]
    fn terminal(&self) -> bool {
        self.file.handle.info.terminal
    }

    /// Whether its position can be moved.
    #[getter]
    fn seekable(&self) -> bool {
        self.file.handle.info.seekable
    }

    /// Whether it can be read.
    #[getter]
    fn readable(&self) -> bool {
        self.file.readable
    }

    /// Whether it can be written.
    #[getter]
    fn writable(&self) -> bool {
        self.file.writable
    }

    /// Whether its descriptor is closed with it.
    #[getter]
    fn closefd(&self) -> bool {
        self.file.handle.closes_descriptor
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if !self.file.handle.is_usable() || self.file.handle.is_left() || *self.detached.get_mut() {
            return;
        }
        if self.file.handle.closes_descriptor {
            Python::attach(|py| self.complain(py));
        }
        self.file.handle.close_in_background();
    }
}

/// The descriptor, flushed and at the user's position, for use by another object. The file is detached.
#[pyfunction]
#[pyo3(signature = (file, /))]
pub(crate) fn take_descriptor(file: &Bound<'_, PyAny>) -> PyResult<i32> {
    let file_object = match file.cast::<OpenFile>() {
        Ok(file) => file.clone(),
        Err(_) => file.getattr(intern!(file.py(), "_file"))?.cast_into::<OpenFile>()?,
    };
    let file = file_object.get();
    let py = file_object.py();
    let detached = ops::detach(Caller { py, pace: &file.pace }, &file.file);
    let descriptor = detached.map_err(|failure| raised(py, failure))?;
    file.mark_detached();
    Ok(descriptor)
}

/// Waits until the files that were not closed have been closed, for at most this many seconds.
#[pyfunction]
#[pyo3(signature = (seconds, /))]
pub(crate) fn finish_closing(py: Python<'_>, seconds: f64) {
    py.detach(|| {
        rapfiles_core::Engine::current().finish_closing(std::time::Duration::from_secs_f64(seconds))
    });
}
