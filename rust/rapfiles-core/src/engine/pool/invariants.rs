//! What holds of a pool whenever nobody holds its lock: for the simulation.

use std::sync::atomic::Ordering;

use super::Pool;
use crate::engine::queue::Work;

impl Pool {
    /// Whether nobody holds the lock.
    pub(crate) fn is_unlocked(&self) -> bool {
        self.state.try_lock().is_ok()
    }

    /// What does not hold. `existing`: that many threads exist, where that can be told.
    pub(crate) fn broken(&self, existing: Option<usize>) -> Option<String> {
        let Ok(state) = self.state.try_lock() else { return Some("the pool's lock is held".to_owned()) };
        let threads = existing.unwrap_or(state.threads);
        if state.threads != threads {
            return Some(format!("{threads} threads exist, and {} are counted", state.threads));
        }
        let queued = state.queue.len();
        if self.queued.load(Ordering::Relaxed) != queued {
            return Some("the number of queued jobs that is seen without the lock is another".to_owned());
        }
        if state.queue.running() + state.parked + state.lingering > threads {
            return Some("more threads work, sleep and look for a job than exist".to_owned());
        }
        let looked_for = state.lingering + state.coming > 0 || state.standby;
        if queued > 0 && !looked_for && !state.refused {
            return Some(format!("{queued} jobs are queued, and nobody looks for them"));
        }
        let waiting = state.queue.iter().any(|job| !matches!(job.work, Work::Detached(_)));
        (threads == 0 && waiting).then(|| "somebody waits for a job, and there is no thread".to_owned())
    }
}
