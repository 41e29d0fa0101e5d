//! How a trio task suspends: in one of trio's own coroutines, which is driven from here until it returns.
//!
//! So nothing of ours is between trio and the operation that needs no more than to look whether the task was cancelled.

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
    /// Who wakes it, where it does not just give the others a turn.
    waiting: Option<Waiting>,
    /// The turn of the loop in which it suspended.
    turn: u64,
}

/// What `trio.lowlevel` has.
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

/// Suspends for good, if the task has been cancelled.
pub(crate) fn if_cancelled(py: Python<'_>) -> PyResult<Option<(Py<PyAny>, Suspension)>> {
    suspend(low_level(py)?.checkpoint_if_cancelled.bind(py).call0()?, None)
}

/// Gives the other tasks a turn. `shielded`: which the task survives when it is cancelled.
pub(crate) fn turn(py: Python<'_>, shielded: bool) -> PyResult<Option<(Py<PyAny>, Suspension)>> {
    let low_level = low_level(py)?;
    let checkpoint = if shielded { &low_level.cancel_shielded_checkpoint } else { &low_level.checkpoint };
    suspend(checkpoint.bind(py).call0()?, None)
}

/// Suspends until the ticket is done; `None` if it is done already. `operation`: is told if the task is cancelled.
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
    /// Whether the task that has suspended goes on with this value: trio hands it an `Outcome`, while whoever else begins to
    /// await something begins with `None`. Trio is not asked, because Ctrl-C may be raised in any function of Python's.
    pub(crate) fn is_mine(value: &Bound<'_, PyAny>) -> bool {
        !value.is_none()
    }

    /// The task goes on, with what trio has for it. Returns what to hand trio for suspending again.
    pub(crate) fn resume(&self, value: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        fairness::resumed(self.turn);
        send(self.coroutine.bind(value.py()), value)
    }

    /// It is not to be woken any more.
    pub(crate) fn forget(&mut self) {
        self.waiting = None;
    }

    /// Shows the collector what is held.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.coroutine)
    }
}

/// What the coroutine yields; `None` if it has returned.
fn send(coroutine: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
    let py = coroutine.py();
    let mut result = std::ptr::null_mut();
    // SAFETY: both are objects, and there is a place for the result, which is a new reference unless there is an exception.
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
