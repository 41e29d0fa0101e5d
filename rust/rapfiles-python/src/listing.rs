//! The names in a directory, handed out in batches so that no single step holds the loop for long.

use std::ffi::OsStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

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
