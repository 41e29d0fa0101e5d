//! Fairness: when a task that never has to suspend gives the others a turn, and its thread other threads.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use pyo3::prelude::*;
use pyo3::types::PyCFunction;
use rapfiles_core::{Budget, Engine};

use crate::event_loop::{Framework, framework};
use crate::limits::{
    FIRST_LOOK_AFTER, GIL_WANTED, LET_IN_EVERY, LET_IN_FOR, LOOK_EVERY, MOST_BETWEEN_LOOKS, REFILL_IN_VAIN,
};
use crate::once::{Once, intern};

/// What the tasks that one thread runs share, whichever loop they are of.
struct Iteration {
    /// The engine of this process: another one after a fork.
    engine: &'static Engine,
    budget: Budget,
    /// When a loop was last asked to refill the budget in its next iteration.
    refill_asked: Option<Instant>,
    /// How often it was refilled.
    refills: u64,
    /// When other threads were last let in.
    let_in: Option<Instant>,
}

thread_local! {
    static ITERATION: RefCell<Option<Iteration>> = const { RefCell::new(None) };
}

/// Runs something with this thread's iteration, which begins anew after a fork. Nothing in it may call Python.
fn with_iteration<T>(work: impl FnOnce(&mut Iteration) -> T) -> T {
    let engine = Engine::current();
    ITERATION.with_borrow_mut(|iteration| {
        if iteration.as_ref().is_none_or(|iteration| !std::ptr::eq(iteration.engine, engine)) {
            *iteration = Some(Iteration {
                engine,
                budget: Budget::new(),
                refill_asked: None,
                refills: 0,
                let_in: None,
            });
        }
        work(iteration.as_mut().expect("made just now"))
    })
}

/// Counts an operation that completed without suspending; `true` if the task must give the others a turn.
pub(crate) fn spend_budget(event_loop: &Bound<'_, PyAny>, now: Instant) -> PyResult<bool> {
    let exhausted = with_iteration(|iteration| iteration.budget.spend(now));
    if exhausted {
        let_others_in(event_loop.py(), now);
        ask_to_refill(event_loop, now)?;
    }
    Ok(exhausted)
}

/// The same on trio, whose task refills it when it goes on after that.
pub(crate) fn spend_budget_on_trio(py: Python<'_>) -> bool {
    let now = Instant::now();
    let exhausted = with_iteration(|iteration| iteration.budget.spend(now));
    if exhausted {
        let_others_in(py, now);
    }
    exhausted
}

/// A number for the iteration of the loop, by when the budget was refilled.
pub(crate) fn current_iteration() -> u64 {
    with_iteration(|iteration| iteration.refills)
}

/// A trio task goes on that suspended in this iteration: whichever is the first to do so has begun the next one.
pub(crate) fn resumed(suspended_in: u64) {
    with_iteration(|iteration| {
        if iteration.refills == suspended_in {
            iteration.refill();
        }
    });
}

impl Iteration {
    fn refill(&mut self) {
        self.budget.refill();
        self.refill_asked = None;
        self.refills += 1;
    }
}

/// Lets go of the GIL for long enough, if another thread waits for it.
///
/// CPython makes the thread that holds it give way only to one that has waited for a whole switch interval
/// (`take_gil` in `Python/ceval_gil.c`), and that begins anew whenever the GIL is let go of. The loop's `select` does
/// so in each iteration, for a microsecond at a time; a thread takes longer than that to wake up. So where the loop has
/// always something to do and every iteration is shorter than the interval, others would wait forever.
fn let_others_in(py: Python<'_>, now: Instant) {
    if cfg!(Py_GIL_DISABLED) {
        return;
    }
    let since = with_iteration(|iteration| *iteration.let_in.get_or_insert(now));
    if now.saturating_duration_since(since) < LET_IN_EVERY {
        return;
    }
    let before = Instant::now();
    let somebody_waits = py.detach(|| {
        let somebody_waits = before.elapsed() >= GIL_WANTED;
        if somebody_waits {
            std::thread::sleep(LET_IN_FOR);
        }
        somebody_waits
    });
    if somebody_waits {
        with_iteration(|iteration| iteration.let_in = Some(Instant::now()));
    }
}

/// How often the clock is looked at, for the operations of one file that take less than that does.
pub(crate) struct Pace {
    /// So many more may be done before. Another thread may lose a count, which does no harm.
    left: AtomicU32,
    /// How many were allowed the last time.
    allowed: AtomicU32,
    /// When that was, in nanoseconds of this process.
    since: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            left: AtomicU32::new(FIRST_LOOK_AFTER),
            allowed: AtomicU32::new(FIRST_LOOK_AFTER),
            since: AtomicU64::new(0),
        }
    }
}

impl Pace {
    /// Whether the clock is to be looked at now.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        match self.left.load(Ordering::Relaxed) {
            0 => true,
            left => {
                self.left.store(left - 1, Ordering::Relaxed);
                false
            }
        }
    }

    /// Allows as many more as fit into the time, by how long the last ones took with what the task did between them.
    fn allow(&self, now: Instant) {
        static START: OnceLock<Instant> = OnceLock::new();
        let now = now.saturating_duration_since(*START.get_or_init(|| now)).as_nanos() as u64;
        let elapsed = now.saturating_sub(self.since.swap(now, Ordering::Relaxed));
        let done = u64::from(self.allowed.load(Ordering::Relaxed)) + 1;
        let fit = (done * LOOK_EVERY.as_nanos() as u64 / elapsed.max(1)).min(MOST_BETWEEN_LOOKS) as u32;
        self.allowed.store(fit, Ordering::Relaxed);
        self.left.store(fit, Ordering::Relaxed);
    }
}

/// Counts an operation that takes less than looking at the clock does; `true` if the task must give the others a turn.
pub(crate) fn spend_little(py: Python<'_>, pace: &Pace) -> PyResult<bool> {
    // Left at zero by whoever found it due before.
    if !pace.is_due() {
        return Ok(false);
    }
    let now = Instant::now();
    pace.allow(now);
    if !with_iteration(|iteration| iteration.budget.spend_time(now)) {
        return Ok(false);
    }
    let_others_in(py, now);
    if let Framework::Asyncio(event_loop) = framework(py)? {
        ask_to_refill(&event_loop, now)?;
    }
    Ok(true)
}

/// Has the loop refill the budget in its next iteration.
fn ask_to_refill(event_loop: &Bound<'_, PyAny>, now: Instant) -> PyResult<()> {
    let refilled_soon = with_iteration(|iteration| {
        // A loop that was closed never came to it.
        let recently = |asked| now.saturating_duration_since(asked) < REFILL_IN_VAIN;
        let refilled_soon = iteration.refill_asked.is_some_and(recently);
        if !refilled_soon {
            iteration.refill_asked = Some(now);
        }
        refilled_soon
    });
    if !refilled_soon {
        static REFILL: Once<Py<PyCFunction>> = Once::new();
        let py = event_loop.py();
        let refill = REFILL.get_or_try_init(py, || wrap_pyfunction!(refill_budget, py).map(Bound::unbind))?;
        event_loop.call_method1(intern!(py, "call_soon"), (refill,))?;
    }
    Ok(())
}

/// The loop has gone on to its next iteration.
#[pyfunction]
fn refill_budget() {
    with_iteration(Iteration::refill);
}
