//! Bytes to write and memory to read into, as the caller passed them.

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PyString};
use rapfiles_core::handle::{self, Failure, Fallible};
use rapfiles_core::{Data, KeepAlive};

use super::objects::{Caller, Objects};

/// Bytes to write.
pub(crate) enum Payload {
    /// Immutable.
    Bytes(Py<PyBytes>),
    /// They may change after the operation.
    View(Py<PyMemoryView>),
}

impl Payload {
    /// The bytes of an object.
    pub(crate) fn new(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast_exact::<PyBytes>() {
            return Ok(Self::Bytes(bytes.clone().unbind()));
        }
        if object.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err("a bytes-like object is required, not 'str'"));
        }
        let view = PyMemoryView::from(object).map_err(|error| {
            let py = object.py();
            match object.get_type().name() {
                Ok(name) if error.is_instance_of::<PyTypeError>(py) => {
                    PyTypeError::new_err(format!("a bytes-like object is required, not '{name}'"))
                }
                _ => error,
            }
        })?;
        // Raises memoryview's own error if it is not contiguous.
        Buffer::new(&view, ffi::PyBUF_SIMPLE)?;
        Ok(Self::View(view.unbind()))
    }
}

impl handle::Source<Objects> for Payload {
    fn with<T>(&self, caller: Caller<'_>, work: impl FnOnce(&[u8]) -> T) -> Fallible<Objects, T> {
        match self {
            Self::Bytes(bytes) => Ok(work(bytes.as_bytes(caller.py))),
            Self::View(view) => {
                let buffer = Buffer::new(view.bind(caller.py), ffi::PyBUF_SIMPLE).map_err(Failure::Caller)?;
                // SAFETY: the buffer is held while the bytes are looked at.
                Ok(work(unsafe { buffer.bytes() }))
            }
        }
    }

    fn is_constant(&self) -> bool {
        matches!(self, Self::Bytes(_))
    }

    fn shared(&self, caller: Caller<'_>) -> Fallible<Objects, Data> {
        let py = caller.py;
        match self {
            Self::Bytes(bytes) => {
                let content = bytes.as_bytes(py);
                // SAFETY: a bytes object never changes, and the reference keeps it alive.
                Ok(unsafe {
                    Data::shared(content.as_ptr(), content.len(), KeepAlive::new(bytes.clone_ref(py)))
                })
            }
            Self::View(view) => {
                let buffer = Buffer::new(view.bind(py), ffi::PyBUF_SIMPLE).map_err(Failure::Caller)?;
                let (start, length) = (buffer.0.buf as *const u8, buffer.0.len as usize);
                if length == 0 {
                    return Ok(Data::Owned(Vec::new()));
                }
                // SAFETY: the view holds on to the memory that it shows.
                Ok(unsafe { Data::shared(start, length, KeepAlive::new(view.clone_ref(py))) })
            }
        }
    }
}

/// A held buffer.
struct Buffer(ffi::Py_buffer);

impl Buffer {
    fn new(view: &Bound<'_, PyMemoryView>, flags: i32) -> PyResult<Self> {
        let mut buffer = ffi::Py_buffer::new();
        // SAFETY: the buffer is filled by the call, or an exception is set.
        if unsafe { ffi::PyObject_GetBuffer(view.as_ptr(), &raw mut buffer, flags) } != 0 {
            return Err(PyErr::fetch(view.py()));
        }
        Ok(Self(buffer))
    }

    /// # Safety
    /// The interpreter must be attached, and nobody may change the bytes meanwhile.
    unsafe fn bytes(&self) -> &[u8] {
        if self.0.len == 0 {
            return &[];
        }
        // SAFETY: the exporter keeps them there for as long as the buffer is held.
        unsafe { std::slice::from_raw_parts(self.0.buf as *const u8, self.0.len as usize) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Held only while the interpreter is attached.
        // SAFETY: it was got by `PyObject_GetBuffer` and is released once.
        unsafe { ffi::PyBuffer_Release(&raw mut self.0) };
    }
}

/// Memory to read into.
pub(crate) struct Target {
    view: Py<PyMemoryView>,
    start: *mut u8,
    length: usize,
}

// SAFETY: the view holds on to the memory that it shows, which is written to only by the holder of the turn.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// The memory of an object. `function`: its name in errors.
    pub(crate) fn new(object: &Bound<'_, PyAny>, function: &str) -> PyResult<Self> {
        let refused = || {
            let name = object.get_type().name().map_or_else(|_| String::new(), |name| name.to_string());
            PyTypeError::new_err(format!(
                "{function}() argument must be read-write bytes-like object, not {name}"
            ))
        };
        let view = PyMemoryView::from(object).map_err(|_| refused())?;
        let buffer = Buffer::new(&view, ffi::PyBUF_WRITABLE).map_err(|_| refused())?;
        let (start, length) = (buffer.0.buf.cast(), buffer.0.len as usize);
        drop(buffer);
        Ok(Self { view: view.unbind(), start, length })
    }
}

impl handle::Target<Objects> for Target {
    fn start(&self) -> *mut u8 {
        self.start
    }

    fn length(&self) -> usize {
        self.length
    }

    fn keep_alive(&self, caller: Caller<'_>) -> KeepAlive {
        KeepAlive::new(self.view.clone_ref(caller.py))
    }
}
