//! Several reads of one size by one system call, straight into the results of the reads that are expected next.
//!
//! A file that is read in large chunks is read without a copy; a call for each chunk would cost more than returning it.
//! These results precede the content of the read buffer, and go back to it as soon as another operation uses the file.

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
    /// The size of the previous read; zero if the previous operation was not a read.
    size: AtomicUsize,
    /// Full results of that size. Used only by the holder of the turn, and locked briefly.
    results: Mutex<VecDeque<S::Bytes>>,
}

impl<S: Sink> Default for Ahead<S> {
    fn default() -> Self {
        Self { size: AtomicUsize::new(0), results: Mutex::default() }
    }
}

impl<S: Sink> Ahead<S> {
    /// Whether there are no results.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.size.load(Ordering::Relaxed) == 0 || self.results().is_empty()
    }

    /// Whether there are no results and none are expected: the previous operation was not such a read.
    pub(crate) fn is_off(&self) -> bool {
        self.size.load(Ordering::Relaxed) == 0
    }

    /// Takes the result of the next read of this size, if there is one or reading it does not block.
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
        // SAFETY: the results here are full.
        ready.map(|ready| unsafe { S::finish(context, ready, size, &[]) }).transpose()
    }

    /// Reads as many results as one call may, and takes the first of them.
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
        // SAFETY: the buffers have that size, and are not exposed before they are full.
        let read = unsafe { guard.read_past(&rooms) }.unwrap_or(0);
        if let Some(partial) = results.get(read / size) {
            // SAFETY: that much has been read into it.
            guard.append(unsafe { S::content(context, partial, read % size) });
        }
        results.truncate(read / size);
        let mut results = results.into_iter();
        let first = results.next();
        self.results().extend(results);
        Ok(first)
    }

    /// Before an operation that is not a read of `size`: puts the results back into the read buffer.
    #[inline]
    pub fn settle(&self, context: S::Context<'_>, guard: &mut Guard<'_>, size: usize) {
        let before = self.size.load(Ordering::Relaxed);
        if before == 0 || before == size {
            return;
        }
        self.size.store(0, Ordering::Relaxed);
        let results = std::mem::take(&mut *self.results());
        if !results.is_empty() {
            // SAFETY: the results here are full.
            let content: Vec<&[u8]> =
                results.iter().map(|result| unsafe { S::content(context, result, before) }).collect();
            guard.put_back(&content.concat());
        }
    }

    fn results(&self) -> MutexGuard<'_, VecDeque<S::Bytes>> {
        runtime::lock(&self.results)
    }
}
