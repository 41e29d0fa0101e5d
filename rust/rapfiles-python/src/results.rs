//! Results: converting the engine's outcomes to Python objects.

use std::ffi::OsStr;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyMemoryError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyList, PyString};
use rapfiles_core::memory::joined;
use rapfiles_core::{
    BufferProvider, FileSystem, KeepAlive, LargeFile, OpenedFile, Outcome, StagedFile, StatVfs, Text,
    TextFill,
};

use crate::errors::no_memory;
use crate::functions::transaction::{Transaction, recovered};
use crate::handle::strings::bytes_of;
use crate::limits::{OTHER_TEXT, PLAIN_TEXT};
use crate::stat_result;

/// The conversion of an outcome.
pub(crate) enum Converted {
    /// The Python object.
    Value(Py<PyAny>),
    /// It has to be read.
    Large(LargeFile),
    /// The string is allocated; a worker has to lay out the text.
    FillText(TextFill, Py<PyAny>),
}

/// A file that has been opened, on its way to a handle.
#[pyclass(frozen, module = "rapfiles._native")]
pub(crate) struct Opened(Mutex<Option<OpenedFile>>);

impl Opened {
    fn new(opened: OpenedFile) -> Self {
        Self(Mutex::new(Some(opened)))
    }

    /// The file, once.
    pub(crate) fn take(&self) -> Option<OpenedFile> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[pymethods]
impl Opened {
    /// Whether it is a terminal.
    #[getter]
    fn terminal(&self) -> bool {
        let opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        opened.as_ref().is_some_and(|opened| opened.info.terminal)
    }

    /// Whether its position can be moved.
    #[getter]
    fn seekable(&self) -> bool {
        let opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        opened.as_ref().is_some_and(|opened| opened.info.seekable)
    }

    /// Whether the position is at the start.
    #[getter]
    fn at_start(&self) -> bool {
        let opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        opened.as_ref().is_some_and(|opened| opened.info.at_start)
    }
}

/// A file that is to take the place of another one, between the operations on it.
#[pyclass(frozen, module = "rapfiles._native")]
pub(crate) struct Staged(Mutex<Option<StagedFile>>);

impl Staged {
    fn new(file: StagedFile) -> Self {
        Self(Mutex::new(Some(file)))
    }

    /// The file, once.
    pub(crate) fn take(&self) -> Option<StagedFile> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A bytes object for the content of a small file.
pub(crate) struct BytesBuffer<'py> {
    py: Python<'py>,
    bytes: Option<Bound<'py, PyAny>>,
}

impl<'py> BytesBuffer<'py> {
    pub(crate) fn new(py: Python<'py>) -> Self {
        Self { py, bytes: None }
    }

    pub(crate) fn into_bytes(self) -> Option<Py<PyAny>> {
        self.bytes.map(Bound::unbind)
    }
}

// SAFETY: a bytes object has room for its size and for a NUL after that, and this one is kept and not exposed. An
// attempt that overwrites the NUL fails, and the object is not used.
unsafe impl BufferProvider for BytesBuffer<'_> {
    fn make(&mut self, size: usize) -> Option<NonNull<u8>> {
        // There is only one empty bytes object, and it must not be written to.
        let length = ffi::Py_ssize_t::try_from(size).ok().filter(|length| *length > 0)?;
        let bytes = uninitialised_bytes(self.py, length).ok()?;
        // SAFETY: it is a bytes object.
        let start = unsafe { ffi::PyBytes_AsString(bytes.as_ptr()) };
        self.bytes = Some(bytes);
        NonNull::new(start.cast())
    }
}

/// A bytes object with uninitialised content.
pub(crate) fn uninitialised_bytes(py: Python<'_>, length: ffi::Py_ssize_t) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: the call returns a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyBytes_FromStringAndSize(std::ptr::null(), length)) }
}

/// Creates a Python object from an outcome. `room`: the object that an earlier step has allocated for it.
pub(crate) fn convert(py: Python<'_>, outcome: Outcome, room: Option<Py<PyAny>>) -> PyResult<Converted> {
    let value = match outcome {
        Outcome::Done => py.None(),
        Outcome::Flag(flag) => PyBool::new(py, flag).to_owned().into_any().unbind(),
        Outcome::Count(count) => PyInt::new(py, count).into_any().unbind(),
        Outcome::Bytes(bytes) | Outcome::Undecodable(bytes) => bytes_of(py, &bytes)?.into_any().unbind(),
        Outcome::InBuffer | Outcome::TextFilled(_) => room.unwrap_or_else(|| py.None()),
        Outcome::Large(file) => return Ok(Converted::Large(file)),
        Outcome::Filled { length, tail } => filled(py, room, length, &tail)?,
        Outcome::Text(content) => return text(py, content).map_err(|(error, _)| error),
        // What is not submitted as an operation on a path has its result elsewhere.
        Outcome::Unencodable
        | Outcome::Locked(_)
        | Outcome::Converted(..)
        | Outcome::Holder(_)
        | Outcome::Reply(_) => py.None(),
        Outcome::Opened(opened) => Py::new(py, Opened::new(*opened))?.into_any(),
        Outcome::Staged(staged) => {
            let (opened, staged) = *staged;
            (Opened::new(opened), Staged::new(staged)).into_pyobject(py)?.into_any().unbind()
        }
        Outcome::Metadata(metadata) => stat_result::build(py, &metadata)?,
        Outcome::StatVfs(limits) => statvfs_result(py, &limits)?,
        Outcome::Path(text) => path(py, &text)?.into_any().unbind(),
        Outcome::MaybePath(None) => py.None(),
        Outcome::MaybePath(Some(text)) => path(py, &text)?.into_any().unbind(),
        Outcome::Names(names) => {
            let names = names.iter().map(|name| path(py, name)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, names)?.into_any().unbind()
        }
        Outcome::FileSystem(system) => file_system(py, &system)?,
        Outcome::Transaction(transaction) => Py::new(py, Transaction::new(transaction))?.into_any(),
        Outcome::Recovered(recovery) => recovered(py, &recovery)?,
    };
    Ok(Converted::Value(value))
}

/// A path or a name as a Python string, with any bytes (PEP 383).
pub(crate) fn path<'py>(py: Python<'py>, path: &OsStr) -> PyResult<Bound<'py, PyString>> {
    let bytes = path.as_encoded_bytes();
    // CPython shares the strings of one Latin-1 character (`get_latin1_char` in Objects/unicodeobject.c), which must
    // not be written to.
    if bytes.len() < 2 || !bytes.is_ascii() {
        return path.into_pyobject(py).map_err(PyErr::from);
    }
    // SAFETY: the string is new and has room for that many ASCII characters, in this form; before it is
    // complete, nobody sees it.
    unsafe {
        let text = ffi::PyUnicode_New(bytes.len() as ffi::Py_ssize_t, 127);
        let text = Bound::from_owned_ptr_or_err(py, text)?.cast_into_unchecked();
        let start = ffi::PyUnicode_DATA(Bound::as_ptr(&text)).cast::<u8>();
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
        Ok(text)
    }
}

pub(crate) fn filled(
    py: Python<'_>,
    room: Option<Py<PyAny>>,
    length: usize,
    tail: &[u8],
) -> PyResult<Py<PyAny>> {
    let Some(room) = room else {
        return Ok(py.None());
    };
    let content = room.bind(py).cast::<PyBytes>()?.as_bytes();
    if content.len() == length && tail.is_empty() {
        return Ok(room);
    }
    // The file has shrunk or grown while it was read.
    let changed = joined(&[&content[..length], tail]).map_err(no_memory)?;
    Ok(bytes_of(py, &changed)?.into_any().unbind())
}

pub(crate) fn text(py: Python<'_>, text: Text) -> Result<Converted, (PyErr, Box<Text>)> {
    let Ok(length) = ffi::Py_ssize_t::try_from(text.chars()) else {
        return Err((PyMemoryError::new_err(()), Box::new(text)));
    };
    // SAFETY: the call returns a new string with uninitialised content, or null with an exception set.
    let room = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_New(length, text.highest())) };
    let room = match room {
        Ok(room) => room,
        Err(error) => return Err((error, Box::new(text))),
    };
    if length == 0 {
        return Ok(Converted::Value(room.unbind()));
    }
    // SAFETY: it is a string in the compact form.
    let start = unsafe { ffi::PyUnicode_DATA(room.as_ptr()) }.cast::<u8>();
    let limit = if text.is_plain() { PLAIN_TEXT } else { OTHER_TEXT };
    if text.chars() <= limit {
        // SAFETY: `PyUnicode_New` has made room for that many characters of the width that the highest one needs.
        unsafe { text.write_to(start) };
        return Ok(Converted::Value(room.unbind()));
    }
    let room = room.unbind();
    // SAFETY: as above; the string is not exposed before the fill is done, and the reference keeps it alive.
    let fill = unsafe { TextFill::new(text, start, KeepAlive::new(room.clone_ref(py))) };
    Ok(Converted::FillText(fill, room))
}

fn statvfs_result(py: Python<'_>, limits: &StatVfs) -> PyResult<Py<PyAny>> {
    let fields = (
        limits.block_size,
        limits.fragment_size,
        limits.blocks,
        limits.blocks_free,
        limits.blocks_available,
        limits.files,
        limits.files_free,
        limits.files_available,
        limits.flags,
        limits.name_max,
        limits.id,
    );
    Ok(py.import("os")?.getattr("statvfs_result")?.call1((fields,))?.unbind())
}

fn file_system(py: Python<'_>, system: &FileSystem) -> PyResult<Py<PyAny>> {
    let info = PyDict::new(py);
    info.set_item("file_system", &system.name)?;
    info.set_item("local", system.local)?;
    info.set_item("cached", system.obstacle.is_none())?;
    info.set_item("reason", system.obstacle.as_deref())?;
    info.set_item("access_times", &system.access_times)?;
    Ok(info.into_any().unbind())
}
