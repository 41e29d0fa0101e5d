//! Resolution of paths.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBool;
use rapfiles_core::PathOperation;
use rapfiles_core::Strictness;

use crate::arguments::PathArgument;
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
    let request = PathOperation::Resolve { path: path.native("lstat")?, strictness, rules };
    submit(py, request, Names::one(path.name()))
}
