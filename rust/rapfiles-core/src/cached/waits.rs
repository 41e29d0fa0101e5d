//! The waits of a thread: whether it blocked, and for how long it was ready and had no processor.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::engine::Process;
use crate::limits::{QUEUED_FRESH_FOR, SWITCHES_FRESH_FOR};
use crate::platform::calls;

thread_local! {
    /// How many voluntary switches this thread had when they were counted last.
    static SWITCHES: Cell<Option<Reading<i64>>> = const { Cell::new(None) };
    /// For how long it had been in the run queue when that was read last.
    static QUEUED: Cell<Option<Reading<Duration>>> = const { Cell::new(None) };
}

/// What was read of the kernel's counts of a thread, which begin at zero again in a forked child.
#[derive(Debug, Clone, Copy)]
struct Reading<T> {
    at: Instant,
    process: Process,
    value: T,
}

impl<T> Reading<T> {
    fn new(at: Instant, value: T) -> Self {
        Self { at, process: Process::current(), value }
    }

    /// The value, unless it is older, or the parent's.
    fn no_older(self, now: Instant, than: Duration) -> Option<T> {
        let fresh = now.saturating_duration_since(self.at) < than && self.process == Process::current();
        fresh.then_some(self.value)
    }
}

/// The waits of this thread when an attempt began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    began: Instant,
    voluntary: i64,
    queued: Duration,
}

impl Waits {
    /// Those until now. A count that is a little older is not larger, so no wait is missed; if the thread has slept
    /// since, between two attempts, the time in the run queue still shows whether a slow attempt has blocked.
    pub(super) fn begin(now: Instant) -> Self {
        let voluntary = SWITCHES.get().and_then(|read| read.no_older(now, SWITCHES_FRESH_FOR));
        let voluntary = voluntary.unwrap_or_else(|| {
            let switches = voluntary_switches();
            SWITCHES.set(Some(Reading::new(now, switches)));
            switches
        });
        let queued = QUEUED.get().and_then(|read| read.no_older(now, QUEUED_FRESH_FOR));
        let queued = queued.unwrap_or_else(|| read_queued(now));
        Self { began: now, voluntary, queued }
    }

    /// For how long it has blocked since, without the time in which it only lacked a processor, as far as is known: on
    /// a busy machine, a thread that has blocked briefly may have to wait for a processor for much longer.
    pub(super) fn since(self, now: Instant) -> Duration {
        if voluntary_switches() <= self.voluntary {
            return Duration::ZERO;
        }
        let queued = read_queued(now).saturating_sub(self.queued);
        now.saturating_duration_since(self.began).saturating_sub(queued)
    }
}

/// How often this thread has given up its processor to wait for something (`ru_nvcsw`, `getrusage(2)`).
fn voluntary_switches() -> i64 {
    // SAFETY: all zeros is a valid `rusage`: it is made of numbers only.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` has room for the result.
    unsafe { calls::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    #[allow(clippy::useless_conversion, reason = "the width differs between architectures")]
    i64::from(usage.ru_nvcsw)
}

/// For how long this thread was ready to run and had no processor: the second number of `schedstat` in `proc(5)`, in
/// nanoseconds. Zero if the kernel does not count that.
#[allow(clippy::disallowed_methods, reason = "a table of the kernel's; without it, a time counts as zero")]
fn read_queued(now: Instant) -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let queued = statistics.split(' ').nth(1).and_then(|number| number.parse().ok());
    let queued = Duration::from_nanos(queued.unwrap_or(0));
    QUEUED.set(Some(Reading::new(now, queued)));
    queued
}
