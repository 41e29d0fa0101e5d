//! The attempt to get a lock: opening the file, taking a place in its queue, and asking the kernel.
//!
//! Those whom nobody in this process is in the way of ask the kernel, without waiting. Nothing that may block is called
//! on the loop's thread: a worker goes on then.

use std::sync::Arc;
use std::time::Instant;

use super::HeldLock;
use super::candidate::{Candidate, Entry};
use super::claim::Extent;
use super::job::LockJob;
use super::lock_file::{LockFile, Standing, closed};
use super::locks::Locks;
use super::patience::Patience;
use super::queue::{Phase, Verdict, Waiting};
use super::request::{Answer, LockTarget, Requested};
use crate::engine::kind::Kind;
use crate::engine::lane::Lane;
use crate::engine::queue::{Job, Work};
use crate::engine::{Engine, runtime};
use crate::error::Error;

impl Locks {
    /// Makes a request, on the loop's thread. Where there is no answer, here and below, it will come later.
    pub(super) fn begin(&self, engine: &Engine, requested: &Arc<Requested>) -> Option<Answer> {
        match Self::open_now(engine, requested, requested.began) {
            // If it has waited in the queue before an error came, another thread may be about to get the lock for it, or
            // has answered.
            Ok(Ok(file)) => self
                .join(engine, requested, file, false)
                .filter(|answer| answer.is_ok() || requested.claim_answer()),
            Ok(Err(error)) => Some(Err(error)),
            Err(lane) => {
                if let Err(error) = self.watch(engine, requested) {
                    return Some(Err(error));
                }
                let work = Work::Lock(LockJob::Open(Arc::clone(requested)));
                let ticket = requested.ticket();
                let submitted = engine.pool().submit(lane, Job { ticket: Arc::clone(ticket), work });
                engine.pool().look(submitted, Kind::Lock, ticket);
                None
            }
        }
    }

    /// Opens the file, if that does not block; otherwise the lane for a worker.
    fn open_now(
        engine: &Engine,
        requested: &Requested,
        now: Instant,
    ) -> Result<Result<LockFile, Error>, Lane> {
        match &requested.request.target {
            // For a lock of a range the file is opened for writing, if possible: opening it so may wait for who has a
            // lease of it (fcntl(2)).
            LockTarget::Path(path) if requested.request.extent != Extent::Whole => Err(engine.lane(path)),
            LockTarget::Path(path) => engine.open_lock_now(path, now).map(Ok),
            LockTarget::Handle(handle) if handle.info.regular => Ok(LockFile::of_handle(engine, handle, now)),
            LockTarget::Handle(handle) => Err(handle.info.lane),
        }
    }

    /// Opens the file, in a worker.
    fn open_here(engine: &Engine, requested: &Requested) -> Result<LockFile, Error> {
        let path = match &requested.request.target {
            LockTarget::Path(path) => path,
            LockTarget::Handle(handle) => return LockFile::of_handle(engine, handle, runtime::now()),
        };
        loop {
            match LockFile::open(engine, path, requested.claim().needs_writing()) {
                Err(error) if requested.opens_again(&error) => {}
                opened => return opened,
            }
        }
    }

    /// Opens the file, in a worker.
    pub(super) fn open(&self, engine: &Engine, requested: &Arc<Requested>) -> Option<Answer> {
        match Self::open_here(engine, requested) {
            Ok(file) => self.join(engine, requested, file, true),
            Err(error) => Some(Err(error)),
        }
    }

    /// Takes a place in the queue of a file.
    fn join(
        &self,
        engine: &Engine,
        requested: &Arc<Requested>,
        file: LockFile,
        may_block: bool,
    ) -> Option<Answer> {
        let (identity, claim) = (file.identity, requested.claim());
        let mut state = self.lock();
        if requested.is_over() {
            drop(state);
            return None;
        }
        let id = state.next;
        state.next += 1;
        let queue = state.queues.of(identity);
        match queue.judge(requested) {
            Verdict::Free => {
                queue.hold(id, requested);
                drop(state);
                let candidate = Candidate { file, entry: Entry::new(engine, identity, id) };
                self.settle(engine, requested, candidate, Patience::new(), may_block)
            }
            Verdict::Reentry => Some(Err(Error::LockReentry)),
            Verdict::Taken if !requested.request.blocking => {
                let locked = queue.is_locked(&claim);
                drop(state);
                if locked {
                    return Some(Err(Error::LockTimeout { holder: Some(std::process::id()) }));
                }
                self.explain(engine, requested, file, may_block)
            }
            // Nobody would tell it any more.
            Verdict::Taken if requested.is_closed() => Some(Err(closed())),
            Verdict::Taken => {
                let waiting =
                    Waiting { id, requested: Arc::clone(requested), phase: Phase::Queued, file: None };
                queue.wait(waiting);
                requested.note_tried();
                state.waiting.insert(requested.order, (identity, id));
                drop(state);
                drop(file);
                self.watch(engine, requested).err().map(|error| {
                    self.forget(engine, requested);
                    Err(error)
                })
            }
        }
    }

    /// Somebody's turn: opens the file again.
    pub(super) fn reopen(
        &self,
        engine: &Engine,
        requested: &Arc<Requested>,
        entry: Entry,
        may_block: bool,
    ) -> Option<Answer> {
        if requested.is_over() {
            return None;
        }
        let opened = if may_block {
            Self::open_here(engine, requested)
        } else {
            match Self::open_now(engine, requested, runtime::now()) {
                Ok(opened) => opened,
                Err(lane) => {
                    self.submit(engine, lane, requested, LockJob::Reopen(Arc::clone(requested), entry));
                    return None;
                }
            }
        };
        match opened {
            Ok(file) if file.identity == entry.identity => {
                self.settle(engine, requested, Candidate { file, entry }, Patience::new(), may_block)
            }
            // It was replaced meanwhile, and the new file has a queue of its own.
            Ok(file) => {
                drop(entry);
                self.join(engine, requested, file, may_block)
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// Asks the kernel for the lock, for one that nobody in this process is in the way of.
    pub(super) fn settle(
        &self,
        engine: &Engine,
        requested: &Arc<Requested>,
        mut candidate: Candidate,
        patience: Patience,
        may_block: bool,
    ) -> Option<Answer> {
        if requested.is_over() {
            return None;
        }
        let claim = requested.claim();
        let lane = candidate.file.lane;
        if !candidate.file.local && !may_block {
            self.submit(engine, lane, requested, LockJob::Try(Arc::clone(requested), candidate, patience));
            return None;
        }
        if claim.is_shareable()
            && let Some(locked) = self.shared_file(candidate.entry.identity)
        {
            candidate.file.share(locked);
        }
        match candidate.file.try_lock(&claim) {
            Err(error) if requested.opens_again(&error) => {
                self.open_again(engine, requested, candidate);
                None
            }
            Err(error) => Some(Err(error)),
            Ok(true) => match candidate.file.standing(engine, &requested.request.target, may_block) {
                Err(error) if requested.opens_again(&error) => {
                    self.open_again(engine, requested, candidate);
                    None
                }
                Err(error) => Some(Err(error)),
                Ok(Standing::Current) => {
                    if claim.is_shareable() {
                        self.offer(engine, &candidate);
                    }
                    requested.note_granted();
                    Some(Ok(HeldLock::new(candidate)))
                }
                Ok(Standing::Unknown) => {
                    let job = LockJob::Try(Arc::clone(requested), candidate, patience);
                    self.submit(engine, lane, requested, job);
                    None
                }
                Ok(Standing::Replaced) => {
                    self.open_again(engine, requested, candidate);
                    None
                }
            },
            Ok(false) if !requested.request.blocking => {
                let Candidate { file, entry } = candidate;
                drop(entry);
                self.explain(engine, requested, file, may_block)
            }
            Ok(false) => self.poll_later(engine, requested, candidate, patience),
        }
    }

    /// Begins again with the file that the path leads to now: in a job of its own, because a file that others replace again
    /// and again would exhaust the stack otherwise.
    pub(super) fn open_again(&self, engine: &Engine, requested: &Arc<Requested>, candidate: Candidate) {
        let lane = candidate.file.lane;
        drop(candidate);
        self.submit(engine, lane, requested, LockJob::Open(Arc::clone(requested)));
    }

    /// Refuses a request that does not wait, and names the process that is in the way.
    pub(super) fn explain(
        &self,
        engine: &Engine,
        requested: &Arc<Requested>,
        file: LockFile,
        may_block: bool,
    ) -> Option<Answer> {
        if may_block {
            return Some(Err(Error::LockTimeout { holder: file.holder(&requested.claim()) }));
        }
        self.submit(engine, file.lane, requested, LockJob::Explain(Arc::clone(requested), file));
        None
    }

    /// Another process has the lock: asks again in a while, at the place in the queue that the request had.
    fn poll_later(
        &self,
        engine: &Engine,
        requested: &Arc<Requested>,
        candidate: Candidate,
        patience: Patience,
    ) -> Option<Answer> {
        requested.note_tried();
        if let Err(error) = self.watch(engine, requested) {
            return Some(Err(error));
        }
        let Candidate { file, entry } = candidate;
        let identity = entry.identity;
        let mut state = self.lock();
        if requested.is_over() {
            drop(state);
            // In this order.
            drop(file);
            drop(entry);
            return None;
        }
        let id = entry.forget();
        let (next, patience) = patience.next(state.asked());
        let queue = state.queues.of(identity);
        queue.release(id);
        queue.since = None;
        let phase = Phase::Polling(patience);
        queue.wait(Waiting { id, requested: Arc::clone(requested), phase, file: Some(file) });
        state.waiting.insert(requested.order, (identity, id));
        // Others may be allowed to try now: those for other ranges.
        let ready = self.take_ready(&mut state, engine, identity);
        let started = self.poll_at(&mut state, engine, next, (identity, id));
        drop(state);
        self.go_on(engine, ready);
        started.err().map(|error| {
            self.forget(engine, requested);
            Err(error)
        })
    }

    /// Hands something to a worker.
    pub(super) fn submit(&self, engine: &Engine, lane: Lane, requested: &Arc<Requested>, job: LockJob) {
        engine.pool().submit(lane, Job { ticket: Arc::clone(requested.ticket()), work: Work::Lock(job) });
    }
}
