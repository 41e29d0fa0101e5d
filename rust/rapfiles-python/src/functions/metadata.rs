//! Metadata: `stat(2)` and related calls.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBool;
use rapfiles_core::PathOperation;
use rapfiles_core::{FileType, MountRules};

use crate::arguments::PathArgument;
use crate::errors::Names;
use crate::operation::{Operation, submit};

use crate::operation::answered;

/// The result of `stat(2)` or `lstat(2)`.
#[pyfunction]
#[pyo3(signature = (path, follow_symlinks, /))]
pub(crate) fn stat(py: Python<'_>, path: PathArgument<'_>, follow_symlinks: bool) -> PyResult<Operation> {
    let request = PathOperation::Stat { path: path.native("stat")?, follow: follow_symlinks };
    submit(py, request, Names::one(path.name()))
}

/// The result of `pathlib`'s `lstat`.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub(crate) fn lstat(py: Python<'_>, path: PathArgument<'_>) -> PyResult<Operation> {
    let request = PathOperation::Stat { path: path.native("Path.lstat")?, follow: false };
    submit(py, request, Names::one(path.name()))
}

/// Whether there is an entry of a type.
#[pyfunction]
#[pyo3(signature = (path, file_type, follow_symlinks, tolerant, /))]
pub(crate) fn is_type(
    py: Python<'_>,
    path: PathArgument<'_>,
    file_type: u32,
    follow_symlinks: bool,
    tolerant: bool,
) -> PyResult<Operation> {
    let native = match path.native("stat") {
        Ok(native) => native,
        Err(error) => return no(py, error),
    };
    let request = PathOperation::IsType {
        path: native,
        file_type: FileType(file_type),
        follow: follow_symlinks,
        tolerant,
    };
    submit(py, request, Names::one(path.name()))
}

/// Whether a file system is mounted there.
#[pyfunction]
#[pyo3(signature = (path, modern, /))]
pub(crate) fn is_mount(py: Python<'_>, path: PathArgument<'_>, modern: bool) -> PyResult<Operation> {
    let native = match path.native("lstat") {
        Ok(native) => native,
        Err(error) => return no(py, error),
    };
    let rules = if modern { MountRules::OsPath } else { MountRules::Pathlib };
    submit(py, PathOperation::IsMount { path: native, rules }, Names::one(path.name()))
}

/// Whether the path is a Windows junction.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub(crate) fn is_junction(py: Python<'_>, path: PathArgument<'_>) -> PyResult<Operation> {
    let native = match path.native("lstat") {
        Ok(native) => native,
        Err(error) => return no(py, error),
    };
    submit(py, PathOperation::IsJunction { path: native }, Names::one(path.name()))
}

/// Whether two paths lead to the same file.
#[pyfunction]
#[pyo3(signature = (path, other, /))]
pub(crate) fn samefile(
    py: Python<'_>,
    path: PathArgument<'_>,
    other: PathArgument<'_>,
) -> PyResult<Operation> {
    let request = PathOperation::SameFile { path: path.native("stat")?, other: other.native("stat")? };
    submit(py, request, Names::two(path.name(), other.name()))
}

/// The result of `statvfs(3)`.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub(crate) fn statvfs(py: Python<'_>, path: PathArgument<'_>) -> PyResult<Operation> {
    let request = PathOperation::StatVfs { path: path.native("statvfs")? };
    submit(py, request, Names::one(path.name()))
}

/// The answer of a predicate for a path that cannot exist: false.
fn no(py: Python<'_>, error: PyErr) -> PyResult<Operation> {
    if !error.is_instance_of::<PyValueError>(py) {
        return Err(error);
    }
    answered(py, Ok(PyBool::new(py, false).to_owned().into_any().unbind()))
}
