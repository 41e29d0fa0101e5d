//! Awaitables: the one place where a pending operation becomes something that a task can await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::exceptions::{
    PyBaseException, PyKeyboardInterrupt, PyRuntimeError, PyRuntimeWarning, PyStopIteration, PySystemExit,
    PyTypeError,
};
use pyo3::prelude::*;
use pyo3::types::PyType;
use pyo3::{PyTraverseError, PyVisit, ffi};
use rapfiles_core::handle::FileOperation;
use rapfiles_core::{Answer, Engine, Error, Outcome, Progress, Ticket, release_memory};

use crate::errors::{self, Names};
use crate::event_loop::{self, Framework};
use crate::fairness;
use crate::functions::open;
use crate::handle::objects::Objects;
use crate::handle::open_file::OpenFile;
use crate::handle::work::FileWork;
use crate::large_read::{LargeRead, LargeStep};
use crate::once::intern;
use crate::port::{self, Completions, Waiting};
use crate::results::{self, BytesRoom, Converted};
use crate::stop_iteration;
use crate::stream::{ItemWork, WholeWork};

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
    /// A worker has it, and perhaps a task has suspended until it is done.
    Submitted {
        ticket: Arc<Ticket>,
        room: Option<Py<PyAny>>,
        event_loop: Option<Py<PyAny>>,
        waiting: Option<Waiting>,
    },
    /// It is read in slices, and the others have a turn first.
    Paused { reading: Box<LargeRead>, turn: Turn, event_loop: Option<Py<PyAny>> },
    /// An operation on a handle or a stream, as `Submitted`.
    Work(Work, Option<Waiting>),
    /// It has been awaited and given its answer, or cancelled.
    Over,
}

/// What goes on as its tickets are done.
pub(crate) enum Work {
    /// An operation on a handle.
    File(FileWork),
    /// The next item of a stream.
    Item(ItemWork),
    /// A whole stream.
    Whole(WholeWork),
}

impl Work {
    /// Goes on as far as possible, but may give way before it begins.
    fn advance_on_asyncio(&mut self, py: Python<'_>) -> Progress<PyResult<Py<PyAny>>> {
        match self {
            Self::File(work) => work.advance_on_asyncio(py),
            Self::Item(work) => work.advance(py, false),
            Self::Whole(work) => work.advance(py, false),
        }
    }

    /// Goes on as far as possible, in a trio task or without a loop.
    fn advance(&mut self, py: Python<'_>) -> Progress<PyResult<Py<PyAny>>> {
        match self {
            Self::File(work) => work.advance(py),
            Self::Item(work) => work.advance(py, true),
            Self::Whole(work) => work.advance(py, true),
        }
    }

    /// Whether nobody has begun to await it.
    fn is_untouched(&self) -> bool {
        match self {
            Self::File(work) => work.is_untouched(),
            Self::Item(work) => work.is_untouched(),
            Self::Whole(work) => work.is_untouched(),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::File(work) => work.name(),
            Self::Item(_) => "__anext__",
            Self::Whole(work) => work.name(),
        }
    }

    /// Nobody waits for it any more.
    fn abandon(&mut self) {
        match self {
            Self::File(work) => work.abandon(),
            Self::Item(work) => work.abandon(),
            Self::Whole(work) => work.abandon(),
        }
    }

    /// The task that awaits it was cancelled before.
    fn refuse(&mut self) {
        if let Self::File(work) = self {
            work.refuse();
        }
    }
}

/// The turn of the other tasks.
enum Turn {
    /// They have not had it.
    Due,
    /// The task has suspended for it.
    Given,
    /// The trio task is woken after it.
    Ends(Waiting),
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

/// Has the free list made, which PyO3 makes when the first operation is: a `fork(2)` of another thread meanwhile would
/// leave the child waiting for it, as [`crate::once`] tells.
pub(crate) fn make_free_list(py: Python<'_>) -> PyResult<()> {
    Py::new(py, Operation::new(State::Over, Names::none(), false)).map(drop)
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
                entered => State::entered(entered, Some(event_loop.unbind())),
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
pub(crate) fn file_operation(
    py: Python<'_>,
    file: &Py<OpenFile>,
    operation: Box<dyn FileOperation<Objects>>,
) -> Operation {
    let trio = file.get().trio;
    let work = FileWork::new(file.clone_ref(py), operation);
    Operation::new(State::Work(Work::File(work), None), Names::none(), trio)
}

/// The next item of an iteration over a file.
///
/// In a trio task that is a coroutine already. Making one runs Python code, and what goes wrong in `__await__`, be it
/// Ctrl-C, `async for` hides behind a `TypeError`.
pub(crate) fn item_operation<'py>(
    py: Python<'py>,
    file: &Py<OpenFile>,
    operation: Box<dyn FileOperation<Objects>>,
) -> PyResult<Bound<'py, PyAny>> {
    let operation = Bound::new(py, file_operation(py, file, operation))?;
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
        let exhausted = fairness::spend_budget(event_loop, now)?;
        Ok(if exhausted { Self::Yielding(answer) } else { Self::Ready(answer) })
    }

    /// `event_loop`: that of asyncio.
    fn entered(entered: Entered, event_loop: Option<Py<PyAny>>) -> Self {
        match entered {
            Entered::Ready(answer, _) => Self::Ready(answer),
            Entered::Pending(ticket, room) => Self::Submitted { ticket, room, event_loop, waiting: None },
            Entered::Paused(reading) => Self::Paused { reading, turn: Turn::Due, event_loop },
        }
    }

    /// Whether a task has suspended that has still to be woken.
    fn is_awaited(&self) -> bool {
        match self {
            Self::Submitted { waiting, .. } | Self::Work(_, waiting) => {
                waiting.as_ref().is_some_and(Waiting::is_pending)
            }
            Self::Paused { turn: Turn::Ends(waiting), .. } => waiting.is_pending(),
            _ => false,
        }
    }
}

/// What became of an operation that was put into the engine, or of its next part.
enum Entered {
    /// The answer, and when it was there.
    Ready(PyResult<Py<PyAny>>, Instant),
    Pending(Arc<Ticket>, Option<Py<PyAny>>),
    Paused(Box<LargeRead>),
}

impl Entered {
    /// Goes on reading a large file.
    fn from(py: Python<'_>, reading: Box<LargeRead>) -> Self {
        match reading.advance(py) {
            LargeStep::Done(answer) => Self::Ready(answer, Instant::now()),
            LargeStep::Pause(reading) => Self::Paused(reading),
            LargeStep::Fill(fill, room) => {
                let ticket = Ticket::unique();
                Engine::current().fill(fill, &ticket);
                Self::Pending(ticket, Some(room))
            }
        }
    }
}

fn enter(py: Python<'_>, operation: rapfiles_core::Operation, names: &Names) -> Entered {
    let engine = Engine::current();
    let mut room = BytesRoom::new(py);
    match engine.attempt(&operation, &mut room) {
        Ok((outcome, now)) => proceed(py, outcome, room.into_bytes(), names, now),
        Err(lane) => {
            let ticket = Ticket::unique();
            match engine.submit(operation, lane, &ticket) {
                Answer::Ready(outcome) => {
                    release_memory();
                    proceed(py, outcome, None, names, Instant::now())
                }
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
        Ok(Converted::Large(file)) => match LargeRead::new(py, file) {
            Ok(reading) => Entered::from(py, reading),
            Err(error) => Entered::Ready(Err(error), now),
        },
        Ok(Converted::FillText(fill, room)) => {
            let ticket = Ticket::unique();
            Engine::current().fill_text(fill, &ticket);
            Entered::Pending(ticket, Some(room))
        }
        Err(error) => Entered::Ready(Err(error), now),
    }
}

impl Operation {
    /// An operation that begins when it is awaited.
    pub(crate) fn of(py: Python<'_>, work: Work) -> PyResult<Self> {
        let trio = matches!(event_loop::framework(py)?, Framework::Trio);
        Ok(Self::new(State::Work(work, None), Names::none(), trio))
    }

    /// The next item of an iteration; see [`item_operation`].
    pub(crate) fn item(py: Python<'_>, work: Work) -> PyResult<Bound<'_, PyAny>> {
        let operation = Bound::new(py, Self::of(py, work)?)?;
        if operation.get().trio { wait_on_trio(operation) } else { Ok(operation.into_any()) }
    }

    /// Goes on as far as possible on an asyncio loop.
    fn step(&self, py: Python<'_>) -> PyResult<Step> {
        // The state is taken out while Python may run, so that nothing is locked then.
        let mut state = self.take_state();
        if state.is_awaited() {
            self.put_state(state);
            return Err(already_awaited());
        }
        loop {
            match state {
                State::Ready(answer) => return self.finished(py, answer).map(Step::Return),
                State::Yielding(answer) => {
                    self.put_state(State::Ready(answer));
                    return Ok(Step::Suspend(py.None()));
                }
                State::Submitted { ticket, room, event_loop: Some(event_loop), waiting } => {
                    drop(waiting);
                    let suspended = port::suspend(event_loop.bind(py), &ticket);
                    if let Some((future, waiting)) = suspended.inspect_err(|_| ticket.cancel())? {
                        let (event_loop, waiting) = (Some(event_loop), Some(waiting));
                        self.put_state(State::Submitted { ticket, room, event_loop, waiting });
                        return Ok(Step::Suspend(future));
                    }
                    state = State::entered(self.resume(py, &ticket, room)?, Some(event_loop));
                }
                State::Paused { reading, turn: Turn::Due, event_loop: Some(event_loop) } => {
                    let event_loop = Some(event_loop);
                    self.put_state(State::Paused { reading, turn: Turn::Given, event_loop });
                    return Ok(Step::Suspend(py.None()));
                }
                State::Paused { reading, event_loop: Some(event_loop), .. } => {
                    state = State::entered(Entered::from(py, reading), Some(event_loop));
                }
                State::Work(mut work, waiting) => {
                    drop(waiting);
                    match work.advance_on_asyncio(py) {
                        Progress::Done(answer) => return answer.map(Step::Return),
                        Progress::Yield => {
                            asyncio_loop(py).inspect_err(|_| work.abandon())?;
                            self.put_state(State::Work(work, None));
                            return Ok(Step::Suspend(py.None()));
                        }
                        Progress::Pending(ticket) => {
                            let suspended =
                                asyncio_loop(py).and_then(|event_loop| port::suspend(&event_loop, &ticket));
                            let suspended = suspended.inspect_err(|_| work.abandon())?;
                            if let Some((future, waiting)) = suspended {
                                self.put_state(State::Work(work, Some(waiting)));
                                return Ok(Step::Suspend(future));
                            }
                            state = State::Work(work, None);
                        }
                    }
                }
                State::Submitted { event_loop: None, .. }
                | State::Paused { event_loop: None, .. }
                | State::Unsubmitted(_) => {
                    return Err(PyRuntimeError::new_err("this operation was begun in a trio task"));
                }
                State::Over => {
                    return Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"));
                }
            }
        }
    }

    /// The result that is handed out. An open file becomes what it is for only now: until then nobody has to close it.
    #[inline]
    fn finished(&self, py: Python<'_>, answer: PyResult<Py<PyAny>>) -> PyResult<Py<PyAny>> {
        match self.names.reader() {
            None => answer,
            Some((class, name)) => open::reader(answer?.bind(py), class.bind(py), name.clone_ref(py)),
        }
    }

    fn resume(&self, py: Python<'_>, ticket: &Ticket, room: Option<Py<PyAny>>) -> PyResult<Entered> {
        let outcome = ticket.take().ok_or_else(|| PyRuntimeError::new_err("this operation was cancelled"))?;
        release_memory();
        Ok(proceed(py, outcome, room, &self.names, Instant::now()))
    }

    /// Nobody waits for the answer any more.
    fn abandon(&self) {
        match self.take_state() {
            State::Submitted { ticket, .. } => ticket.cancel(),
            State::Work(mut work, _waiting) => work.abandon(),
            _ => {}
        }
    }

    /// Raises what a coroutine raises that another task has begun to await.
    fn check_not_awaited(&self) -> PyResult<()> {
        let begun = match &*self.lock() {
            State::Work(work, _) => !work.is_untouched(),
            State::Submitted { waiting, .. } => waiting.is_some(),
            State::Paused { turn, .. } => !matches!(turn, Turn::Due),
            _ => false,
        };
        if begun { Err(already_awaited()) } else { Ok(()) }
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
            State::Work(work, _) if work.is_untouched() && work.name() == "__anext__" => {}
            State::Work(work, _) if work.is_untouched() => Python::attach(|py| complain(py, work.name())),
            State::Work(work, _) => work.abandon(),
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
///
/// Where a signal has raised it, that came between the call and the `await`, and nobody has forgotten anything: the
/// interpreter looks for signals when a function that is not Python's has returned.
fn complain(py: Python<'_>, name: &str) {
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

fn already_awaited() -> PyErr {
    PyRuntimeError::new_err("coroutine is being awaited already")
}

#[pymethods]
impl Operation {
    fn __await__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        slf.get().check_not_awaited()?;
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
    /// `wake` will be called once, in the thread of this task, when it is worth to call this again. `completions`: those
    /// of the task's run.
    #[pyo3(signature = (completions, wake, /))]
    fn submit(
        &self,
        py: Python<'_>,
        completions: &Bound<'_, Completions>,
        wake: Py<PyAny>,
    ) -> PyResult<bool> {
        let completions = completions.get();
        let mut state = self.take_state();
        if state.is_awaited() {
            self.put_state(state);
            return Err(already_awaited());
        }
        loop {
            let entered = match state {
                State::Work(mut work, waiting) => {
                    drop(waiting);
                    let ticket = match work.advance(py) {
                        Progress::Done(answer) => {
                            self.put_state(State::Ready(answer));
                            return Ok(false);
                        }
                        Progress::Pending(ticket) => ticket,
                        Progress::Yield => {
                            // Others get their turn before this one is woken through the port.
                            let ticket = Ticket::unique();
                            let waiting = completions.expect(&ticket, wake);
                            self.put_state(State::Work(work, waiting));
                            ticket.ring();
                            return Ok(true);
                        }
                    };
                    if let Some(waiting) = completions.expect(&ticket, wake.clone_ref(py)) {
                        self.put_state(State::Work(work, Some(waiting)));
                        return Ok(true);
                    }
                    state = State::Work(work, None);
                    continue;
                }
                State::Unsubmitted(operation) => enter(py, *operation, &self.names),
                State::Submitted { ticket, room, event_loop, waiting } => {
                    drop(waiting);
                    if let Some(waiting) = completions.expect(&ticket, wake.clone_ref(py)) {
                        let waiting = Some(waiting);
                        self.put_state(State::Submitted { ticket, room, event_loop, waiting });
                        return Ok(true);
                    }
                    self.resume(py, &ticket, room)?
                }
                State::Paused { reading, turn: Turn::Due, event_loop } => {
                    let ticket = Ticket::unique();
                    let waiting = completions.expect(&ticket, wake);
                    let turn = waiting.map_or(Turn::Given, Turn::Ends);
                    self.put_state(State::Paused { reading, turn, event_loop });
                    ticket.ring();
                    return Ok(true);
                }
                State::Paused { reading, .. } => Entered::from(py, reading),
                answered => {
                    self.put_state(answered);
                    return Ok(false);
                }
            };
            state = State::entered(entered, None);
        }
    }

    /// Does it here and now, without a loop, if nothing has to be waited for.
    fn complete(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let State::Work(mut work, _) = self.take_state() {
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
        if let State::Work(mut work, _) = self.take_state() {
            work.refuse();
        }
    }

    /// For trio: the answer, which is there once.
    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.take_state() {
            State::Ready(answer) => self.finished(py, answer),
            other => {
                self.put_state(other);
                Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"))
            }
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // While the state is taken out or locked, this thread holds what is in it.
        if let Ok(state) = self.state.try_lock()
            && let State::Submitted { event_loop, .. } | State::Paused { event_loop, .. } = &*state
        {
            if let State::Submitted { room, .. } = &*state {
                visit.call(room)?;
            }
            visit.call(event_loop)?;
        }
        Ok(())
    }
}

/// Gives the type the slots by which the interpreter awaits: `am_send`, through which CPython 3.10 and 3.11 pass a result
/// without making a `StopIteration` of it, and `tp_iternext`, by which later ones ask.
///
/// PyO3 has no way to fill the first one, and an exception made by PyO3 for the second one; so they are filled after the
/// type has been made.
pub(crate) fn set_slots(py: Python<'_>) {
    let kind = py.get_type::<Operation>();
    let kind = kind.as_type_ptr();
    // SAFETY: the type is a heap type, whose `tp_as_async` points into itself; it is not in use yet, since the module is
    // being initialised. `am_send` follows the protocol of `PyIter_Send`, and `next` that of `PyIter_Next`.
    unsafe {
        if let Some(slots) = (*kind).tp_as_async.as_mut() {
            slots.am_send = Some(am_send);
        }
        (*kind).tp_iternext = Some(next);
    }
}

/// # Safety
/// Called by the interpreter with an `Operation`.
unsafe extern "C" fn next(operation: *mut ffi::PyObject) -> *mut ffi::PyObject {
    let mut result = std::ptr::null_mut();
    // SAFETY: the caller's promise, and there is a place for the result.
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
