//! The descriptors of all trees that a process works on: who may begin, what stays open, and whether some will come free.
//!
//! Walks keep little open, and none of it while they wait. So they only have to try again, as long as others give
//! something back, and do not leave too many directories half read. Copies and removals keep the directories on their
//! way down open: each is *admitted* before it opens anything, if what it needs at least is there for it, so that those
//! that have begun can always go on. Beyond that, all of them together take a share of the process's limit.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use crate::engine::runtime::{self, Condition};
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
    /// A reader met the limit while so many were being read; 0 for none.
    too_many: AtomicUsize,
    /// What copies and removals have open.
    open: AtomicUsize,
    /// How often something has been given back.
    given_back: AtomicU64,
    /// For those who try again after a moment.
    pause: (Mutex<()>, Condition),
    queue: Mutex<Queue>,
}

/// Copies and removals, in the order in which they begin.
#[derive(Debug, Default)]
struct Queue {
    /// What those need that have begun.
    taken: usize,
    waiting: VecDeque<(Arc<Admission>, Arc<Ticket>)>,
}

impl Queue {
    fn has_room(&self, needs: usize) -> bool {
        self.taken == 0 || self.taken + needs <= platform::most_descriptors() / TREE_ADMITTED_SHARE
    }

    /// Admits those for which there is room now; their tickets, to be finished without the lock.
    fn admit(&mut self) -> Vec<Arc<Ticket>> {
        let mut admitted = Vec::new();
        while self.waiting.front().is_some_and(|(first, _)| self.has_room(first.needs)) {
            let Some((first, ticket)) = self.waiting.pop_front() else { break };
            self.taken += first.needs;
            first.set(Stage::Inside);
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

/// How far an admission is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    /// It has not been asked for.
    Outside,
    Waiting,
    /// It counts.
    Inside,
    /// The consumer is seeing to a report, perhaps with a tree of its own, which must not have to wait for this one.
    Lent,
    Over,
}

/// The admission of a copy or a removal.
#[derive(Debug)]
pub(crate) struct Admission {
    descriptors: Arc<Descriptors>,
    needs: usize,
    /// A [`Stage`], which is only changed under the lock of the queue.
    stage: AtomicU8,
}

impl Admission {
    /// Of one that needs so many descriptors at least.
    pub(crate) fn new(descriptors: &Arc<Descriptors>, needs: usize) -> Arc<Self> {
        let stage = AtomicU8::new(Stage::Outside as u8);
        Arc::new(Self { descriptors: Arc::clone(descriptors), needs, stage })
    }

    fn is(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Relaxed) == stage as u8
    }

    fn set(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// What the consumer has to wait for before it begins or goes on.
    pub(crate) fn ask(self: &Arc<Self>, ticket: impl FnOnce() -> Arc<Ticket>) -> Option<Arc<Ticket>> {
        let mut queue = self.descriptors.queue();
        let begins = self.is(Stage::Outside) && queue.waiting.is_empty() && queue.has_room(self.needs);
        if begins || self.is(Stage::Lent) {
            queue.taken += self.needs;
            self.set(Stage::Inside);
        }
        if !self.is(Stage::Outside) && !self.is(Stage::Waiting) {
            return None;
        }
        let ticket = ticket();
        if self.is(Stage::Waiting) {
            let own = queue.waiting.iter_mut().find(|(waiting, _)| Arc::ptr_eq(waiting, self));
            let before = own.map(|(_, before)| std::mem::replace(before, Arc::clone(&ticket)));
            drop(queue);
            drop(before);
        } else {
            self.set(Stage::Waiting);
            queue.waiting.push_back((Arc::clone(self), Arc::clone(&ticket)));
        }
        Some(ticket)
    }

    /// The consumer is seeing to a report.
    pub(crate) fn lend(&self) {
        self.leave(Stage::Lent);
    }

    /// Everything is closed.
    pub(crate) fn end(&self) {
        self.leave(Stage::Over);
    }

    fn leave(&self, stage: Stage) {
        let mut queue = self.descriptors.queue();
        if self.is(Stage::Inside) {
            queue.taken -= self.needs;
        } else if stage == Stage::Lent {
            return;
        }
        let at = queue.waiting.iter().position(|(waiting, _)| std::ptr::eq(Arc::as_ptr(waiting), self));
        let waited = at.and_then(|at| queue.waiting.remove(at));
        self.set(stage);
        let admitted = queue.admit();
        drop(queue);
        drop(waited);
        self.descriptors.given_back.fetch_add(1, Ordering::Relaxed);
        for ticket in admitted {
            ticket.finish(Ok(Outcome::Done));
        }
    }
}
