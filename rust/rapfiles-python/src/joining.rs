//! Joining many strings a part at a time: `str.join` takes the loop as long as copying all of the text, which for a tree
//! of 200,000 names is 10 ms.

use std::slice;
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::{PyMemoryError, PyRuntimeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use pyo3::{PyTraverseError, PyVisit};

use crate::limits::JOINED_AT_ONCE;

/// Strings that become one.
#[pyclass(frozen, module = "rapfiles._native")]
pub(crate) struct Joining(Mutex<Option<State>>);

struct State {
    parts: Py<PyList>,
    /// How many of them have been copied.
    done: usize,
    /// The result, which is not exposed before it is complete.
    text: Py<PyString>,
    length: ffi::Py_ssize_t,
}

impl State {
    fn new(py: Python<'_>, parts: Py<PyList>) -> PyResult<Self> {
        let (mut length, mut highest): (ffi::Py_ssize_t, _) = (0, 127);
        for part in parts.bind(py) {
            let part = part.cast::<PyString>()?.as_ptr();
            // SAFETY: it is a string.
            let (more, own) = unsafe { (ffi::PyUnicode_GET_LENGTH(part), highest_of(part)) };
            length = length.checked_add(more).ok_or_else(|| PyMemoryError::new_err(()))?;
            highest = highest.max(own);
        }
        // SAFETY: the call returns a new string with uninitialised content, or null with an exception set.
        let text = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_New(length, highest)) }?;
        Ok(Self { parts, done: 0, text: text.cast_into()?.unbind(), length: 0 })
    }

    /// Copies the next parts; `true` when all have been copied.
    fn go_on(&mut self, py: Python<'_>) -> PyResult<bool> {
        let parts = self.parts.bind(py);
        let until = self.length.saturating_add(JOINED_AT_ONCE);
        while self.length < until && self.done < parts.len() {
            let part = parts.get_item(self.done)?.cast_into::<PyString>()?;
            // SAFETY: both are strings, of which the first has no reference but this one; the call checks that there is
            // room for that many characters.
            let copied = unsafe {
                let length = ffi::PyUnicode_GET_LENGTH(part.as_ptr());
                ffi::PyUnicode_CopyCharacters(self.text.as_ptr(), self.length, part.as_ptr(), 0, length)
            };
            if copied < 0 {
                return Err(PyErr::fetch(py));
            }
            self.length += copied;
            self.done += 1;
        }
        Ok(self.done == parts.len())
    }
}

/// An upper bound of the characters of a string, as `PyUnicode_New` takes it.
///
/// # Safety
/// It has to be a string.
unsafe fn highest_of(text: *mut ffi::PyObject) -> ffi::Py_UCS4 {
    // SAFETY: guaranteed by the caller; a string of this kind has as many bytes as characters.
    unsafe {
        match ffi::PyUnicode_KIND(text) {
            // CPython knows whether it is ASCII, but since 3.14 no function of the C API says so.
            ffi::PyUnicode_1BYTE_KIND => {
                let start = ffi::PyUnicode_DATA(text).cast::<u8>();
                let length = ffi::PyUnicode_GET_LENGTH(text).unsigned_abs();
                if slice::from_raw_parts(start, length).is_ascii() { 0x7F } else { 0xFF }
            }
            ffi::PyUnicode_2BYTE_KIND => 0xFFFF,
            _ => 0x10_FFFF,
        }
    }
}

#[pymethods]
impl Joining {
    /// The strings, of which nobody else may have the list.
    #[new]
    #[pyo3(signature = (parts, /))]
    fn new(py: Python<'_>, parts: Py<PyList>) -> PyResult<Self> {
        State::new(py, parts).map(|state| Self(Mutex::new(Some(state))))
    }

    /// Copies some more of them; the text, when it is complete.
    fn text(&self, py: Python<'_>) -> PyResult<Option<Py<PyString>>> {
        // Taken out, so that nothing is locked while Python may run.
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut state) = state else {
            return Err(PyRuntimeError::new_err("the text has been returned"));
        };
        if state.go_on(py)? {
            return Ok(Some(state.text));
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        Ok(None)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock().as_deref() {
            Ok(Some(state)) => visit.call(&state.parts),
            _ => Ok(()),
        }
    }
}
