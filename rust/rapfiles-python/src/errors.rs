//! Errors: the one place where the engine's become Python's.

use pyo3::exceptions::{PyKeyError, PyLookupError, PyNotImplementedError, PyOSError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use rapfiles_core::{Error, NativePath, Subject};

use crate::results;

/// The paths of an operation, as the caller spelt them.
pub(crate) struct Names {
    path: Option<Py<PyString>>,
    second: Option<Py<PyString>>,
}

impl Names {
    pub(crate) fn none() -> Self {
        Self { path: None, second: None }
    }

    pub(crate) fn one(path: Py<PyString>) -> Self {
        Self { path: Some(path), second: None }
    }

    pub(crate) fn two(path: Py<PyString>, second: Py<PyString>) -> Self {
        Self { path: Some(path), second: Some(second) }
    }
}

/// The exception that the synchronous call would have raised.
pub(crate) fn exception(py: Python<'_>, error: Error, names: &Names) -> PyErr {
    match error {
        Error::Os { code, subject } => os_error(py, code, &subject, names).unwrap_or_else(|failure| failure),
        Error::UnknownId { group: false, id } => {
            PyKeyError::new_err(format!("getpwuid(): uid not found: {id}"))
        }
        Error::UnknownId { group: true, id } => {
            PyKeyError::new_err(format!("getgrgid(): gid not found: {id}"))
        }
        Error::UnknownName { group, name } => {
            let kind = if group { "group" } else { "user" };
            PyLookupError::new_err(format!("no such {kind}: {name:?}"))
        }
        Error::Unsupported(what) => PyNotImplementedError::new_err(what),
        Error::Panic(message) => {
            PyRuntimeError::new_err(format!("a worker of rapfiles panicked, which is a defect: {message}"))
        }
    }
}

/// `OSError` picks its subclass by errno, but only when it is called with all of its arguments.
fn os_error(py: Python<'_>, code: i32, subject: &Subject, names: &Names) -> PyResult<PyErr> {
    let first = match subject {
        Subject::Nothing => None,
        Subject::Path | Subject::Both => names.path.as_ref().map(|name| name.clone_ref(py)),
        Subject::Second => names.second.as_ref().map(|name| name.clone_ref(py)),
        Subject::Other(path) => Some(text(py, path)?),
    };
    let second = match subject {
        Subject::Both => names.second.as_ref().map(|name| name.clone_ref(py)),
        _ => None,
    };
    let kind = py.get_type::<PyOSError>();
    let exception = if cfg!(windows) {
        kind.call1((0, windows_message(py, code)?, first, code, second))
    } else {
        let message = py.import(intern!(py, "os"))?.call_method1(intern!(py, "strerror"), (code,))?;
        // No more arguments than the interpreter itself would give: they are kept, and show in `repr()`.
        match (first, second) {
            (None, _) => kind.call1((code, message)),
            (Some(first), None) => kind.call1((code, message, first)),
            (Some(first), Some(second)) => kind.call1((code, message, first, py.None(), second)),
        }
    }?;
    Ok(PyErr::from_value(exception))
}

#[cfg(windows)]
fn windows_message(py: Python<'_>, code: i32) -> PyResult<Bound<'_, PyAny>> {
    py.import(intern!(py, "ctypes"))?.call_method1(intern!(py, "FormatError"), (code,))
}

#[cfg(not(windows))]
fn windows_message(py: Python<'_>, _code: i32) -> PyResult<Bound<'_, PyAny>> {
    Ok(py.None().into_bound(py))
}

fn text(py: Python<'_>, path: &NativePath) -> PyResult<Py<PyString>> {
    Ok(results::path(py, &path.to_os_string())?.unbind())
}
