//! Reading whole files.

use pyo3::prelude::*;
use rapfiles_core::PathOperation;

use crate::arguments::{self, PathArgument};
use crate::errors::Names;
use crate::operation::{Operation, submit};

/// The content of a file.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub(crate) fn read_bytes(py: Python<'_>, path: PathArgument<'_>) -> PyResult<Operation> {
    let request = PathOperation::Read { path: path.native("io.open")? };
    submit(py, request, Names::opened(path.name()))
}

/// The content of a file, decoded; as bytes if the codec cannot decode it.
#[pyfunction]
#[pyo3(signature = (path, codec, newline, /))]
pub(crate) fn read_text(
    py: Python<'_>,
    path: PathArgument<'_>,
    codec: &str,
    newline: Option<&str>,
) -> PyResult<Operation> {
    let codec = arguments::codec(codec)?;
    let newline = arguments::newline_read(newline);
    let request = PathOperation::ReadText { path: path.native("io.open")?, codec, newline };
    submit(py, request, Names::opened(path.name()))
}
