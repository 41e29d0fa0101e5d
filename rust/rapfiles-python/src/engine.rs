//! The engine's own functions: configuration, counters, and what it can use on a file system.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rapfiles_core::Engine;

use crate::arguments::PathArgument;
use crate::errors::Names;
use crate::operation::{Operation, submit};

/// Changes the most workers that run at once.
#[pyfunction]
#[pyo3(signature = (max_workers, /))]
pub(crate) fn configure(max_workers: usize) -> PyResult<()> {
    if max_workers == 0 {
        return Err(PyValueError::new_err("max_workers must be at least 1"));
    }
    Engine::current().set_max_workers(max_workers);
    Ok(())
}

/// The engine's configuration.
#[pyfunction]
pub(crate) fn configuration(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let configuration = Engine::current().configuration();
    let info = PyDict::new(py);
    info.set_item("max_workers", configuration.max_workers)?;
    info.set_item("usable_cpus", configuration.usable_cpus)?;
    info.set_item("spin", usize::from(configuration.may_spin()))?;
    Ok(info)
}

/// The engine's counters.
#[pyfunction]
pub(crate) fn stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let counters = Engine::current().counters();
    let info = PyDict::new(py);
    info.set_item("cached", counters.cached)?;
    info.set_item("submitted", counters.submitted)?;
    info.set_item("unsuspended", counters.unsuspended)?;
    info.set_item("completed", counters.completed)?;
    info.set_item("cancelled", counters.cancelled)?;
    info.set_item("wakeups", counters.wakeups)?;
    info.set_item("panics", counters.panics)?;
    info.set_item("queued", counters.queued)?;
    info.set_item("in_flight", counters.in_flight)?;
    info.set_item("workers", counters.workers)?;
    info.set_item("idle_workers", counters.idle_workers)?;
    Ok(info)
}

/// Whether and how tier 0 works on the file system of a path.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub(crate) fn inspect(py: Python<'_>, path: PathArgument<'_>) -> PyResult<Operation> {
    let operation = rapfiles_core::PathOperation::Inspect { path: path.native("inspect")? };
    submit(py, operation, Names::one(path.name()))
}

/// Panics in a worker, for the tests.
#[pyfunction]
pub(crate) fn panic_in_worker(py: Python<'_>) -> PyResult<Operation> {
    submit(py, rapfiles_core::PathOperation::Panic, Names::none())
}
