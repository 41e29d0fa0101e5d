//! Opening files for handles, and adopting descriptors.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyType;
use rapfiles_core::PathOperation;
use rapfiles_core::{Adoption, Engine, OpenedFile};

use crate::arguments::native_name;
use crate::errors::Names;
use crate::functions::opening::Opening;
use crate::handle::open_file::OpenFile;
use crate::once::intern;
use crate::operation::{Operation, submit};
use crate::results::Opened;

/// Opens a file as `io.open` does. `flags` are the platform's own.
#[pyfunction]
#[pyo3(signature = (path, flags, permissions, /))]
pub(crate) fn open_file(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    flags: i32,
    permissions: u32,
) -> PyResult<Operation> {
    let (path, name) = native_name(path)?;
    submit(py, PathOperation::Open { path, flags, permissions }, Names::opened_as(name))
}

/// The class that a file opened by an [`Opening`] becomes.
pub(crate) struct Reader {
    opening: Py<Opening>,
    class: Py<PyType>,
    name: Py<PyAny>,
}

impl Reader {
    pub(crate) fn new(opening: Py<Opening>, class: Py<PyType>, name: Py<PyAny>) -> Self {
        Self { opening, class, name }
    }

    /// The object for the file.
    pub(crate) fn of(&self, opened: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = opened.py();
        let trio = crate::event_loop::in_trio_task(py)?;
        let (mode, kind) =
            (intern!(py, "rb").clone().unbind(), intern!(py, "AsyncBufferedReader").clone().unbind());
        let name = self.name.clone_ref(py);
        let file = OpenFile::new(take(opened.cast()?)?, None, (true, false), trio, name, mode, kind);
        let file = self.class.bind(py).call1((Bound::new(py, file)?,))?.unbind();
        self.opening.get().keep(file.clone_ref(py));
        Ok(file)
    }
}

fn take(opened: &Bound<'_, Opened>) -> PyResult<OpenedFile> {
    opened.get().take().ok_or_else(|| PyRuntimeError::new_err("this file already has a handle"))
}

/// Adopts a descriptor that is already open. `owned`: it has to be closed even if it cannot be adopted.
#[pyfunction]
#[pyo3(signature = (descriptor, closefd, owned, to_end, name, /))]
pub(crate) fn adopt_descriptor(
    py: Python<'_>,
    descriptor: i32,
    closefd: bool,
    owned: bool,
    to_end: bool,
    name: Py<PyAny>,
) -> PyResult<Operation> {
    let adoption = Adoption { engine: Engine::current().share(), descriptor, close: closefd, owned, to_end };
    submit(py, PathOperation::Adopt(adoption), Names::opened_as(name))
}

/// The handle of a file that has been opened, by the running task.
#[pyfunction]
#[pyo3(signature = (opened, buffer_size, readable, writable, name, raw_mode, kind, /))]
#[allow(clippy::too_many_arguments, reason = "they are what a handle is made of")]
pub(crate) fn new_handle(
    opened: &Bound<'_, Opened>,
    buffer_size: Option<usize>,
    readable: bool,
    writable: bool,
    name: Py<PyAny>,
    raw_mode: Py<pyo3::types::PyString>,
    kind: Py<pyo3::types::PyString>,
) -> PyResult<OpenFile> {
    let trio = crate::event_loop::in_trio_task(opened.py())?;
    Ok(OpenFile::new(take(opened)?, buffer_size, (readable, writable), trio, name, raw_mode, kind))
}

/// Whether a trio task is running.
#[pyfunction]
pub(crate) fn in_trio_task(py: Python<'_>) -> PyResult<bool> {
    crate::event_loop::in_trio_task(py)
}
