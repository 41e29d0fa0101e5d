//! The queue of one file: who holds locks of it in this process, and who waits for them.

#[cfg(all(test, target_os = "linux", not(loom)))]
mod invariants;

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::claim::{Claim, Extent, Mode};
use super::lock_file::LockFile;
use super::own_file::OwnFile;
use super::patience::Patience;
use super::request::Requested;

/// For how many holders a queue in which nobody is keeps memory.
const SPARE_HOLDERS: usize = 4;

/// A claim that is held, or that nothing in this process is in the way of.
#[derive(Debug)]
struct Holder {
    id: u64,
    claim: Claim,
    requested: Arc<Requested>,
}

impl Holder {
    /// Whether it still holds it: closing a file releases its locks.
    fn is_there(&self) -> bool {
        !self.requested.is_closed()
    }
}

/// What somebody who waits does.
#[derive(Debug)]
pub(super) enum Phase {
    /// Waits for others of this process.
    Queued,
    /// Asks the kernel from time to time.
    Polling(Patience),
    /// A thread of its own waits in the kernel, and has the file.
    Blocked,
}

/// Somebody who waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: u64,
    pub(super) requested: Arc<Requested>,
    pub(super) phase: Phase,
    /// The file, while it is polled: those who wait for others of this process would use up the descriptors.
    pub(super) file: Option<LockFile>,
}

/// The locks of one file.
#[derive(Debug, Default)]
pub(super) struct Queue {
    holders: Vec<Holder>,
    /// In the order of their requests.
    waiting: VecDeque<Waiting>,
    /// How many of them want a range.
    ranges: usize,
    /// Since when this process has had it without a pause.
    pub(super) since: Option<Instant>,
    /// The file through which it is locked for those who share it.
    shared: Weak<OwnFile>,
}

/// Whether a claim may be tried.
pub(super) enum Verdict {
    Free,
    /// Others of this process are in the way: those who hold it, or those who wait for another process.
    Taken,
    /// The task holds it already.
    Reentry,
}

impl Waiting {
    fn wants_range(&self) -> bool {
        self.requested.request.extent != Extent::Whole
    }

    /// Whether it asks the kernel, or is about to.
    fn is_asking(&self) -> bool {
        matches!(self.phase, Phase::Polling(_) | Phase::Blocked)
    }
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.holders.is_empty() && self.waiting.is_empty()
    }

    /// Whether a request may be tried before all that are behind its place.
    pub(super) fn judge(&self, requested: &Requested) -> Verdict {
        let (claim, order) = (&requested.claim(), requested.order);
        let is_mine = |holder: &Holder| {
            claim.is_reentry(&holder.claim) && !holder.requested.is_given_up() && holder.is_there()
        };
        if self.holders.iter().any(is_mine) {
            return Verdict::Reentry;
        }
        if self.is_held(claim) {
            return Verdict::Taken;
        }
        let ahead = || self.waiting.iter().take_while(|waiting| waiting.requested.order < order);
        let asked = requested.request.blocking && self.is_asked_for(claim, ahead());
        if asked || ahead().any(|waiting| claim.conflicts(&waiting.requested.claim())) {
            return Verdict::Taken;
        }
        Verdict::Free
    }

    /// Whether one of those ahead asks the kernel for a lock that both can share: one is enough.
    fn is_asked_for<'a>(&self, claim: &Claim, mut ahead: impl Iterator<Item = &'a Waiting>) -> bool {
        claim.is_shareable()
            && self.shared.strong_count() == 0
            && ahead.any(|other| other.is_asking() && other.requested.claim().is_shareable())
    }

    /// The open file of those who share the lock.
    pub(super) fn shared(&self) -> Option<Arc<OwnFile>> {
        self.shared.upgrade()
    }

    /// Has others share a locked file; `false` if they do already.
    pub(super) fn offer(&mut self, file: &Arc<OwnFile>) -> bool {
        let is_new = self.shared.as_ptr() != Arc::as_ptr(file);
        self.shared = Arc::downgrade(file);
        is_new
    }

    /// Whether somebody holds a lock that this one would wait for.
    pub(super) fn is_held(&self, claim: &Claim) -> bool {
        self.holders.iter().any(|holder| claim.conflicts(&holder.claim) && holder.is_there())
    }

    /// Whether this process has a lock from the kernel that this one would wait for.
    pub(super) fn is_locked(&self, claim: &Claim) -> bool {
        let has_it = |holder: &Holder| holder.requested.is_granted() && holder.is_there();
        self.holders.iter().any(|holder| claim.conflicts(&holder.claim) && has_it(holder))
    }

    /// Makes a holder's claim another one, unless another holder is in the way.
    pub(super) fn convert(&mut self, id: u64, mode: Mode) -> bool {
        let Some(index) = self.holders.iter().position(|holder| holder.id == id) else { return false };
        let claim = Claim { mode, ..self.holders[index].claim };
        let in_the_way =
            |holder: &Holder| holder.id != id && claim.conflicts(&holder.claim) && holder.is_there();
        if self.holders.iter().any(in_the_way) {
            return false;
        }
        self.holders[index].claim = claim;
        true
    }

    pub(super) fn hold(&mut self, id: u64, requested: &Arc<Requested>) {
        self.holders.push(Holder { id, claim: requested.claim(), requested: Arc::clone(requested) });
    }

    /// Notes that a holder's task wants its lock no more, and may ask for another one before it has been released.
    pub(super) fn let_go(&self, id: u64) {
        if let Some(holder) = self.holders.iter().find(|holder| holder.id == id) {
            holder.requested.give_up();
        }
    }

    /// Removes a holder: its request, which is not to be dropped under the lock of the queues.
    pub(super) fn release(&mut self, id: u64) -> Option<Arc<Requested>> {
        let index = self.holders.iter().position(|holder| holder.id == id)?;
        Some(self.holders.swap_remove(index).requested)
    }

    /// Prepares one that nobody is in for another file. It keeps the memory for a few holders.
    pub(super) fn reset(&mut self) {
        let mut holders = mem::take(&mut self.holders);
        holders.shrink_to(SPARE_HOLDERS);
        *self = Self { holders, ..Self::default() };
    }

    /// Adds somebody at the place of the request.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        let order = waiting.requested.order;
        self.ranges += usize::from(waiting.wants_range());
        let behind = self.waiting.iter().rposition(|other| other.requested.order < order);
        self.waiting.insert(behind.map_or(0, |index| index + 1), waiting);
    }

    /// Has those with these numbers, which are in the order of the queue, ask the kernel from time to time.
    pub(super) fn start_polling(&mut self, ids: &[u64], patience: Patience) {
        let mut ids = ids.iter().peekable();
        for waiting in &mut self.waiting {
            if ids.next_if(|id| **id == waiting.id).is_some() {
                waiting.phase = Phase::Polling(patience);
            }
        }
    }

    pub(super) fn find(&mut self, id: u64) -> Option<&mut Waiting> {
        self.waiting.iter_mut().find(|waiting| waiting.id == id)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Waiting> {
        let index = self.waiting.iter().position(|waiting| waiting.id == id)?;
        let waiting = self.waiting.remove(index)?;
        self.ranges -= usize::from(waiting.wants_range());
        Some(waiting)
    }

    /// Removes those who wait for locks of an open file description.
    pub(super) fn take_waiting(&mut self, description: usize) -> VecDeque<Waiting> {
        let is_its = |waiting: &Waiting| waiting.requested.claim().description == description;
        let (taken, left) = mem::take(&mut self.waiting).into_iter().partition(is_its);
        self.waiting = left;
        self.ranges = self.waiting.iter().filter(|waiting| waiting.wants_range()).count();
        taken
    }

    /// Lets somebody who waits hold it, if nobody is in the way.
    pub(super) fn promote(&mut self, id: u64) -> Option<Waiting> {
        let index = self.waiting.iter().position(|waiting| waiting.id == id)?;
        let claim = self.waiting[index].requested.claim();
        let ahead = || self.waiting.iter().take(index);
        let free = !self.is_held(&claim)
            && !self.is_asked_for(&claim, ahead())
            && !ahead().any(|ahead| claim.conflicts(&ahead.requested.claim()));
        if !free {
            return None;
        }
        let waiting = self.remove(id)?;
        self.hold(id, &waiting.requested);
        Some(waiting)
    }

    /// Those who have waited for others of this process and need not any more.
    pub(super) fn ready(&self) -> Vec<u64> {
        let mut ready = Vec::new();
        // Those ahead; shared locks of the whole file, of which there may be many, are only counted.
        let (mut ahead, mut shared): (Vec<Claim>, Option<Claim>) = (Vec::new(), None);
        let mut exclusive = None;
        // One of them asks the kernel, and then the others share its file.
        let mut asked = false;
        for waiting in &self.waiting {
            let claim = waiting.requested.claim();
            let in_the_way = |other: &Claim| claim.conflicts(other);
            let by_another = asked && claim.is_shareable();
            if matches!(waiting.phase, Phase::Queued)
                && !by_another
                && !self.is_held(&claim)
                && !ahead.iter().chain(&shared).chain(&exclusive).any(in_the_way)
            {
                ready.push(waiting.id);
                asked |= claim.is_shareable() && self.shared.strong_count() == 0;
            } else {
                asked |= self.is_asked_for(&claim, std::iter::once(waiting));
            }
            match (claim.extent, claim.mode) {
                // Nobody behind it is ready, except those who want a range: it does not see them.
                (Extent::Whole, Mode::Exclusive) if self.ranges == 0 => break,
                (Extent::Whole, Mode::Exclusive) => exclusive = Some(claim),
                (Extent::Whole, Mode::Shared) if claim.description == 0 => shared = Some(claim),
                _ => ahead.push(claim),
            }
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{LockRequest, LockTarget};
    use crate::platform;

    fn request(mode: Mode, extent: Extent) -> Arc<Requested> {
        let target = LockTarget::Path(platform::entry_name(b"lock").unwrap());
        Requested::new(LockRequest { target, mode, extent, blocking: true, timeout: None, owner: 0 })
    }

    fn wait(queue: &mut Queue, id: u64, mode: Mode, extent: Extent) {
        let requested = request(mode, extent);
        queue.wait(Waiting { id, requested, phase: Phase::Queued, file: None });
    }

    const RANGE: Extent = Extent::Range { start: 0, length: 10 };

    #[test]
    fn who_asks_the_kernel_is_in_the_way_and_has_no_lock() {
        let mut queue = Queue::default();
        let asking = request(Mode::Exclusive, Extent::Whole);
        queue.hold(0, &asking);
        let other = request(Mode::Exclusive, Extent::Whole);
        assert!(matches!(queue.judge(&other), Verdict::Taken));
        assert!(!queue.is_locked(&other.claim()));
        asking.note_granted();
        assert!(queue.is_locked(&other.claim()));
    }

    #[test]
    fn who_waits_for_the_whole_file_keeps_nobody_from_a_range() {
        let mut queue = Queue::default();
        queue.hold(0, &request(Mode::Exclusive, Extent::Whole));
        queue.hold(1, &request(Mode::Exclusive, RANGE));
        wait(&mut queue, 2, Mode::Exclusive, Extent::Whole);
        wait(&mut queue, 3, Mode::Exclusive, RANGE);
        wait(&mut queue, 4, Mode::Exclusive, RANGE);
        wait(&mut queue, 5, Mode::Shared, Extent::Whole);
        assert!(queue.ready().is_empty());
        drop(queue.release(1));
        assert_eq!(queue.ready(), [3]);
        assert!(queue.promote(3).is_some() && queue.ready().is_empty());
        drop(queue.release(3));
        assert_eq!(queue.ready(), [4]);
        queue.remove(4);
        drop(queue.release(0));
        assert_eq!(queue.ready(), [2]);
    }
}
