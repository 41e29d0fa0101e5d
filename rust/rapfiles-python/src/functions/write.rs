//! Writing whole files, and truncating them.

use pyo3::prelude::*;
use pyo3::types::PyString;
use rapfiles_core::{AtomicOptions, PathOperation};

use crate::arguments::{self, PathArgument};
use crate::errors::Names;
use crate::operation::{Operation, submit};

/// Replaces or extends a file's content.
#[pyfunction]
#[pyo3(signature = (path, data, append, bom, /))]
pub(crate) fn write_bytes(
    py: Python<'_>,
    path: PathArgument<'_>,
    data: &Bound<'_, PyAny>,
    append: bool,
    bom: usize,
) -> PyResult<Operation> {
    let data = arguments::data(data)?;
    let request = PathOperation::Write { path: path.native("io.open")?, data, append, bom };
    submit(py, request, Names::opened(path.name()))
}

/// Replaces or extends a file's content with encoded text; `None` if the codec does not encode it.
#[pyfunction]
#[pyo3(signature = (path, data, codec, newline, append, /))]
pub(crate) fn write_text(
    py: Python<'_>,
    path: PathArgument<'_>,
    data: &Bound<'_, PyString>,
    codec: &str,
    newline: Option<&str>,
    append: bool,
) -> PyResult<Operation> {
    let text = arguments::text_source(data)?;
    let codec = arguments::codec(codec)?;
    let newline = arguments::newline_written(newline);
    let request = PathOperation::WriteText { path: path.native("io.open")?, text, codec, newline, append };
    submit(py, request, Names::opened(path.name()))
}

/// Extends a file's content, and synchronises it.
#[pyfunction]
#[pyo3(signature = (path, data, bom, /))]
pub(crate) fn append_bytes_durably(
    py: Python<'_>,
    path: PathArgument<'_>,
    data: &Bound<'_, PyAny>,
    bom: usize,
) -> PyResult<Operation> {
    let data = arguments::data(data)?;
    let request = PathOperation::AppendDurably { path: path.native("io.open")?, data, bom };
    submit(py, request, Names::opened(path.name()))
}

/// Extends a file's content with encoded text, and synchronises it; `None` if the codec does not encode it.
#[pyfunction]
#[pyo3(signature = (path, data, codec, newline, /))]
pub(crate) fn append_text_durably(
    py: Python<'_>,
    path: PathArgument<'_>,
    data: &Bound<'_, PyString>,
    codec: &str,
    newline: Option<&str>,
) -> PyResult<Operation> {
    let request = PathOperation::AppendTextDurably {
        path: path.native("io.open")?,
        text: arguments::text_source(data)?,
        codec: arguments::codec(codec)?,
        newline: arguments::newline_written(newline),
    };
    submit(py, request, Names::opened(path.name()))
}

/// The options of an atomic write, as `rapfiles._atomic.AtomicOptions` has them.
#[derive(FromPyObject)]
pub(crate) struct Options(bool, bool, bool, bool);

impl From<Options> for AtomicOptions {
    fn from(Options(durable, overwrite, follow_symlinks, in_place): Options) -> Self {
        Self { durable, overwrite, follow_symlinks, in_place }
    }
}

/// Replaces a file's content atomically.
#[pyfunction]
#[pyo3(signature = (path, data, options, /))]
pub(crate) fn write_bytes_atomically(
    py: Python<'_>,
    path: PathArgument<'_>,
    data: &Bound<'_, PyAny>,
    options: Options,
) -> PyResult<Operation> {
    let data = arguments::data(data)?;
    let options = options.into();
    let operation = PathOperation::WriteAtomically { path: path.native("io.open")?, data, options };
    submit(py, operation, Names::opened(path.name()))
}

/// Replaces a file's content with encoded text atomically; `None` if the codec does not encode it.
#[pyfunction]
#[pyo3(signature = (path, data, codec, newline, options, /))]
pub(crate) fn write_text_atomically(
    py: Python<'_>,
    path: PathArgument<'_>,
    data: &Bound<'_, PyString>,
    codec: &str,
    newline: Option<&str>,
    options: Options,
) -> PyResult<Operation> {
    let operation = PathOperation::WriteTextAtomically {
        path: path.native("io.open")?,
        text: arguments::text_source(data)?,
        codec: arguments::codec(codec)?,
        newline: arguments::newline_written(newline),
        options: options.into(),
    };
    submit(py, operation, Names::opened(path.name()))
}

/// Truncates a file to a length.
#[pyfunction]
#[pyo3(signature = (path, length, /))]
pub(crate) fn truncate(py: Python<'_>, path: PathArgument<'_>, length: i64) -> PyResult<Operation> {
    let request = PathOperation::Truncate { path: path.native("truncate")?, length };
    submit(py, request, Names::opened(path.name()))
}
