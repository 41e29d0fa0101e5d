//! The descriptors of all trees that a process works on: who may begin, what stays open, and whether some will come free.
//!
//! Walks keep little open, and none of it while they wait. So they only have to try again, as long as others give
//! something back, and do not leave too many directories half read. Copies and removals keep the directories on their
//! way down open: each is *admitted* before it opens anything, if what it needs at least is there for it, so that those
//! that have begun can always go on. Beyond that, all of them together take a share of the process's limit.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use crate::engine::runtime::{self, Condition, sync};
use crate::engine::ticket::Ticket;
use crate::limits::{
    DESCRIPTORS_AWAITED, DESCRIPTORS_PAUSE, TREE_ADMITTED_SHARE, TREE_LEFT_SHARE, TREE_SHARE,
};
use crate::outcome::Outcome;
use crate::platform;
use crate::verbs::tree::OpenDirectories;

/// The descriptors of a process's trees.
#[derive(Debug, Default)]
pub(crate) struct Descriptors {
    /// Directories that walks keep open because it is convenient.
    pub(crate) kept: Arc<OpenDirectories>,
    /// Directories that are being opened or read.
    reading: AtomicUsize,
    /// How many were being read when a reader met the limit; 0 if none has.
    too_many: AtomicUsize,
    /// What copies and removals have open.
    open: AtomicUsize,
    /// How often something has been given back.
    given_back: AtomicU64,
    /// For those who try again after a moment.
    pause: (sync::Mutex<()>, Condition),
    queue: Mutex<Queue>,
}

/// Copies and removals, in the order in which they begin.
#[derive(Debug, Default)]
struct Queue {
    /// What those need that have begun.
    taken: usize,
    waiting: VecDeque<Waiting>,
    /// How far each is that is not over, by its number.
    phases: HashMap<u64, Phase>,
    numbers: u64,
}

/// One that waits for its admission.
#[derive(Debug)]
struct Waiting {
    number: u64,
    needs: usize,
    ticket: Arc<Ticket>,
}

/// Whether another one may begin.
fn has_room(taken: usize, needs: usize) -> bool {
    taken == 0 || taken + needs <= platform::most_descriptors() / TREE_ADMITTED_SHARE
}

impl Queue {
    /// Admits those for which there is room now; their tickets, to be finished without the lock.
    fn admit(&mut self) -> Vec<Arc<Ticket>> {
        let mut admitted = Vec::new();
        while self.waiting.front().is_some_and(|first| has_room(self.taken, first.needs)) {
            let Some(Waiting { number, needs, ticket }) = self.waiting.pop_front() else { break };
            self.taken += needs;
            self.phases.insert(number, Phase::Inside);
            admitted.push(ticket);
        }
        admitted
    }
}

impl Descriptors {
    /// A directory is going to be opened and read.
    pub(crate) fn read(self: &Arc<Self>) -> BeingRead {
        self.reading.fetch_add(1, Ordering::Relaxed);
        BeingRead { descriptors: Arc::clone(self), is_open: false }
    }

    /// Whether a step may end in the middle of a directory, which then stays open. Otherwise it reads it to its end.
    pub(crate) fn may_leave_open(&self) -> bool {
        let most = match self.too_many.load(Ordering::Relaxed) {
            0 => platform::most_descriptors() / TREE_LEFT_SHARE,
            too_many => too_many / 2,
        };
        self.reading.load(Ordering::Relaxed) <= most
    }

    /// Counts what a copy or a removal opens.
    pub(crate) fn opened(&self, count: usize) {
        self.open.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts what it closes.
    pub(crate) fn closed(&self, count: usize) {
        self.open.fetch_sub(count, Ordering::Relaxed);
        self.given_back.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether copies and removals have their share open.
    pub(crate) fn are_many_open(&self) -> bool {
        self.open.load(Ordering::Relaxed) >= platform::most_descriptors() / TREE_SHARE
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        runtime::lock(&self.queue)
    }
}

/// A directory that is being opened or read.
#[derive(Debug)]
pub(crate) struct BeingRead {
    descriptors: Arc<Descriptors>,
    is_open: bool,
}

impl BeingRead {
    /// It has been opened.
    pub(crate) fn opened(&mut self) {
        self.is_open = true;
    }
}

impl Drop for BeingRead {
    fn drop(&mut self) {
        let descriptors = &self.descriptors;
        if descriptors.reading.fetch_sub(1, Ordering::Relaxed) == 1 {
            descriptors.too_many.store(0, Ordering::Relaxed);
        }
        // Those who only tried give others no reason to go on trying.
        descriptors.given_back.fetch_add(u64::from(self.is_open), Ordering::Relaxed);
    }
}

/// How long somebody has waited for a descriptor in vain.
#[derive(Debug, Default)]
pub(crate) struct Patience(Option<(u64, Instant)>);

impl Patience {
    /// Whether to try again, with the next step: others have something open, of which `own` is the caller's, and not too
    /// long ago something was given back.
    pub(crate) fn lasts(&mut self, descriptors: &Descriptors, own: usize) -> bool {
        descriptors.kept.close_all();
        let reading = descriptors.reading.load(Ordering::Relaxed);
        if reading + descriptors.open.load(Ordering::Relaxed) <= own {
            return false;
        }
        if reading > 0 {
            descriptors.too_many.store(reading, Ordering::Relaxed);
        }
        let given_back = descriptors.given_back.load(Ordering::Relaxed);
        match self.0 {
            Some((before, since)) if before == given_back => {
                if runtime::elapsed(since) >= DESCRIPTORS_AWAITED {
                    return false;
                }
            }
            _ => self.0 = Some((given_back, runtime::now())),
        }
        let (mutex, condition) = &descriptors.pause;
        drop(condition.wait(mutex, runtime::lock(mutex), DESCRIPTORS_PAUSE));
        true
    }

    /// It has come.
    pub(crate) fn rest(&mut self) {
        self.0 = None;
    }
}

/// How far an admission is, until it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It has not been asked for.
    Outside,
    Waiting,
    /// It counts.
    Inside,
    /// The consumer is seeing to a report, perhaps with a tree of its own, which must not have to wait for this one.
    Lent,
}

/// The admission of a copy or a removal. All about it is in the queue, under its lock.
#[derive(Debug)]
pub(crate) struct Admission {
    descriptors: Arc<Descriptors>,
    needs: usize,
    number: u64,
}

impl Admission {
    /// The admission of one that needs at least `needs` descriptors.
    pub(crate) fn new(descriptors: &Arc<Descriptors>, needs: usize) -> Arc<Self> {
        let mut queue = descriptors.queue();
        queue.numbers += 1;
        let number = queue.numbers;
        queue.phases.insert(number, Phase::Outside);
        drop(queue);
        Arc::new(Self { descriptors: Arc::clone(descriptors), needs, number })
    }

    /// What the consumer has to wait for before it begins or goes on.
    pub(crate) fn ask(&self, ticket: impl FnOnce() -> Arc<Ticket>) -> Option<Arc<Ticket>> {
        let mut queue = self.descriptors.queue();
        let Queue { taken, waiting, phases, .. } = &mut *queue;
        let phase = phases.get_mut(&self.number)?;
        match *phase {
            Phase::Inside => None,
            Phase::Lent => {
                *taken += self.needs;
                *phase = Phase::Inside;
                None
            }
            Phase::Outside if waiting.is_empty() && has_room(*taken, self.needs) => {
                *taken += self.needs;
                *phase = Phase::Inside;
                None
            }
            Phase::Outside => {
                let ticket = ticket();
                *phase = Phase::Waiting;
                waiting.push_back(Waiting {
                    number: self.number,
                    needs: self.needs,
                    ticket: Arc::clone(&ticket),
                });
                Some(ticket)
            }
            Phase::Waiting => {
                let ticket = ticket();
                let own = waiting.iter_mut().find(|waiting| waiting.number == self.number);
                let before = own.map(|own| std::mem::replace(&mut own.ticket, Arc::clone(&ticket)));
                drop(queue);
                drop(before);
                Some(ticket)
            }
        }
    }

    /// The consumer is seeing to a report.
    pub(crate) fn lend(&self) {
        let mut queue = self.descriptors.queue();
        if queue.phases.get(&self.number) == Some(&Phase::Inside) {
            queue.taken -= self.needs;
            queue.phases.insert(self.number, Phase::Lent);
            self.give_back(queue);
        }
    }

    /// Everything is closed.
    pub(crate) fn end(&self) {
        let mut queue = self.descriptors.queue();
        if queue.phases.remove(&self.number) == Some(Phase::Inside) {
            queue.taken -= self.needs;
        }
        let at = queue.waiting.iter().position(|waiting| waiting.number == self.number);
        let waited = at.and_then(|at| queue.waiting.remove(at));
        self.give_back(queue);
        drop(waited);
    }

    /// Others may have room now.
    fn give_back(&self, mut queue: MutexGuard<'_, Queue>) {
        let admitted = queue.admit();
        drop(queue);
        self.descriptors.given_back.fetch_add(1, Ordering::Relaxed);
        for ticket in admitted {
            ticket.finish(Ok(Outcome::Done));
        }
    }
}
