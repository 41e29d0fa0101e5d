//! All locks of this process, and the way to each of them.
//!
//! A request first needs a place in its file's queue ([`Queue`]). Those whom nobody in this process is in the way of ask
//! the kernel, without waiting; if another process is in the way they ask again from time to time, and after a while a
//! thread waits in the kernel for them ([`super::poller`]). Nothing is called under the lock of the queues, and nothing
//! that may block on the loop's thread.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::HeldLock;
use super::candidate::{Candidate, Entry};
use super::claim::{Claim, Extent, Mode};
use super::job::LockJob;
use super::lock_file::{Identity, LockFile, Standing};
use super::queue::{Patience, Phase, Queue, Verdict, Waiting};
use super::request::{LockTarget, Requested};
use crate::engine::Engine;
use crate::engine::kind::Kind;
use crate::engine::queue::{Job, Lane, Work};
use crate::engine::runtime::sync::{Mutex, MutexGuard};
use crate::engine::runtime::{self, Condition};
use crate::engine::ticket::Ticket;
use crate::error::{About, Error, Subject};
use crate::limits::{
    LOCK_FIRST_PAUSE, LOCK_LET_IN, LOCK_LONGEST_PAUSE, LOCK_LONGEST_STREAK, LOCK_POLLED_FOR, LOCKS_AT_ONCE,
};
use crate::platform;

/// The answer to a request; `None` if it will come later.
pub(super) type Answer = Option<Result<HeldLock, Error>>;

/// The queues, and when to look at them again.
#[derive(Debug, Default)]
pub(super) struct State {
    queues: HashMap<Identity, Queue>,
    next: u64,
    /// Where those who wait are, by the order of their requests.
    pub(super) waiting: HashMap<u64, (Identity, u64)>,
    /// When to ask the kernel again, and for whom.
    pub(super) polls: BTreeMap<(Instant, u64), Identity>,
    /// When a request times out.
    pub(super) deadlines: BTreeMap<(Instant, u64), Arc<Requested>>,
    /// When to wake somebody who waits for something else.
    pub(super) alarms: BTreeMap<(Instant, u64), Arc<Ticket>>,
    /// Whether there is a thread that looks at these times.
    pub(super) poller: bool,
    /// How many threads wait in the kernel.
    pub(super) blocked: usize,
}

/// The locks of a process.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    pub(super) state: Mutex<State>,
    pub(super) times: Condition,
}

/// Somebody whose turn it is.
struct Ready(Arc<Requested>, Entry);

impl Locks {
    /// Makes a request, on the loop's thread.
    pub(super) fn begin(&self, engine: &Engine, requested: &Arc<Requested>) -> Answer {
        match Self::open_now(engine, requested) {
            Ok(Ok(file)) => self.join(engine, requested, file, false),
            Ok(Err(error)) => Some(Err(error)),
            Err(lane) => {
                if let Err(error) = self.watch(engine, requested) {
                    return Some(Err(error));
                }
                let work = Work::Lock(LockJob::Open(Arc::clone(requested)));
                let ticket = &requested.ticket;
                let submitted = engine.pool().submit(lane, Job { ticket: Arc::clone(ticket), work });
                engine.pool().look(submitted, Kind::Lock, ticket);
                None
            }
        }
    }

    /// Opens the file, if that does not block; otherwise the lane for a worker.
    fn open_now(engine: &Engine, requested: &Requested) -> Result<Result<LockFile, Error>, Lane> {
        match &requested.request.target {
            // For a lock of a range the file is opened for writing, if possible: opening it so may wait for who has a
            // lease of it (fcntl(2)).
            LockTarget::Path(path) if requested.request.extent != Extent::Whole => Err(engine.lane(path)),
            LockTarget::Path(path) => engine.open_lock_now(path).map(Ok),
            LockTarget::Handle(handle) if handle.info.regular => Ok(LockFile::of_handle(engine, handle)),
            LockTarget::Handle(handle) => Err(handle.info.lane),
        }
    }

    /// Opens the file, in a worker.
    fn open_here(engine: &Engine, requested: &Requested) -> Result<LockFile, Error> {
        match &requested.request.target {
            LockTarget::Path(path) => LockFile::open(engine, path, requested.claim().needs_writing()),
            LockTarget::Handle(handle) => LockFile::of_handle(engine, handle),
        }
    }

    /// Opens the file, in a worker.
    pub(super) fn open(&self, engine: &Engine, requested: &Arc<Requested>) -> Answer {
        match Self::open_here(engine, requested) {
            Ok(file) => self.join(engine, requested, file, true),
            Err(error) => Some(Err(error)),
        }
    }

    /// Takes a place in the queue of a file.
    fn join(&self, engine: &Engine, requested: &Arc<Requested>, file: LockFile, may_block: bool) -> Answer {
        let (identity, claim) = (file.identity, requested.claim());
        let mut state = self.lock();
        if requested.is_over() {
            drop(state);
            return None;
        }
        let id = state.next;
        state.next += 1;
        let queue = state.queues.entry(identity).or_default();
        match queue.judge(&claim, requested.order) {
            Verdict::Free => {
                queue.hold(id, requested);
                drop(state);
                let candidate = Candidate { file, entry: Entry::new(engine, identity, id) };
                self.settle(engine, requested, candidate, Patience::new(), may_block)
            }
            Verdict::Reentry => Some(Err(Error::LockReentry)),
            Verdict::Taken { held } if !requested.request.blocking => {
                drop(state);
                if held {
                    return Some(Err(Error::LockTimeout { holder: Some(std::process::id()) }));
                }
                self.explain(engine, requested, file, may_block)
            }
            Verdict::Taken { .. } => {
                let waiting =
                    Waiting { id, requested: Arc::clone(requested), phase: Phase::Queued, file: None };
                queue.wait(waiting);
                requested.note_tried();
                let through_handle = queue.is_held_through_handle(&claim);
                state.waiting.insert(requested.order, (identity, id));
                if through_handle {
                    // Nobody tells when that is closed, which releases the lock.
                    let next = runtime::now() + LOCK_LONGEST_PAUSE;
                    let _ = self.poll_at(&mut state, engine, next, (identity, id));
                }
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
    ) -> Answer {
        if requested.is_over() {
            return None;
        }
        let opened = if may_block {
            Self::open_here(engine, requested)
        } else {
            match Self::open_now(engine, requested) {
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
    ) -> Answer {
        if requested.is_over() {
            return None;
        }
        let claim = requested.claim();
        let lane = candidate.file.lane;
        if !candidate.file.local && !may_block {
            self.submit(engine, lane, requested, LockJob::Try(Arc::clone(requested), candidate, patience));
            return None;
        }
        match candidate.file.try_lock(&claim) {
            Err(error) => Some(Err(error)),
            Ok(true) => match candidate.file.standing(&requested.request.target, may_block) {
                Standing::Current => Some(Ok(HeldLock::new(candidate))),
                Standing::Unknown => {
                    let job = LockJob::Try(Arc::clone(requested), candidate, patience);
                    self.submit(engine, lane, requested, job);
                    None
                }
                Standing::Replaced if may_block => {
                    drop(candidate);
                    self.open(engine, requested)
                }
                Standing::Replaced => {
                    drop(candidate);
                    self.submit(engine, lane, requested, LockJob::Open(Arc::clone(requested)));
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

    /// Refuses a request that does not wait, and names the process that is in the way.
    fn explain(
        &self,
        engine: &Engine,
        requested: &Arc<Requested>,
        file: LockFile,
        may_block: bool,
    ) -> Answer {
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
    ) -> Answer {
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
        let (next, patience) = patience.next();
        let queue = state.queues.entry(identity).or_default();
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

    /// Removes a holder of a file's locks. Whoever is next may try.
    pub(super) fn leave(&self, engine: &Engine, identity: Identity, id: u64) {
        let mut state = self.lock();
        let Some(queue) = state.queues.get_mut(&identity) else { return };
        queue.release(id);
        if queue.is_empty() {
            state.queues.remove(&identity);
            return;
        }
        let ready = self.take_ready(&mut state, engine, identity);
        drop(state);
        self.go_on(engine, ready);
    }

    /// Gives up a request, wherever it is.
    pub(super) fn forget(&self, engine: &Engine, requested: &Arc<Requested>) {
        self.unwatch(requested);
        let mut state = self.lock();
        let Some((identity, id)) = state.waiting.remove(&requested.order) else { return };
        let Some(queue) = state.queues.get_mut(&identity) else { return };
        // One whose thread waits in the kernel is unlocked by that thread as soon as it is locked.
        let waiting = queue.remove(id);
        let empty = queue.is_empty();
        if empty {
            state.queues.remove(&identity);
        }
        let ready = self.take_ready(&mut state, engine, identity);
        drop(state);
        drop(waiting);
        self.go_on(engine, ready);
    }

    /// Makes holders of those who have waited for others of this process and need not any more.
    fn take_ready(&self, state: &mut State, engine: &Engine, identity: Identity) -> Vec<Ready> {
        let Some(queue) = state.queues.get_mut(&identity) else { return Vec::new() };
        let ready = queue.ready();
        if ready.is_empty() {
            return Vec::new();
        }
        let now = runtime::now();
        let since = *queue.since.get_or_insert(now);
        // Other processes get it now and then.
        let let_in = now.saturating_duration_since(since) > LOCK_LONGEST_STREAK;
        let (mut at_once, mut next) = (LOCKS_AT_ONCE, now);
        if let_in {
            queue.since = None;
            (at_once, next) = (0, now + LOCK_LET_IN);
        }
        let (mut taken, mut later) = (Vec::new(), Vec::new());
        for (number, id) in ready.into_iter().enumerate() {
            // Without a thread for later, it is done now.
            if number >= at_once && self.poll_at(state, engine, next, (identity, id)).is_ok() {
                later.push(id);
            } else if let Some(waiting) = state.queues.get_mut(&identity).and_then(|queue| queue.promote(id))
            {
                state.waiting.remove(&waiting.requested.order);
                taken.push(Ready(waiting.requested, Entry::new(engine, identity, id)));
            }
        }
        if let Some(queue) = state.queues.get_mut(&identity) {
            queue.start_polling(&later, Patience::new());
        }
        taken
    }

    /// Lets those whose turn it is try.
    fn go_on(&self, engine: &Engine, ready: Vec<Ready>) {
        for Ready(requested, entry) in ready {
            if let Some(answer) = self.reopen(engine, &requested, entry, false) {
                requested.answer(answer);
            }
        }
    }

    /// It is time to ask the kernel again.
    pub(super) fn poll(&self, engine: &Engine, identity: Identity, id: u64) {
        let mut state = self.lock();
        let Some(queue) = state.queues.get_mut(&identity) else { return };
        let patience = match queue.find(id).map(|waiting| &waiting.phase) {
            Some(Phase::Polling(patience)) => *patience,
            Some(Phase::Queued) => Patience::new(),
            Some(Phase::Blocked) | None => return,
        };
        let Some(waiting) = queue.promote(id) else {
            let Some(waiting) = queue.find(id) else { return };
            // Somebody has come between.
            waiting.phase = Phase::Queued;
            let file = waiting.file.take();
            let claim = waiting.requested.claim();
            if queue.is_held_through_handle(&claim) {
                let next = runtime::now() + LOCK_LONGEST_PAUSE;
                let _ = self.poll_at(&mut state, engine, next, (identity, id));
            }
            drop(state);
            drop(file);
            return;
        };
        state.waiting.remove(&waiting.requested.order);
        drop(state);
        let (requested, entry) = (waiting.requested, Entry::new(engine, identity, id));
        let answer = match waiting.file {
            Some(file) if patience.is_exhausted() && file.local => {
                self.block(engine, &requested, Candidate { file, entry }, patience)
            }
            Some(file) => self.settle(engine, &requested, Candidate { file, entry }, patience, false),
            None => self.reopen(engine, &requested, entry, false),
        };
        if let Some(answer) = answer {
            requested.answer(answer);
        }
    }

    /// Lets a thread of its own wait in the kernel, if there may be another one.
    fn block(
        &self,
        engine: &Engine,
        requested: &Arc<Requested>,
        candidate: Candidate,
        patience: Patience,
    ) -> Answer {
        let Some(place) = super::poller::WaitingThread::reserve(engine) else {
            return self.settle(engine, requested, candidate, patience, false);
        };
        let Candidate { file, entry } = candidate;
        let (identity, id) = (entry.identity, entry.id);
        let mut state = self.lock();
        if requested.is_over() {
            drop(state);
            drop(file);
            drop(entry);
            return None;
        }
        entry.forget();
        let queue = state.queues.entry(identity).or_default();
        queue.release(id);
        queue.wait(Waiting { id, requested: Arc::clone(requested), phase: Phase::Blocked, file: None });
        state.waiting.insert(requested.order, (identity, id));
        drop(state);
        place.begin(Arc::clone(requested), file, identity, id);
        None
    }

    /// A thread has waited in the kernel. If nobody waits for it any more, the file is unlocked at once.
    pub(super) fn unblocked(
        &self,
        engine: &Engine,
        requested: &Arc<Requested>,
        file: LockFile,
        id: u64,
        outcome: Result<(), Error>,
    ) {
        let identity = file.identity;
        let mut state = self.lock();
        let promoted = state.queues.get_mut(&identity).and_then(|queue| {
            if let Some(waiting) = queue.remove(id) {
                queue.hold(id, &waiting.requested);
                return Some(());
            }
            None
        });
        if promoted.is_some() {
            state.waiting.remove(&requested.order);
        }
        drop(state);
        if promoted.is_none() {
            drop(file);
            return;
        }
        let candidate = Candidate { file, entry: Entry::new(engine, identity, id) };
        let answer = match outcome {
            // It may have been replaced while this one waited.
            Ok(()) => self.settle(engine, requested, candidate, Patience::new(), true),
            Err(error) => Some(Err(error)),
        };
        if let Some(answer) = answer {
            requested.answer(answer);
        }
    }

    /// There is no thread to wait in the kernel: asks again and again as before, with a new file.
    pub(super) fn unblockable(&self, engine: &Engine, identity: Identity, id: u64) {
        let mut state = self.lock();
        let Some(waiting) = state.queues.get_mut(&identity).and_then(|queue| queue.find(id)) else { return };
        waiting.phase = Phase::Polling(Patience::new());
        // There is the thread that looks at the times, because it has called this.
        let next = runtime::now() + LOCK_LONGEST_PAUSE;
        let _ = self.poll_at(&mut state, engine, next, (identity, id));
    }

    /// A request has timed out.
    pub(super) fn time_out(&self, engine: &Engine, requested: &Arc<Requested>) {
        if let Some(until) = requested.first_try().filter(|until| *until > runtime::now()) {
            // Only a worker knows yet whether somebody is in the way.
            let mut state = self.lock();
            if requested.first_try().is_some() && !requested.is_over() {
                state.deadlines.insert((until, requested.order), Arc::clone(requested));
                return;
            }
        }
        if !requested.claim_answer() {
            return;
        }
        requested.give_up();
        let mut state = self.lock();
        let place = state.waiting.get(&requested.order).copied();
        let (mut held, mut file) = (false, None);
        if let Some((identity, id)) = place
            && let Some(queue) = state.queues.get_mut(&identity)
        {
            held = queue.is_held(&requested.claim());
            file = queue.find(id).and_then(|waiting| waiting.file.take());
        }
        drop(state);
        let holder = if held {
            Some(std::process::id())
        } else {
            // The table of locks is in memory, but on a network the server has it.
            file.as_ref().filter(|file| file.local).and_then(|file| file.holder(&requested.claim())).or_else(
                || {
                    place
                        .and_then(|(identity, _)| platform::file_lock_holder(identity.device, identity.inode))
                },
            )
        };
        requested.ticket.finish(Err(Error::LockTimeout { holder }));
        self.forget(engine, requested);
        drop(file);
    }

    /// Wakes somebody at a time.
    pub(super) fn alarm(&self, engine: &Engine, time: Instant, ticket: &Arc<Ticket>) -> Result<(), Error> {
        let mut state = self.lock();
        self.start_poller(&mut state, engine)?;
        state.alarms.insert((time, ticket.token()), Arc::clone(ticket));
        self.times.notify_one();
        Ok(())
    }

    /// The process that has a lock which would be in the way of another one. Runs in a worker.
    pub(super) fn find_holder(
        &self,
        engine: &Engine,
        target: &LockTarget,
        mode: Mode,
        extent: Extent,
    ) -> Result<Option<u32>, Error> {
        let claim = Claim { mode, extent, owner: 0, description: 0 };
        let file = match target {
            LockTarget::Path(path) => {
                let identity = match platform::metadata(path, false) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    metadata => Identity::from(&metadata.about_path()?),
                };
                if self.holds(identity, &claim) {
                    return Ok(Some(std::process::id()));
                }
                if extent == Extent::Whole {
                    return Ok(platform::file_lock_holder(identity.device, identity.inode));
                }
                LockFile::open(engine, path, false)?
            }
            LockTarget::Handle(handle) => LockFile::of_handle(engine, handle)?,
        };
        if self.holds(file.identity, &claim) {
            return Ok(Some(std::process::id()));
        }
        Ok(file.holder(&claim))
    }

    fn holds(&self, identity: Identity, claim: &Claim) -> bool {
        self.lock().queues.get(&identity).is_some_and(|queue| queue.is_held(claim))
    }

    /// Whether this process holds any lock.
    pub(crate) fn is_any_held(&self) -> bool {
        !self.lock().queues.is_empty()
    }

    /// Whether this process holds a lock of the whole file.
    pub(crate) fn is_held(&self, device: u64, inode: u128) -> bool {
        let claim = Claim { mode: Mode::Exclusive, extent: Extent::Whole, owner: 0, description: 0 };
        self.holds(Identity { device, inode }, &claim)
    }

    /// Makes the claim of a holder another one, unless somebody in this process is in the way. Whoever has waited for
    /// the old one may try.
    pub(super) fn convert(&self, engine: &Engine, entry: &Entry, mode: Mode) -> bool {
        let mut state = self.lock();
        let Some(queue) = state.queues.get_mut(&entry.identity) else { return false };
        let converted = queue.convert(entry.id, mode);
        let ready = self.take_ready(&mut state, engine, entry.identity);
        drop(state);
        self.go_on(engine, ready);
        converted
    }

    /// Notes when a request times out.
    fn watch(&self, engine: &Engine, requested: &Arc<Requested>) -> Result<(), Error> {
        let Some(deadline) = requested.deadline else { return Ok(()) };
        let mut state = self.lock();
        if requested.is_over() {
            return Ok(());
        }
        let key = (deadline, requested.order);
        let first = state.deadlines.first_key_value().is_none_or(|(first, _)| key < *first);
        state.deadlines.insert(key, Arc::clone(requested));
        let started = self.start_poller(&mut state, engine);
        if first {
            self.times.notify_one();
        }
        if started.is_err() {
            state.deadlines.remove(&key);
        }
        started
    }

    /// Notes when to ask the kernel again.
    fn poll_at(
        &self,
        state: &mut State,
        engine: &Engine,
        time: Instant,
        (identity, id): (Identity, u64),
    ) -> Result<(), Error> {
        self.start_poller(state, engine)?;
        let first = state.polls.first_key_value().is_none_or(|(first, _)| (time, id) < *first);
        state.polls.insert((time, id), identity);
        if first {
            self.times.notify_one();
        }
        Ok(())
    }

    /// Forgets when a request times out.
    pub(super) fn unwatch(&self, requested: &Requested) {
        if let Some(deadline) = requested.deadline {
            let forgotten = self.lock().deadlines.remove(&(deadline, requested.order));
            // Not under the lock.
            drop(forgotten);
        }
    }

    /// Hands something to a worker.
    fn submit(&self, engine: &Engine, lane: Lane, requested: &Arc<Requested>, job: LockJob) {
        engine.pool().submit(lane, Job { ticket: Arc::clone(&requested.ticket), work: Work::Lock(job) });
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        runtime::lock(&self.state)
    }
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { since: runtime::now(), pause: LOCK_FIRST_PAUSE }
    }

    /// Whether a thread should wait in the kernel instead.
    fn is_exhausted(self) -> bool {
        runtime::elapsed(self.since) >= LOCK_POLLED_FOR
    }

    /// When to ask the next time. Those who began at the same time ask at different ones.
    fn next(self) -> (Instant, Self) {
        let now = runtime::now();
        let pause = jittered(self.pause);
        let next = Self { pause: (self.pause * 2).min(LOCK_LONGEST_PAUSE), ..self };
        (now + pause, next)
    }
}

/// Between three and five quarters of a time.
fn jittered(time: Duration) -> Duration {
    let random = RandomState::new().hash_one(()) % 256;
    time * (384 + random as u32) / 512
}

/// The error if the system refuses a thread.
pub(super) fn no_thread() -> Error {
    Error::Os { code: platform::NO_THREAD, subject: Subject::Nothing }
}
