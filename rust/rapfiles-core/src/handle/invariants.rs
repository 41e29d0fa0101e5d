//! The invariants of a handle whose lock is free: for the simulation.

use std::sync::atomic::Ordering;

use super::handle::Handle;
use super::shared::TaskState;
use super::turn::{FREE, WANTED};
use crate::error::Error;

impl Handle {
    /// Whether nobody holds the lock.
    pub(crate) fn is_unlocked(&self) -> bool {
        self.shared.try_lock().is_ok()
    }

    /// Whether what was read ahead may not be what the file has any more.
    pub(crate) fn is_stale(&self) -> bool {
        self.shared.try_lock().is_ok_and(|shared| shared.stale)
    }

    /// The invariant that is broken. In a forked child, those of a handle that the parent uses are the parent's.
    pub(crate) fn broken(&self) -> Option<&'static str> {
        if self.is_inherited() {
            return None;
        }
        let Ok(shared) = self.shared.try_lock() else { return Some("its lock is held") };
        let turn = self.turn.load(Ordering::Relaxed);
        if !shared.queue.is_empty() && turn != WANTED {
            return Some("somebody waits for the turn, and nobody who has it will know");
        }
        if !matches!(shared.task, TaskState::None) && turn == FREE {
            return Some("there is a task of nobody's turn");
        }
        if shared.writer.waiter.is_some() && !shared.writer.running {
            return Some("somebody waits for a writer that is not there");
        }
        if matches!(shared.writer.error, Some(Error::NoThread)) {
            return Some("that there was no thread is kept as the error of a write");
        }
        shared.file.broken(turn != FREE, turn == WANTED, shared.writer.running)
    }
}
