//! Renaming and exchanging entries of directories, and synchronising files and directories.

use pyo3::prelude::*;
use rapfiles_core::PathOperation;

use crate::arguments::PathArgument;
use crate::errors::Names;
use crate::operation::{Operation, submit};

/// Renames.
#[pyfunction]
#[pyo3(signature = (path, target, durable=false, /))]
pub(crate) fn rename(
    py: Python<'_>,
    path: PathArgument<'_>,
    target: PathArgument<'_>,
    durable: bool,
) -> PyResult<Operation> {
    renamed(py, (path, target), "rename", false, durable)
}

/// Renames over an existing file on every platform.
#[pyfunction]
#[pyo3(signature = (path, target, durable=false, /))]
pub(crate) fn replace(
    py: Python<'_>,
    path: PathArgument<'_>,
    target: PathArgument<'_>,
    durable: bool,
) -> PyResult<Operation> {
    renamed(py, (path, target), "replace", true, durable)
}

fn renamed(
    py: Python<'_>,
    (from, to): (PathArgument<'_>, PathArgument<'_>),
    function: &str,
    replace: bool,
    durable: bool,
) -> PyResult<Operation> {
    let (path, target) = (from.native_as(function, "src")?, to.native_as(function, "dst")?);
    let request = if durable {
        PathOperation::RenameDurably { path, target, replace }
    } else {
        PathOperation::Rename { path, target, replace }
    };
    submit(py, request, Names::two(from.name(), to.name()))
}

/// Exchanges two entries.
#[pyfunction]
#[pyo3(signature = (path, other, durable, /))]
pub(crate) fn exchange(
    py: Python<'_>,
    path: PathArgument<'_>,
    other: PathArgument<'_>,
    durable: bool,
) -> PyResult<Operation> {
    let request = PathOperation::Exchange {
        path: path.native("exchange")?,
        other: other.native_as("exchange", "other")?,
        durable,
    };
    submit(py, request, Names::two(path.name(), other.name()))
}

/// Waits until the device has a file, or the entries of a directory.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub(crate) fn synchronise(py: Python<'_>, path: PathArgument<'_>) -> PyResult<Operation> {
    let request = PathOperation::Synchronise { path: path.native("open")? };
    submit(py, request, Names::opened(path.name()))
}
