//! Suspending trio tasks: in one of trio's own coroutines, which is driven from here until it returns.
//!
//! So no Python frame of rapfiles is between trio and an operation that only has to check whether the task was
//! cancelled.

use std::sync::Arc;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use rapfiles_core::Ticket;

use crate::fairness;
use crate::once::{Once, intern};
use crate::port::{Completions, Waiting};

/// A trio task that has suspended.
pub(crate) struct Suspension {
    coroutine: Py<PyAny>,
    /// The registration that wakes it; `None` if it only yields to others.
    waiting: Option<Waiting>,
    /// The iteration of the loop in which it suspended.
    turn: u64,
}

/// The functions of `trio.lowlevel`.
struct LowLevel {
    checkpoint_if_cancelled: Py<PyAny>,
    cancel_shielded_checkpoint: Py<PyAny>,
    checkpoint: Py<PyAny>,
}

fn low_level(py: Python<'_>) -> PyResult<&'static LowLevel> {
    static LOW_LEVEL: Once<LowLevel> = Once::new();
    LOW_LEVEL.get_or_try_init(py, || {
        let module = py.import("trio.lowlevel")?;
        let function = |name| module.getattr(name).map(Bound::unbind);
        Ok(LowLevel {
            checkpoint_if_cancelled: function("checkpoint_if_cancelled")?,
            cancel_shielded_checkpoint: function("cancel_shielded_checkpoint")?,
            checkpoint: function("checkpoint")?,
        })
    })
}

/// Suspends, to be cancelled, if the task has been cancelled.
pub(crate) fn if_cancelled(py: Python<'_>) -> PyResult<Option<(Py<PyAny>, Suspension)>> {
    suspend(low_level(py)?.checkpoint_if_cancelled.bind(py).call0()?, None)
}

/// Yields to other tasks. `shielded`: without being cancelled meanwhile.
pub(crate) fn turn(py: Python<'_>, shielded: bool) -> PyResult<Option<(Py<PyAny>, Suspension)>> {
    let low_level = low_level(py)?;
    let checkpoint = if shielded { &low_level.cancel_shielded_checkpoint } else { &low_level.checkpoint };
    suspend(checkpoint.bind(py).call0()?, None)
}

/// Suspends until the ticket is done; `None` if it is done already. `operation`: aborted if the task is cancelled.
pub(crate) fn wait(
    operation: &Bound<'_, PyAny>,
    ticket: &Arc<Ticket>,
) -> PyResult<Option<(Py<PyAny>, Suspension)>> {
    if ticket.is_done() {
        return Ok(None);
    }
    let py = operation.py();
    let module = py.import(intern!(py, "rapfiles._trio"))?;
    let completions = module.call_method0(intern!(py, "run_completions"))?.cast_into::<Completions>()?;
    let wake = module.call_method0(intern!(py, "waker"))?.unbind();
    let Some(waiting) = completions.get().expect(ticket, wake) else { return Ok(None) };
    suspend(module.call_method1(intern!(py, "park"), (operation,))?, Some(waiting))
}

/// Begins to drive a coroutine; `None` if that has returned at once.
fn suspend(
    coroutine: Bound<'_, PyAny>,
    waiting: Option<Waiting>,
) -> PyResult<Option<(Py<PyAny>, Suspension)>> {
    let py = coroutine.py();
    let Some(yielded) = send(&coroutine, py.None().bind(py))? else { return Ok(None) };
    let turn = fairness::current_iteration();
    Ok(Some((yielded, Suspension { coroutine: coroutine.unbind(), waiting, turn })))
}

impl Suspension {
    /// Whether the suspended task resumes with this value: trio sends it an `Outcome`, while another task that begins
    /// to await it sends `None`. trio itself is not asked, because KeyboardInterrupt may be raised in any Python
    /// function.
    pub(crate) fn is_mine(value: &Bound<'_, PyAny>) -> bool {
        !value.is_none()
    }

    /// Resumes the task with trio's value. Returns the value to yield to trio for suspending again.
    pub(crate) fn resume(&self, value: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        fairness::resumed(self.turn);
        send(self.coroutine.bind(value.py()), value)
    }

    /// Cancels its wake-up.
    pub(crate) fn forget(&mut self) {
        self.waiting = None;
    }

    /// Shows the collector what is held.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.coroutine)
    }
}

/// The value that the coroutine yields; `None` if it has returned.
fn send(coroutine: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
    let py = coroutine.py();
    let mut result = std::ptr::null_mut();
    // SAFETY: both are objects, and there is a place for the result, which is a new reference unless there is an
    // exception.
    unsafe {
        match ffi::PyIter_Send(coroutine.as_ptr(), value.as_ptr(), &raw mut result) {
            ffi::PySendResult::PYGEN_NEXT => Ok(Some(Bound::from_owned_ptr(py, result).unbind())),
            ffi::PySendResult::PYGEN_RETURN => {
                drop(Bound::from_owned_ptr(py, result));
                Ok(None)
            }
            ffi::PySendResult::PYGEN_ERROR => Err(PyErr::fetch(py)),
        }
    }
}
