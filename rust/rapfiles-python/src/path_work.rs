//! Operations on paths, from their submission to the engine to their answer.

use std::mem;
use std::sync::Arc;
use std::time::Instant;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use rapfiles_core::{Engine, Error, Outcome, PathOperation, Progress, Submitted, Ticket, release_memory};

use crate::errors::{self, Names};
use crate::large_read::{LargeRead, LargeStep};
use crate::pending::Answer;
use crate::results::{self, BytesBuffer, Converted};

/// An operation on paths, awaited.
pub(crate) struct PathWork {
    phase: Phase,
    names: Names,
}

enum Phase {
    /// The engine does not have it yet.
    Unsubmitted(Box<PathOperation>),
    /// A worker has it, and perhaps fills this object.
    Submitted(Arc<Ticket>, Option<Py<PyAny>>),
    /// It is read in slices.
    Reading(Box<LargeRead>),
    /// The answer is known.
    Answered(Answer),
    Over,
}

impl PathWork {
    /// An operation that begins when it is awaited.
    pub(crate) fn new(operation: PathOperation, names: Names) -> Self {
        Self { phase: Phase::Unsubmitted(Box::new(operation)), names }
    }

    /// An operation that begins now.
    #[inline]
    pub(crate) fn begin(
        py: Python<'_>,
        operation: PathOperation,
        names: Names,
    ) -> (Self, Progress<(Answer, Instant)>) {
        let mut work = Self { phase: Phase::Over, names };
        let progress = work.submit(py, operation);
        (work, progress)
    }

    /// An answer that needs no engine.
    pub(crate) fn answered(answer: Answer) -> Self {
        Self { phase: Phase::Answered(answer), names: Names::none() }
    }

    /// Whether nobody has begun to await it.
    pub(crate) fn is_untouched(&self) -> bool {
        matches!(self.phase, Phase::Unsubmitted(_) | Phase::Answered(_))
    }

    /// Advances as far as possible: to the answer, and when that was there.
    pub(crate) fn advance(&mut self, py: Python<'_>) -> Progress<(Answer, Instant)> {
        match mem::replace(&mut self.phase, Phase::Over) {
            Phase::Unsubmitted(operation) => self.submit(py, *operation),
            Phase::Submitted(ticket, room) if !ticket.is_done() => self.wait(ticket, room),
            Phase::Submitted(ticket, room) => {
                let outcome = ticket.take();
                release_memory();
                match outcome {
                    Some(outcome) => self.proceed(py, outcome, room, Instant::now()),
                    None => done(Err(PyRuntimeError::new_err("this operation was cancelled"))),
                }
            }
            Phase::Reading(reading) => self.read_on(py, reading),
            Phase::Answered(answer) => done(answer),
            Phase::Over => done(Err(PyRuntimeError::new_err("cannot reuse already awaited coroutine"))),
        }
    }

    fn submit(&mut self, py: Python<'_>, operation: PathOperation) -> Progress<(Answer, Instant)> {
        let engine = Engine::current();
        let mut room = BytesBuffer::new(py);
        match engine.attempt(&operation, &mut room) {
            Ok((outcome, now)) => self.proceed(py, outcome, room.into_bytes(), now),
            Err(lane) => {
                let ticket = Ticket::unique();
                match engine.submit(operation, lane, &ticket) {
                    Submitted::Ready(outcome) => {
                        release_memory();
                        self.proceed(py, outcome, None, Instant::now())
                    }
                    Submitted::Pending => self.wait(ticket, None),
                }
            }
        }
    }

    /// Creates the answer from an outcome, or submits the work that remains.
    fn proceed(
        &mut self,
        py: Python<'_>,
        outcome: Result<Outcome, Error>,
        room: Option<Py<PyAny>>,
        now: Instant,
    ) -> Progress<(Answer, Instant)> {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => return Progress::Done((Err(errors::exception(py, error, &self.names)), now)),
        };
        match results::convert(py, outcome, room) {
            Ok(Converted::Value(value)) => Progress::Done((Ok(value), now)),
            Ok(Converted::Large(file)) => match LargeRead::new(py, file) {
                Ok(reading) => self.read_on(py, reading),
                Err(error) => Progress::Done((Err(error), now)),
            },
            Ok(Converted::FillText(fill, room)) => {
                let ticket = Ticket::unique();
                Engine::current().fill_text(fill, &ticket);
                self.wait(ticket, Some(room))
            }
            Err(error) => Progress::Done((Err(error), now)),
        }
    }

    /// Continues to read a large file.
    fn read_on(&mut self, py: Python<'_>, reading: Box<LargeRead>) -> Progress<(Answer, Instant)> {
        match reading.advance(py) {
            LargeStep::Done(answer) => done(answer),
            LargeStep::Pause(reading) => {
                self.phase = Phase::Reading(reading);
                Progress::Yield
            }
            LargeStep::ReadParallel(read, room) => {
                let ticket = Ticket::unique();
                Engine::current().read_parallel(read, &ticket);
                self.wait(ticket, Some(room))
            }
        }
    }

    fn wait(&mut self, ticket: Arc<Ticket>, room: Option<Py<PyAny>>) -> Progress<(Answer, Instant)> {
        self.phase = Phase::Submitted(Arc::clone(&ticket), room);
        Progress::Pending(ticket)
    }

    /// Abandons the operation: the task that awaited it is gone.
    pub(crate) fn abandon(&mut self) {
        if let Phase::Submitted(ticket, _) = mem::replace(&mut self.phase, Phase::Over) {
            ticket.cancel();
        }
    }

    /// Shows the collector what is held.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.phase {
            Phase::Submitted(_, room) => visit.call(room),
            Phase::Answered(Ok(answer)) => visit.call(answer),
            _ => Ok(()),
        }
    }
}

fn done(answer: Answer) -> Progress<(Answer, Instant)> {
    Progress::Done((answer, Instant::now()))
}
