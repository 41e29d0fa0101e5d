//! The running loop and its task as CPython 3.11 records them. Asking asyncio for them takes longer: its `current_task` is
//! written in Python there, and its `_get_running_loop` makes a system call each time, in case the process was forked.

#[cfg(unix)]
use std::ffi::c_int;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;
#[cfg(unix)]
use rapfiles_core::Engine;

use crate::once::{Once, intern};

/// What a thread has in its dictionary when it has run a loop (`PyRunningLoopHolder` in Modules/_asynciomodule.c).
#[repr(C)]
struct Holder {
    head: ffi::PyObject,
    event_loop: *mut ffi::PyObject,
    #[cfg(unix)]
    process: c_int,
}

impl Holder {
    /// Whether it is this process's: in a forked child, the loop is the parent's.
    fn is_own(&self) -> bool {
        #[cfg(unix)]
        return u32::try_from(self.process) == Ok(Engine::current().process_id());
        #[cfg(windows)]
        return true;
    }
}

/// The type of holders, once one of them has been compared with what asyncio says.
static KIND: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());

/// The object that this thread has for its running loop.
fn holder(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    // SAFETY: the thread is attached. Both functions return null or a borrowed reference.
    unsafe {
        let names = Bound::from_borrowed_ptr_or_opt(py, ffi::PyThreadState_GetDict())?;
        let key = intern!(py, "__asyncio_running_event_loop__");
        let holder = ffi::PyDict_GetItemWithError(names.as_ptr(), key.as_ptr());
        if holder.is_null() {
            drop(PyErr::take(py));
        }
        Bound::from_borrowed_ptr_or_opt(py, holder)
    }
}

/// The running loop of this thread, or `None` of Python's. `None`: asyncio has to be asked.
pub(super) fn running_loop(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let holder = holder(py)?;
    if holder.get_type_ptr() != KIND.load(Ordering::Relaxed) {
        return None;
    }
    // SAFETY: that is what objects of this type are, see `learn`.
    let recorded = unsafe { &*holder.as_ptr().cast::<Holder>() };
    // SAFETY: it has a reference to the loop.
    recorded.is_own().then(|| unsafe { Bound::from_borrowed_ptr(py, recorded.event_loop) })
}

/// Compares what is recorded with the running loop of this thread: if it is the same, it can be read the next time.
pub(super) fn learn(event_loop: &Bound<'_, PyAny>) {
    let Some(holder) = holder(event_loop.py()) else { return };
    let kind = holder.get_type_ptr();
    // SAFETY: an object of a static type has the size that the type says.
    unsafe {
        if !KIND.load(Ordering::Relaxed).is_null()
            || (*kind).tp_basicsize != mem::size_of::<Holder>() as ffi::Py_ssize_t
            || ffi::PyType_HasFeature(kind, ffi::Py_TPFLAGS_HEAPTYPE) != 0
        {
            return;
        }
        let recorded = &*holder.as_ptr().cast::<Holder>();
        if recorded.event_loop == event_loop.as_ptr() && recorded.is_own() {
            KIND.store(kind, Ordering::Relaxed);
        }
    }
}

/// What `asyncio.current_task` looks up (Lib/asyncio/tasks.py); `None` if there is nothing to be found in this way.
pub(super) fn task<'py>(event_loop: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    static NAMES: Once<Py<PyDict>> = Once::new();
    let py = event_loop.py();
    let names =
        NAMES.get_or_try_init(py, || py.import("asyncio.tasks").map(|module| module.dict().unbind()))?;
    // Each time: programs replace it together with the tasks of C by those of Python.
    let Some(tasks) = names.bind(py).get_item(intern!(py, "_current_tasks"))? else { return Ok(None) };
    let Ok(tasks) = tasks.cast_into::<PyDict>() else { return Ok(None) };
    tasks.get_item(event_loop)
}
