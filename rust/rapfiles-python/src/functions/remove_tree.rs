//! Removing a directory with everything in it.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use std::collections::VecDeque;

use rapfiles_core::{Engine, Error, Policy, Progress, RemoveTree, Removed, Removing, Single, Stream, Ticket};

use crate::arguments::PathArgument;
use crate::errors::{self, Names};
use crate::operation::{Operation, Work};
use crate::reports;
use crate::stream::{Items, Manners, Source, WholeWork};

/// A removal: nothing is made of it.
struct Removal {
    stream: Stream<Single<RemoveTree>>,
    names: Names,
}

impl Items for Removal {
    fn advance(&mut self, py: Python<'_>, _manners: &Manners) -> Progress<PyResult<bool>> {
        self.stream.next(Ticket::unique).map(|ended| match ended {
            Ok(end) => Ok(end.is_some()),
            Err(error) => Err(errors::exception(py, error, &self.names)),
        })
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

/// A removal whose consumer is told of errors and of how far it has come.
struct RemovalReports {
    removing: Removing,
    names: Names,
    reports: VecDeque<Removed>,
    wants_progress: bool,
    /// The consumer has a snapshot, and asks for something again when it has seen to it.
    told: bool,
    over: bool,
}

impl RemovalReports {
    fn new(path: PathArgument<'_>, policy: Policy, wants_progress: bool) -> PyResult<Self> {
        Ok(Self {
            removing: Engine::current().remove(path.native("rmtree")?, policy, wants_progress),
            names: Names::one(path.name()),
            reports: VecDeque::new(),
            wants_progress,
            told: false,
            over: false,
        })
    }
}

impl Items for RemovalReports {
    fn advance(&mut self, py: Python<'_>, _manners: &Manners) -> Progress<PyResult<bool>> {
        if std::mem::take(&mut self.told) {
            self.removing.reporter().taken();
        }
        if self.over {
            return Progress::Done(Ok(false));
        }
        self.removing.next(Ticket::unique).map(|ended| match ended {
            Ok(Some(report)) => {
                self.reports.push_back(report);
                Ok(true)
            }
            Ok(None) => {
                self.over = true;
                if self.wants_progress {
                    self.reports.push_back(Removed::Progress(self.removing.reporter().take(None)));
                }
                Ok(self.wants_progress)
            }
            Err(error) => Err(errors::exception(py, error, &self.names)),
        })
    }

    fn make(&mut self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let made = match self.reports.pop_front() {
            None => return Ok(Vec::new()),
            Some(Removed::Progress(snapshot)) => {
                self.told = true;
                reports::snapshot_arguments(py, &snapshot)?
            }
            Some(Removed::Failed(function, error)) => {
                let error = errors::exception(py, error, &self.names).into_value(py);
                (function, error).into_py_any(py)?
            }
        };
        Ok(vec![made])
    }

    fn progress(&self) -> u64 {
        self.removing.progress()
    }

    fn traverse(&self, _visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        Ok(())
    }
}

/// Removes a directory with everything in it, as `shutil.rmtree` does, in workers.
#[pyfunction]
#[pyo3(signature = (path, ignore_errors, /))]
pub(crate) fn remove(py: Python<'_>, path: PathArgument<'_>, ignore_errors: bool) -> PyResult<Operation> {
    let policy = if ignore_errors { Policy::Ignore } else { Policy::Raise };
    let removal = RemovalReports::new(path, policy, false)?;
    Operation::of(py, Work::Whole(WholeWork::doing("rmtree", removal)))
}

/// The same, for a stream that tells what happens.
#[pyfunction]
#[pyo3(signature = (path, ignore_errors, reports_errors, progress, /))]
pub(crate) fn remove_reports(
    path: PathArgument<'_>,
    ignore_errors: bool,
    reports_errors: bool,
    progress: bool,
) -> PyResult<Source> {
    let policy = match (ignore_errors, reports_errors) {
        (true, _) => Policy::Ignore,
        (false, true) => Policy::Report,
        (false, false) => Policy::Raise,
    };
    Ok(Source::new(RemovalReports::new(path, policy, progress)?))
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
