//! Reference counting for objects that are passed on within nanoseconds.
//!
//! In CPython 3.12 and 3.13, `Py_INCREF` writes one half of the count and `Py_DECREF` reads both (`Include/object.h`).
//! Store-to-load forwarding fails if a load is wider than the store: the load waits until the store has reached the
//! cache (Intel's optimization manual, "Store Forwarding"). So a reference that is going to be dropped at once is
//! counted with a full-width store here, and one that has been counted with a half-width store is dropped with a
//! half-width load.

#[cfg(all(
    Py_3_12,
    not(Py_3_14),
    not(Py_GIL_DISABLED),
    target_pointer_width = "64",
    target_endian = "little"
))]
mod counts {
    use pyo3::ffi;

    /// Takes a reference that is going to be dropped at once.
    ///
    /// # Safety
    /// The thread must be attached, and the object alive.
    #[inline]
    pub(crate) unsafe fn take(object: *mut ffi::PyObject) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let count = (*object).ob_refcnt.ob_refcnt;
            // Otherwise it is immortal (PEP 683), and not counted.
            if count as i32 >= 0 {
                (*object).ob_refcnt.ob_refcnt = count + 1;
            }
        }
    }

    /// Drops a reference where another one has just been taken.
    ///
    /// # Safety
    /// The thread must be attached, and the reference the caller's.
    #[inline]
    pub(crate) unsafe fn drop_other(object: *mut ffi::PyObject) {
        // SAFETY: guaranteed by the caller.
        unsafe {
            let count = (*object).ob_refcnt.ob_refcnt_split[0];
            if count > 1 && count as i32 >= 0 {
                (*object).ob_refcnt.ob_refcnt_split[0] = count - 1;
            } else {
                ffi::Py_DECREF(object);
            }
        }
    }
}

#[cfg(not(all(
    Py_3_12,
    not(Py_3_14),
    not(Py_GIL_DISABLED),
    target_pointer_width = "64",
    target_endian = "little"
)))]
mod counts {
    use pyo3::ffi;

    /// Takes a reference that is going to be dropped at once.
    ///
    /// # Safety
    /// The thread must be attached, and the object alive.
    #[inline]
    pub(crate) unsafe fn take(object: *mut ffi::PyObject) {
        // SAFETY: guaranteed by the caller.
        unsafe { ffi::Py_INCREF(object) };
    }

    /// Drops a reference where another one has just been taken.
    ///
    /// # Safety
    /// The thread must be attached, and the reference the caller's.
    #[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
    #[inline]
    pub(crate) unsafe fn drop_other(object: *mut ffi::PyObject) {
        // SAFETY: guaranteed by the caller.
        unsafe { ffi::Py_DECREF(object) };
    }
}

#[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
pub(crate) use counts::drop_other;
pub(crate) use counts::take;
