//! Moving to where a text file was.

use std::sync::Arc;

use pyo3::exceptions::{PyMemoryError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt};
use rapfiles_core::memory::copied;
use rapfiles_core::{Fetched, Guard, Reply, Task, Undecoded};

use super::codec::Snapshot;
use super::cookie::Cookie;
use super::feeder::Feeder;
use super::request::OpenFile;
use super::request::{Request, Step};
use super::request::{check_open, check_writer, exception};
use super::state::{CLOSED, TextState};
use super::tell::Tell;
use crate::errors::no_memory;
use crate::errors::unsupported;
use crate::once::intern;

/// Moves to where a cookie says.
pub(crate) struct Seek {
    state: Arc<TextState>,
    cookie: Py<PyAny>,
    whence: i32,
    stage: Stage,
}

enum Stage {
    Begin,
    /// Finding out where it is.
    Telling(Box<Tell>),
    /// A new place is known: position, decoder flags, bytes to feed, whether they end the file, characters to skip.
    Moving(Target),
    /// The file is there, the codec is not.
    Moved(Target, u64),
    /// The decoder is to be fed.
    Feeding(Target),
    /// The decoder has been fed.
    Skipping(usize),
    Over,
}

struct Target {
    offset: i64,
    from_end: bool,
    flags: Py<PyAny>,
    feed: usize,
    end: bool,
    skip: usize,
    input: Option<Vec<u8>>,
}

impl Seek {
    pub(crate) fn new(state: &Arc<TextState>, cookie: Py<PyAny>, whence: i32) -> Self {
        Self { state: Arc::clone(state), cookie, whence, stage: Stage::Begin }
    }

    fn check(&self, py: Python<'_>, file: &OpenFile, guard: &Guard<'_>) -> PyResult<()> {
        check_open(guard, CLOSED)?;
        if file.handle.facts.seekable {
            return Ok(());
        }
        Err(unsupported(py, "underlying stream is not seekable"))
    }

    /// Looks at what was asked for.
    fn parse(&mut self, py: Python<'_>) -> PyResult<()> {
        let cookie = self.cookie.bind(py);
        let target = |offset: i64, from_end: bool| Target {
            offset,
            from_end,
            flags: PyInt::new(py, 0).into_any().unbind(),
            feed: 0,
            end: false,
            skip: 0,
            input: None,
        };
        let zero = cookie.eq(0)?;
        self.stage = match self.whence {
            1 if !zero => return Err(unsupported(py, "can't do nonzero cur-relative seeks")),
            1 => Stage::Telling(Box::new(Tell::new(&self.state))),
            2 if !zero => return Err(unsupported(py, "can't do nonzero end-relative seeks")),
            2 => Stage::Moving(target(0, true)),
            0 if cookie.lt(0)? => {
                return Err(PyValueError::new_err(format!("negative seek position {}", cookie.repr()?)));
            }
            0 => match cookie.extract::<i64>() {
                Ok(offset) => Stage::Moving(target(offset, false)),
                Err(_) => {
                    let Cookie(offset, flags, feed, end, skip) = Cookie::parse(cookie.cast::<PyInt>()?)?;
                    let flags = flags.unbind();
                    Stage::Moving(Target { flags, feed, end, skip, ..target(offset, false) })
                }
            },
            whence => {
                return Err(PyValueError::new_err(format!("invalid whence ({whence}, should be 0, 1 or 2)")));
            }
        };
        Ok(())
    }

    /// Sets the codecs up for the new place.
    fn set_up(&self, py: Python<'_>, guard: &mut Guard<'_>, target: &Target, position: u64) -> PyResult<()> {
        let flags = target.flags.bind(py);
        let begin = position == 0 && flags.eq(0)?;
        if let Some(decoder) = self.state.decoder(py) {
            if begin || target.from_end {
                decoder.call_method0(intern!(py, "reset"))?;
            } else {
                decoder.call_method1(intern!(py, "setstate"), ((PyBytes::new(py, b""), flags),))?;
            }
            let snapshot = Snapshot { flags: target.flags.clone_ref(py), input: Vec::new() };
            self.state.set_snapshot(if target.from_end { None } else { Some(snapshot) });
        }
        if let Some(encoder) = self.state.encoder(py) {
            if begin {
                encoder.call_method0(intern!(py, "reset"))?;
            } else {
                encoder.call_method1(intern!(py, "setstate"), (0,))?;
            }
        }
        let pending = flags.extract::<u64>().is_ok_and(|flags| flags & 1 == 1);
        if let Some(decoder) = guard.decoder() {
            if begin || target.from_end {
                decoder.restart();
            } else {
                decoder.reset(pending && decoder.is_native());
            }
        }
        Ok(())
    }

    fn feed(&self, py: Python<'_>, guard: &mut Guard<'_>, input: &[u8], end: bool) -> PyResult<()> {
        let mut feeder = Feeder::new(&self.state);
        if self.state.decoder(py).is_some() {
            feeder.input = Some((copied(input).map_err(no_memory)?, end));
            return feeder.call(py, guard);
        }
        let decoded = guard.decoder().map(|decoder| decoder.decode(input, end));
        match decoded {
            Some(Err(Undecoded::Invalid(bytes))) => Err(self.state.decode_error(py, &bytes)),
            Some(Err(Undecoded::OutOfMemory)) => Err(PyMemoryError::new_err(())),
            _ => Ok(()),
        }
    }
}

impl Request for Seek {
    fn name(&self) -> &'static str {
        "seek"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Reply>,
    ) -> PyResult<Step> {
        self.check(py, file, guard)?;
        if let Some(step) = check_writer(py, guard)? {
            return Ok(step);
        }
        match &mut self.stage {
            Stage::Begin => Ok(Step::Call),
            Stage::Telling(tell) => match tell.advance(py, file, guard, outcome)? {
                Step::Done(cookie) => {
                    (self.cookie, self.whence, self.stage) = (cookie, 0, Stage::Begin);
                    Ok(Step::Call)
                }
                step => Ok(step),
            },
            Stage::Moving(target) => {
                let whence = if target.from_end { 2 } else { 0 };
                let position = match outcome {
                    Some(Reply::Count(position)) => position,
                    _ => match guard.seek(target.offset, whence) {
                        Some(position) => position.map_err(|error| exception(py, error))?,
                        None => return Ok(Step::Task(Task::Seek { offset: target.offset, whence })),
                    },
                };
                if let Stage::Moving(target) = std::mem::replace(&mut self.stage, Stage::Over) {
                    if target.from_end {
                        self.cookie = PyInt::new(py, position).into_any().unbind();
                    }
                    self.stage = Stage::Moved(target, position);
                }
                Ok(Step::Call)
            }
            Stage::Feeding(target) => {
                if outcome.is_none() && guard.fetch(target.feed) == Fetched::Missing {
                    return Ok(Step::Task(Task::Fill { at_least: target.feed, once: false }));
                }
                let count = target.feed.min(guard.available().len());
                target.input = Some(copied(&guard.available()[..count]).map_err(no_memory)?);
                guard.consume(count);
                Ok(Step::Call)
            }
            Stage::Skipping(skip) => {
                if let Some(decoder) = guard.decoder() {
                    if decoder.characters() < *skip {
                        return Err(PyOSError::new_err("can't restore logical file position"));
                    }
                    decoder.consume(decoder.bytes_of(*skip));
                }
                Ok(Step::Done(self.cookie.clone_ref(py)))
            }
            Stage::Moved(..) => Ok(Step::Call),
            Stage::Over => Ok(Step::Done(self.cookie.clone_ref(py))),
        }
    }

    fn call(&mut self, py: Python<'_>, guard: &mut Guard<'_>) -> PyResult<()> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Begin => self.parse(py)?,
            Stage::Telling(mut tell) => {
                tell.call(py, guard)?;
                self.stage = Stage::Telling(tell);
            }
            Stage::Moved(target, position) => {
                self.set_up(py, guard, &target, position)?;
                if target.skip > 0 {
                    self.stage = Stage::Feeding(target);
                }
            }
            Stage::Feeding(Target { input: Some(input), end, skip, .. }) => {
                self.feed(py, guard, &input, end)?;
                self.stage = Stage::Skipping(skip);
            }
            stage => self.stage = stage,
        }
        Ok(())
    }
}
