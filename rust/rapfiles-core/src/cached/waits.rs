//! The waits of a thread: whether it blocked, and for how long it was ready and had no processor.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::limits::{QUEUED_FRESH_FOR, SWITCHES_FRESH_FOR};
use crate::platform::calls;

thread_local! {
    /// When this thread's voluntary switches were counted last, and how many there were.
    static SWITCHES: Cell<Option<(Instant, i64)>> = const { Cell::new(None) };
    /// When the time in the run queue was read last, and what it was.
    static QUEUED: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
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
        let voluntary = match SWITCHES.get() {
            Some((at, switches)) if now.saturating_duration_since(at) < SWITCHES_FRESH_FOR => switches,
            _ => {
                let switches = voluntary_switches();
                SWITCHES.set(Some((now, switches)));
                switches
            }
        };
        let queued = match QUEUED.get() {
            Some((at, queued)) if now.saturating_duration_since(at) < QUEUED_FRESH_FOR => queued,
            _ => read_queued(now),
        };
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
    QUEUED.set(Some((now, queued)));
    queued
}
