//! Lock files in forked children: closed by the child, so that it does not hold its parent's locks.
//!
//! A lock belongs to the open file description, which a forked child shares: if the parent died, the child would still
//! hold it. It must not unlock it either, because that would release the parent's (`flock(2)`). So a child closes the
//! descriptors of its parent's lock files as soon as it exists, in the handler of `pthread_atfork(3)`. Only what is safe
//! in a signal handler may be done there, so the descriptors are in a list that is read without a lock.

use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::lock_file::Identity;
use crate::engine::runtime;

/// The number of a place that no file uses.
const FREE: i32 = -1;

/// The place of one lock file. They are never freed, but used again.
#[derive(Debug)]
pub(crate) struct Place {
    descriptor: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
    next: *const Place,
}

// SAFETY: `next` is set before the place is published, and never changes.
unsafe impl Sync for Place {}
// SAFETY: as above.
unsafe impl Send for Place {}

/// The lock files that this process has open.
#[derive(Default)]
struct Table {
    first: AtomicPtr<Place>,
    free: Mutex<Vec<&'static Place>>,
}

static TABLE: AtomicPtr<Table> = AtomicPtr::new(ptr::null_mut());

impl Table {
    /// All places, of files and free ones. This takes no lock and allocates nothing, as in a forked child it must not.
    fn places(&self) -> impl Iterator<Item = &'static Place> {
        // SAFETY: a place is complete when it is published, and never freed.
        let place = |at: *const Place| unsafe { at.as_ref() };
        std::iter::successors(place(self.first.load(Ordering::SeqCst)), move |before| place(before.next))
    }
}

/// The table of this process: a child gets a new one, because the lock of the parent's may be taken.
fn table() -> &'static Table {
    // SAFETY: the pointer is null or came from a box that is never freed.
    if let Some(table) = unsafe { TABLE.load(Ordering::Acquire).as_ref() } {
        return table;
    }
    let new = Box::into_raw(Box::default());
    match TABLE.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: it has just been published, and is never freed.
        Ok(_) => unsafe { &*new },
        // SAFETY: another thread was first, so `new` was never shared; the winner is never freed.
        Err(winner) => unsafe {
            drop(Box::from_raw(new));
            &*winner
        },
    }
}

/// How many forks there have been before a file is opened; `None` while one is under way, whose child may get the file.
pub(crate) fn forks() -> Option<u32> {
    runtime::forks_so_far()
}

impl Place {
    /// Notes an open lock file.
    pub(crate) fn of(descriptor: i32, identity: Identity) -> &'static Self {
        let table = table();
        let mut free = table.free.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = free.pop() {
            place.device.store(identity.device, Ordering::Relaxed);
            place.inode.store(identity.inode as u64, Ordering::Relaxed);
            place.descriptor.store(descriptor, Ordering::SeqCst);
            return place;
        }
        let place: &'static Self = Box::leak(Box::new(Self {
            descriptor: AtomicI32::new(descriptor),
            device: AtomicU64::new(identity.device),
            inode: AtomicU64::new(identity.inode as u64),
            next: table.first.load(Ordering::Relaxed),
        }));
        // Under the lock, so that no other place is lost.
        table.first.store(ptr::from_ref(place).cast_mut(), Ordering::SeqCst);
        place
    }

    /// Closes the parent's file, in a forked child.
    fn close_in_child(&self) {
        let descriptor = self.descriptor.load(Ordering::SeqCst);
        if descriptor != FREE {
            crate::platform::close_inherited(
                descriptor,
                self.device.load(Ordering::Relaxed),
                self.inode.load(Ordering::Relaxed),
            );
        }
    }

    /// Forgets it, before it is closed.
    pub(crate) fn release(&'static self) {
        self.descriptor.store(FREE, Ordering::SeqCst);
        table().free.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }
}

/// The descriptors that a child would close.
#[cfg(all(test, target_os = "linux", not(loom)))]
pub(crate) fn known() -> Vec<i32> {
    table().places().map(|place| place.descriptor.load(Ordering::SeqCst)).collect()
}

/// This process is about to be forked.
pub(crate) fn before_fork() {
    runtime::begin_fork();
}

/// It has been, or that has failed.
pub(crate) fn after_fork() {
    runtime::end_fork();
}

/// Closes the parent's lock files, in a forked child.
pub(crate) fn in_child() {
    runtime::forget_forks();
    let table = TABLE.swap(ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: as in `table`. It is left as it is: nothing may be freed here.
    let Some(table) = (unsafe { table.as_ref() }) else { return };
    table.places().for_each(Place::close_in_child);
}

/// Does the same in a simulated process, which has these descriptors open.
#[cfg(all(test, target_os = "linux", not(loom)))]
pub(crate) fn in_simulated_child(open: &std::collections::BTreeSet<i32>) {
    let is_its = |place: &&Place| open.contains(&place.descriptor.load(Ordering::SeqCst));
    // All of them first: the number of what has been closed may be another simulated process's.
    let places: Vec<_> = table().places().filter(is_its).collect();
    for place in places {
        place.close_in_child();
        place.release();
    }
}
