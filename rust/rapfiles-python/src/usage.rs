//! The disk usage of a tree.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use rapfiles_core::{Amount, Engine, Progress, Purpose, Ticket, Tree, Usage};

use crate::arguments::PathArgument;
use crate::errors::{self, Names};
use crate::limits::DIRECTORIES_AT_ONCE;
use crate::operation::{Operation, Work};
use crate::reports::ReadingReports;
use crate::stream::{Items, Manners, Source, WholeWork};
use crate::tree_arguments::{Errors, TreeArguments};

/// A tree whose entries are all counted.
struct UsageItems {
    tree: Tree,
    errors: Errors,
    usage: Usage,
    over: bool,
    /// The sum, to be returned at the end.
    total: Option<Usage>,
    reports: Option<ReadingReports>,
}

impl UsageItems {
    /// Counts until the end (`true`), or until there is something to report.
    fn go_on(&mut self, py: Python<'_>, manners: &Manners) -> PyResult<Progress<bool>> {
        if let Some(reports) = &mut self.reports {
            reports.go_on();
            match reports.count(py) {
                Progress::Done(told) => {
                    if told? {
                        return Ok(Progress::Done(false));
                    }
                }
                Progress::Pending(ticket) => return Ok(Progress::Pending(ticket)),
                Progress::Yield => return Ok(Progress::Yield),
            }
        }
        let mut count = 0;
        loop {
            match self.tree.next(Ticket::unique) {
                Progress::Done(Ok(Some(mut listing))) => {
                    let errors = listing.take_errors();
                    let (usage, failed) = (listing.usage(), errors.len());
                    self.errors.report(py, errors)?;
                    self.usage += usage;
                    if let Some(reports) = &mut self.reports {
                        reports.failed(failed);
                        if reports.note(&listing, Amount { bytes: usage.apparent, ..listing.amount() }) {
                            return Ok(Progress::Done(false));
                        }
                    }
                    self.tree.take_back(listing);
                }
                Progress::Done(Ok(None)) => {
                    if self.reports.as_mut().is_some_and(ReadingReports::end) {
                        return Ok(Progress::Done(false));
                    }
                    self.errors.raise(py, "du")?;
                    return Ok(Progress::Done(true));
                }
                Progress::Done(Err(error)) => return Err(errors::exception(py, error, &Names::none())),
                Progress::Pending(ticket) => return Ok(Progress::Pending(ticket)),
                Progress::Yield => return Ok(Progress::Yield),
            }
            count += 1;
            if count % DIRECTORIES_AT_ONCE == 0 && manners.gives_way(py)? {
                return Ok(Progress::Yield);
            }
        }
    }
}

impl Items for UsageItems {
    fn advance(&mut self, py: Python<'_>, manners: &Manners) -> Progress<PyResult<bool>> {
        if self.over {
            return Progress::Done(Ok(false));
        }
        match self.go_on(py, manners) {
            Ok(Progress::Done(is_over)) => {
                if is_over {
                    self.over = true;
                    self.total = Some(self.usage);
                }
                Progress::Done(Ok(true))
            }
            Ok(Progress::Pending(ticket)) => Progress::Pending(ticket),
            Ok(Progress::Yield) => Progress::Yield,
            Err(error) => Progress::Done(Err(error)),
        }
    }

    fn make(&mut self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        if let Some(report) = self.reports.as_mut().map_or(Ok(None), |reports| reports.make(py))? {
            return Ok(vec![report]);
        }
        let Some(total) = self.total.take() else { return Ok(Vec::new()) };
        let Usage { apparent, allocated, files, directories, symlinks, others } = total;
        let numbers = [apparent, allocated, files, directories, symlinks, others];
        let made = numbers.into_iter().map(|number| Ok(number.into_pyobject(py)?.into_any().unbind()));
        made.collect()
    }

    fn progress(&self) -> u64 {
        self.tree.progress()
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.errors.callback().map_or(Ok(()), |callback| visit.call(callback))
    }
}

fn items(
    directory: &Bound<'_, PyAny>,
    on_error: Option<Py<PyAny>>,
    wanted: TreeArguments,
    progress: bool,
    totals: bool,
) -> PyResult<UsageItems> {
    let path: PathArgument<'_> = directory.extract()?;
    let native = path.native("scandir")?;
    let options = wanted.options(Purpose::Usage);
    // How many bytes there are is to be found out.
    let reports = progress.then(|| ReadingReports::of_tree(totals, &native, &options, None));
    Ok(UsageItems {
        tree: Engine::current().walk(native, options),
        errors: Errors::new(on_error),
        usage: Usage::default(),
        over: false,
        total: None,
        reports,
    })
}

/// The disk usage of a tree: apparent and allocated size, then the numbers of files, directories, links and others.
#[pyfunction]
#[pyo3(signature = (directory, on_error, wanted, /))]
pub(crate) fn usage(
    directory: &Bound<'_, PyAny>,
    on_error: Option<Py<PyAny>>,
    wanted: TreeArguments,
) -> PyResult<Operation> {
    let items = items(directory, on_error, wanted, false, false)?;
    Operation::of(directory.py(), Work::Whole(WholeWork::listing(directory.py(), "du", items)))
}

/// The same, as a stream that yields reports of its progress, and then the numbers. `totals`: whether everything is
/// counted first for the reports.
#[pyfunction]
#[pyo3(signature = (directory, on_error, wanted, totals, /))]
pub(crate) fn usage_reports(
    directory: &Bound<'_, PyAny>,
    on_error: Option<Py<PyAny>>,
    wanted: TreeArguments,
    totals: bool,
) -> PyResult<Source> {
    Ok(Source::new(items(directory, on_error, wanted, true, totals)?))
}
