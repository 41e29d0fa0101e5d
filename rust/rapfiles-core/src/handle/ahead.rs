//! Several reads of one size, done by one system call: straight into the results of those that are still to come.
//!
//! Whoever reads a file in large chunks gets them without a copy; a call for each would cost more than handing them
//! out does. What lies here comes before what is in the buffer for reading, and goes back there as soon as anything else
//! is asked of the file.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::guard::Guard;
use super::sink::{Fallible, Sink};
use crate::cached::IoVec;
use crate::engine::runtime;
use crate::limits::{READ_AT_ONCE, READ_TOGETHER, READ_TOGETHER_FROM};
use crate::platform;

/// The results of the reads that are expected.
pub struct Ahead<S: Sink> {
    /// The size of the read before; zero where the one before was something else.
    size: AtomicUsize,
    /// Full ones, of that size. Used only by whoever has the turn, and locked for moments.
    results: Mutex<VecDeque<S::Bytes>>,
}

impl<S: Sink> Default for Ahead<S> {
    fn default() -> Self {
        Self { size: AtomicUsize::new(0), results: Mutex::default() }
    }
}

impl<S: Sink> Ahead<S> {
    /// Whether nothing lies here.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.size.load(Ordering::Relaxed) == 0 || self.results().is_empty()
    }

    /// Whether nothing lies here, nor is about to: the one before was no such read.
    pub(crate) fn is_off(&self) -> bool {
        self.size.load(Ordering::Relaxed) == 0
    }

    /// Takes the result of the next read of this size, if it is here or can be had without waiting.
    #[inline]
    pub(super) fn take(
        &self,
        context: S::Context<'_>,
        guard: &mut Guard<'_>,
        size: usize,
    ) -> Fallible<S, Option<S::Value>> {
        if !(READ_TOGETHER_FROM..=READ_AT_ONCE).contains(&size) {
            return Ok(None);
        }
        let ready = self.results().pop_front();
        let ready = match ready {
            Some(ready) => Some(ready),
            None => self.read(context, guard, size)?,
        };
        // SAFETY: those that lie here are full.
        ready.map(|ready| unsafe { S::finish(context, ready, size, &[]) }).transpose()
    }

    /// Reads as many as may come at once, and takes the first of them.
    fn read(
        &self,
        context: S::Context<'_>,
        guard: &mut Guard<'_>,
        size: usize,
    ) -> Fallible<S, Option<S::Bytes>> {
        // The first one does not make a sequence.
        if self.size.swap(size, Ordering::Relaxed) != size || !guard.available().is_empty() {
            return Ok(None);
        }
        platform::keep_freed_memory();
        let mut results = Vec::with_capacity(READ_TOGETHER / size);
        let mut rooms = Vec::with_capacity(READ_TOGETHER / size);
        for _ in 0..READ_TOGETHER / size {
            let (bytes, start) = S::new_bytes(context, size)?;
            results.push(bytes);
            rooms.push(IoVec { start, length: size });
        }
        // SAFETY: there is room for that much, and nobody is shown it before it is full.
        let read = unsafe { guard.read_past(&rooms) }.unwrap_or(0);
        if let Some(partial) = results.get(read / size) {
            // SAFETY: so much has been read into it.
            guard.append(unsafe { S::content(context, partial, read % size) });
        }
        results.truncate(read / size);
        let mut results = results.into_iter();
        let first = results.next();
        self.results().extend(results);
        Ok(first)
    }

    /// Something else than a read of `size` is about to be done: what lies here goes back to the buffer for reading.
    #[inline]
    pub fn settle(&self, context: S::Context<'_>, guard: &mut Guard<'_>, size: usize) {
        let before = self.size.load(Ordering::Relaxed);
        if before == 0 || before == size {
            return;
        }
        self.size.store(0, Ordering::Relaxed);
        let results = std::mem::take(&mut *self.results());
        if !results.is_empty() {
            // SAFETY: those that lie here are full.
            let content: Vec<&[u8]> =
                results.iter().map(|result| unsafe { S::content(context, result, before) }).collect();
            guard.put_back(&content.concat());
        }
    }

    fn results(&self) -> MutexGuard<'_, VecDeque<S::Bytes>> {
        runtime::lock(&self.results)
    }
}
