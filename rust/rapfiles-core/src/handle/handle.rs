//! The handle: an open file with its buffers.
//!
//! Most of it belongs to the holder of the [turn](super::Turn), which may hand a [`Task`](super::Task) to a worker. Two
//! things run concurrently with that: a worker that writes the write buffer, and positional reads and writes, for which
//! only closing waits.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, TryLockError};

use super::background_close::BackgroundClose;
use super::file_info::FileInfo;
use super::file_state::FileState;
use super::guard::{Guard, read_now};
use super::job::HandleJob;
use super::mark::go_back;
use super::open::OpenedFile;
use super::reader::Reader;
use super::reply::Reply;
use super::shared::{Known, Locked, Shared, TaskState};
use super::task::PositionalTask;
use super::trace::Trace;
use super::turn::FREE;
use super::writer::Writer;
use crate::cached::{IoVec, Times};
use crate::engine::runtime;
use crate::engine::runtime::sync::{AtomicU8, Mutex, UnsafeCell};
use crate::engine::ticket::Ticket;
use crate::engine::{Engine, Process};
use crate::error::{About, Error, Subject};
use crate::lock::Identity;
use crate::outcome::Outcome;
use crate::platform::{self, EventSignal, File};
use crate::text::{Decoder, Text};

/// The state that belongs to the operation that has the turn and, while a worker performs a task of it, to that worker.
pub(super) struct Exclusive {
    /// The file, if it is open; another reference is in [`Shared`].
    pub(super) file: Option<Arc<File>>,
    pub(super) reader: Reader,
    pub(super) decoder: Option<Box<Decoder>>,
}

impl Exclusive {
    /// Gives back text that was taken from the decoder.
    pub(super) fn give_back(&mut self, text: Text) {
        let Some(decoder) = &mut self.decoder else { return };
        let (content, mark) = text.into_parts();
        let back = match (mark, &self.file) {
            (Some(mark), Some(file)) => go_back(mark, file, &mut self.reader, decoder, content.len()),
            _ => false,
        };
        if !back {
            decoder.put_back(content);
        }
    }
}

/// An open file with its buffers.
pub struct Handle {
    /// The properties of the file.
    pub info: FileInfo,
    /// Its times.
    pub(super) times: Times,
    /// Whether the descriptor is closed with the file.
    pub closes_descriptor: bool,
    /// Interrupts a worker that waits for another process.
    pub(super) signal: Option<EventSignal>,
    pub(super) turn: AtomicU8,
    possession: UnsafeCell<Exclusive>,
    pub(super) shared: Mutex<Shared>,
    known: Known,
    /// The engine that opened it.
    engine: Arc<Engine>,
    /// The process that uses it: the one that opened it, or a forked child that found it idle.
    process: AtomicU32,
    identity: OnceLock<Identity>,
}

// SAFETY: the content of the cell is used only by the holder of the turn. The turn is taken with an acquiring and
// passed on with a releasing exchange, or handed over through a ticket or under the lock.
unsafe impl Sync for Handle {}

impl Handle {
    /// A handle for a file that has just been opened. `buffer_size`: how much may wait to be written; `None` for the
    /// default.
    pub fn new(opened: OpenedFile, buffer_size: Option<usize>) -> Arc<Self> {
        let info = opened.info;
        let engine = Arc::clone(opened.engine());
        let (file, closes_descriptor) = opened.take();
        let file = file.map(Arc::new);
        let shared = Shared {
            file: FileState::new(file.clone()),
            queue: VecDeque::new(),
            task: TaskState::None,
            stale: false,
            writer: Writer::new(buffer_size),
        };
        Arc::new(Self {
            info,
            times: Times::settled(info.settled_at),
            closes_descriptor,
            // Without a signal, a reader that waits for another process cannot be interrupted, but everything else
            // works.
            signal: if info.regular { None } else { EventSignal::new().ok() },
            turn: AtomicU8::new(FREE),
            possession: UnsafeCell::new(Exclusive { file, reader: Reader::default(), decoder: None }),
            shared: Mutex::new(shared),
            known: Known::default(),
            process: AtomicU32::new(engine.process().number()),
            identity: OnceLock::new(),
            engine,
        })
    }

    pub(super) fn shared(&self) -> Locked<'_> {
        let shared = runtime::lock(&self.shared);
        Locked { shared, known: &self.known }
    }

    /// Locks the shared state, also in a forked child.
    ///
    /// # Errors
    /// If the parent was using the handle during the fork.
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

    /// Submits a job of this handle. `own` is the job's ticket, `waiting` that of the waiting operation, if it is
    /// another; see [`Engine::submit_for_handle`].
    pub fn submit(&self, job: HandleJob, own: &Arc<Ticket>, waiting: Option<&Arc<Ticket>>) {
        self.engine().submit_for_handle(job, own, waiting);
    }

    /// # Errors
    /// If the parent was using the handle during the fork.
    #[cold]
    pub(super) fn check_inherited(&self) -> Result<(), Error> {
        let shared = match self.shared.try_lock() {
            Ok(shared) => shared,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Locked by a thread of the parent's, or at this moment by another thread of this process.
            Err(TryLockError::WouldBlock) if self.is_inherited() => return Err(in_use()),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        // The holder of the turn is not in this process, nor the thread that has a job or closes the file.
        if self.is_inherited() && self.info.of_parent {
            return Err(in_use());
        }
        let busy = self.turn.load(Ordering::Relaxed) != FREE
            || shared.task.is_running()
            || shared.writer.running
            || shared.file.is_in_use()
            || shared.file.is_in_background();
        if self.is_inherited() && busy {
            return Err(in_use());
        }
        // From now on, all running operations are this process's.
        self.process.store(Process::current().number(), Ordering::Relaxed);
        Ok(())
    }

    /// The state that belongs to the holder of the turn.
    ///
    /// # Safety
    /// The caller has the turn, or performs a task of its holder, and no other reference of this kind exists.
    #[allow(clippy::mut_from_ref, reason = "the turn is what makes it the caller's")]
    pub(super) unsafe fn exclusive(&self) -> &mut Exclusive {
        // SAFETY: guaranteed by the caller.
        unsafe { &mut *self.possession.get() }
    }

    /// Whether the file has been closed, or given up, or has to be closed as soon as nobody uses it.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.known.closed.load(Ordering::Acquire)
    }

    /// Whether it has been closed, or will be, so that the owner need not close it.
    pub fn is_left(&self) -> bool {
        self.is_closed() || self.shared().file.is_left()
    }

    /// Whether it can be used: not in a forked child, if the parent was using it during the fork.
    pub fn is_usable(&self) -> bool {
        self.try_shared().is_ok()
    }

    /// Whether the kernel has everything that was accepted, the read-ahead is not stale, and there is no error to
    /// raise.
    #[inline]
    pub fn is_settled(&self) -> bool {
        !self.known.unsettled.load(Ordering::Acquire)
    }

    /// The descriptor as Python shows it; `None` when the file is closed.
    ///
    /// # Errors
    /// No descriptor number is free; in a forked child, if the parent was using the handle during the fork.
    pub fn descriptor(&self) -> Result<Option<i32>, Error> {
        let shared = self.try_shared()?;
        let descriptor = shared.file.file().map(|file| self.presentable(file)).transpose();
        descriptor.map_err(|error: io::Error| Error::new(&error, Subject::Nothing))
    }

    /// The descriptor of the file, with the flags that its opener expects.
    pub(super) fn presentable(&self, file: &File) -> io::Result<i32> {
        if self.info.non_blocking {
            platform::set_blocking(file)?;
        }
        platform::descriptor(file)
    }

    /// A positional task, which needs no turn; `None` if the file is closed. The caller must submit it.
    ///
    /// # Errors
    /// In a forked child, if the parent was using the handle during the fork.
    pub fn positional(self: &Arc<Self>, task: PositionalTask) -> Result<Option<HandleJob>, Error> {
        // So that closing waits for it.
        let file = self.try_shared()?.file.begin_use();
        Ok(file.map(|file| HandleJob::positional(Arc::clone(self), file, task)))
    }

    /// Reads once at an offset, if that does not block.
    ///
    /// # Safety
    /// The buffer must be valid for writes.
    pub unsafe fn read_at(self: &Arc<Self>, room: IoVec, offset: u64) -> Option<usize> {
        let offset = i64::try_from(offset).ok()?;
        // So that closing waits for it.
        let file = self.try_shared().ok()?.file.begin_use()?;
        // SAFETY: guaranteed by the caller.
        let read = unsafe { read_now(self, &file, &[room], offset) };
        drop(file);
        self.positional_ended();
        read
    }

    /// Which file it is, for its locks.
    ///
    /// # Errors
    /// Those of [`Handle::with_file`].
    pub(crate) fn identity(self: &Arc<Self>) -> Result<Identity, Error> {
        if let Some(identity) = self.identity.get() {
            return Ok(*identity);
        }
        let metadata = self.with_file(|file| platform::metadata_of(file).about_path())?;
        Ok(*self.identity.get_or_init(|| Identity::from(&metadata)))
    }

    /// The number of its open file description for its locks, as long as the handle exists.
    pub(crate) fn description(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    /// Whether somebody has asked for one of its locks.
    pub(super) fn has_been_locked(&self) -> bool {
        self.identity.get().is_some()
    }

    /// Closes its file, or leaves the descriptor to its owner, and tells those who wait for its locks. `None`: somebody
    /// else has closed it, or is going to.
    pub(super) fn close_file(self: &Arc<Self>, file: Option<File>) -> io::Result<()> {
        let closed = match file {
            Some(file) if self.closes_descriptor => platform::close(file),
            Some(file) => platform::into_descriptor(file).map(drop),
            None => Ok(()),
        };
        self.locks_are_gone();
        closed
    }

    /// Tells those who wait for its locks that it has been closed, which has released them.
    pub(super) fn locks_are_gone(self: &Arc<Self>) {
        if let Some(identity) = self.identity.get() {
            let engine = self.engine();
            engine.locks().closed(engine, *identity, self.description());
        }
    }

    /// Does something with the file that needs no turn, and takes no longer than the caller may wait.
    ///
    /// # Errors
    /// If the file is closed; in a forked child, if the parent was using the handle during the fork.
    pub(crate) fn with_file<T>(
        self: &Arc<Self>,
        work: impl FnOnce(&File) -> Result<T, Error>,
    ) -> Result<T, Error> {
        // So that closing waits for it.
        let file = self.try_shared()?.file.begin_use();
        let Some(file) = file else {
            return Err(Error::Os { code: platform::BAD_DESCRIPTOR, subject: Subject::Path });
        };
        let done = work(&file);
        drop(file);
        self.positional_ended();
        done
    }

    /// The same, for a system call that does not wait: closing waits for it as for any use of the state.
    ///
    /// # Errors
    /// Those of [`Handle::with_file`].
    pub(crate) fn with_file_at_once<T>(
        &self,
        work: impl FnOnce(&File) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let shared = self.try_shared()?;
        match shared.file.open_file() {
            Some(file) => work(file),
            None => Err(Error::Os { code: platform::BAD_DESCRIPTOR, subject: Subject::Path }),
        }
    }

    /// Abandons a positional operation. `writes`: whether the next call has to raise its error.
    pub fn abandon_positional(&self, ticket: &Ticket, writes: bool) {
        let Ok(mut shared) = self.try_shared() else { return ticket.cancel() };
        // Under this lock, a worker that finishes either sees the cancellation, or has stored its outcome.
        ticket.cancel();
        if let Some(Err(error)) = ticket.take().filter(|_| writes) {
            shared.leave_error(error);
        }
    }

    /// Completes a positional operation: stores its reply in the ticket or, if it has been abandoned, its error for
    /// the next call.
    pub(super) fn leave_positional(&self, ticket: &Ticket, reply: Result<Reply, Error>, writes: bool) {
        let mut shared = self.shared();
        // If it failed, a part may have been written.
        shared.stale |= writes;
        match reply {
            Err(error) if writes && ticket.is_cancelled() => shared.leave_error(error),
            reply => ticket.leave(reply.map(Outcome::Reply)),
        }
    }

    /// Closes a handle that its owner has dropped, in the background, after the buffer has been written. The holder of
    /// the turn finishes first, unless it waits for another process.
    pub fn close_in_background(self: &Arc<Self>) {
        // In a forked child, the buffers are the parent's.
        let Ok(mut shared) = self.try_shared() else { return };
        if !shared.file.leave(self.signal.is_some()) {
            return;
        }
        if let Some(signal) = self.signal.as_ref().filter(|_| shared.task.is_running()) {
            signal.raise();
        }
        let taken = self.want_background_close(&mut shared);
        drop(shared);
        if taken {
            // SAFETY: the turn has just been taken.
            unsafe { self.pass_on_slowly() };
        }
    }

    /// Begins to close the file of a dropped handle, unless a worker still uses it. The caller must call `begin` of the
    /// result, without the lock.
    ///
    /// # Safety
    /// The caller has the turn.
    pub(super) unsafe fn close_in_background_in_turn(
        self: &Arc<Self>,
        shared: &mut Shared,
    ) -> Option<Box<BackgroundClose>> {
        if !shared.is_due() {
            return None;
        }
        // SAFETY: guaranteed by the caller.
        unsafe { self.exclusive() }.file = None;
        self.begin_background_close(shared)
    }

    fn begin_background_close(self: &Arc<Self>, shared: &mut Shared) -> Option<Box<BackgroundClose>> {
        let file = shared.file.begin_background()?;
        let writer = std::mem::replace(&mut shared.writer, Writer::new(None));
        // In a box, because it is large and rare.
        Some(Box::new(BackgroundClose::new(Arc::clone(self), file, writer)))
    }

    /// Notes that a worker that ran beside the holder of the turn has finished: a background close may have waited for
    /// it.
    pub(super) fn beside_ended(self: &Arc<Self>, mut shared: Locked<'_>, wake: Option<Arc<Ticket>>) {
        let (mut close, mut taken) = (None, false);
        if shared.is_due() {
            if shared.file.is_awaited_in_turn() {
                close = self.begin_background_close(&mut shared);
            } else {
                taken = self.want_background_close(&mut shared);
            }
        }
        drop(shared);
        if let Some(ticket) = wake {
            ticket.finish(Ok(Outcome::Done));
        }
        if let Some(close) = close {
            close.begin();
        }
        if taken {
            // SAFETY: the turn has just been taken.
            unsafe { self.pass_on_slowly() };
        }
    }

    /// Takes the tickets that wait for the background close.
    pub(crate) fn take_close_waiters(&self) -> Vec<Arc<Ticket>> {
        self.shared().file.take_close_waiters()
    }

    /// Notes that closing it has failed.
    pub(super) fn is_left_incomplete(&self) {
        self.known.incomplete.store(true, Ordering::Release);
    }

    /// Whether closing it has failed, so that something of what was written may be missing.
    pub fn is_incomplete(&self) -> bool {
        self.known.incomplete.load(Ordering::Acquire)
    }

    /// Notes that it has been closed in the background.
    pub(super) fn closed_in_background(&self, error: Option<Error>) {
        if error.is_some() {
            self.is_left_incomplete();
        }
        let mut shared = self.shared();
        let waiters = shared.file.end_background();
        if let Some(error) = error {
            shared.leave_error(error);
        }
        drop(shared);
        for ticket in waiters {
            ticket.finish(Ok(Outcome::Done));
        }
    }

    /// Completes a worker's task: stores its reply for the holder of the turn or, if the operation was abandoned,
    /// undoes it. `None`: it was never begun.
    pub(super) fn job_ended(self: &Arc<Self>, mut trace: Trace, reply: Option<Result<Reply, Error>>) {
        let mut shared = self.shared();
        shared.file.give_up_closing();
        if let Some(signal) = &self.signal {
            signal.clear();
        }
        let TaskState::Abandoned(unread) = std::mem::take(&mut shared.task) else {
            shared.task = TaskState::Ended(trace, reply);
            return;
        };
        drop(shared);
        // SAFETY: the holder of the turn has left it to this worker, and it is passed on when the guard is dropped.
        let mut guard = unsafe { Guard::new(self, true) };
        if let Some(reply) = reply {
            trace.undo(&mut guard, reply);
        }
        if let Some(unread) = unread {
            guard.restore(unread);
        }
    }

    /// Notes that a positional operation is complete.
    pub(super) fn positional_ended(self: &Arc<Self>) {
        let mut shared = self.shared();
        let waiter = shared.file.end_use();
        self.beside_ended(shared, waiter);
    }
}

impl Drop for Handle {
    /// Leaves the descriptor to its owner: in a forked child nobody closes what the parent was using.
    fn drop(&mut self) {
        if self.closes_descriptor {
            return;
        }
        // SAFETY: nobody else has the handle.
        unsafe { self.exclusive() }.file = None;
        let shared = self.shared.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = std::mem::take(&mut shared.file).into_file().and_then(Arc::into_inner) {
            let _ = platform::into_descriptor(file);
        }
    }
}

/// The error if the handle is in use by the parent process.
pub(super) fn in_use() -> Error {
    Error::Os { code: platform::EIO, subject: Subject::Nothing }
}

impl fmt::Debug for Handle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Handle").field("info", &self.info).finish_non_exhaustive()
    }
}
