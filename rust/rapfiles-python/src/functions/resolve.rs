//! Resolution of paths.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyString};
use rapfiles_core::Operation as Request;
use rapfiles_core::Strictness;

use crate::arguments::{self, PathArgument};
use crate::errors::Names;
use crate::operation::{Operation, submit};

/// The path without symbolic links.
#[pyfunction]
#[pyo3(signature = (path, strict, rules, /))]
pub(crate) fn resolve(
    py: Python<'_>,
    path: PathArgument<'_>,
    strict: &Bound<'_, PyAny>,
    rules: u32,
) -> PyResult<Operation> {
    let strictness = if let Ok(strict) = strict.cast::<PyBool>() {
        if strict.is_true() { Strictness::Strict } else { Strictness::Lenient }
    } else if strict.eq("missing")? {
        Strictness::AllowMissing
    } else if strict.eq("all but last")? {
        Strictness::AllButLast
    } else {
        return Err(PyTypeError::new_err("strict must be a bool"));
    };
    let request = Request::Resolve { path: path.native("lstat")?, strictness, rules };
    submit(py, request, Names::one(path.name()))
}

/// The home directory of a user, `None` where there is no such user.
#[pyfunction]
#[pyo3(signature = (user, /))]
pub(crate) fn home_directory(py: Python<'_>, user: Option<&Bound<'_, PyString>>) -> PyResult<Operation> {
    let user = user.map(arguments::os_string).transpose()?;
    submit(py, Request::Home { user }, Names::none())
}
