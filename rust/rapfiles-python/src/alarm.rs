//! Alarms: waking a loop from a worker, so that it drains its port.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{mem, ptr};

use pyo3::exceptions::PyRuntimeError;
use pyo3::types::{PyString, PyWeakrefReference};
use pyo3::{ffi, prelude::*};
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
    /// The object that has the method, or a weak reference to it.
    pub(crate) owner: Py<PyAny>,
    pub(crate) method: &'static str,
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
        call_method(&owner, &PyString::intern(py, self.method), self.drain.bind(py))
    }
}

/// Calls a method with an argument, from a thread that is not Python's.
///
/// If the interpreter is finalized meanwhile, the thread waits for the end of the process. Before CPython 3.14 (whose
/// `take_gil` waits itself, gh-87135), a thread that asks for the interpreter again, as after the `send` in
/// `call_soon_threadsafe`, is ended by `pthread_exit`, which unwinds the stack, and `catch_unwind` does not let that
/// pass: it aborts the process. So the unwinding is stopped in the first Rust frame that it meets. PyO3 does the same
/// where it asks for the interpreter itself (`HangThread` in pyo3-ffi).
fn call_method(
    owner: &Bound<'_, PyAny>,
    name: &Bound<'_, PyString>,
    argument: &Bound<'_, PyAny>,
) -> PyResult<()> {
    struct Wait;
    impl Drop for Wait {
        fn drop(&mut self) {
            loop {
                std::thread::park();
            }
        }
    }
    unsafe extern "C-unwind" {
        // Declared as what it is, able to unwind. PyO3 and this crate do not use pyo3-ffi's declaration, which says
        // otherwise and might be taken for this one.
        fn PyObject_CallMethodObjArgs(
            owner: *mut ffi::PyObject,
            name: *mut ffi::PyObject,
            ...
        ) -> *mut ffi::PyObject;
    }
    let wait = Wait;
    // SAFETY: the interpreter is attached, the references outlive the call, and null ends the arguments.
    let result = unsafe {
        let end = ptr::null_mut::<ffi::PyObject>();
        PyObject_CallMethodObjArgs(owner.as_ptr(), name.as_ptr(), argument.as_ptr(), end)
    };
    mem::forget(wait);
    // SAFETY: a new reference, or null with an exception.
    unsafe { Bound::from_owned_ptr_or_err(owner.py(), result) }.map(drop)
}
