//! The workers' end of a stream: jobs that step its parts.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::engine::Engine;
use crate::engine::kind::Kind;
use crate::engine::lane::Lane;
use crate::engine::pool::Submitted;
use crate::engine::queue::{Detached, Job, Work};
use crate::engine::runtime;
use crate::engine::stream::slice::{Signals, Slice};
use crate::engine::stream::source::{Part, Source, Step};
use crate::engine::stream::state::State;
use crate::engine::ticket::Ticket;
use crate::error::Error;
use crate::limits::{STREAM_LEAST_STEP, STREAM_STEP};
use crate::outcome::Outcome;

/// The state that the consumer and the workers share.
pub(super) struct Shared<S: Source> {
    pub(super) engine: Arc<Engine>,
    pub(super) lane: Lane,
    pub(super) kind: Kind,
    /// The most steps at once.
    pub(super) most: usize,
    pub(super) signals: Signals,
    /// The ticket of all jobs: cancelled with the stream, so that the pool drops those that have not begun.
    pub(super) ticket: Arc<Ticket>,
    pub(super) state: Mutex<State<S>>,
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
    pub(super) fn new(engine: &Engine, lane: Lane, kind: Kind, most: usize, source: S) -> Self {
        Self {
            engine: engine.share(),
            lane,
            kind,
            most,
            signals: Signals::new(),
            ticket: Ticket::new(0),
            state: Mutex::new(State::new(source)),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<S>> {
        runtime::lock(&self.state)
    }

    /// Releases the lock, wakes the consumer if there is something for it, and drops the garbage.
    pub(super) fn unlock(&self, mut state: MutexGuard<'_, State<S>>) {
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
    pub(super) fn unlock_on_loop(&self, mut state: MutexGuard<'_, State<S>>) {
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
        self.signals.want_up_to(last);
    }

    /// Hands a job, which has been counted, to the pool.
    pub(super) fn submit(self: &Arc<Self>) -> Submitted {
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
            let calls_for_help = state.adds_job(self.most);
            let spent = std::mem::take(&mut state.spent);
            self.unlock(state);
            if calls_for_help {
                self.submit();
            }
            drop(spent);

            let slice = Slice::of_step(until, shared, ordinal, &self.signals);
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
        let goes_on = state.adds_job(self.most);
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
