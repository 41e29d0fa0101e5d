//! Home directories of users.

use pyo3::prelude::*;
use pyo3::types::PyString;
use rapfiles_core::PathOperation;

use crate::arguments;
use crate::errors::Names;
use crate::operation::{Operation, submit};

/// The home directory of a user, `None` where there is no such user.
#[pyfunction]
#[pyo3(signature = (user, /))]
pub(crate) fn home_directory(py: Python<'_>, user: Option<&Bound<'_, PyString>>) -> PyResult<Operation> {
    let user = user.map(arguments::os_string).transpose()?;
    submit(py, PathOperation::Home { user }, Names::none())
}
