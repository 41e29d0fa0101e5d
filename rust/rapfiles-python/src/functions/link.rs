//! Symbolic and hard links.

use pyo3::prelude::*;
use rapfiles_core::PathOperation;
use rapfiles_core::TargetKind;

use crate::arguments::PathArgument;
use crate::errors::Names;
use crate::operation::{Operation, submit};

/// Creates a symbolic link at `path`.
#[pyfunction]
#[pyo3(signature = (target, path, target_is_directory, /))]
pub(crate) fn symlink(
    py: Python<'_>,
    target: PathArgument<'_>,
    path: PathArgument<'_>,
    target_is_directory: bool,
) -> PyResult<Operation> {
    let kind = if target_is_directory { TargetKind::Directory } else { TargetKind::File };
    let request = PathOperation::Symlink {
        target: target.native_as("symlink", "src")?,
        path: path.native_as("symlink", "dst")?,
        kind,
    };
    submit(py, request, Names::two(target.name(), path.name()))
}

/// Creates a hard link at `path`.
#[pyfunction]
#[pyo3(signature = (target, path, follow_symlinks, /))]
pub(crate) fn link(
    py: Python<'_>,
    target: PathArgument<'_>,
    path: PathArgument<'_>,
    follow_symlinks: bool,
) -> PyResult<Operation> {
    let request = PathOperation::Link {
        target: target.native_as("link", "src")?,
        path: path.native_as("link", "dst")?,
        follow: follow_symlinks,
    };
    submit(py, request, Names::two(target.name(), path.name()))
}

/// Where a symbolic link leads.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub(crate) fn readlink(py: Python<'_>, path: PathArgument<'_>) -> PyResult<Operation> {
    let request = PathOperation::ReadLink { path: path.native("readlink")? };
    submit(py, request, Names::one(path.name()))
}
