//! Streams: long work that workers do step by step, with results in batches.
//!
//! A [`Source`] is divided into [`Part`]s. One worker at a time *steps* a part, until it has a batch or for 5 ms.
//! Finished batches wait in a bounded queue. The consumer takes a batch without waiting if there is one, and the source
//! is stepped again when less than half of the queue is left. So a stream whose consumer has paused occupies no worker
//! and no thread, is not a job that could be stuck, and a slow consumer slows its source down.
//!
//! All decisions are made under one lock, and everything that may take long is done without it: stepping, dropping the
//! source's resources, handing jobs to the pool, waking the consumer. While a consumer waits, there is a job that is
//! queued or running ([`State::wants_job`]).

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use crate::engine::kind::Kind;
use crate::engine::lane::Lane;
use crate::engine::pool::{Pool, Submitted};
use crate::engine::progress::Progress;
use crate::engine::queue::{Detached, Job, Work};
use crate::engine::runtime;
use crate::engine::ticket::Ticket;
use crate::engine::{Engine, Process};
use crate::error::Error;
use crate::limits::{STREAM_ASKS_EVERY, STREAM_LEAST_STEP, STREAM_READY, STREAM_STEP, STREAM_STEPS};
use crate::outcome::Outcome;

/// The source of a stream's batches.
pub trait Source: Send + 'static {
    /// The items that are taken from the queue at once.
    type Batch: Send + 'static;
    /// A piece of the work.
    type Part: Part<Batch = Self::Batch>;

    /// Returns the next part that can be begun. Called under a lock, also on the loop's thread: it must neither block
    /// nor take long.
    fn claim(&mut self) -> Claim<Self::Part>;

    /// The order in which batches are handed out.
    fn order(&self) -> Order {
        Order::AsClaimed
    }

    /// The source is not stepped while this many batches are ready, and is stepped again when fewer than half of them
    /// are left: more than [`STREAM_READY`] for a source of small ones.
    fn most_ready(&self) -> usize {
        STREAM_READY
    }
}

/// The work that a source offers.
#[derive(Debug)]
pub enum Claim<P> {
    /// This part can be begun.
    Part(P),
    /// Nothing, until one of the parts that have been begun has advanced.
    Later,
    /// Nothing, until the consumer has told the source more. It does so before it asks for a batch that depends on
    /// that.
    OnDemand,
    /// Nothing more.
    Over,
}

/// The order in which batches are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In the order in which their parts were claimed, whichever is ready earlier.
    AsClaimed,
    /// In the order in which they become ready.
    AsReady,
}

/// A piece of a stream's work, stepped by one worker at a time.
pub trait Part: Send + 'static {
    /// The result of a step.
    type Batch: Send + 'static;

    /// Works until there is a batch, or until the slice [is over](Slice::is_over), which is also the case when nobody
    /// wants the rest.
    ///
    /// # Errors
    /// Any error that ends the stream. It is reported after the batches that come before it.
    fn step(&mut self, slice: &Slice<'_>) -> Result<Step<Self::Batch>, Error>;
}

/// The result of a step.
#[derive(Debug)]
pub enum Step<B> {
    /// A batch. There may be more.
    Batch(B),
    /// Nothing yet.
    Again,
    /// Nothing, and nothing before others have done something.
    Later,
    /// The part is complete, with its last batch, if it has one.
    Last(Option<B>),
}

/// A source of a single part.
#[derive(Debug)]
pub struct Single<P>(Option<P>);

impl<P: Part> Single<P> {
    /// The source with only this part.
    pub fn new(part: P) -> Self {
        Self(Some(part))
    }
}

impl<P: Part> Source for Single<P> {
    type Batch = P::Batch;
    type Part = P;

    fn claim(&mut self) -> Claim<P> {
        self.0.take().map_or(Claim::Over, Claim::Part)
    }
}

/// The time that a step may take.
#[derive(Debug)]
pub struct Slice<'a> {
    until: Option<Instant>,
    /// From when on it is also over as soon as a job waits that is no step, and the pool that knows.
    shared: Option<(Instant, &'a Pool)>,
    ordinal: u64,
    signals: &'a Signals,
}

impl Slice<'_> {
    /// For work outside a stream that may take `most`.
    pub(crate) fn alone(most: std::time::Duration) -> Slice<'static> {
        static SIGNALS: Signals = Signals::new();
        Slice::outside(runtime::now() + most, &SIGNALS)
    }

    /// For a step outside the workers, which leaves its thread to no other job.
    fn outside(until: Instant, signals: &Signals) -> Slice<'_> {
        Slice { until: Some(until), shared: None, ordinal: 0, signals }
    }

    /// Whether the step must end. Reads the clock.
    pub fn is_over(&self) -> bool {
        if self.is_unwanted() {
            return true;
        }
        let Some(until) = self.until else { return false };
        let now = runtime::now();
        now >= until || self.is_called_off(now)
    }

    /// Whether a job waits that is no step, and this one has had its time.
    fn is_called_off(&self, now: Instant) -> bool {
        self.shared.is_some_and(|(from, pool)| now >= from && pool.has_more_than_steps())
    }

    /// Whether nobody wants the rest of the part's results.
    pub fn is_unwanted(&self) -> bool {
        self.ordinal > self.signals.last_wanted.load(Ordering::Relaxed)
    }

    /// Adds to the count of [`Stream::progress`].
    pub fn count(&self, done: u64) {
        self.signals.done.fetch_add(done, Ordering::Relaxed);
    }
}

/// The flags that the consumer and the workers exchange during a step.
#[derive(Debug)]
struct Signals {
    /// Parts up to this ordinal are wanted.
    last_wanted: AtomicU64,
    done: AtomicU64,
}

impl Signals {
    const fn new() -> Self {
        Self { last_wanted: AtomicU64::new(u64::MAX), done: AtomicU64::new(0) }
    }
}

/// Does all of a source's work in this thread, for a caller without a loop. `between` is called every
/// `STREAM_ASKS_EVERY`; its error stops the work.
///
/// # Errors
/// The first one that a part reports, or that of `between`.
pub fn run_here<S: Source, E: From<Error>>(
    mut source: S,
    mut take: impl FnMut(S::Batch),
    mut between: impl FnMut() -> Result<(), E>,
) -> Result<(), E> {
    let signals = Signals::new();
    let mut until = runtime::now() + STREAM_ASKS_EVERY;
    while let Claim::Part(mut part) = source.claim() {
        loop {
            match part.step(&Slice::outside(until, &signals))? {
                Step::Batch(batch) => take(batch),
                Step::Again | Step::Later => {}
                Step::Last(batch) => {
                    batch.into_iter().for_each(&mut take);
                    break;
                }
            }
            if runtime::now() >= until {
                between()?;
                until = runtime::now() + STREAM_ASKS_EVERY;
            }
        }
    }
    Ok(())
}

/// A source whose work is done one slice at a time in the calling thread, and whose batches nobody wants.
pub(crate) struct SliceBySlice<S: Source> {
    /// Dropped first, as in a stream.
    part: Option<S::Part>,
    source: S,
}

impl<S: Source> SliceBySlice<S> {
    pub(crate) fn new(source: S) -> Self {
        Self { part: None, source }
    }

    /// Goes on for as long as the slice lasts; `true` when everything is done.
    pub(crate) fn go_on(&mut self, slice: &Slice<'_>) -> Result<bool, Error> {
        loop {
            let part = match &mut self.part {
                Some(part) => part,
                none => match self.source.claim() {
                    Claim::Part(part) => none.insert(part),
                    Claim::Later | Claim::OnDemand | Claim::Over => return Ok(true),
                },
            };
            if let Step::Last(_) = part.step(slice)? {
                self.part = None;
            }
            if slice.is_over() {
                return Ok(false);
            }
        }
    }
}

#[cfg(all(test, unix))]
impl<S: Source> SliceBySlice<S> {
    /// What is under way.
    pub(crate) fn part(&self) -> Option<&S::Part> {
        self.part.as_ref()
    }

    /// Goes on with a slice that is over as soon as something has been done.
    pub(crate) fn go_on_shortly(&mut self) -> Result<bool, Error> {
        let signals = Signals::new();
        self.go_on(&Slice::outside(runtime::now(), &signals))
    }
}

/// A part that has been claimed.
struct Claimed<P> {
    ordinal: u64,
    part: P,
}

/// A batch that waits to be taken, or the error that ends the stream.
struct Ready<B> {
    ordinal: u64,
    item: Result<B, Error>,
}

/// Values that are not needed any more, to be dropped without the lock.
struct Garbage<S: Source> {
    source: Option<S>,
    parts: Vec<Claimed<S::Part>>,
    ready: Vec<Ready<S::Batch>>,
}

impl<S: Source> Default for Garbage<S> {
    fn default() -> Self {
        Self { source: None, parts: Vec::new(), ready: Vec::new() }
    }
}

struct State<S: Source> {
    /// `None` once all its parts have been claimed.
    source: Option<S>,
    order: Order,
    most_ready: usize,
    /// The ordinal of the part that was claimed last; the first one is 1.
    claimed: u64,
    /// Parts that are not being stepped, with their ordinals.
    waiting: VecDeque<Claimed<S::Part>>,
    /// The ordinals of those that are being stepped.
    stepping: Vec<u64>,
    /// Finished batches, in the order in which they are taken. An error is the last.
    ready: VecDeque<Ready<S::Batch>>,
    /// Jobs in the pool: those that are stepping, and those that have not begun.
    jobs: usize,
    /// The ordinal of the part with the error that ends the stream.
    failed: Option<u64>,
    /// The consumer has closed the stream.
    closed: bool,
    /// The consumer waits.
    waiter: Option<Arc<Ticket>>,
    garbage: Garbage<S>,
    /// Batches that the consumer does not need any more, for a worker to drop.
    spent: Vec<S::Batch>,
}

impl<S: Source> State<S> {
    /// Claims parts until there is one more than the jobs that have not begun will take.
    fn refill(&mut self) {
        while self.waiting.len() <= self.jobs - self.stepping.len() {
            match self.source.as_mut().map(S::claim) {
                Some(Claim::Part(part)) => {
                    self.claimed += 1;
                    self.waiting.push_back(Claimed { ordinal: self.claimed, part });
                }
                Some(Claim::Later) if self.waiting.is_empty() && self.stepping.is_empty() => {
                    let defect = "a source is not over, and there is nothing to be done for it";
                    return self.fail(self.claimed, Error::Panic(defect.to_owned()));
                }
                Some(Claim::Later | Claim::OnDemand) | None => return,
                Some(Claim::Over) => self.garbage.source = self.source.take(),
            }
        }
    }

    /// Whether the consumer would wait although nothing is being done: the source has nothing, and has been told
    /// everything.
    fn is_starved(&self) -> bool {
        self.source.is_some() && self.waiting.is_empty() && self.stepping.is_empty()
    }

    /// The first part that is not complete: those before it have returned everything.
    fn head(&self) -> Option<u64> {
        self.waiting.iter().map(|claimed| claimed.ordinal).chain(self.stepping.iter().copied()).min()
    }

    /// Whether a batch can be taken now.
    fn is_deliverable(&self) -> bool {
        let Some(first) = self.ready.front() else { return false };
        self.order == Order::AsReady || self.head().is_none_or(|head| first.ordinal <= head)
    }

    /// Whether nothing more will become ready.
    fn is_over(&self) -> bool {
        self.source.is_none() && self.waiting.is_empty() && self.stepping.is_empty()
    }

    /// Whether the first waiting part may be stepped: there is room for its batch, or all ready batches wait for it.
    fn may_step(&self) -> bool {
        let Some(next) = self.waiting.front() else { return false };
        let is_head = self.stepping.iter().all(|ordinal| *ordinal > next.ordinal);
        self.ready.len() + self.stepping.len() < self.most_ready || (is_head && !self.is_deliverable())
    }

    /// Whether one more job must be handed to the pool.
    ///
    /// While the consumer waits nothing is deliverable. If there were no job then, nothing would be stepping, so the
    /// head would be the first of the waiting parts, and one would be wanted.
    fn wants_job(&self, most: usize) -> bool {
        if self.jobs == 0 {
            return self.may_step() && (self.ready.len() < self.most_ready / 2 || !self.is_deliverable());
        }
        self.jobs < most
            && self.waiting.len() > self.jobs - self.stepping.len()
            && self.ready.len() + self.jobs < self.most_ready
    }

    /// Takes the next batch; the inner `None` is the end.
    #[expect(clippy::option_option, reason = "nothing yet, and nothing any more")]
    fn take(&mut self) -> Option<Option<Result<S::Batch, Error>>> {
        if self.is_deliverable() {
            let item = self.ready.pop_front()?.item;
            if item.is_err() {
                self.close();
            }
            return Some(Some(item));
        }
        self.is_over().then_some(None)
    }

    /// Stores the result of a step.
    fn settle(&mut self, claimed: Claimed<S::Part>, step: Result<Step<S::Batch>, Error>) {
        let ordinal = claimed.ordinal;
        let wanted = !self.closed && self.failed.is_none_or(|failed| ordinal < failed);
        let (batch, goes_on) = match step {
            Ok(Step::Batch(batch)) => (Some(batch), true),
            Ok(Step::Again | Step::Later) => (None, true),
            Ok(Step::Last(batch)) => (batch, false),
            Err(error) if wanted => {
                self.fail(ordinal, error);
                (None, false)
            }
            Err(_) => (None, false),
        };
        if let Some(batch) = batch {
            let ready = Ready { ordinal, item: Ok(batch) };
            if wanted { self.deliver(ready) } else { self.garbage.ready.push(ready) }
        }
        if goes_on && wanted {
            let at = self.waiting.partition_point(|waiting| waiting.ordinal < ordinal);
            self.waiting.insert(at, claimed);
        } else {
            self.garbage.parts.push(claimed);
        }
    }

    fn deliver(&mut self, ready: Ready<S::Batch>) {
        let at = match self.order {
            Order::AsReady => self.ready.len(),
            Order::AsClaimed => self.ready.partition_point(|before| before.ordinal <= ready.ordinal),
        };
        self.ready.insert(at, ready);
    }

    /// Ends the stream with an error, which is reported after the batches before it.
    fn fail(&mut self, ordinal: u64, error: Error) {
        // Without an order of parts, only the batches that are ready come before it.
        let ordinal = if self.order == Order::AsReady { 0 } else { ordinal };
        self.failed = Some(ordinal);
        self.deliver(Ready { ordinal, item: Err(error) });
        let end = self.ready.iter().position(|ready| ready.item.is_err()).map_or(0, |at| at + 1);
        self.garbage.ready.extend(self.ready.drain(end..));
        let wanted = self.waiting.partition_point(|claimed| claimed.ordinal < ordinal);
        self.garbage.parts.extend(self.waiting.drain(wanted..));
        self.garbage.source = self.source.take().or(self.garbage.source.take());
    }

    /// Drops everything: the consumer has closed the stream.
    fn close(&mut self) {
        self.closed = true;
        self.garbage.source = self.source.take().or(self.garbage.source.take());
        self.garbage.parts.extend(self.waiting.drain(..));
        self.garbage.ready.extend(self.ready.drain(..));
        self.waiter = None;
    }
}

/// The state that the consumer and the workers share.
struct Shared<S: Source> {
    engine: Arc<Engine>,
    lane: Lane,
    kind: Kind,
    /// The most steps at once.
    most: usize,
    signals: Signals,
    /// The ticket of all jobs: cancelled with the stream, so that the pool drops those that have not begun.
    ticket: Arc<Ticket>,
    state: Mutex<State<S>>,
}

/// The work of a stream, as the pool runs it.
pub(crate) trait Steps: Send {
    /// Steps the source for a while. What is left to do is a job, to be queued behind the jobs of others.
    fn run(self: Box<Self>) -> Option<Job>;
}

impl fmt::Debug for dyn Steps {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Steps")
    }
}

/// A job of a stream. If it is dropped without having run, it was cancelled, or the system refuses threads.
struct StepJob<S: Source>(Option<Arc<Shared<S>>>);

impl<S: Source> Steps for StepJob<S> {
    fn run(mut self: Box<Self>) -> Option<Job> {
        self.0.take()?.run()
    }
}

impl<S: Source> Drop for StepJob<S> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.refused();
        }
    }
}

impl<S: Source> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        runtime::lock(&self.state)
    }

    /// Releases the lock, wakes the consumer if there is something for it, and drops the garbage.
    fn unlock(&self, mut state: MutexGuard<'_, State<S>>) {
        let waiter = if state.waiter.is_some() && (state.is_deliverable() || state.is_over()) {
            state.waiter.take()
        } else {
            None
        };
        self.tell_which_are_wanted(&state);
        let garbage = std::mem::take(&mut state.garbage);
        drop(state);
        if waiter.is_some_and(|waiter| waiter.finish(Ok(Outcome::Done))) {
            self.engine.pool().totals.wakeups.increment();
        }
        drop(garbage);
    }

    /// The same on the loop's thread, which must not block, as for closing a part's files: a worker drops the garbage.
    fn unlock_on_loop(&self, mut state: MutexGuard<'_, State<S>>) {
        let garbage = std::mem::take(&mut state.garbage);
        self.unlock(state);
        if garbage.source.is_some() || !garbage.parts.is_empty() {
            self.engine.pool().spawn(self.lane, Detached::new(move || drop(garbage)));
        }
    }

    /// Makes steps of parts that nobody wants end.
    fn tell_which_are_wanted(&self, state: &State<S>) {
        let last = match state.failed {
            _ if state.closed => 0,
            Some(failed) => failed.saturating_sub(1),
            None => return,
        };
        self.signals.last_wanted.store(last, Ordering::Relaxed);
    }

    /// Hands a job, which has been counted, to the pool.
    fn submit(self: &Arc<Self>) -> Submitted {
        self.engine.pool().submit(self.lane, self.job())
    }

    fn job(self: &Arc<Self>) -> Job {
        let work = Work::Steps(Box::new(StepJob(Some(Arc::clone(self)))));
        Job { ticket: Arc::clone(&self.ticket), work }
    }

    /// Steps parts until the queue is full, the time is up, or there is nothing to do.
    fn run(self: &Arc<Self>) -> Option<Job> {
        let begin = runtime::now();
        let (until, shared) = (begin + STREAM_STEP, (begin + STREAM_LEAST_STEP, self.engine.pool()));
        let mut state = self.lock();
        loop {
            // Parts that another worker has left are considered again, as long as this one has time.
            state.refill();
            let claimed = if state.may_step() { state.waiting.pop_front() } else { None };
            let Some(mut claimed) = claimed else {
                return self.leave(state);
            };
            let ordinal = claimed.ordinal;
            state.stepping.push(ordinal);
            state.refill();
            let calls_for_help = state.wants_job(self.most);
            state.jobs += usize::from(calls_for_help);
            let spent = std::mem::take(&mut state.spent);
            self.unlock(state);
            if calls_for_help {
                self.submit();
            }
            drop(spent);

            let slice = Slice { until: Some(until), shared: Some(shared), ordinal, signals: &self.signals };
            let began = runtime::now();
            let step = self.engine.pool().catch(|| claimed.part.step(&slice));
            let ended = runtime::now();
            self.engine.pool().timing.note(self.kind, ended - began);

            state = self.lock();
            state.stepping.retain(|stepping| *stepping != ordinal);
            let gives_way = matches!(step, Ok(Step::Later));
            state.settle(claimed, step);
            state.refill();
            if gives_way || ended >= until || slice.is_called_off(ended) || !state.may_step() {
                return self.leave(state);
            }
            self.unlock(state);
            state = self.lock();
        }
    }

    /// Ends a job; if there is more to do, another one is queued behind the jobs of others.
    fn leave(self: &Arc<Self>, mut state: MutexGuard<'_, State<S>>) -> Option<Job> {
        state.jobs -= 1;
        let goes_on = state.wants_job(self.most);
        state.jobs += usize::from(goes_on);
        // Counted before the consumer can see that it is done.
        self.engine.pool().totals.completed.increment();
        self.unlock(state);
        goes_on.then(|| self.job())
    }

    /// The pool has dropped a job.
    #[cold]
    fn refused(&self) {
        let mut state = self.lock();
        state.jobs -= 1;
        if state.jobs == 0 && !state.closed && !state.is_over() {
            let ordinal = state.head().unwrap_or(state.claimed);
            state.fail(ordinal, Error::NoThread);
        }
        self.unlock(state);
    }
}

/// The consumer's end of a stream. Nothing is done before the first batch is asked for; dropping it ends running steps.
pub struct Stream<S: Source> {
    shared: Arc<Shared<S>>,
    /// The process that created it: a forked child has none of its workers, and perhaps a copy of the lock in its
    /// locked state (`fork(2)`).
    process: Process,
    begun: bool,
    over: bool,
    /// Batches to be given back to the workers.
    spent: Vec<S::Batch>,
}

impl Engine {
    /// The stream of a source. `lane`: the queue of its steps.
    pub fn stream<S: Source>(&self, lane: Lane, source: S) -> Stream<S> {
        Stream::new(self, lane, Kind::Step, source)
    }
}

impl<S: Source> Stream<S> {
    pub(crate) fn new(engine: &Engine, lane: Lane, kind: Kind, source: S) -> Self {
        let most = engine.configuration().usable_cpus.clamp(1, STREAM_STEPS);
        Self::with_steps(engine, lane, kind, most, source)
    }

    /// The stream of a source with at most `most` steps at once; the source may offer fewer parts.
    pub(crate) fn with_steps(engine: &Engine, lane: Lane, kind: Kind, most: usize, source: S) -> Self {
        let state = State {
            order: source.order(),
            most_ready: source.most_ready(),
            source: Some(source),
            claimed: 0,
            waiting: VecDeque::new(),
            stepping: Vec::new(),
            ready: VecDeque::new(),
            jobs: 0,
            failed: None,
            closed: false,
            waiter: None,
            garbage: Garbage::default(),
            spent: Vec::new(),
        };
        let shared = Shared {
            engine: engine.share(),
            lane,
            kind,
            most,
            signals: Signals::new(),
            ticket: Ticket::new(0),
            state: Mutex::new(state),
        };
        Self {
            shared: Arc::new(shared),
            process: engine.process(),
            begun: false,
            over: false,
            spent: Vec::new(),
        }
    }

    /// The work that has been done so far, in the source's unit.
    pub fn progress(&self) -> u64 {
        self.shared.signals.done.load(Ordering::Relaxed)
    }

    /// Takes the next batch; `None` after the last one, and after an error. If the consumer has to wait, `ticket`
    /// creates a ticket that its port knows.
    pub fn next(
        &mut self,
        ticket: impl FnOnce() -> Arc<Ticket>,
    ) -> Progress<Result<Option<S::Batch>, Error>> {
        if self.over {
            return Progress::Done(Ok(None));
        }
        if !self.is_own() {
            self.over = true;
            return Progress::Done(Err(Error::Forked));
        }
        self.begun = true;
        let shared = &self.shared;
        let mut state = shared.lock();
        state.spent.append(&mut self.spent);
        state.refill();
        let mut taken = state.take();
        if taken.is_none() && state.is_starved() {
            let defect = "a consumer waits for a source that waits for it";
            let ordinal = state.claimed;
            state.fail(ordinal, Error::Panic(defect.to_owned()));
            taken = state.take();
        }
        if taken.is_none() {
            let ticket = ticket();
            state.waiter = Some(Arc::clone(&ticket));
            let submits = state.wants_job(shared.most);
            state.jobs += usize::from(submits);
            // Its batches are ready about when the consumer has made objects of the one before. Others take longer, and
            // polling for them made iterdir() slower.
            let may_look = shared.kind == Kind::ScanDirectory;
            shared.unlock_on_loop(state);
            let pool = shared.engine.pool();
            let submitted = match submits {
                true => shared.submit(),
                false if may_look => pool.whether_only_one_runs(),
                false => Submitted::Queued,
            };
            pool.look(submitted, shared.kind, &ticket);
            if !ticket.is_done() {
                return Progress::Pending(ticket);
            }
            state = shared.lock();
            taken = state.take();
            let Some(_) = taken else { return Progress::Pending(ticket) };
        }
        let item = taken.flatten();
        state.refill();
        self.over = !matches!(item, Some(Ok(_))) || (state.is_over() && state.ready.is_empty());
        let submits = state.wants_job(shared.most);
        state.jobs += usize::from(submits);
        shared.unlock_on_loop(state);
        if submits {
            shared.submit();
        }
        Progress::Done(item.transpose())
    }

    /// Takes back a batch that is not needed any more, so that a worker frees its memory: freeing what another thread has
    /// allocated, and allocates again meanwhile, makes both wait for the allocator's lock (see the notes on arenas in
    /// `mallopt(3)`).
    pub fn take_back(&mut self, batch: S::Batch) {
        // Without workers there is nobody to wait for.
        if !self.over {
            self.spent.push(batch);
        }
    }

    /// Steps the source again after it has been told more, without waiting.
    pub(crate) fn go_on(&mut self) {
        if self.over || !self.begun || !self.is_own() {
            return;
        }
        let mut state = self.shared.lock();
        state.refill();
        let submits = state.wants_job(self.shared.most);
        state.jobs += usize::from(submits);
        self.shared.unlock_on_loop(state);
        if submits {
            self.shared.submit();
        }
    }

    /// Lets a worker do something that nobody waits for, such as closing resources that the consumer shared.
    pub(crate) fn leave_to_worker(&self, work: impl FnOnce() + Send + 'static) {
        self.shared.engine.pool().spawn(self.shared.lane, Detached::new(work));
    }

    /// Ends the stream: running steps end soon, and their results are dropped.
    pub fn close(&mut self) {
        if std::mem::replace(&mut self.over, true) || !self.is_own() {
            return;
        }
        self.shared.ticket.cancel();
        let mut state = self.shared.lock();
        state.close();
        if self.begun {
            self.shared.unlock_on_loop(state);
        } else {
            // Nothing has been opened.
            self.shared.unlock(state);
        }
    }

    /// A stream of another source that goes on with what this one did.
    pub(crate) fn followed_by(&self, source: S) -> Self {
        let Shared { engine, lane, kind, most, .. } = &*self.shared;
        Self::with_steps(engine, *lane, *kind, *most, source)
    }

    /// Whether anything has been asked for.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether this process has created it.
    pub(crate) fn is_own(&self) -> bool {
        self.process == Process::current()
    }
}

impl<S: Source> Drop for Stream<S> {
    fn drop(&mut self) {
        self.close();
        if !self.is_own() {
            // A forked child leaves the inherited state as it is.
            std::mem::forget(Arc::clone(&self.shared));
        }
    }
}

impl<S: Source> fmt::Debug for Stream<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Stream").field("over", &self.over).finish_non_exhaustive()
    }
}
