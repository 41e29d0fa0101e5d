//! Awaitables: one state machine, driven by a task of asyncio or trio.
//!
//! The work reports its [`Progress`]; the adapter for the framework suspends the task until a ticket is done, or yields
//! to other tasks.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use rapfiles_core::{Progress, Ticket};

use crate::event_loop::{self, Framework};
use crate::fairness;
use crate::functions::open::Reader;
use crate::handle::work::FileWork;
use crate::lock::LockWork;
use crate::path_work::PathWork;
use crate::port::{self, Waiting};
use crate::stream::{ItemWork, WholeWork};
use crate::trio;

/// The value to return or the exception to raise.
pub(crate) type Answer = PyResult<Py<PyAny>>;

/// Work that advances as its tickets are finished.
pub(crate) enum Work {
    /// An operation on paths.
    Path(PathWork),
    /// An operation on a handle.
    File(FileWork),
    /// The next item of a stream.
    Item(ItemWork),
    /// A whole stream.
    Whole(WholeWork),
    /// A lock.
    Lock(LockWork),
}

impl Work {
    /// Advances as far as possible, but may yield before it begins.
    fn advance(&mut self, py: Python<'_>, trio: bool) -> Progress<Answer> {
        match self {
            Self::Path(work) => work.advance(py).map(|(answer, _)| answer),
            Self::File(work) => work.advance_fairly(py),
            Self::Item(work) => work.advance(py, trio),
            Self::Whole(work) => work.advance(py, trio),
            Self::Lock(work) => work.advance(py, trio),
        }
    }

    /// Whether the driver has to spend the budget, because the work does not.
    fn is_counted(&self, trio: bool) -> bool {
        trio && !matches!(self, Self::File(_))
    }

    /// Whether it has not been awaited.
    pub(crate) fn is_untouched(&self) -> bool {
        match self {
            Self::Path(work) => work.is_untouched(),
            Self::File(work) => work.is_untouched(),
            Self::Item(work) => work.is_untouched(),
            Self::Whole(work) => work.is_untouched(),
            Self::Lock(work) => work.is_untouched(),
        }
    }

    /// The name in the warning about an operation that was never awaited; `None` if there is nothing to warn about.
    pub(crate) fn forgotten(&self) -> Option<&'static str> {
        let name = match self {
            // Only an interruption can come between an iteration and its item.
            Self::Path(_) | Self::Item(_) => return None,
            Self::Lock(work) => return work.forgotten(),
            Self::File(work) => work.name(),
            Self::Whole(work) => work.name(),
        };
        (self.is_untouched() && name != "__anext__").then_some(name)
    }

    /// Abandons it: the task that awaited it is gone.
    fn abandon(&mut self) {
        match self {
            Self::Path(work) => work.abandon(),
            Self::File(work) => work.abandon(),
            Self::Item(work) => work.abandon(),
            Self::Whole(work) => work.abandon(),
            Self::Lock(work) => work.abandon(),
        }
    }

    /// For a task that was cancelled before it awaited this: only closing a file is done nevertheless.
    fn refuse(&mut self) {
        match self {
            Self::Path(_) | Self::Lock(_) => {}
            Self::File(work) => work.refuse(),
            Self::Item(work) => work.refuse(),
            Self::Whole(work) => work.refuse(),
        }
    }
}

/// An awaitable for one task, once.
pub(crate) struct Pending {
    state: Mutex<State>,
    /// It is for a task of trio's.
    trio: bool,
    /// The class that an opened file becomes when it is returned: before that, the caller need not close it.
    reader: Option<Reader>,
    /// It is the next item of an iteration: `anext` with a default asks it for an iterator at each step.
    item: bool,
    /// It is for all who await what is done, and gives them `None`.
    done: bool,
}

enum State {
    /// It can advance.
    Going(Work),
    /// The answer is there.
    Ready(Answer),
    /// The answer is there, but the task has to yield first.
    Yielding(Answer),
    /// A task has suspended.
    Suspended(Then, Suspension),
    /// It has been awaited and given its answer, or cancelled.
    Over,
}

/// What to do when the task resumes.
enum Then {
    GoOn(Work),
    Answer(Answer),
    /// The task was cancelled, and its framework raises that.
    Nothing,
}

/// For what a task has suspended.
enum Suspension {
    /// asyncio: until the loop's next iteration.
    Iteration,
    /// asyncio: until a future is done.
    Future(Waiting),
    Trio(trio::Suspension),
}

/// The result of a step.
pub(crate) enum Resumption {
    /// The task suspends, and passes this to its loop.
    Suspend(Py<PyAny>),
    /// The task resumes with the answer.
    Return(Py<PyAny>),
}

impl Pending {
    fn new(state: State, trio: bool) -> Self {
        Self { state: Mutex::new(state), trio, reader: None, item: false, done: false }
    }

    /// Sets the class that an opened file becomes when it is returned.
    pub(crate) fn becomes(&mut self, reader: Option<Reader>) {
        self.reader = reader;
    }

    /// The next item of an iteration.
    pub(crate) fn into_item(mut self) -> Self {
        self.item = true;
        self
    }

    /// A completed one.
    pub(crate) fn over() -> Self {
        Self::new(State::Over, false)
    }

    /// One that is for all who await what is done on asyncio.
    pub(crate) fn done() -> Self {
        Self { done: true, ..Self::over() }
    }

    /// An answer that costs an asyncio task its budget, which is spent.
    pub(crate) fn yielding(answer: Answer) -> Self {
        Self::new(State::Yielding(answer), false)
    }

    /// Work that begins when it is awaited.
    pub(crate) fn work(work: Work, trio: bool) -> Self {
        Self::new(State::Going(work), trio)
    }

    /// A known answer; it costs an asyncio task's budget.
    pub(crate) fn answered(event_loop: &Bound<'_, PyAny>, answer: Answer, now: Instant) -> PyResult<Self> {
        let exhausted = fairness::spend_budget(event_loop, now)?;
        let state = if exhausted { State::Yielding(answer) } else { State::Ready(answer) };
        Ok(Self::new(state, false))
    }

    /// Takes the value that is to be returned, if that is known and nothing else has to be done.
    #[inline]
    pub(crate) fn take_value(&self) -> Option<Py<PyAny>> {
        let mut state = self.lock();
        if !matches!(*state, State::Ready(Ok(_))) || self.reader.is_some() {
            return None;
        }
        match mem::replace(&mut *state, State::Over) {
            State::Ready(Ok(value)) => Some(value),
            _ => None,
        }
    }

    /// Advances as far as possible. `operation`: the object that is awaited; `value`: the value sent by the loop.
    pub(crate) fn step(
        &self,
        operation: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<Resumption> {
        let py = operation.py();
        if self.done {
            return Ok(Resumption::Return(py.None()));
        }
        // The state is taken out while Python may run, so that nothing is locked then.
        let mut state = self.take();
        loop {
            state = match state {
                State::Ready(answer) => return self.finished(py, answer).map(Resumption::Return),
                State::Yielding(answer) => match self.turn(py, true)? {
                    Some((yielded, suspension)) => {
                        return Ok(self.suspend(yielded, Then::Answer(answer), suspension));
                    }
                    None => State::Ready(answer),
                },
                State::Going(work) => match self.go_on(operation, work)? {
                    Ok(step) => return Ok(step),
                    Err(state) => state,
                },
                State::Suspended(then, suspension) => {
                    let resumed = match &suspension {
                        Suspension::Trio(suspension) if trio::Suspension::is_mine(value) => {
                            suspension.resume(value)
                        }
                        Suspension::Future(waiting) if !waiting.is_pending() => Ok(None),
                        Suspension::Iteration => Ok(None),
                        _ => {
                            self.put(State::Suspended(then, suspension));
                            return Err(already_awaited());
                        }
                    };
                    match (resumed, then) {
                        (Ok(Some(yielded)), then) => return Ok(self.suspend(yielded, then, suspension)),
                        (Ok(None), Then::GoOn(work)) => State::Going(work),
                        (Ok(None), Then::Answer(answer)) => State::Ready(answer),
                        (Ok(None), Then::Nothing) => State::Over,
                        (Err(error), then) => {
                            drop(suspension);
                            if let Then::GoOn(mut work) = then {
                                work.abandon();
                            }
                            return Err(error);
                        }
                    }
                }
                State::Over => {
                    return Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"));
                }
            }
        }
    }

    #[inline]
    fn finished(&self, py: Python<'_>, answer: Answer) -> Answer {
        match &self.reader {
            None => answer,
            Some(reader) => reader.of(answer?.bind(py)),
        }
    }

    /// Advances the work: to a result for the task, or to a state from which it continues at once.
    #[inline]
    fn go_on(&self, operation: &Bound<'_, PyAny>, mut work: Work) -> PyResult<Result<Resumption, State>> {
        let py = operation.py();
        if self.trio && work.is_untouched() {
            let cancelled = trio::if_cancelled(py);
            if let Some((yielded, suspension)) = cancelled.or_else(|error| {
                work.refuse();
                check_in_trio(py).and(Err(error))
            })? {
                work.refuse();
                return Ok(Ok(self.suspend(yielded, Then::Nothing, Suspension::Trio(suspension))));
            }
        }
        let suspended = match work.advance(py, self.trio) {
            Progress::Done(answer) if work.is_counted(self.trio) && fairness::spend_budget_on_trio(py) => {
                return Ok(Err(State::Yielding(answer)));
            }
            Progress::Done(answer) => return Ok(Err(State::Ready(answer))),
            Progress::Yield => self.turn(py, false),
            Progress::Pending(ticket) => self.wait(operation, &ticket),
        };
        Ok(match suspended.inspect_err(|_| work.abandon())? {
            Some((yielded, suspension)) => Ok(self.suspend(yielded, Then::GoOn(work), suspension)),
            None => Err(State::Going(work)),
        })
    }

    fn suspend(&self, yielded: Py<PyAny>, then: Then, suspension: Suspension) -> Resumption {
        self.put(State::Suspended(then, suspension));
        Resumption::Suspend(yielded)
    }

    /// Yields to other tasks. `shielded`: a trio task that is cancelled meanwhile continues.
    fn turn(&self, py: Python<'_>, shielded: bool) -> PyResult<Option<(Py<PyAny>, Suspension)>> {
        if self.trio {
            return Ok(trio::turn(py, shielded)?.map(on_trio));
        }
        asyncio_loop(py)?;
        Ok(Some((py.None(), Suspension::Iteration)))
    }

    /// Suspends the task until the ticket is done; `None` if it is done already.
    fn wait(
        &self,
        operation: &Bound<'_, PyAny>,
        ticket: &Arc<Ticket>,
    ) -> PyResult<Option<(Py<PyAny>, Suspension)>> {
        if self.trio {
            return Ok(trio::wait(operation, ticket)?.map(on_trio));
        }
        let suspended = port::suspend(&asyncio_loop(operation.py())?, ticket)?;
        Ok(suspended.map(|(future, waiting)| (future, Suspension::Future(waiting))))
    }

    /// Completes it without a loop, if that does not block.
    pub(crate) fn complete(&self, py: Python<'_>) -> Answer {
        if let State::Going(Work::File(mut work)) = self.take() {
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
        Err(PyRuntimeError::new_err("an operation on this file is running"))
    }

    /// Abandons it: the task that awaited it is gone.
    pub(crate) fn abandon(&self) {
        match self.take() {
            State::Going(mut work) => work.abandon(),
            State::Suspended(Then::GoOn(mut work), suspension) => {
                drop(suspension);
                work.abandon();
            }
            _ => {}
        }
    }

    /// The trio task has been cancelled while it waits. trio raises Cancelled through its own coroutine.
    pub(crate) fn abort(&self) {
        match self.take() {
            State::Suspended(Then::GoOn(mut work), Suspension::Trio(mut suspension)) => {
                suspension.forget();
                work.abandon();
                self.put(State::Suspended(Then::Nothing, Suspension::Trio(suspension)));
            }
            other => self.put(other),
        }
    }

    /// Raises the error of a coroutine that is already being awaited.
    pub(crate) fn check_not_awaited(&self) -> PyResult<()> {
        let begun = match &*self.lock() {
            State::Going(_) | State::Ready(_) | State::Yielding(_) | State::Over => false,
            State::Suspended(..) => !self.item,
        };
        if begun { Err(already_awaited()) } else { Ok(()) }
    }

    /// Called when it is dropped: its name, if it should have been awaited.
    pub(crate) fn finish(&mut self) -> Option<&'static str> {
        match mem::replace(self.state.get_mut().unwrap_or_else(PoisonError::into_inner), State::Over) {
            State::Going(mut work) => {
                let forgotten = work.forgotten();
                if forgotten.is_none() {
                    work.abandon();
                }
                return forgotten;
            }
            State::Suspended(Then::GoOn(mut work), suspension) => {
                drop(suspension);
                work.abandon();
            }
            _ => {}
        }
        None
    }

    /// Shows the collector what is held.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // While the state is taken out or locked, this thread holds what is in it.
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        match &*state {
            State::Ready(Ok(answer)) | State::Yielding(Ok(answer)) => visit.call(answer)?,
            State::Going(Work::Path(work)) => work.traverse(visit)?,
            State::Going(Work::Lock(work)) => work.traverse(visit)?,
            State::Suspended(then, suspension) => {
                match then {
                    Then::GoOn(Work::Path(work)) => work.traverse(visit)?,
                    Then::GoOn(Work::Lock(work)) => work.traverse(visit)?,
                    Then::Answer(Ok(answer)) => visit.call(answer)?,
                    _ => {}
                }
                if let Suspension::Trio(suspension) = suspension {
                    suspension.traverse(visit)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn take(&self) -> State {
        mem::replace(&mut *self.lock(), State::Over)
    }

    fn put(&self, state: State) {
        *self.lock() = state;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn on_trio((yielded, suspension): (Py<PyAny>, trio::Suspension)) -> (Py<PyAny>, Suspension) {
    (yielded, Suspension::Trio(suspension))
}

fn already_awaited() -> PyErr {
    PyRuntimeError::new_err("coroutine is being awaited already")
}

/// The running loop of a task that waits for what was begun on asyncio.
fn asyncio_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    match event_loop::framework(py)? {
        Framework::Asyncio(event_loop) => Ok(event_loop),
        Framework::Trio => Err(PyRuntimeError::new_err(
            "this file was opened on asyncio and cannot be waited for in a trio task",
        )),
    }
}

fn check_in_trio(py: Python<'_>) -> PyResult<()> {
    if event_loop::in_trio_task(py)? {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(
        "this file was opened on trio and cannot be waited for on asyncio, or outside of a trio task",
    ))
}
