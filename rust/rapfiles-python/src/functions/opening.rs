//! `Opening`: the native half of the context manager that `open()` returns, which opens a file when it is awaited or
//! entered.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyType};
use pyo3::{PyTraverseError, PyVisit};
use rapfiles_core::PathOperation;

use crate::arguments::native_name;
use crate::errors::Names;
use crate::once::{Once, intern};
use crate::operation::{Operation, answered, complain, submit};
use crate::pure_path;

/// The native half of the context manager that `open()` returns.
#[pyclass(frozen, subclass, module = "rapfiles._native")]
pub(crate) struct Opening(Mutex<State>);

enum State {
    /// The file is to be opened for reading, as an object of this class, with the platform's own flags.
    ToRead(Py<PyAny>, Py<PyType>, i32),
    /// A coroutine opens it, and leaves it in this list.
    ByCoroutine(Py<PyAny>, Py<PyList>),
    /// It is being opened, or opening it has failed.
    Begun,
    Opened(Py<PyAny>),
}

impl Opening {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the file that was opened.
    pub(crate) fn keep(&self, file: Py<PyAny>) {
        let before = mem::replace(&mut *self.lock(), State::Opened(file));
        drop(before);
    }

    /// Begins to open the file, unless a coroutine does.
    fn begin(slf: &Bound<'_, Self>) -> PyResult<Result<Operation, Py<PyAny>>> {
        let py = slf.py();
        let mut state = slf.get().lock();
        let before = match &*state {
            State::ByCoroutine(coroutine, _) => return Ok(Err(coroutine.clone_ref(py))),
            State::ToRead(..) => mem::replace(&mut *state, State::Begun),
            State::Begun | State::Opened(_) => {
                return Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"));
            }
        };
        // What follows may run Python code.
        drop(state);
        let State::ToRead(file, class, flags) = before else { unreachable!("it was looked at") };
        let (path, name) = native_name(&text_or_bytes(file.bind(py))?)?;
        let request = PathOperation::Open { path, flags, permissions: 0 };
        submit(py, request, Names::opened_to_read(name, class, slf.clone().unbind())).map(Ok)
    }
}

/// The result of `os.fspath` for a path.
fn text_or_bytes<'py>(path: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if path.is_exact_instance_of::<PyString>() || path.is_exact_instance_of::<PyBytes>() {
        return Ok(path.clone());
    }
    if let Some(text) = pure_path::text(path) {
        return Ok(text.into_any());
    }
    // SAFETY: the object is alive, and the result is a new reference or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(path.py(), ffi::PyOS_FSPath(path.as_ptr())) }
}

#[pymethods]
impl Opening {
    /// Either the path of a file to open for reading, its class, and the platform's own flags, or a coroutine that
    /// opens a file, and the list in which it leaves the file.
    #[new]
    #[pyo3(signature = (what, into, flags=0, /))]
    fn new(what: Py<PyAny>, into: &Bound<'_, PyAny>, flags: i32) -> PyResult<Self> {
        let state = match into.cast::<PyType>() {
            Ok(class) => State::ToRead(what, class.clone().unbind(), flags),
            Err(_) => State::ByCoroutine(what, into.cast::<PyList>()?.clone().unbind()),
        };
        Ok(Self(Mutex::new(state)))
    }

    #[classmethod]
    fn __class_getitem__<'py>(
        class: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        static GENERIC_ALIAS: Once<Py<PyAny>> = Once::new();
        let py = class.py();
        let alias = GENERIC_ALIAS
            .get_or_try_init(py, || py.import("types")?.getattr("GenericAlias").map(Bound::unbind))?;
        alias.bind(py).call1((class, item))
    }

    fn __await__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match Self::begin(slf)? {
            Ok(operation) => Ok(operation.into_pyobject(py)?.into_any()),
            Err(coroutine) => coroutine.bind(py).call_method0(intern!(py, "__await__")),
        }
    }

    // Both return the awaitable itself: a coroutine around it would take as long as the system call.

    /// Open the file.
    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match Self::begin(slf)? {
            Ok(operation) => Ok(operation.into_pyobject(py)?.into_any()),
            Err(coroutine) => Ok(coroutine.into_bound(py)),
        }
    }

    /// Close the file.
    fn __aexit__<'py>(
        slf: &Bound<'py, Self>,
        kind: &Bound<'py, PyAny>,
        error: &Bound<'py, PyAny>,
        traceback: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = (kind, error, traceback);
        let py = slf.py();
        let opened = match &*slf.get().lock() {
            State::Opened(file) => Some(file.bind(py).clone()),
            State::ByCoroutine(_, opened) => opened.bind(py).get_item(0).ok(),
            State::ToRead(..) | State::Begun => None,
        };
        match opened {
            Some(file) => file.call_method0(intern!(py, "close")),
            None => Ok(answered(py, Ok(py.None()))?.into_pyobject(py)?.into_any()),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // While it is locked, the thread that has locked it holds its content.
        let Ok(state) = self.0.try_lock() else { return Ok(()) };
        match &*state {
            State::ToRead(file, class, _) => {
                visit.call(file)?;
                visit.call(class)
            }
            State::ByCoroutine(coroutine, opened) => {
                visit.call(coroutine)?;
                visit.call(opened)
            }
            State::Begun => Ok(()),
            State::Opened(file) => visit.call(file),
        }
    }

    fn __clear__(&self) {
        let before = mem::replace(&mut *self.lock(), State::Begun);
        drop(before);
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let state = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        // A coroutine gives its own warning.
        if matches!(state, State::ToRead(..)) {
            Python::attach(|py| complain(py, "open"));
        }
    }
}
