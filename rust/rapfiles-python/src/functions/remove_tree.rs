//! Removing a directory with everything in it.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use rapfiles_core::{Engine, Error, Progress, RemoveTree, Single, Stream, Ticket};

use crate::arguments::PathArgument;
use crate::errors::{self, Names};
use crate::operation::{Operation, Work};
use crate::stream::{Items, Manners, WholeWork};

/// A removal: nothing is made of it.
struct Removal {
    stream: Stream<Single<RemoveTree>>,
    names: Names,
}

impl Items for Removal {
    fn advance(&mut self, py: Python<'_>, _manners: &Manners) -> Progress<PyResult<bool>> {
        match self.stream.next(Ticket::unique) {
            Progress::Done(Ok(end)) => Progress::Done(Ok(end.is_some())),
            Progress::Done(Err(error)) => Progress::Done(Err(errors::exception(py, error, &self.names))),
            Progress::Pending(ticket) => Progress::Pending(ticket),
            Progress::Yield => Progress::Yield,
        }
    }

    fn make(&mut self, _py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        Ok(Vec::new())
    }

    fn progress(&self) -> u64 {
        self.stream.progress()
    }

    fn traverse(&self, _visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        Ok(())
    }
}

/// Removes a directory with everything in it, in workers.
#[pyfunction]
#[pyo3(signature = (path, ignore_errors, /))]
pub(crate) fn remove_tree(
    py: Python<'_>,
    path: PathArgument<'_>,
    ignore_errors: bool,
) -> PyResult<Operation> {
    let stream = Engine::current().remove_tree(path.native("rmtree")?, ignore_errors);
    let removal = Removal { stream, names: Names::one(path.name()) };
    Operation::of(py, Work::Whole(WholeWork::doing("remove_tree", removal)))
}

/// Removes a directory with everything in it, in this thread.
#[pyfunction]
#[pyo3(signature = (path, ignore_errors, /))]
pub(crate) fn remove_tree_here(py: Python<'_>, path: PathArgument<'_>, ignore_errors: bool) -> PyResult<()> {
    let native = path.native("rmtree")?;
    let between = || Python::attach(|py| py.check_signals()).map_err(Ended::Interrupted);
    let ended = py.detach(|| rapfiles_core::remove_tree(native, ignore_errors, between));
    ended.map_err(|ended| match ended {
        Ended::Failed(error) => errors::exception(py, error, &Names::one(path.name())),
        Ended::Interrupted(error) => error,
    })
}

/// Why it ended early.
enum Ended {
    Failed(Error),
    /// By a signal.
    Interrupted(PyErr),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}
