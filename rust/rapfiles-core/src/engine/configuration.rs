//! The engine's configuration.

use crate::limits::DEFAULT_MAX_WORKERS;
use std::thread::available_parallelism;

/// The environment variable that overrides the default number of workers.
const MAX_WORKERS_VARIABLE: &str = "RAPFILES_MAX_WORKERS";

/// The resources of the machine that the engine may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Configuration {
    /// The most workers that run operations at once; a worker stuck in one operation stops counting.
    pub max_workers: usize,
    /// Processors that this process may use, cgroup quota and affinity counted.
    pub usable_cpus: usize,
}

impl Configuration {
    /// The configuration that the environment asks for.
    pub fn from_environment() -> Self {
        let max_workers = std::env::var(MAX_WORKERS_VARIABLE)
            .ok()
            .and_then(|value| value.trim().parse().ok())
            .filter(|workers| *workers > 0)
            .unwrap_or(DEFAULT_MAX_WORKERS);
        // The standard library takes the affinity mask and the cgroup's CPU quota into account
        // (`std::thread::available_parallelism`).
        Self { max_workers, usable_cpus: available_parallelism().map_or(1, usize::from) }
    }

    /// Whether a thread may spin for a few microseconds: with one processor it would only delay the other side.
    pub fn may_spin(&self) -> bool {
        self.usable_cpus > 1
    }

    /// The most workers that one lane may hold, so that a dead mount leaves room for every other.
    pub fn max_workers_per_lane(&self) -> usize {
        (self.max_workers - self.max_workers / 4).max(1)
    }
}
