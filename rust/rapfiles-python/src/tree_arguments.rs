//! The options of a tree as the package passes them, and errors that are raised at the end.

use std::ffi::OsString;

use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration};
use pyo3::prelude::*;
use pyo3::types::PyList;
use rapfiles_core::{
    Account, Error, FileType, Filter, Options, Pattern, Patterns, Permissions, Purpose, Timestamp,
};

use crate::errors::{self, Names};
use crate::limits::MOST_ERRORS;
use crate::once::intern;

/// The earliest and the latest time, in nanoseconds.
type Times = (Option<i128>, Option<i128>);

/// A user, by number or by name.
#[derive(FromPyObject)]
enum Owner {
    Id(u32),
    Name(String),
}

/// The options of a tree.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct TreeArguments {
    pub(crate) top_down: bool,
    follow_symlinks: bool,
    pub(crate) min_depth: u32,
    max_depth: Option<u32>,
    same_file_system: bool,
    detect_loops: bool,
    sort: bool,
    gitignore: bool,
    workers: usize,
    include: Vec<OsString>,
    exclude: Vec<OsString>,
    prune: Vec<OsString>,
    kinds: Vec<u32>,
    size: Option<(u64, u64)>,
    modified: Option<Times>,
    changed: Option<Times>,
    owner: Option<Owner>,
    permissions: Option<(char, u32)>,
    empty: Option<bool>,
    hidden: Option<bool>,
    all_directories: bool,
}

impl TreeArguments {
    pub(crate) fn options(self, purpose: Purpose) -> Options {
        let times = |(after, before): Times| {
            let time = |nanoseconds: Option<i128>| nanoseconds.and_then(Timestamp::from_nanoseconds);
            (time(after), time(before))
        };
        Options {
            purpose,
            top_down: self.top_down,
            follow_symlinks: self.follow_symlinks,
            max_depth: self.max_depth,
            min_depth: self.min_depth,
            same_file_system: self.same_file_system,
            detect_loops: self.detect_loops,
            sort: self.sort,
            gitignore: self.gitignore,
            filter: Filter {
                include: patterns(self.include),
                exclude: patterns(self.exclude),
                prune: patterns(self.prune),
                kinds: self.kinds.into_iter().map(FileType).collect(),
                size: self.size,
                modified: self.modified.map(times),
                changed: self.changed.map(times),
                owner: self.owner.map(|owner| match owner {
                    Owner::Id(id) => Account::Id(id),
                    Owner::Name(name) => Account::Name(name),
                }),
                permissions: self.permissions.map(|(form, bits)| match form {
                    '-' => Permissions::All(bits),
                    '/' => Permissions::Any(bits),
                    _ => Permissions::Exactly(bits),
                }),
                empty: self.empty,
                hidden: self.hidden,
            },
            workers: self.workers,
            all_directories: self.all_directories,
            beyond_longest_path: purpose == Purpose::Usage,
        }
    }
}

fn patterns(texts: Vec<OsString>) -> Patterns {
    let separators = |text: OsString| {
        let mut text = text.into_encoded_bytes();
        if cfg!(windows) {
            text.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
        }
        Pattern::new(&text)
    };
    Patterns::new(texts.into_iter().map(separators).collect())
}

/// Passes an error to a callback. What it raises ends the iteration, and does not pass for its end (PEP 525).
pub(crate) fn tell(py: Python<'_>, on_error: &Py<PyAny>, exception: PyErr) -> PyResult<()> {
    on_error.call1(py, (exception,)).map(drop).map_err(|raised| {
        if !raised.is_instance_of::<PyStopAsyncIteration>(py) {
            return raised;
        }
        let told = PyRuntimeError::new_err("on_error raised StopAsyncIteration");
        told.set_cause(py, Some(raised));
        told
    })
}

/// The errors of a tree: reported one by one, or raised in a group at the end.
pub(crate) struct Errors {
    on_error: Option<Py<PyAny>>,
    kept: Vec<PyErr>,
    count: usize,
}

impl Errors {
    pub(crate) fn new(on_error: Option<Py<PyAny>>) -> Self {
        Self { on_error, kept: Vec::new(), count: 0 }
    }

    /// Reports some, or keeps them.
    pub(crate) fn report(&mut self, py: Python<'_>, errors: Vec<Error>) -> PyResult<()> {
        for error in errors {
            let exception = errors::exception(py, error, &Names::none());
            if let Some(on_error) = &self.on_error {
                tell(py, on_error, exception)?;
            } else {
                self.count += 1;
                if self.kept.len() < MOST_ERRORS {
                    self.kept.push(exception);
                }
            }
        }
        Ok(())
    }

    /// Raises those that have been kept, after everything else.
    pub(crate) fn raise(&mut self, py: Python<'_>, operation: &str) -> PyResult<()> {
        if self.kept.is_empty() {
            return Ok(());
        }
        let kept = std::mem::take(&mut self.kept);
        let shown =
            if kept.len() < self.count { format!(", the first {}", kept.len()) } else { String::new() };
        let message = format!("{operation}: {} errors{shown}", self.count);
        let message = if self.count == 1 { format!("{operation}: 1 error") } else { message };
        let group = py.import(intern!(py, "builtins"))?.getattr(intern!(py, "ExceptionGroup"))?;
        let exceptions = PyList::new(py, kept.into_iter().map(|error| error.into_value(py)))?;
        Err(PyErr::from_value(group.call1((message, exceptions))?))
    }

    pub(crate) fn callback(&self) -> Option<&Py<PyAny>> {
        self.on_error.as_ref()
    }
}
