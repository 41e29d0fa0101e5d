//! The names in a directory, handed out in batches so that no single step holds the loop for long.

use std::ffi::OsStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec::IntoIter;

use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use pyo3::{PyTraverseError, PyVisit, ffi};

use crate::next_item::{self, Ask, next_item};
use crate::once::intern;
use crate::pure_path::Children;
use crate::results;

/// The names in a directory, as read by the worker, handed out in batches.
#[pyclass(frozen, module = "rapfiles._native")]
pub(crate) struct DirectoryListing {
    listing: rapfiles_core::DirectoryListing,
    next: AtomicUsize,
}

impl DirectoryListing {
    pub(crate) fn new(listing: rapfiles_core::DirectoryListing) -> Self {
        Self { listing, next: AtomicUsize::new(0) }
    }
}

impl DirectoryListing {
    fn next_names<'py>(
        &self,
        py: Python<'py>,
        size: usize,
    ) -> impl Iterator<Item = PyResult<Bound<'py, PyString>>> {
        let from = self.next.fetch_add(size, Ordering::Relaxed).min(self.listing.len());
        let to = from.saturating_add(size).min(self.listing.len());
        (from..to).filter_map(|index| self.listing.name(index)).map(move |name| {
            // SAFETY: the engine keeps names as `as_encoded_bytes` gives them, one by one.
            results::path(py, unsafe { OsStr::from_encoded_bytes_unchecked(name) })
        })
    }
}

#[pymethods]
impl DirectoryListing {
    /// The next names, `size` at most; an empty list after the last.
    #[pyo3(signature = (size, /))]
    fn next_batch<'py>(&self, py: Python<'py>, size: usize) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.next_names(py, size).collect::<PyResult<Vec<_>>>()?)
    }

    /// The next names as children of the directory, whose class leaves to pathlib how paths are made. `None` where this
    /// version's pathlib is not known: they have to be joined.
    #[pyo3(signature = (directory, prefix, size, /))]
    fn next_children<'py>(
        &self,
        directory: &Bound<'py, PyAny>,
        prefix: &Bound<'py, PyString>,
        size: usize,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        let py = directory.py();
        let Some(children) = Children::of(directory, prefix) else { return Ok(None) };
        let children = self.next_names(py, size).map(|name| children.make(name?));
        Ok(Some(PyList::new(py, children.collect::<PyResult<Vec<_>>>()?)?))
    }

    fn __len__(&self) -> usize {
        self.listing.len()
    }
}

/// The native half of the iterator over the children of a directory: those that are made already.
#[pyclass(frozen, subclass, module = "rapfiles._native")]
pub(crate) struct ChildIterator(Mutex<IntoIter<Py<PyAny>>>);

impl ChildIterator {
    fn children(&self) -> MutexGuard<'_, IntoIter<Py<PyAny>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl ChildIterator {
    #[new]
    #[pyo3(signature = (directory, /))]
    fn new(directory: &Bound<'_, PyAny>) -> Self {
        // That is for the other half.
        let _ = directory;
        Self(Mutex::default())
    }

    /// The next ones to be handed out, in place of those that are left.
    #[pyo3(signature = (children, /))]
    fn _keep(&self, children: Vec<Py<PyAny>>) {
        let before = std::mem::replace(&mut *self.children(), children.into_iter());
        drop(before);
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// The slot of the class has a function of its own (`set_next_slot`).
    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        anext(slf.as_any())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // While it is locked, this thread takes something out of it.
        if let Ok(children) = self.0.try_lock() {
            for child in children.as_slice() {
                visit.call(child)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        self._keep(Vec::new());
    }
}

/// What is in the `am_anext` slot of the class, with nothing in between.
///
/// # Safety
/// Called by the interpreter with an iterator of this class.
pub(crate) unsafe extern "C" fn am_anext(iterator: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls this attached, and the caller has a reference to the iterator.
    unsafe { next_item::am_anext(iterator, anext) }
}

fn anext<'py>(iterator: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    next_item(iterator, &Ask { ready: next_child, operation: fetch })
}

/// Takes the next child, if there is one left.
fn next_child<'py>(iterator: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    // SAFETY: this is asked of iterators of this class only.
    let child = unsafe { iterator.cast_unchecked::<ChildIterator>() }.get().children().next();
    Some(child?.into_bound(iterator.py()))
}

/// Begins to get more of them.
fn fetch<'py>(iterator: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    iterator.call_method0(intern!(iterator.py(), "_fetch"))
}
