//! Keeping the caller's memory alive while workers use it, and giving it back to the caller.
//!
//! Only a thread that is attached to the interpreter can release a Python object. Any other has to pass it to such a
//! thread, and a lock for that could be copied in its locked state by `fork(2)`. So whatever is dropped here, in any
//! thread, is only pushed to a stack, which the caller empties where it may run Python code: [`release_memory`]. The
//! stack needs no lock: a push is one compare-and-swap, and it is always taken as a whole.

use std::any::Any;
use std::fmt;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::runtime;
use crate::limits::RELEASE_AT;

/// Memory that has been given back and not released yet.
struct Stack {
    top: AtomicPtr<Node>,
    /// About how many bytes it keeps alive.
    bytes: AtomicUsize,
}

impl Stack {
    const fn new() -> Self {
        Self { top: AtomicPtr::new(ptr::null_mut()), bytes: AtomicUsize::new(0) }
    }
}

static GIVEN_BACK: Stack = Stack::new();

/// The stack of this process.
#[cfg(not(all(test, target_os = "linux", not(loom))))]
#[inline]
fn given_back() -> &'static Stack {
    &GIVEN_BACK
}

/// The stack of the process that this thread simulates, or of this one.
#[cfg(all(test, target_os = "linux", not(loom)))]
fn given_back() -> &'static Stack {
    thread_local! {
        static SIMULATED: &'static Stack = Box::leak(Box::new(Stack::new()));
    }
    if crate::simulation::world().is_some() { SIMULATED.with(|stack| *stack) } else { &GIVEN_BACK }
}

struct Node {
    _content: Box<dyn Any + Send + Sync>,
    bytes: usize,
    next: AtomicPtr<Node>,
}

/// Keeps memory of the caller's alive. Dropping it gives the memory back; see [`release_memory`].
pub struct KeepAlive(Option<Box<Node>>);

impl KeepAlive {
    /// Keeps memory alive for as long as `content` exists.
    pub fn new(content: impl Any + Send + Sync) -> Self {
        // The node of the stack is allocated now, so that dropping never allocates.
        Self(Some(Box::new(Node {
            _content: Box::new(content),
            bytes: 0,
            next: AtomicPtr::new(ptr::null_mut()),
        })))
    }

    /// The same, knowing how much memory it is.
    pub(crate) fn of(mut self, bytes: usize) -> Self {
        if let Some(node) = &mut self.0 {
            node.bytes = bytes;
        }
        self
    }
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        let Some(node) = self.0.take() else { return };
        let bytes = node.bytes;
        let node = Box::into_raw(node);
        let given_back = given_back();
        let mut head = given_back.top.load(Ordering::Relaxed);
        loop {
            // SAFETY: nobody else has the node before it is on the stack.
            unsafe { &*node }.next.store(head, Ordering::Relaxed);
            match given_back.top.compare_exchange_weak(head, node, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(other) => head = other,
            }
        }
        // After the push, so that what is on the stack is counted, or will be.
        given_back.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for KeepAlive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeepAlive").finish_non_exhaustive()
    }
}

/// Releases everything that has been given back. This drops objects of the caller's, so call it where they may be
/// dropped, and without holding a lock. It costs next to nothing if there are none.
pub fn release_memory() {
    let given_back = given_back();
    if given_back.top.load(Ordering::Relaxed).is_null() {
        return;
    }
    given_back.bytes.store(0, Ordering::Relaxed);
    let mut next = given_back.top.swap(ptr::null_mut(), Ordering::Acquire);
    while !next.is_null() {
        // SAFETY: each node comes from `Box::into_raw`, and the thread that has taken the stack owns it alone.
        let node = unsafe { Box::from_raw(next) };
        next = node.next.load(Ordering::Relaxed);
    }
}

/// Whether enough memory waits to be released to wake a loop for it.
pub(crate) fn is_worth_a_wake() -> bool {
    let given_back = given_back();
    given_back.bytes.load(Ordering::Relaxed) >= RELEASE_AT
        && !given_back.top.load(Ordering::Relaxed).is_null()
}

/// A buffer of the caller's, each byte of which is written by at most one worker.
pub(crate) struct Buffer {
    pub(crate) start: *mut u8,
    pub(crate) length: usize,
    /// Given back by the last user of the buffer, before the completion is announced.
    keep_alive: Mutex<Option<KeepAlive>>,
}

impl Buffer {
    pub(crate) fn new(start: *mut u8, length: usize, keep_alive: KeepAlive) -> Self {
        Self { start, length, keep_alive: Mutex::new(Some(keep_alive.of(length))) }
    }

    /// Gives the memory back: the buffer is not used any more.
    pub(crate) fn give_back(&self) {
        drop(runtime::lock(&self.keep_alive).take());
    }
}

// SAFETY: the buffer stays where it is for as long as `keep_alive` exists, nobody else looks at it until the
// operation is done (the contract of `ParallelRead::new` and `TextFill::new`), and workers write to disjoint parts of
// it.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn what_is_dropped_is_released_by_whoever_may() {
        let object = Arc::new(());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let object = Arc::clone(&object);
                thread::spawn(move || {
                    for _ in 0..10_000 {
                        drop(KeepAlive::new(Arc::clone(&object)).of(1));
                        if Arc::strong_count(&object) > 1_000 {
                            release_memory();
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let large = Arc::new(());
        drop(KeepAlive::new(Arc::clone(&large)).of(RELEASE_AT));
        assert!(is_worth_a_wake());
        assert_eq!(Arc::strong_count(&large), 2, "not where it is dropped");
        release_memory();
        assert_eq!((Arc::strong_count(&object), Arc::strong_count(&large)), (1, 1));
    }
}
