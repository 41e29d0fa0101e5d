//! Ports: announcing finished operations to the loop whose tasks wait for them.
//!
//! A port belongs to a loop, whichever thread runs it. The loop owns the port through the callback with which it
//! watches the port's descriptor: a loop that is closed or freed drops the callback, and with it everything that the
//! port still holds for tasks of that loop. Operations that are in flight then are announced to nobody.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pyo3::exceptions::PyNotImplementedError;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;
use pyo3::{PyTraverseError, PyVisit};
use rapfiles_core::{Engine, EventSignal, Port, Ticket, Wake, release_memory};

use crate::alarm::{Alarm, Call};
use crate::once::intern;

/// The receiver of a completion.
enum Waiter {
    /// A future of an asyncio loop.
    Future(Py<PyAny>),
    /// A callable.
    Call(Py<PyAny>),
}

/// The port of one loop.
pub(crate) struct LoopPort {
    /// The engine of the process that made it: another one after a fork.
    engine: &'static Engine,
    port: Arc<Port>,
    alarm: Arc<Alarm>,
    /// A weak reference to the loop, if there is one.
    event_loop: Option<Py<PyAny>>,
    /// The waiters, by the token of the ticket. Nothing under the lock calls Python.
    waiters: Mutex<HashMap<u64, Waiter>>,
    /// The loop does not watch it any more.
    closed: AtomicBool,
}

/// A task that has suspended until a ticket is done. Dropped when it no longer waits.
pub(crate) struct Waiting {
    port: Arc<LoopPort>,
    ticket: Arc<Ticket>,
}

impl Waiting {
    /// Whether the task has still to be woken.
    pub(crate) fn is_pending(&self) -> bool {
        !self.ticket.is_done()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // What is dropped may run Python code, so not under the lock.
        let waiter = self.port.waiters().remove(&self.ticket.token());
        drop(waiter);
    }
}

/// A future of an asyncio loop that is resolved when the ticket is done, in the state that asyncio's `Task.__step`
/// expects of a yielded future (`_asyncio_future_blocking`); `None` if the ticket is done already.
pub(crate) fn suspend(
    event_loop: &Bound<'_, PyAny>,
    ticket: &Arc<Ticket>,
) -> PyResult<Option<(Py<PyAny>, Waiting)>> {
    if ticket.is_done() {
        return Ok(None);
    }
    let py = event_loop.py();
    let port = LoopPort::of(event_loop)?;
    let future = event_loop.call_method0(intern!(py, "create_future"))?;
    future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
    let waiting = port.expect(ticket, Waiter::Future(future.clone().unbind()));
    Ok(waiting.map(|waiting| (future.unbind(), waiting)))
}

impl LoopPort {
    /// The port of an asyncio loop, which watches it from now on.
    fn of(event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        thread_local! {
            /// The port that was last asked for, by the address of its loop.
            static LAST: RefCell<(usize, Weak<LoopPort>)> = const { RefCell::new((0, Weak::new())) };
        }
        let address = event_loop.as_ptr().addr();
        let last = LAST.with_borrow(|(of, port)| if *of == address { port.upgrade() } else { None });
        if let Some(port) = last
            && port.serves(event_loop)
        {
            return Ok(port);
        }
        let known =
            PORTS.lock().unwrap_or_else(PoisonError::into_inner).get(&address).and_then(Weak::upgrade);
        let port = match known {
            Some(port) if port.serves(event_loop) => port,
            _ => {
                let port = Self::watched_by(event_loop)?;
                let mut ports = ports();
                ports.retain(|_, port| port.strong_count() > 0);
                ports.insert(address, Arc::downgrade(&port));
                port
            }
        };
        LAST.with_borrow_mut(|last| *last = (address, Arc::downgrade(&port)));
        Ok(port)
    }

    /// A new port that an asyncio loop watches.
    fn watched_by(event_loop: &Bound<'_, PyAny>) -> PyResult<Arc<Self>> {
        let py = event_loop.py();
        // A loop that takes no weak references is kept for as long as its port.
        let reference = match PyWeakrefReference::new(event_loop) {
            Ok(reference) => reference.into_any().unbind(),
            Err(_) => event_loop.clone().unbind(),
        };
        // Without a descriptor to spare there is still `call_soon_threadsafe`.
        if let Ok(event) = EventSignal::new() {
            let descriptor = event.fd();
            let port = Self::new(Alarm::Event(event), Some(reference.clone_ref(py)));
            let completions = Bound::new(py, Completions(Arc::clone(&port)))?;
            let drain = completions.getattr(intern!(py, "drain"))?;
            match event_loop.call_method1(intern!(py, "add_reader"), (descriptor, drain)) {
                Ok(_) => return Ok(port),
                Err(error) if error.is_instance_of::<PyNotImplementedError>(py) => {}
                Err(error) => return Err(error),
            }
        }
        let port = Self::new(Alarm::unset(), Some(reference.clone_ref(py)));
        let completions = Bound::new(py, Completions(Arc::clone(&port)))?;
        let ended = completions.getattr(intern!(py, "close"))?;
        let owner = match PyWeakrefReference::new_with(event_loop, &ended) {
            Ok(reference) => reference.into_any().unbind(),
            Err(_) => reference,
        };
        let drain = completions.getattr(intern!(py, "drain"))?.unbind();
        port.alarm.set_call(Call { owner, method: "call_soon_threadsafe", drain });
        Ok(port)
    }

    fn new(alarm: Alarm, event_loop: Option<Py<PyAny>>) -> Arc<Self> {
        let alarm = Arc::new(alarm);
        Arc::new(Self {
            engine: Engine::current(),
            port: Port::new(Arc::clone(&alarm) as Arc<dyn Wake>),
            alarm,
            event_loop,
            waiters: Mutex::new(HashMap::new()),
            closed: AtomicBool::new(false),
        })
    }

    /// Whether announcements here reach this loop. The address may have been another loop's.
    fn serves(&self, event_loop: &Bound<'_, PyAny>) -> bool {
        self.is_usable()
            && self.event_loop.as_ref().is_some_and(|own| {
                let own = own.bind(event_loop.py());
                match own.cast::<PyWeakrefReference>() {
                    Ok(reference) => reference.upgrade().is_some_and(|own| own.is(event_loop)),
                    Err(_) => own.is(event_loop),
                }
            })
    }

    /// Whether a loop of this process watches it. In a forked child, inherited ports are the parent's.
    fn is_usable(&self) -> bool {
        self.is_own() && !self.closed.load(Ordering::Acquire)
    }

    fn is_own(&self) -> bool {
        std::ptr::eq(self.engine, Engine::current())
    }

    /// Registers a waiter for the ticket; `None` if it is done already.
    fn expect(self: &Arc<Self>, ticket: &Arc<Ticket>, waiter: Waiter) -> Option<Waiting> {
        self.waiters().insert(ticket.token(), waiter);
        let waiting = Waiting { port: Arc::clone(self), ticket: Arc::clone(ticket) };
        ticket.expect(&self.port).then_some(waiting)
    }

    /// Wakes all whose operations are done.
    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        if !self.is_own() {
            // The event is the parent's: taking it would leave the parent's loop asleep.
            return Ok(());
        }
        let mut failure = None;
        let tickets = self.port.drain();
        // Before any task resumes: a buffer that was written can be resized again.
        release_memory();
        for ticket in tickets {
            let waiter = self.waiters().remove(&ticket.token());
            let told = match waiter {
                Some(Waiter::Future(future)) => resolve(future.bind(py)),
                Some(Waiter::Call(call)) => call.call0(py).map(drop),
                // Cancelled meanwhile.
                None => Ok(()),
            };
            // The others must be woken nevertheless.
            failure = failure.or(told.err());
        }
        failure.map_or(Ok(()), Err)
    }

    /// Closes the port: the loop is closed or gone, or does not watch it any more.
    fn close(&self) {
        if !self.is_own() {
            return;
        }
        self.closed.store(true, Ordering::Release);
        let waiters = std::mem::take(&mut *self.waiters());
        drop(waiters);
        self.alarm.silence();
    }

    fn waiters(&self) -> MutexGuard<'_, HashMap<u64, Waiter>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ports of asyncio loops, by the loop's address. Nothing under the lock calls Python.
static PORTS: Mutex<BTreeMap<usize, Weak<LoopPort>>> = Mutex::new(BTreeMap::new());

fn ports() -> MutexGuard<'static, BTreeMap<usize, Weak<LoopPort>>> {
    PORTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The loop's end of a port. When the loop drops it, the port is closed.
#[pyclass(frozen, module = "rapfiles._native")]
pub(crate) struct Completions(Arc<LoopPort>);

impl Completions {
    /// Registers a callable for the ticket; `None` if it is done already.
    pub(crate) fn expect(&self, ticket: &Arc<Ticket>, call: Py<PyAny>) -> Option<Waiting> {
        self.0.expect(ticket, Waiter::Call(call))
    }
}

#[pymethods]
impl Completions {
    /// For a loop that is not asyncio's. `call`: has a callable called in the loop's thread, where there is no
    /// descriptor to watch.
    #[new]
    #[pyo3(signature = (call, /))]
    fn new(py: Python<'_>, call: Py<PyAny>) -> PyResult<Py<Self>> {
        if let Ok(event) = EventSignal::new() {
            return Py::new(py, Self(LoopPort::new(Alarm::Event(event), None)));
        }
        let port = LoopPort::new(Alarm::unset(), None);
        let completions = Bound::new(py, Self(Arc::clone(&port)))?;
        let drain = completions.getattr(intern!(py, "drain"))?.unbind();
        port.alarm.set_call(Call { owner: call, method: "__call__", drain });
        Ok(completions.unbind())
    }

    /// Becomes readable when operations are done; `None` if the callable is called instead.
    #[getter]
    fn descriptor(&self) -> Option<i32> {
        self.0.alarm.descriptor()
    }

    /// Whether announcements here arrive in this process.
    #[getter]
    fn usable(&self) -> bool {
        self.0.is_usable()
    }

    /// Wakes all whose operations are done. Called by the loop, in its thread.
    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        self.0.drain(py)
    }

    /// Closes the port: the loop is gone.
    #[pyo3(signature = (_reference=None, /))]
    fn close(&self, _reference: Option<&Bound<'_, PyAny>>) {
        self.0.close();
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0.event_loop)?;
        // While it is locked, nobody who holds it is garbage.
        if let Ok(waiters) = self.0.waiters.try_lock() {
            for waiter in waiters.values() {
                let (Waiter::Future(waiter) | Waiter::Call(waiter)) = waiter;
                visit.call(waiter)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        self.0.close();
    }
}

impl Drop for Completions {
    fn drop(&mut self) {
        if self.0.is_own() {
            self.0.close();
        } else {
            // A forked child leaves the inherited state as it is: the descriptor number may have been reused.
            std::mem::forget(Arc::clone(&self.0));
        }
    }
}

fn resolve(future: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = future.py();
    if future.call_method0(intern!(py, "done"))?.is_truthy()? {
        return Ok(());
    }
    future.call_method1(intern!(py, "set_result"), (py.None(),)).map(drop)
}
