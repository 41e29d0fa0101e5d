//! Removing a directory with everything in it.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use rapfiles_core::{Engine, Error, Policy, Progress, Removed, Removing, Reporter, Snapshot, Ticket};

use crate::arguments::PathArgument;
use crate::errors::{self, Names};
use crate::operation::{Operation, Work};
use crate::reports::{Reporting, Reports};
use crate::stream::{Source, WholeWork};

impl Reporting for Removing {
    type Report = Removed;

    fn next(&mut self) -> Progress<Result<Option<Removed>, Error>> {
        self.next(Ticket::unique)
    }

    fn reporter(&self) -> &Reporter {
        self.reporter()
    }

    fn progress(&self) -> u64 {
        self.progress()
    }

    fn of_snapshot(snapshot: Snapshot) -> Removed {
        Removed::Progress(snapshot)
    }

    fn snapshot(report: &Removed) -> Option<&Snapshot> {
        if let Removed::Progress(snapshot) = report { Some(snapshot) } else { None }
    }

    fn object(py: Python<'_>, report: Removed, names: &Names) -> PyResult<Py<PyAny>> {
        let Removed::Failed(function, error) = report else { return Ok(py.None()) };
        (function, errors::exception(py, error, names).into_value(py)).into_py_any(py)
    }
}

/// A removal that reports errors and its progress to its consumer.
fn removal(
    path: PathArgument<'_>,
    policy: Policy,
    wants_progress: bool,
    totals: bool,
) -> PyResult<Reports<Removing>> {
    let removing = Engine::current().remove(path.native("rmtree")?, policy, wants_progress, totals);
    Ok(Reports::new(removing, Names::one(path.name()), wants_progress))
}

/// Removes a directory with everything in it, as `shutil.rmtree` does, in workers.
#[pyfunction]
#[pyo3(signature = (path, ignore_errors, /))]
pub(crate) fn remove(py: Python<'_>, path: PathArgument<'_>, ignore_errors: bool) -> PyResult<Operation> {
    let policy = if ignore_errors { Policy::Ignore } else { Policy::Raise };
    let removal = removal(path, policy, false, false)?;
    Operation::of(py, Work::Whole(WholeWork::doing("rmtree", removal)))
}

/// The same, as a stream of reports.
#[pyfunction]
#[pyo3(signature = (path, ignore_errors, reports_errors, progress, totals, /))]
pub(crate) fn remove_reports(
    path: PathArgument<'_>,
    ignore_errors: bool,
    reports_errors: bool,
    progress: bool,
    totals: bool,
) -> PyResult<Source> {
    let policy = match (ignore_errors, reports_errors) {
        (true, _) => Policy::Ignore,
        (false, true) => Policy::Report,
        (false, false) => Policy::Raise,
    };
    Ok(Source::new(removal(path, policy, progress, totals)?))
}

/// Removes a directory with everything in it, in workers.
#[pyfunction]
#[pyo3(signature = (path, ignore_errors, /))]
pub(crate) fn remove_tree(
    py: Python<'_>,
    path: PathArgument<'_>,
    ignore_errors: bool,
) -> PyResult<Operation> {
    let removing = Engine::current().remove_tree(path.native("rmtree")?, ignore_errors);
    let removal = Reports::new(removing, Names::one(path.name()), false);
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
