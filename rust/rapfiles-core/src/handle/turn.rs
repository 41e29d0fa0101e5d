//! The handle: whose turn it is, and what a job has to put back when it ends.
//!
//! Operations on one handle run one at a time, in the order in which they were begun. Whoever has the turn may hand a
//! [`Task`](super::Task) to a worker. The turn is passed on when the operation is over or, if its caller has gone
//! meanwhile, when the worker is done. Two things go on beside that: a worker that empties the buffer for writing, and
//! positional reads and writes, which only closing has to wait for.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::burial::Burial;
use super::decoder::Decoder;
use super::facts::Facts;
use super::guard::Guard;
use super::open::OpenedFile;
use super::reader::Reader;
use super::trace::Trace;
use super::writer::Writer;
use crate::cached::Times;
use crate::engine::Engine;
use crate::error::{Error, Subject};
use crate::outcome::Outcome;
use crate::platform::{self, EventSignal};
use crate::ticket::Ticket;

/// An open file with its buffers.
pub struct Handle {
    /// What is known of the file.
    pub facts: Facts,
    /// What is known of its times.
    pub(super) times: Times,
    /// What interrupts a worker that waits for another process.
    pub(super) signal: Option<EventSignal>,
    inner: Mutex<Inner>,
    /// The engine of the process that opened it: another one after a fork.
    engine: *const Engine,
}

// SAFETY: the pointer is compared and never followed.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// What a cancelled operation had taken, to be put back.
#[derive(Debug)]
pub enum Salvage {
    /// Bytes, in front of what can be read.
    Bytes(Vec<u8>),
    /// Decoded text, in front of what the decoder has.
    Text(Vec<u8>),
}

/// What a lock protects.
pub(super) struct Inner {
    /// The file; `None` once it has been closed or given up.
    pub(super) file: Option<Arc<File>>,
    /// Whether the descriptor is to be closed with it.
    pub(super) close: bool,
    held: bool,
    queue: VecDeque<Arc<Ticket>>,
    /// A worker has a task of whoever holds the turn.
    job: bool,
    /// Whoever holds the turn has gone: it is passed on when the job ends.
    abandoned: bool,
    /// What is to be put back then.
    salvage: Option<Salvage>,
    /// What the job that ended last has done, until its outcome is collected.
    uncollected: Option<Trace>,
    /// Positional operations under way, and who waits for their end.
    positional: usize,
    positional_waiter: Option<Arc<Ticket>>,
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    pub(super) decoder: Option<Box<Decoder>>,
    /// Nobody is going to close it, so that is done as soon as no worker uses it.
    orphaned: bool,
    /// That has been done, and who waits for it.
    buried: bool,
    mourners: Vec<Arc<Ticket>>,
}

/// What has to be done when the lock has been let go of: neither may happen under it.
#[derive(Default)]
#[must_use]
pub(super) struct Aftermath {
    wake: Vec<Arc<Ticket>>,
    burial: Option<Burial>,
}

impl Aftermath {
    pub(super) fn happen(self) {
        for ticket in self.wake {
            ticket.finish(Ok(Outcome::Done));
        }
        if let Some(burial) = self.burial {
            burial.begin();
        }
    }

    pub(super) fn wake(&mut self, ticket: Option<Arc<Ticket>>) {
        self.wake.extend(ticket);
    }
}

impl Handle {
    /// A handle for a file that has just been opened. `buffer_size`: how much may wait to be written, where somebody
    /// cares.
    pub fn new(opened: OpenedFile, buffer_size: Option<usize>) -> Arc<Self> {
        let facts = opened.facts;
        let (file, close) = opened.take();
        let inner = Inner {
            file: file.map(Arc::new),
            close,
            held: false,
            queue: VecDeque::new(),
            job: false,
            abandoned: false,
            salvage: None,
            uncollected: None,
            positional: 0,
            positional_waiter: None,
            reader: Reader::default(),
            writer: Writer::new(buffer_size),
            decoder: None,
            orphaned: false,
            buried: false,
            mourners: Vec::new(),
        };
        Arc::new(Self {
            facts,
            times: Times::settled(facts.settled_at),
            // Without one, a reader that waits for another process cannot be interrupted, but everything else works.
            signal: if facts.regular { None } else { EventSignal::new().ok() },
            inner: Mutex::new(inner),
            engine: Engine::current(),
        })
    }

    /// The handle, for what needs no waiting.
    ///
    /// # Errors
    /// In a forked child, where the parent was using the handle during the fork.
    pub fn lock(self: &Arc<Self>) -> Result<Guard<'_>, Error> {
        if ptr::eq(self.engine, Engine::current()) {
            return Ok(Guard::new(self, self.inner()));
        }
        let in_use = || Error::Os { code: platform::EIO, subject: Subject::Nothing };
        // The thread that holds the lock, or has the job, is not in this process.
        match self.inner.try_lock() {
            Ok(inner) if !inner.job && !inner.writer.running => Ok(Guard::new(self, inner)),
            Err(TryLockError::Poisoned(poisoned)) => Ok(Guard::new(self, poisoned.into_inner())),
            _ => Err(in_use()),
        }
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The operation that holds the turn is over.
    pub fn release(self: &Arc<Self>) {
        if let Ok(mut guard) = self.lock() {
            guard.inner.pass_on().happen_after(guard);
        }
    }

    /// The operation that waits for its turn, or was just given it, has been given up.
    pub fn leave(self: &Arc<Self>, ticket: &Arc<Ticket>) {
        let Ok(mut guard) = self.lock() else { return };
        let place = guard.inner.queue.iter().position(|waiting| Arc::ptr_eq(waiting, ticket));
        match place {
            Some(place) => drop(guard.inner.queue.remove(place)),
            None => guard.inner.pass_on().happen_after(guard),
        }
    }

    /// The operation that holds the turn is given up. What its tasks have done and nobody has been told of is undone,
    /// `salvage` is put back in front of that, and the turn is passed on: by the worker that has a task of it, when that
    /// ends, else here and now. `ticket`: of the task that it waits for.
    pub fn abandon(self: &Arc<Self>, ticket: Option<&Ticket>, salvage: Option<Salvage>) {
        let Ok(mut guard) = self.lock() else { return };
        guard.inner.writer.waiter = None;
        guard.inner.positional_waiter = None;
        // Under this lock a worker that ends either finds that nobody waits, or has left its outcome.
        if guard.inner.job {
            guard.inner.abandoned = true;
            guard.inner.salvage = salvage;
            if let Some(signal) = &self.signal {
                signal.raise();
            }
            drop(guard);
            if let Some(ticket) = ticket {
                ticket.cancel();
            }
            return;
        }
        let mut trace = guard.inner.uncollected.take();
        if let (Some(trace), Some(outcome)) = (&mut trace, ticket.and_then(Ticket::take)) {
            trace.undo(&mut guard.inner, outcome);
        }
        if let Some(salvage) = salvage {
            guard.inner.restore(salvage);
        }
        guard.inner.pass_on().happen_after(guard);
        drop(trace);
    }

    /// The outcome of a task has been taken from its ticket.
    pub fn collected(self: &Arc<Self>) {
        let trace = self.lock().ok().and_then(|mut guard| guard.inner.uncollected.take());
        // Not under the lock: it may be the last to hold on to memory of the caller's.
        drop(trace);
    }

    /// Nobody is going to close it: that is done in the background, after what is buffered has been written.
    pub fn orphan(self: &Arc<Self>) {
        let Ok(mut guard) = self.lock() else {
            // In a forked child, the buffers are the parent's.
            return;
        };
        if std::mem::replace(&mut guard.inner.orphaned, true) {
            return;
        }
        if guard.inner.job
            && let Some(signal) = &self.signal
        {
            signal.raise();
        }
        let mut aftermath = Aftermath::default();
        guard.inner.bury(self, &mut aftermath);
        aftermath.happen_after(guard);
    }

    /// It has been closed in the background.
    pub(super) fn buried(&self, error: Option<Error>) {
        let mut inner = self.inner();
        inner.buried = true;
        inner.writer.error = error;
        let aftermath = Aftermath { wake: std::mem::take(&mut inner.mourners), burial: None };
        drop(inner);
        aftermath.happen();
    }

    /// A worker's task is over: its outcome is left in the ticket, or, where nobody waits for it any more, undone.
    pub(super) fn job_ended(
        self: &Arc<Self>,
        mut trace: Trace,
        end: Option<(&Ticket, Result<Outcome, Error>)>,
    ) {
        let mut inner = self.inner();
        inner.job = false;
        if let Some(signal) = &self.signal {
            signal.clear();
        }
        let mut aftermath = Aftermath::default();
        let mut undone = None;
        if std::mem::take(&mut inner.abandoned) {
            if let Some((_, outcome)) = end {
                trace.undo(&mut inner, outcome);
            }
            if let Some(salvage) = inner.salvage.take() {
                inner.restore(salvage);
            }
            aftermath = inner.pass_on();
            undone = Some(trace);
        } else {
            if let Some((ticket, outcome)) = end {
                ticket.leave(outcome);
            }
            inner.uncollected = Some(trace);
        }
        inner.bury(self, &mut aftermath);
        drop(inner);
        drop(undone);
        aftermath.happen();
    }

    /// A positional operation is over.
    pub(super) fn positional_ended(self: &Arc<Self>) {
        let mut inner = self.inner();
        inner.positional -= 1;
        let mut aftermath = Aftermath::default();
        if inner.positional == 0 {
            aftermath.wake(inner.positional_waiter.take());
        }
        inner.bury(self, &mut aftermath);
        drop(inner);
        aftermath.happen();
    }
}

impl Aftermath {
    fn happen_after(self, guard: Guard<'_>) {
        drop(guard);
        self.happen();
    }
}

impl Inner {
    /// Whether nobody has the turn, or waits for it.
    pub(super) fn is_idle(&self) -> bool {
        !self.held && self.queue.is_empty()
    }

    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    pub(super) fn queue(&mut self, ticket: Arc<Ticket>) {
        self.queue.push_back(ticket);
    }

    /// Gives the turn to the next who waits for it.
    fn pass_on(&mut self) -> Aftermath {
        let next = self.queue.pop_front();
        self.held = next.is_some();
        Aftermath { wake: next.into_iter().collect(), burial: None }
    }

    /// Puts back what a cancelled operation had taken.
    pub(super) fn restore(&mut self, salvage: Salvage) {
        match (salvage, &mut self.decoder) {
            (Salvage::Text(text), Some(decoder)) => decoder.put_back(text),
            (Salvage::Bytes(bytes) | Salvage::Text(bytes), _) => self.reader.put_back(&bytes),
        }
    }

    pub(super) fn job_begins(&mut self) {
        debug_assert!(!self.job);
        self.job = true;
    }

    pub(super) fn positional_begins(&mut self) {
        self.positional += 1;
    }

    /// Registers who waits for the positional operations; `false` when there are none.
    pub(super) fn await_positional(&mut self, ticket: &Arc<Ticket>) -> bool {
        if self.positional > 0 {
            self.positional_waiter = Some(Arc::clone(ticket));
        }
        self.positional > 0
    }

    pub(super) fn is_orphaned(&self) -> bool {
        self.orphaned
    }

    /// Registers who waits for the end of an orphan; `false` when that has come.
    pub(super) fn await_burial(&mut self, ticket: &Arc<Ticket>) -> bool {
        let waits = self.orphaned && !self.buried;
        if waits {
            self.mourners.push(Arc::clone(ticket));
        }
        waits
    }

    pub(super) fn is_being_buried(&self) -> bool {
        self.orphaned && !self.buried
    }

    pub(super) fn has_positional(&self) -> bool {
        self.positional > 0
    }

    /// Takes an orphan's file away to be closed, unless a worker uses it still.
    pub(super) fn bury(&mut self, handle: &Arc<Handle>, aftermath: &mut Aftermath) {
        if self.orphaned && !self.job && !self.writer.running && self.positional == 0 {
            let file = self.file.take().and_then(Arc::into_inner);
            let handle = Arc::clone(handle);
            let writer = std::mem::replace(&mut self.writer, Writer::new(None));
            aftermath.burial = file.map(|file| Burial::new(handle, file, self.close, writer));
            self.buried = aftermath.burial.is_none();
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Handle").field("facts", &self.facts).finish_non_exhaustive()
    }
}
