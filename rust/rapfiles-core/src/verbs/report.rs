//! Reports of long work: its progress, and its errors.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::engine::runtime;
use crate::error::Error;
use crate::limits::PROGRESS_EVERY;
use crate::platform::NativePath;
use crate::verbs::selection::Selection;

/// Nothing is being counted.
const NOT_COUNTING: u64 = u64::MAX;

/// How to handle an entry that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Its error ends the work.
    Raise,
    /// Its error is reported to the consumer, and the work continues.
    Report,
    /// It is ignored.
    Ignore,
}

/// A report to the consumer of long work.
#[derive(Debug)]
pub enum Report {
    /// The progress.
    Progress(Snapshot),
    /// An entry has failed.
    Failed(Error),
    /// The consumer has to select from a directory before the work continues in it.
    Selecting(Selection),
}

/// The progress of long work.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The amount that is done.
    pub done: Amount,
    /// The total amount, if it was determined.
    pub total: Option<Amount>,
    /// The number of entries that have failed.
    pub errors: u64,
    /// One of the entries that are being processed.
    pub current: Option<NativePath>,
    /// How many entries have been counted, while the total is not known yet but looked for.
    pub counted: Option<u64>,
    /// Since the beginning, of the counting while that goes on, and then of the work.
    pub elapsed: Duration,
}

/// An amount of work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Entries other than directories.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Bytes of content.
    pub bytes: u64,
}

/// Counts the work that is done, and reports it at intervals.
#[derive(Debug)]
pub struct Reporter {
    policy: Policy,
    files: AtomicU64,
    directories: AtomicU64,
    bytes: AtomicU64,
    errors: AtomicU64,
    total: OnceLock<Amount>,
    counted: AtomicU64,
    began: Mutex<Instant>,
    /// The time of the next report; `None` if none are wanted.
    next: Option<Mutex<Instant>>,
    /// Whether a snapshot has been reported and not taken yet.
    underway: AtomicBool,
}

impl Reporter {
    /// A reporter.
    pub fn new(policy: Policy, wants_progress: bool) -> Self {
        let began = runtime::now();
        Self {
            policy,
            files: AtomicU64::new(0),
            directories: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            total: OnceLock::new(),
            counted: AtomicU64::new(NOT_COUNTING),
            began: Mutex::new(began),
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

    /// Adds what has been done.
    pub fn add(&self, done: Amount) {
        self.files.fetch_add(done.files, Ordering::Relaxed);
        self.directories.fetch_add(done.directories, Ordering::Relaxed);
        self.bytes.fetch_add(done.bytes, Ordering::Relaxed);
    }

    /// Sets the number of entries that have been counted for the total.
    pub(crate) fn counted(&self, entries: u64) {
        self.counted.store(entries, Ordering::Relaxed);
    }

    /// The counting is over, and the work begins.
    pub(crate) fn begin_work(&self, total: Option<Amount>) {
        self.counted.store(NOT_COUNTING, Ordering::Relaxed);
        if let Some(total) = total {
            let _ = self.total.set(total);
        }
        *runtime::lock(&self.began) = runtime::now();
    }

    /// Counts a failure; returns how to handle it.
    pub fn failed(&self) -> Policy {
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.policy
    }

    /// The number of entries that have been processed.
    pub(crate) fn entries(&self) -> u64 {
        let counts = [&self.files, &self.directories, &self.errors];
        counts.into_iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// A snapshot, if it is time for one and the previous one has been taken.
    pub fn snapshot(&self, current: impl FnOnce() -> Option<NativePath>) -> Option<Snapshot> {
        let next = self.next.as_ref()?;
        if self.underway.load(Ordering::Relaxed) {
            return None;
        }
        let now = runtime::now();
        // If it is locked, another worker makes the report.
        let mut next = next.try_lock().ok()?;
        if now < *next || self.underway.swap(true, Ordering::Relaxed) {
            return None;
        }
        *next = now + PROGRESS_EVERY;
        drop(next);
        Some(self.take(current()))
    }

    /// The consumer has handled a snapshot, and wants another.
    pub fn taken(&self) {
        if let Some(next) = &self.next {
            *runtime::lock(next) = runtime::now() + PROGRESS_EVERY;
        }
        self.underway.store(false, Ordering::Relaxed);
    }

    /// A snapshot.
    pub fn take(&self, current: Option<NativePath>) -> Snapshot {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Snapshot {
            done: Amount {
                files: read(&self.files),
                directories: read(&self.directories),
                bytes: read(&self.bytes),
            },
            total: self.total.get().copied(),
            errors: read(&self.errors),
            current,
            counted: Some(read(&self.counted)).filter(|counted| *counted != NOT_COUNTING),
            elapsed: runtime::elapsed(*runtime::lock(&self.began)),
        }
    }
}
