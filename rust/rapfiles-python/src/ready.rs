//! An awaitable whose value is there: what an iteration over lines hands out, once for each line.
//!
//! The interpreter makes, asks and drops one for each item, so this is a bare type with bare slots: it is not
//! tracked by the garbage collector, and nothing is looked up by name.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

#[repr(C)]
struct Ready {
    base: ffi::PyObject,
    /// The value, until it has been handed out: a string or bytes, which refer to nothing else.
    value: *mut ffi::PyObject,
    /// Whether other tasks are to have a turn first.
    yields: bool,
}

static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// An awaitable of a string or bytes. `yields`: other tasks have a turn first.
pub(crate) fn ready<'py>(py: Python<'py>, value: Bound<'py, PyAny>, yields: bool) -> PyResult<Bound<'py, PyAny>> {
    let kind = TYPE.get_or_try_init(py, || new_type(py))?;
    // SAFETY: the memory is as large as the type says, and is initialised here, the type's own part by the call.
    unsafe {
        let object = ffi::PyObject_Malloc(size_of::<Ready>()).cast::<Ready>();
        if object.is_null() {
            return Err(PyErr::from_value(Bound::from_owned_ptr_or_err(py, ffi::PyErr_NoMemory())?));
        }
        ffi::PyObject_Init(object.cast(), kind.as_ptr().cast());
        (&raw mut (*object).value).write(value.into_ptr());
        (&raw mut (*object).yields).write(yields);
        Ok(Bound::from_owned_ptr(py, object.cast()))
    }
}

fn new_type(py: Python<'_>) -> PyResult<Py<PyType>> {
    // The interpreter keeps what it is given here for as long as the type exists, which is for ever.
    let methods = Box::leak(Box::new([
        method(c"send", ffi::PyMethodDefPointer { PyCFunction: send }, ffi::METH_O),
        method(c"throw", ffi::PyMethodDefPointer { PyCFunction: throw }, ffi::METH_VARARGS),
        method(c"close", ffi::PyMethodDefPointer { PyCFunction: close }, ffi::METH_NOARGS),
        ffi::PyMethodDef::zeroed(),
    ]));
    let slot = |slot: c_int, function: *mut c_void| ffi::PyType_Slot { slot, pfunc: function };
    let mut slots = [
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_am_await, itself as *mut c_void),
        slot(ffi::Py_am_send, am_send as *mut c_void),
        slot(ffi::Py_tp_iter, itself as *mut c_void),
        slot(ffi::Py_tp_iternext, next as *mut c_void),
        slot(ffi::Py_tp_methods, methods.as_mut_ptr().cast()),
        slot(0, ptr::null_mut()),
    ];
    let flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    let mut spec = ffi::PyType_Spec {
        name: c"rapfiles._native.Ready".as_ptr(),
        basicsize: size_of::<Ready>() as c_int,
        itemsize: 0,
        flags: flags as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the specification is complete, and its functions have the types that its slots want.
    let kind = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&raw mut spec)) }?;
    Ok(kind.cast_into::<PyType>()?.unbind())
}

fn method(name: &'static std::ffi::CStr, function: ffi::PyMethodDefPointer, flags: c_int) -> ffi::PyMethodDef {
    ffi::PyMethodDef { ml_name: name.as_ptr(), ml_meth: function, ml_flags: flags, ml_doc: ptr::null() }
}

// SAFETY of all of the following: the interpreter calls them attached, with an object of this type.

unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: nobody has a reference to the object any more.
    unsafe {
        let kind = ffi::Py_TYPE(object);
        ffi::Py_XDECREF((*object.cast::<Ready>()).value);
        ffi::PyObject_Free(object.cast());
        ffi::Py_DECREF(kind.cast());
    }
}

unsafe extern "C" fn itself(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the object is alive.
    unsafe { ffi::Py_INCREF(object) };
    object
}

unsafe extern "C" fn am_send(
    object: *mut ffi::PyObject,
    _value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    // SAFETY: the object is alive, and there is a place for the result.
    unsafe {
        let ready = object.cast::<Ready>();
        if std::mem::take(&mut (*ready).yields) {
            *result = ffi::Py_NewRef(ffi::Py_None());
            return ffi::PySendResult::PYGEN_NEXT;
        }
        let value = std::mem::replace(&mut (*ready).value, ptr::null_mut());
        *result = value;
        if value.is_null() {
            raise(PyRuntimeError::new_err("cannot reuse already awaited coroutine"));
            return ffi::PySendResult::PYGEN_ERROR;
        }
        ffi::PySendResult::PYGEN_RETURN
    }
}

unsafe extern "C" fn next(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    let mut result = ptr::null_mut();
    // SAFETY: the object is alive, and so is the place.
    match unsafe { am_send(object, ptr::null_mut(), &raw mut result) } {
        ffi::PySendResult::PYGEN_RETURN => {
            // SAFETY: a string or bytes is no exception's argument list, so it comes through as it is.
            unsafe {
                ffi::PyErr_SetObject(ffi::PyExc_StopIteration, result);
                ffi::Py_DECREF(result);
            }
            ptr::null_mut()
        }
        _ => result,
    }
}

unsafe extern "C" fn send(object: *mut ffi::PyObject, _value: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as for `next`.
    unsafe { next(object) }
}

unsafe extern "C" fn throw(object: *mut ffi::PyObject, arguments: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the object is alive, and the arguments are a tuple.
    unsafe {
        ffi::Py_XDECREF(std::mem::replace(&mut (*object.cast::<Ready>()).value, ptr::null_mut()));
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
            raise(PyTypeError::new_err("exceptions must be classes or instances deriving from BaseException"));
        }
        ptr::null_mut()
    }
}

unsafe extern "C" fn close(object: *mut ffi::PyObject, _nothing: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the object is alive.
    unsafe {
        ffi::Py_XDECREF(std::mem::replace(&mut (*object.cast::<Ready>()).value, ptr::null_mut()));
        ffi::Py_NewRef(ffi::Py_None())
    }
}

fn raise(error: PyErr) {
    // The interpreter calls this attached, so this only tells PyO3 so.
    Python::attach(|py| error.restore(py));
}
