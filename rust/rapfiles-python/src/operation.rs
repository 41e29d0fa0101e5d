//! `Operation`: the Python object with which a pending operation is awaited.

use std::time::Instant;

use pyo3::exceptions::{
    PyBaseException, PyKeyboardInterrupt, PyRuntimeError, PyRuntimeWarning, PyStopIteration, PySystemExit,
    PyTypeError,
};
use pyo3::prelude::*;
use pyo3::types::PyType;
use pyo3::{PyTraverseError, PyVisit, ffi};
use rapfiles_core::Progress;
use rapfiles_core::handle::{Driver, FileOperation, PositionalOperation};

use crate::errors::Names;
use crate::event_loop::{self, Framework};
use crate::fairness;
use crate::handle::objects::Objects;
use crate::handle::open_file::OpenFile;
use crate::handle::work::FileWork;
use crate::once::Once;
use crate::path_work::PathWork;
pub(crate) use crate::pending::Work;
use crate::pending::{Answer, Pending, Resumption};
use crate::stop_iteration;

/// A submitted operation: await it once.
#[pyclass(frozen, freelist = 64, module = "rapfiles._native")]
pub(crate) struct Operation(Pending);

/// Creates the free list, which PyO3 creates with the first operation: a `fork(2)` in another thread meanwhile would
/// leave the child waiting for it, see [`crate::once`].
pub(crate) fn make_free_list(py: Python<'_>) -> PyResult<()> {
    Py::new(py, Operation(Pending::over())).map(drop)
}

/// Puts an operation into the engine: at once on asyncio, and on trio when it is awaited, so that a task that has been
/// cancelled submits nothing.
pub(crate) fn submit(
    py: Python<'_>,
    operation: rapfiles_core::PathOperation,
    mut names: Names,
) -> PyResult<Operation> {
    let reader = names.take_reader(py);
    let mut pending = match event_loop::framework(py)? {
        Framework::Trio => Pending::work(Work::Path(PathWork::new(operation, names)), true),
        Framework::Asyncio(event_loop) => match PathWork::begin(py, operation, names) {
            (_, Progress::Done((answer, now))) => Pending::answered(&event_loop, answer, now)?,
            (work, _) => Pending::work(Work::Path(work), false),
        },
    };
    pending.becomes(reader);
    Ok(Operation(pending))
}

/// An awaitable whose answer is known without the engine.
pub(crate) fn answered(py: Python<'_>, answer: Answer) -> PyResult<Operation> {
    Ok(Operation(match event_loop::framework(py)? {
        Framework::Trio => Pending::work(Work::Path(PathWork::answered(answer)), true),
        Framework::Asyncio(event_loop) => Pending::answered(&event_loop, answer, Instant::now())?,
    }))
}

/// An awaitable for what is done, without a value: the end of what another operation has begun.
pub(crate) fn done(py: Python<'_>) -> PyResult<Py<Operation>> {
    static DONE: Once<Py<Operation>> = Once::new();
    if event_loop::in_trio_task(py)? {
        return Py::new(py, Operation(Pending::work(Work::Path(PathWork::answered(Ok(py.None()))), true)));
    }
    if fairness::spend_budget_again(py)? {
        return Py::new(py, Operation(Pending::yielding(Ok(py.None()))));
    }
    DONE.get_or_try_init(py, || Py::new(py, Operation(Pending::done()))).map(|done| done.clone_ref(py))
}

/// An operation on a handle. Nothing happens before it is awaited.
pub(crate) fn file_operation(
    py: Python<'_>,
    file: &Py<OpenFile>,
    operation: Box<dyn FileOperation<Objects>>,
) -> Operation {
    let work = FileWork::new(file.clone_ref(py), Driver::new(operation));
    Operation(Pending::work(Work::File(work), file.get().trio))
}

/// The same, for an operation that needs no turn.
pub(crate) fn positional_operation(
    py: Python<'_>,
    file: &Py<OpenFile>,
    operation: impl PositionalOperation<Objects> + 'static,
) -> Operation {
    let work = FileWork::new(file.clone_ref(py), Driver::positional(Box::new(operation)));
    Operation(Pending::work(Work::File(work), file.get().trio))
}

/// The same, for the next item of an iteration.
pub(crate) fn next_operation(
    py: Python<'_>,
    file: &Py<OpenFile>,
    operation: Box<dyn FileOperation<Objects>>,
) -> Operation {
    let work = FileWork::new(file.clone_ref(py), Driver::new(operation));
    Operation(Pending::work(Work::File(work), file.get().trio).into_item())
}

/// Lets other tasks run if this one has run for long enough.
#[pyfunction]
pub(crate) fn checkpoint(py: Python<'_>) -> PyResult<Operation> {
    answered(py, Ok(py.None()))
}

impl Operation {
    /// An operation that begins when it is awaited.
    pub(crate) fn of(py: Python<'_>, work: Work) -> PyResult<Self> {
        let trio = matches!(event_loop::framework(py)?, Framework::Trio);
        Ok(Self::on(work, trio))
    }

    /// The same, if the framework is known.
    pub(crate) fn on(work: Work, trio: bool) -> Self {
        Self(Pending::work(work, trio))
    }

    fn next(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        match slf.get().0.step(slf.as_any(), value)? {
            Resumption::Suspend(value) => Ok(value),
            // In a tuple, because a value that is a tuple or an exception would be unpacked (`_PyErr_CreateException`
            // in CPython's Python/errors.c).
            Resumption::Return(value) => Err(PyStopIteration::new_err((value,))),
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if let Some(name) = self.0.finish() {
            Python::attach(|py| complain(py, name));
        }
    }
}

/// Warns of an operation that was never awaited. A current exception must not be lost.
///
/// If a signal handler has raised it, it came between the call and the `await`, and the operation was not forgotten:
/// the interpreter handles signals when a built-in function has returned (`CHECK_EVAL_BREAKER` in CPython's
/// Python/ceval.c).
pub(crate) fn complain(py: Python<'_>, name: &str) {
    let before = PyErr::take(py);
    if let Some(error) = &before
        && (error.is_instance_of::<PyKeyboardInterrupt>(py) || error.is_instance_of::<PySystemExit>(py))
    {
        error.clone_ref(py).restore(py);
        return;
    }
    let category = py.get_type::<PyRuntimeWarning>();
    let message = std::ffi::CString::new(format!("coroutine '{name}' was never awaited"));
    if let Ok(message) = message
        && let Err(error) = PyErr::warn(py, &category, &message, 1)
    {
        error.write_unraisable(py, None);
    }
    if let Some(before) = before {
        before.restore(py);
    }
}

#[pymethods]
impl Operation {
    fn __await__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().0.check_not_awaited()?;
        Ok(slf)
    }

    fn __iter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        Self::__await__(slf)
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        Self::next(slf, slf.py().None().bind(slf.py()))
    }

    /// The same as `__next__`, with a value for the task.
    #[pyo3(signature = (value, /))]
    fn send(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Self::next(slf, value)
    }

    /// Cancels the operation and raises the exception.
    #[pyo3(signature = (kind, value=None, traceback=None, /))]
    fn throw(
        &self,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let _ = traceback;
        self.0.abandon();
        let exceptions = [Some(kind), value].into_iter().flatten();
        if let Some(exception) =
            exceptions.into_iter().find(|found| found.is_instance_of::<PyBaseException>())
        {
            return Err(PyErr::from_value(exception.clone()));
        }
        let class = kind.cast::<PyType>().map_err(|_| {
            PyTypeError::new_err("exceptions must be classes or instances deriving from BaseException")
        })?;
        let exception = match value {
            Some(value) => class.call1((value,)),
            None => class.call0(),
        }?;
        Err(PyErr::from_value(exception))
    }

    /// Cancels the operation: dropped if it has not started, finished in the background if it has.
    fn close(&self) {
        self.0.abandon();
    }

    /// For trio: the task that waits for it has been cancelled.
    fn _abort(&self) {
        self.0.abort();
    }

    /// Completes it without a loop, if that does not block.
    fn complete(&self, py: Python<'_>) -> Answer {
        self.0.complete(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.traverse(&visit)
    }
}

/// Sets the slots of the type that the interpreter's `await` uses: `am_await`, `am_send`, through which CPython 3.10
/// and 3.11 pass a result without a `StopIteration`, and `tp_iternext`, which later versions call (`SEND` in
/// Python/bytecodes.c).
///
/// PyO3 fills the first one with a wrapper, cannot fill the second one, and would create an exception itself for the
/// third; so they are set after the type has been created.
pub(crate) fn set_slots(py: Python<'_>) {
    let kind = py.get_type::<Operation>();
    let kind = kind.as_type_ptr();
    // SAFETY: the type is a heap type, whose `tp_as_async` points into itself; it is not in use yet, since the module
    // is being initialised. `am_send` follows the protocol of `PyIter_Send`, and `next` that of `PyIter_Next`.
    unsafe {
        if let Some(slots) = (*kind).tp_as_async.as_mut() {
            slots.am_await = Some(am_await);
            slots.am_send = Some(am_send);
        }
        (*kind).tp_iternext = Some(next);
    }
}

/// The implementation of `__await__`.
///
/// # Safety
/// Called by the interpreter with an `Operation`.
unsafe extern "C" fn am_await(operation: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: guaranteed by the caller, and that the interpreter is attached. No reference is dropped here.
    let awaited = unsafe {
        let py = Python::assume_attached();
        Borrowed::from_ptr(py, operation).cast_unchecked::<Operation>().get().0.check_not_awaited()
    };
    match awaited {
        // SAFETY: the caller holds a reference.
        Ok(()) => unsafe { ffi::Py_NewRef(operation) },
        Err(error) => Python::attach(|py| {
            error.restore(py);
            std::ptr::null_mut()
        }),
    }
}

/// # Safety
/// Called by the interpreter with an `Operation`.
unsafe extern "C" fn next(operation: *mut ffi::PyObject) -> *mut ffi::PyObject {
    let mut result = std::ptr::null_mut();
    // SAFETY: guaranteed by the caller, and there is a place for the result.
    unsafe {
        match am_send(operation, std::ptr::null_mut(), &raw mut result) {
            ffi::PySendResult::PYGEN_RETURN => stop_iteration::answer(result),
            _ => result,
        }
    }
}

/// # Safety
/// Called by the interpreter with an `Operation` and a place for the result.
unsafe extern "C" fn am_send(
    operation: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    // SAFETY: guaranteed by the caller, and that the interpreter is attached. No reference is dropped here.
    unsafe {
        let known = Borrowed::from_ptr(Python::assume_attached(), operation)
            .cast_unchecked::<Operation>()
            .get()
            .0
            .take_value();
        if let Some(value) = known {
            *result = value.into_ptr();
            return ffi::PySendResult::PYGEN_RETURN;
        }
    }
    // This only informs PyO3, which would otherwise defer the dropping of `Py` references, and takes longer than all
    // of the above.
    Python::attach(|py| {
        // SAFETY: the slot is only on this type, and the caller holds a reference.
        let operation = unsafe { Bound::from_borrowed_ptr(py, operation).cast_into_unchecked::<Operation>() };
        // SAFETY: the caller holds a reference, where there is a value.
        let value = unsafe { Bound::from_borrowed_ptr_or_opt(py, value) };
        let value = value.unwrap_or_else(|| py.None().into_bound(py));
        let step = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            operation.get().0.step(operation.as_any(), &value)
        }));
        let step = step.unwrap_or_else(|_| Err(PyRuntimeError::new_err("rapfiles panicked, which is a bug")));
        let (value, sent) = match step {
            Ok(Resumption::Suspend(value)) => (value.into_ptr(), ffi::PySendResult::PYGEN_NEXT),
            Ok(Resumption::Return(value)) => (value.into_ptr(), ffi::PySendResult::PYGEN_RETURN),
            Err(error) => {
                error.restore(py);
                (std::ptr::null_mut(), ffi::PySendResult::PYGEN_ERROR)
            }
        };
        // SAFETY: the caller has given a place for it.
        unsafe { *result = value };
        sent
    })
}
