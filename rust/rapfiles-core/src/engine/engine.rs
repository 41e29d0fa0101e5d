//! The engine: the entry for all operations.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::cached::{BufferProvider, Cached, InMount, IoVec, MountNumber, Times};
use crate::engine::configuration::Configuration;
use crate::engine::counters::Counters;
use crate::engine::lane::Lane;
use crate::engine::pool::Pool;
use crate::engine::queue::{Detached, Job, Work};
use crate::engine::runtime;
use crate::engine::ticket::Ticket;
use crate::error::Error;
use crate::handle::{BackgroundCloses, HandleJob};
use crate::lock::{self, Extent, HeldLock, Identity, LockFile, LockJob, LockTarget, Locks, Mode};
use crate::outcome::Outcome;
use crate::path_operation::PathOperation;
use crate::platform::{File, NativePath};
use crate::text::TextFill;
use crate::verbs::descriptors::Descriptors;
use crate::verbs::parallel_read::ParallelRead;
use crate::verbs::slices::{Sliced, Slices};

/// What has become of an operation that was submitted.
#[derive(Debug)]
pub enum Submitted {
    /// It is done.
    Ready(Result<Outcome, Error>),
    /// A worker has it, under the ticket that was given.
    Pending,
}

/// An engine: normally the one of this process, [`Engine::current`].
#[derive(Debug)]
pub struct Engine {
    cached: Cached,
    pool: Pool,
    /// Files that are closed in the background because their owner did not close them.
    pub(crate) background_closes: BackgroundCloses,
    /// The number of large files that stay open while their callers allocate buffers.
    pub(crate) large_files: AtomicUsize,
    /// What trees have open.
    pub(crate) descriptors: Arc<Descriptors>,
    locks: Locks,
    process: Process,
    process_id: u32,
}

static ENGINE: AtomicPtr<Engine> = AtomicPtr::new(ptr::null_mut());

/// The identity of a process, which distinguishes a forked child from its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    /// This one.
    #[inline]
    pub(crate) fn current() -> Self {
        Self(runtime::forks())
    }

    /// A number that distinguishes it from others.
    #[inline]
    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

impl Engine {
    /// A separate engine beside the process's: for tests and benchmarks. It is dropped with the last file that was
    /// opened in it and the last of its workers.
    pub fn new(configuration: Configuration) -> Arc<Self> {
        crate::platform::at_fork(lock::before_fork, lock::after_fork, || {
            runtime::count_fork();
            ENGINE.store(ptr::null_mut(), Ordering::Release);
            lock::in_child();
        });
        Arc::new_cyclic(|engine| Self {
            cached: Cached::new(),
            pool: Pool::new(configuration, engine.clone()),
            background_closes: BackgroundCloses::default(),
            large_files: AtomicUsize::new(0),
            descriptors: Arc::default(),
            locks: Locks::default(),
            process: Process::current(),
            process_id: std::process::id(),
        })
    }

    /// The engine of this process, created on first use. A forked child gets a new one: only the thread that calls
    /// `fork(2)` exists in the child, and locks keep the state that they had.
    #[inline]
    pub fn current() -> &'static Self {
        #[cfg(all(test, target_os = "linux", not(loom)))]
        if let Some(engine) = crate::simulation::engine() {
            return engine;
        }
        let engine = ENGINE.load(Ordering::Acquire);
        // SAFETY: the pointer is null or came from `Arc::into_raw`, and that reference is never dropped.
        if let Some(engine) = unsafe { engine.as_ref() } {
            return engine;
        }
        Self::start()
    }

    #[cold]
    fn start() -> &'static Self {
        let new = Arc::into_raw(Self::new(Configuration::from_environment())).cast_mut();
        match ENGINE.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: `new` was created here, and has been published and is never freed.
            Ok(_) => unsafe { &*new },
            Err(winner) => {
                // SAFETY: another thread was first, so `new` was never shared; `winner` is published forever.
                unsafe {
                    drop(Arc::from_raw(new));
                    &*winner
                }
            }
        }
    }

    /// A strong reference to this engine.
    pub fn share(&self) -> Arc<Self> {
        self.pool.engine().expect("every engine was made by `new`, and this one exists")
    }

    /// Its workers.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The locks of its process.
    pub(crate) fn locks(&self) -> &Locks {
        &self.locks
    }

    /// Whether this process holds any lock of a file.
    pub fn holds_locks(&self) -> bool {
        self.locks.is_any_held()
    }

    /// Whether this process holds a lock of a file, or of a range of it.
    pub fn holds_lock(&self, device: u64, inode: u128) -> bool {
        self.locks.is_held(device, inode)
    }

    /// Has a worker find out which process has a lock.
    pub fn find_lock_holder(&self, target: LockTarget, mode: Mode, extent: Extent, ticket: &Arc<Ticket>) {
        let work = Work::Lock(LockJob::Find(target, mode, extent));
        self.pool.submit(Lane::Unknown, Job { ticket: Arc::clone(ticket), work });
    }

    /// Releases a lock, in a worker, if that may block.
    pub fn release(&self, held: HeldLock, ticket: &Arc<Ticket>) {
        held.let_go();
        let work = Work::Lock(LockJob::Release(held));
        self.pool.submit(Lane::Unknown, Job { ticket: Arc::clone(ticket), work });
    }

    /// Opens an existing file to lock it, if the kernel has it in its caches; otherwise the lane in which a worker may.
    pub(crate) fn open_lock_now(&self, path: &NativePath, now: Instant) -> Result<LockFile, Lane> {
        self.cached.open_to_lock(path, now)
    }

    /// Which file a path leads to, if the kernel knows without waiting; `Some(None)` if there is none.
    pub(crate) fn identity_now(&self, path: &NativePath) -> Option<Option<Identity>> {
        self.cached.identity(path)
    }

    /// The process whose engine it is.
    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// Its number, without a system call.
    #[inline]
    pub fn process_id(&self) -> u32 {
        self.process_id
    }

    /// This engine, or in a forked child, where this one has no threads, the child's own.
    #[inline]
    pub(crate) fn here(&self) -> &Self {
        if self.process == Process::current() { self } else { Self::current() }
    }

    /// Tier 0: the answer and the time, if the kernel has it in its caches; otherwise the lane to submit the operation
    /// in. Never blocks.
    pub fn attempt(
        &self,
        operation: &PathOperation,
        room: &mut dyn BufferProvider,
    ) -> Result<(Result<Outcome, Error>, Instant), Lane> {
        let attempted = self.cached.attempt(self, operation, room);
        if attempted.is_ok() {
            self.pool.totals.cached.increment();
        }
        attempted
    }

    /// Tier 1: hands an operation to a worker. If an answer is likely soon, polls for it for a few microseconds before
    /// it returns.
    pub fn submit(&self, operation: PathOperation, lane: Lane, ticket: &Arc<Ticket>) -> Submitted {
        let kind = operation.kind();
        let job = Job { ticket: Arc::clone(ticket), work: Work::PathOperation(operation) };
        let submitted = self.pool.submit(lane, job);
        if self.pool.look(submitted, kind, ticket)
            && let Some(outcome) = ticket.take()
        {
            return Submitted::Ready(outcome);
        }
        Submitted::Pending
    }

    /// Hands a job for a handle to a worker. Polls for a few microseconds, as [`Engine::submit`] does, whether the
    /// ticket of the waiting operation is done: the job's own, or another one for a job that writes the buffer.
    pub fn submit_for_handle(&self, job: HandleJob, own: &Arc<Ticket>, waiting: Option<&Arc<Ticket>>) {
        let (kind, lane, prompt) = (job.kind(), job.lane(), job.is_prompt());
        let submitted = self.pool.submit(lane, Job { ticket: Arc::clone(own), work: Work::Handle(job) });
        if let Some(ticket) = waiting.filter(|_| prompt) {
            self.pool.look(submitted, kind, ticket);
        }
    }

    /// Lets workers fill a buffer from a file that [`Outcome::Large`] returned.
    pub fn read_parallel(&self, read: ParallelRead, ticket: &Arc<Ticket>) {
        let lane = read.lane();
        let read = Arc::new(read);
        for _ in 0..read.plan(self.pool.configuration().usable_cpus) {
            let work = Work::ParallelRead(Arc::clone(&read));
            self.pool.submit(lane, Job { ticket: Arc::clone(ticket), work });
        }
    }

    /// Lets a worker lay out decoded text in a string.
    pub fn fill_text(&self, text: TextFill, ticket: &Arc<Ticket>) {
        self.pool.submit(Lane::Unknown, Job { ticket: Arc::clone(ticket), work: Work::FillText(text) });
    }

    /// Closes a file that was only read, in a worker: even that may wait for a server or another process (`FUSE_FLUSH`,
    /// `linux/fuse.h`; close-to-open cache consistency, `nfs(5)`).
    pub(crate) fn close(&self, file: File) {
        if !runtime::in_worker() {
            self.here().spawn(Lane::Unknown, move || drop(file));
        }
    }

    /// Lets a worker do something that nobody waits for.
    pub(crate) fn spawn(&self, lane: Lane, work: impl FnOnce() + Send + 'static) {
        self.pool.spawn(lane, Detached::new(work));
    }

    /// Waits until all files that were left open have been closed, for at most this long. For the exit of the process.
    pub fn finish_closing(&self, most: Duration) {
        self.pool.see_to_detached(self);
        self.background_closes.wait(most);
    }

    /// For how long a mount is still left to the workers, and how often it has blocked a loop.
    #[cfg(target_os = "linux")]
    pub(crate) fn record(&self, mount: MountNumber) -> Option<(std::time::Duration, u32)> {
        self.cached.record(mount)
    }

    /// Whether tier 0 may be used on a mount now.
    pub(crate) fn permits(&self, mount: MountNumber, now: Instant) -> bool {
        self.cached.permits(mount, now)
    }

    /// Whether the work in an open directory may have to wait for a network or another process: where it is not known
    /// to be local. An overlay counts as local, whatever its layers.
    pub(crate) fn may_wait_for_others(&self, directory: &impl InMount) -> bool {
        self.cached.may_wait_for_others(directory)
    }

    /// Reads from an open file, at its position if the offset is -1, if the kernel has the data in its cache.
    ///
    /// # Safety
    /// The buffers must be valid for writes.
    pub(crate) unsafe fn read_now(
        &self,
        file: &File,
        mount: MountNumber,
        times: &Times,
        rooms: &[IoVec],
        offset: i64,
    ) -> Option<usize> {
        // SAFETY: guaranteed by the caller.
        let read = unsafe { self.cached.read_now(file, mount, times, rooms, offset) };
        if read.is_some() {
            self.pool.totals.cached.increment();
        }
        read
    }

    /// Continues a read in slices.
    ///
    /// # Safety
    /// That of [`Slices::advance`].
    pub(crate) unsafe fn read_slices(
        &self,
        file: &File,
        mount: MountNumber,
        times: &Times,
        slices: &mut Slices,
        start: *mut u8,
    ) -> Sliced {
        // SAFETY: guaranteed by the caller.
        let sliced = unsafe { self.cached.read_slices(file, mount, times, slices, start) };
        if matches!(sliced, Sliced::Complete | Sliced::End(_)) {
            self.pool.totals.cached.increment();
        }
        sliced
    }

    /// The lane of operations on a path.
    pub fn lane(&self, path: &NativePath) -> Lane {
        self.cached.lane_of(path)
    }

    /// The configuration.
    pub fn configuration(&self) -> Configuration {
        self.pool.configuration()
    }

    /// Changes the most workers that run at once.
    pub fn set_max_workers(&self, max_workers: usize) {
        self.pool.set_max_workers(max_workers);
    }

    /// The current values of the counters.
    pub fn counters(&self) -> Counters {
        self.pool.counters()
    }
}
