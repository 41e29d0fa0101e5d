//! Reading text.

use std::sync::Arc;
use std::time::Instant;

use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use rapfiles_core::memory::extend;
use rapfiles_core::{Fetched, Guard, MOST_NOW, Reply, Salvage, Task, Undecoded};

use super::feeder::{Feeder, More, is_filled, take};
use super::request::OpenFile;
use super::request::check_written;
use super::request::{Request, Step};
use super::state::SLICE;
use super::state::{CODEC_SLICE, MANY, TextState, check_readable};
use crate::errors::no_memory;
use crate::handle::strings::bytes_of;
use crate::handle::strings::string;
use crate::once::intern;

/// Reads so many characters.
pub(crate) struct Read {
    characters: usize,
    feeder: Feeder,
}

impl Read {
    pub(crate) fn new(state: &Arc<TextState>, characters: usize) -> Self {
        Self { characters, feeder: Feeder::new(state) }
    }
}

impl Request for Read {
    fn name(&self) -> &'static str {
        "read"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        mut outcome: Option<Reply>,
    ) -> PyResult<Step> {
        check_readable(py, file, guard)?;
        if let Some(step) = check_written(py, guard)? {
            return Ok(step);
        }
        if let Some(step) = self.feeder.note(guard, &mut outcome) {
            return Ok(step);
        }
        let mut filled = is_filled(&outcome);
        if let Some(Reply::Text(text)) = outcome {
            return Ok(Step::Text(text));
        }
        loop {
            let Some(decoder) = guard.decoder() else { return Ok(Step::Done(py.None())) };
            let missing = self.characters.saturating_sub(decoder.characters());
            if missing == 0 {
                let bytes = decoder.bytes_of(self.characters);
                return take(py, guard, bytes);
            }
            if missing > MANY && decoder.is_native() {
                return Ok(Step::Task(Task::ReadText { characters: Some(self.characters) }));
            }
            match self.feeder.more(file, guard, missing, std::mem::take(&mut filled))? {
                More::Decoded => {}
                More::End => {
                    let bytes = guard.decoder().map_or(0, |decoder| decoder.len());
                    let rest = take(py, guard, bytes)?;
                    if let Some(decoder) = guard.decoder() {
                        decoder.exhaust();
                    }
                    if let Some(snapshot) = self.feeder.at_the_end.take() {
                        self.feeder.state.set_snapshot(Some(snapshot));
                    }
                    return Ok(rest);
                }
                More::Step(step) => return Ok(step),
            }
        }
    }

    fn call(&mut self, py: Python<'_>, guard: &mut Guard<'_>) -> PyResult<()> {
        self.feeder.call(py, guard)
    }
}

/// Reads everything.
pub(crate) struct ReadAll {
    feeder: Feeder,
    /// What Python's codec has decoded, and of what.
    parts: Vec<Py<PyString>>,
    content: Vec<u8>,
    decoded: usize,
    complete: bool,
    begun: Option<Py<PyAny>>,
    result: Option<Py<PyString>>,
}

impl ReadAll {
    pub(crate) fn new(state: &Arc<TextState>) -> Self {
        Self {
            feeder: Feeder { whole: true, ..Feeder::new(state) },
            parts: Vec::new(),
            content: Vec::new(),
            decoded: 0,
            complete: false,
            begun: None,
            result: None,
        }
    }

    /// Collects the rest of the file for Python's codec.
    fn collect(&mut self, guard: &mut Guard<'_>, filled: bool) -> PyResult<Step> {
        let ended = filled || guard.fetch(CODEC_SLICE) == Fetched::End;
        let available = guard.available().len();
        if available < CODEC_SLICE && !ended {
            return Ok(Step::Task(Task::Fill { at_least: CODEC_SLICE, once: false }));
        }
        extend(&mut self.content, guard.available()).map_err(no_memory)?;
        guard.consume(available);
        self.complete = ended;
        Ok(if ended { Step::Call } else { Step::Yield })
    }

    /// Decodes the next slice; the first and only one where there is little.
    fn decode(&mut self, py: Python<'_>) -> PyResult<bool> {
        let Some(decoder) = self.feeder.state.decoder(py) else { return Ok(true) };
        if self.begun.is_none() {
            self.begun = Some(decoder.call_method0(intern!(py, "getstate"))?.unbind());
        }
        let to = (self.decoded + CODEC_SLICE).min(self.content.len());
        let last = to == self.content.len();
        let part = bytes_of(py, &self.content[self.decoded..to])?;
        let text = match decoder.call_method1(intern!(py, "decode"), (part, last)) {
            Ok(text) => text,
            Err(error) if self.content.len() <= CODEC_SLICE => return Err(error),
            Err(error) => {
                // The error is to be about everything, as if it had been decoded in one go.
                decoder.call_method1(intern!(py, "setstate"), (self.begun.take(),))?;
                let whole = bytes_of(py, &self.content)?;
                return Err(decoder
                    .call_method1(intern!(py, "decode"), (whole, true))
                    .err()
                    .unwrap_or(error));
            }
        };
        self.parts.push(text.cast_into::<PyString>()?.unbind());
        self.decoded = to;
        Ok(last)
    }
}

/// Whether the rest of the file is available, and so little that it may be decoded here.
fn fetch_rest(guard: &mut Guard<'_>) -> bool {
    let most = guard.available().len() + MOST_NOW;
    let Some(all) = guard.left().map(|left| guard.available().len().saturating_add(left)) else {
        return guard.fetch(MANY) == Fetched::End;
    };
    all <= most
        && guard.fetch(all) != Fetched::Missing
        && guard.fetch(all + 1) == Fetched::End
        && (guard.available().len() <= MANY || guard.is_plain())
}

impl Request for ReadAll {
    fn name(&self) -> &'static str {
        "read"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        mut outcome: Option<Reply>,
    ) -> PyResult<Step> {
        check_readable(py, file, guard)?;
        if let Some(result) = self.result.take() {
            return Ok(Step::Done(result.into_any()));
        }
        if self.complete {
            return Ok(Step::Call);
        }
        if let Some(step) = check_written(py, guard)? {
            return Ok(step);
        }
        if let Some(step) = self.feeder.note(guard, &mut outcome) {
            return Ok(step);
        }
        let Some(decoder) = guard.decoder() else { return Ok(Step::Done(py.None())) };
        if !decoder.is_native() {
            return self.collect(guard, is_filled(&outcome));
        }
        if let Some(Reply::Text(text)) = outcome {
            return Ok(Step::Text(text));
        }
        if fetch_rest(guard)
            && let Some(decoded) = guard.decode_rest()
        {
            return Ok(match decoded {
                Ok(text) => Step::Text(text),
                Err(Undecoded::Invalid(bytes)) => {
                    self.feeder.undecodable = Some(bytes);
                    Step::Call
                }
                Err(Undecoded::OutOfMemory) => return Err(PyMemoryError::new_err(())),
            });
        }
        Ok(Step::Task(Task::ReadText { characters: None }))
    }

    fn call(&mut self, py: Python<'_>, guard: &mut Guard<'_>) -> PyResult<()> {
        if !self.complete {
            return self.feeder.call(py, guard);
        }
        let until = Instant::now() + SLICE;
        loop {
            if self.decode(py)? {
                break;
            }
            if Instant::now() > until {
                return Ok(());
            }
        }
        // What was decoded before comes first, and nothing is left.
        let before = match guard.decoder() {
            Some(decoder) => {
                let (content, form) = decoder.peek(decoder.len());
                let before = string(py, content, form)?.unbind();
                decoder.clear();
                before
            }
            None => PyString::new(py, "").unbind(),
        };
        self.feeder.state.set_snapshot(None);
        let parts = PyList::new(py, std::iter::once(before).chain(self.parts.drain(..)))?;
        let whole = intern!(py, "").call_method1(intern!(py, "join"), (parts,))?;
        self.result = Some(whole.cast_into::<PyString>()?.unbind());
        Ok(())
    }

    fn salvage(&mut self) -> Option<Salvage> {
        // The codec goes back to where it was before.
        if let Some(begun) = self.begun.take() {
            Python::attach(|py| {
                let decoder = self.feeder.state.decoder(py)?;
                decoder.call_method1(intern!(py, "setstate"), (begun,)).ok().map(drop)
            });
        }
        Some(Salvage::Bytes(std::mem::take(&mut self.content)))
    }
}
