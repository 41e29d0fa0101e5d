//! Awaited operations on handles.

use pyo3::prelude::*;
use rapfiles_core::handle::{Driver, FileProgress};

use super::complaints::raised;
use super::objects::{Caller, Objects};
use super::open_file::OpenFile;

/// An operation on a handle, awaited.
pub(crate) struct FileWork {
    file: Py<OpenFile>,
    driver: Driver<Objects>,
}

/// The progress of an operation on a handle.
pub(crate) type Progress = rapfiles_core::Progress<PyResult<Py<PyAny>>>;

impl FileWork {
    pub(crate) fn new(file: Py<OpenFile>, driver: Driver<Objects>) -> Self {
        Self { file, driver }
    }

    /// Whether it has not been awaited.
    pub(crate) fn is_untouched(&self) -> bool {
        self.driver.is_untouched()
    }

    pub(crate) fn name(&self) -> &'static str {
        self.driver.name()
    }

    /// Advances as far as possible, but may yield before it begins.
    pub(crate) fn advance_fairly(&mut self, py: Python<'_>) -> Progress {
        let open = self.file.get();
        progress(py, self.driver.advance_fairly(Caller { py, pace: &open.pace }, &open.file))
    }

    /// Advances as far as possible.
    pub(crate) fn advance(&mut self, py: Python<'_>) -> Progress {
        let open = self.file.get();
        progress(py, self.driver.advance(Caller { py, pace: &open.pace }, &open.file))
    }

    /// Abandons it: the task that awaited it is gone.
    pub(crate) fn abandon(&mut self) {
        self.driver.abandon(&self.file.get().file);
    }

    /// For an operation that is awaited in a cancelled task: only closing is done nevertheless.
    pub(crate) fn refuse(&mut self) {
        self.driver.refuse(&self.file.get().file);
    }
}

#[inline]
fn progress(py: Python<'_>, progress: FileProgress<Objects>) -> Progress {
    progress.map(|answer| answer.map_err(|failure| raised(py, failure)))
}
