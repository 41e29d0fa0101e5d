//! Directory entries: the native half of `AsyncDirEntry`, an `os.DirEntry` whose types a worker has looked up
//! beforehand.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit, ffi};
use rapfiles_core::{EntryFacts, EntryStats, Error, FileType, Metadata, Subject};

use crate::errors::{self, Names};
use crate::next_item::{Ask, next_item};
use crate::once::intern;
use crate::pure_path::{Children, is_simple, known_types};
use crate::{results, stat_result};

/// The directory of entries, shared by all of its entries.
pub(crate) struct Place {
    /// The path whose class makes the paths of the entries.
    pub(crate) origin: Py<PyAny>,
    /// What comes before the name in the text of a path.
    prefix: Py<PyString>,
    /// Whether that is the text of the origin itself, and its class leaves to pathlib how paths are made.
    plain: bool,
    /// Whether neither the origin nor a path made from it can refer to an entry.
    simple: bool,
}

impl Place {
    pub(crate) fn new(origin: &Bound<'_, PyAny>, prefix: Bound<'_, PyString>, plain: bool) -> Self {
        let simple = plain && is_simple(&origin.get_type());
        Self { origin: origin.clone().unbind(), prefix: prefix.unbind(), plain, simple }
    }

    /// A place below this one.
    pub(crate) fn below(&self, prefix: Bound<'_, PyString>) -> Self {
        let origin = self.origin.clone_ref(prefix.py());
        Self { origin, prefix: prefix.unbind(), plain: false, simple: self.simple }
    }

    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        let (origin, prefix) = (self.origin.clone_ref(py), self.prefix.clone_ref(py));
        Self { origin, prefix, plain: self.plain, simple: self.simple }
    }
}

/// The native half of an entry.
#[pyclass(frozen, subclass, module = "rapfiles._native")]
pub(crate) struct DirEntry {
    origin: Py<PyAny>,
    prefix: Py<PyString>,
    plain: bool,
    name: Py<PyString>,
    facts: EntryFacts,
    /// All that `stat` tells, where a worker has asked.
    stats: Option<Box<EntryStats>>,
    kept: Mutex<Kept>,
}

/// Python objects that were created on request.
#[derive(Default)]
struct Kept {
    path: Option<Py<PyAny>>,
    own: Option<Py<PyAny>>,
    target: Option<Py<PyAny>>,
}

thread_local! {
    /// The content of the instance that is being created.
    static NEXT: Cell<Option<DirEntry>> = const { Cell::new(None) };
}

impl DirEntry {
    /// An entry with this name, as an instance of a class that inherits from this one.
    pub(crate) fn make<'py>(
        class: &Bound<'py, PyType>,
        place: &Place,
        name: Bound<'py, PyString>,
        (facts, stats): (EntryFacts, Option<EntryStats>),
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = class.py();
        NEXT.set(Some(Self {
            origin: place.origin.clone_ref(py),
            prefix: place.prefix.clone_ref(py),
            plain: place.plain,
            name: name.unbind(),
            facts,
            stats: stats.map(Box::new),
            kept: Mutex::default(),
        }));
        // SAFETY: the class is a heap type, which has inherited how its instances are made from this one or has its own
        // way; the arguments are a tuple and none by name; the result is a new reference or null with an exception set.
        let made = unsafe {
            let object = match (*class.as_type_ptr()).tp_new {
                Some(new) => new(class.as_type_ptr(), PyTuple::empty(py).as_ptr(), std::ptr::null_mut()),
                None => std::ptr::null_mut(),
            };
            Bound::from_owned_ptr_or_err(py, object)
        };
        drop(NEXT.take());
        let made = made?;
        if place.simple {
            // The collector need not traverse it: an entry can refer only to strings, stat results and such paths, so it
            // cannot be part of a cycle, and reference counting frees it. A collection traverses 45,000 entries in 8 ms.
            // SAFETY: its class inherits from one whose instances belong to the collector.
            unsafe { ffi::PyObject_GC_UnTrack(made.as_ptr().cast()) };
        }
        Ok(made)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        // SAFETY: both are strings; the result is a new reference, or null with an exception set.
        let text = unsafe { ffi::PyUnicode_Concat(self.prefix.as_ptr(), self.name.as_ptr()) };
        // SAFETY: as above.
        Ok(unsafe { Bound::from_owned_ptr_or_err(py, text) }?.cast_into()?)
    }

    /// The exception of a look-up that failed.
    fn refusal(&self, py: Python<'_>, error: Error) -> PyErr {
        match self.text(py) {
            Ok(text) => errors::exception(py, error, &Names::one(text.unbind())),
            Err(failure) => failure,
        }
    }

    /// The result of `stat`, or its error, if it is known.
    fn known_stat(&self, py: Python<'_>, follow_symlinks: bool) -> Option<PyResult<Py<PyAny>>> {
        let leads_on = follow_symlinks && self.facts.own == Ok(FileType::SYMLINK);
        let kept = self.kept();
        if let Some(known) = if leads_on { &kept.target } else { &kept.own } {
            return Some(Ok(known.clone_ref(py)));
        }
        drop(kept);
        let stats = self.stats.as_ref()?;
        let found: &Result<Metadata, i32> = match &stats.target {
            Some(target) if leads_on => target,
            _ => &stats.own,
        };
        Some(match found {
            Ok(metadata) => {
                stat_result::build(py, metadata).map(|result| self.keep_stat(py, leads_on, result))
            }
            Err(code) => Err(self.refusal(py, Error::Os { code: *code, subject: Subject::Path })),
        })
    }

    /// Caches a result, unless there is one; returns the cached one.
    fn keep_stat(&self, py: Python<'_>, leads_on: bool, result: Py<PyAny>) -> Py<PyAny> {
        let mut kept = self.kept();
        let place = if leads_on { &mut kept.target } else { &mut kept.own };
        place.get_or_insert(result).clone_ref(py)
    }

    fn is_type(&self, py: Python<'_>, wanted: FileType, follow: bool) -> PyResult<bool> {
        self.facts.is(wanted, follow).map_err(|error| self.refusal(py, error))
    }

    fn make_path<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (origin, known) = (self.origin.bind(py), known_types(self.facts.own, Some(self.facts.target)));
        if self.plain
            && let Some(children) = Children::of(origin, self.prefix.bind(py))
        {
            return children.make(self.name.bind(py).clone(), known);
        }
        joined(origin, self.text(py)?, known)
    }
}

/// The result of `stat`, if it is known.
fn ready<'py>(entry: &Bound<'py, PyAny>, follow_symlinks: bool) -> Option<Bound<'py, PyAny>> {
    let py = entry.py();
    // SAFETY: this is asked of entries only.
    let entry = unsafe { entry.cast_unchecked::<DirEntry>() }.get();
    // An error is raised when it is looked up again.
    entry.known_stat(py, follow_symlinks)?.ok().map(|result| result.into_bound(py))
}

/// Asks the system, if no worker has.
fn look_up<'py>(entry: &Bound<'py, PyAny>, follow_symlinks: bool) -> PyResult<Bound<'py, PyAny>> {
    let py = entry.py();
    if let Some(Err(error)) = entry.cast::<DirEntry>()?.get().known_stat(py, follow_symlinks) {
        return Err(error);
    }
    entry.call_method1(intern!(py, "_look_up"), (follow_symlinks,))
}

/// The path with this text, made by the class of another one. `known`: what its `info` knows already.
pub(crate) fn joined<'py>(
    origin: &Bound<'py, PyAny>,
    text: Bound<'py, PyString>,
    known: u8,
) -> PyResult<Bound<'py, PyAny>> {
    let py = origin.py();
    let path = origin.call_method1(intern!(py, "with_segments"), (text,))?;
    inform(&path, known);
    Ok(path)
}

/// Tells the `info` of a new path what it knows already.
pub(crate) fn inform(path: &Bound<'_, PyAny>, known: u8) {
    if known != 0 {
        // A subclass may have no such attribute.
        drop(path.setattr(intern!(path.py(), "_info"), known));
    }
}

#[pymethods]
impl DirEntry {
    #[new]
    #[pyo3(signature = (*arguments, **named))]
    fn new(arguments: &Bound<'_, PyTuple>, named: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let _ = (arguments, named);
        NEXT.take()
            .ok_or_else(|| PyTypeError::new_err("directory entries are only created by `scandir` and `find`"))
    }

    /// The name within the directory.
    #[getter]
    fn name(&self, py: Python<'_>) -> Py<PyString> {
        self.name.clone_ref(py)
    }

    /// The path of the entry: that of the directory, joined with the name.
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(path) = &self.kept().path {
            return Ok(path.bind(py).clone());
        }
        // Making it may run Python code.
        let path = self.make_path(py)?;
        let before = self.kept().path.replace(path.clone().unbind());
        drop(before);
        Ok(path)
    }

    fn __fspath__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        self.text(py)
    }

    /// Whether it is a directory.
    #[pyo3(signature = (*, follow_symlinks=true))]
    fn is_dir(&self, py: Python<'_>, follow_symlinks: bool) -> PyResult<bool> {
        self.is_type(py, FileType::DIRECTORY, follow_symlinks)
    }

    /// Whether it is a regular file.
    #[pyo3(signature = (*, follow_symlinks=true))]
    fn is_file(&self, py: Python<'_>, follow_symlinks: bool) -> PyResult<bool> {
        self.is_type(py, FileType::REGULAR, follow_symlinks)
    }

    /// Whether it is a symbolic link.
    fn is_symlink(&self, py: Python<'_>) -> PyResult<bool> {
        self.is_type(py, FileType::SYMLINK, false)
    }

    /// Whether it is a junction of Windows.
    fn is_junction(&self) -> bool {
        self.facts.is_junction
    }

    /// The number of its inode.
    fn inode(&self) -> u128 {
        self.facts.inode
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let name = slf.get().name.bind(slf.py()).repr()?;
        Ok(format!("<{} {name}>", slf.get_type().name()?))
    }

    /// An awaitable of the result of `stat`.
    #[pyo3(signature = (*, follow_symlinks=true))]
    fn stat<'py>(slf: &Bound<'py, Self>, follow_symlinks: bool) -> PyResult<Bound<'py, PyAny>> {
        static FOLLOWED: Ask =
            Ask { ready: |entry| ready(entry, true), operation: |entry| look_up(entry, true) };
        static OWN: Ask =
            Ask { ready: |entry| ready(entry, false), operation: |entry| look_up(entry, false) };
        next_item(slf, if follow_symlinks { &FOLLOWED } else { &OWN })
    }

    /// Caches the result of `stat`, unless there is one; returns the cached one.
    #[pyo3(signature = (follow_symlinks, result, /))]
    fn _keep_stat(&self, py: Python<'_>, follow_symlinks: bool, result: Py<PyAny>) -> Py<PyAny> {
        let leads_on = follow_symlinks && self.facts.own == Ok(FileType::SYMLINK);
        self.keep_stat(py, leads_on, result)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.origin)?;
        // A stat result refers to nothing else.
        match self.kept.try_lock().as_deref() {
            Ok(Kept { path: Some(path), .. }) => visit.call(path),
            _ => Ok(()),
        }
    }
}

/// The name of an entry as Python spells it.
pub(crate) fn spelled<'py>(py: Python<'py>, name: &[u8]) -> PyResult<Bound<'py, PyString>> {
    // SAFETY: the engine keeps names as `as_encoded_bytes` gives them, one by one.
    results::path(py, unsafe { std::ffi::OsStr::from_encoded_bytes_unchecked(name) })
}
