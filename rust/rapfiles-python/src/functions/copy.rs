//! Copying and moving files, links and trees.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rapfiles_core::{
    CopyOptions, CopyRequest, Copying, Engine, Error, Policy, Progress, Report, Reporter, Snapshot, Ticket,
};

use crate::arguments::PathArgument;
use crate::errors::{self, Names};
use crate::operation::{Operation, Work};
use crate::reports::{Reporting, Reports};
use crate::selection::Selection;
use crate::stream::{Source, WholeWork};

impl Reporting for Copying {
    type Report = Report;

    fn next(&mut self) -> Progress<Result<Option<Report>, Error>> {
        self.next(Ticket::unique)
    }

    fn reporter(&self) -> &Reporter {
        self.reporter()
    }

    fn progress(&self) -> u64 {
        self.progress()
    }

    fn of_snapshot(snapshot: Snapshot) -> Report {
        Report::Progress(snapshot)
    }

    fn snapshot(report: &Report) -> Option<&Snapshot> {
        if let Report::Progress(snapshot) = report { Some(snapshot) } else { None }
    }

    fn object(py: Python<'_>, report: Report, names: &Names) -> PyResult<Py<PyAny>> {
        match report {
            Report::Progress(_) => Ok(py.None()),
            Report::Failed(error) => errors::exception(py, error, names).into_value(py).into_py_any(py),
            Report::Selecting(selection) => Selection::new(selection).into_py_any(py),
        }
    }
}

/// The options that are set.
fn options(named: &Bound<'_, PyDict>, reports: bool) -> PyResult<CopyOptions> {
    let is_set =
        |name: &str| -> PyResult<bool> { named.get_item(name)?.map_or(Ok(false), |value| value.extract()) };
    Ok(CopyOptions {
        follow_symlinks: is_set("follow_symlinks")?,
        preserve_metadata: is_set("preserve_metadata")?,
        preserve_hard_links: is_set("preserve_hard_links")?,
        merge: is_set("merge")?,
        atomic: is_set("atomic")?,
        selects: reports && is_set("selects")?,
        recreate_special: is_set("recreate_special")?,
        policy: if is_set("report_errors")? { Policy::Report } else { Policy::Raise },
        progress: reports && is_set("progress")?,
        totals: reports && is_set("totals")?,
    })
}

fn items(
    source: PathArgument<'_>,
    target: PathArgument<'_>,
    moves: bool,
    options: CopyOptions,
) -> PyResult<Reports<Copying>> {
    let (source_function, target_function) = if moves { ("replace", "replace") } else { ("open", "open") };
    let request = CopyRequest {
        source: source.native(source_function)?,
        target: target.native(target_function)?,
        moves,
        options,
    };
    let names = Names::two(source.name(), target.name());
    Ok(Reports::new(Engine::current().copy(request), names, options.progress))
}

/// Copies or moves, in workers. Options that are not named are off.
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

/// The same, as a stream of reports.
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
