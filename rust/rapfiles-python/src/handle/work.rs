//! An operation on a handle that is awaited.

use std::sync::Arc;

use pyo3::prelude::*;
use rapfiles_core::handle::{self, Driver, FileOperation, Guard, Handle};

use super::complaints::{raised, worded};
use super::objects::{Caller, Objects};
use super::open_file::OpenFile;

/// An operation on a handle, awaited.
pub(crate) struct FileWork {
    file: Py<OpenFile>,
    driver: Driver<Objects>,
}

/// How far an operation on a handle has come.
pub(crate) type Progress = rapfiles_core::Progress<PyResult<Py<PyAny>>>;

impl FileWork {
    pub(crate) fn new(file: Py<OpenFile>, operation: Box<dyn FileOperation<Objects>>) -> Self {
        Self { file, driver: Driver::new(operation) }
    }

    /// Whether nobody has begun to await it.
    pub(crate) fn is_untouched(&self) -> bool {
        self.driver.is_untouched()
    }

    pub(crate) fn name(&self) -> &'static str {
        self.driver.name()
    }

    /// Goes on as far as possible, but may give way before it begins.
    pub(crate) fn advance_on_asyncio(&mut self, py: Python<'_>) -> Progress {
        let open = self.file.get();
        progress(py, self.driver.advance_fairly(Caller { py, pace: &open.pace }, &open.file))
    }

    /// Goes on as far as possible.
    pub(crate) fn advance(&mut self, py: Python<'_>) -> Progress {
        let open = self.file.get();
        progress(py, self.driver.advance(Caller { py, pace: &open.pace }, &open.file))
    }

    /// Nobody waits for the result any more.
    pub(crate) fn abandon(&mut self) {
        self.driver.abandon(&self.file.get().file);
    }

    /// It was awaited in a task that is cancelled already: closing is done all the same.
    pub(crate) fn refuse(&mut self) {
        self.driver.refuse(&self.file.get().file);
    }
}

#[inline]
fn progress(py: Python<'_>, progress: handle::Progress<Objects>) -> Progress {
    match progress {
        handle::Progress::Done(answer) => Progress::Done(answer.map_err(|failure| raised(py, failure))),
        handle::Progress::Pending(ticket) => Progress::Pending(ticket),
        handle::Progress::Yield => Progress::Yield,
    }
}

/// What can be done in this turn, if nobody else has it.
pub(crate) fn begin<'a>(py: Python<'_>, handle: &'a Arc<Handle>) -> PyResult<Option<Guard<'a>>> {
    handle.begin().map_err(|_| worded(py, handle::Complaint::Forked))
}

/// What can be done at once, if nobody has the turn and the file is open.
///
/// # Safety
/// While the guard exists, the GIL is kept and no code of Python's is run.
#[inline]
pub(crate) unsafe fn begin_briefly<'a>(_py: Python<'_>, handle: &'a Arc<Handle>) -> Option<Guard<'a>> {
    // SAFETY: the caller's promise.
    unsafe { handle::begin_briefly::<Objects>(handle) }
}
