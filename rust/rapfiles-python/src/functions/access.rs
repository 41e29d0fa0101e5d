//! Permissions of files: `access(2)` and `chmod(2)`.

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use rapfiles_core::PathOperation;

use crate::arguments::PathArgument;
use crate::errors::Names;
use crate::operation::{Operation, submit};

/// Whether a file may be accessed in this mode.
#[pyfunction]
#[pyo3(signature = (path, mode, effective_ids, follow_symlinks, /))]
pub(crate) fn access(
    py: Python<'_>,
    path: PathArgument<'_>,
    mode: i32,
    effective_ids: bool,
    follow_symlinks: bool,
) -> PyResult<Operation> {
    let request =
        PathOperation::Access { path: path.native("access")?, mode, effective_ids, follow: follow_symlinks };
    submit(py, request, Names::one(path.name()))
}

/// Changes the mode.
#[pyfunction]
#[pyo3(signature = (path, mode, follow_symlinks, /))]
pub(crate) fn chmod(
    py: Python<'_>,
    path: PathArgument<'_>,
    mode: i64,
    follow_symlinks: bool,
) -> PyResult<Operation> {
    // A C int, as for os.chmod; its sign does not matter to the kernel.
    let mode = i32::try_from(mode).map_err(|_| PyOverflowError::new_err("mode is too large for a C int"))?;
    let request = PathOperation::ChangeMode {
        path: path.native("chmod")?,
        mode: mode.cast_unsigned(),
        follow: follow_symlinks,
    };
    submit(py, request, Names::one(path.name()))
}
