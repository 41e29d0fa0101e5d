//! Awaitables: the one place where a pending operation becomes something that a task can await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyRuntimeWarning, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyType;
use pyo3::{PyTraverseError, PyVisit, ffi, intern};
use rapfiles_core::{Answer, Engine, Error, Outcome, Ticket};

use crate::errors::{self, Names};
use crate::event_loop::{self, Framework, Waiter};
use crate::handle::open_file::OpenFile;
use crate::handle::work::{FileWork, Progress, Request};
use crate::results::{self, BytesRoom, Converted};

/// A submitted operation: await it once.
#[pyclass(frozen, freelist = 64, module = "rapfiles._native")]
pub(crate) struct Operation {
    state: Mutex<State>,
    names: Names,
    /// The task that made it is trio's.
    trio: bool,
}

enum State {
    /// The answer is there.
    Ready(PyResult<Py<PyAny>>),
    /// The answer is there, but the task has to give the others a turn first.
    Yielding(PyResult<Py<PyAny>>),
    /// A trio task is to submit it.
    Unsubmitted(Box<rapfiles_core::Operation>),
    /// A worker has it.
    Submitted { ticket: Arc<Ticket>, room: Option<Py<PyAny>>, event_loop: Option<Py<PyAny>> },
    /// An operation on a handle.
    File(FileWork),
    /// It has been awaited and given its answer, or cancelled.
    Over,
}

/// How far a task gets.
enum Step {
    /// It suspends, handing this to its loop.
    Suspend(Py<PyAny>),
    /// It goes on with the answer.
    Return(Py<PyAny>),
}

impl Operation {
    fn new(state: State, names: Names, trio: bool) -> Self {
        Self { state: Mutex::new(state), names, trio }
    }
}

/// Puts an operation into the engine.
pub(crate) fn submit(
    py: Python<'_>,
    operation: rapfiles_core::Operation,
    names: Names,
) -> PyResult<Operation> {
    Ok(match event_loop::framework(py)? {
        Framework::Trio => Operation::new(State::Unsubmitted(Box::new(operation)), names, true),
        Framework::Asyncio(event_loop) => {
            let state = match enter(py, operation, &names) {
                Entered::Ready(answer, now) => State::answered(&event_loop, answer, now)?,
                Entered::Pending(ticket, room) => {
                    State::Submitted { ticket, room, event_loop: Some(event_loop.unbind()) }
                }
            };
            Operation::new(state, names, false)
        }
    })
}

/// An awaitable whose answer is known without the engine.
pub(crate) fn answered(py: Python<'_>, answer: PyResult<Py<PyAny>>) -> PyResult<Operation> {
    Ok(match event_loop::framework(py)? {
        Framework::Trio => Operation::new(State::Ready(answer), Names::none(), true),
        Framework::Asyncio(event_loop) => {
            Operation::new(State::answered(&event_loop, answer, Instant::now())?, Names::none(), false)
        }
    })
}

/// An operation on a handle. Nothing happens before it is awaited.
pub(crate) fn file_operation(py: Python<'_>, file: &Py<OpenFile>, request: Box<dyn Request>) -> Operation {
    let trio = file.get().trio;
    Operation::new(State::File(FileWork::new(file.clone_ref(py), request)), Names::none(), trio)
}

/// The next item of an iteration over a file.
///
/// In a trio task that is a coroutine already. Making one runs Python code, and what goes wrong in `__await__`, be it
/// Ctrl-C, `async for` hides behind a `TypeError`.
pub(crate) fn item_operation<'py>(
    py: Python<'py>,
    file: &Py<OpenFile>,
    request: Box<dyn Request>,
) -> PyResult<Bound<'py, PyAny>> {
    let operation = Bound::new(py, file_operation(py, file, request))?;
    if operation.get().trio { wait_on_trio(operation) } else { Ok(operation.into_any()) }
}

/// The coroutine that waits in a trio task.
fn wait_on_trio(operation: Bound<'_, Operation>) -> PyResult<Bound<'_, PyAny>> {
    let py = operation.py();
    if !event_loop::in_trio_task(py)? {
        operation.get().refuse();
        return Err(PyRuntimeError::new_err(
            "this file was opened on trio and cannot be waited for on asyncio, or outside of a trio task",
        ));
    }
    py.import(intern!(py, "rapfiles._trio"))?.call_method1("wait", (operation,))
}

/// A chance for other tasks to run, taken when this one has gone on for long enough.
#[pyfunction]
pub(crate) fn checkpoint(py: Python<'_>) -> PyResult<Operation> {
    answered(py, Ok(py.None()))
}

impl State {
    fn answered(event_loop: &Bound<'_, PyAny>, answer: PyResult<Py<PyAny>>, now: Instant) -> PyResult<Self> {
        let exhausted = event_loop::spend_budget(event_loop, now)?;
        Ok(if exhausted { Self::Yielding(answer) } else { Self::Ready(answer) })
    }
}

/// What became of an operation that was put into the engine, or of its next part.
enum Entered {
    /// The answer, and when it was there.
    Ready(PyResult<Py<PyAny>>, Instant),
    Pending(Arc<Ticket>, Option<Py<PyAny>>),
}

fn enter(py: Python<'_>, operation: rapfiles_core::Operation, names: &Names) -> Entered {
    let engine = Engine::current();
    let mut room = BytesRoom::new(py);
    match engine.attempt(&operation, &mut room) {
        Ok((outcome, now)) => proceed(py, outcome, room.into_bytes(), names, now),
        Err(lane) => {
            let ticket = event_loop::new_ticket();
            match engine.submit(operation, lane, &ticket) {
                Answer::Ready(outcome) => proceed(py, outcome, None, names, Instant::now()),
                Answer::Pending => Entered::Pending(ticket, None),
            }
        }
    }
}

/// Makes the answer of an outcome, or submits what is still to be done for it.
fn proceed(
    py: Python<'_>,
    outcome: Result<Outcome, Error>,
    room: Option<Py<PyAny>>,
    names: &Names,
    now: Instant,
) -> Entered {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return Entered::Ready(Err(errors::exception(py, error, names)), now),
    };
    match results::convert(py, outcome, room) {
        Ok(Converted::Value(value)) => Entered::Ready(Ok(value), now),
        Ok(Converted::Fill(fill, room)) => {
            let ticket = event_loop::new_ticket();
            Engine::current().fill(fill, &ticket);
            Entered::Pending(ticket, Some(room))
        }
        Ok(Converted::FillText(fill, room)) => {
            let ticket = event_loop::new_ticket();
            Engine::current().fill_text(fill, &ticket);
            Entered::Pending(ticket, Some(room))
        }
        Err(error) => Entered::Ready(Err(error), now),
    }
}

impl Operation {
    /// Goes on as far as possible on an asyncio loop.
    fn step(&self, py: Python<'_>) -> PyResult<Step> {
        // The state is taken out while Python may run, so that nothing is locked then.
        let mut state = self.take_state();
        loop {
            match state {
                State::Ready(answer) => return answer.map(Step::Return),
                State::Yielding(answer) => {
                    self.put_state(State::Ready(answer));
                    return Ok(Step::Suspend(py.None()));
                }
                State::Submitted { ticket, room, event_loop: Some(event_loop) } => {
                    if event_loop::expect(&ticket) {
                        let future =
                            suspend(event_loop.bind(py), &ticket).inspect_err(|_| ticket.cancel())?;
                        self.put_state(State::Submitted { ticket, room, event_loop: Some(event_loop) });
                        return Ok(Step::Suspend(future));
                    }
                    state = match self.resume(py, &ticket, room)? {
                        Entered::Ready(answer, _) => State::Ready(answer),
                        Entered::Pending(ticket, room) => {
                            State::Submitted { ticket, room, event_loop: Some(event_loop) }
                        }
                    };
                }
                State::File(mut work) => match work.advance_on_asyncio(py) {
                    Progress::Done(answer) => return answer.map(Step::Return),
                    Progress::Yield => {
                        asyncio_loop(py).inspect_err(|_| work.abandon())?;
                        self.put_state(State::File(work));
                        return Ok(Step::Suspend(py.None()));
                    }
                    Progress::Pending(ticket) => {
                        let event_loop = asyncio_loop(py).inspect_err(|_| work.abandon())?;
                        if event_loop::expect(&ticket) {
                            let future = suspend(&event_loop, &ticket).inspect_err(|_| work.abandon())?;
                            self.put_state(State::File(work));
                            return Ok(Step::Suspend(future));
                        }
                        state = State::File(work);
                    }
                },
                State::Submitted { event_loop: None, .. } | State::Unsubmitted(_) => {
                    return Err(PyRuntimeError::new_err("this operation was begun in a trio task"));
                }
                State::Over => {
                    return Err(PyRuntimeError::new_err(
                        "cannot reuse an operation that was already awaited",
                    ));
                }
            }
        }
    }

    fn resume(&self, py: Python<'_>, ticket: &Ticket, room: Option<Py<PyAny>>) -> PyResult<Entered> {
        let outcome = ticket.take().ok_or_else(|| PyRuntimeError::new_err("this operation was cancelled"))?;
        Ok(proceed(py, outcome, room, &self.names, Instant::now()))
    }

    /// Nobody waits for the answer any more.
    fn abandon(&self) {
        match self.take_state() {
            State::Submitted { ticket, .. } => {
                ticket.cancel();
                event_loop::remove_waiter(&ticket);
            }
            State::File(mut work) => {
                if let Some(ticket) = work.ticket() {
                    event_loop::remove_waiter(ticket);
                }
                work.abandon();
            }
            _ => {}
        }
    }

    fn take_state(&self) -> State {
        std::mem::replace(&mut *self.lock(), State::Over)
    }

    fn put_state(&self, state: State) {
        *self.lock() = state;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        match self.state.get_mut().unwrap_or_else(PoisonError::into_inner) {
            State::Submitted { ticket, .. } => ticket.cancel(),
            // Only an interruption comes between an iteration and its item.
            State::File(work) if work.is_untouched() && work.name() == "__anext__" => {}
            State::File(work) if work.is_untouched() => Python::attach(|py| complain(py, work.name())),
            State::File(work) => work.abandon(),
            _ => {}
        }
    }
}

/// The running loop of a task that waits for a file which was opened on asyncio.
fn asyncio_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    match event_loop::framework(py)? {
        Framework::Asyncio(event_loop) => Ok(event_loop),
        Framework::Trio => Err(PyRuntimeError::new_err(
            "this file was opened on asyncio and cannot be waited for in a trio task",
        )),
    }
}

/// Warns of an operation that nobody has awaited. There may be an exception on its way, which must not be lost.
fn complain(py: Python<'_>, name: &str) {
    let before = PyErr::take(py);
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

/// A future of the running loop that the port resolves, in the state that a task expects of what it is handed.
fn suspend(event_loop: &Bound<'_, PyAny>, ticket: &Ticket) -> PyResult<Py<PyAny>> {
    let py = event_loop.py();
    event_loop::watch(event_loop)?;
    let future = event_loop.call_method0(intern!(py, "create_future"))?;
    future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
    event_loop::add_waiter(ticket, Waiter::Future(future.clone().unbind()));
    Ok(future.unbind())
}

#[pymethods]
impl Operation {
    fn __await__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        if !slf.get().trio {
            return Ok(slf.into_any());
        }
        wait_on_trio(slf)?.call_method0("__await__")
    }

    fn __iter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        Self::__await__(slf)
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.step(py)? {
            Step::Suspend(value) => Ok(value),
            // In a tuple, because a value that is a tuple or an exception would be taken apart.
            Step::Return(value) => Err(PyStopIteration::new_err((value,))),
        }
    }

    /// What `__next__` does: an operation has no use for a value.
    #[pyo3(signature = (value, /))]
    fn send(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let _ = value;
        self.__next__(py)
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
        self.abandon();
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

    /// Cancels the operation.
    fn close(&self) {
        self.abandon();
    }

    /// Cancels the operation: dropped if it has not started, finished in the background if it has.
    fn cancel(&self) {
        self.abandon();
    }

    /// For trio: submits the operation, or what is still to be done for it. `False` when the answer is there; otherwise
    /// `wake` will be called once, in the thread of this task, when it is worth to call this again.
    #[pyo3(signature = (wake, /))]
    fn submit(&self, py: Python<'_>, wake: Py<PyAny>) -> PyResult<bool> {
        let mut state = self.take_state();
        loop {
            let entered = match state {
                State::File(mut work) => {
                    let ticket = match work.advance(py) {
                        Progress::Done(answer) => {
                            self.put_state(State::Ready(answer));
                            return Ok(false);
                        }
                        Progress::Pending(ticket) => ticket,
                        Progress::Yield => {
                            // Others get their turn before this one is woken through the port.
                            let ticket = event_loop::new_ticket();
                            event_loop::expect(&ticket);
                            event_loop::watch_trio(py).inspect_err(|_| work.abandon())?;
                            event_loop::add_waiter(&ticket, Waiter::Call(wake));
                            work.wait_for(&ticket);
                            self.put_state(State::File(work));
                            ticket.ring();
                            return Ok(true);
                        }
                    };
                    if event_loop::expect(&ticket) {
                        event_loop::watch_trio(py).inspect_err(|_| work.abandon())?;
                        event_loop::add_waiter(&ticket, Waiter::Call(wake));
                        self.put_state(State::File(work));
                        return Ok(true);
                    }
                    state = State::File(work);
                    continue;
                }
                State::Unsubmitted(operation) => enter(py, *operation, &self.names),
                State::Submitted { ticket, room, event_loop } => {
                    if event_loop::expect(&ticket) {
                        event_loop::watch_trio(py).inspect_err(|_| ticket.cancel())?;
                        event_loop::add_waiter(&ticket, Waiter::Call(wake));
                        self.put_state(State::Submitted { ticket, room, event_loop });
                        return Ok(true);
                    }
                    self.resume(py, &ticket, room)?
                }
                answered => {
                    self.put_state(answered);
                    return Ok(false);
                }
            };
            state = match entered {
                Entered::Ready(answer, _) => State::Ready(answer),
                Entered::Pending(ticket, room) => State::Submitted { ticket, room, event_loop: None },
            };
        }
    }

    /// Does it here and now, without a loop, if nothing has to be waited for.
    fn complete(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let State::File(mut work) = self.take_state() {
            loop {
                match work.advance(py) {
                    Progress::Done(answer) => return answer,
                    Progress::Yield => {}
                    Progress::Pending(_) => {
                        work.abandon();
                        break;
                    }
                }
            }
        }
        Err(PyRuntimeError::new_err("an operation on this file is under way"))
    }

    /// For trio: the task that awaits it is cancelled already. A file is closed all the same.
    fn refuse(&self) {
        if let State::File(mut work) = self.take_state() {
            work.refuse();
        }
    }

    /// For trio: the answer, which is there once.
    fn result(&self) -> PyResult<Py<PyAny>> {
        match self.take_state() {
            State::Ready(answer) => answer,
            other => {
                self.put_state(other);
                Err(PyRuntimeError::new_err("the operation has no answer"))
            }
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // While the state is taken out or locked, this thread holds what is in it.
        if let Ok(state) = self.state.try_lock()
            && let State::Submitted { room, event_loop, .. } = &*state
        {
            visit.call(room)?;
            visit.call(event_loop)?;
        }
        Ok(())
    }
}

/// Gives the type the `am_send` slot, through which CPython 3.10 and later pass a result without making a
/// `StopIteration` of it.
///
/// PyO3 has no way to fill this slot, so it is filled after the type has been made.
pub(crate) fn set_send_slot(py: Python<'_>) {
    let kind = py.get_type::<Operation>();
    let kind = kind.as_type_ptr();
    // SAFETY: the type is a heap type, whose `tp_as_async` points into itself; it is not in use yet, since the module is
    // being initialised. `am_send` follows the protocol of `PyIter_Send`.
    unsafe {
        if let Some(slots) = (*kind).tp_as_async.as_mut() {
            slots.am_send = Some(am_send);
        }
    }
}

/// # Safety
/// Called by the interpreter with an `Operation` and a place for the result.
unsafe extern "C" fn am_send(
    operation: *mut ffi::PyObject,
    _value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    // The interpreter calls this attached, so this only tells PyO3 so.
    Python::attach(|py| {
        // SAFETY: the slot is only on this type, and the caller holds a reference.
        let operation = unsafe { Bound::from_borrowed_ptr(py, operation).cast_into_unchecked::<Operation>() };
        let step = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| operation.get().step(py)));
        let step =
            step.unwrap_or_else(|_| Err(PyRuntimeError::new_err("rapfiles panicked, which is a defect")));
        let (value, sent) = match step {
            Ok(Step::Suspend(value)) => (value.into_ptr(), ffi::PySendResult::PYGEN_NEXT),
            Ok(Step::Return(value)) => (value.into_ptr(), ffi::PySendResult::PYGEN_RETURN),
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
