//! Directories.

use pyo3::prelude::*;
use rapfiles_core::PathOperation;

use crate::arguments::PathArgument;
use crate::errors::Names;
use crate::operation::{Operation, submit};

/// Makes a directory.
#[pyfunction]
#[pyo3(signature = (path, mode, parents, exist_ok, parent_mode, tolerant, /))]
pub(crate) fn mkdir(
    py: Python<'_>,
    path: PathArgument<'_>,
    mode: u32,
    parents: bool,
    exist_ok: bool,
    parent_mode: Option<u32>,
    tolerant: bool,
) -> PyResult<Operation> {
    let path_of = path.native("mkdir")?;
    let request =
        PathOperation::MakeDirectory { path: path_of, mode, parents, exist_ok, parent_mode, tolerant };
    submit(py, request, Names::one(path.name()))
}

/// Removes an empty directory.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub(crate) fn rmdir(py: Python<'_>, path: PathArgument<'_>) -> PyResult<Operation> {
    let request = PathOperation::RemoveDirectory { path: path.native("rmdir")? };
    submit(py, request, Names::one(path.name()))
}
