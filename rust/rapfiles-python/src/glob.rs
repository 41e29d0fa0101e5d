//! The paths that match a pattern, created a few at a time as workers find them.

use std::ffi::OsStr;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use pyo3::{PyTraverseError, PyVisit};
use rapfiles_core::{
    Engine, FileType, Glob, GlobFound, GlobGroup, GlobRules, Progress, Selector, Stream, Ticket,
};

use crate::arguments::PathArgument;
use crate::dir_entry::{self, spelled};
use crate::errors::{self, Names};
use crate::pure_path::{Children, known_of};
use crate::reports::ReadingReports;
use crate::results;
use crate::stream::{Items, Manners, Source};

/// Names that become paths before other tasks may have a turn: some 40 µs of work.
const LOT: usize = 128;
/// The same if each path is created by its class.
const JOINED: usize = 16;

/// The directory that names are joined to.
struct Directory {
    /// What the engine calls it.
    key: Arc<[u8]>,
    path: Py<PyAny>,
    prefix: Py<PyString>,
}

/// What matches, on its way to Python.
struct GlobItems {
    stream: Stream<Glob>,
    names: Names,
    top: Py<PyAny>,
    prefix: Py<PyString>,
    /// Whether the class of the top leaves the creation of paths to pathlib.
    plain: bool,
    found: GlobFound,
    /// How many of the first group's names have been created.
    at: usize,
    directory: Option<Directory>,
    reports: Option<ReadingReports>,
}

impl GlobItems {
    /// Prepares the directory that a group's names are joined to.
    fn enter(&mut self, py: Python<'_>, key: &Arc<[u8]>) -> PyResult<()> {
        if self.directory.as_ref().is_some_and(|directory| Arc::ptr_eq(&directory.key, key)) {
            return Ok(());
        }
        // SAFETY: the engine has put it together from names as `as_encoded_bytes` gives them, and separators.
        let text = |bytes| results::path(py, unsafe { OsStr::from_encoded_bytes_unchecked(bytes) });
        let prefix = text(key)?;
        let same = prefix.as_any().eq(self.prefix.bind(py))?;
        let path = match (same, self.plain) {
            (true, _) | (_, false) => self.top.clone_ref(py),
            // Without the separator after it.
            (false, true) => {
                let path = text(key.split_last().map_or(&[][..], |(_, before)| before))?;
                self.top.bind(py).get_type().call1((path,))?.unbind()
            }
        };
        self.directory = Some(Directory { key: Arc::clone(key), path, prefix: prefix.unbind() });
        Ok(())
    }

    /// Creates paths from the next names of a group, and appends them.
    fn make_lot(&mut self, py: Python<'_>, group: &GlobGroup, made: &mut Vec<Py<PyAny>>) -> PyResult<()> {
        if group.top {
            let (top, known) = (self.top.bind(py), known_of(None, Some(FileType::DIRECTORY)));
            made.push(dir_entry::joined(top, top.str()?, known)?.unbind());
            return Ok(());
        }
        self.enter(py, &group.prefix)?;
        let Some(directory) = &self.directory else { return Ok(()) };
        let (path, prefix) = (directory.path.bind(py), directory.prefix.bind(py));
        let children = if self.plain { Children::of(path, prefix) } else { None };
        let from = self.at;
        self.at = group.end.min(from + if children.is_some() { LOT } else { JOINED });
        for index in from..self.at {
            let Some(entry) = self.found.names.get(index) else { break };
            let known = known_of(entry.file_type, self.found.target(index));
            let name = spelled(py, entry.name)?;
            made.push(match &children {
                Some(children) => children.make(name, known)?.unbind(),
                None => {
                    let text = prefix.add(name)?.cast_into()?;
                    dir_entry::joined(self.top.bind(py), text, known)?.unbind()
                }
            });
        }
        Ok(())
    }
}

impl Items for GlobItems {
    fn advance(&mut self, py: Python<'_>, _manners: &Manners) -> Progress<PyResult<bool>> {
        if let Some(reports) = &mut self.reports {
            reports.go_on();
        }
        self.stream.next(Ticket::unique).map(|ended| {
            let found = ended.map_err(|error| errors::exception(py, error, &self.names))?;
            let goes_on = found.is_some();
            let spent = std::mem::replace(&mut self.found, found.unwrap_or_default());
            self.stream.take_back(spent);
            self.at = 0;
            let told = self.reports.as_mut().is_some_and(|reports| match goes_on {
                true => reports.has_read(self.found.amount, || self.found.place()),
                false => reports.end(),
            });
            Ok(goes_on || told)
        })
    }

    fn make(&mut self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        if let Some(report) = self.reports.as_mut().map_or(Ok(None), |reports| reports.make(py))? {
            return Ok(vec![report]);
        }
        let mut made = Vec::with_capacity(LOT);
        // Directories with a single match are many.
        while made.len() < JOINED
            && let Some(group) = self.found.groups.pop_front()
        {
            self.make_lot(py, &group, &mut made)?;
            if self.at < group.end {
                self.found.groups.push_front(group);
                break;
            }
        }
        Ok(made)
    }

    fn progress(&self) -> u64 {
        self.stream.progress()
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(directory) = &self.directory {
            visit.call(&directory.path)?;
        }
        visit.call(&self.top)
    }
}

/// What matches a pattern below a directory, as the source of a stream. `prefix`: the text of the paths before the
/// names in it. `plain`: whether its class leaves the creation of paths to pathlib. `components`: those of the pattern,
/// in UTF-32. `rules`: see `GlobRules`. `progress`: whether it also yields reports of its progress.
#[pyfunction]
#[pyo3(signature = (directory, prefix, plain, components, rules, progress, /))]
pub(crate) fn glob(
    directory: &Bound<'_, PyAny>,
    prefix: PathArgument<'_>,
    plain: bool,
    components: Vec<Bound<'_, PyBytes>>,
    rules: (bool, bool, bool, bool, bool, bool, bool, bool),
    progress: bool,
) -> PyResult<Source> {
    let path: PathArgument<'_> = directory.extract()?;
    let native = path.native("scandir")?;
    let before = prefix.native("scandir")?.to_os_string();
    let characters = |component: &Bound<'_, PyBytes>| {
        let units = component.as_bytes().chunks_exact(4);
        units.map(|unit| u32::from_ne_bytes([unit[0], unit[1], unit[2], unit[3]])).collect()
    };
    let components: Vec<Vec<u32>> = components.iter().map(characters).collect();
    let rules = GlobRules {
        case_sensitive: rules.0,
        scans_literals: rules.1,
        recurses_symlinks: rules.2,
        ends_in_files: rules.3,
        directories_only: rules.4,
        needs_directory: rules.5,
        finds_dangling: rules.6,
        raises: rules.7,
    };
    let selector = Selector::new(&components, rules);
    Ok(Source::new(GlobItems {
        stream: Engine::current().glob(native, before.as_encoded_bytes(), selector, progress),
        names: Names::one(path.name()),
        top: directory.clone().unbind(),
        prefix: prefix.name(),
        plain,
        found: GlobFound::default(),
        at: 0,
        directory: None,
        reports: progress.then(ReadingReports::new),
    }))
}
