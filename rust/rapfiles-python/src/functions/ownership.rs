//! The owner and the group of files.

use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};
use rapfiles_core::Account;
use rapfiles_core::PathOperation;

use crate::arguments::PathArgument;
use crate::errors::Names;
use crate::operation::{Operation, submit};

/// The name of the user that a file belongs to.
#[pyfunction]
#[pyo3(signature = (path, follow_symlinks, /))]
pub(crate) fn owner(py: Python<'_>, path: PathArgument<'_>, follow_symlinks: bool) -> PyResult<Operation> {
    let request = PathOperation::Owner { path: path.native("stat")?, follow: follow_symlinks };
    submit(py, request, Names::one(path.name()))
}

/// The name of the group that a file belongs to.
#[pyfunction]
#[pyo3(signature = (path, follow_symlinks, /))]
pub(crate) fn group(py: Python<'_>, path: PathArgument<'_>, follow_symlinks: bool) -> PyResult<Operation> {
    let request = PathOperation::Group { path: path.native("stat")?, follow: follow_symlinks };
    submit(py, request, Names::one(path.name()))
}

/// Changes the owner and the group.
#[pyfunction]
#[pyo3(signature = (path, user, group, follow_symlinks, /))]
pub(crate) fn chown(
    py: Python<'_>,
    path: PathArgument<'_>,
    user: &Bound<'_, PyAny>,
    group: &Bound<'_, PyAny>,
    follow_symlinks: bool,
) -> PyResult<Operation> {
    let request = PathOperation::ChangeOwner {
        path: path.native("chown")?,
        user: account(user, "user", "uid")?,
        group: account(group, "group", "gid")?,
        follow: follow_symlinks,
    };
    submit(py, request, Names::one(path.name()))
}

fn account(account: &Bound<'_, PyAny>, argument: &str, number: &str) -> PyResult<Account> {
    if let Ok(name) = account.cast::<PyString>() {
        return Ok(Account::Name(name.to_str()?.to_owned()));
    }
    let id = account.cast::<PyInt>().map_err(|_| {
        let kind = account.get_type();
        PyTypeError::new_err(format!(
            "{argument} must be int or str, not {}",
            kind.name().map_or_else(|_| String::new(), |name| name.to_string())
        ))
    })?;
    let id: i64 = id.extract().map_err(|_| PyOverflowError::new_err(format!("{number} is out of range")))?;
    match id {
        // -1 leaves it unchanged (chown(2)): the highest number as an unsigned one.
        -1 => Ok(Account::Id(u32::MAX)),
        id if id < 0 => Err(PyOverflowError::new_err(format!("{number} is less than minimum"))),
        id => u32::try_from(id)
            .map(Account::Id)
            .map_err(|_| PyOverflowError::new_err(format!("{number} is greater than maximum"))),
    }
}
