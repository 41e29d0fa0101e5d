//! Several reads of one size, done by one system call: straight into the results of those that are still to come.
//!
//! Whoever reads a file in large chunks gets them without a copy; a call for each would cost more than handing them
//! out does. What lies here comes before what is in the buffer for reading, and goes back there as soon as anything else
//! is asked of the file.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rapfiles_core::{Guard, IoVec, MOST_NOW};

use super::strings::new_bytes;

/// Smaller ones are copied from the buffer; of larger ones a call for each does not matter.
const LEAST: usize = 32 << 10;
/// So much is read at once: some 30 µs of copying.
const TOGETHER: usize = 256 << 10;

/// The results of the reads that are expected.
#[derive(Default)]
pub(crate) struct Ahead {
    /// The size of the read before; zero where the one before was something else.
    size: AtomicUsize,
    /// Full ones, of that size. Used only by whoever has the turn, and locked for moments.
    results: Mutex<VecDeque<Py<PyBytes>>>,
}

impl Ahead {
    /// Whether nothing lies here.
    pub(crate) fn is_empty(&self) -> bool {
        self.size.load(Ordering::Relaxed) == 0 || self.results().is_empty()
    }

    /// Whether nothing lies here, nor is about to: the one before was no such read.
    pub(crate) fn is_off(&self) -> bool {
        self.size.load(Ordering::Relaxed) == 0
    }

    /// Takes the result of the next read of this size, if it is here or can be had without waiting.
    pub(crate) fn take(
        &self,
        py: Python<'_>,
        guard: &mut Guard<'_>,
        size: usize,
    ) -> PyResult<Option<Py<PyBytes>>> {
        if !(LEAST..=MOST_NOW).contains(&size) {
            return Ok(None);
        }
        let ready = self.results().pop_front();
        if ready.is_some() {
            return Ok(ready);
        }
        // The first one does not make a sequence.
        if self.size.swap(size, Ordering::Relaxed) != size || !guard.available().is_empty() {
            return Ok(None);
        }
        let mut objects = Vec::with_capacity(TOGETHER / size);
        let mut rooms = Vec::with_capacity(TOGETHER / size);
        for _ in 0..TOGETHER / size {
            let (object, start) = new_bytes(py, size)?;
            objects.push(object);
            rooms.push(IoVec { start, length: size });
        }
        // SAFETY: the objects have room for that much, and are shown to nobody before they are full.
        let read = unsafe { guard.read_past(&rooms) }.unwrap_or(0);
        if let Some(partial) = objects.get(read / size) {
            guard.append(&partial.as_bytes()[..read % size]);
        }
        objects.truncate(read / size);
        let mut objects = objects.into_iter().map(Bound::unbind);
        let first = objects.next();
        self.results().extend(objects);
        Ok(first)
    }

    /// Something else than a read of `size` is about to be done: what lies here goes back to the buffer for reading.
    pub(crate) fn settle(&self, py: Python<'_>, guard: &mut Guard<'_>, size: usize) {
        let before = self.size.load(Ordering::Relaxed);
        if before == 0 || before == size {
            return;
        }
        self.size.store(0, Ordering::Relaxed);
        let results = std::mem::take(&mut *self.results());
        if !results.is_empty() {
            let bytes: Vec<&[u8]> = results.iter().map(|result| result.as_bytes(py)).collect();
            guard.put_back(&bytes.concat());
        }
    }

    fn results(&self) -> MutexGuard<'_, VecDeque<Py<PyBytes>>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
