//! A request for a lock, and its way to an answer.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::HeldLock;
use super::claim::{Claim, Extent, Mode};
use crate::engine::progress::Progress;
use crate::engine::ticket::Ticket;
use crate::engine::{Engine, Process, runtime};
use crate::error::Error;
use crate::handle::Handle;
use crate::limits::{LOCK_FIRST_TRY, STALE_TRIED};
use crate::outcome::Outcome;
use crate::platform::NativePath;
use crate::verbs::replaced::MayBeGone;

/// The file that is to be locked.
#[derive(Debug, Clone)]
pub enum LockTarget {
    /// A file that is opened for the lock, and created if there is none.
    Path(NativePath),
    /// An open file.
    Handle(Arc<Handle>),
}

/// The answer to a request.
pub(super) type Answer = Result<HeldLock, Error>;

/// What is to be locked, and how long that may take.
#[derive(Debug)]
pub struct LockRequest {
    /// The file.
    pub target: LockTarget,
    /// Whether others may hold the lock, too.
    pub mode: Mode,
    /// The whole file, or some of its bytes.
    pub extent: Extent,
    /// Whether to wait for others.
    pub blocking: bool,
    /// For how long.
    pub timeout: Option<Duration>,
    /// The task that asks, as the caller numbers them; zero for none. No two tasks that exist may have the same number.
    pub owner: usize,
}

/// A request that has been made.
#[derive(Debug)]
pub(crate) struct Requested {
    pub(super) request: LockRequest,
    /// Made for the first one who asks: an answer that is there at once needs none.
    ticket: OnceLock<Arc<Ticket>>,
    /// Its place among the requests of this process.
    pub(super) order: u64,
    pub(super) deadline: Option<Instant>,
    pub(super) began: Instant,
    /// Somebody was in the way.
    tried: AtomicBool,
    answered: AtomicBool,
    granted: AtomicBool,
    given_up: AtomicBool,
    /// How often its file was stale.
    stale: AtomicU32,
}

impl Requested {
    /// A request that comes after all others.
    pub(super) fn new(request: LockRequest) -> Arc<Self> {
        static ORDER: AtomicU64 = AtomicU64::new(0);
        let began = runtime::now();
        let deadline = request.timeout.and_then(|timeout| began.checked_add(timeout));
        Arc::new(Self {
            request,
            ticket: OnceLock::new(),
            order: ORDER.fetch_add(1, Ordering::Relaxed),
            deadline,
            began,
            tried: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            granted: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            stale: AtomicU32::new(0),
        })
    }

    pub(super) fn claim(&self) -> Claim {
        let LockRequest { mode, extent, owner, .. } = self.request;
        let description = match &self.request.target {
            LockTarget::Path(_) => 0,
            LockTarget::Handle(handle) => handle.description(),
        };
        Claim { mode, extent, owner, description }
    }

    /// What the answer is waited for with.
    pub(super) fn ticket(&self) -> &Arc<Ticket> {
        self.ticket.get_or_init(Ticket::unique)
    }

    /// Whether nobody waits for the answer any more, or there is one.
    pub(super) fn is_over(&self) -> bool {
        self.ticket.get().is_some_and(|ticket| ticket.is_cancelled()) || self.answered.load(Ordering::Acquire)
    }

    /// Whether it is for a lock of an open file that has been closed.
    pub(super) fn is_closed(&self) -> bool {
        match &self.request.target {
            LockTarget::Path(_) => false,
            LockTarget::Handle(handle) => handle.is_closed(),
        }
    }

    /// Notes that somebody is in the way.
    pub(super) fn note_tried(&self) {
        self.tried.store(true, Ordering::Release);
    }

    /// Until when a worker may take to find out whether somebody is in the way; `None` if that is known.
    pub(super) fn first_try(&self) -> Option<Instant> {
        let until = self.began.checked_add(LOCK_FIRST_TRY)?;
        (!self.tried.load(Ordering::Acquire)).then_some(until)
    }

    /// Notes that the kernel has given the lock.
    pub(super) fn note_granted(&self) {
        self.granted.store(true, Ordering::Release);
    }

    pub(super) fn is_granted(&self) -> bool {
        self.granted.load(Ordering::Acquire)
    }

    /// Notes that its task does not want the lock any more, although somebody may still be asking for it, or have it.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    /// Whether an error says that the file was removed or replaced, so that it has to be opened again; not for ever.
    pub(super) fn opens_again(&self, error: &Error) -> bool {
        let by_path = matches!(self.request.target, LockTarget::Path(_));
        by_path && error.is_stale() && self.stale.fetch_add(1, Ordering::Relaxed) < STALE_TRIED
    }

    /// Whether the caller may give an answer: only the first one does.
    pub(super) fn claim_answer(&self) -> bool {
        !self.answered.swap(true, Ordering::AcqRel)
    }

    /// Answers it, unless it has been answered. A lock that nobody gets is released.
    pub(super) fn answer(&self, answer: Answer) {
        if self.claim_answer() {
            self.ticket().finish(answer.map(Outcome::Locked));
        }
    }
}

/// The acquisition of a lock. Dropping it gives it up.
#[derive(Debug)]
pub struct Acquisition {
    pub(super) engine: Arc<Engine>,
    pub(super) requested: Arc<Requested>,
    over: bool,
}

impl Acquisition {
    /// Asks for the lock: the answer, if it is there at once, and when that was asked for.
    pub fn begin(engine: &Engine, request: LockRequest) -> Result<(Answer, Instant), Self> {
        let requested = Requested::new(request);
        match engine.locks().begin(engine, &requested) {
            Some(answer) => Ok((answer, requested.began)),
            None => Err(Self { engine: engine.share(), requested, over: false }),
        }
    }

    /// The answer, or the ticket to wait for.
    pub fn advance(&mut self) -> Progress<Answer> {
        let ticket = self.requested.ticket();
        if !ticket.is_done() {
            return Progress::Pending(Arc::clone(ticket));
        }
        self.over = true;
        if self.requested.deadline.is_some() {
            self.engine.locks().unwatch(&self.requested);
        }
        Progress::Done(match ticket.take() {
            Some(Ok(Outcome::Locked(held))) => Ok(held),
            Some(Err(error)) => Err(error),
            _ => Err(Error::Forked),
        })
    }
}

/// Gives it up: nobody waits for the lock any more.
impl Drop for Acquisition {
    fn drop(&mut self) {
        // In a forked child, the queues are the parent's.
        if self.over || self.engine.process() != Process::current() {
            return;
        }
        self.requested.give_up();
        self.requested.ticket().cancel();
        self.engine.locks().forget(&self.engine, &self.requested);
        // It may have come just before.
        drop(self.requested.ticket().take());
    }
}
