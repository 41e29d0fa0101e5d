//! `StopIteration` objects: returning the answer of an awaitable from `tp_iternext`.
//!
//! Before CPython 3.12, `await` asked `am_send`. Since then its `SEND` (`Python/bytecodes.c`) has called `tp_iternext`
//! of whatever is neither a generator nor a coroutine, and the answer travels in a `StopIteration`. Making one costs
//! twice what everything else in an await does, so these are made use of again, by a `tp_dealloc` that keeps the last
//! one for the next answer. It does so when there are no references to it any more: code that keeps one never sees it
//! change.
//!
//! An awaitable that is made by the million is its own `StopIteration` ([`own`]): one object is made and counted for an
//! item, and not two.

use pyo3::ffi;

#[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
pub(crate) use recycled::raise;

/// Raises `StopIteration` with a value, of which the reference is taken over.
///
/// # Safety
/// The thread must be attached to the interpreter.
#[cfg(not(all(Py_3_12, not(Py_GIL_DISABLED))))]
pub(crate) unsafe fn raise(value: *mut ffi::PyObject) {
    // SAFETY: guaranteed by the caller. A value that is a tuple or an exception would be taken apart, so it is in a
    // tuple.
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

/// What `tp_iternext` returns where the answer is there: null, with a `StopIteration` that has it, unless that is
/// `None`.
///
/// # Safety
/// The thread must be attached to the interpreter.
pub(crate) unsafe fn answer(value: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: guaranteed by the caller.
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

/// `StopIteration` objects that are reused, whatever else they are.
#[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
mod reusable {
    use std::ffi::{c_int, c_void};
    use std::ptr;

    use pyo3::ffi;
    use pyo3::ffi::PyStopIterationObject as StopIteration;

    /// The slots that a class of these needs besides its `tp_dealloc`: `args` is created on access.
    pub(crate) fn slots() -> [ffi::PyType_Slot; 3] {
        let arguments = ffi::PyGetSetDef {
            name: c"args".as_ptr(),
            get: Some(arguments),
            set: None,
            doc: ptr::null(),
            closure: ptr::null_mut(),
        };
        // The interpreter refers to this for as long as the class exists, which is forever.
        let attributes = Box::leak(Box::new([arguments, ffi::PyGetSetDef::default()]));
        let slot = |slot: c_int, function: *mut c_void| ffi::PyType_Slot { slot, pfunc: function };
        [
            slot(ffi::Py_tp_getset, attributes.as_mut_ptr().cast()),
            slot(ffi::Py_tp_str, string as *mut c_void),
            slot(ffi::Py_tp_repr, representation as *mut c_void),
        ]
    }

    /// # Safety
    /// Called by the interpreter with an object of this kind.
    unsafe extern "C" fn arguments(object: *mut ffi::PyObject, _closure: *mut c_void) -> *mut ffi::PyObject {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let value = (*object.cast::<StopIteration>()).value;
            let arguments = ffi::PyTuple_New(ffi::Py_ssize_t::from(!value.is_null()));
            if !arguments.is_null() && !value.is_null() {
                ffi::PyTuple_SET_ITEM(arguments, 0, ffi::Py_NewRef(value));
            }
            arguments
        }
    }

    /// # Safety
    /// Called by the interpreter with an object of this kind.
    unsafe extern "C" fn string(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let value = (*object.cast::<StopIteration>()).value;
            if value.is_null() { ffi::PyUnicode_New(0, 0) } else { ffi::PyObject_Str(value) }
        }
    }

    /// # Safety
    /// Called by the interpreter with an object of this kind.
    unsafe extern "C" fn representation(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
        // SAFETY: guaranteed by the caller. An object without a value is an awaitable that has not answered.
        unsafe {
            let value = (*object.cast::<StopIteration>()).value;
            match ffi::PyBaseObject_Type.tp_repr {
                Some(representation) if value.is_null() => representation(object),
                _ => ffi::PyUnicode_FromFormat(c"StopIteration(%R)".as_ptr(), value),
            }
        }
    }

    /// A new object without a value; what its class adds is zeros. Null, with an exception, if there is no memory.
    ///
    /// # Safety
    /// The thread must be attached, and the class be a subclass of `StopIteration`.
    #[cold]
    pub(crate) unsafe fn new(class: *mut ffi::PyTypeObject) -> *mut ffi::PyObject {
        // SAFETY: guaranteed by the caller. Zeros are valid everywhere but in `args`.
        unsafe {
            let arguments = ffi::PyTuple_New(0);
            if arguments.is_null() {
                return ptr::null_mut();
            }
            let object = ffi::PyType_GenericAlloc(class, 0);
            if object.is_null() {
                ffi::Py_DECREF(arguments);
            } else {
                (*object.cast::<StopIteration>()).args = arguments;
            }
            object
        }
    }

    /// Raises it with a value. Takes over both references.
    ///
    /// # Safety
    /// The thread must be attached, and the object have no value.
    #[inline(always)]
    pub(crate) unsafe fn raise(object: *mut ffi::PyObject, value: *mut ffi::PyObject) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            debug_assert!((*object.cast::<StopIteration>()).value.is_null());
            (*object.cast::<StopIteration>()).value = value;
            ffi::PyErr_SetRaisedException(object);
        }
    }

    /// Takes the value out.
    ///
    /// # Safety
    /// The object must be of this kind.
    #[inline(always)]
    pub(crate) unsafe fn take_value(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
        // SAFETY: the object is one of this kind.
        unsafe { std::mem::replace(&mut (*object.cast::<StopIteration>()).value, ptr::null_mut()) }
    }

    /// Whether only its value has been set since it was created.
    ///
    /// # Safety
    /// The object must be of this kind.
    #[inline(always)]
    pub(crate) unsafe fn is_reusable(object: *mut ffi::PyObject) -> bool {
        // SAFETY: the object is complete. `suppress_context` is a `char` in C (`PyException_HEAD`), whatever PyO3
        // declares.
        unsafe {
            let exception = object.cast::<StopIteration>();
            let StopIteration { dict, args, notes, traceback, context, cause, .. } = *exception;
            // All of them at once: usually none is set.
            let added = [dict, notes, traceback, context, cause].map(|object| object.addr());
            added.into_iter().fold(0, |added, object| added | object) == 0
                && (&raw const (*exception).suppress_context).cast::<u8>().read() == 0
                && !args.is_null()
                && ffi::Py_SIZE(args) == 0
        }
    }

    /// Frees it.
    ///
    /// # Safety
    /// Nobody may have a reference to it.
    #[cold]
    pub(crate) unsafe fn free(object: *mut ffi::PyObject) {
        // SAFETY: guaranteed by the caller. An instance of a heap type has a reference to its type.
        unsafe {
            let class = ffi::Py_TYPE(object);
            if let Some(dealloc) = builtin().tp_dealloc {
                dealloc(object);
            }
            ffi::Py_DECREF(class.cast());
        }
    }

    pub(crate) fn builtin() -> &'static ffi::PyTypeObject {
        // SAFETY: the class exists before any module is imported, and forever.
        unsafe { &*ffi::PyExc_StopIteration.cast::<ffi::PyTypeObject>() }
    }
}

#[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
mod recycled {
    use std::ffi::{c_int, c_void};
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use pyo3::ffi;

    use super::reusable;
    use crate::references;

    /// The class, once it has been created.
    static CLASS: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());
    /// An instance without other references, for reuse. It belongs to the thread that holds the GIL.
    static SPARE: AtomicPtr<ffi::PyObject> = AtomicPtr::new(ptr::null_mut());

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
            reusable::raise(exception, value);
        }
    }

    #[cold]
    unsafe fn new() -> *mut ffi::PyObject {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let class = class();
            if class.is_null() { ptr::null_mut() } else { reusable::new(class) }
        }
    }

    unsafe fn class() -> *mut ffi::PyTypeObject {
        let class = CLASS.load(Ordering::Relaxed);
        if !class.is_null() {
            return class;
        }
        let slot = |slot: c_int, function: *mut c_void| ffi::PyType_Slot { slot, pfunc: function };
        let [attributes, string, representation] = reusable::slots();
        let mut slots = [
            slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
            attributes,
            string,
            representation,
            slot(0, ptr::null_mut()),
        ];
        let mut spec = ffi::PyType_Spec {
            name: c"rapfiles._native.StopIteration".as_ptr(),
            basicsize: size_of::<ffi::PyStopIterationObject>() as c_int,
            itemsize: 0,
            #[allow(clippy::unnecessary_cast, reason = "a flag is a C long, which has 32 bits on Windows")]
            flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION) as u32,
            slots: slots.as_mut_ptr(),
        };
        // SAFETY: the specification is complete, and the base is a class. Everything else is inherited.
        let class = unsafe { ffi::PyType_FromSpecWithBases(&raw mut spec, ffi::PyExc_StopIteration) };
        CLASS.store(class.cast(), Ordering::Relaxed);
        class.cast()
    }

    /// # Safety
    /// Called by the interpreter with an instance that nobody has a reference to any more.
    unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
        // SAFETY: what the object has is its own, and its memory is not given back before the end.
        unsafe {
            if !reusable::is_reusable(object) || !SPARE.load(Ordering::Relaxed).is_null() {
                return reusable::free(object);
            }
            let value = reusable::take_value(object);
            // It stays alive with one reference, like an object that its finalizer resurrects (PEP 442).
            references::take(object);
            SPARE.store(object, Ordering::Relaxed);
            // This may run any code, which finds a consistent object.
            references::drop_other(value);
        }
    }
}

/// The head of an awaitable that is its own `StopIteration`, on versions where that helps.
#[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
pub(crate) mod own {
    use std::ffi::{c_int, c_void};
    use std::ptr;

    use pyo3::ffi;

    use super::reusable::{builtin, raise as raise_with};
    pub(crate) use super::reusable::{free, is_reusable, new, slots, take_value};
    use crate::references;

    /// The layout of its class's base.
    pub(crate) type Head = ffi::PyStopIterationObject;

    /// Its class's base.
    pub(crate) fn base() -> *mut ffi::PyObject {
        ptr::from_ref(builtin()).cast_mut().cast()
    }

    /// Raises it with its value, of which the reference is taken over.
    ///
    /// # Safety
    /// The thread must be attached, and the object have no value.
    #[inline(always)]
    pub(crate) unsafe fn raise(object: *mut ffi::PyObject, value: *mut ffi::PyObject) {
        // SAFETY: guaranteed by the caller. The `await` drops this reference at once.
        unsafe {
            references::take(object);
            raise_with(object, value);
        }
    }

    /// Drops a value that was taken out, where there was one.
    ///
    /// # Safety
    /// The thread must be attached, and the reference the caller's.
    #[inline(always)]
    pub(crate) unsafe fn drop_value(value: *mut ffi::PyObject) {
        if !value.is_null() {
            // SAFETY: guaranteed by the caller. The `await` has just taken a reference of its own.
            unsafe { references::drop_other(value) };
        }
    }

    /// # Safety
    /// Called for the collector, with what that gives.
    pub(crate) unsafe fn traverse(
        object: *mut ffi::PyObject,
        visit: ffi::visitproc,
        argument: *mut c_void,
    ) -> c_int {
        // SAFETY: guaranteed by the caller.
        unsafe { builtin().tp_traverse.map_or(0, |traverse| traverse(object, visit, argument)) }
    }

    /// # Safety
    /// Called for the collector.
    pub(crate) unsafe fn clear(object: *mut ffi::PyObject) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            if let Some(clear) = builtin().tp_clear {
                clear(object);
            }
        }
    }
}

#[cfg(not(all(Py_3_12, not(Py_GIL_DISABLED))))]
pub(crate) mod own {
    use std::ffi::{c_int, c_void};

    use pyo3::ffi;

    /// The layout of its class's base.
    pub(crate) type Head = ffi::PyObject;

    /// Its class's base.
    pub(crate) fn base() -> *mut ffi::PyObject {
        (&raw mut ffi::PyBaseObject_Type).cast()
    }

    /// The slots that its class needs.
    pub(crate) fn slots() -> [ffi::PyType_Slot; 0] {
        []
    }

    /// A new object, all zeros; null, with an exception, if there is no memory.
    ///
    /// # Safety
    /// The thread must be attached.
    #[cold]
    pub(crate) unsafe fn new(class: *mut ffi::PyTypeObject) -> *mut ffi::PyObject {
        // SAFETY: guaranteed by the caller.
        unsafe { ffi::PyType_GenericAlloc(class, 0) }
    }

    /// Raises a `StopIteration` with a value, of which the reference is taken over.
    ///
    /// # Safety
    /// The thread must be attached.
    pub(crate) unsafe fn raise(_object: *mut ffi::PyObject, value: *mut ffi::PyObject) {
        // SAFETY: guaranteed by the caller.
        unsafe { super::raise(value) }
    }

    pub(crate) unsafe fn take_value(_object: *mut ffi::PyObject) -> *mut ffi::PyObject {
        std::ptr::null_mut()
    }

    pub(crate) unsafe fn drop_value(_value: *mut ffi::PyObject) {}

    pub(crate) unsafe fn is_reusable(_object: *mut ffi::PyObject) -> bool {
        true
    }

    pub(crate) unsafe fn traverse(
        _object: *mut ffi::PyObject,
        _visit: ffi::visitproc,
        _argument: *mut c_void,
    ) -> c_int {
        0
    }

    pub(crate) unsafe fn clear(_object: *mut ffi::PyObject) {}

    /// Frees it.
    ///
    /// # Safety
    /// Nobody may have a reference to it.
    #[cold]
    pub(crate) unsafe fn free(object: *mut ffi::PyObject) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let class = ffi::Py_TYPE(object);
            ffi::PyObject_GC_UnTrack(object.cast());
            ffi::PyObject_GC_Del(object.cast());
            ffi::Py_DECREF(class.cast());
        }
    }
}
