//! Files that are written through a handle and take the place of another one when they are complete.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use rapfiles_core::{PathOperation, StagedFile};

use super::write::Options;
use crate::arguments::PathArgument;
use crate::errors::Names;
use crate::operation::{Operation, submit};
use crate::results::Staged;

/// Opens a file that is to take the place of another one: the file for a handle, and what is committed or discarded.
#[pyfunction]
#[pyo3(signature = (path, options, /))]
pub(crate) fn open_atomically(
    py: Python<'_>,
    path: PathArgument<'_>,
    options: Options,
) -> PyResult<Operation> {
    let request = PathOperation::OpenAtomically { path: path.native("io.open")?, options: options.into() };
    submit(py, request, Names::opened(path.name()))
}

/// Gives a file that is complete, and closed, its name. `path`: for errors.
#[pyfunction]
#[pyo3(signature = (path, staged, /))]
pub(crate) fn commit(
    py: Python<'_>,
    path: PathArgument<'_>,
    staged: &Bound<'_, Staged>,
) -> PyResult<Operation> {
    submit(py, PathOperation::Commit { file: take(staged)? }, Names::opened(path.name()))
}

/// Discards a file: its target stays as it is.
#[pyfunction]
#[pyo3(signature = (staged, /))]
pub(crate) fn discard(py: Python<'_>, staged: &Bound<'_, Staged>) -> PyResult<Operation> {
    submit(py, PathOperation::Discard { file: take(staged)? }, Names::none())
}

fn take(staged: &Bound<'_, Staged>) -> PyResult<StagedFile> {
    staged.get().take().ok_or_else(|| PyRuntimeError::new_err("this file was committed or discarded"))
}
