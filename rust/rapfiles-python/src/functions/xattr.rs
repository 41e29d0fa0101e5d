//! Extended attributes.

use pyo3::prelude::*;
use rapfiles_core::PathOperation;

use crate::arguments::{self, PathArgument};
use crate::errors::Names;
use crate::operation::{Operation, submit};

/// The value of an attribute.
#[pyfunction]
#[pyo3(signature = (path, attribute, follow_symlinks, /))]
pub(crate) fn getxattr(
    py: Python<'_>,
    path: PathArgument<'_>,
    attribute: &Bound<'_, PyAny>,
    follow_symlinks: bool,
) -> PyResult<Operation> {
    let request = PathOperation::GetAttribute {
        path: path.native("getxattr")?,
        name: arguments::attribute_name(attribute, "getxattr")?,
        follow: follow_symlinks,
    };
    submit(py, request, Names::one(path.name()))
}

/// Sets an attribute.
#[pyfunction]
#[pyo3(signature = (path, attribute, value, flags, follow_symlinks, /))]
pub(crate) fn setxattr(
    py: Python<'_>,
    path: PathArgument<'_>,
    attribute: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    flags: i32,
    follow_symlinks: bool,
) -> PyResult<Operation> {
    let request = PathOperation::SetAttribute {
        path: path.native("setxattr")?,
        name: arguments::attribute_name(attribute, "setxattr")?,
        value: arguments::data(value)?,
        flags,
        follow: follow_symlinks,
    };
    submit(py, request, Names::one(path.name()))
}

/// The names of the attributes.
#[pyfunction]
#[pyo3(signature = (path, follow_symlinks, /))]
pub(crate) fn listxattr(
    py: Python<'_>,
    path: PathArgument<'_>,
    follow_symlinks: bool,
) -> PyResult<Operation> {
    let request = PathOperation::ListAttributes { path: path.native("listxattr")?, follow: follow_symlinks };
    submit(py, request, Names::one(path.name()))
}

/// Removes an attribute.
#[pyfunction]
#[pyo3(signature = (path, attribute, follow_symlinks, /))]
pub(crate) fn removexattr(
    py: Python<'_>,
    path: PathArgument<'_>,
    attribute: &Bound<'_, PyAny>,
    follow_symlinks: bool,
) -> PyResult<Operation> {
    let request = PathOperation::RemoveAttribute {
        path: path.native("removexattr")?,
        name: arguments::attribute_name(attribute, "removexattr")?,
        follow: follow_symlinks,
    };
    submit(py, request, Names::one(path.name()))
}
