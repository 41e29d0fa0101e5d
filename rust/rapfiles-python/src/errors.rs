//! Errors: converting the engine's to Python's, in one place.

use std::collections::TryReserveError;

use pyo3::exceptions::{PyKeyError, PyLookupError, PyMemoryError, PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};
use rapfiles_core::{Error, NativePath, Subject};

use crate::functions::open::Reader;
use crate::functions::opening::Opening;
use crate::once::intern;
use crate::results;

/// The same number on Linux, macOS and Windows.
const EBUSY: i32 = 16;

/// The paths of an operation, as the caller spelled them.
pub(crate) struct Names {
    path: Option<Py<PyAny>>,
    second: Option<Py<PyString>>,
    /// The synchronous call goes through the C library, whose errors have no Windows code.
    c_library: bool,
    /// The class of buffered files for reading, if the opened file becomes one, and the object that has to close it.
    reader: Option<(Py<PyType>, Py<Opening>)>,
}

impl Names {
    pub(crate) fn none() -> Self {
        Self { path: None, second: None, c_library: false, reader: None }
    }

    pub(crate) fn one(path: Py<PyString>) -> Self {
        Self { path: Some(path.into_any()), ..Self::none() }
    }

    /// For what opens a file.
    pub(crate) fn opened(path: Py<PyString>) -> Self {
        Self { c_library: true, ..Self::one(path) }
    }

    /// The same, where the name may be bytes or a number.
    pub(crate) fn opened_as(name: Py<PyAny>) -> Self {
        Self { path: Some(name), c_library: true, ..Self::none() }
    }

    /// The same, for a file that becomes a buffered file of this class.
    pub(crate) fn opened_to_read(name: Py<PyAny>, class: Py<PyType>, opening: Py<Opening>) -> Self {
        Self { reader: Some((class, opening)), ..Self::opened_as(name) }
    }

    /// The class that an opened file becomes.
    pub(crate) fn take_reader(&mut self, py: Python<'_>) -> Option<Reader> {
        let (class, opening) = self.reader.take()?;
        Some(Reader::new(opening, class, self.path.as_ref()?.clone_ref(py)))
    }

    pub(crate) fn two(path: Py<PyString>, second: Py<PyString>) -> Self {
        Self { second: Some(second), ..Self::one(path) }
    }
}

/// `io.UnsupportedOperation`.
pub(crate) fn unsupported(py: Python<'_>, message: &'static str) -> PyErr {
    let kind = py.import(intern!(py, "io")).and_then(|io| io.getattr(intern!(py, "UnsupportedOperation")));
    match kind.and_then(|kind| kind.call1((message,))) {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

/// `MemoryError`.
pub(crate) fn no_memory(_: TryReserveError) -> PyErr {
    PyMemoryError::new_err(())
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
            let name = PyString::new(py, &name);
            let name = name.repr().map_or_else(|_| String::new(), |name| name.to_string());
            PyLookupError::new_err(format!("no such {kind}: {name}"))
        }
        Error::OutOfMemory => PyMemoryError::new_err(()),
        Error::NoThread => {
            let code = error.code().unwrap_or_default();
            os_error(py, code, &Subject::Nothing, names).unwrap_or_else(|failure| failure)
        }
        Error::LockTimeout { holder } => {
            of_lock(py, "timed_out", (&names.path, holder)).unwrap_or_else(|failure| failure)
        }
        Error::LockReentry => of_lock(py, "reentered", (&names.path,)).unwrap_or_else(|failure| failure),
        Error::Refused { code, message, subject, special } => {
            refusal(py, code, message, &subject, special, names).unwrap_or_else(|failure| failure)
        }
        Error::BeingMoved(subject) => {
            let message = "Cannot remove a directory that is being moved";
            let path = match &subject {
                Subject::Other(path) => text(py, path).ok(),
                _ => None,
            };
            PyOSError::new_err((EBUSY, message, path))
        }
        Error::NotDurable { code, subject } => {
            special_error(py, intern!(py, "DurabilityError"), code, &subject, names)
                .unwrap_or_else(|failure| failure)
        }
        Error::Unfinished { code, subject } => {
            special_error(py, intern!(py, "TransactionError"), code, &subject, names)
                .unwrap_or_else(|failure| failure)
        }
        Error::BackupLeft { code, subject, backup } => {
            backup_left(py, code, &subject, &backup, names).unwrap_or_else(|failure| failure)
        }
        Error::Forked => PyRuntimeError::new_err(
            "this was begun before the process was forked, and cannot be gone on with in the child",
        ),
        Error::Panic(message) => {
            PyRuntimeError::new_err(format!("a worker of rapfiles panicked, which is a bug: {message}"))
        }
    }
}

/// `OSError` picks its subclass by errno, but only when it is called with all of its arguments.
fn os_error(py: Python<'_>, code: i32, subject: &Subject, names: &Names) -> PyResult<PyErr> {
    let (first, second) = names_of(py, subject, names)?;
    if cfg!(windows) {
        windows_error(py, code, first, second, names.c_library)
    } else {
        posix_error(py, code, first, second)
    }
}

/// The `filename` and `filename2` of an error.
type Filenames = (Option<Py<PyAny>>, Option<Py<PyAny>>);

fn names_of(py: Python<'_>, subject: &Subject, names: &Names) -> PyResult<Filenames> {
    let second_name = || names.second.as_ref().map(|name| name.clone_ref(py).into_any());
    let first = match subject {
        Subject::Nothing => None,
        Subject::Path | Subject::Both => names.path.as_ref().map(|name| name.clone_ref(py)),
        Subject::Second => second_name(),
        Subject::Other(path) | Subject::Others(path, _) => Some(text(py, path)?.into_any()),
    };
    let second = match subject {
        Subject::Both => second_name(),
        Subject::Others(_, path) => Some(text(py, path)?.into_any()),
        _ => None,
    };
    Ok((first, second))
}

/// An error of a class of `rapfiles._durability`.
fn special_error(
    py: Python<'_>,
    class: &Bound<'_, PyString>,
    code: i32,
    subject: &Subject,
    names: &Names,
) -> PyResult<PyErr> {
    let (path, _) = names_of(py, subject, names)?;
    let class = py.import(intern!(py, "rapfiles._durability"))?.getattr(class)?;
    let error = os_error(py, code, &Subject::Nothing, names)?;
    let message = error.value(py).getattr(intern!(py, "strerror"))?;
    Ok(PyErr::from_value(class.call1((error.value(py).getattr(intern!(py, "errno"))?, message, path))?))
}

/// An error of a lock, from the function of the package that makes it.
fn of_lock<'py>(
    py: Python<'py>,
    function: &str,
    arguments: impl pyo3::call::PyCallArgs<'py>,
) -> PyResult<PyErr> {
    let made = py.import(intern!(py, "rapfiles._lock"))?.getattr(function)?.call1(arguments)?;
    Ok(PyErr::from_value(made))
}

/// The error after which a file could not be restored, with a note that says where its old content is.
fn backup_left(
    py: Python<'_>,
    code: i32,
    subject: &Subject,
    backup: &NativePath,
    names: &Names,
) -> PyResult<PyErr> {
    let error = os_error(py, code, subject, names)?;
    let backup = text(py, backup)?;
    let backup = backup.bind(py).repr()?;
    let note = format!("The file could not be restored: its old content is in {backup}, beside it.");
    error.value(py).call_method1(intern!(py, "add_note"), (note,))?;
    Ok(error)
}

/// An error of the library itself; a `shutil.SpecialFileError` where shutil raises one.
fn refusal(
    py: Python<'_>,
    code: i32,
    message: &'static str,
    subject: &Subject,
    special: bool,
    names: &Names,
) -> PyResult<PyErr> {
    let kind = if special {
        py.import(intern!(py, "shutil"))?.getattr(intern!(py, "SpecialFileError"))?
    } else {
        py.get_type::<PyOSError>().into_any()
    };
    let (first, second) = names_of(py, subject, names)?;
    Ok(PyErr::from_value(kind.call1((code, message, first, py.None(), second))?))
}

fn posix_error(
    py: Python<'_>,
    code: i32,
    first: Option<Py<PyAny>>,
    second: Option<Py<PyAny>>,
) -> PyResult<PyErr> {
    let kind = py.get_type::<PyOSError>();
    let message = py.import(intern!(py, "os"))?.call_method1(intern!(py, "strerror"), (code,))?;
    // No more arguments than the interpreter itself would pass: without a filename `OSError` keeps all of them in `args`
    // (`oserror_init` in CPython's Objects/exceptions.c), and `repr()` shows them.
    let exception = match (first, second) {
        (None, _) => kind.call1((code, message)),
        (Some(first), None) => kind.call1((code, message, first)),
        (Some(first), Some(second)) => kind.call1((code, message, first, py.None(), second)),
    }?;
    Ok(PyErr::from_value(exception))
}

fn windows_error(
    py: Python<'_>,
    code: i32,
    first: Option<Py<PyAny>>,
    second: Option<Py<PyAny>>,
    c_library: bool,
) -> PyResult<PyErr> {
    let kind = py.get_type::<PyOSError>();
    if c_library {
        // OSError translates the Windows code to an errno (`winerror_to_errno`, PC/errmap.h).
        let errno = kind.call1((0, "", py.None(), code))?.getattr(intern!(py, "errno"))?.extract()?;
        return posix_error(py, errno, first, second);
    }
    let message = py.import(intern!(py, "ctypes"))?.call_method1(intern!(py, "FormatError"), (code,))?;
    let message: String = message.extract()?;
    // The interpreter removes trailing full stops and line ends (`PyErr_SetExcFromWindowsErrWithFilenameObjects` in
    // Python/errors.c).
    let message = match message.trim_end_matches(|last: char| last <= ' ' || last == '.') {
        "<no description>" => format!("Windows Error 0x{code:x}"),
        message => message.to_owned(),
    };
    Ok(PyErr::from_value(kind.call1((0, message, first, code, second))?))
}

fn text(py: Python<'_>, path: &NativePath) -> PyResult<Py<PyString>> {
    Ok(results::path(py, &path.to_os_string())?.unbind())
}
