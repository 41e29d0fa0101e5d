//! The handle: an open file with its buffers.
//!
//! Most of it belongs to whoever has the [turn](super::Turn), who may hand a [`Task`](super::Task) to a worker. Two things
//! go on beside that: a worker that empties the buffer for writing, and positional reads and writes, which only closing
//! has to wait for.

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

use super::background_close::BackgroundClose;
use super::file_info::FileInfo;
use super::guard::{Guard, read_now};
use super::job::{HandleJob, Task};
use super::open::OpenedFile;
use super::reader::Reader;
use super::reply::Reply;
use super::shared::{Known, Locked, Shared, Unattended};
use super::trace::Trace;
use super::turn::FREE;
use super::writer::Writer;
use crate::cached::{IoVec, Times};
use crate::engine::runtime;
use crate::engine::ticket::Ticket;
use crate::engine::{Engine, Process};
use crate::error::{Error, Subject};
use crate::outcome::Outcome;
use crate::platform::{self, EventSignal, File};
use crate::text::{Decoder, Text};

/// What belongs to the operation that has the turn and, while a worker has a task of it, to that worker.
pub(super) struct Exclusive {
    /// The file, if it is open, beside the one in [`Shared`].
    pub(super) file: Option<Arc<File>>,
    pub(super) reader: Reader,
    pub(super) decoder: Option<Box<Decoder>>,
}

impl Exclusive {
    /// Gives text back that was taken from the decoder.
    pub(super) fn give_back(&mut self, text: Text) {
        let Some(decoder) = &mut self.decoder else { return };
        let (content, mark) = text.into_parts();
        let back = match (mark, &self.file) {
            (Some(mark), Some(file)) => mark.go_back(file, &mut self.reader, decoder, content.len()),
            _ => false,
        };
        if !back {
            decoder.put_back(content);
        }
    }
}

/// An open file with its buffers.
pub struct Handle {
    /// What is known of the file.
    pub info: FileInfo,
    /// What is known of its times.
    pub(super) times: Times,
    /// Whether the descriptor is closed with the file.
    pub closes_descriptor: bool,
    /// What interrupts a worker that waits for another process.
    pub(super) signal: Option<EventSignal>,
    pub(super) turn: AtomicU8,
    possession: UnsafeCell<Exclusive>,
    pub(super) shared: Mutex<Shared>,
    known: Known,
    /// The engine that opened it.
    engine: Arc<Engine>,
    /// The process that uses it: the one that did, or a forked child that found it idle.
    process: AtomicU32,
}

// SAFETY: what is in the cell is used only by whoever has the turn, which is taken with an acquiring and passed
// on with a releasing exchange, or handed over through a ticket or under the lock.
unsafe impl Sync for Handle {}

/// What has to be done when the lock has been let go of.
#[must_use]
pub(super) enum Effects {
    Begin(BackgroundClose),
    Wake(Vec<Arc<Ticket>>),
}

impl Effects {
    pub(super) fn run(self) {
        match self {
            Self::Begin(close) => close.begin(),
            Self::Wake(tickets) => tickets.iter().for_each(|ticket| {
                ticket.finish(Ok(Outcome::Done));
            }),
        }
    }
}

impl Handle {
    /// A handle for a file that has just been opened. `buffer_size`: how much may wait to be written, where somebody
    /// cares.
    pub fn new(opened: OpenedFile, buffer_size: Option<usize>) -> Arc<Self> {
        let info = opened.info;
        let engine = Arc::clone(opened.engine());
        let (file, closes_descriptor) = opened.take();
        let file = file.map(Arc::new);
        let shared = Shared {
            file: file.clone(),
            queue: VecDeque::new(),
            job: false,
            closing: false,
            ended: None,
            abandoned: None,
            positional: 0,
            positional_waiter: None,
            stale: false,
            writer: Writer::new(buffer_size),
            unattended: Unattended::No,
            close_waiters: Vec::new(),
            turn_waits_for_close: false,
        };
        Arc::new(Self {
            info,
            times: Times::settled(info.settled_at),
            closes_descriptor,
            // Without one, a reader that waits for another process cannot be interrupted, but everything else works.
            signal: if info.regular { None } else { EventSignal::new().ok() },
            turn: AtomicU8::new(FREE),
            possession: UnsafeCell::new(Exclusive { file, reader: Reader::default(), decoder: None }),
            shared: Mutex::new(shared),
            known: Known::default(),
            process: AtomicU32::new(engine.process().number()),
            engine,
        })
    }

    pub(super) fn shared(&self) -> Locked<'_> {
        let shared = runtime::lock(&self.shared);
        Locked { shared, known: &self.known }
    }

    /// What is shared, also in a forked child.
    ///
    /// # Errors
    /// Where the parent was using the handle during the fork.
    pub(super) fn try_shared(&self) -> Result<Locked<'_>, Error> {
        if self.is_inherited() {
            self.check_inherited()?;
        }
        Ok(self.shared())
    }

    /// Whether this is a forked child of the process that uses it, and has not used it yet.
    #[inline]
    pub(super) fn is_inherited(&self) -> bool {
        self.process.load(Ordering::Relaxed) != Process::current().number()
    }

    /// The engine that works for it: in a forked child, the child's own.
    #[inline]
    pub(super) fn engine(&self) -> &Engine {
        self.engine.here()
    }

    /// Has a worker do a job of this handle's. `own` is the job's ticket, `waiting` that of whoever waits, which may be
    /// another; see [`Engine::submit_for_handle`].
    pub fn submit(&self, job: HandleJob, own: &Arc<Ticket>, waiting: Option<&Arc<Ticket>>) {
        self.engine().submit_for_handle(job, own, waiting);
    }

    /// # Errors
    /// Where the parent was using the handle during the fork.
    #[cold]
    pub(super) fn check_inherited(&self) -> Result<(), Error> {
        let shared = match self.shared.try_lock() {
            Ok(shared) => shared,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // By a thread of the parent's, or by another one that is just here.
            Err(TryLockError::WouldBlock) if self.is_inherited() => return Err(in_use()),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        // Whoever has the turn is not in this process, nor the thread that has a job or closes the file.
        let idle = self.turn.load(Ordering::Relaxed) == FREE && !shared.job && !shared.writer.running;
        if self.is_inherited()
            && !(idle && shared.positional == 0 && shared.unattended != Unattended::Closing)
        {
            return Err(in_use());
        }
        // From now on whatever is under way is this process's.
        self.process.store(Process::current().number(), Ordering::Relaxed);
        Ok(())
    }

    /// What belongs to whoever has the turn.
    ///
    /// # Safety
    /// The caller has it, or a task of whoever has it, and nothing else of this kind exists.
    #[allow(clippy::mut_from_ref, reason = "the turn is what makes it the caller's")]
    pub(super) unsafe fn exclusive(&self) -> &mut Exclusive {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.possession.get() }
    }

    /// Whether the file has been closed, or given up, or is to be closed as soon as nobody uses it.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.known.closed.load(Ordering::Acquire)
    }

    /// Whether it has been closed, or is going to be, and nobody has to.
    pub fn is_left(&self) -> bool {
        self.is_closed() || self.shared().unattended != Unattended::No
    }

    /// Whether it can be used: not in a forked child, where the parent was using it during the fork.
    pub fn is_usable(&self) -> bool {
        self.try_shared().is_ok()
    }

    /// Whether the kernel has everything that was accepted, what was read ahead is what the kernel has, and there is no
    /// error to be told of.
    #[inline]
    pub fn is_settled(&self) -> bool {
        !self.known.unsettled.load(Ordering::Acquire)
    }

    /// The number by which Python knows the file; `None` when it is closed.
    ///
    /// # Errors
    /// When the process has no number left; in a forked child, where the parent was using the handle during the fork.
    pub fn descriptor(&self) -> Result<Option<i32>, Error> {
        let shared = self.try_shared()?;
        let descriptor = shared.file.as_ref().map(|file| self.presentable(file)).transpose();
        descriptor.map_err(|error: io::Error| Error::new(&error, Subject::Nothing))
    }

    /// The number of the file, with the flags that whoever opened it expects.
    pub(super) fn presentable(&self, file: &File) -> io::Result<i32> {
        if self.info.non_blocking {
            platform::set_blocking(file)?;
        }
        platform::descriptor(file)
    }

    /// A positional task, for which nobody needs the turn. The caller must submit it.
    ///
    /// # Errors
    /// In a forked child, where the parent was using the handle during the fork.
    pub fn positional(self: &Arc<Self>, task: Task) -> Result<HandleJob, Error> {
        let mut shared = self.try_shared()?;
        shared.positional += 1;
        let file = shared.file.clone();
        drop(shared);
        Ok(HandleJob::positional(Arc::clone(self), file, task))
    }

    /// Reads once at an offset, if that needs no waiting.
    ///
    /// # Safety
    /// The room must be valid for writes.
    pub unsafe fn read_at(self: &Arc<Self>, room: IoVec, offset: u64) -> Option<usize> {
        let offset = i64::try_from(offset).ok()?;
        let mut shared = self.try_shared().ok()?;
        let file = shared.file.clone()?;
        // Closing waits for it.
        shared.positional += 1;
        drop(shared);
        // SAFETY: the caller's promise.
        let read = unsafe { read_now(self, &file, &[room], offset) };
        drop(file);
        self.positional_ended();
        read
    }

    /// A positional operation is given up. `writes`: whether the next call is to be told of an error.
    pub fn abandon_positional(&self, ticket: &Ticket, writes: bool) {
        let Ok(mut shared) = self.try_shared() else { return ticket.cancel() };
        // Under this lock a worker that ends either finds that nobody waits, or has left its outcome.
        ticket.cancel();
        if let Some(Err(error)) = ticket.take().filter(|_| writes) {
            shared.writer.error.get_or_insert(error);
        }
    }

    /// A positional operation is over: its outcome is left in the ticket, or its error for the next call, where nobody
    /// waits for it any more.
    pub(super) fn leave_positional(&self, ticket: &Ticket, outcome: Result<Outcome, Error>, writes: bool) {
        let mut shared = self.shared();
        // Where it failed, a part may have been written.
        shared.stale |= writes;
        match outcome {
            Err(error) if writes && ticket.is_cancelled() => {
                shared.writer.error.get_or_insert(error);
            }
            outcome => ticket.leave(outcome),
        }
    }

    /// Nobody is going to close it: that is done in the background, after what is buffered has been written. Whoever has
    /// the turn ends in peace, unless that waits for another process.
    pub fn close_in_background(self: &Arc<Self>) {
        // In a forked child, the buffers are the parent's.
        let Ok(mut shared) = self.try_shared() else { return };
        if shared.unattended != Unattended::No {
            return;
        }
        shared.unattended = Unattended::Left;
        if let Some(signal) = &self.signal {
            shared.unattended = Unattended::Due;
            if shared.job {
                signal.raise();
            }
        }
        drop(shared);
        self.want_background_close();
    }

    /// A file that nobody is going to close is taken away to be closed, unless a worker uses it still.
    ///
    /// # Safety
    /// The caller has the turn.
    pub(super) unsafe fn close_in_background_in_turn(
        self: &Arc<Self>,
        shared: &mut Shared,
    ) -> Option<Effects> {
        if shared.unattended < Unattended::Due || shared.writer.running || shared.positional > 0 {
            return None;
        }
        // SAFETY: the caller's promise.
        unsafe { self.exclusive() }.file = None;
        self.begin_background_close(shared)
    }

    fn begin_background_close(self: &Arc<Self>, shared: &mut Shared) -> Option<Effects> {
        if shared.unattended == Unattended::Closed {
            return None;
        }
        match shared.file.take().and_then(Arc::into_inner) {
            Some(file) => {
                shared.unattended = Unattended::Closing;
                let writer = std::mem::replace(&mut shared.writer, Writer::new(None));
                Some(Effects::Begin(BackgroundClose::new(
                    Arc::clone(self),
                    file,
                    self.closes_descriptor,
                    writer,
                )))
            }
            // Unless that has begun already.
            None if shared.unattended == Unattended::Closing => None,
            None => {
                shared.unattended = Unattended::Closed;
                Some(Effects::Wake(std::mem::take(&mut shared.close_waiters)))
            }
        }
    }

    /// A worker beside whoever has the turn has ended, which closing in the background may have waited for.
    pub(super) fn beside_ended(self: &Arc<Self>, mut shared: Locked<'_>, wake: Option<Arc<Ticket>>) {
        let free = shared.unattended >= Unattended::Due && !shared.writer.running && shared.positional == 0;
        let effects =
            if free && shared.turn_waits_for_close { self.begin_background_close(&mut shared) } else { None };
        let wanted = free && !shared.turn_waits_for_close && shared.unattended != Unattended::Closed;
        drop(shared);
        if let Some(ticket) = wake {
            ticket.finish(Ok(Outcome::Done));
        }
        if let Some(effects) = effects {
            effects.run();
        }
        if wanted {
            self.want_background_close();
        }
    }

    /// Whoever waits for it to be closed in the background.
    pub(crate) fn take_close_waiters(&self) -> Vec<Arc<Ticket>> {
        std::mem::take(&mut self.shared().close_waiters)
    }

    /// It has been closed in the background.
    pub(super) fn closed_in_background(&self, error: Option<Error>) {
        let mut shared = self.shared();
        shared.unattended = Unattended::Closed;
        shared.writer.error = error;
        let close_waiters = std::mem::take(&mut shared.close_waiters);
        drop(shared);
        Effects::Wake(close_waiters).run();
    }

    /// A worker's task is over: its reply is left for whoever has the turn, or, where nobody waits for it any more, undone.
    /// `None`: it was never begun.
    pub(super) fn job_ended(self: &Arc<Self>, mut trace: Trace, reply: Option<Result<Reply, Error>>) {
        let mut shared = self.shared();
        (shared.job, shared.closing) = (false, false);
        if let Some(signal) = &self.signal {
            signal.clear();
        }
        let Some(unread) = shared.abandoned.take() else {
            shared.ended = Some((trace, reply));
            return;
        };
        drop(shared);
        // SAFETY: whoever had the turn has left it to this worker, and it is passed on when the guard is dropped.
        let mut guard = unsafe { Guard::new(self, true) };
        if let Some(reply) = reply {
            trace.undo(&mut guard, reply);
        }
        if let Some(unread) = unread {
            guard.restore(unread);
        }
    }

    /// A positional operation is over.
    pub(super) fn positional_ended(self: &Arc<Self>) {
        let mut shared = self.shared();
        shared.positional -= 1;
        let waiter = if shared.positional == 0 { shared.positional_waiter.take() } else { None };
        self.beside_ended(shared, waiter);
    }
}

/// Somebody uses it who is not in this process, or should not.
pub(super) fn in_use() -> Error {
    Error::Os { code: platform::EIO, subject: Subject::Nothing }
}

impl fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Handle").field("info", &self.info).finish_non_exhaustive()
    }
}
