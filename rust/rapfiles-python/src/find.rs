//! Finding: the entries of a whole tree that are wanted, in one flat stream.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};
use pyo3::{PyTraverseError, PyVisit};
use rapfiles_core::{Engine, Listing, Progress, Purpose, Ticket, Tree};

use crate::arguments::PathArgument;
use crate::dir_entry::{DirEntry, Place, spelled};
use crate::errors::{self, Names};
use crate::limits::{DIRECTORIES_AT_ONCE, ENTRIES_AT_ONCE};
use crate::reports::ReadingReports;
use crate::results;
use crate::stream::{Items, Manners, Source};
use crate::tree_arguments::{Errors, TreeArguments};

/// What is found in a directory.
struct Found {
    listing: Listing,
    place: Place,
    /// How many of the entries have been created.
    at: usize,
}

/// What is found in a tree, on its way to Python.
struct FindItems {
    tree: Tree,
    class: Py<PyType>,
    /// The path of the entries of the first directory.
    place: Place,
    /// Whether the first directory is `.`, which does not appear in paths.
    is_dot: bool,
    errors: Errors,
    /// How many are still wanted.
    left: usize,
    found: Option<Found>,
    reports: Option<ReadingReports>,
}

impl FindItems {
    /// Everything wanted has been found.
    fn end(&mut self, py: Python<'_>) -> Progress<PyResult<bool>> {
        if self.reports.as_mut().is_some_and(ReadingReports::end) {
            return Progress::Done(Ok(true));
        }
        Progress::Done(self.errors.raise(py, "find").map(|()| false))
    }

    /// The path of the entries of a directory.
    fn place_of(&self, py: Python<'_>, listing: &Listing) -> PyResult<Place> {
        let node = listing.node();
        match node.path() {
            Some(path) if node.depth() > 0 => {
                let mut text = path.to_os_string();
                if self.is_dot {
                    // SAFETY: the rest begins after a separator, which is a whole character.
                    text = unsafe {
                        std::ffi::OsString::from_encoded_bytes_unchecked(
                            text.as_encoded_bytes()[2..].to_vec(),
                        )
                    };
                }
                text.push(std::path::MAIN_SEPARATOR_STR);
                Ok(self.place.below(results::path(py, &text)?))
            }
            _ => Ok(self.place.clone_ref(py)),
        }
    }
}

impl Items for FindItems {
    fn advance(&mut self, py: Python<'_>, manners: &Manners) -> Progress<PyResult<bool>> {
        if let Some(reports) = &mut self.reports {
            reports.go_on();
            match reports.count(py) {
                Progress::Done(Ok(false)) => {}
                counting => return counting,
            }
        }
        let mut in_vain = 0;
        while self.left > 0 {
            match self.tree.next(Ticket::unique) {
                Progress::Done(Ok(Some(mut listing))) => {
                    let errors = listing.take_errors();
                    let failed = errors.len();
                    if let Err(error) = self.errors.report(py, errors) {
                        return Progress::Done(Err(error));
                    }
                    let mut has_news = false;
                    if let Some(reports) = &mut self.reports {
                        reports.failed(failed);
                        has_news = reports.note(&listing, listing.amount());
                    }
                    if !listing.entries().is_empty() {
                        let place = match self.place_of(py, &listing) {
                            Ok(place) => place,
                            Err(error) => return Progress::Done(Err(error)),
                        };
                        self.found = Some(Found { listing, place, at: 0 });
                        return Progress::Done(Ok(true));
                    }
                    self.tree.take_back(listing);
                    if has_news {
                        return Progress::Done(Ok(true));
                    }
                    in_vain += 1;
                    if in_vain % DIRECTORIES_AT_ONCE == 0 {
                        match manners.gives_way(py) {
                            Ok(false) => {}
                            Ok(true) => return Progress::Yield,
                            Err(error) => return Progress::Done(Err(error)),
                        }
                    }
                }
                Progress::Done(Ok(None)) => return self.end(py),
                Progress::Done(Err(error)) => {
                    return Progress::Done(Err(errors::exception(py, error, &Names::none())));
                }
                Progress::Pending(ticket) => return Progress::Pending(ticket),
                Progress::Yield => return Progress::Yield,
            }
        }
        self.end(py)
    }

    fn make(&mut self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        if let Some(report) = self.reports.as_mut().map_or(Ok(None), |reports| reports.make(py))? {
            return Ok(vec![report]);
        }
        let Some(Found { listing, place, at }) = &mut self.found else { return Ok(Vec::new()) };
        let from = *at;
        *at = listing.entries().len().min(from + ENTRIES_AT_ONCE.min(self.left));
        self.left -= *at - from;
        let class = self.class.bind(py);
        let mut made = Vec::with_capacity(*at - from);
        for index in from..*at {
            let facts = listing.take_facts(index);
            let (Some(entry), Some(facts)) = (listing.entries().get(index), facts) else { break };
            made.push(DirEntry::make(class, place, spelled(py, entry.name)?, facts)?.unbind());
        }
        if (*at == listing.entries().len() || self.left == 0)
            && let Some(found) = self.found.take()
        {
            self.tree.take_back(found.listing);
        }
        Ok(made)
    }

    fn progress(&self) -> u64 {
        self.tree.progress()
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.class)?;
        visit.call(&self.place.origin)?;
        self.errors.callback().map_or(Ok(()), |callback| visit.call(callback))
    }
}

/// What is found in a tree, as the source of a stream of instances of a class of entries. `prefix` and `plain`: as for
/// `scan`. `limit`: the most entries that are wanted. `progress`: whether it also yields reports of its progress;
/// `totals`: whether everything is counted first for them.
#[pyfunction]
#[pyo3(signature = (directory, prefix, plain, class, with_stat, limit, on_error, wanted, progress, totals, /))]
#[allow(clippy::too_many_arguments, reason = "each is one of the package's")]
pub(crate) fn find(
    directory: &Bound<'_, PyAny>,
    prefix: Bound<'_, PyString>,
    plain: bool,
    class: Bound<'_, PyType>,
    with_stat: bool,
    limit: Option<usize>,
    on_error: Option<Py<PyAny>>,
    wanted: TreeArguments,
    progress: bool,
    totals: bool,
) -> PyResult<Source> {
    if !class.is_subclass_of::<DirEntry>()? {
        return Err(PyTypeError::new_err("not a subclass of DirEntry"));
    }
    let path: PathArgument<'_> = directory.extract()?;
    let native = path.native("scandir")?;
    let options = wanted.options(Purpose::Entries { with_stat });
    // Where nothing is wanted, nothing is looked at.
    let totals = totals && limit != Some(0);
    let reports = progress.then(|| ReadingReports::of_tree(totals, &native, &options, Some(0)));
    Ok(Source::new(FindItems {
        tree: Engine::current().walk(native, options),
        class: class.unbind(),
        place: Place::new(directory, prefix, plain),
        is_dot: path.name().bind(directory.py()) == ".",
        errors: Errors::new(on_error),
        left: limit.unwrap_or(usize::MAX),
        found: None,
        reports,
    }))
}
