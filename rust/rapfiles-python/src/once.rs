//! Values that are made once in a process, without a lock.
//!
//! `PyOnceLock` lets other threads run while the first one makes the value, and has them wait for it. A `fork(2)`
//! meanwhile leaves a child in which nobody ever makes it. Here two threads may make one each, of which the first is
//! kept.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::Python;

/// A value that is made when it is first asked for, and never dropped.
pub(crate) struct Once<T>(AtomicPtr<T>);

impl<T: Send + Sync + 'static> Once<T> {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    pub(crate) fn get(&self, _py: Python<'_>) -> Option<&'static T> {
        // SAFETY: the pointer is null or came from a box that is never dropped.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    pub(crate) fn get_or_init(&self, py: Python<'_>, make: impl FnOnce() -> T) -> &'static T {
        self.get(py).unwrap_or_else(|| self.set(make()))
    }

    pub(crate) fn get_or_try_init<E>(
        &self,
        py: Python<'_>,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<&'static T, E> {
        match self.get(py) {
            Some(value) => Ok(value),
            None => Ok(self.set(make()?)),
        }
    }

    /// Keeps the value, unless another thread was first.
    #[cold]
    fn set(&self, value: T) -> &'static T {
        let new = Box::into_raw(Box::new(value));
        match self.0.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: `new` was made here and has just been published forever.
            Ok(_) => unsafe { &*new },
            Err(winner) => {
                // SAFETY: `new` was never shared; `winner` is published forever.
                unsafe {
                    drop(Box::from_raw(new));
                    &*winner
                }
            }
        }
    }
}

/// A string object that is made once for each place which asks for it, as `pyo3::intern!` does.
macro_rules! intern {
    ($py:expr, $text:expr) => {{
        static NAME: $crate::once::Once<::pyo3::Py<::pyo3::types::PyString>> = $crate::once::Once::new();
        let py: ::pyo3::Python<'_> = $py;
        NAME.get_or_init(py, || ::pyo3::types::PyString::intern(py, $text).unbind()).bind(py)
    }};
}

pub(crate) use intern;
