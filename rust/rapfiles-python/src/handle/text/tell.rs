//! Telling where a text file is.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyInt;
use rapfiles_core::memory::copied;
use rapfiles_core::{Guard, Position, Reply, Task};

use super::codec::Snapshot;
use super::cookie::{self};
use super::request::OpenFile;
use super::request::{Request, Step};
use super::request::{check_open, check_written, exception, number};
use super::state::{CLOSED, TextState};
use crate::errors::no_memory;
use crate::errors::unsupported;
use crate::once::intern;

/// Tells where the user is.
pub(crate) struct Tell {
    state: Arc<TextState>,
    /// What the place has to be found by.
    place: Option<Place>,
    cookie: Option<Py<PyAny>>,
}

struct Place {
    position: u64,
    flags: Py<PyAny>,
    input: Vec<u8>,
    used: usize,
    ratio: f64,
}

impl Tell {
    pub(crate) fn new(state: &Arc<TextState>) -> Self {
        Self { state: Arc::clone(state), place: None, cookie: None }
    }

    fn tell(&mut self, py: Python<'_>, guard: &mut Guard<'_>, position: u64) -> PyResult<Step> {
        let Some(decoder) = guard.decoder() else { return Ok(number(py, position)) };
        if !decoder.is_native() {
            let Some(Snapshot { flags, input }) = self.state.snapshot(py)? else {
                return Ok(number(py, position));
            };
            self.place = Some(Place {
                position: position.saturating_sub(input.len() as u64),
                flags,
                input,
                used: decoder.used_characters(),
                ratio: decoder.ratio(),
            });
            return Ok(Step::Call);
        }
        match decoder.position() {
            Position::Before(bytes) => Ok(number(py, position.saturating_sub(bytes as u64))),
            Position::Decode { input, pending, used, ratio } => {
                self.place = Some(Place {
                    position: position.saturating_sub(input.len() as u64),
                    flags: PyInt::new(py, u8::from(pending)).into_any().unbind(),
                    input: copied(input).map_err(no_memory)?,
                    used,
                    ratio,
                });
                Ok(Step::Call)
            }
        }
    }
}

impl Request for Tell {
    fn name(&self) -> &'static str {
        "tell"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Reply>,
    ) -> PyResult<Step> {
        if let Some(cookie) = self.cookie.take() {
            return Ok(Step::Done(cookie));
        }
        check_open(guard, CLOSED)?;
        if !file.handle.facts.seekable {
            return Err(unsupported(py, "underlying stream is not seekable"));
        }
        if let Some(step) = check_written(py, guard)? {
            return Ok(step);
        }
        if let Some(Reply::Count(position)) = outcome {
            return self.tell(py, guard, position);
        }
        match guard.position() {
            Some(position) => {
                let position = position.map_err(|error| exception(py, error))?;
                self.tell(py, guard, position)
            }
            None => Ok(Step::Task(Task::Position)),
        }
    }

    fn call(&mut self, py: Python<'_>, _guard: &mut Guard<'_>) -> PyResult<()> {
        let Some(place) = self.place.take() else { return Ok(()) };
        let decoder = match self.state.decoder(py) {
            Some(decoder) => decoder,
            None => {
                let (encoding, newline) = {
                    let settings = self.state.settings();
                    (settings.encoding.clone(), settings.newline)
                };
                let cookies = py.import(intern!(py, "rapfiles._cookie"))?;
                cookies.call_method1(intern!(py, "new_decoder"), (encoding, newline))?
            }
        };
        let flags = place.flags.bind(py);
        self.cookie =
            Some(cookie::find(&decoder, place.position, flags, &place.input, place.used, place.ratio)?);
        Ok(())
    }
}
