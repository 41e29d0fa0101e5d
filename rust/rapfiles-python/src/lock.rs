//! Locks of files, as Python's tasks acquire and release them.

use std::ffi::CString;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyOverflowError, PyResourceWarning, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyInt;
use pyo3::{PyTraverseError, PyVisit};
use rapfiles_core::handle::Handle;
use rapfiles_core::{
    Acquisition, Conversion, Engine, Error, Extent, HeldLock, LockRequest, LockTarget, Mode, Outcome,
    Progress, Ticket,
};

use crate::arguments::PathArgument;
use crate::errors::{self, Names};
use crate::event_loop;
use crate::fairness;
use crate::handle::open_file::OpenFile;
use crate::operation::{self, Operation};
use crate::pending::{Answer, Work};

/// A lock of a file.
#[pyclass(subclass, frozen, weakref, module = "rapfiles._native")]
pub(crate) struct Lock {
    target: LockTarget,
    /// The path as it was given, or the name of the open file.
    name: Py<PyAny>,
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
    fn request(&self, mode: Mode, owner: usize) -> LockRequest {
        LockRequest {
            target: self.target.clone(),
            mode,
            extent: self.extent,
            blocking: self.blocking,
            timeout: self.timeout,
            owner,
        }
    }

    /// Takes the lock that the running task holds, or one that another task has left.
    fn take(&self, py: Python<'_>) -> PyResult<Option<Holding>> {
        let (mut held, mut task) = (self.held(), 0);
        if held.len() > 1 {
            // Several tasks hold it if they share it. Nothing is locked while Python is called.
            drop(held);
            task = current_task(py, event_loop::in_trio_task(py)?)?.as_ptr().addr();
            held = self.held();
        }
        let is_mine =
            |holding: &Holding| holding.task.as_ref().is_some_and(|own| own.as_ptr().addr() == task);
        let index = held.iter().position(is_mine).or_else(|| held.len().checked_sub(1));
        let holding = index.map(|index| held.swap_remove(index));
        drop(held);
        // In a forked child, it is the parent's.
        Ok(holding.filter(|holding| holding.held.is_own()))
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
    /// A lock that nobody has asked for yet, of the file with a path or of an open file. `range`: the first byte and
    /// their number.
    #[new]
    #[pyo3(signature = (file, shared, timeout, blocking, range, /))]
    fn new(
        file: &Bound<'_, PyAny>,
        shared: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
        blocking: &Bound<'_, PyAny>,
        range: Option<(u64, u64)>,
    ) -> PyResult<Self> {
        let (shared, blocking) = (shared.is_truthy()?, blocking.is_truthy()?);
        let (target, name) = match file.cast::<OpenFile>() {
            Ok(file) => {
                let handle = &file.get().file.handle;
                check_open(handle)?;
                (LockTarget::Handle(Arc::clone(handle)), file.get().name(file.py()))
            }
            Err(_) => {
                let path: PathArgument<'_> = file.extract()?;
                (LockTarget::Path(path.native("io.open")?), path.name().into_any())
            }
        };
        Ok(Self {
            target,
            name,
            mode: if shared { Mode::Shared } else { Mode::Exclusive },
            extent: range.map_or(Extent::Whole, |(start, length)| Extent::Range { start, length }),
            blocking,
            timeout: duration(timeout, blocking)?,
            held: Mutex::default(),
        })
    }

    /// Acquires the lock, and returns this object.
    fn acquire(slf: Bound<'_, Self>) -> PyResult<Operation> {
        let (py, mode) = (slf.py(), slf.get().mode);
        Operation::of(py, Work::Lock(LockWork::new(slf.unbind(), Phase::Untouched(mode))))
    }

    /// Makes a shared lock exclusive.
    ///
    /// Two that upgrade locks of overlapping ranges wait for each other, for ever if the lock has no timeout.
    fn upgrade(slf: Bound<'_, Self>) -> PyResult<Operation> {
        let py = slf.py();
        Operation::of(py, Work::Lock(LockWork::new(slf.unbind(), Phase::Unconverted(Mode::Exclusive))))
    }

    /// Makes an exclusive lock shared.
    fn downgrade(slf: Bound<'_, Self>) -> PyResult<Operation> {
        let py = slf.py();
        Operation::of(py, Work::Lock(LockWork::new(slf.unbind(), Phase::Unconverted(Mode::Shared))))
    }

    /// Returns the number of a process that has a lock which would be in the way, if the system tells.
    fn holder(slf: Bound<'_, Self>) -> PyResult<Operation> {
        let (lock, ticket) = (slf.get(), Ticket::unique());
        Engine::current().find_lock_holder(lock.target.clone(), lock.mode, lock.extent, &ticket);
        Operation::of(
            slf.py(),
            Work::Lock(LockWork::new(slf.clone().unbind(), Phase::Submitted(ticket, false))),
        )
    }

    /// The same. It is awaited at once, and asks for the loop's task then.
    fn __aenter__(slf: Bound<'_, Self>) -> PyResult<Operation> {
        let (trio, mode) = (event_loop::in_trio_task(slf.py())?, slf.get().mode);
        Ok(Operation::on(Work::Lock(LockWork::new(slf.unbind(), Phase::Untouched(mode))), trio))
    }

    /// Releases the lock.
    fn release(slf: Bound<'_, Self>) -> PyResult<Py<Operation>> {
        match slf.get().take(slf.py())? {
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
    ) -> PyResult<Py<Operation>> {
        match slf.get().take(slf.py())? {
            Some(holding) => release(&slf, holding),
            // It has been released within the block.
            None => operation::done(slf.py()),
        }
    }

    /// Whether it is held through this object.
    #[getter]
    fn locked(&self) -> bool {
        self.held().iter().any(|holding| holding.held.is_there())
    }

    /// The path of the file, or the name of the open file.
    #[getter]
    fn path(&self, py: Python<'_>) -> Py<PyAny> {
        self.name.clone_ref(py)
    }

    /// Whether others may hold it, too.
    #[getter]
    fn shared(&self) -> bool {
        self.mode == Mode::Shared
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.name)?;
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
        // Closing a file has released its lock.
        if held.iter().any(|holding| holding.held.is_there()) {
            Python::attach(|py| self.complain(py));
        }
    }
}

/// Only an open file can be locked.
fn check_open(handle: &Handle) -> PyResult<()> {
    if handle.is_closed() {
        return Err(PyValueError::new_err("I/O operation on closed file."));
    }
    Ok(())
}

/// A time in seconds.
fn duration(timeout: Option<&Bound<'_, PyAny>>, blocking: bool) -> PyResult<Option<Duration>> {
    let Some(timeout) = timeout else { return Ok(None) };
    let seconds: f64 = timeout.extract().or_else(|error: PyErr| {
        // An integer that no float holds.
        if error.is_instance_of::<PyOverflowError>(timeout.py()) {
            return Ok(if timeout.lt(0)? { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        if !error.is_instance_of::<PyTypeError>(timeout.py()) {
            return Err(error);
        }
        let found = timeout.get_type().name()?;
        Err(PyTypeError::new_err(format!("timeout must be a number of seconds or None, not {found}")))
    })?;
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
fn current_task(py: Python<'_>, trio: bool) -> PyResult<Bound<'_, PyAny>> {
    if trio { event_loop::trio_task(py) } else { event_loop::asyncio_task(py) }
}

/// Releases a lock.
fn release(lock: &Bound<'_, Lock>, holding: Holding) -> PyResult<Py<Operation>> {
    let py = lock.py();
    let Holding { held, task } = holding;
    drop(task);
    let Some(ticket) = begin_release(held) else { return operation::done(py) };
    let work = LockWork::new(lock.clone().unbind(), Phase::Submitted(ticket, false));
    Py::new(py, Operation::of(py, Work::Lock(work))?)
}

/// Releases a lock: now, if that does not block, and otherwise by a worker, whose ticket it returns.
fn begin_release(held: HeldLock) -> Option<Arc<Ticket>> {
    if held.is_local() {
        drop(held);
        return None;
    }
    let ticket = Ticket::unique();
    Engine::current().release(held, &ticket);
    Some(ticket)
}

/// An operation on a lock, awaited.
pub(crate) struct LockWork {
    lock: Py<Lock>,
    task: Option<Py<PyAny>>,
    phase: Phase,
}

enum Phase {
    /// Nobody has begun to await the acquisition.
    Untouched(Mode),
    Waiting(Acquisition),
    /// The answer is there, but other tasks run first.
    Acquired(Box<Result<HeldLock, Error>>),
    /// Nobody has begun to await the conversion.
    Unconverted(Mode),
    Converting(Box<Conversion>),
    /// A worker has it. Whether it is awaited.
    Submitted(Arc<Ticket>, bool),
    /// A worker releases a lock, and then another one is asked for.
    Releasing(Arc<Ticket>, Mode),
    Over,
}

impl LockWork {
    fn new(lock: Py<Lock>, phase: Phase) -> Self {
        Self { lock, task: None, phase }
    }

    /// Whether nobody has begun to await it.
    pub(crate) fn is_untouched(&self) -> bool {
        matches!(self.phase, Phase::Untouched(_) | Phase::Unconverted(_) | Phase::Submitted(_, false))
    }

    /// The name in the warning about an operation that was never awaited.
    pub(crate) fn forgotten(&self) -> Option<&'static str> {
        match self.phase {
            Phase::Untouched(_) => Some("acquire"),
            Phase::Unconverted(Mode::Exclusive) => Some("upgrade"),
            Phase::Unconverted(Mode::Shared) => Some("downgrade"),
            _ => None,
        }
    }

    /// Advances as far as possible.
    pub(crate) fn advance(&mut self, py: Python<'_>, trio: bool) -> Progress<Answer> {
        match mem::replace(&mut self.phase, Phase::Over) {
            Phase::Untouched(mode) => match self.begin(py, mode, trio) {
                Ok(Ok(progress)) => progress,
                Ok(Err(acquisition)) => self.go_on(py, acquisition),
                Err(error) => Progress::Done(Err(error)),
            },
            Phase::Waiting(acquisition) => self.go_on(py, acquisition),
            Phase::Acquired(answer) => self.done(py, *answer),
            Phase::Unconverted(mode) => self.convert(py, mode, trio),
            Phase::Converting(conversion) => self.go_on_converting(py, conversion),
            Phase::Submitted(ticket, _) if !ticket.is_done() => {
                self.phase = Phase::Submitted(Arc::clone(&ticket), true);
                Progress::Pending(ticket)
            }
            Phase::Submitted(ticket, _) => Progress::Done(match ticket.take() {
                Some(Ok(Outcome::Holder(holder))) => {
                    Ok(PyInt::new(py, holder.unwrap_or(0)).into_any().unbind())
                        .map(|number| if holder.is_some() { number } else { py.None() })
                }
                Some(Err(error)) => Err(self.raised(py, error)),
                _ => Ok(py.None()),
            }),
            Phase::Releasing(ticket, mode) if !ticket.is_done() => {
                self.phase = Phase::Releasing(Arc::clone(&ticket), mode);
                Progress::Pending(ticket)
            }
            Phase::Releasing(_, mode) => {
                self.phase = Phase::Untouched(mode);
                self.advance(py, trio)
            }
            Phase::Over => {
                Progress::Done(Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine")))
            }
        }
    }

    fn go_on(&mut self, py: Python<'_>, mut acquisition: Acquisition) -> Progress<Answer> {
        match acquisition.advance() {
            Progress::Done(answer) => self.done(py, answer),
            progress => {
                self.phase = Phase::Waiting(acquisition);
                progress.map(|_| Ok(py.None()))
            }
        }
    }

    /// Asks for the lock. What was answered at once costs a task of asyncio's its budget.
    fn begin(
        &mut self,
        py: Python<'_>,
        mode: Mode,
        trio: bool,
    ) -> PyResult<Result<Progress<Answer>, Acquisition>> {
        let task = current_task(py, trio)?;
        let lock = self.lock.get();
        if let LockTarget::Handle(handle) = &lock.target {
            check_open(handle)?;
        }
        // Who runs no task of the loop's cannot be told from others.
        let owner = if task.is_none() { 0 } else { task.as_ptr().addr() };
        let request = lock.request(mode, owner);
        self.task = Some(task.unbind());
        let (answer, now) = match Acquisition::begin(Engine::current(), request) {
            Ok(answered) => answered,
            Err(acquisition) => return Ok(Err(acquisition)),
        };
        if !trio && fairness::spend_budget_here(py, now)? {
            self.phase = Phase::Acquired(Box::new(answer));
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

    /// Converts a lock: that of a range without giving it up, and that of a whole file, for which the kernel does not
    /// promise this, by releasing it and asking for the other one.
    fn convert(&mut self, py: Python<'_>, mode: Mode, trio: bool) -> Progress<Answer> {
        let lock = self.lock.get();
        let holding = match lock.take(py) {
            Ok(holding) => holding,
            Err(error) => return Progress::Done(Err(error)),
        };
        let Some(Holding { held, task }) = holding else {
            return Progress::Done(Err(PyRuntimeError::new_err("cannot convert a lock that is not held")));
        };
        if mode == Mode::Exclusive && !held.is_of_range() {
            drop(task);
            self.phase = match begin_release(held) {
                Some(ticket) => Phase::Releasing(ticket, mode),
                None => Phase::Untouched(mode),
            };
            return self.advance(py, trio);
        }
        self.task = task;
        let conversion = Conversion::begin(Engine::current(), held, mode, lock.timeout, lock.blocking);
        self.go_on_converting(py, Box::new(conversion))
    }

    fn go_on_converting(&mut self, py: Python<'_>, mut conversion: Box<Conversion>) -> Progress<Answer> {
        match conversion.advance() {
            Progress::Done((held, converted)) => {
                self.keep(held);
                Progress::Done(match converted {
                    Ok(()) => Ok(self.lock.clone_ref(py).into_any()),
                    Err(error) => Err(self.raised(py, error)),
                })
            }
            progress => {
                self.phase = Phase::Converting(conversion);
                progress.map(|_| Ok(py.None()))
            }
        }
    }

    /// Gives the lock back to its object.
    fn keep(&mut self, held: Option<HeldLock>) {
        if let Some(held) = held {
            let task = self.task.take();
            self.lock.get().held().push(Holding { held, task });
        }
    }

    fn raised(&self, py: Python<'_>, error: Error) -> PyErr {
        // The system's word for a file that was closed meanwhile is that of a descriptor.
        if let LockTarget::Handle(handle) = &self.lock.get().target
            && error.is_of_descriptor()
            && let Err(closed) = check_open(handle)
        {
            return closed;
        }
        errors::exception(py, error, &Names::opened_as(self.lock.get().name.clone_ref(py)))
    }

    /// Abandons it: the task that awaited it is gone. A release is done nevertheless.
    pub(crate) fn abandon(&mut self) {
        if let Phase::Converting(mut conversion) = mem::replace(&mut self.phase, Phase::Over) {
            let held = conversion.abandon();
            self.keep(held);
        }
    }

    /// Shows the collector what is held.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.lock)?;
        visit.call(&self.task)
    }
}

/// Whether this process holds any lock of a file.
#[pyfunction]
pub(crate) fn holds_locks() -> bool {
    Engine::current().holds_locks()
}

/// Whether this process holds a lock of a file, or of a range of it.
#[pyfunction]
#[pyo3(signature = (device, inode, /))]
pub(crate) fn holds_lock(device: u64, inode: u128) -> bool {
    Engine::current().holds_lock(device, inode)
}
