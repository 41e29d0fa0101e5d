//! What long work tells, as Python objects.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use rapfiles_core::{Report, Snapshot};

use crate::errors::{self, Names};
use crate::results;

/// A snapshot as the arguments of its class, or the exception of an entry that could not be dealt with.
pub(crate) fn object(py: Python<'_>, report: Report, names: &Names) -> PyResult<Py<PyAny>> {
    match report {
        Report::Failed(error) => errors::exception(py, error, names).into_value(py).into_py_any(py),
        Report::Progress(snapshot) => snapshot_arguments(py, &snapshot),
    }
}

pub(crate) fn snapshot_arguments(py: Python<'_>, snapshot: &Snapshot) -> PyResult<Py<PyAny>> {
    let Snapshot { done, total, errors, current, elapsed } = snapshot;
    let current = match current {
        Some(path) => Some(results::path(py, &path.to_os_string())?.unbind()),
        None => None,
    };
    let total = total.as_ref().map(|total| (total.files, total.directories, total.bytes));
    (done.files, done.directories, done.bytes, total, *errors, current, elapsed.as_secs_f64()).into_py_any(py)
}
