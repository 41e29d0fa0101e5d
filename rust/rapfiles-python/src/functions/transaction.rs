//! Transactions: beginning one, staging changes, its end, and recovery.

use std::ffi::OsString;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use rapfiles_core::{PathOperation, Recovery, Staging, TransactionOptions};

use crate::arguments::{self, PathArgument};
use crate::errors::Names;
use crate::operation::{Operation, submit};
use crate::results;

/// A transaction that has begun.
#[pyclass(frozen, module = "rapfiles._native")]
pub(crate) struct Transaction(Arc<rapfiles_core::Transaction>);

impl Transaction {
    pub(crate) fn new(transaction: Arc<rapfiles_core::Transaction>) -> Self {
        Self(transaction)
    }

    fn stage(&self, py: Python<'_>, staging: Staging, names: Names) -> PyResult<Operation> {
        submit(py, PathOperation::Stage { transaction: Arc::clone(&self.0), staging }, names)
    }
}

/// Each name is relative to the directory; the path after it is for errors.
#[pymethods]
impl Transaction {
    /// Whether the commit point has been passed.
    #[getter]
    fn committed(&self) -> bool {
        self.0.is_committed()
    }

    #[pyo3(signature = (name, path, data, /))]
    fn write_bytes(
        &self,
        py: Python<'_>,
        name: PathArgument<'_>,
        path: PathArgument<'_>,
        data: &Bound<'_, PyAny>,
    ) -> PyResult<Operation> {
        let data = arguments::data(data)?;
        let staging = Staging::Write { name: name.native("io.open")?, data };
        self.stage(py, staging, Names::opened(path.name()))
    }

    #[pyo3(signature = (name, path, data, bom, /))]
    fn append_bytes(
        &self,
        py: Python<'_>,
        name: PathArgument<'_>,
        path: PathArgument<'_>,
        data: &Bound<'_, PyAny>,
        bom: usize,
    ) -> PyResult<Operation> {
        let data = arguments::data(data)?;
        let staging = Staging::Append { name: name.native("io.open")?, data, bom };
        self.stage(py, staging, Names::opened(path.name()))
    }

    /// `None` if the codec does not encode the text; nothing is staged then.
    #[pyo3(signature = (name, path, data, codec, newline, append, /))]
    #[allow(clippy::too_many_arguments, reason = "those of the functions for files, and the name")]
    fn write_text(
        &self,
        py: Python<'_>,
        name: PathArgument<'_>,
        path: PathArgument<'_>,
        data: &Bound<'_, PyString>,
        codec: &str,
        newline: Option<&str>,
        append: bool,
    ) -> PyResult<Operation> {
        let text = arguments::text_source(data)?;
        let codec = arguments::codec(codec)?;
        let newline = arguments::newline_written(newline);
        let name = name.native("io.open")?;
        let staging = if append {
            Staging::AppendText { name, text, codec, newline }
        } else {
            Staging::WriteText { name, text, codec, newline }
        };
        self.stage(py, staging, Names::opened(path.name()))
    }

    /// The length that a file will have.
    #[pyo3(signature = (name, path, /))]
    fn length(&self, py: Python<'_>, name: PathArgument<'_>, path: PathArgument<'_>) -> PyResult<Operation> {
        let staging = Staging::Length { name: name.native("io.open")? };
        self.stage(py, staging, Names::opened(path.name()))
    }

    #[pyo3(signature = (name, path, target, target_path, /))]
    fn rename(
        &self,
        py: Python<'_>,
        name: PathArgument<'_>,
        path: PathArgument<'_>,
        target: PathArgument<'_>,
        target_path: PathArgument<'_>,
    ) -> PyResult<Operation> {
        let staging = Staging::Rename {
            name: name.native_as("replace", "src")?,
            target: target.native_as("replace", "dst")?,
        };
        self.stage(py, staging, Names::two(path.name(), target_path.name()))
    }

    #[pyo3(signature = (name, path, target, target_path, /))]
    fn copy(
        &self,
        py: Python<'_>,
        name: PathArgument<'_>,
        path: PathArgument<'_>,
        target: PathArgument<'_>,
        target_path: PathArgument<'_>,
    ) -> PyResult<Operation> {
        let staging = Staging::Copy { name: name.native("open")?, target: target.native("open")? };
        self.stage(py, staging, Names::two(path.name(), target_path.name()))
    }

    #[pyo3(signature = (name, path, missing_ok, /))]
    fn remove(
        &self,
        py: Python<'_>,
        name: PathArgument<'_>,
        path: PathArgument<'_>,
        missing_ok: bool,
    ) -> PyResult<Operation> {
        let staging = Staging::Remove { name: name.native("unlink")?, missing_ok };
        self.stage(py, staging, Names::one(path.name()))
    }

    #[pyo3(signature = (name, path, /))]
    fn mkdir(&self, py: Python<'_>, name: PathArgument<'_>, path: PathArgument<'_>) -> PyResult<Operation> {
        let staging = Staging::MakeDirectory { name: name.native("mkdir")? };
        self.stage(py, staging, Names::one(path.name()))
    }

    /// Makes all changes.
    #[pyo3(signature = (directory, /))]
    fn commit(&self, py: Python<'_>, directory: PathArgument<'_>) -> PyResult<Operation> {
        let operation = PathOperation::CommitTransaction { transaction: Arc::clone(&self.0) };
        submit(py, operation, Names::one(directory.name()))
    }

    /// Drops all changes.
    #[pyo3(signature = (directory, /))]
    fn undo(&self, py: Python<'_>, directory: PathArgument<'_>) -> PyResult<Operation> {
        let operation = PathOperation::UndoTransaction { transaction: Arc::clone(&self.0) };
        submit(py, operation, Names::one(directory.name()))
    }

    /// Drops all changes in the background, if they have not been made.
    fn abandon(&self) {
        self.0.abandon();
    }
}

/// Begins a transaction.
#[pyfunction]
#[pyo3(signature = (directory, durable, swap, /))]
pub(crate) fn begin_transaction(
    py: Python<'_>,
    directory: PathArgument<'_>,
    durable: bool,
    swap: bool,
) -> PyResult<Operation> {
    let options = TransactionOptions { durable, swap };
    let operation = PathOperation::BeginTransaction { path: directory.native("open")?, options };
    submit(py, operation, Names::one(directory.name()))
}

/// Finishes or undoes the transactions that a crash has interrupted.
#[pyfunction]
#[pyo3(signature = (directory, /))]
pub(crate) fn recover(py: Python<'_>, directory: PathArgument<'_>) -> PyResult<Operation> {
    let operation = PathOperation::Recover { path: directory.native("open")? };
    submit(py, operation, Names::one(directory.name()))
}

/// The ids of the transactions that were finished, undone and skipped, and the names that were removed.
pub(crate) fn recovered(py: Python<'_>, recovery: &Recovery) -> PyResult<Py<PyAny>> {
    let list = |names: &[OsString]| {
        let names = names.iter().map(|name| results::path(py, name)).collect::<PyResult<Vec<_>>>()?;
        PyList::new(py, names)
    };
    let Recovery { finished, undone, skipped, removed } = recovery;
    let lists = (list(finished)?, list(undone)?, list(skipped)?, list(removed)?);
    Ok(lists.into_pyobject(py)?.into_any().unbind())
}
