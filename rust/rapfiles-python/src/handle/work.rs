//! An operation on a handle: how it waits for its turn, for workers, and gives way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use rapfiles_core::{
    Guard, Handle, HandleJob, Outcome, Place, Salvage, Task, Text, Ticket, Turn, Until, Wish, release_memory,
};

use super::open_file::OpenFile;
use crate::errors::{self, Names};
use crate::fairness;
use crate::port;
use crate::results::{self, Converted};

/// For so long an operation goes on from one task of a worker's to the next before others have their turn.
const LONGEST_RUN: Duration = Duration::from_millis(2);

/// How far an operation has come.
pub(crate) enum Step {
    /// It is over, with this result.
    Done(Py<PyAny>),
    /// A worker has to do something.
    Task(Task),
    /// A worker has to do something, and nobody's turn matters.
    Positional(Task),
    /// The writer has to have come so far first.
    AwaitWriter(Until),
    /// Positional operations have to end first.
    AwaitPositional,
    /// The file has to be closed in the background first.
    AwaitBurial,
    /// Text has to become a string.
    Text(Text),
    /// Something has to run that is Python code: `call`.
    Call,
    /// Other tasks should have a turn.
    Yield,
    /// The next part can begin, perhaps after other tasks have had a turn.
    Next,
}

/// What an operation on a handle does.
pub(crate) trait Request: Send + Sync {
    /// What a complaint calls it.
    fn name(&self) -> &'static str;

    /// Goes on as far as possible, in the turn that the guard stands for. `outcome`: of the task that was asked for.
    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step>;

    /// The result, if it is at hand. Most operations on small pieces end here, so this is to be as short as can be. Must
    /// not run Python code.
    fn at_hand(
        &mut self,
        _py: Python<'_>,
        _file: &OpenFile,
        _guard: &mut Guard<'_>,
    ) -> Option<PyResult<Py<PyAny>>> {
        None
    }

    /// What [`Request::advance`] does, for what needs no turn.
    fn advance_beside(
        &mut self,
        _py: Python<'_>,
        _file: &OpenFile,
        _outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        Err(PyRuntimeError::new_err("this operation needs its turn"))
    }

    /// Runs Python code.
    fn call(&mut self, _py: Python<'_>, _guard: &mut Guard<'_>) -> PyResult<()> {
        Ok(())
    }

    /// A task has failed. The operation is over, unless it wants to go on all the same.
    fn failed(&mut self, error: PyErr) -> PyResult<()> {
        Err(error)
    }

    /// Whether it is for a line of no length.
    fn asks_for_nothing(&self) -> bool {
        false
    }

    /// How much it reads, where others of the same size may have been read ahead with the one before.
    fn takes_ahead(&self) -> usize {
        0
    }

    /// Whether it needs no turn.
    fn is_positional(&self) -> bool {
        false
    }

    /// Whether it writes without a turn: an error of that is told even if the operation is cancelled.
    fn writes_at(&self) -> bool {
        false
    }

    /// Goes on with what needs neither the file nor the task that a worker has just been given.
    fn meanwhile(&mut self, _py: Python<'_>) -> PyResult<()> {
        Ok(())
    }

    /// The operation was cancelled: what it had taken before, to be put back in front of that.
    fn salvage(&mut self) -> Option<Salvage> {
        None
    }

    /// Whether the file is to be closed even if the operation is cancelled.
    fn closes(&self) -> bool {
        false
    }
}

enum Phase {
    /// Not begun.
    Start,
    /// Another operation has the turn.
    Queued(Place),
    /// Somebody will say when to go on.
    Waiting(Arc<Ticket>),
    /// A worker has a task of it.
    Working(Arc<Ticket>),
    /// Other tasks have a turn.
    Yielded,
    /// It can go on.
    Going,
    Over,
}

/// An operation on a handle, awaited.
pub(crate) struct FileWork {
    file: Py<OpenFile>,
    request: Box<dyn Request>,
    phase: Phase,
    /// The turn, where it has been kept while something is waited for.
    turn: Option<Turn>,
    /// The string that a worker fills.
    room: Option<Py<PyAny>>,
}

/// What came of an attempt to go on.
pub(crate) enum Progress {
    Done(PyResult<Py<PyAny>>),
    /// This ticket has to be finished first.
    Pending(Arc<Ticket>),
    /// Other tasks should have a turn.
    Yield,
}

impl FileWork {
    pub(crate) fn new(file: Py<OpenFile>, request: Box<dyn Request>) -> Self {
        Self { file, request, phase: Phase::Start, turn: None, room: None }
    }

    /// Whether nobody has begun to await it.
    pub(crate) fn is_untouched(&self) -> bool {
        matches!(self.phase, Phase::Start)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.request.name()
    }

    /// Goes on as far as possible, but may give way before it begins.
    pub(crate) fn advance_on_asyncio(&mut self, py: Python<'_>) -> Progress {
        // Not when it is done: being cancelled then would lose what it has done.
        match self.gives_way(py) {
            Ok(true) => Progress::Yield,
            Ok(false) => self.advance(py),
            Err(error) => Progress::Done(Err(error)),
        }
    }

    /// Whether other tasks should have a turn before it begins. It has its place among the operations on the file.
    fn gives_way(&mut self, py: Python<'_>) -> PyResult<bool> {
        let file = self.file.get();
        if !matches!(self.phase, Phase::Start) || !fairness::spend_little(py, &file.pace)? {
            return Ok(false);
        }
        if !self.request.is_positional() {
            // Else it has to wait for its turn anyway.
            let Some(guard) = begin(&file.handle)? else { return Ok(false) };
            self.turn = guard.keep();
        }
        self.phase = Phase::Yielded;
        Ok(true)
    }

    /// Goes on as far as possible.
    pub(crate) fn advance(&mut self, py: Python<'_>) -> Progress {
        if matches!(self.phase, Phase::Start)
            && let Some(answer) = self.at_hand(py)
        {
            self.phase = Phase::Over;
            return Progress::Done(answer);
        }
        match self.go_on(py) {
            Ok(Progress::Done(value)) => {
                self.end();
                Progress::Done(value)
            }
            Ok(waiting) => waiting,
            Err(error) => {
                // Where a worker has just been given a task, the turn is passed on when that ends.
                if matches!(self.phase, Phase::Working(_)) {
                    self.abandon();
                } else {
                    self.end();
                }
                Progress::Done(Err(error))
            }
        }
    }

    /// The result, if nobody has the turn and it is at hand.
    fn at_hand(&mut self, py: Python<'_>) -> Option<PyResult<Py<PyAny>>> {
        let file = self.file.get();
        // SAFETY: the guard is gone before the GIL is let go of, and nothing here runs Python code.
        let mut guard = unsafe { begin_briefly(py, &file.handle) }?;
        self.request.at_hand(py, file, &mut guard)
    }

    /// The operation is over, and so is its turn.
    fn end(&mut self) {
        self.phase = Phase::Over;
        self.turn = None;
    }

    fn go_on(&mut self, py: Python<'_>) -> PyResult<Progress> {
        let owner = self.file.clone_ref(py);
        let file = owner.get();
        let mut began: Option<Instant> = None;
        loop {
            // Where workers are quick, one task follows the other; but not for ever.
            let now = matches!(self.phase, Phase::Working(_)).then(Instant::now);
            if let (Some(now), Some(began)) = (now, began)
                && now.saturating_duration_since(began) > LONGEST_RUN
            {
                return Ok(Progress::Yield);
            }
            began = began.or(now);
            let mut outcome = None;
            if let Some(ticket) = self.pending() {
                return Ok(Progress::Pending(Arc::clone(ticket)));
            }
            match std::mem::replace(&mut self.phase, Phase::Going) {
                Phase::Queued(place) => self.turn = place.turn().ok(),
                Phase::Working(ticket) => {
                    let taken = ticket.take();
                    release_memory();
                    match taken {
                        Some(Ok(Outcome::TextFilled(_))) => {
                            return Ok(Progress::Done(Ok(self.room.take().unwrap_or_else(|| py.None()))));
                        }
                        Some(Ok(done)) => outcome = Some(done),
                        Some(Err(error)) => {
                            self.request.failed(errors::exception(py, error, &Names::none()))?;
                        }
                        None => return Err(PyRuntimeError::new_err("this operation was cancelled")),
                    }
                }
                Phase::Start | Phase::Waiting(_) | Phase::Yielded | Phase::Going => {}
                Phase::Over => {
                    self.phase = Phase::Over;
                    return Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"));
                }
            }
            if self.request.is_positional() {
                match self.request.advance_beside(py, file, outcome)? {
                    Step::Positional(task) => {
                        self.submit(file.handle.positional(task).map_err(|_| forked())?);
                        continue;
                    }
                    Step::Done(value) => return Ok(Progress::Done(Ok(value))),
                    _ => return Err(PyRuntimeError::new_err("this operation has no turn")),
                }
            }
            let mut turn = self.turn.take();
            let mut guard = match &mut turn {
                Some(turn) => turn.guard().map_err(|_| forked())?,
                None => match begin(&file.handle)? {
                    Some(guard) => guard,
                    None => {
                        match file.handle.queue(&port::new_ticket()) {
                            Wish::Granted(turn) => self.turn = Some(turn),
                            Wish::Queued(place) => self.phase = Phase::Queued(place),
                        }
                        continue;
                    }
                },
            };
            file.ahead.settle(py, &mut guard, self.request.takes_ahead());
            let step = self.request.advance(py, file, &mut guard, outcome)?;
            match step {
                Step::Done(value) => {
                    let job = guard.start_writer(false);
                    drop(guard);
                    drop(turn);
                    start_writer(&file.handle, job);
                    return Ok(Progress::Done(Ok(value)));
                }
                Step::Call => self.request.call(py, &mut guard)?,
                _ => {}
            }
            // What can be done at once needs the turn for no longer; this does.
            let Some(mut turn) = guard.keep().or(turn) else { continue };
            match step {
                Step::Task(task) => {
                    let job = turn.task(task).map_err(|_| forked())?;
                    self.turn = Some(turn);
                    self.submit(job);
                    self.request.meanwhile(py)?;
                    continue;
                }
                Step::AwaitWriter(until) => {
                    let ticket = port::new_ticket();
                    let job = turn.guard().map_err(|_| forked())?.await_writer(&ticket, until);
                    if let Some(job) = job {
                        file.handle.submit(job, &port::new_ticket(), Some(&ticket));
                    }
                    self.phase = Phase::Waiting(ticket);
                }
                Step::AwaitPositional => {
                    let ticket = port::new_ticket();
                    if turn.guard().map_err(|_| forked())?.await_positional(&ticket) {
                        self.phase = Phase::Waiting(ticket);
                    }
                }
                Step::AwaitBurial => {
                    let ticket = port::new_ticket();
                    if turn.guard().map_err(|_| forked())?.await_burial(&ticket) {
                        self.phase = Phase::Waiting(ticket);
                    }
                }
                Step::Next => {
                    start_writer(&file.handle, turn.guard().map_err(|_| forked())?.start_writer(false));
                    if fairness::spend_little(py, &file.pace)? {
                        self.turn = Some(turn);
                        self.phase = Phase::Yielded;
                        return Ok(Progress::Yield);
                    }
                }
                Step::Yield => {
                    self.turn = Some(turn);
                    self.phase = Phase::Yielded;
                    return Ok(Progress::Yield);
                }
                Step::Text(text) => match results::text(py, text) {
                    Err((error, text)) => {
                        turn.guard().map_err(|_| forked())?.give_back(*text);
                        return Err(error);
                    }
                    Ok(Converted::FillText(fill, room)) => {
                        self.room = Some(room);
                        let job = turn.task(Task::LayOut(fill)).map_err(|_| forked())?;
                        self.turn = Some(turn);
                        self.submit(job);
                        continue;
                    }
                    Ok(Converted::Value(value)) => return Ok(Progress::Done(Ok(value))),
                    Ok(Converted::Large(_)) => return Ok(Progress::Done(Ok(py.None()))),
                },
                Step::Call | Step::Done(_) => {}
                Step::Positional(_) => {
                    return Err(PyRuntimeError::new_err("this operation has its turn"));
                }
            }
            self.turn = Some(turn);
        }
    }

    /// The ticket that has to be finished first.
    fn pending(&self) -> Option<&Arc<Ticket>> {
        let ticket = match &self.phase {
            Phase::Queued(place) => place.ticket(),
            Phase::Waiting(ticket) | Phase::Working(ticket) => ticket,
            _ => return None,
        };
        (!ticket.is_done()).then_some(ticket)
    }

    fn submit(&mut self, job: HandleJob) {
        let ticket = port::new_ticket();
        self.file.get().handle.submit(job, &ticket, Some(&ticket));
        self.phase = Phase::Working(ticket);
    }

    /// Nobody waits for the result any more.
    pub(crate) fn abandon(&mut self) {
        let begun = !matches!(self.phase, Phase::Start | Phase::Over);
        let ticket = match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Working(ticket) => Some(ticket),
            _ => None,
        };
        match self.turn.take() {
            Some(turn) => turn.abandon(ticket.as_deref(), self.request.salvage()),
            None => {
                if let Some(ticket) = ticket {
                    self.file.get().handle.abandon_positional(&ticket, self.request.writes_at());
                }
            }
        }
        if begun && self.request.closes() {
            self.file.get().handle.orphan();
        }
    }

    /// It was awaited in a task that is cancelled already: closing is done all the same.
    pub(crate) fn refuse(&mut self) {
        self.phase = Phase::Over;
        if self.request.closes() {
            self.file.get().handle.orphan();
        }
    }
}

/// Has a worker write what has been accepted.
fn start_writer(handle: &Handle, job: Option<HandleJob>) {
    if let Some(job) = job {
        handle.submit(job, &port::new_ticket(), None);
    }
}

/// What can be done in this turn, if nobody else has it.
pub(crate) fn begin(handle: &Arc<Handle>) -> PyResult<Option<Guard<'_>>> {
    handle.begin().map_err(|_| forked())
}

/// What can be done at once, if nobody has the turn and the file is open. Where there is a GIL the turn is not taken, which
/// would cost two atomic exchanges: whoever uses a handle has the GIL, but for workers in a turn of somebody's.
///
/// # Safety
/// While the guard exists, the GIL is kept and no code of Python's is run.
#[inline]
pub(crate) unsafe fn begin_briefly<'a>(_py: Python<'_>, handle: &'a Arc<Handle>) -> Option<Guard<'a>> {
    if cfg!(Py_GIL_DISABLED) {
        return handle.begin().ok().flatten().filter(|guard| !guard.is_closed());
    }
    // SAFETY: the caller's promise.
    unsafe { handle.begin_alone() }.ok().flatten()
}

/// The handle cannot be used in this process.
pub(crate) fn forked() -> PyErr {
    PyRuntimeError::new_err("this file was in use when the process was forked: open it again")
}

/// Somebody else has the turn.
pub(crate) fn under_way() -> PyErr {
    PyRuntimeError::new_err("an operation on this file is under way")
}

/// Several requests as one operation: nobody else has a turn between them.
pub(crate) struct InTurn {
    name: &'static str,
    requests: std::vec::IntoIter<Box<dyn Request>>,
    current: Option<Box<dyn Request>>,
    /// So many are done, for whoever wants to know where it failed.
    done: Arc<AtomicUsize>,
}

impl InTurn {
    pub(crate) fn new(name: &'static str, requests: Vec<Box<dyn Request>>, done: Arc<AtomicUsize>) -> Self {
        let mut requests = requests.into_iter();
        let current = requests.next();
        Self { name, requests, current, done }
    }
}

impl Request for InTurn {
    fn name(&self) -> &'static str {
        self.name
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        let Some(current) = &mut self.current else { return Ok(Step::Done(py.None())) };
        match current.advance(py, file, guard, outcome)? {
            Step::Done(_) => {
                self.done.fetch_add(1, Ordering::Relaxed);
                self.current = self.requests.next();
                Ok(if self.current.is_none() { Step::Done(py.None()) } else { Step::Next })
            }
            step => Ok(step),
        }
    }

    fn call(&mut self, py: Python<'_>, guard: &mut Guard<'_>) -> PyResult<()> {
        self.current.as_mut().map_or(Ok(()), |current| current.call(py, guard))
    }
}
