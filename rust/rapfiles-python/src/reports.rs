//! What long work tells, as Python objects.

use std::collections::VecDeque;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::{IntoPyObjectExt, PyTraverseError, PyVisit};
use rapfiles_core::{
    Amount, Engine, Error, Listing, NativePath, Options, Policy, Progress, Reporter, Snapshot, Ticket, Totals,
};

use crate::errors::{self, Names};
use crate::results;
use crate::stream::{Items, Manners};

/// Long work that tells what happens on the way.
pub(crate) trait Reporting: Send + Sync {
    /// What it tells: how far it has come, what has failed, what it has to be told.
    type Report: Send + Sync;

    /// What there is to tell next.
    fn next(&mut self) -> Progress<Result<Option<Self::Report>, Error>>;

    /// How far it has come.
    fn reporter(&self) -> &Reporter;

    /// How many entries have been seen to.
    fn progress(&self) -> u64;

    /// What tells of a snapshot.
    fn of_snapshot(snapshot: Snapshot) -> Self::Report;

    /// The snapshot that a report tells of, if it does.
    fn snapshot(report: &Self::Report) -> Option<&Snapshot>;

    /// What tells of anything else, as an object.
    fn object(py: Python<'_>, report: Self::Report, names: &Names) -> PyResult<Py<PyAny>>;
}

/// What such work tells, until it is over.
pub(crate) struct Reports<W: Reporting> {
    work: W,
    names: Names,
    waiting: VecDeque<W::Report>,
    /// How far it has come is to be told, in the end too.
    wants_progress: bool,
    /// The consumer has a snapshot, and asks for something again when it has seen to it.
    told: bool,
    over: bool,
}

impl<W: Reporting> Reports<W> {
    pub(crate) fn new(work: W, names: Names, wants_progress: bool) -> Self {
        Self { work, names, waiting: VecDeque::new(), wants_progress, told: false, over: false }
    }
}

impl<W: Reporting> Items for Reports<W> {
    fn advance(&mut self, py: Python<'_>, _manners: &Manners) -> Progress<PyResult<bool>> {
        if std::mem::take(&mut self.told) {
            self.work.reporter().taken();
        }
        if self.over {
            return Progress::Done(Ok(false));
        }
        self.work.next().map(|ended| match ended {
            Ok(Some(report)) => {
                self.waiting.push_back(report);
                Ok(true)
            }
            Ok(None) => {
                self.over = true;
                if self.wants_progress {
                    self.waiting.push_back(W::of_snapshot(self.work.reporter().take(None)));
                }
                Ok(self.wants_progress)
            }
            Err(error) => Err(errors::exception(py, error, &self.names)),
        })
    }

    fn make(&mut self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let Some(report) = self.waiting.pop_front() else { return Ok(Vec::new()) };
        let made = match W::snapshot(&report) {
            Some(snapshot) => {
                self.told = true;
                let bytes = snapshot.total.map(|total| total.bytes);
                snapshot_arguments(py, snapshot, bytes)?
            }
            None => W::object(py, report, &self.names)?,
        };
        Ok(vec![made])
    }

    fn progress(&self) -> u64 {
        self.work.progress()
    }

    fn traverse(&self, _visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        Ok(())
    }
}

/// How far the reading of a tree has come, for those who want to know.
pub(crate) struct ReadingReports {
    reporter: Arc<Reporter>,
    /// The count of what there is to read, while it goes on.
    totals: Option<Box<Totals>>,
    /// How many bytes there are altogether, once everything has been counted; `None` if that stays unknown.
    total_bytes: Option<u64>,
    waiting: Option<Snapshot>,
    /// The consumer has a snapshot.
    told: bool,
    over: bool,
}

impl ReadingReports {
    pub(crate) fn new() -> Self {
        let reporter = Arc::new(Reporter::new(Policy::Report, true));
        Self { reporter, totals: None, total_bytes: None, waiting: None, told: false, over: false }
    }

    /// The same of a tree. `totals`: whether everything in it is counted first; `total_bytes`: how many bytes there are
    /// then.
    pub(crate) fn of_tree(
        totals: bool,
        path: &NativePath,
        options: &Options,
        total_bytes: Option<u64>,
    ) -> Self {
        let reports = Self::new();
        let totals = totals.then(|| {
            let reporter = Arc::clone(&reports.reporter);
            Box::new(Totals::of_reading(Engine::current(), path.clone(), options, reporter))
        });
        Self { totals, total_bytes, ..reports }
    }

    /// Counts, if that is wanted and not over: whether there is something to tell.
    pub(crate) fn count(&mut self, py: Python<'_>) -> Progress<PyResult<bool>> {
        let Some(totals) = &mut self.totals else { return Progress::Done(Ok(false)) };
        totals.next(Ticket::unique).map(|ended| match ended {
            Ok(snapshot) => {
                if snapshot.is_none() {
                    self.totals = None;
                }
                self.waiting = snapshot;
                Ok(self.has_news())
            }
            Err(error) => Err(errors::exception(py, error, &Names::none())),
        })
    }

    /// The consumer asks for something again.
    pub(crate) fn go_on(&mut self) {
        if std::mem::take(&mut self.told) {
            self.reporter.taken();
        }
    }

    /// Counts `errors` errors.
    pub(crate) fn failed(&self, errors: usize) {
        for _ in 0..errors {
            self.reporter.failed();
        }
    }

    /// A directory has been read: whether there is something to tell.
    pub(crate) fn note(&mut self, listing: &Listing, done: Amount) -> bool {
        self.has_read(done, || listing.node().path())
    }

    /// So much more has been read, the last of it in a directory: whether there is something to tell.
    pub(crate) fn has_read(&mut self, done: Amount, current: impl FnOnce() -> Option<NativePath>) -> bool {
        self.reporter.add(done);
        self.waiting = self.reporter.snapshot(current);
        self.waiting.is_some()
    }

    /// Whether there is something to tell.
    pub(crate) fn has_news(&self) -> bool {
        self.waiting.is_some()
    }

    /// Everything has been read: whether that is still to be told.
    pub(crate) fn end(&mut self) -> bool {
        if std::mem::replace(&mut self.over, true) {
            return false;
        }
        self.waiting = Some(self.reporter.take(None));
        true
    }

    /// What there is to tell.
    pub(crate) fn make(&mut self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(snapshot) = self.waiting.take() else { return Ok(None) };
        self.told = true;
        let bytes = snapshot.total.and(self.total_bytes);
        snapshot_arguments(py, &snapshot, bytes).map(Some)
    }
}

/// A snapshot as the arguments of its class. `total_bytes`: the number that it has of them, if that is known.
fn snapshot_arguments(py: Python<'_>, snapshot: &Snapshot, total_bytes: Option<u64>) -> PyResult<Py<PyAny>> {
    let Snapshot { done, total, errors, current, counted, elapsed } = snapshot;
    let current = match current {
        Some(path) => Some(results::path(py, &path.to_os_string())?.unbind()),
        None => None,
    };
    let total = total.as_ref().map(|total| (total.files, total.directories, total_bytes));
    let done = (done.files, done.directories, done.bytes);
    (done, total, *errors, current, *counted, elapsed.as_secs_f64()).into_py_any(py)
}
