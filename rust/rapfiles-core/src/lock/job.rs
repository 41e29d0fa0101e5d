//! What a worker does for a lock: whatever may wait for the file system.

use std::sync::Arc;

use super::HeldLock;
use super::candidate::{Candidate, Entry};
use super::claim::{Extent, Mode};
use super::lock_file::LockFile;
use super::patience::Patience;
use super::request::{LockTarget, Requested};
use crate::engine::Engine;
use crate::error::Error;
use crate::outcome::Outcome;

/// A job for a lock. If it is dropped, the place in the queue is given up.
#[derive(Debug)]
pub(crate) enum LockJob {
    /// Open the file, and join its queue.
    Open(Arc<Requested>),
    /// It is this one's turn: open the file again.
    Reopen(Arc<Requested>, Entry),
    /// Ask the kernel, or find out whether the path still leads to the locked file.
    Try(Arc<Requested>, Candidate, Patience),
    /// Name the process that is in the way.
    Explain(Arc<Requested>, LockFile),
    /// Release it.
    Release(HeldLock),
    /// Make it a shared or an exclusive one.
    Convert(HeldLock, Mode),
    /// Find out which process has a lock that would be in the way.
    Find(LockTarget, Mode, Extent),
}

impl LockJob {
    /// Runs it. `None`: the answer will come, or has come, from somebody else.
    pub(crate) fn run(self, engine: &Engine) -> Option<Result<Outcome, Error>> {
        let locks = engine.locks();
        let (requested, answer) = match self {
            Self::Open(requested) => {
                let answer = locks.open(engine, &requested);
                (requested, answer)
            }
            Self::Reopen(requested, entry) => {
                let answer = locks.reopen(engine, &requested, entry, true);
                (requested, answer)
            }
            Self::Try(requested, candidate, patience) => {
                let answer = locks.settle(engine, &requested, candidate, patience, true);
                (requested, answer)
            }
            Self::Explain(requested, file) => {
                let answer = Some(Err(Error::LockTimeout { holder: file.holder(&requested.claim()) }));
                (requested, answer)
            }
            Self::Release(held) => {
                drop(held);
                return Some(Ok(Outcome::Done));
            }
            Self::Convert(mut held, mode) => {
                let converted = held.convert(mode);
                return Some(converted.map(|converted| Outcome::Converted(held, converted)));
            }
            Self::Find(target, mode, extent) => {
                return Some(locks.find_holder(engine, &target, mode, extent).map(Outcome::Holder));
            }
        };
        // The timeout may have been faster.
        answer.filter(|_| requested.claim_answer()).map(|answer| answer.map(Outcome::Locked))
    }
}
