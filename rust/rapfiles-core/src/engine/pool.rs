//! Tier 1: the worker threads, and which of them are awake.
//!
//! Waking a thread takes 30–60 µs on a virtual machine and most operations 1–20 µs, so the pool avoids wake-ups: a
//! worker that has finished a job lingers for the next one before it sleeps, and a burst of short jobs is left to as
//! many workers as there are processors. Jobs that wait for a device need more: while jobs are queued behind busy
//! workers, one *standby* worker periodically checks whether the queue moves, and joins in when it does not; the next
//! standby then does the same, until the pool has as many workers as it may.
//!
//! The system may refuse a thread, temporarily or permanently (EAGAIN of `pthread_create(3)`, for `RLIMIT_NPROC` or the
//! cgroup's `pids.max`). So only existing threads count, and for every queued job there is a thread that will look for
//! it or try again to start another: a thread that finds a job it may not take stands by, and the last free one takes
//! no job that may wait for another process. Tokio's blocking pool does not solve this: if it has threads, it ignores a
//! refusal and keeps the job queued (`spawn_task` in `tokio/src/runtime/blocking/pool.rs`).

#[cfg(all(test, target_os = "linux", not(loom)))]
mod invariants;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use crate::engine::Engine;
use crate::engine::configuration::Configuration;
use crate::engine::counters::{Counters, Totals};
use crate::engine::kind::Kind;
use crate::engine::lane::Lane;
use crate::engine::queue::{Detached, Job, Queue, Work};
use crate::engine::runtime::sync::{AtomicBool, AtomicU32, AtomicUsize, Mutex, MutexGuard};
use crate::engine::runtime::{self, Condition};
use crate::engine::ticket::Ticket;
use crate::engine::timing::Timing;
use crate::error::Error;
use crate::handle::Handle;
use crate::limits::{
    LINGER, LINGER_AGAIN_EVERY, LINGERS_IN_VAIN, LONGEST_LOOK, LONGEST_STANDBY_TICK, SHORT_LINGER, STAND_INS,
    STANDBY_TICK, STUCK_AFTER, WAITING_AFTER, WORKER_KEPT_FOR,
};
use crate::outcome::Outcome;

/// Whether a submitted job will probably be taken at once, or has been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// A lingering worker takes it, or a worker has it, and nothing else is running.
    Immediate,
    Queued,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    /// Workers that poll for a job without sleeping: one at most.
    lingering: usize,
    /// Workers asleep until a job comes.
    parked: usize,
    /// Workers that have been woken or started and do not run yet.
    coming: usize,
    /// There is a standby worker, or one has been woken or started.
    standby: bool,
    /// The next sleeping worker that is woken becomes the standby.
    standby_wanted: bool,
    /// The standby could not take any job when it last looked.
    standby_blocked: bool,
    /// Threads that exist.
    threads: usize,
    /// The system refused a thread at the last attempt to start one.
    refused: bool,
    next_worker: u64,
}

/// Worker threads, and the queue that feeds them.
#[derive(Debug)]
pub(crate) struct Pool {
    state: Mutex<State>,
    work: Condition,
    standby: Condition,
    /// The number of queued jobs, which a lingering worker reads without the lock.
    queued: AtomicUsize,
    /// Whether one of them is no step of a stream: the steps read it.
    more_than_steps: AtomicBool,
    max_workers: AtomicUsize,
    /// How many lingers in a row have brought no job.
    in_vain: AtomicU32,
    configuration: Configuration,
    engine: Weak<Engine>,
    pub(crate) totals: Totals,
    pub(crate) timing: Timing,
}

/// Queued work that no thread will take.
#[derive(Default)]
struct Hopeless {
    jobs: Vec<Job>,
    /// Handles that will be closed at an unknown time.
    closing: Vec<Arc<Handle>>,
}

/// How a job ended.
enum End {
    /// With this outcome.
    Outcome(Result<Outcome, Error>),
    /// The outcome is already in the ticket.
    Left,
    /// Another job has the outcome.
    Nothing,
}

#[derive(Debug, Clone, Copy)]
enum Role {
    Worker,
    Standby,
}

impl Pool {
    /// The pool of an engine.
    pub(crate) fn new(configuration: Configuration, engine: Weak<Engine>) -> Self {
        Self {
            state: Mutex::new(State::default()),
            work: Condition::default(),
            standby: Condition::default(),
            queued: AtomicUsize::new(0),
            more_than_steps: AtomicBool::new(false),
            max_workers: AtomicUsize::new(configuration.max_workers),
            in_vain: AtomicU32::new(0),
            configuration,
            engine,
            totals: Totals::default(),
            timing: Timing::new(),
        }
    }

    /// The engine that it belongs to.
    pub(crate) fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.upgrade()
    }

    pub(crate) fn configuration(&self) -> Configuration {
        Configuration { max_workers: self.max_workers.load(Ordering::Relaxed), ..self.configuration }
    }

    /// Changes the most workers that run at once. Workers beyond it exit when they have nothing to do.
    pub(crate) fn set_max_workers(&self, max_workers: usize) {
        self.max_workers.store(max_workers.max(1), Ordering::Relaxed);
        let mut state = self.lock();
        self.call_for_help(&mut state);
    }

    pub(crate) fn counters(&self) -> Counters {
        let (queued, running, threads) = {
            let state = self.lock();
            (state.queue.len(), state.queue.running(), state.threads)
        };
        Counters {
            cached: self.totals.cached.get(),
            submitted: self.totals.submitted.get(),
            unsuspended: self.totals.unsuspended.get(),
            completed: self.totals.completed.get(),
            cancelled: self.totals.cancelled.get(),
            wakeups: self.totals.wakeups.get(),
            panics: self.totals.panics.get(),
            queued: queued as u64,
            in_flight: running as u64,
            workers: threads as u64,
            idle_workers: threads.saturating_sub(running) as u64,
        }
    }

    /// Queues a job.
    pub(crate) fn submit(&self, lane: Lane, job: Job) -> Submitted {
        self.totals.submitted.increment();
        self.push(lane, job)
    }

    /// Queues work that nobody waits for.
    pub(crate) fn spawn(&self, lane: Lane, work: Detached) {
        self.push(lane, Job { ticket: Ticket::new(0), work: Work::Detached(work) });
    }

    fn push(&self, lane: Lane, job: Job) -> Submitted {
        let mut state = self.lock();
        let unwanted = state.queue.push(lane, job);
        self.publish(&state.queue);
        let mut submitted = Submitted::Queued;
        if state.lingering >= state.queue.len() {
            if state.queue.running() == 0 {
                submitted = Submitted::Immediate;
            }
        } else {
            self.call_for_help(&mut state);
        }
        let hopeless = self.take_hopeless(&mut state);
        drop(state);
        self.refuse(hopeless);
        for job in unwanted {
            self.totals.cancelled.increment();
            drop(job);
        }
        submitted
    }

    /// What is true of a job that was submitted before and is not over.
    pub(crate) fn whether_only_one_runs(&self) -> Submitted {
        let state = self.lock();
        if state.queue.is_empty() && state.queue.running() == 1 {
            Submitted::Immediate
        } else {
            Submitted::Queued
        }
    }

    /// Tells those that do not hold the lock what is queued.
    fn publish(&self, queue: &Queue) {
        self.queued.store(queue.len(), Ordering::Release);
        self.more_than_steps.store(queue.has_more_than_steps(), Ordering::Relaxed);
    }

    /// Whether a job is queued to which a step of a stream should leave its worker.
    pub(crate) fn has_more_than_steps(&self) -> bool {
        self.more_than_steps.load(Ordering::Relaxed)
    }

    /// Polls for the completion of a job if it is likely soon; returns whether it is done.
    pub(crate) fn look(&self, submitted: Submitted, kind: Kind, ticket: &Ticket) -> bool {
        let done = submitted == Submitted::Immediate && self.timing.worth_looking(kind) && look_for(ticket);
        if done {
            self.totals.unsuspended.increment();
        }
        done
    }

    /// Whether the system refuses threads, and no existing one will ever take what is queued.
    fn is_hopeless(&self, state: &State) -> bool {
        state.threads == 0 || (state.refused && state.queue.held(STUCK_AFTER) >= state.threads)
    }

    /// Takes the queued work that no thread will take.
    fn take_hopeless(&self, state: &mut State) -> Hopeless {
        if !self.is_hopeless(state) {
            return Hopeless::default();
        }
        let jobs = state.queue.take_all(false);
        self.publish(&state.queue);
        Hopeless { jobs, closing: state.queue.to_be_closed() }
    }

    /// Fails the operations that wait for it: there is no thread.
    fn refuse(&self, hopeless: Hopeless) {
        let closing = hopeless.closing.iter().flat_map(|handle| handle.take_close_waiters());
        let waiting = hopeless.jobs.into_iter().map(|job| {
            drop(job.work);
            job.ticket
        });
        for ticket in waiting.chain(closing) {
            if ticket.finish(Err(Error::NoThread)) {
                self.totals.wakeups.increment();
            }
        }
    }

    /// An operation begins to wait for detached work: tries once more to start a thread if there is none.
    pub(crate) fn wait_for_detached(&self) {
        let mut state = self.lock();
        self.call_for_help(&mut state);
        let hopeless = self.take_hopeless(&mut state);
        drop(state);
        self.refuse(hopeless);
    }

    /// Does detached work in this thread if the system refuses threads. That may block.
    pub(crate) fn see_to_detached(&self, engine: &Engine) {
        let mut state = self.lock();
        self.call_for_help(&mut state);
        let jobs = if state.threads == 0 { state.queue.take_all(true) } else { Vec::new() };
        self.publish(&state.queue);
        drop(state);
        for job in jobs {
            // What nobody waits for leaves nothing.
            let _ = self.run(engine, job);
        }
    }

    /// Ensures that queued jobs are taken: by a worker while processors are free, by a standby otherwise.
    fn call_for_help(&self, state: &mut State) {
        if state.queue.is_empty() {
            return;
        }
        let max_workers = self.max_workers.load(Ordering::Relaxed);
        let processors = self.configuration.usable_cpus;
        let mut active = state.queue.running() + state.coming + state.lingering;
        if active >= processors {
            active -= state.queue.busy_for(WAITING_AFTER).min(state.queue.running());
        }
        if active < processors && state.queue.running() + state.coming < max_workers {
            state.coming += 1;
            if state.parked >= state.coming {
                self.work.notify_one();
            } else if !self.start_thread(state, Role::Worker) {
                state.coming -= 1;
            }
        } else if !state.standby {
            state.standby = true;
            if state.parked > state.coming {
                state.standby_wanted = true;
                self.work.notify_one();
            } else if !self.start_thread(state, Role::Standby) {
                state.standby = false;
            }
        } else if state.standby_blocked {
            self.standby.notify_one();
        }
    }

    /// Starts a worker thread; `false` if the system refuses.
    fn start_thread(&self, state: &mut State, role: Role) -> bool {
        // The submitter has a reference to the engine.
        let Some(engine) = self.engine() else { return false };
        let most = self.max_workers.load(Ordering::Relaxed).saturating_add(STAND_INS);
        let work = move || engine.pool().work(&engine, role);
        let started = state.threads < most && runtime::spawn(work).is_ok();
        state.refused = !started;
        state.threads += usize::from(started);
        started
    }

    fn work(&self, engine: &Engine, role: Role) {
        runtime::enter_worker();
        let mut state = self.lock();
        let identity = state.next_worker;
        state.next_worker += 1;
        match role {
            Role::Worker => state.coming = state.coming.saturating_sub(1),
            Role::Standby => state.standby_wanted = true,
        }
        loop {
            let (back, next) = self.next_job(state);
            state = back;
            let Some((lane, job)) = next else {
                state.threads -= 1;
                return;
            };
            // More work than workers: another one may be needed.
            if state.lingering == 0 {
                self.call_for_help(&mut state);
            }
            state.queue.begin(identity, lane);
            // Queued work that this thread leaves behind, perhaps permanently.
            let hopeless = self.take_hopeless(&mut state);
            drop(state);
            self.refuse(hopeless);
            let rest = self.run(engine, job);
            state = self.lock();
            state.queue.finish(identity, lane);
            if let Some(rest) = rest {
                state = self.queue_rest(state, lane, rest);
            }
        }
    }

    /// Queues what is left of a job. This worker looks for its next job now, so none is woken: long work that went to
    /// another thread every few milliseconds took a fifth more processor time, and each time waited for a processor
    /// where others were busy.
    fn queue_rest<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        lane: Lane,
        rest: Job,
    ) -> MutexGuard<'a, State> {
        self.totals.submitted.increment();
        let unwanted = state.queue.push(lane, rest);
        self.publish(&state.queue);
        if unwanted.is_empty() {
            return state;
        }
        // While these are dropped another worker has to look.
        self.call_for_help(&mut state);
        drop(state);
        for job in unwanted {
            self.totals.cancelled.increment();
            drop(job);
        }
        self.lock()
    }

    /// The next job for a worker, or `None` if its thread should exit.
    fn next_job<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
    ) -> (MutexGuard<'a, State>, Option<(Lane, Job)>) {
        // Waking up in vain does not prolong it.
        let mut kept_until = None;
        loop {
            if std::mem::take(&mut state.standby_wanted) {
                let (back, job) = self.stand_by(state);
                state = back;
                if job.is_some() {
                    return (state, job);
                }
            }
            if let Some(job) = self.take(&mut state) {
                return (state, Some(job));
            }
            if state.lingering == 0 && self.configuration.may_spin() {
                state.lingering += 1;
                drop(state);
                self.linger();
                state = self.lock();
                state.lingering -= 1;
                if let Some(job) = self.take(&mut state) {
                    return (state, Some(job));
                }
            }
            if !state.queue.is_empty() && !state.standby {
                // It may not be taken yet. A standby has to watch for when it may.
                state.standby = true;
                state.standby_wanted = true;
                continue;
            }
            state.parked += 1;
            let now = runtime::now();
            let most = kept_until.get_or_insert(now + WORKER_KEPT_FOR).saturating_duration_since(now);
            let (back, timed_out) = self.work.wait(&self.state, state, most);
            state = back;
            state.parked -= 1;
            if timed_out {
                kept_until = None;
            }
            if state.coming > 0 {
                state.coming -= 1;
            } else if timed_out && state.queue.is_empty() && !state.standby_wanted {
                return (state, None);
            }
        }
    }

    /// Polls for a job for a few tens of microseconds.
    fn linger(&self) {
        // A process that uses the library only now and then must not waste processor time each time.
        let in_vain = self.in_vain.load(Ordering::Relaxed);
        let patience = if in_vain < LINGERS_IN_VAIN || in_vain.is_multiple_of(LINGER_AGAIN_EVERY) {
            LINGER
        } else {
            SHORT_LINGER
        };
        let came = runtime::spin(runtime::now() + patience, || self.queued.load(Ordering::Acquire) > 0);
        self.in_vain.store(if came { 0 } else { in_vain.wrapping_add(1) }, Ordering::Relaxed);
    }

    /// Watches the queue; returns a job when the queue does not move, and none when there is nothing to watch.
    fn stand_by<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
    ) -> (MutexGuard<'a, State>, Option<(Lane, Job)>) {
        let mut tick = STANDBY_TICK;
        loop {
            let taken = state.queue.taken();
            state = self.standby.wait(&self.state, state, tick).0;
            let job = if state.queue.is_empty() {
                None
            } else {
                // If each busy worker has taken a job since the last check, the queue moves.
                let busy = state.queue.running().min(self.configuration.usable_cpus) as u64;
                if state.queue.taken() - taken >= busy.max(1) {
                    continue;
                }
                let Some(job) = self.take(&mut state) else {
                    state.standby_blocked = true;
                    tick = (tick * 2).min(LONGEST_STANDBY_TICK);
                    continue;
                };
                Some(job)
            };
            state.standby = false;
            state.standby_blocked = false;
            return (state, job);
        }
    }

    /// Takes a job, if there is one that may run now.
    fn take(&self, state: &mut State) -> Option<(Lane, Job)> {
        if state.queue.is_empty() {
            return None;
        }
        let configuration = self.configuration();
        if state.queue.running() >= configuration.max_workers {
            let stuck = state.queue.busy_for(STUCK_AFTER);
            if state.queue.running() - stuck.min(state.queue.running()) >= configuration.max_workers {
                return None;
            }
        }
        let most = configuration.max_workers_per_lane();
        let special = !state.queue.has_special() || self.may_wait(state);
        let mut job = state.queue.pop(most, STUCK_AFTER, special);
        if job.is_none() && !special && state.threads == 1 {
            // A single thread has to do everything, and last the jobs that may never return.
            job = state.queue.pop(most, STUCK_AFTER, true);
        }
        self.publish(&state.queue);
        job
    }

    /// Whether an idle worker may take a job that waits for another process: a later job, for which that process may be
    /// waiting, needs a worker too.
    fn may_wait(&self, state: &mut State) -> bool {
        if state.threads - state.queue.running() > 1 || state.threads == 0 {
            return true;
        }
        state.coming += 1;
        let started = self.start_thread(state, Role::Worker);
        state.coming -= usize::from(!started);
        started
    }

    /// Runs a job. What is left of it is to be queued.
    fn run(&self, engine: &Engine, job: Job) -> Option<Job> {
        let Job { ticket, work } = job;
        if ticket.is_cancelled() {
            self.totals.cancelled.increment();
            drop(work);
            self.give_memory_back(&ticket);
            return None;
        }
        let end = match work {
            Work::PathOperation(operation) => {
                let kind = operation.kind();
                let began = runtime::now();
                let outcome = self.catch(|| operation.run(engine));
                self.timing.note(kind, runtime::elapsed(began));
                End::Outcome(outcome)
            }
            Work::Handle(job) => {
                let kind = job.kind();
                let began = runtime::now();
                let left = self.catch(|| {
                    job.run(&ticket);
                    Ok(())
                });
                self.timing.note(kind, runtime::elapsed(began));
                left.map_or_else(|panic| End::Outcome(Err(panic)), |()| End::Left)
            }
            // Only the last of the workers that fill a buffer has an outcome.
            Work::ParallelRead(read) => match self.catch(|| Ok(read.run(&ticket))) {
                Ok(read) => read.map_or(End::Nothing, |read| {
                    End::Outcome(read.map(|(length, tail)| Outcome::Filled { length, tail }))
                }),
                Err(panic) => End::Outcome(Err(panic)),
            },
            Work::Lock(job) => {
                let began = runtime::now();
                let answer = self.catch(|| Ok(job.run(engine)));
                self.timing.note(Kind::Lock, runtime::elapsed(began));
                match answer {
                    Ok(answer) => answer.map_or(End::Nothing, End::Outcome),
                    Err(panic) => End::Outcome(Err(panic)),
                }
            }
            Work::Detached(Detached { work, .. }) => {
                // A panic is counted; there is nobody to report it to.
                let _ = self.catch(|| {
                    work();
                    Ok(())
                });
                return None;
            }
            Work::Steps(steps) => return steps.run(),
            Work::FillText(mut text) => End::Outcome(self.catch(|| {
                text.run();
                Ok(Outcome::TextFilled(text))
            })),
        };
        // Counted before anybody can see that it is done.
        self.totals.completed.increment();
        let woken = match end {
            End::Outcome(outcome) => ticket.finish(outcome),
            End::Left => ticket.tell(),
            End::Nothing => false,
        };
        if woken {
            self.totals.wakeups.increment();
        } else if ticket.is_cancelled() {
            self.give_memory_back(&ticket);
        }
        None
    }

    /// A cancelled job may have kept much memory of the caller's alive.
    fn give_memory_back(&self, ticket: &Ticket) {
        if ticket.give_memory_back() {
            self.totals.wakeups.increment();
        }
    }

    /// Turns a panic into an error of the operation in which it happened.
    pub(crate) fn catch<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            self.totals.panics.increment();
            let message = panic
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            Err(Error::Panic(message))
        })
    }

    /// A model is over: everybody who sleeps has slept enough.
    #[cfg(all(test, loom))]
    pub(crate) fn end(&self) {
        let state = self.lock();
        self.work.end();
        self.standby.end();
        drop(state);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        runtime::lock(&self.state)
    }
}

/// Spins until the ticket is done, for at most [`LONGEST_LOOK`].
fn look_for(ticket: &Ticket) -> bool {
    runtime::spin(runtime::now() + LONGEST_LOOK, || ticket.is_done())
}
