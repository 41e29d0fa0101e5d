//! Entries of directories: touching and unlinking them.

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use rapfiles_core::PathOperation;
use rapfiles_core::Timestamp;

use crate::arguments::PathArgument;
use crate::errors::Names;
use crate::operation::{Operation, submit};

/// Creates a file, or sets the times of one that exists to now.
#[pyfunction]
#[pyo3(signature = (path, mode, exist_ok, /))]
pub(crate) fn touch(
    py: Python<'_>,
    path: PathArgument<'_>,
    mode: u32,
    exist_ok: bool,
) -> PyResult<Operation> {
    // Which call would complain of a NUL depends on what is tried first.
    let function = if exist_ok { "utime" } else { "open" };
    let request = PathOperation::Touch { path: path.native(function)?, mode, exist_ok };
    submit(py, request, Names::opened(path.name()))
}

/// Sets the access and modification time, in nanoseconds.
#[pyfunction]
#[pyo3(signature = (path, times, follow_symlinks, /))]
pub(crate) fn utime(
    py: Python<'_>,
    path: PathArgument<'_>,
    times: Option<(i128, i128)>,
    follow_symlinks: bool,
) -> PyResult<Operation> {
    let point = |nanoseconds| {
        Timestamp::from_nanoseconds(nanoseconds)
            .ok_or_else(|| PyOverflowError::new_err("timestamp out of range for platform time_t"))
    };
    let times =
        times.map(|(accessed, modified)| Ok::<_, PyErr>((point(accessed)?, point(modified)?))).transpose()?;
    let request = PathOperation::SetTimes { path: path.native("utime")?, times, follow: follow_symlinks };
    submit(py, request, Names::one(path.name()))
}

/// Removes a file or a link.
#[pyfunction]
#[pyo3(signature = (path, missing_ok, /))]
pub(crate) fn unlink(py: Python<'_>, path: PathArgument<'_>, missing_ok: bool) -> PyResult<Operation> {
    let request = PathOperation::Unlink { path: path.native("unlink")?, missing_ok };
    submit(py, request, Names::one(path.name()))
}
