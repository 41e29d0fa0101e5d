//! Directories from which Python selects the entries that a long operation goes on with.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::dir_entry::spelled;
use crate::errors;
use crate::limits::SELECTED_AT_ONCE;
use crate::results;

/// The content of a directory, until the caller has selected from it.
#[pyclass(frozen, module = "rapfiles._native")]
pub(crate) struct Selection(Mutex<Option<rapfiles_core::Selection>>);

impl Selection {
    pub(crate) fn new(selection: rapfiles_core::Selection) -> Self {
        Self(Mutex::new(Some(selection)))
    }

    fn lock(&self) -> MutexGuard<'_, Option<rapfiles_core::Selection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn over() -> PyErr {
    PyRuntimeError::new_err("the entries of this directory have been selected already")
}

#[pymethods]
impl Selection {
    /// The path of the directory.
    #[getter]
    fn directory<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let directory = self.lock().as_ref().ok_or_else(over)?.directory().to_os_string();
        results::path(py, &directory)
    }

    /// The next names of what is in it, from this one on; none at the end.
    #[pyo3(signature = (start, /))]
    fn names<'py>(&self, py: Python<'py>, start: usize) -> PyResult<Vec<Bound<'py, PyString>>> {
        // Creating objects may run other Python code, so no lock is held.
        let Some(selection) = self.lock().take() else { return Err(over()) };
        let entries = selection.entries();
        let end = entries.len().min(start.saturating_add(SELECTED_AT_ONCE));
        let named = (start..end).filter_map(|position| entries.get(position));
        let names = named.map(|entry| spelled(py, entry.name)).collect();
        *self.lock() = Some(selection);
        names
    }

    /// Goes on with the entries whose byte here is not 0.
    fn keep(&self, kept: &[u8]) -> PyResult<()> {
        let Some(selection) = self.lock().take() else { return Err(over()) };
        let is_kept = |position: usize| kept.get(position).is_some_and(|byte| *byte != 0);
        selection.keep(is_kept).map_err(errors::no_memory)
    }
}
