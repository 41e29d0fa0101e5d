//! How far long work has come, and what has gone wrong in it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::engine::runtime;
use crate::error::Error;
use crate::limits::PROGRESS_EVERY;
use crate::platform::NativePath;
use crate::verbs::selection::Selection;

/// What becomes of an entry that cannot be dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// It ends the work.
    Raise,
    /// The consumer is told, and the work goes on.
    Report,
    /// It is passed over.
    Ignore,
}

/// What a long piece of work tells its consumer.
#[derive(Debug)]
pub enum Report {
    /// How far it has come.
    Progress(Snapshot),
    /// An entry could not be dealt with.
    Failed(Error),
    /// Nothing is done in a directory before the consumer has selected from it.
    Selecting(Selection),
}

/// How far it has come.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What has been done.
    pub done: Amount,
    /// How much there is altogether, where that was looked for.
    pub total: Option<Amount>,
    /// What could not be dealt with.
    pub errors: u64,
    /// What is being dealt with, for example.
    pub current: Option<NativePath>,
    /// Since the beginning.
    pub elapsed: Duration,
}

/// So much of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Entries that are no directories.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Bytes of content.
    pub bytes: u64,
}

/// Counts what is done, and tells so now and then.
#[derive(Debug)]
pub struct Reporter {
    policy: Policy,
    files: AtomicU64,
    directories: AtomicU64,
    bytes: AtomicU64,
    errors: AtomicU64,
    total: Option<Amount>,
    began: Instant,
    /// When to tell next; nobody wants to know where there is none.
    next: Option<Mutex<Instant>>,
    /// A snapshot is on its way.
    underway: AtomicBool,
}

impl Reporter {
    /// One that tells nothing but errors.
    pub fn new(policy: Policy, wants_progress: bool, total: Option<Amount>) -> Self {
        let began = runtime::now();
        Self {
            policy,
            files: AtomicU64::new(0),
            directories: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            total,
            began,
            next: wants_progress.then(|| Mutex::new(began + PROGRESS_EVERY)),
            underway: AtomicBool::new(false),
        }
    }

    pub(crate) fn file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn directory(&self) {
        self.directories.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self, count: u64) {
        self.bytes.fetch_add(count, Ordering::Relaxed);
    }

    /// Something has failed: what becomes of it.
    pub(crate) fn failed(&self) -> Policy {
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.policy
    }

    /// The entries that have been seen to.
    pub(crate) fn entries(&self) -> u64 {
        let counts = [&self.files, &self.directories, &self.errors];
        counts.into_iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// How far it has come, if it is time to tell and what was told before has been taken.
    pub(crate) fn snapshot(&self, current: impl FnOnce() -> Option<NativePath>) -> Option<Snapshot> {
        let next = self.next.as_ref()?;
        if self.underway.load(Ordering::Relaxed) {
            return None;
        }
        let now = runtime::now();
        // Whoever finds it locked is not needed.
        let mut next = next.try_lock().ok()?;
        if now < *next || self.underway.swap(true, Ordering::Relaxed) {
            return None;
        }
        *next = now + PROGRESS_EVERY;
        drop(next);
        Some(self.take(current()))
    }

    /// The consumer has seen to a snapshot, and wants another.
    pub fn taken(&self) {
        if let Some(next) = &self.next {
            *runtime::lock(next) = runtime::now() + PROGRESS_EVERY;
        }
        self.underway.store(false, Ordering::Relaxed);
    }

    /// How far it has come.
    pub fn take(&self, current: Option<NativePath>) -> Snapshot {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Snapshot {
            done: Amount {
                files: read(&self.files),
                directories: read(&self.directories),
                bytes: read(&self.bytes),
            },
            total: self.total,
            errors: read(&self.errors),
            current,
            elapsed: runtime::elapsed(self.began),
        }
    }
}
