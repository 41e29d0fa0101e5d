//! How an answer leaves an awaitable that is asked by `tp_iternext`.
//!
//! Before CPython 3.12, `await` asked `am_send`. Since then its `SEND` (`Python/bytecodes.c`) has called `tp_iternext` of
//! whatever is neither a generator nor a coroutine, and the answer travels in a `StopIteration`. Making one costs twice
//! what everything else in an await does, so these are of a class of their own whose `tp_dealloc` keeps the last one for
//! the next answer. It does so when nobody has a reference to it any more: whoever keeps one never sees it change.

use pyo3::ffi;

#[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
pub(crate) use recycled::raise;

/// Raises `StopIteration` with a value, of which the reference is taken over.
///
/// # Safety
/// The thread must be attached to the interpreter.
#[cfg(not(all(Py_3_12, not(Py_GIL_DISABLED))))]
pub(crate) unsafe fn raise(value: *mut ffi::PyObject) {
    // SAFETY: the caller's promise. A value that is a tuple or an exception would be taken apart, so it is in a tuple.
    unsafe {
        let arguments = ffi::PyTuple_New(1);
        if arguments.is_null() {
            ffi::Py_DECREF(value);
            return;
        }
        ffi::PyTuple_SET_ITEM(arguments, 0, value);
        ffi::PyErr_SetObject(ffi::PyExc_StopIteration, arguments);
        ffi::Py_DECREF(arguments);
    }
}

/// What `tp_iternext` returns where the answer is there: null, with a `StopIteration` that has it.
///
/// # Safety
/// The thread must be attached to the interpreter.
pub(crate) unsafe fn answer(value: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the caller's promise.
    unsafe {
        if value == ffi::Py_None() {
            // Null and no exception are the end of any iteration, and mean `None` to `await`.
            ffi::Py_DECREF(value);
        } else {
            raise(value);
        }
    }
    std::ptr::null_mut()
}

#[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
mod recycled {
    use std::ffi::{c_int, c_void};
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use pyo3::ffi;
    use pyo3::ffi::PyStopIterationObject as StopIteration;

    use crate::references;

    /// The class, once it has been made.
    static CLASS: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());
    /// An instance that nobody else has a reference to, with the tuple for its arguments. Whoever holds the GIL has it.
    static SPARE: AtomicPtr<StopIteration> = AtomicPtr::new(ptr::null_mut());

    /// Raises `StopIteration` with a value, of which the reference is taken over.
    ///
    /// # Safety
    /// The thread must be attached to the interpreter.
    pub(crate) unsafe fn raise(value: *mut ffi::PyObject) {
        // SAFETY: the caller's promise; an instance is complete before anybody else sees it.
        unsafe {
            let spare = SPARE.load(Ordering::Relaxed);
            let exception = if spare.is_null() {
                new()
            } else {
                SPARE.store(ptr::null_mut(), Ordering::Relaxed);
                spare
            };
            if exception.is_null() {
                ffi::Py_DECREF(value);
                return;
            }
            let arguments = (*exception).args;
            ffi::Py_INCREF(value);
            // What was there is `None`, which is immortal, or nothing.
            ffi::PyTuple_SET_ITEM(arguments, 0, value);
            (*exception).value = value;
            // A collection lets go of tuples that hold nothing which it has to look at.
            if ffi::PyType_HasFeature(ffi::Py_TYPE(value), ffi::Py_TPFLAGS_HAVE_GC) != 0
                && ffi::PyObject_GC_IsTracked(arguments) == 0
            {
                ffi::PyObject_GC_Track(arguments.cast());
            }
            ffi::PyErr_SetRaisedException(exception.cast());
        }
    }

    /// A new instance; null, with an exception, if there is no memory.
    #[cold]
    unsafe fn new() -> *mut StopIteration {
        // SAFETY: the thread is attached. `PyType_GenericAlloc` fills with zeros, which are valid everywhere but in `args`.
        unsafe {
            let class = class();
            if class.is_null() {
                return ptr::null_mut();
            }
            let arguments = ffi::PyTuple_New(1);
            if arguments.is_null() {
                return ptr::null_mut();
            }
            ffi::PyTuple_SET_ITEM(arguments, 0, ffi::Py_NewRef(ffi::Py_None()));
            let exception = ffi::PyType_GenericAlloc(class, 0).cast::<StopIteration>();
            if exception.is_null() {
                ffi::Py_DECREF(arguments);
            } else {
                (*exception).args = arguments;
            }
            exception
        }
    }

    unsafe fn class() -> *mut ffi::PyTypeObject {
        let class = CLASS.load(Ordering::Relaxed);
        if !class.is_null() {
            return class;
        }
        let mut slots = [
            ffi::PyType_Slot { slot: ffi::Py_tp_dealloc, pfunc: dealloc as *mut c_void },
            ffi::PyType_Slot { slot: 0, pfunc: ptr::null_mut() },
        ];
        let mut spec = ffi::PyType_Spec {
            name: c"rapfiles._native.StopIteration".as_ptr(),
            basicsize: size_of::<StopIteration>() as c_int,
            itemsize: 0,
            flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION) as u32,
            slots: slots.as_mut_ptr(),
        };
        // SAFETY: the specification is complete, and the base is a class. Whatever else it needs, it inherits.
        let class = unsafe { ffi::PyType_FromSpecWithBases(&raw mut spec, ffi::PyExc_StopIteration) };
        CLASS.store(class.cast(), Ordering::Relaxed);
        class.cast()
    }

    /// # Safety
    /// Called by the interpreter with an instance that nobody has a reference to any more.
    unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
        // SAFETY: what the object has is its own, and its memory is not given back before the end.
        unsafe {
            let exception = object.cast::<StopIteration>();
            if is_reusable(exception) {
                let arguments = (*exception).args;
                let value = std::mem::replace(&mut (*exception).value, ptr::null_mut());
                let argument = ffi::PyTuple_GET_ITEM(arguments, 0);
                ffi::PyTuple_SET_ITEM(arguments, 0, ffi::Py_NewRef(ffi::Py_None()));
                // It lives on, with one reference, as any object may whose finalizer has brought it back.
                ffi::Py_INCREF(object);
                SPARE.store(exception, Ordering::Relaxed);
                // These may run any code, which finds everything in its place.
                if argument == value {
                    // Whoever awaited has just taken its own.
                    references::drop_two(value);
                } else {
                    ffi::Py_DECREF(argument);
                    ffi::Py_XDECREF(value);
                }
                return;
            }
            let class = ffi::Py_TYPE(object);
            if let Some(dealloc) = (*ffi::PyExc_StopIteration.cast::<ffi::PyTypeObject>()).tp_dealloc {
                dealloc(object);
            }
            ffi::Py_DECREF(class.cast());
        }
    }

    /// Whether nothing has come to an instance since it was raised, and nobody has its arguments.
    unsafe fn is_reusable(exception: *mut StopIteration) -> bool {
        // SAFETY: the instance is whole. `suppress_context` is a `char` of C's, whatever PyO3 says.
        unsafe {
            let arguments = (*exception).args;
            let StopIteration { dict, notes, traceback, context, cause, .. } = *exception;
            // All of them at once: as a rule, there is none.
            let added = [dict, notes, traceback, context, cause].map(|object| object.addr());
            added.into_iter().fold(0, |added, object| added | object) == 0
                && (&raw const (*exception).suppress_context).cast::<u8>().read() == 0
                && !arguments.is_null()
                && ffi::PyTuple_CheckExact(arguments) != 0
                && ffi::PyTuple_GET_SIZE(arguments) == 1
                && ffi::Py_REFCNT(arguments) == 1
                && SPARE.load(Ordering::Relaxed).is_null()
        }
    }
}
