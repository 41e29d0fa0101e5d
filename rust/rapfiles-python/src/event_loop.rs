//! Event loops: which one runs the current task.

#[cfg(not(Py_3_12))]
mod recorded;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::once::{Once, intern};

/// The framework whose task is running.
pub(crate) enum Framework<'py> {
    /// asyncio or one of its drop-in loops, such as uvloop: the running loop.
    Asyncio(Bound<'py, PyAny>),
    /// trio.
    Trio,
}

/// The framework whose task is running.
pub(crate) fn framework(py: Python<'_>) -> PyResult<Framework<'_>> {
    if in_trio_task(py)? {
        return Ok(Framework::Trio);
    }
    let event_loop = running_loop(py)?;
    if event_loop.is_none() {
        return Err(PyRuntimeError::new_err(
            "no running event loop: rapfiles operations must be awaited in a task of asyncio or trio",
        ));
    }
    Ok(Framework::Asyncio(event_loop))
}

/// The running loop of asyncio; `None` if there is none.
fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    #[cfg(not(Py_3_12))]
    if let Some(event_loop) = recorded::running_loop(py) {
        return Ok(event_loop);
    }
    static RUNNING_LOOP: Once<Py<PyAny>> = Once::new();
    let running_loop = RUNNING_LOOP
        .get_or_try_init(py, || py.import("asyncio")?.getattr("_get_running_loop").map(Bound::unbind))?;
    let event_loop = running_loop.bind(py).call0()?;
    #[cfg(not(Py_3_12))]
    recorded::learn(&event_loop);
    Ok(event_loop)
}

/// Whether a trio task is running. Where trio has not been imported, none is.
pub(crate) fn in_trio_task(py: Python<'_>) -> PyResult<bool> {
    static MODULES: Once<Py<PyDict>> = Once::new();
    static IN_TRIO_TASK: Once<Py<PyAny>> = Once::new();
    let modules = MODULES.get_or_try_init(py, || {
        py.import("sys")?.getattr("modules")?.cast_into::<PyDict>().map(Bound::unbind).map_err(PyErr::from)
    })?;
    if !modules.bind(py).contains(intern!(py, "trio"))? {
        return Ok(false);
    }
    let in_trio_task = match IN_TRIO_TASK.get(py) {
        Some(in_trio_task) => in_trio_task,
        None => {
            // It may be partially imported, by this or another thread.
            let Ok(lowlevel) = py.import("trio.lowlevel") else {
                return Ok(false);
            };
            let Ok(function) = lowlevel.getattr("in_trio_task") else {
                return Ok(false);
            };
            IN_TRIO_TASK.get_or_init(py, || function.unbind())
        }
    };
    in_trio_task.bind(py).call0()?.is_truthy()
}

/// The running task of the running asyncio loop, which need not be asked for first; `None` if the loop runs no task.
pub(crate) fn asyncio_task(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    #[cfg(not(Py_3_12))]
    if let Some(task) = recorded::task(&running_loop(py)?)? {
        return Ok(task);
    }
    static CURRENT_TASK: Once<Py<PyAny>> = Once::new();
    let current_task = CURRENT_TASK
        .get_or_try_init(py, || py.import("asyncio")?.getattr("current_task").map(Bound::unbind))?;
    // Where no loop is running, the error is that of any operation.
    current_task.bind(py).call0().map_err(|error| framework(py).err().unwrap_or(error))
}

/// The running task of trio.
pub(crate) fn trio_task(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static CURRENT_TASK: Once<Py<PyAny>> = Once::new();
    let current_task = CURRENT_TASK
        .get_or_try_init(py, || py.import("trio.lowlevel")?.getattr("current_task").map(Bound::unbind))?;
    current_task.bind(py).call0()
}
