//! The entries of a directory, yielded as they are read.

use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};
use pyo3::{PyTraverseError, PyVisit};
use rapfiles_core::{Engine, Facts, NativePath, Progress, ScanDirectory, Scanned, Single, Stream, Ticket};

use crate::arguments::PathArgument;
use crate::dir_entry::{DirEntry, Place, spelled};
use crate::errors::{self, Names};
use crate::reports::ReadingReports;
use crate::stream::{Items, Manners, Source};

/// Entries that are created before other tasks may run: some 30 µs of work.
const LOT: usize = 128;

/// What is in a directory, on its way to Python.
struct ScanItems {
    stream: Stream<Single<ScanDirectory>>,
    names: Names,
    class: Py<PyType>,
    place: Place,
    scanned: Scanned,
    /// How many of those have been created, and the properties of the others.
    at: usize,
    facts: Facts,
    reports: Option<(ReadingReports, NativePath)>,
}

impl Items for ScanItems {
    fn advance(&mut self, py: Python<'_>, _manners: &Manners) -> Progress<PyResult<bool>> {
        if let Some((reports, _)) = &mut self.reports {
            reports.go_on();
        }
        self.stream.next(Ticket::unique).map(|ended| {
            let scanned = ended.map_err(|error| errors::exception(py, error, &self.names))?;
            let goes_on = scanned.is_some();
            let spent = std::mem::replace(&mut self.scanned, scanned.unwrap_or_default());
            self.stream.take_back(spent);
            self.at = 0;
            let told = self.reports.as_mut().is_some_and(|(reports, path)| match goes_on {
                true => reports.has_read(self.scanned.amount(), || Some(path.clone())),
                false => reports.end(),
            });
            self.facts = self.scanned.take_facts();
            Ok(goes_on || told)
        })
    }

    fn make(&mut self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        if let Some(report) = self.reports.as_mut().map_or(Ok(None), |(reports, _)| reports.make(py))? {
            return Ok(vec![report]);
        }
        let from = self.at;
        self.at = self.scanned.len().min(from + LOT);
        let class = self.class.bind(py);
        let names = (from..self.at).filter_map(|index| self.scanned.name(index));
        let make =
            |(name, facts)| Ok(DirEntry::make(class, &self.place, spelled(py, name)?, facts)?.unbind());
        names.zip(self.facts.by_ref()).map(make).collect()
    }

    fn progress(&self) -> u64 {
        self.stream.progress()
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.class)?;
        visit.call(&self.place.origin)
    }
}

/// The entries of a directory, as the source of a stream of instances of a class. `prefix`: the text of their paths
/// before the name. `plain`: whether the directory's class leaves the creation of paths to pathlib. `with_stat`:
/// whether workers call `stat(2)` for each beforehand. `progress`: whether it also yields reports of its progress.
#[pyfunction]
#[pyo3(signature = (directory, prefix, plain, class, with_stat, progress, /))]
pub(crate) fn scan(
    directory: &Bound<'_, PyAny>,
    prefix: Bound<'_, PyString>,
    plain: bool,
    class: Bound<'_, PyType>,
    with_stat: bool,
    progress: bool,
) -> PyResult<Source> {
    if !class.is_subclass_of::<DirEntry>()? {
        return Err(pyo3::exceptions::PyTypeError::new_err("not a subclass of DirEntry"));
    }
    let path: PathArgument<'_> = directory.extract()?;
    let native = path.native("scandir")?;
    let reports = progress.then(|| (ReadingReports::new(), native.clone()));
    Ok(Source::new(ScanItems {
        stream: Engine::current().scan(native, with_stat),
        names: Names::one(path.name()),
        class: class.unbind(),
        place: Place::new(directory, prefix, plain),
        scanned: Scanned::default(),
        at: 0,
        facts: Facts::default(),
        reports,
    }))
}
