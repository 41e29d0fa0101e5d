//! Alarms: waking a loop from a worker, so that it drains its port.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;
use rapfiles_core::{EventSignal, Wake};

/// Wakes the loop from a worker. Workers may drop it, so it contains no Python object.
pub(crate) enum Alarm {
    /// The loop watches a descriptor.
    Event(EventSignal),
    /// The loop cannot watch descriptors, as Windows' proactor (asyncio's documentation, "Platform Support"): the key
    /// of a call.
    Call(u64),
}

impl Wake for Alarm {
    fn wake(&self) {
        match self {
            Self::Event(event) => event.raise(),
            // When the interpreter is finalizing, nobody is left to be woken.
            Self::Call(key) => drop(Python::try_attach(|py| {
                let call = calls().get(key).map(|call| call.clone_ref(py));
                // The loop has been closed: it need not be woken again.
                if call.is_some_and(|call| call.make(py).is_err()) {
                    self.silence();
                }
            })),
        }
    }

    fn acknowledge(&self) {
        if let Self::Event(event) = self {
            event.clear();
        }
    }
}

/// The call that wakes a loop that cannot watch a descriptor.
pub(crate) struct Call {
    /// A callable, or the object that has the method, or a weak reference to it.
    pub(crate) owner: Py<PyAny>,
    pub(crate) method: Option<&'static str>,
    pub(crate) drain: Py<PyAny>,
}

/// The calls of alarms. Locked only by threads that are attached to the interpreter, and nothing under the lock calls
/// Python.
static CALLS: Mutex<BTreeMap<u64, Call>> = Mutex::new(BTreeMap::new());

impl Alarm {
    /// An alarm that makes a call, which has to be set.
    pub(crate) fn unset() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self::Call(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Sets the call.
    pub(crate) fn set_call(&self, call: Call) {
        if let Self::Call(key) = self {
            let before = calls().insert(*key, call);
            drop(before);
        }
    }

    /// Removes the call.
    pub(crate) fn silence(&self) {
        if let Self::Call(key) = self {
            let before = calls().remove(key);
            drop(before);
        }
    }

    /// The descriptor that the loop watches.
    pub(crate) fn descriptor(&self) -> Option<i32> {
        match self {
            Self::Event(event) => Some(event.fd()),
            Self::Call(_) => None,
        }
    }
}

fn calls() -> MutexGuard<'static, BTreeMap<u64, Call>> {
    CALLS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Call {
    fn clone_ref(&self, py: Python<'_>) -> Self {
        Self { owner: self.owner.clone_ref(py), method: self.method, drain: self.drain.clone_ref(py) }
    }

    fn make(&self, py: Python<'_>) -> PyResult<()> {
        let owner = self.owner.bind(py);
        let owner = match owner.cast::<PyWeakrefReference>() {
            Ok(reference) => match reference.upgrade() {
                Some(owner) => owner,
                None => return Err(PyRuntimeError::new_err("the loop is gone")),
            },
            Err(_) => owner.clone(),
        };
        match self.method {
            Some(method) => owner.call_method1(method, (&self.drain,)),
            None => owner.call1((&self.drain,)),
        }
        .map(drop)
    }
}
