//! The consumer's end of a stream.

use std::fmt;
use std::sync::Arc;

use crate::engine::kind::Kind;
use crate::engine::lane::Lane;
use crate::engine::pool::Submitted;
use crate::engine::progress::Progress;
use crate::engine::queue::Detached;
use crate::engine::stream::source::Source;
use crate::engine::stream::steps::Shared;
use crate::engine::ticket::Ticket;
use crate::engine::{Engine, Process};
use crate::error::Error;
use crate::limits::STREAM_STEPS;

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
        let shared = Shared::new(engine, lane, kind, most, source);
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
        self.shared.signals.done()
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
            let submits = state.adds_job(shared.most);
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
        let submits = state.adds_job(shared.most);
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
        let submits = state.adds_job(self.shared.most);
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
