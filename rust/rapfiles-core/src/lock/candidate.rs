//! The place of a lock in its queue, from the moment when nothing in this process is in the way until it is released.

use std::sync::Arc;

use super::claim::Mode;
use super::lock_file::{Identity, LockFile};
use crate::engine::{Engine, Process, runtime};
use crate::error::Error;

/// A place among the holders of a file's locks. Dropping it leaves the queue, and the next one may try.
#[derive(Debug)]
pub(crate) struct Entry {
    /// `None` once somebody else looks after it.
    engine: Option<Arc<Engine>>,
    pub(super) identity: Identity,
    pub(super) id: u64,
}

impl Entry {
    pub(super) fn new(engine: &Engine, identity: Identity, id: u64) -> Self {
        Self { engine: Some(engine.share()), identity, id }
    }

    /// Where it is.
    fn place(&self) -> (Identity, u64) {
        (self.identity, self.id)
    }

    /// Leaves the place as it is: somebody else looks after it.
    pub(super) fn forget(mut self) -> u64 {
        self.engine = None;
        self.id
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // In a forked child the queues are the parent's, and perhaps locked for ever.
        if let Some(engine) = self.engine.take().filter(|engine| engine.process() == Process::current()) {
            engine.locks().leave(&engine, self.identity, self.id);
        }
    }
}

/// A file that nobody in this process keeps from being locked.
#[derive(Debug)]
pub(crate) struct Candidate {
    // Dropped in this order: who is next must find the file unlocked.
    pub(super) file: LockFile,
    pub(super) entry: Entry,
}

/// A lock that is held. Dropping it releases it. Boxed, because an answer passes through many hands.
#[derive(Debug)]
pub struct Held(pub(super) Option<Box<Candidate>>);

impl Held {
    pub(super) fn new(candidate: Candidate) -> Self {
        Self(Some(Box::new(candidate)))
    }

    /// Whether it is this process's: not in a forked child.
    pub fn is_own(&self) -> bool {
        self.0.as_ref().is_some_and(|candidate| !candidate.file.is_inherited())
    }

    /// Whether it is held: not if the open file whose lock it is has been closed.
    pub fn is_there(&self) -> bool {
        self.is_own() && self.0.as_ref().is_some_and(|candidate| candidate.file.is_locked())
    }

    /// Whether it is a lock of a range, which is converted without being given up.
    pub fn is_of_range(&self) -> bool {
        self.0.as_ref().is_some_and(|candidate| candidate.file.is_of_range())
    }

    /// Makes it a shared or an exclusive one; whether that was possible at once. If it was not, the lock of a whole file
    /// may be gone, and that of a range is what it was. It calls the kernel.
    pub fn convert(&mut self, mode: Mode) -> Result<bool, Error> {
        let Some(candidate) = &mut self.0 else { return Ok(false) };
        let Candidate { file, entry } = &mut **candidate;
        let Some(engine) = entry.engine.clone() else { return Ok(false) };
        let (locks, before) =
            (engine.locks(), if mode == Mode::Shared { Mode::Exclusive } else { Mode::Shared });
        // Exclusive within the process first, and shared last: others would ask the kernel in vain.
        if mode == Mode::Exclusive && !locks.convert(&engine, entry, mode) {
            return Ok(false);
        }
        let converted = file.convert(mode);
        if !matches!(converted, Ok(true)) && mode == Mode::Exclusive {
            locks.convert(&engine, entry, before);
        }
        if matches!(converted, Ok(true)) && mode == Mode::Shared {
            if !file.is_of_range() {
                locks.offer(&engine, candidate);
            }
            locks.convert(&engine, &candidate.entry, mode);
        }
        converted
    }

    /// Notes that its task wants it no more, although a worker is going to have it for a while.
    pub(crate) fn let_go(&self) {
        if let Some(Candidate { entry, .. }) = self.0.as_deref()
            && let Some(engine) = &entry.engine
        {
            engine.locks().let_go(engine, entry.place());
        }
    }

    /// Its place in a queue.
    pub(super) fn place(&self) -> Option<(Identity, u64)> {
        self.0.as_ref().map(|candidate| candidate.entry.place())
    }

    /// Whether releasing it does not block.
    pub fn is_local(&self) -> bool {
        self.0.as_ref().is_none_or(|candidate| candidate.file.local)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.is_local() || !self.is_own() || runtime::in_worker() {
            return;
        }
        self.let_go();
        let Some(candidate) = self.0.take() else { return };
        let lane = candidate.file.lane;
        if let Some(engine) = candidate.entry.engine.clone() {
            engine.spawn(lane, move || drop(candidate));
        }
    }
}
