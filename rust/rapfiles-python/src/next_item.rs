//! The awaitable of one item of an iteration, for example over lines, and of other answers that are mostly known.
//!
//! The interpreter makes, asks and drops one for each line, so this is a bare type with bare slots, and nothing is
//! looked up by name; the one before is made use of again. Where a line is available at once, asking takes it; else an
//! ordinary operation is begun and asked in its place. Where an answer has to leave in a `StopIteration`, the awaitable
//! is that, too.

use std::ffi::{CStr, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::handle::buffered::{self, BufferedFile};
use crate::handle::text_file::{self, TextFile};
use crate::once::Once;
use crate::references;
use crate::stop_iteration::own;
use crate::stream::{self, Stream};

/// How to get the next item of files of a class.
pub(crate) struct Ask {
    /// Takes it, if it is available at once. The result fits into a register: this is called for each line.
    pub(crate) ready: for<'py> fn(&Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>>,
    /// Otherwise, the operation that gets it.
    pub(crate) operation: for<'py> fn(&Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
}

#[repr(C)]
struct NextItem {
    base: own::Head,
    /// The file; null when the item has been returned.
    file: *mut ffi::PyObject,
    ask: &'static Ask,
    /// The operation that was begun.
    operation: *mut ffi::PyObject,
}

static TYPE: Once<Py<PyType>> = Once::new();

/// The awaitable of the next item of a file.
#[inline]
pub(crate) fn next_item<'py>(file: &Bound<'py, PyAny>, ask: &'static Ask) -> PyResult<Bound<'py, PyAny>> {
    let py = file.py();
    // SAFETY: the memory is as large as the type says; what the type adds is null, but for `ask`, which is set here.
    unsafe {
        let object = match spare::take() {
            Some(object) => object,
            None => new_object(py)?,
        }
        .cast::<NextItem>();
        (&raw mut (*object).ask).write(ask);
        references::take(file.as_ptr());
        (*object).file = file.as_ptr();
        Ok(Bound::from_owned_ptr(py, object.cast()))
    }
}

#[cold]
fn new_object(py: Python<'_>) -> PyResult<*mut ffi::PyObject> {
    let kind = TYPE.get_or_try_init(py, || new_type(py))?;
    // SAFETY: the thread is attached, and the class is a subclass of that base.
    let object = unsafe { own::new(kind.as_ptr().cast()) };
    if object.is_null() { Err(PyErr::fetch(py)) } else { Ok(object) }
}

/// An empty item without references, for reuse by the next one. It belongs to the thread that holds the GIL.
#[cfg(not(Py_GIL_DISABLED))]
mod spare {
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use pyo3::ffi;

    use crate::references;

    static SPARE: AtomicPtr<ffi::PyObject> = AtomicPtr::new(ptr::null_mut());

    pub(super) fn take() -> Option<*mut ffi::PyObject> {
        let spare = SPARE.load(Ordering::Relaxed);
        if spare.is_null() {
            return None;
        }
        SPARE.store(ptr::null_mut(), Ordering::Relaxed);
        Some(spare)
    }

    pub(super) fn is_empty() -> bool {
        SPARE.load(Ordering::Relaxed).is_null()
    }

    /// Keeps an item that is being freed, if none is kept.
    ///
    /// # Safety
    /// Nobody may have a reference to it.
    pub(super) unsafe fn keep(item: *mut ffi::PyObject) {
        // It stays alive with one reference, like an object that its finalizer resurrects (PEP 442).
        // SAFETY: guaranteed by the caller.
        unsafe { references::take(item) };
        SPARE.store(item, Ordering::Relaxed);
    }
}

#[cfg(Py_GIL_DISABLED)]
mod spare {
    use pyo3::ffi;

    pub(super) fn take() -> Option<*mut ffi::PyObject> {
        None
    }

    pub(super) fn is_empty() -> bool {
        false
    }

    pub(super) unsafe fn keep(_item: *mut ffi::PyObject) {}
}

/// The implementation of the `am_anext` slot of a file.
///
/// # Safety
/// The interpreter must be attached, and the file alive.
pub(crate) unsafe fn am_anext(
    file: *mut ffi::PyObject,
    anext: for<'py> fn(&Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
) -> *mut ffi::PyObject {
    // SAFETY: guaranteed by the caller.
    let (py, file) = unsafe {
        let py = Python::assume_attached();
        (py, Borrowed::from_ptr(py, file))
    };
    match anext(&file) {
        Ok(item) => item.into_ptr(),
        Err(error) => {
            error.restore(py);
            ptr::null_mut()
        }
    }
}

/// Sets the `am_anext` slot of a class of files, which has just been created, to the native function.
///
/// PyO3 can only fill this slot with a wrapper (`__anext__` in its guide, "Class customizations"), which a class would
/// inherit.
#[pyfunction]
#[pyo3(signature = (class, /))]
pub(crate) fn set_next_slot(class: &Bound<'_, PyType>) -> PyResult<()> {
    let function = if class.is_subclass_of::<TextFile>()? {
        text_file::am_anext
    } else if class.is_subclass_of::<BufferedFile>()? {
        buffered::am_anext
    } else if class.is_subclass_of::<Stream>()? {
        stream::am_anext
    } else {
        return Err(PyTypeError::new_err("this class has no items"));
    };
    // SAFETY: a class made by Python is a heap type, whose `tp_as_async` points into itself; the function is the one
    // for its instances; and nobody has one yet.
    unsafe {
        if let Some(slots) = (*class.as_type_ptr()).tp_as_async.as_mut() {
            slots.am_anext = Some(function);
        }
    }
    Ok(())
}

fn new_type(py: Python<'_>) -> PyResult<Py<PyType>> {
    // The interpreter refers to this for as long as the type exists, which is forever.
    let methods = Box::leak(Box::new([
        method(c"send", ffi::PyMethodDefPointer { PyCFunction: send }, ffi::METH_O),
        method(c"throw", ffi::PyMethodDefPointer { PyCFunction: throw }, ffi::METH_VARARGS),
        method(c"close", ffi::PyMethodDefPointer { PyCFunction: close }, ffi::METH_NOARGS),
        ffi::PyMethodDef::zeroed(),
    ]));
    let slot = |slot: c_int, function: *mut c_void| ffi::PyType_Slot { slot, pfunc: function };
    let mut slots = Vec::from(own::slots());
    slots.extend([
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
        slot(ffi::Py_am_await, itself as *mut c_void),
        slot(ffi::Py_am_send, am_send as *mut c_void),
        slot(ffi::Py_tp_iter, itself as *mut c_void),
        slot(ffi::Py_tp_iternext, next as *mut c_void),
        slot(ffi::Py_tp_methods, methods.as_mut_ptr().cast()),
        slot(0, ptr::null_mut()),
    ]);
    let flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_HAVE_GC | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    let mut spec = ffi::PyType_Spec {
        name: c"rapfiles._native.NextItem".as_ptr(),
        basicsize: size_of::<NextItem>() as c_int,
        itemsize: 0,
        #[allow(clippy::unnecessary_cast, reason = "a flag is a C long, which has 32 bits on Windows")]
        flags: flags as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the specification is complete, and its functions have the types that its slots want.
    let kind = unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpecWithBases(&raw mut spec, own::base()))
    }?;
    Ok(kind.cast_into::<PyType>()?.unbind())
}

fn method(name: &'static CStr, function: ffi::PyMethodDefPointer, flags: c_int) -> ffi::PyMethodDef {
    ffi::PyMethodDef { ml_name: name.as_ptr(), ml_meth: function, ml_flags: flags, ml_doc: ptr::null() }
}

// SAFETY, for all of the following: the interpreter calls them attached, with an object of this type.

unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: there are no references to the object any more.
    unsafe {
        let item = object.cast::<NextItem>();
        if (*item).file.is_null() && (*item).operation.is_null() {
            put_away(object);
        } else {
            dealloc_with_parts(item);
        }
    }
}

#[cold]
unsafe fn dealloc_with_parts(item: *mut NextItem) {
    // SAFETY: guaranteed by the caller. Dropping may run any code, which finds a consistent object.
    unsafe {
        let parts = take_parts(item);
        put_away(item.cast());
        drop_parts(parts);
    }
}

/// Keeps it for the next item, or frees it.
///
/// # Safety
/// Nobody has a reference to it any more, and it has none to a file or an operation.
#[inline(always)]
unsafe fn put_away(object: *mut ffi::PyObject) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        if own::is_reusable(object) && spare::is_empty() {
            let value = own::take_value(object);
            spare::keep(object);
            // This may run any code, which finds a consistent object.
            own::drop_value(value);
        } else {
            own::free(object);
        }
    }
}

unsafe fn take_parts(item: *mut NextItem) -> [*mut ffi::PyObject; 2] {
    // SAFETY: the caller has the object.
    unsafe { [&mut (*item).file, &mut (*item).operation] }
        .map(|part| std::mem::replace(part, ptr::null_mut()))
}

unsafe fn drop_parts(parts: [*mut ffi::PyObject; 2]) {
    for part in parts {
        // SAFETY: the reference is the caller's.
        unsafe { ffi::Py_XDECREF(part) };
    }
}

unsafe extern "C" fn traverse(
    object: *mut ffi::PyObject,
    visit: ffi::visitproc,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the object is alive, and the collector's function takes what the collector gives.
    unsafe {
        let item = object.cast::<NextItem>();
        for held in [ffi::Py_TYPE(object).cast(), (*item).file, (*item).operation] {
            if !held.is_null() {
                let result = visit(held, argument);
                if result != 0 {
                    return result;
                }
            }
        }
        own::traverse(object, visit, argument)
    }
}

unsafe extern "C" fn clear(object: *mut ffi::PyObject) -> c_int {
    // SAFETY: the object is alive. Dropping may run any code, so the references are taken out before.
    unsafe {
        drop_parts(take_parts(object.cast()));
        own::clear(object);
    }
    0
}

unsafe extern "C" fn itself(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the object is alive. The `await` drops the reference that it has.
    unsafe { references::take(object) };
    object
}

unsafe extern "C" fn am_send(
    object: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    // SAFETY: guaranteed by the caller.
    unsafe { step(object, value, result) }
}

#[inline(always)]
unsafe fn step(
    object: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    // SAFETY: the interpreter calls this attached.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: the object is alive, and there is a place for the result.
    unsafe {
        let item = object.cast::<NextItem>();
        *result = ptr::null_mut();
        if (*item).operation.is_null() {
            // Taken out, because it is used once.
            let file = std::mem::replace(&mut (*item).file, ptr::null_mut());
            if file.is_null() {
                PyRuntimeError::new_err("cannot reuse already awaited coroutine").restore(py);
                return ffi::PySendResult::PYGEN_ERROR;
            }
            let file = Bound::from_owned_ptr(py, file);
            let ask = (*item).ask;
            match catch_unwind(AssertUnwindSafe(|| (ask.ready)(&file))) {
                Ok(Some(value)) => {
                    *result = value.into_ptr();
                    return ffi::PySendResult::PYGEN_RETURN;
                }
                Ok(None) => {
                    let operation = catch_unwind(AssertUnwindSafe(|| (ask.operation)(&file)));
                    match operation.unwrap_or_else(|_| Err(panicked())) {
                        Ok(operation) => (*item).operation = operation.into_ptr(),
                        Err(error) => {
                            error.restore(py);
                            return ffi::PySendResult::PYGEN_ERROR;
                        }
                    }
                }
                Err(_) => {
                    panicked().restore(py);
                    return ffi::PySendResult::PYGEN_ERROR;
                }
            }
        }
        // A coroutine may expect the value that its loop sends; the first time that is None.
        let value = if value.is_null() { ffi::Py_None() } else { value };
        ffi::PyIter_Send((*item).operation, value, result)
    }
}

#[cold]
fn panicked() -> PyErr {
    PyRuntimeError::new_err("rapfiles panicked, which is a bug")
}

unsafe extern "C" fn next(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    let mut result = ptr::null_mut();
    // SAFETY: the object is alive, and so is the place.
    unsafe {
        match step(object, ptr::null_mut(), &raw mut result) {
            ffi::PySendResult::PYGEN_RETURN if result == ffi::Py_None() => {
                // Null without an exception ends any iteration, and means `None` to `await` (`PyIter_Send` in CPython's
                // Objects/abstract.c).
                ffi::Py_DECREF(result);
                ptr::null_mut()
            }
            ffi::PySendResult::PYGEN_RETURN => {
                own::raise(object, result);
                ptr::null_mut()
            }
            _ => result,
        }
    }
}

unsafe extern "C" fn send(object: *mut ffi::PyObject, value: *mut ffi::PyObject) -> *mut ffi::PyObject {
    let mut result = ptr::null_mut();
    // SAFETY: as for `next`. A method has to raise, whatever the value is.
    unsafe {
        match am_send(object, value, &raw mut result) {
            ffi::PySendResult::PYGEN_RETURN => {
                own::raise(object, result);
                ptr::null_mut()
            }
            _ => result,
        }
    }
}

unsafe extern "C" fn throw(object: *mut ffi::PyObject, arguments: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the object is alive, and the arguments are a tuple.
    unsafe {
        let item = object.cast::<NextItem>();
        if !(*item).operation.is_null() {
            let throw = ffi::PyObject_GetAttrString((*item).operation, c"throw".as_ptr());
            if throw.is_null() {
                return throw;
            }
            let result = ffi::PyObject_CallObject(throw, arguments);
            ffi::Py_DECREF(throw);
            return result;
        }
        ffi::Py_XDECREF(std::mem::replace(&mut (*item).file, ptr::null_mut()));
        let count = ffi::PyTuple_Size(arguments);
        let argument = |at| if at < count { ffi::PyTuple_GetItem(arguments, at) } else { ffi::Py_None() };
        for at in 0..2 {
            let exception = argument(at);
            if ffi::PyExceptionInstance_Check(exception) != 0 {
                ffi::PyErr_SetObject(ffi::Py_TYPE(exception).cast(), exception);
                return ptr::null_mut();
            }
        }
        if ffi::PyExceptionClass_Check(argument(0)) != 0 {
            ffi::PyErr_SetObject(argument(0), argument(1));
        } else {
            let message = "exceptions must be classes or instances deriving from BaseException";
            PyTypeError::new_err(message).restore(Python::assume_attached());
        }
        ptr::null_mut()
    }
}

unsafe extern "C" fn close(object: *mut ffi::PyObject, _nothing: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the object is alive.
    unsafe {
        let item = object.cast::<NextItem>();
        ffi::Py_XDECREF(std::mem::replace(&mut (*item).file, ptr::null_mut()));
        if (*item).operation.is_null() {
            return ffi::Py_NewRef(ffi::Py_None());
        }
        let close = ffi::PyObject_GetAttrString((*item).operation, c"close".as_ptr());
        if close.is_null() {
            return close;
        }
        let result = ffi::PyObject_CallNoArgs(close);
        ffi::Py_DECREF(close);
        result
    }
}
