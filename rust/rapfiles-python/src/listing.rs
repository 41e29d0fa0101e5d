//! The names in a directory, handed out in batches so that no single step holds the loop for long.

use std::ffi::OsStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyList;

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

#[pymethods]
impl DirectoryListing {
    /// The next names, `size` at most; an empty list after the last.
    #[pyo3(signature = (size, /))]
    fn next_batch<'py>(&self, py: Python<'py>, size: usize) -> PyResult<Bound<'py, PyList>> {
        let from = self.next.fetch_add(size, Ordering::Relaxed).min(self.listing.len());
        let to = from.saturating_add(size).min(self.listing.len());
        let names = (from..to).filter_map(|index| self.listing.name(index)).map(|name| {
            // SAFETY: the engine keeps names as `as_encoded_bytes` gives them, one by one.
            results::path(py, unsafe { OsStr::from_encoded_bytes_unchecked(name) })
        });
        PyList::new(py, names.collect::<PyResult<Vec<_>>>()?)
    }

    fn __len__(&self) -> usize {
        self.listing.len()
    }
}
