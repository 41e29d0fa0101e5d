//! How much room a tree takes.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use rapfiles_core::{Engine, Progress, Purpose, Ticket, Tree, Usage};

use crate::arguments::PathArgument;
use crate::errors::{self, Names};
use crate::limits::DIRECTORIES_AT_ONCE;
use crate::operation::{Operation, Work};
use crate::stream::{Items, Manners, WholeWork};
use crate::tree_arguments::{Errors, TreeArguments};

/// A tree of which everything is counted.
struct UsageItems {
    tree: Tree,
    errors: Errors,
    usage: Usage,
    over: bool,
    /// The sum, to be handed out.
    total: Option<Usage>,
}

impl UsageItems {
    fn go_on(&mut self, py: Python<'_>, manners: &Manners) -> PyResult<Progress<()>> {
        let mut count = 0;
        loop {
            match self.tree.next(Ticket::unique) {
                Progress::Done(Ok(Some(mut listing))) => {
                    self.errors.report(py, listing.take_errors())?;
                    self.usage += listing.usage();
                }
                Progress::Done(Ok(None)) => {
                    self.errors.raise(py, "du")?;
                    return Ok(Progress::Done(()));
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
            Ok(Progress::Done(())) => {
                self.over = true;
                self.total = Some(self.usage);
                Progress::Done(Ok(true))
            }
            Ok(Progress::Pending(ticket)) => Progress::Pending(ticket),
            Ok(Progress::Yield) => Progress::Yield,
            Err(error) => Progress::Done(Err(error)),
        }
    }

    fn make(&mut self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
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

/// How much room a tree takes: apparent and allocated size, then how many files, directories, links and others.
#[pyfunction]
#[pyo3(signature = (directory, on_error, wanted, /))]
pub(crate) fn usage(
    directory: &Bound<'_, PyAny>,
    on_error: Option<Py<PyAny>>,
    wanted: TreeArguments,
) -> PyResult<Operation> {
    let path: PathArgument<'_> = directory.extract()?;
    let native = path.native("scandir")?;
    let items = UsageItems {
        tree: Engine::current().walk(native, wanted.options(Purpose::Usage)),
        errors: Errors::new(on_error),
        usage: Usage::default(),
        over: false,
        total: None,
    };
    Operation::of(directory.py(), Work::Whole(WholeWork::listing(directory.py(), "du", items)))
}
