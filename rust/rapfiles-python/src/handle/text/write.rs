//! Writing text.

use std::sync::Arc;
use std::time::Instant;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::string::PyStringData;
use pyo3::types::{PyBytes, PyString};
use rapfiles_core::memory::extend;
use rapfiles_core::{Codec as NativeCodec, Data, Guard, KeepAlive, Reply, Until, Written};

use super::request::OpenFile;
use super::request::{Request, Step};
use super::request::{check_open, check_written, exception, number};
use super::state::SLICE;
use super::state::{CLOSED, CODEC_SLICE, LONG, Settings, TextState, native_name};
use crate::arguments::text_source;
use crate::errors::no_memory;
use crate::errors::unsupported;
use crate::once::intern;

/// Writes text.
pub(crate) struct Write {
    state: Arc<TextState>,
    text: Py<PyString>,
    /// The encoded text, so far, and of how many characters.
    encoded: Vec<u8>,
    encoded_characters: usize,
    complete: bool,
    accepted: bool,
    flush: bool,
}

impl Write {
    pub(crate) fn new(state: &Arc<TextState>, text: &Bound<'_, PyAny>) -> PyResult<Self> {
        let text = text.cast::<PyString>().map_err(|_| {
            let kind = text.get_type().name().map_or_else(|_| String::new(), |name| name.to_string());
            PyTypeError::new_err(format!("write() argument must be str, not {kind}"))
        })?;
        Ok(Self {
            state: Arc::clone(state),
            text: text.clone().unbind(),
            encoded: Vec::new(),
            encoded_characters: 0,
            complete: false,
            accepted: false,
            flush: false,
        })
    }

    /// The characters, where they are their own encoding.
    fn plain<'a>(&self, text: &'a Bound<'_, PyString>, settings: &Settings) -> Option<&'a [u8]> {
        // SAFETY: the characters are only read, and strings do not change.
        let Ok(PyStringData::Ucs1(characters)) = (unsafe { text.data() }) else { return None };
        let native = settings.native?;
        let its_own = native == NativeCodec::Latin1 || characters.is_ascii();
        let translated = settings.written_newline().is_some() && memchr::memchr(b'\n', characters).is_some();
        (its_own && !translated).then_some(characters)
    }

    /// Encodes the next characters.
    fn encode(&mut self, py: Python<'_>) -> PyResult<()> {
        let text = self.text.bind(py).clone();
        let characters = text.len()?;
        let (native, newline, written, encoding, errors, sliced) = {
            let settings = self.state.settings();
            (
                settings.native,
                settings.native_newline(),
                settings.written_newline(),
                settings.encoding.clone(),
                settings.errors.clone(),
                settings.sliced,
            )
        };
        let until = Instant::now() + SLICE;
        while !self.complete {
            let from = self.encoded_characters;
            let slice = if native.is_some() || sliced { CODEC_SLICE } else { usize::MAX };
            let to = characters.min(from.saturating_add(slice));
            let whole = from == 0 && to == characters;
            let part = if whole { text.clone() } else { substring(&text, from, to)? };
            let translated = || match written {
                Some(written) => part.call_method1(intern!(py, "replace"), ("\n", written)),
                None => Ok(part.clone().into_any()),
            };
            // The error is to be about the whole text, as if it had been encoded in one go.
            let refused = || -> PyResult<PyErr> {
                let whole = match written {
                    Some(written) => text.call_method1(intern!(py, "replace"), ("\n", written))?,
                    None => text.clone().into_any(),
                };
                let encoded = whole.call_method1(intern!(py, "encode"), (native_name(&encoding), &errors));
                Ok(encoded.err().unwrap_or_else(|| PyValueError::new_err("the text cannot be encoded")))
            };
            match native {
                Some(native) => match text_source(&part)?.encode_owned(native, newline).map_err(no_memory)? {
                    Some(bytes) if whole => self.encoded = bytes,
                    Some(bytes) => extend(&mut self.encoded, &bytes).map_err(no_memory)?,
                    None => return Err(refused()?),
                },
                None => {
                    let Some(encoder) = self.state.encoder(py) else { return Ok(()) };
                    match encoder.call_method1(intern!(py, "encode"), (translated()?,)) {
                        Ok(bytes) => {
                            let bytes = bytes.cast::<PyBytes>()?.as_bytes();
                            if from == 0 && !whole {
                                // About as much for each of the other slices. Growing would take twice as much.
                                let slices = characters.div_ceil(to);
                                let _ = self.encoded.try_reserve_exact(bytes.len().saturating_mul(slices));
                            }
                            extend(&mut self.encoded, bytes).map_err(no_memory)?;
                        }
                        Err(error) if whole => return Err(error),
                        Err(_) => return Err(refused()?),
                    }
                }
            }
            self.encoded_characters = to;
            self.complete = to == characters;
            if Instant::now() > until {
                break;
            }
        }
        if self.complete
            && let Some(decoder) = self.state.decoder(py)
        {
            decoder.call_method0(intern!(py, "reset"))?;
            self.state.set_snapshot(None);
        }
        Ok(())
    }

    fn done(&self, py: Python<'_>) -> PyResult<Step> {
        Ok(number(py, self.text.bind(py).len()? as u64))
    }
}

impl Request for Write {
    fn name(&self) -> &'static str {
        "write"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        _outcome: Option<Reply>,
    ) -> PyResult<Step> {
        check_open(guard, CLOSED)?;
        if !file.writable {
            return Err(unsupported(py, "not writable"));
        }
        if self.accepted {
            if let Some(step) = check_written(py, guard)? {
                return Ok(step);
            }
            return self.done(py);
        }
        if let Some(error) = guard.take_error() {
            return Err(exception(py, error));
        }
        let text = self.text.bind(py).clone();
        if !self.complete {
            let settings = self.state.settings();
            let Some(plain) = self.plain(&text, &settings) else {
                drop(settings);
                let begun = self.encoded_characters > 0;
                // One slice after the other, with turns for other tasks between them.
                return Ok(if begun && !self.yielded() { Step::Yield } else { Step::Call });
            };
            let ends_line = || memchr::memchr2(b'\n', b'\r', plain).is_some();
            self.flush = settings.line_buffering && ends_line();
            drop(settings);
            let length = plain.len();
            self.accepted = if length > LONG {
                // SAFETY: a string never changes, and the reference keeps it alive.
                let data =
                    unsafe { Data::shared(plain.as_ptr(), length, KeepAlive::new(text.clone().unbind())) };
                guard.write_shared(data).is_ok()
            } else {
                guard.write(plain) == Written::Accepted
            };
            if !self.accepted {
                return Ok(Step::AwaitWriter(Until::RoomFor(length)));
            }
        } else {
            let length = self.encoded.len();
            let encoded = std::mem::take(&mut self.encoded);
            let refused = if length > LONG {
                guard.write_shared(Data::Owned(encoded)).err()
            } else if guard.write(&encoded) == Written::Full {
                Some(Data::Owned(encoded))
            } else {
                None
            };
            if let Some(Data::Owned(encoded)) = refused {
                self.encoded = encoded;
                return Ok(Step::AwaitWriter(Until::RoomFor(length)));
            }
            self.accepted = true;
            self.flush = self.state.settings().line_buffering && has_line_end(&text);
        }
        // What was read before is no place to go on from.
        if let Some(decoder) = guard.decoder() {
            decoder.restart();
        }
        if self.flush
            && let Some(step) = check_written(py, guard)?
        {
            return Ok(step);
        }
        self.done(py)
    }

    fn call(&mut self, py: Python<'_>, _guard: &mut Guard<'_>) -> PyResult<()> {
        self.encode(py)
    }
}

impl Write {
    /// Whether other tasks have had a turn since the last slice. Every other time they have.
    fn yielded(&mut self) -> bool {
        self.flush = !self.flush;
        !self.flush
    }
}

fn has_line_end(text: &Bound<'_, PyString>) -> bool {
    // SAFETY: the characters are only read.
    match unsafe { text.data() } {
        Ok(PyStringData::Ucs1(characters)) => memchr::memchr2(b'\n', b'\r', characters).is_some(),
        Ok(PyStringData::Ucs2(characters)) => characters.iter().any(|code| matches!(code, 10 | 13)),
        Ok(PyStringData::Ucs4(characters)) => characters.iter().any(|code| matches!(code, 10 | 13)),
        Err(_) => true,
    }
}

fn substring<'py>(text: &Bound<'py, PyString>, from: usize, to: usize) -> PyResult<Bound<'py, PyString>> {
    let py = text.py();
    let slice = pyo3::types::PySlice::new(py, from as isize, to as isize, 1);
    Ok(text.as_any().get_item(slice)?.cast_into()?)
}
