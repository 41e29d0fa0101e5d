//! Reading a large file into a bytes object: in slices on the loop, or by workers.

use pyo3::exceptions::PyMemoryError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rapfiles_core::{KeepAlive, LargeFile, ParallelRead, Sliced, Slices};

use crate::results;

/// A large file that is being read on the loop.
pub(crate) struct LargeRead {
    file: LargeFile,
    slices: Slices,
    /// The result, which is not exposed before it is complete.
    bytes: Py<PyAny>,
}

/// The progress of a read on the loop.
pub(crate) enum LargeStep {
    Done(PyResult<Py<PyAny>>),
    /// Other tasks should run.
    Pause(Box<LargeRead>),
    /// Workers have to continue, with this buffer.
    ReadParallel(ParallelRead, Py<PyAny>),
}

impl LargeRead {
    /// Allocates the result.
    pub(crate) fn new(py: Python<'_>, file: LargeFile) -> PyResult<Box<Self>> {
        let length = ffi::Py_ssize_t::try_from(file.size()).map_err(|_| PyMemoryError::new_err(()))?;
        let bytes = results::uninitialised_bytes(py, length)?.unbind();
        Ok(Box::new(Self { slices: file.slices(), file, bytes }))
    }

    /// Continues to read, for as long as the loop may be blocked.
    pub(crate) fn advance(mut self: Box<Self>, py: Python<'_>) -> LargeStep {
        // SAFETY: it is a bytes object.
        let start = unsafe { ffi::PyBytes_AsString(self.bytes.as_ptr()) }.cast::<u8>();
        // SAFETY: it has room for its size and for a NUL after that.
        let sliced = unsafe { self.file.advance(&mut self.slices, start) };
        terminate(self.bytes.bind(py));
        match sliced {
            Sliced::Pause => LargeStep::Pause(self),
            Sliced::Missing => {
                let Self { file, slices, bytes } = *self;
                let keep_alive = KeepAlive::new(bytes.clone_ref(py));
                // SAFETY: nobody is shown the object before the fill is done, and the reference keeps it alive even
                // when everybody else has let go of it.
                let read = unsafe { ParallelRead::new(file, start, slices.done(), keep_alive) };
                LargeStep::ReadParallel(read, bytes)
            }
            Sliced::Complete => LargeStep::Done(Ok(self.bytes)),
            Sliced::End(length) => LargeStep::Done(results::filled(py, Some(self.bytes), length, &[])),
        }
    }
}

/// Writes the NUL after a bytes object that has not been exposed yet: a read of one byte more may have overwritten it.
pub(crate) fn terminate(bytes: &Bound<'_, PyAny>) {
    if let Ok(bytes) = bytes.cast::<PyBytes>()
        && let length @ 1.. = bytes.as_bytes().len()
    {
        // SAFETY: a bytes object has room for a NUL after its content, and the caller is the only one to have this
        // one, which is not the empty one that all share.
        unsafe { ffi::PyBytes_AsString(bytes.as_ptr()).add(length).write(0) };
    }
}
