//! Streams: the native half of Python's asynchronous iterators over the batches of the engine's streams.
//!
//! An item that has been created is returned without suspending. If none is left, an operation creates the next few of
//! the current batch, or waits for another batch. Everything that ends the iteration (an error, a cancelled task,
//! `aclose()`, or dropping the last reference) drops the engine's stream at once, and with it everything that workers
//! have open for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use std::vec::IntoIter;

use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use pyo3::{PyTraverseError, PyVisit, ffi};
use rapfiles_core::{Progress, Ticket};

use crate::event_loop::{self, Framework};
use crate::fairness;
use crate::limits::TRIO_ITEMS;
use crate::next_item::{self, Ask, next_item};
use crate::once::intern;
use crate::operation::{Operation, Work};

/// When a task that creates items has to yield to others.
pub(crate) struct Manners {
    trio: bool,
    began: Instant,
}

impl Manners {
    fn new(trio: bool) -> Self {
        Self { trio, began: Instant::now() }
    }

    /// Called after items have been created: whether to yield now.
    pub(crate) fn gives_way(&self, py: Python<'_>) -> PyResult<bool> {
        let now = Instant::now();
        if self.trio {
            return Ok(now.saturating_duration_since(self.began) >= TRIO_ITEMS);
        }
        match event_loop::framework(py)? {
            Framework::Asyncio(event_loop) => fairness::spend_budget(&event_loop, now),
            Framework::Trio => Ok(false),
        }
    }
}

/// A stream of the engine, and how Python objects are created from its batches.
pub(crate) trait Items: Send + Sync {
    /// Takes the next batch, after all items of the previous one have been created; `false` after the last.
    fn advance(&mut self, py: Python<'_>, manners: &Manners) -> Progress<PyResult<bool>>;

    /// Creates the next few items of the current batch; none if there are no more.
    fn make(&mut self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>>;

    /// How much the engine has done so far.
    fn progress(&self) -> u64;

    /// Shows the collector what is held.
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
}

/// The source with which a Python stream is opened.
#[pyclass(frozen, module = "rapfiles._native")]
pub(crate) struct Source(Mutex<Option<Box<dyn Items>>>);

impl Source {
    pub(crate) fn new(items: impl Items + 'static) -> Self {
        Self(Mutex::new(Some(Box::new(items))))
    }

    fn take(&self) -> Option<Box<dyn Items>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[pymethods]
impl Source {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock().as_deref() {
            Ok(Some(items)) => items.traverse(&visit),
            _ => Ok(()),
        }
    }

    fn __clear__(&self) {
        drop(self.take());
    }
}

/// The state of an iteration.
enum Phase {
    /// Nothing has been asked for yet.
    Unopened,
    /// No item is being requested.
    Idle(Box<dyn Items>),
    /// A task has suspended in an operation, until this ticket is done, if there is one.
    Asked(Box<dyn Items>, Option<Arc<Ticket>>),
    /// An operation is using the items.
    Taken,
    Over,
}

/// The native half of a stream: the items that have been created, and the source of more.
#[pyclass(frozen, subclass, module = "rapfiles._native")]
pub(crate) struct Stream {
    made: Mutex<IntoIter<Py<PyAny>>>,
    phase: Mutex<Phase>,
}

impl Stream {
    fn made(&self) -> MutexGuard<'_, IntoIter<Py<PyAny>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An operation leaves it in this phase; `false` if it has been ended meanwhile.
    fn leave(&self, next: Phase) -> bool {
        let mut phase = self.phase();
        let goes_on = !matches!(*phase, Phase::Over);
        let before = if goes_on { std::mem::replace(&mut *phase, next) } else { next };
        drop(phase);
        drop(before);
        goes_on
    }

    /// Ends the iteration. Dropping may run Python code, so it is done without a lock.
    fn end(&self) {
        let before = std::mem::replace(&mut *self.phase(), Phase::Over);
        let made = std::mem::take(&mut *self.made());
        match before {
            Phase::Asked(items, ticket) => {
                drop(items);
                // The engine does not announce it any more.
                if let Some(ticket) = ticket {
                    ticket.ring();
                }
            }
            before => drop(before),
        }
        drop(made);
    }
}

#[pymethods]
impl Stream {
    #[new]
    #[pyo3(signature = (*arguments, **named))]
    fn new(arguments: &Bound<'_, PyTuple>, named: Option<&Bound<'_, PyDict>>) -> Self {
        // Those are for the other half.
        let _ = (arguments, named);
        Self { made: Mutex::default(), phase: Mutex::new(Phase::Unopened) }
    }

    /// Ends the iteration and drops all resources. For a task that waits for an item, the iteration is over.
    fn _end(&self) {
        self.end();
    }

    /// How much workers have done so far, during the iteration.
    #[getter]
    fn _progress(&self) -> u64 {
        match &*self.phase() {
            Phase::Idle(items) | Phase::Asked(items, _) => items.progress(),
            _ => 0,
        }
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// The slot of the class has a function of its own (`set_next_slot`).
    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        anext(slf.as_any())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // While one is locked, this thread takes something out of it.
        if let Ok(made) = self.made.try_lock() {
            for item in made.as_slice() {
                visit.call(item)?;
            }
        }
        match self.phase.try_lock().as_deref() {
            Ok(Phase::Idle(items) | Phase::Asked(items, _)) => items.traverse(&visit),
            _ => Ok(()),
        }
    }

    fn __clear__(&self) {
        self.end();
    }
}

/// The function in the `am_anext` slot of the class.
///
/// # Safety
/// Called by the interpreter with an iterator of this class.
pub(crate) unsafe extern "C" fn am_anext(iterator: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls this attached, and the caller has a reference to the iterator.
    unsafe { next_item::am_anext(iterator, anext) }
}

fn anext<'py>(iterator: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    next_item(iterator, &Ask { ready: take_made, operation: get_more })
}

/// Takes the next item, if one has been created.
fn take_made<'py>(iterator: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    // SAFETY: this is asked of iterators of this class only.
    let item = unsafe { iterator.cast_unchecked::<Stream>() }.get().made().next();
    Some(item?.into_bound(iterator.py()))
}

/// Begins to get more of them.
fn get_more<'py>(iterator: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let stream = iterator.cast::<Stream>()?.clone().unbind();
    let operation = Operation::of(iterator.py(), Work::Item(ItemWork { stream, begun: false }))?;
    Ok(operation.into_pyobject(iterator.py())?.into_any())
}

/// The operation that gets the next item of a stream.
pub(crate) struct ItemWork {
    stream: Py<Stream>,
    begun: bool,
}

impl ItemWork {
    pub(crate) fn is_untouched(&self) -> bool {
        !self.begun
    }

    /// Advances as far as possible, but may yield before more items of an available batch are created.
    pub(crate) fn advance(&mut self, py: Python<'_>, trio: bool) -> Progress<PyResult<Py<PyAny>>> {
        let manners = Manners::new(trio);
        let stream = self.stream.clone_ref(py);
        let item = match self.take(stream.bind(py)) {
            // On trio the driver spends the budget.
            Ok(Some((items, true))) if !trio => match manners.gives_way(py) {
                Ok(true) => {
                    stream.get().leave(Phase::Asked(items, None));
                    return Progress::Yield;
                }
                Ok(false) => make_one(py, stream.get(), items, &manners),
                Err(error) => Err(error),
            },
            Ok(Some((items, _))) => make_one(py, stream.get(), items, &manners),
            Ok(None) => return Progress::Done(Err(PyStopAsyncIteration::new_err(()))),
            // The iteration of the other task that waits continues.
            Err(error) => return Progress::Done(Err(error)),
        };
        match item {
            Ok(Progress::Done(Some(item))) => Progress::Done(Ok(item)),
            Ok(Progress::Done(None)) => {
                stream.get().end();
                Progress::Done(Err(PyStopAsyncIteration::new_err(())))
            }
            Ok(Progress::Pending(ticket)) => Progress::Pending(ticket),
            Ok(Progress::Yield) => Progress::Yield,
            Err(error) => {
                stream.get().end();
                Progress::Done(Err(error))
            }
        }
    }

    /// Takes the items, and whether a batch may be available at once; `None` at the end.
    fn take(&mut self, stream: &Bound<'_, Stream>) -> PyResult<Option<(Box<dyn Items>, bool)>> {
        let begins = !std::mem::replace(&mut self.begun, true);
        let mut phase = stream.get().phase();
        match std::mem::replace(&mut *phase, Phase::Taken) {
            Phase::Unopened => {
                drop(phase);
                let opened = stream.call_method0(intern!(stream.py(), "_open"));
                let items = opened.and_then(|source| Ok(source.cast_into::<Source>()?.get().take()));
                match items {
                    Ok(Some(items)) => Ok(Some((items, false))),
                    Ok(None) => {
                        stream.get().end();
                        Ok(None)
                    }
                    Err(error) => {
                        stream.get().end();
                        Err(error)
                    }
                }
            }
            Phase::Idle(items) => Ok(Some((items, true))),
            Phase::Asked(items, _) if !begins => Ok(Some((items, false))),
            Phase::Over => {
                *phase = Phase::Over;
                Ok(None)
            }
            other => {
                *phase = other;
                self.begun = false;
                Err(PyRuntimeError::new_err(
                    "this iterator is already waiting for its next item in another task",
                ))
            }
        }
    }

    /// The task that awaits it is cancelled: that ends the iteration.
    pub(crate) fn abandon(&mut self) {
        if self.begun {
            self.stream.get().end();
        }
    }

    /// The task that awaits it was cancelled before.
    pub(crate) fn refuse(&mut self) {
        self.begun = true;
        self.stream.get().end();
    }
}

/// Creates the next few items of a stream, keeps all but the first, and returns that one; `None` at the end.
fn make_one(
    py: Python<'_>,
    stream: &Stream,
    mut items: Box<dyn Items>,
    manners: &Manners,
) -> PyResult<Progress<Option<Py<PyAny>>>> {
    loop {
        let mut made = items.make(py)?.into_iter();
        if let Some(first) = made.next() {
            if !stream.leave(Phase::Idle(items)) {
                return Ok(Progress::Done(None));
            }
            let before = std::mem::replace(&mut *stream.made(), made);
            drop(before);
            return Ok(Progress::Done(Some(first)));
        }
        match items.advance(py, manners) {
            Progress::Done(goes_on) => {
                if !goes_on? {
                    return Ok(Progress::Done(None));
                }
            }
            Progress::Pending(ticket) => {
                let goes_on = stream.leave(Phase::Asked(items, Some(Arc::clone(&ticket))));
                return Ok(if goes_on { Progress::Pending(ticket) } else { Progress::Done(None) });
            }
            Progress::Yield => {
                let goes_on = stream.leave(Phase::Asked(items, None));
                return Ok(if goes_on { Progress::Yield } else { Progress::Done(None) });
            }
        }
    }
}

/// The operation of a whole stream: it returns a list of all items, or only runs the stream.
pub(crate) struct WholeWork {
    name: &'static str,
    items: Option<Box<dyn Items>>,
    list: Option<Py<PyList>>,
    begun: bool,
}

impl WholeWork {
    /// An operation that returns the list of all items.
    pub(crate) fn listing(py: Python<'_>, name: &'static str, items: impl Items + 'static) -> Self {
        let list = Some(PyList::empty(py).unbind());
        Self { name, items: Some(Box::new(items)), list, begun: false }
    }

    /// An operation that returns `None` at the end.
    pub(crate) fn doing(name: &'static str, items: impl Items + 'static) -> Self {
        Self { name, items: Some(Box::new(items)), list: None, begun: false }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn is_untouched(&self) -> bool {
        !self.begun
    }

    /// Advances as far as possible.
    pub(crate) fn advance(&mut self, py: Python<'_>, trio: bool) -> Progress<PyResult<Py<PyAny>>> {
        self.begun = true;
        match self.go_on(py, &Manners::new(trio)) {
            Ok(Progress::Done(())) => {
                self.items = None;
                Progress::Done(Ok(self.list.take().map_or_else(|| py.None(), Py::into_any)))
            }
            Ok(Progress::Pending(ticket)) => Progress::Pending(ticket),
            Ok(Progress::Yield) => Progress::Yield,
            Err(error) => {
                self.abandon();
                Progress::Done(Err(error))
            }
        }
    }

    fn go_on(&mut self, py: Python<'_>, manners: &Manners) -> PyResult<Progress<()>> {
        let Some(items) = &mut self.items else { return Ok(Progress::Done(())) };
        loop {
            let made = items.make(py)?;
            if made.is_empty() {
                match items.advance(py, manners) {
                    Progress::Done(goes_on) => {
                        if !goes_on? {
                            return Ok(Progress::Done(()));
                        }
                    }
                    Progress::Pending(ticket) => return Ok(Progress::Pending(ticket)),
                    Progress::Yield => return Ok(Progress::Yield),
                }
                continue;
            }
            if let Some(list) = &self.list {
                for item in made {
                    list.bind(py).append(item)?;
                }
            }
            if manners.gives_way(py)? {
                return Ok(Progress::Yield);
            }
        }
    }

    /// Abandons it: the task that awaited it is gone.
    pub(crate) fn abandon(&mut self) {
        self.items = None;
        self.list = None;
    }

    /// The task that awaits it was cancelled before.
    pub(crate) fn refuse(&mut self) {
        self.begun = true;
        self.abandon();
    }
}
