//! Event loops: the port of each loop thread, and how asyncio and trio are woken through it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyNotImplementedError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCFunction, PyDict, PyWeakrefReference};
use rapfiles_core::{Budget, Engine, EventSignal, Port, Ticket, Wake};

/// After so long, a loop that was asked to refill the budget is taken not to run any more.
const REFILL_IN_VAIN: Duration = Duration::from_millis(100);

/// The framework whose task is running.
pub(crate) enum Framework<'py> {
    /// asyncio or one of its drop-in loops, such as uvloop: the running loop.
    Asyncio(Bound<'py, PyAny>),
    /// trio.
    Trio,
}

/// Who is to be told that an operation is done.
pub(crate) enum Waiter {
    /// A future of an asyncio loop.
    Future(Py<PyAny>),
    /// A callable.
    Call(Py<PyAny>),
}

/// How a worker makes the loop drain the port.
struct Alarm {
    event: Option<EventSignal>,
    /// `call_soon_threadsafe` of a loop that cannot watch a descriptor, such as Windows' proactor, or trio's
    /// `run_sync_soon` there. Locked only by threads that are attached to the interpreter.
    call: Mutex<Option<Py<PyAny>>>,
    /// Whether there is one.
    calls: AtomicBool,
}

impl Alarm {
    fn new() -> Self {
        // Without a descriptor to spare there is still `call_soon_threadsafe`.
        Self { event: EventSignal::new().ok(), call: Mutex::new(None), calls: AtomicBool::new(false) }
    }

    /// Sets the callable that wakes the loop in place of the descriptor.
    fn set_call(&self, call: Option<Py<PyAny>>) {
        self.calls.store(call.is_some(), Ordering::Release);
        let before = std::mem::replace(&mut *self.call.lock().unwrap_or_else(PoisonError::into_inner), call);
        drop(before);
    }

    fn call(&self, py: Python<'_>) -> PyResult<()> {
        let call =
            self.call.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|call| call.clone_ref(py));
        if let Some(call) = call {
            call.call1(py, (drain_function(py)?,))?;
        }
        Ok(())
    }
}

impl Wake for Alarm {
    fn wake(&self) {
        if self.calls.load(Ordering::Acquire) {
            // When the interpreter is about to go there is nobody left to be told, and a loop that has been closed does
            // not want to know.
            let _ = Python::try_attach(|py| self.call(py));
        } else if let Some(event) = &self.event {
            event.raise();
        }
    }

    fn acknowledge(&self) {
        if let Some(event) = &self.event {
            event.clear();
        }
    }
}

/// What one thread needs that runs event loops, one after the other or one within the other.
struct LoopThread {
    /// The engine that the port belongs to: another one after a fork.
    engine: &'static Engine,
    port: Arc<Port>,
    alarm: Arc<Alarm>,
    waiters: HashMap<u64, Waiter>,
    budget: Budget,
    /// When a loop was last asked to refill the budget in its next turn.
    refill_asked: Option<Instant>,
    /// The asyncio loop that drains the port, by weak reference.
    watched: Option<Py<PyAny>>,
    /// The token of the trio run that drains the port.
    trio_run: Option<Py<PyAny>>,
}

thread_local! {
    static THREAD: RefCell<Option<LoopThread>> = const { RefCell::new(None) };
}

impl LoopThread {
    fn new(engine: &'static Engine) -> Self {
        let alarm = Arc::new(Alarm::new());
        Self {
            engine,
            port: Port::new(Arc::clone(&alarm) as Arc<dyn Wake>),
            alarm,
            waiters: HashMap::new(),
            budget: Budget::new(),
            refill_asked: None,
            watched: None,
            trio_run: None,
        }
    }
}

/// Runs something with this thread's loop state, which is made anew after a fork. Nothing in it may call Python.
fn with_thread<T>(work: impl FnOnce(&mut LoopThread) -> T) -> T {
    let engine = Engine::current();
    THREAD.with_borrow_mut(|thread| {
        if thread.as_ref().is_none_or(|thread| !std::ptr::eq(thread.engine, engine)) {
            // What a forked child has inherited is left as it is: a worker of the parent may have held its locks.
            std::mem::forget(thread.replace(LoopThread::new(engine)));
        }
        work(thread.as_mut().expect("made just now"))
    })
}

/// The framework whose task is running.
pub(crate) fn framework(py: Python<'_>) -> PyResult<Framework<'_>> {
    if in_trio_task(py)? {
        return Ok(Framework::Trio);
    }
    static RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let running_loop = RUNNING_LOOP
        .get_or_try_init(py, || py.import("asyncio")?.getattr("_get_running_loop").map(Bound::unbind))?;
    let event_loop = running_loop.bind(py).call0()?;
    if event_loop.is_none() {
        return Err(PyRuntimeError::new_err(
            "no running event loop: rapfiles operations must be awaited in a task of asyncio or trio",
        ));
    }
    Ok(Framework::Asyncio(event_loop))
}

/// Whether a trio task is running. Where trio has not been imported, none is.
pub(crate) fn in_trio_task(py: Python<'_>) -> PyResult<bool> {
    static MODULES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    static IN_TRIO_TASK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let modules = MODULES.get_or_try_init(py, || {
        py.import("sys")?.getattr("modules")?.cast_into::<PyDict>().map(Bound::unbind).map_err(PyErr::from)
    })?;
    if !modules.bind(py).contains(intern!(py, "trio"))? {
        return Ok(false);
    }
    let in_trio_task = match IN_TRIO_TASK.get(py) {
        Some(in_trio_task) => in_trio_task,
        None => {
            // It may be half imported, by this or another thread.
            let Ok(lowlevel) = py.import("trio.lowlevel") else {
                return Ok(false);
            };
            let Ok(function) = lowlevel.getattr("in_trio_task") else {
                return Ok(false);
            };
            IN_TRIO_TASK.get_or_init(py, || function.unbind())
        }
    };
    in_trio_task.bind(py).call0()?.is_truthy()
}

/// A ticket that no other port of the process takes for one of its own.
pub(crate) fn new_ticket() -> Arc<Ticket> {
    static NEXT_TOKEN: AtomicU64 = AtomicU64::new(0);
    Ticket::new(NEXT_TOKEN.fetch_add(1, Ordering::Relaxed))
}

/// Asks for a completion on this thread's port; `false` when the outcome is there already and none will come.
pub(crate) fn expect(ticket: &Ticket) -> bool {
    with_thread(|thread| ticket.expect(&thread.port))
}

/// Counts an operation that completed without suspending; `true` when the task must give the others a turn.
pub(crate) fn spend_budget(event_loop: &Bound<'_, PyAny>, now: Instant) -> PyResult<bool> {
    let exhausted = with_thread(|thread| thread.budget.spend(now));
    if exhausted {
        ask_to_refill(event_loop, now)?;
    }
    Ok(exhausted)
}

/// How often the clock is looked at, for the operations of one file that take less than that does.
#[derive(Default)]
pub(crate) struct Pace {
    /// So many more may be done before. Another thread may lose a count, which does no harm.
    left: AtomicU32,
    /// How many were allowed the last time.
    allowed: AtomicU32,
    /// When that was, in nanoseconds of this process.
    since: AtomicU64,
}

/// The time that should be between two looks.
const LOOK_EVERY: Duration = Duration::from_micros(200);
const MOST_BETWEEN_LOOKS: u64 = 256;

impl Pace {
    /// Whether the clock is to be looked at now.
    pub(crate) fn is_due(&self) -> bool {
        match self.left.load(Ordering::Relaxed) {
            0 => true,
            left => {
                self.left.store(left - 1, Ordering::Relaxed);
                false
            }
        }
    }

    /// Allows as many more as fit into the time, by how long the last ones took with what the task did between them.
    fn allow(&self, now: Instant) {
        static START: OnceLock<Instant> = OnceLock::new();
        let now = now.saturating_duration_since(*START.get_or_init(|| now)).as_nanos() as u64;
        let elapsed = now.saturating_sub(self.since.swap(now, Ordering::Relaxed));
        let done = u64::from(self.allowed.load(Ordering::Relaxed)) + 1;
        let fit = (done * LOOK_EVERY.as_nanos() as u64 / elapsed.max(1)).min(MOST_BETWEEN_LOOKS) as u32;
        self.allowed.store(fit, Ordering::Relaxed);
        self.left.store(fit, Ordering::Relaxed);
    }
}

/// Counts an operation that takes less than looking at the clock does; `true` when the task must give the others a turn.
pub(crate) fn spend_little(py: Python<'_>, pace: &Pace) -> PyResult<bool> {
    // Left at zero by whoever found it due before.
    if !pace.is_due() {
        return Ok(false);
    }
    let now = Instant::now();
    pace.allow(now);
    if !with_thread(|thread| thread.budget.spend_time(now)) {
        return Ok(false);
    }
    if let Framework::Asyncio(event_loop) = framework(py)? {
        ask_to_refill(&event_loop, now)?;
    }
    Ok(true)
}

/// Has the loop refill the budget in its next turn.
fn ask_to_refill(event_loop: &Bound<'_, PyAny>, now: Instant) -> PyResult<()> {
    let refilled_soon = with_thread(|thread| {
        // A loop that was closed never came to it.
        let recently = |asked| now.saturating_duration_since(asked) < REFILL_IN_VAIN;
        let refilled_soon = thread.refill_asked.is_some_and(recently);
        if !refilled_soon {
            thread.refill_asked = Some(now);
        }
        refilled_soon
    });
    if !refilled_soon {
        static REFILL: PyOnceLock<Py<PyCFunction>> = PyOnceLock::new();
        let py = event_loop.py();
        let refill = REFILL.get_or_try_init(py, || wrap_pyfunction!(refill_budget, py).map(Bound::unbind))?;
        event_loop.call_method1(intern!(py, "call_soon"), (refill,))?;
    }
    Ok(())
}

/// The loop has gone on to its next turn.
#[pyfunction]
fn refill_budget() {
    with_thread(|thread| {
        thread.budget.refill();
        thread.refill_asked = None;
    });
}

/// Says who is to be told of a ticket's completion.
pub(crate) fn add_waiter(ticket: &Ticket, waiter: Waiter) {
    with_thread(|thread| thread.waiters.insert(ticket.token(), waiter));
}

/// Nobody is to be told any more.
pub(crate) fn remove_waiter(ticket: &Ticket) {
    // The waiter may be dropped, and run Python code, only after the thread's state has been let go of.
    drop(with_thread(|thread| thread.waiters.remove(&ticket.token())));
}

/// Sees to it that an asyncio loop drains the port.
pub(crate) fn watch(event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = event_loop.py();
    let watched = with_thread(|thread| thread.watched.as_ref().map(|watched| watched.clone_ref(py)));
    if let Some(watched) = watched
        && is_loop(watched.bind(py), event_loop)?
    {
        return Ok(());
    }
    let alarm = with_thread(|thread| Arc::clone(&thread.alarm));
    let watches = match &alarm.event {
        Some(event) => {
            match event_loop.call_method1(intern!(py, "add_reader"), (event.fd(), drain_function(py)?)) {
                Ok(_) => true,
                Err(error) if error.is_instance_of::<PyNotImplementedError>(py) => false,
                Err(error) => return Err(error),
            }
        }
        None => false,
    };
    let call =
        if watches { None } else { Some(event_loop.getattr(intern!(py, "call_soon_threadsafe"))?.unbind()) };
    alarm.set_call(call);
    // A loop that takes no weak references is kept alive until this thread runs another one.
    let reference = match PyWeakrefReference::new(event_loop) {
        Ok(reference) => reference.into_any().unbind(),
        Err(_) => event_loop.clone().unbind(),
    };
    let before = with_thread(|thread| {
        // A trio run that watches nothing has lost its call.
        let run = if thread.alarm.event.is_none() { thread.trio_run.take() } else { None };
        (thread.watched.replace(reference), run)
    });
    drop(before);
    Ok(())
}

fn is_loop(watched: &Bound<'_, PyAny>, event_loop: &Bound<'_, PyAny>) -> PyResult<bool> {
    match watched.cast::<PyWeakrefReference>() {
        Ok(reference) => Ok(reference.call0()?.is(event_loop)),
        Err(_) => Ok(watched.is(event_loop)),
    }
}

/// Sees to it that the current trio run drains the port.
pub(crate) fn watch_trio(py: Python<'_>) -> PyResult<()> {
    let token = py.import("trio.lowlevel")?.call_method0("current_trio_token")?;
    let run = with_thread(|thread| thread.trio_run.as_ref().map(|run| run.clone_ref(py)));
    if run.is_some_and(|run| run.bind(py).is(&token)) {
        return Ok(());
    }
    let alarm = with_thread(|thread| Arc::clone(&thread.alarm));
    let call = match &alarm.event {
        Some(event) => {
            py.import("rapfiles._trio")?.call_method1("start", (event.fd(), drain_function(py)?))?;
            None
        }
        None => Some(token.getattr(intern!(py, "run_sync_soon"))?.unbind()),
    };
    alarm.set_call(call);
    // An asyncio loop that this thread goes back to has to set its own call again.
    let before = with_thread(|thread| (thread.trio_run.replace(token.unbind()), thread.watched.take()));
    drop(before);
    Ok(())
}

/// Tells everybody whose operation is done. Called by the loop, on its thread.
#[pyfunction]
fn drain(py: Python<'_>) -> PyResult<()> {
    let port = with_thread(|thread| Arc::clone(&thread.port));
    let mut failure = None;
    for ticket in port.drain() {
        let waiter = with_thread(|thread| thread.waiters.remove(&ticket.token()));
        let told = match waiter {
            Some(Waiter::Future(future)) => resolve(future.bind(py)),
            Some(Waiter::Call(call)) => call.call0(py).map(drop),
            // Cancelled meanwhile.
            None => Ok(()),
        };
        // The others must be told all the same.
        failure = failure.or(told.err());
    }
    failure.map_or(Ok(()), Err)
}

fn resolve(future: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = future.py();
    if future.call_method0(intern!(py, "done"))?.is_truthy()? {
        return Ok(());
    }
    match future.call_method1(intern!(py, "set_result"), (py.None(),)) {
        // The future belongs to another loop of this thread, which has been closed: nobody waits for it.
        Err(error) if error.is_instance_of::<PyRuntimeError>(py) => Ok(()),
        other => other.map(drop),
    }
}

fn drain_function(py: Python<'_>) -> PyResult<Bound<'_, PyCFunction>> {
    static DRAIN: PyOnceLock<Py<PyCFunction>> = PyOnceLock::new();
    let function = DRAIN.get_or_try_init(py, || wrap_pyfunction!(drain, py).map(Bound::unbind))?;
    Ok(function.bind(py).clone())
}
