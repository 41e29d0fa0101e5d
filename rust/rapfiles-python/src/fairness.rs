//! Fairness: when a task that never has to suspend yields to other tasks, and its thread to other threads.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyCFunction;
use rapfiles_core::{Budget, Engine};

use crate::event_loop::{Framework, framework};
use crate::limits::{
    FIRST_LOOK_AFTER, GIL_WANTED, LET_IN_EVERY, LET_IN_FOR, LOOK_EVERY, MOST_BETWEEN_LOOKS, REFILL_IN_VAIN,
};
use crate::once::{Once, intern};

/// The state shared by all tasks that one thread runs, of whichever loop.
struct Iteration {
    /// The engine of this process: another one after a fork.
    engine: &'static Engine,
    budget: Budget,
    /// When a loop was last asked to refill the budget in its next iteration.
    refill_asked: Option<Instant>,
    /// How often it was refilled.
    refills: u64,
    /// When the GIL was last released for other threads.
    let_in: Option<Instant>,
}

thread_local! {
    static ITERATION: RefCell<Option<Iteration>> = const { RefCell::new(None) };
}

/// Runs something with this thread's state, which is reset after a fork. It must not call Python.
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

/// Counts an operation that completed without suspending; `true` if the task must yield to others.
pub(crate) fn spend_budget(event_loop: &Bound<'_, PyAny>, now: Instant) -> PyResult<bool> {
    let exhausted = with_iteration(|iteration| iteration.budget.spend(now));
    if exhausted {
        let_others_in(event_loop.py(), now);
        ask_to_refill(event_loop, now)?;
    }
    Ok(exhausted)
}

/// The same, for a caller that does not know the loop.
pub(crate) fn spend_budget_here(py: Python<'_>, now: Instant) -> PyResult<bool> {
    let exhausted = with_iteration(|iteration| iteration.budget.spend(now));
    if exhausted {
        yield_soon(py, now)?;
    }
    Ok(exhausted)
}

/// The same, for an operation that always follows another one, which has looked at the clock.
pub(crate) fn spend_budget_again(py: Python<'_>) -> PyResult<bool> {
    let exhausted = with_iteration(|iteration| iteration.budget.spend_again());
    if exhausted {
        yield_soon(py, Instant::now())?;
    }
    Ok(exhausted)
}

fn yield_soon(py: Python<'_>, now: Instant) -> PyResult<()> {
    let_others_in(py, now);
    if let Framework::Asyncio(event_loop) = framework(py)? {
        ask_to_refill(&event_loop, now)?;
    }
    Ok(())
}

/// The same on trio, where the task refills the budget when it resumes.
pub(crate) fn spend_budget_on_trio(py: Python<'_>) -> bool {
    let now = Instant::now();
    let exhausted = with_iteration(|iteration| iteration.budget.spend(now));
    if exhausted {
        let_others_in(py, now);
    }
    exhausted
}

/// The number of the loop's iteration: how often the budget was refilled.
pub(crate) fn current_iteration() -> u64 {
    with_iteration(|iteration| iteration.refills)
}

/// Notes that a trio task resumes that suspended in this iteration: the first one to do so begins the next iteration.
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

/// Releases the GIL for long enough, if another thread waits for it.
///
/// CPython makes the thread that holds it yield only to one that has waited for a whole switch interval (`take_gil` in
/// `Python/ceval_gil.c`), and the interval starts again whenever the GIL is released. The loop's `select` releases it
/// in each iteration, for a microsecond at a time; a thread takes longer than that to wake up. So if the loop is always
/// busy and every iteration is shorter than the interval, other threads would wait forever.
fn let_others_in(py: Python<'_>, now: Instant) {
    if cfg!(Py_GIL_DISABLED) {
        return;
    }
    let since = with_iteration(|iteration| *iteration.let_in.get_or_insert(now));
    if now.saturating_duration_since(since) < LET_IN_EVERY {
        return;
    }
    if is_alone(py) {
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

/// Whether no other thread runs Python, so that nobody can wait for the GIL. Releasing it also takes longer than usual when
/// what that needs has left the processor's cache, which after milliseconds of other work it has.
fn is_alone(_py: Python<'_>) -> bool {
    // SAFETY: the thread is attached, so its own state and interpreter exist; of others only the addresses are read.
    unsafe {
        let (own, interpreter) = (ffi::PyThreadState_Get(), ffi::PyInterpreterState_Get());
        ffi::PyInterpreterState_ThreadHead(interpreter) == own
            && ffi::PyThreadState_Next(own).is_null()
            && ffi::PyInterpreterState_Head() == interpreter
            && ffi::PyInterpreterState_Next(interpreter).is_null()
    }
}

/// How often the clock is read, for the operations of one file that take less time than reading it.
pub(crate) struct Pace {
    /// The operations left before the clock is read. A count that is lost to another thread does not matter.
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
    /// Whether the clock has to be read now.
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

    /// Allows as many operations as fit into the time, by how long the last ones took, including the task's own work.
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

/// Counts an operation that takes less time than reading the clock; `true` if the task must yield to others.
pub(crate) fn spend_little(py: Python<'_>, pace: &Pace) -> PyResult<bool> {
    // Left at zero by the call that found it due.
    if !pace.is_due() {
        return Ok(false);
    }
    let now = Instant::now();
    pace.allow(now);
    if !with_iteration(|iteration| iteration.budget.spend_time(now)) {
        return Ok(false);
    }
    yield_soon(py, now)?;
    Ok(true)
}

/// Makes the loop refill the budget in its next iteration.
fn ask_to_refill(event_loop: &Bound<'_, PyAny>, now: Instant) -> PyResult<()> {
    let refilled_soon = with_iteration(|iteration| {
        // A loop that was closed has never done it.
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

/// Called by the loop in its next iteration.
#[pyfunction]
fn refill_budget() {
    with_iteration(Iteration::refill);
}
