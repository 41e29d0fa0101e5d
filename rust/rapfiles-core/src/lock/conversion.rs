//! The conversion of a lock that is held, from shared to exclusive or back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::HeldLock;
use super::claim::Mode;
use super::job::LockJob;
use super::lock_file::Identity;
use super::patience::Patience;
use crate::engine::lane::Lane;
use crate::engine::progress::Progress;
use crate::engine::queue::{Job, Work};
use crate::engine::ticket::Ticket;
use crate::engine::{Engine, runtime};
use crate::error::Error;
use crate::outcome::Outcome;

/// The conversion of a lock of a range, which is held meanwhile as it was.
#[derive(Debug)]
pub struct Conversion {
    engine: Arc<Engine>,
    mode: Mode,
    deadline: Option<Instant>,
    blocking: bool,
    patience: Patience,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Others are in the way; the ticket tells when to try again.
    Waiting(HeldLock, Option<Arc<Ticket>>),
    /// A worker tries, and has the lock with this place in its queue.
    Submitted(Arc<Ticket>, Option<(Identity, u64)>),
    Over,
}

/// The lock, and whether it has been converted. There is no lock if that has been lost.
type Converted = (Option<HeldLock>, Result<(), Error>);

impl Conversion {
    /// Converts a lock.
    pub fn begin(
        engine: &Engine,
        held: HeldLock,
        mode: Mode,
        timeout: Option<Duration>,
        blocking: bool,
    ) -> Self {
        let deadline = timeout.and_then(|timeout| runtime::now().checked_add(timeout));
        let phase = Phase::Waiting(held, None);
        Self { engine: engine.share(), mode, deadline, blocking, patience: Patience::new(), phase }
    }

    /// Advances as far as possible.
    pub fn advance(&mut self) -> Progress<Converted> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Waiting(held, Some(ticket)) if !ticket.is_done() => {
                self.phase = Phase::Waiting(held, Some(Arc::clone(&ticket)));
                Progress::Pending(ticket)
            }
            Phase::Waiting(mut held, _) if held.is_local() => {
                let converted = held.convert(self.mode);
                self.tried(held, converted)
            }
            Phase::Waiting(held, _) => {
                let (ticket, place) = (Ticket::unique(), held.place());
                let work = Work::Lock(LockJob::Convert(held, self.mode));
                self.engine.pool().submit(Lane::Unknown, Job { ticket: Arc::clone(&ticket), work });
                self.phase = Phase::Submitted(Arc::clone(&ticket), place);
                Progress::Pending(ticket)
            }
            Phase::Submitted(ticket, place) if !ticket.is_done() => {
                self.phase = Phase::Submitted(Arc::clone(&ticket), place);
                Progress::Pending(ticket)
            }
            Phase::Submitted(ticket, _) => match ticket.take() {
                Some(Ok(Outcome::Converted(held, converted))) => self.tried(held, Ok(converted)),
                Some(Err(error)) => Progress::Done((None, Err(error))),
                _ => Progress::Done((None, Err(Error::Forked))),
            },
            Phase::Over => Progress::Done((None, Err(Error::Forked))),
        }
    }

    fn tried(&mut self, held: HeldLock, converted: Result<bool, Error>) -> Progress<Converted> {
        match converted {
            Ok(true) => return Progress::Done((Some(held), Ok(()))),
            Err(error) => return Progress::Done((Some(held), Err(error))),
            Ok(false) if !held.is_there() => return Progress::Done((None, Err(timed_out()))),
            Ok(false) => {}
        }
        let now = runtime::now();
        if !self.blocking || self.deadline.is_some_and(|deadline| deadline <= now) {
            return Progress::Done((Some(held), Err(timed_out())));
        }
        let locks = self.engine.locks();
        let others = locks.lock().asked();
        let (next, patience) = self.patience.next(others);
        self.patience = patience;
        let next = self.deadline.map_or(next, |deadline| deadline.min(next));
        let ticket = Ticket::unique();
        if let Err(error) = locks.alarm(&self.engine, next, &ticket) {
            return Progress::Done((Some(held), Err(error)));
        }
        self.phase = Phase::Waiting(held, Some(Arc::clone(&ticket)));
        Progress::Pending(ticket)
    }

    /// Gives it up: the lock as it was, unless a worker has it.
    pub fn abandon(&mut self) -> Option<HeldLock> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Waiting(held, ticket) => {
                if let Some(ticket) = ticket {
                    ticket.cancel();
                }
                Some(held)
            }
            Phase::Submitted(ticket, place) => {
                ticket.cancel();
                if let Some(place) = place {
                    self.engine.locks().let_go(&self.engine, place);
                }
                drop(ticket.take());
                None
            }
            Phase::Over => None,
        }
    }
}

impl Drop for Conversion {
    fn drop(&mut self) {
        drop(self.abandon());
    }
}

fn timed_out() -> Error {
    Error::LockTimeout { holder: None }
}
