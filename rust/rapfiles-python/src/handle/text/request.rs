//! Operations on text files, in terms of Python's objects.

use pyo3::exceptions::{PyStopAsyncIteration, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyInt;
use rapfiles_core::Error;
use rapfiles_core::handle::{
    self, Failure, Fallible, FileOperation, Guard, Handle, HandleFile, Reply, Salvage, Until,
};

use crate::errors::{self, Names};
use crate::handle::objects::{Caller, Objects};

pub(crate) type Step = handle::Step<Objects>;
pub(crate) type OpenFile = HandleFile<Objects>;

/// What an operation on a text file does.
pub(crate) trait Request: Send + Sync {
    /// What a complaint calls it.
    fn name(&self) -> &'static str;

    /// Goes on as far as possible.
    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Reply>,
    ) -> PyResult<Step>;

    /// Runs Python code.
    fn call(&mut self, _py: Python<'_>, _guard: &mut Guard<'_>) -> PyResult<()> {
        Ok(())
    }

    /// Goes on with what needs neither the file nor the task that a worker has just been given.
    fn meanwhile(&mut self, _py: Python<'_>) -> PyResult<()> {
        Ok(())
    }

    /// The operation was cancelled: what it had taken before.
    fn salvage(&mut self) -> Option<Salvage> {
        None
    }
}

/// A request as an operation on a handle.
pub(crate) struct Adapted<R>(pub(crate) R);

impl<R: Request> FileOperation<Objects> for Adapted<R> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn advance(
        &mut self,
        caller: Caller<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<Objects, Step> {
        self.0.advance(caller.py, file, guard, reply).map_err(Failure::Caller)
    }

    fn call(&mut self, caller: Caller<'_>, guard: &mut Guard<'_>) -> Fallible<Objects, ()> {
        self.0.call(caller.py, guard).map_err(Failure::Caller)
    }

    fn meanwhile(&mut self, caller: Caller<'_>) -> Fallible<Objects, ()> {
        self.0.meanwhile(caller.py).map_err(Failure::Caller)
    }

    fn salvage(&mut self) -> Option<Salvage> {
        self.0.salvage()
    }
}

/// Refuses to go on with a closed file.
pub(crate) fn check_open(handle: &Handle, message: &'static str) -> PyResult<()> {
    if handle.is_closed() { Err(PyValueError::new_err(message)) } else { Ok(()) }
}

/// What was accepted has to be with the kernel before anything else is done.
pub(crate) fn check_written(py: Python<'_>, guard: &mut Guard<'_>) -> PyResult<Option<Step>> {
    if let Some(error) = guard.take_error() {
        return Err(exception(py, error));
    }
    Ok(if guard.is_written() { None } else { Some(Step::AwaitWriter(Until::Written)) })
}

/// What was accepted is written by the task that is asked for next; but not beside the writer, if that is at it.
pub(crate) fn check_writer(py: Python<'_>, guard: &mut Guard<'_>) -> PyResult<Option<Step>> {
    if let Some(error) = guard.take_error() {
        return Err(exception(py, error));
    }
    Ok(guard.is_writing().then_some(Step::AwaitWriter(Until::Written)))
}

pub(crate) fn exception(py: Python<'_>, error: Error) -> PyErr {
    errors::exception(py, error, &Names::none())
}

pub(crate) fn number(py: Python<'_>, number: u64) -> Step {
    Step::Done(PyInt::new(py, number).into_any().unbind())
}

/// The end of an asynchronous iteration.
pub(crate) fn stop() -> PyErr {
    PyStopAsyncIteration::new_err(())
}
