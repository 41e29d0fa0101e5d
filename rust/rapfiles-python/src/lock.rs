//! Locks of files, as Python's tasks acquire and release them.

use std::ffi::CString;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyResourceWarning, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use pyo3::{PyTraverseError, PyVisit};
use rapfiles_core::{
    Acquisition, Engine, Error, Extent, HeldLock, LockRequest, Mode, NativePath, Progress, Ticket,
};

use crate::arguments::PathArgument;
use crate::errors::{self, Names};
use crate::event_loop::{self, Framework};
use crate::fairness;
use crate::operation::{self, Operation};
use crate::pending::{Answer, Work};

/// A lock of a file.
#[pyclass(subclass, frozen, weakref, module = "rapfiles._native")]
pub(crate) struct Lock {
    path: NativePath,
    name: Py<PyString>,
    mode: Mode,
    extent: Extent,
    blocking: bool,
    timeout: Option<Duration>,
    /// Nothing under the lock calls Python.
    held: Mutex<Vec<Holding>>,
}

/// The lock in the hands of a task.
struct Holding {
    held: HeldLock,
    /// The task, so that no other one gets its address meanwhile.
    task: Option<Py<PyAny>>,
}

impl Lock {
    fn request(&self, owner: usize) -> LockRequest {
        LockRequest {
            path: self.path.clone(),
            mode: self.mode,
            extent: self.extent,
            blocking: self.blocking,
            timeout: self.timeout,
            owner,
        }
    }

    /// Takes the lock that the task holds, or one that another task has left.
    fn take(&self, task: usize) -> Option<Holding> {
        let mut held = self.held();
        let is_mine =
            |holding: &Holding| holding.task.as_ref().is_some_and(|own| own.as_ptr().addr() == task);
        let index = held.iter().position(is_mine).or_else(|| held.len().checked_sub(1))?;
        let holding = held.swap_remove(index);
        drop(held);
        // In a forked child, it is the parent's.
        holding.held.is_own().then_some(holding)
    }

    fn held(&self) -> MutexGuard<'_, Vec<Holding>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Warns of a lock that was not released. A current exception must not be lost.
    fn complain(&self, py: Python<'_>) {
        let before = PyErr::take(py);
        let name = self.name.bind(py).repr().map_or_else(|_| String::new(), |name| name.to_string());
        if let Ok(message) = CString::new(format!("unreleased lock <rapfiles.FileLock path={name}>"))
            && let Err(error) = PyErr::warn(py, &py.get_type::<PyResourceWarning>(), &message, 1)
        {
            error.write_unraisable(py, Some(self.name.bind(py)));
        }
        if let Some(before) = before {
            before.restore(py);
        }
    }
}

#[pymethods]
impl Lock {
    /// A lock that nobody has asked for yet. `range`: the first byte and their number.
    #[new]
    #[pyo3(signature = (path, shared, timeout, blocking, range, /))]
    fn new(
        path: PathArgument<'_>,
        shared: bool,
        timeout: Option<f64>,
        blocking: bool,
        range: Option<(u64, u64)>,
    ) -> PyResult<Self> {
        Ok(Self {
            path: path.native("io.open")?,
            name: path.name(),
            mode: if shared { Mode::Shared } else { Mode::Exclusive },
            extent: range.map_or(Extent::Whole, |(start, length)| Extent::Range { start, length }),
            blocking,
            timeout: duration(timeout, blocking)?,
            held: Mutex::default(),
        })
    }

    /// Acquires the lock, and returns this object.
    fn acquire(slf: Bound<'_, Self>) -> PyResult<Operation> {
        let py = slf.py();
        Operation::of(py, Work::Lock(LockWork::acquire(slf.unbind())))
    }

    fn __aenter__(slf: Bound<'_, Self>) -> PyResult<Operation> {
        Self::acquire(slf)
    }

    /// Releases the lock.
    fn release(slf: Bound<'_, Self>) -> PyResult<Operation> {
        let holding = slf.get().take(current_task(slf.py())?.as_ptr().addr());
        match holding {
            Some(holding) => release(&slf, holding),
            None => Err(PyRuntimeError::new_err("cannot release a lock that is not held")),
        }
    }

    #[pyo3(signature = (_kind, _error, _traceback, /))]
    fn __aexit__(
        slf: Bound<'_, Self>,
        _kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<Operation> {
        match slf.get().take(current_task(slf.py())?.as_ptr().addr()) {
            Some(holding) => release(&slf, holding),
            // It has been released within the block.
            None => operation::answered(slf.py(), Ok(slf.py().None())),
        }
    }

    /// Whether it is held through this object.
    #[getter]
    fn locked(&self) -> bool {
        self.held().iter().any(|holding| holding.held.is_own())
    }

    /// The path of the file.
    #[getter]
    fn path(&self, py: Python<'_>) -> Py<PyString> {
        self.name.clone_ref(py)
    }

    /// Whether others may hold it, too.
    #[getter]
    fn shared(&self) -> bool {
        self.mode == Mode::Shared
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Ok(held) = self.held.try_lock() {
            for holding in held.iter() {
                visit.call(&holding.task)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        let tasks: Vec<_> = self.held().iter_mut().map(|holding| holding.task.take()).collect();
        drop(tasks);
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let held = mem::take(self.held.get_mut().unwrap_or_else(PoisonError::into_inner));
        if held.iter().any(|holding| holding.held.is_own()) {
            Python::attach(|py| self.complain(py));
        }
    }
}

/// A time in seconds.
fn duration(timeout: Option<f64>, blocking: bool) -> PyResult<Option<Duration>> {
    let Some(seconds) = timeout else { return Ok(None) };
    if !blocking {
        return Err(PyValueError::new_err("a lock that does not block has no timeout"));
    }
    if seconds.is_nan() || seconds < 0.0 {
        return Err(PyValueError::new_err(
            "timeout must be a number of seconds that is not negative, or None",
        ));
    }
    // What does not fit is longer than anybody waits.
    Ok(Duration::try_from_secs_f64(seconds).ok())
}

/// The running task.
fn current_task(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    match event_loop::framework(py)? {
        Framework::Asyncio(event_loop) => event_loop::asyncio_task(&event_loop),
        Framework::Trio => event_loop::trio_task(py),
    }
}

/// Releases a lock: now, if that does not block, and by a worker otherwise.
fn release(lock: &Bound<'_, Lock>, holding: Holding) -> PyResult<Operation> {
    let py = lock.py();
    let Holding { held, task } = holding;
    drop(task);
    if held.is_local() {
        drop(held);
        return operation::answered(py, Ok(py.None()));
    }
    let ticket = Ticket::unique();
    Engine::current().release(held, &ticket);
    Operation::of(py, Work::Lock(LockWork::releasing(lock.clone().unbind(), ticket)))
}

/// The acquisition or the release of a lock, awaited.
pub(crate) struct LockWork {
    lock: Py<Lock>,
    task: Option<Py<PyAny>>,
    stage: Stage,
}

enum Stage {
    /// Nobody has begun to await it.
    Untouched,
    Waiting(Acquisition),
    /// The answer is there, but other tasks run first.
    Acquired(Result<HeldLock, Error>),
    /// A worker releases it. Awaited or not.
    Releasing(Arc<Ticket>, bool),
    Over,
}

impl LockWork {
    fn acquire(lock: Py<Lock>) -> Self {
        Self { lock, task: None, stage: Stage::Untouched }
    }

    fn releasing(lock: Py<Lock>, ticket: Arc<Ticket>) -> Self {
        Self { lock, task: None, stage: Stage::Releasing(ticket, false) }
    }

    /// Whether nobody has begun to await it.
    pub(crate) fn is_untouched(&self) -> bool {
        matches!(self.stage, Stage::Untouched | Stage::Releasing(_, false))
    }

    /// The name in the warning about an operation that was never awaited.
    pub(crate) fn forgotten(&self) -> Option<&'static str> {
        matches!(self.stage, Stage::Untouched).then_some("acquire")
    }

    /// Advances as far as possible.
    pub(crate) fn advance(&mut self, py: Python<'_>, trio: bool) -> Progress<Answer> {
        let mut acquisition = match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Untouched => match self.begin(py, trio) {
                Ok(Ok(progress)) => return progress,
                Ok(Err(acquisition)) => acquisition,
                Err(error) => return Progress::Done(Err(error)),
            },
            Stage::Waiting(acquisition) => acquisition,
            Stage::Acquired(answer) => return self.done(py, answer),
            Stage::Releasing(ticket, _) if !ticket.is_done() => {
                self.stage = Stage::Releasing(Arc::clone(&ticket), true);
                return Progress::Pending(ticket);
            }
            Stage::Releasing(ticket, _) => {
                return Progress::Done(match ticket.take() {
                    Some(Err(error)) => Err(self.raised(py, error)),
                    _ => Ok(py.None()),
                });
            }
            Stage::Over => {
                return Progress::Done(Err(PyRuntimeError::new_err(
                    "cannot reuse already awaited coroutine",
                )));
            }
        };
        match acquisition.advance() {
            Progress::Done(answer) => self.done(py, answer),
            Progress::Pending(ticket) => {
                self.stage = Stage::Waiting(acquisition);
                Progress::Pending(ticket)
            }
            Progress::Yield => {
                self.stage = Stage::Waiting(acquisition);
                Progress::Yield
            }
        }
    }

    /// Asks for the lock. What was answered at once costs a task of asyncio's its budget.
    fn begin(&mut self, py: Python<'_>, trio: bool) -> PyResult<Result<Progress<Answer>, Acquisition>> {
        let framework = event_loop::framework(py)?;
        let task = match &framework {
            Framework::Asyncio(event_loop) => event_loop::asyncio_task(event_loop),
            Framework::Trio => event_loop::trio_task(py),
        }?;
        // Who runs no task of the loop's cannot be told from others.
        let owner = if task.is_none() { 0 } else { task.as_ptr().addr() };
        let request = self.lock.get().request(owner);
        self.task = Some(task.unbind());
        let answer = match Acquisition::begin(Engine::current(), request) {
            Ok(answer) => answer,
            Err(acquisition) => return Ok(Err(acquisition)),
        };
        if let Framework::Asyncio(event_loop) = framework
            && !trio
            && fairness::spend_budget(&event_loop, Instant::now())?
        {
            self.stage = Stage::Acquired(answer);
            return Ok(Ok(Progress::Yield));
        }
        Ok(Ok(self.done(py, answer)))
    }

    fn done(&mut self, py: Python<'_>, answer: Result<HeldLock, Error>) -> Progress<Answer> {
        Progress::Done(match answer {
            Ok(held) => {
                let task = self.task.take();
                self.lock.get().held().push(Holding { held, task });
                Ok(self.lock.clone_ref(py).into_any())
            }
            Err(error) => Err(self.raised(py, error)),
        })
    }

    fn raised(&self, py: Python<'_>, error: Error) -> PyErr {
        errors::exception(py, error, &Names::one(self.lock.get().name.clone_ref(py)))
    }

    /// Abandons it: the task that awaited it is gone.
    pub(crate) fn abandon(&mut self) {
        // A lock that is released is released nevertheless.
        self.stage = Stage::Over;
    }

    /// Shows the collector what is held.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.lock)?;
        visit.call(&self.task)
    }
}
