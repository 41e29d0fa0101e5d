//! Walking a tree: its directories in order, created from what workers have read ahead, a few names at a time.

use std::ffi::OsStr;

use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use rapfiles_core::{Amount, Engine, Error, FileType, Listing, Progress, Purpose, Ticket, Tree};

use crate::arguments::PathArgument;
use crate::dir_entry;
use crate::errors;
use crate::limits::TREE_NAMES_AT_ONCE;
use crate::once::intern;
use crate::pure_path::known_of;
use crate::reports::ReadingReports;
use crate::results;
use crate::stream::{Items, Manners, Source};
use crate::tree_arguments::{TreeArguments, tell};

/// A directory whose names are being created.
struct Making {
    listing: Listing,
    at: usize,
    directories: Names,
    files: Names,
    /// The names of the directories again, if changes of their list matter.
    kept: Vec<Py<PyString>>,
}

/// A list of names that grows as they are created: one step does not create all names of a large directory.
#[derive(Default)]
struct Names {
    list: Option<Py<PyList>>,
    /// Names that are not in the list yet.
    lot: Vec<Py<PyString>>,
}

impl Names {
    /// Moves the names that have been created into the list.
    fn settle<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let lot = self.lot.drain(..);
        if let Some(list) = &self.list {
            let list = list.bind(py);
            for name in lot {
                list.append(name)?;
            }
            return Ok(list.clone());
        }
        let list = PyList::new(py, lot)?;
        self.list = Some(list.clone().unbind());
        Ok(list)
    }
}

/// What was yielded last: the list of directories, which the caller may change, and its original content.
struct Given {
    list: Py<PyList>,
    names: Vec<Py<PyString>>,
}

/// A tree, on its way to Python.
struct WalkItems {
    tree: Tree,
    directory: Py<PyAny>,
    /// Whether its class leaves the creation of paths to pathlib.
    plain: bool,
    on_error: Option<Py<PyAny>>,
    top_down: bool,
    min_depth: u32,
    making: Option<Making>,
    given: Option<Given>,
    ready: Option<Py<PyAny>>,
    /// Python 3.12 omits the `.` that it walks from the paths.
    hides_dot: bool,
    reports: Option<ReadingReports>,
}

impl WalkItems {
    /// Tells the tree which directories to enter, if the caller has changed the list.
    fn decide(&mut self, py: Python<'_>) -> PyResult<()> {
        let Some(Given { list, names }) = self.given.take() else { return Ok(()) };
        let list = list.bind(py);
        let same = list.len() == names.len() && list.iter().zip(&names).all(|(item, name)| item.is(name));
        if same {
            return Ok(());
        }
        let mut wanted = Vec::with_capacity(list.len());
        for item in list.iter() {
            let name: PathArgument<'_> = item.extract()?;
            wanted.push(name.native("scandir")?);
        }
        self.tree.descend(wanted);
        Ok(())
    }

    /// Takes the next directory of the tree; `false` at the end.
    fn take(&mut self, py: Python<'_>) -> Progress<PyResult<bool>> {
        loop {
            match self.tree.next(Ticket::unique) {
                Progress::Done(Ok(Some(mut listing))) => {
                    let errors = listing.take_errors();
                    let has_news = self.reports.as_mut().is_some_and(|reports| {
                        reports.failed(errors.len());
                        reports.note(&listing, amount(&listing))
                    });
                    for error in errors {
                        if let Err(error) = self.report(py, error) {
                            return Progress::Done(Err(error));
                        }
                    }
                    if listing.is_incomplete()
                        || listing.is_skipped()
                        || listing.node().depth() < self.min_depth
                    {
                        if has_news {
                            return Progress::Done(Ok(true));
                        }
                        continue;
                    }
                    let (directories, files) = (Names::default(), Names::default());
                    self.making = Some(Making { listing, at: 0, directories, files, kept: Vec::new() });
                    return Progress::Done(Ok(true));
                }
                Progress::Done(Ok(None)) => {
                    return Progress::Done(Ok(self.reports.as_mut().is_some_and(ReadingReports::end)));
                }
                Progress::Done(Err(error)) => {
                    return Progress::Done(Err(errors::exception(py, error, &errors::Names::none())));
                }
                Progress::Pending(ticket) => return Progress::Pending(ticket),
                Progress::Yield => return Progress::Yield,
            }
        }
    }

    /// Whether there is a report to be made first.
    fn has_news(&self) -> bool {
        self.reports.as_ref().is_some_and(ReadingReports::has_news)
    }

    /// Reports a directory that cannot be read to the caller.
    fn report(&self, py: Python<'_>, error: Error) -> PyResult<()> {
        // Not even a caller who ignores errors is to take a part of the tree for all of it.
        let is_ours = error.lacks_descriptors();
        if self.on_error.is_none() && !is_ours {
            return Ok(());
        }
        let exception = errors::exception(py, error, &errors::Names::none());
        if self.hides_dot {
            let value = exception.value(py);
            if let Ok(name) = value.getattr(intern!(py, "filename"))?.extract::<String>()
                && let Some(name) = name.strip_prefix("./")
            {
                value.setattr(intern!(py, "filename"), name)?;
            }
        }
        match &self.on_error {
            Some(on_error) => tell(py, on_error, exception),
            None => Err(exception),
        }
    }

    /// Creates the names of a directory; `false` if other tasks should run before it is complete.
    fn make_names(&mut self, py: Python<'_>, manners: &Manners) -> PyResult<bool> {
        let Some(making) = &mut self.making else { return Ok(true) };
        let entries = making.listing.entries();
        if making.at == 0 && entries.len() <= TREE_NAMES_AT_ONCE {
            // Their numbers are known.
            let directories = making.listing.directories();
            making.directories.lot.reserve_exact(directories);
            making.files.lot.reserve_exact(entries.len() - directories);
        }
        loop {
            let end = entries.len().min(making.at + TREE_NAMES_AT_ONCE);
            for entry in (making.at..end).filter_map(|index| entries.get(index)) {
                // SAFETY: the engine keeps names as `as_encoded_bytes` gives them, one by one.
                let name =
                    results::path(py, unsafe { OsStr::from_encoded_bytes_unchecked(entry.name) })?.unbind();
                if entry.file_type == Some(FileType::DIRECTORY) {
                    if self.top_down {
                        making.kept.push(name.clone_ref(py));
                    }
                    making.directories.lot.push(name);
                } else {
                    making.files.lot.push(name);
                }
            }
            making.at = end;
            making.directories.settle(py)?;
            making.files.settle(py)?;
            if end == entries.len() {
                return Ok(true);
            }
            if manners.gives_way(py)? {
                return Ok(false);
            }
        }
    }

    /// Creates the item for a directory whose names are complete.
    fn finish(&mut self, py: Python<'_>) -> PyResult<()> {
        let Some(making) = self.making.take() else { return Ok(()) };
        let Making { listing, mut directories, mut files, kept, .. } = making;
        let node = listing.node();
        let (path, depth) = (node.path(), node.depth());
        let own = (!node.is_followed()).then_some(FileType::DIRECTORY);
        self.tree.take_back(listing);
        let path = match path {
            Some(path) if depth > 0 => {
                let text = results::path(py, &path.to_os_string())?;
                let directory = self.directory.bind(py);
                let path = if self.plain {
                    directory.get_type().call1((text,))?
                } else {
                    directory.call_method1(intern!(py, "with_segments"), (text,))?
                };
                dir_entry::inform(&path, known_of(own, Some(FileType::DIRECTORY)));
                path.unbind()
            }
            _ => self.directory.clone_ref(py),
        };
        let (list, files) = (directories.settle(py)?, files.settle(py)?);
        let item = PyTuple::new(py, [path.bind(py), list.as_any(), files.as_any()])?;
        if self.top_down {
            self.given = Some(Given { list: list.unbind(), names: kept });
        }
        self.ready = Some(item.into_any().unbind());
        Ok(())
    }
}

/// How many entries a directory has been found to have, and the first one itself.
fn amount(listing: &Listing) -> Amount {
    let directories = listing.directories();
    let files = listing.entries().len() - directories;
    let own = usize::from(listing.node().depth() == 0);
    Amount { files: files as u64, directories: (own + directories) as u64, bytes: 0 }
}

impl Items for WalkItems {
    fn advance(&mut self, py: Python<'_>, manners: &Manners) -> Progress<PyResult<bool>> {
        if let Some(reports) = &mut self.reports {
            reports.go_on();
        }
        if let Err(error) = self.decide(py) {
            return Progress::Done(Err(error));
        }
        if self.making.is_none() {
            match self.take(py) {
                Progress::Done(Ok(true)) if !self.has_news() => {}
                other => return other,
            }
        }
        match self.make_names(py, manners) {
            Ok(true) => Progress::Done(self.finish(py).map(|()| true)),
            Ok(false) => Progress::Yield,
            Err(error) => Progress::Done(Err(error)),
        }
    }

    fn make(&mut self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        if let Some(report) = self.reports.as_mut().map_or(Ok(None), |reports| reports.make(py))? {
            return Ok(vec![report]);
        }
        // One at a time: what the caller makes of it decides what comes next.
        Ok(self.ready.take().into_iter().collect())
    }

    fn progress(&self) -> u64 {
        self.tree.progress()
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.directory)?;
        for object in self.on_error.iter().chain(&self.ready) {
            visit.call(object)?;
        }
        for names in self.making.iter().flat_map(|making| [&making.directories, &making.files]) {
            if let Some(list) = &names.list {
                visit.call(list)?;
            }
        }
        self.given.as_ref().map_or(Ok(()), |given| visit.call(&given.list))
    }
}

/// The directories of a tree, as the source of a stream. `plain`: whether the directory's class leaves the creation of
/// paths to pathlib. `progress`: whether it also yields reports of its progress.
#[pyfunction]
#[pyo3(signature = (directory, plain, on_error, wanted, progress, /))]
pub(crate) fn walk(
    directory: &Bound<'_, PyAny>,
    plain: bool,
    on_error: Option<Py<PyAny>>,
    wanted: TreeArguments,
    progress: bool,
) -> PyResult<Source> {
    let py = directory.py();
    let path: PathArgument<'_> = directory.extract()?;
    let native = path.native("scandir")?;
    let is_dot = path.name().bind(py) == ".";
    let (top_down, min_depth) = (wanted.top_down, wanted.min_depth);
    Ok(Source::new(WalkItems {
        tree: Engine::current().walk(native, wanted.options(Purpose::Names)),
        directory: directory.clone().unbind(),
        plain,
        on_error,
        top_down,
        min_depth,
        making: None,
        given: None,
        ready: None,
        reports: progress.then(ReadingReports::new),
        hides_dot: is_dot && py.version_info() >= (3, 12) && py.version_info() < (3, 13),
    }))
}
