//! The queue that feeds the workers, and the jobs that they are running.
//!
//! Jobs queue in lanes, one for each mount, and a lane may occupy only a part of the workers, so that a dead mount
//! leaves workers for all others.

use std::collections::VecDeque;
use std::fmt;
use std::mem::take;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::lane::Lane;
use crate::engine::runtime;
use crate::engine::stream::Steps;
use crate::engine::ticket::Ticket;
use crate::handle::{Handle, HandleJob};
use crate::limits::PURGE_ABOVE;
use crate::lock::LockJob;
use crate::path_operation::PathOperation;
use crate::text::TextFill;
use crate::verbs::parallel_read::ParallelRead;

/// The work of a job.
#[derive(Debug)]
pub(crate) enum Work {
    PathOperation(PathOperation),
    Handle(HandleJob),
    ParallelRead(Arc<ParallelRead>),
    FillText(TextFill),
    Steps(Box<dyn Steps>),
    Lock(LockJob),
    Detached(Detached),
}

/// Work that nobody has to wait for, such as closing a file. It is done even if the system refuses a thread for now.
pub(crate) struct Detached {
    pub(crate) work: Box<dyn FnOnce() + Send>,
    /// The handle that it closes: an operation may wait for that nevertheless.
    pub(crate) closes: Option<Arc<Handle>>,
}

impl Detached {
    pub(crate) fn new(work: impl FnOnce() + Send + 'static) -> Self {
        Self { work: Box::new(work), closes: None }
    }
}

impl fmt::Debug for Detached {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Detached")
    }
}

/// A piece of work, and the ticket that waits for it.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) work: Work,
}

impl Job {
    /// Whether it is a part of long work, which leaves its worker to other jobs.
    fn is_step(&self) -> bool {
        matches!(self.work, Work::Steps(_))
    }
}

fn count_steps<'a>(jobs: impl IntoIterator<Item = &'a Job>) -> usize {
    jobs.into_iter().filter(|job| job.is_step()).count()
}

#[derive(Debug)]
struct LaneState {
    lane: Lane,
    jobs: VecDeque<Job>,
    running: usize,
    /// With this many jobs queued, cancelled ones are searched for.
    purge_at: usize,
}

/// A worker that is in a job.
#[derive(Debug)]
struct Busy {
    worker: u64,
    lane: Lane,
    since: Instant,
}

/// Jobs that are queued, and jobs that are running.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    lanes: Vec<LaneState>,
    /// The lane to look at first: they take turns.
    next_lane: usize,
    queued: usize,
    /// Those of them that are steps of streams.
    steps: usize,
    running: usize,
    taken: u64,
    busy: Vec<Busy>,
}

impl Queue {
    /// The number of queued jobs.
    pub(crate) fn len(&self) -> usize {
        self.queued
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// Whether a job is queued that is no step of a stream.
    pub(crate) fn has_more_than_steps(&self) -> bool {
        self.queued > self.steps
    }

    /// The jobs that are queued.
    #[cfg(all(test, target_os = "linux", not(loom)))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.lanes.iter().flat_map(|lane| &lane.jobs)
    }

    /// The number of jobs that have been taken and are not done.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// The number of jobs taken so far: how a standby sees whether the queue moves.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Queues a job; returns the cancelled ones that were removed. Drop them without holding a lock, because that wakes
    /// operations that wait for the same handle.
    pub(crate) fn push(&mut self, lane: Lane, job: Job) -> VecDeque<Job> {
        let found = self.lanes.iter().position(|state| state.lane == lane);
        let index = found.unwrap_or_else(|| {
            self.lanes.push(LaneState { lane, jobs: VecDeque::new(), running: 0, purge_at: PURGE_ABOVE });
            self.lanes.len() - 1
        });
        let lane = &mut self.lanes[index];
        let mut unwanted = VecDeque::new();
        if lane.jobs.len() >= lane.purge_at {
            // A lane whose workers are stuck may never get to its cancelled jobs.
            let (cancelled, wanted) =
                take(&mut lane.jobs).into_iter().partition(|job| job.ticket.is_cancelled());
            (unwanted, lane.jobs) = (cancelled, wanted);
            lane.purge_at = PURGE_ABOVE.max(lane.jobs.len() * 2);
        }
        self.steps = self.steps + usize::from(job.is_step()) - count_steps(&unwanted);
        lane.jobs.push_back(job);
        self.queued = self.queued + 1 - unwanted.len();
        unwanted
    }

    /// The handles that queued jobs will close.
    pub(crate) fn to_be_closed(&self) -> Vec<Arc<Handle>> {
        let jobs = self.lanes.iter().flat_map(|lane| &lane.jobs);
        jobs.filter_map(|job| match &job.work {
            Work::Detached(work) => work.closes.clone(),
            _ => None,
        })
        .collect()
    }

    /// Removes all jobs that somebody waits for (`detached`: that nobody waits for).
    pub(crate) fn take_all(&mut self, detached: bool) -> Vec<Job> {
        let mut taken = Vec::new();
        for lane in &mut self.lanes {
            let is_wanted = |job: &Job| matches!(job.work, Work::Detached(_)) == detached;
            let (wanted, left): (Vec<_>, Vec<_>) = take(&mut lane.jobs).into_iter().partition(is_wanted);
            lane.jobs = VecDeque::from(left);
            taken.extend(wanted);
        }
        self.lanes.retain(|lane| lane.running > 0 || !lane.jobs.is_empty());
        self.queued -= taken.len();
        self.steps -= count_steps(&taken);
        taken
    }

    /// Whether a job is queued that may wait for another process.
    pub(crate) fn has_special(&self) -> bool {
        self.lanes.iter().any(|state| state.lane == Lane::Special && !state.jobs.is_empty())
    }

    /// How many workers have been in one job for at least `time`.
    pub(crate) fn busy_for(&self, time: Duration) -> usize {
        let now = runtime::now();
        self.busy.iter().filter(|busy| now.duration_since(busy.since) >= time).count()
    }

    /// How many workers may never return: those that wait for another process, or that have been in one job for at
    /// least `time`.
    pub(crate) fn held(&self, time: Duration) -> usize {
        let now = runtime::now();
        let held = |busy: &&Busy| busy.lane == Lane::Special || now.duration_since(busy.since) >= time;
        self.busy.iter().filter(held).count()
    }

    /// Whether a lane may have one more worker.
    ///
    /// Stuck workers count, because a dead mount would otherwise take all of them; but not those that wait for special
    /// files: the reader of a FIFO waits for a writer (`fifo(7)`), which may be behind it in the queue.
    fn has_room(&self, lane: &LaneState, max_workers_per_lane: usize, stuck_after: Duration) -> bool {
        if lane.running < max_workers_per_lane {
            return true;
        }
        let now = runtime::now();
        let stuck =
            |busy: &&Busy| busy.lane == Lane::Special && now.duration_since(busy.since) >= stuck_after;
        lane.lane == Lane::Special
            && lane.running - self.busy.iter().filter(stuck).count() < max_workers_per_lane
    }

    /// The next job of the next lane that may run one more. `stuck_after`: how long a job takes that counts as stuck.
    /// `special`: whether the job may be one that waits for another process.
    pub(crate) fn pop(
        &mut self,
        max_workers_per_lane: usize,
        stuck_after: Duration,
        special: bool,
    ) -> Option<(Lane, Job)> {
        let lanes = self.lanes.len();
        for step in 0..lanes {
            let index = (self.next_lane + step) % lanes;
            if !special && self.lanes[index].lane == Lane::Special {
                continue;
            }
            if !self.has_room(&self.lanes[index], max_workers_per_lane, stuck_after) {
                continue;
            }
            let state = &mut self.lanes[index];
            let Some(job) = state.jobs.pop_front() else { continue };
            state.running += 1;
            let lane = state.lane;
            self.next_lane = index + 1;
            self.queued -= 1;
            self.steps -= usize::from(job.is_step());
            self.running += 1;
            self.taken += 1;
            return Some((lane, job));
        }
        None
    }

    /// Notes that a worker begins the job that it has taken.
    pub(crate) fn begin(&mut self, worker: u64, lane: Lane) {
        self.busy.push(Busy { worker, lane, since: runtime::now() });
    }

    /// Notes that a worker has finished its job.
    pub(crate) fn finish(&mut self, worker: u64, lane: Lane) {
        self.running -= 1;
        self.busy.retain(|busy| busy.worker != worker);
        let Some(index) = self.lanes.iter().position(|state| state.lane == lane) else { return };
        let state = &mut self.lanes[index];
        state.running -= 1;
        if state.running == 0 && state.jobs.is_empty() {
            self.lanes.swap_remove(index);
        }
    }
}
