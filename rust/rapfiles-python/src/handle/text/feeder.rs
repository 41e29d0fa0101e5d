//! Decoding a text file, chunk by chunk.

use std::sync::Arc;

use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use rapfiles_core::memory::copied;
use rapfiles_core::{Fetched, Guard, Reply, Task, Undecoded};

use super::codec::{self, Snapshot};
use super::request::OpenFile;
use super::request::Step;
use super::state::{LONG, TextState};
use crate::errors::no_memory;
use crate::handle::strings::string;

/// Decodes chunk by chunk.
pub(super) struct Feeder {
    pub(super) state: Arc<TextState>,
    /// Bytes for Python's codec, and whether they are the last.
    pub(super) input: Option<(Vec<u8>, bool)>,
    pub(super) undecodable: Option<Vec<u8>>,
    /// The file has ended, and the decoder knows.
    pub(super) ended: bool,
    /// What Python's codec was like then.
    pub(super) at_the_end: Option<Snapshot>,
    /// Everything is asked for, at once.
    pub(super) whole: bool,
}

pub(super) enum More {
    Decoded,
    End,
    Step(Step),
}

impl Feeder {
    pub(super) fn new(state: &Arc<TextState>) -> Self {
        Self {
            state: Arc::clone(state),
            input: None,
            undecodable: None,
            ended: false,
            at_the_end: None,
            whole: false,
        }
    }

    /// Decodes the next chunk, on the way to so many characters. `filled`: a worker has got all that there is.
    pub(super) fn more(
        &mut self,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        characters: usize,
        filled: bool,
    ) -> PyResult<More> {
        if std::mem::take(&mut self.ended) {
            return Ok(More::End);
        }
        let Some((wanted, native)) = guard.decoder().map(|d| (d.next_input(characters), d.is_native()))
        else {
            return Ok(More::End);
        };
        if !filled {
            let at_least = if file.handle.facts.regular { wanted } else { 1 };
            if guard.fetch(at_least) == Fetched::Missing {
                return Ok(More::Step(Step::Task(Task::Fill { at_least, once: false })));
            }
        }
        let count = guard.available().len().min(wanted);
        let end = count == 0;
        if !native {
            self.input = Some((copied(&guard.available()[..count]).map_err(no_memory)?, end));
            guard.consume(count);
            return Ok(More::Step(Step::Call));
        }
        let before = guard.decoder().map(|decoder| decoder.len());
        match guard.decode(count, end) {
            Ok(()) => {}
            Err(Undecoded::Invalid(bytes)) => {
                self.undecodable = Some(bytes);
                self.forget(guard);
                return Ok(More::Step(Step::Call));
            }
            Err(Undecoded::OutOfMemory) => return Err(PyMemoryError::new_err(())),
        }
        // At the end, a pending carriage return may still come.
        let ended = end && guard.decoder().map(|decoder| decoder.len()) == before;
        Ok(if ended { More::End } else { More::Decoded })
    }

    /// As with a synchronous file, what was decoded on the way to an error is lost, unless everything was asked for.
    pub(super) fn forget(&self, guard: &mut Guard<'_>) {
        if !self.whole
            && let Some(decoder) = guard.decoder()
        {
            decoder.clear();
        }
    }

    /// What a worker found to be undecodable.
    pub(super) fn note(&mut self, guard: &mut Guard<'_>, outcome: &mut Option<Reply>) -> Option<Step> {
        match outcome.take() {
            Some(Reply::Undecodable(bytes)) => {
                self.undecodable = Some(bytes);
                self.forget(guard);
                Some(Step::Call)
            }
            other => {
                *outcome = other;
                None
            }
        }
    }

    pub(super) fn call(&mut self, py: Python<'_>, guard: &mut Guard<'_>) -> PyResult<()> {
        if let Some(bytes) = self.undecodable.take() {
            return Err(self.state.decode_error(py, &bytes));
        }
        let Some((input, end)) = self.input.take() else { return Ok(()) };
        let Some(decoder) = self.state.decoder(py) else { return Ok(()) };
        let (text, snapshot) = match codec::decode(&decoder, &input, end) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.forget(guard);
                return Err(error);
            }
        };
        let (bytes, characters) = codec::utf8(&text)?;
        let Some(native) = guard.decoder() else { return Ok(()) };
        self.ended = end && characters == 0;
        if self.ended && !native.is_empty() {
            self.at_the_end = Some(snapshot);
        } else if native.is_empty() || !self.state.extend_snapshot(&input)? {
            // Else the chunk goes on behind what is left of the one before.
            self.state.set_snapshot(Some(snapshot));
        }
        native.add(&bytes, characters, input.len()).map_err(no_memory)
    }
}

pub(super) fn is_filled(outcome: &Option<Reply>) -> bool {
    matches!(outcome, Some(Reply::Filled(false) | Reply::WouldBlock))
}

/// Takes the first bytes of what is decoded as a string.
pub(super) fn take(py: Python<'_>, guard: &mut Guard<'_>, bytes: usize) -> PyResult<Step> {
    let Some(decoder) = guard.decoder() else { return Ok(Step::Done(py.None())) };
    if bytes > LONG && decoder.is_native() {
        return Ok(Step::Text(decoder.take_text(bytes).map_err(no_memory)?));
    }
    let (content, form) = decoder.peek(bytes);
    let text = string(py, content, form)?.into_any().unbind();
    decoder.consume(bytes);
    Ok(Step::Done(text))
}
