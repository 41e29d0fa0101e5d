//! Closing a file.

use pyo3::prelude::*;
use rapfiles_core::{Guard, Outcome, Task, Until};

use super::binary::exception;
use super::open_file::OpenFile;
use super::work::{Request, Step};

/// Writes what is buffered and closes the file, even where writing fails.
#[derive(Default)]
pub(crate) struct Close {
    failure: Option<PyErr>,
    closed: bool,
}

impl Request for Close {
    fn name(&self) -> &'static str {
        "close"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        _file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        let _ = outcome;
        if guard.is_being_buried() {
            return Ok(Step::AwaitBurial);
        }
        // Of an earlier attempt to close it that was cancelled.
        if guard.is_closed()
            && let Some(error) = guard.take_error()
        {
            self.failure.get_or_insert(exception(py, error));
        }
        if !self.closed && !guard.is_closed() {
            if let Some(error) = guard.take_error() {
                self.failure.get_or_insert(exception(py, error));
            }
            if guard.is_writing() {
                return Ok(Step::AwaitWriter(Until::Written));
            }
            if guard.has_positional() {
                return Ok(Step::AwaitPositional);
            }
            self.closed = true;
            if !guard.close_now() {
                return Ok(Step::Task(Task::Close));
            }
        }
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(Step::Done(py.None())),
        }
    }

    fn failed(&mut self, error: PyErr) -> PyResult<()> {
        // The first thing that went wrong is what is told.
        self.failure.get_or_insert(error);
        Ok(())
    }

    fn closes(&self) -> bool {
        true
    }
}
