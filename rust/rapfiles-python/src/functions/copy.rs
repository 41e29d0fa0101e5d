//! Copying and moving files, links and trees.

use std::collections::VecDeque;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};
use rapfiles_core::{CopyOptions, CopyRequest, Copying, Engine, Policy, Progress, Report, Ticket};

use crate::arguments::PathArgument;
use crate::errors::{self, Names};
use crate::operation::{Operation, Work};
use crate::reports;
use crate::stream::{Items, Manners, Source, WholeWork};

/// A copy or a move, and what it has to tell.
struct CopyItems {
    copying: Copying,
    names: Names,
    reports: VecDeque<Report>,
    /// How far it has come is to be told, in the end too.
    wants_progress: bool,
    /// The consumer has a snapshot, and asks for something again when it has seen to it.
    told: bool,
    over: bool,
}

impl Items for CopyItems {
    fn advance(&mut self, py: Python<'_>, _manners: &Manners) -> Progress<PyResult<bool>> {
        if std::mem::take(&mut self.told) {
            self.copying.reporter().taken();
        }
        if self.over {
            return Progress::Done(Ok(false));
        }
        self.copying.next(Ticket::unique).map(|ended| match ended {
            Ok(Some(report)) => {
                self.reports.push_back(report);
                Ok(true)
            }
            Ok(None) => {
                self.over = true;
                if self.wants_progress {
                    self.reports.push_back(Report::Progress(self.copying.reporter().take(None)));
                }
                Ok(self.wants_progress)
            }
            Err(error) => Err(errors::exception(py, error, &self.names)),
        })
    }

    fn make(&mut self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let Some(report) = self.reports.pop_front() else { return Ok(Vec::new()) };
        self.told |= matches!(report, Report::Progress(_));
        reports::object(py, report, &self.names).map(|object| vec![object])
    }

    fn progress(&self) -> u64 {
        self.copying.progress()
    }

    fn traverse(&self, _visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        Ok(())
    }
}

/// What of the options is set.
fn options(named: &Bound<'_, PyDict>, reports: bool) -> PyResult<CopyOptions> {
    let is_set =
        |name: &str| -> PyResult<bool> { named.get_item(name)?.map_or(Ok(false), |value| value.extract()) };
    Ok(CopyOptions {
        follow_symlinks: is_set("follow_symlinks")?,
        preserve_metadata: is_set("preserve_metadata")?,
        preserve_hard_links: is_set("preserve_hard_links")?,
        merge: is_set("merge")?,
        atomic: is_set("atomic")?,
        recreate_special: is_set("recreate_special")?,
        policy: if is_set("report_errors")? { Policy::Report } else { Policy::Raise },
        progress: reports && is_set("progress")?,
        total: None,
    })
}

fn items(
    source: PathArgument<'_>,
    target: PathArgument<'_>,
    moves: bool,
    options: CopyOptions,
) -> PyResult<CopyItems> {
    let (source_function, target_function) = if moves { ("replace", "replace") } else { ("open", "open") };
    let request = CopyRequest {
        source: source.native(source_function)?,
        target: target.native(target_function)?,
        moves,
        options,
    };
    Ok(CopyItems {
        wants_progress: options.progress,
        copying: Engine::current().copy(request),
        names: Names::two(source.name(), target.name()),
        reports: VecDeque::new(),
        told: false,
        over: false,
    })
}

/// Copies or moves, in workers. The options are named, and off where they are not.
#[pyfunction]
#[pyo3(signature = (source, target, moves, /, **named))]
pub(crate) fn copy(
    py: Python<'_>,
    source: PathArgument<'_>,
    target: PathArgument<'_>,
    moves: bool,
    named: Option<Bound<'_, PyDict>>,
) -> PyResult<Operation> {
    let options = options(&named.unwrap_or_else(|| PyDict::new(py)), false)?;
    let items = items(source, target, moves, options)?;
    Operation::of(py, Work::Whole(WholeWork::doing(if moves { "move" } else { "copy" }, items)))
}

/// The same, for a stream that tells what happens.
#[pyfunction]
#[pyo3(signature = (source, target, moves, /, **named))]
pub(crate) fn copy_reports(
    py: Python<'_>,
    source: PathArgument<'_>,
    target: PathArgument<'_>,
    moves: bool,
    named: Option<Bound<'_, PyDict>>,
) -> PyResult<Source> {
    let options = options(&named.unwrap_or_else(|| PyDict::new(py)), true)?;
    Ok(Source::new(items(source, target, moves, options)?))
}
