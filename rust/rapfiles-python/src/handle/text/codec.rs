//! Encodings that the engine does not have: Python's own incremental codecs.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyMemoryError, PyTypeError, PyUnicodeDecodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyList, PyString};
use rapfiles_core::Form;
use rapfiles_core::handle::{Complaint, Decoded, Failure, Fallible, ForeignCodec, Snapshot, TextTarget};
use rapfiles_core::memory::{copied, joined};

use super::characters::{substring, utf8};
use super::cookie::{self, Cookie};
use crate::errors::no_memory;
use crate::handle::objects::{Caller, Objects};
use crate::handle::strings::{bytes_of, string};
use crate::once::intern;

/// Python's codec for the encoding of a text file.
#[derive(Default)]
pub(crate) struct PythonCodec(Mutex<Parts>);

/// Changed only while nobody else has the turn.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) encoding: String,
    pub(crate) errors: String,
    /// As it was given to `open()`.
    pub(crate) newline: Option<&'static str>,
    /// The codec objects, if the engine has no codec.
    pub(crate) decoder: Option<Py<PyAny>>,
    pub(crate) encoder: Option<Py<PyAny>>,
}

/// The saved state of a decoder, and the text that it has decoded since.
pub(crate) struct Saved {
    state: Py<PyAny>,
    parts: Vec<Py<PyString>>,
}

/// The usual name of a codec, with which Python finds it without a search.
fn native_name(encoding: &str) -> &str {
    if encoding.eq_ignore_ascii_case("utf-8") { "utf-8" } else { encoding }
}

fn made<T>(result: PyResult<T>) -> Fallible<Objects, T> {
    result.map_err(Failure::Caller)
}

impl PythonCodec {
    /// Held only while no Python code runs.
    pub(crate) fn parts(&self) -> MutexGuard<'_, Parts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the encoding.
    pub(crate) fn set(&self, parts: Parts) {
        let before = std::mem::replace(&mut *self.parts(), parts);
        // Not under the lock: dropping it may run Python code.
        drop(before);
    }

    fn decoder<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.parts().decoder.as_ref().map(|decoder| decoder.bind(py).clone())
    }

    fn encoder<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.parts().encoder.as_ref().map(|encoder| encoder.bind(py).clone())
    }

    fn names(&self) -> (String, String) {
        let parts = self.parts();
        (parts.encoding.clone(), parts.errors.clone())
    }
}

fn translated<'py>(
    text: &Bound<'py, PyString>,
    newline: Option<&'static str>,
) -> PyResult<Bound<'py, PyAny>> {
    match newline {
        Some(newline) => text.call_method1(intern!(text.py(), "replace"), ("\n", newline)),
        None => Ok(text.clone().into_any()),
    }
}

/// Decodes a chunk. Also gives the decoder's state before.
fn decode(decoder: &Bound<'_, PyAny>, input: &[u8], end: bool) -> PyResult<Decoded<Objects>> {
    let py = decoder.py();
    let (buffered, state): (Bound<'_, PyBytes>, Bound<'_, PyAny>) =
        decoder.call_method0(intern!(py, "getstate"))?.extract()?;
    let text = decoder.call_method1(intern!(py, "decode"), (bytes_of(py, input)?, end))?;
    let text = text.cast_into::<PyString>().map_err(|error| {
        let kind = error.into_inner().get_type();
        PyTypeError::new_err(format!("decoder should return a string result, not '{kind}'"))
    })?;
    let input = joined(&[buffered.as_bytes(), input]).map_err(no_memory)?;
    let (content, characters) = utf8(&text)?;
    Ok(Decoded { content, characters, snapshot: Snapshot::new(state.unbind(), input) })
}

impl ForeignCodec<Objects> for PythonCodec {
    type State = Py<PyAny>;
    type Saved = Saved;

    fn decode(&self, caller: Caller<'_>, input: &[u8], end: bool) -> Fallible<Objects, Decoded<Objects>> {
        let decoder = self.decoder(caller.py).ok_or(Complaint::Misplaced)?;
        made(decode(&decoder, input, end))
    }

    fn undecodable(&self, caller: Caller<'_>, bytes: &[u8]) -> Failure<PyErr> {
        let py = caller.py;
        let (encoding, errors) = self.names();
        let decoded = bytes_of(py, bytes)
            .and_then(|bytes| bytes.call_method1(intern!(py, "decode"), (native_name(&encoding), errors)));
        Failure::Caller(match decoded {
            Err(error) => error,
            Ok(_) => PyUnicodeDecodeError::new_err("the engine and Python's codec disagree"),
        })
    }

    fn save(&self, caller: Caller<'_>) -> Fallible<Objects, Saved> {
        let decoder = self.decoder(caller.py).ok_or(Complaint::Misplaced)?;
        let state = made(decoder.call_method0(intern!(caller.py, "getstate")))?;
        Ok(Saved { state: state.unbind(), parts: Vec::new() })
    }

    fn restore(&self, saved: Saved) {
        Python::attach(|py| {
            let Some(decoder) = self.decoder(py) else { return };
            if let Err(error) = decoder.call_method1(intern!(py, "setstate"), (saved.state,)) {
                error.write_unraisable(py, Some(&decoder));
            }
        });
    }

    fn decode_part(
        &self,
        caller: Caller<'_>,
        saved: &mut Saved,
        content: &[u8],
        part: Range<usize>,
    ) -> Fallible<Objects, ()> {
        let py = caller.py;
        let decoder = self.decoder(py).ok_or(Complaint::Misplaced)?;
        let everything = part == (0..content.len());
        let mut decode = || {
            let last = part.end == content.len();
            let bytes = bytes_of(py, &content[part.clone()])?;
            let text = match decoder.call_method1(intern!(py, "decode"), (bytes, last)) {
                Ok(text) => text,
                Err(error) if everything => return Err(error),
                Err(error) => {
                    // The error describes the whole input, as if it had been decoded in one go.
                    decoder.call_method1(intern!(py, "setstate"), (&saved.state,))?;
                    let bytes = bytes_of(py, content)?;
                    let decoded = decoder.call_method1(intern!(py, "decode"), (bytes, true));
                    return Err(decoded.err().unwrap_or(error));
                }
            };
            saved.parts.push(text.cast_into::<PyString>()?.unbind());
            Ok(())
        };
        made(decode())
    }

    fn join(
        &self,
        caller: Caller<'_>,
        (before, form): (&[u8], Form),
        saved: Saved,
    ) -> Fallible<Objects, Py<PyAny>> {
        let py = caller.py;
        let join = || {
            let before = string(py, before, form)?.unbind();
            let parts = PyList::new(py, std::iter::once(before).chain(saved.parts))?;
            let text = intern!(py, "").call_method1(intern!(py, "join"), (parts,))?;
            Ok(text.cast_into::<PyString>()?.into_any().unbind())
        };
        made(join())
    }

    fn encode(
        &self,
        caller: Caller<'_>,
        text: &Py<PyString>,
        part: Range<usize>,
        newline: Option<&'static str>,
    ) -> Fallible<Objects, Vec<u8>> {
        let py = caller.py;
        let encoder = self.encoder(py).ok_or(Complaint::Misplaced)?;
        let text = text.bind(py);
        let encode = |text: &Bound<'_, PyString>| -> PyResult<Vec<u8>> {
            let bytes = encoder.call_method1(intern!(py, "encode"), (translated(text, newline)?,))?;
            copied(bytes.cast::<PyBytes>()?.as_bytes()).map_err(no_memory)
        };
        let whole = part == (0..made(text.len())?);
        match made(substring(text, part))? {
            part if whole => made(encode(&part)),
            // The error describes the whole text, as if it had been encoded in one go.
            part => encode(&part).map_err(|error| {
                if error.is_instance_of::<PyMemoryError>(py) {
                    return Failure::Caller(error);
                }
                self.unencodable(caller, text.as_unbound(), newline)
            }),
        }
    }

    fn save_encoder(&self, caller: Caller<'_>) -> Option<Py<PyAny>> {
        // An encoder need not have `getstate`: `io` does not call it.
        let state = self.encoder(caller.py)?.call_method0(intern!(caller.py, "getstate"));
        state.ok().map(Bound::unbind)
    }

    fn restore_encoder(&self, saved: Py<PyAny>) {
        Python::attach(|py| {
            let Some(encoder) = self.encoder(py) else { return };
            if let Err(error) = encoder.call_method1(intern!(py, "setstate"), (saved,)) {
                error.write_unraisable(py, Some(&encoder));
            }
        });
    }

    fn unencodable(
        &self,
        caller: Caller<'_>,
        text: &Py<PyString>,
        newline: Option<&'static str>,
    ) -> Failure<PyErr> {
        let py = caller.py;
        let (encoding, errors) = self.names();
        let encoded = translated(text.bind(py), newline)
            .and_then(|text| text.call_method1(intern!(py, "encode"), (native_name(&encoding), errors)));
        Failure::Caller(encoded.err().unwrap_or_else(|| PyValueError::new_err("the text cannot be encoded")))
    }

    fn forget(&self, caller: Caller<'_>) -> Fallible<Objects, bool> {
        let Some(decoder) = self.decoder(caller.py) else { return Ok(false) };
        made(decoder.call_method0(intern!(caller.py, "reset")).map(|_| true))
    }

    fn plain_state(&self, caller: Caller<'_>, pending: bool) -> Py<PyAny> {
        PyInt::new(caller.py, u8::from(pending)).into_any().unbind()
    }

    fn same_state(&self, caller: Caller<'_>, state: &Py<PyAny>) -> Py<PyAny> {
        state.clone_ref(caller.py)
    }

    fn find(
        &self,
        caller: Caller<'_>,
        position: u64,
        snapshot: Snapshot<Objects>,
        used: usize,
        ratio: f64,
    ) -> Fallible<Objects, Py<PyAny>> {
        let py = caller.py;
        let find = || {
            let decoder = match self.decoder(py) {
                Some(decoder) => decoder,
                None => {
                    let (encoding, newline) = {
                        let parts = self.parts();
                        (parts.encoding.clone(), parts.newline)
                    };
                    cookie::new_decoder(py, &encoding, newline)?
                }
            };
            cookie::find(&decoder, position, snapshot.state.bind(py), &snapshot.input, used, ratio)
        };
        made(find())
    }

    fn target(
        &self,
        caller: Caller<'_>,
        place: &Py<PyAny>,
        whence: i32,
    ) -> Fallible<Objects, Option<TextTarget<Objects>>> {
        let cookie = place.bind(caller.py);
        let to = |offset: Option<i64>| TextTarget {
            offset,
            state: self.plain_state(caller, false),
            feed: 0,
            end: false,
            skip: 0,
        };
        let zero = made(cookie.eq(0))?;
        match whence {
            1 if !zero => Err(Complaint::SeekFromHere.into()),
            1 => Ok(None),
            2 if !zero => Err(Complaint::SeekFromEnd.into()),
            2 => Ok(Some(to(None))),
            0 if made(cookie.lt(0))? => {
                let refused = cookie
                    .repr()
                    .map(|cookie| PyValueError::new_err(format!("negative seek position {cookie}")));
                Err(Failure::Caller(refused.unwrap_or_else(|error| error)))
            }
            0 => match cookie.extract::<i64>() {
                Ok(offset) => Ok(Some(to(Some(offset)))),
                Err(_) => {
                    let parsed = cookie.cast::<PyInt>().map_err(PyErr::from).and_then(Cookie::parse);
                    let Cookie(offset, state, feed, end, skip) = made(parsed)?;
                    Ok(Some(TextTarget { offset: Some(offset), state: state.unbind(), feed, end, skip }))
                }
            },
            whence => Err(Complaint::InvalidWhence(whence).into()),
        }
    }

    fn same_value(&self, caller: Caller<'_>, value: &Py<PyAny>) -> Py<PyAny> {
        value.clone_ref(caller.py)
    }

    fn move_to(
        &self,
        caller: Caller<'_>,
        target: &TextTarget<Objects>,
        at_start: bool,
    ) -> Fallible<Objects, (bool, bool)> {
        let py = caller.py;
        let move_to = || {
            let state = target.state.bind(py);
            let begins = at_start && state.eq(0)?;
            if let Some(decoder) = self.decoder(py) {
                if begins || target.offset.is_none() {
                    decoder.call_method0(intern!(py, "reset"))?;
                } else {
                    decoder.call_method1(intern!(py, "setstate"), ((PyBytes::new(py, b""), state),))?;
                }
            }
            if let Some(encoder) = self.encoder(py) {
                if begins {
                    encoder.call_method0(intern!(py, "reset"))?;
                } else {
                    encoder.call_method1(intern!(py, "setstate"), (0,))?;
                }
            }
            Ok((begins, state.extract::<u64>().is_ok_and(|flags| flags & 1 == 1)))
        };
        made(move_to())
    }
}
