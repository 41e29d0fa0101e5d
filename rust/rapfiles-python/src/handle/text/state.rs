//! What a text file has beside its handle: how it treats its text, and Python's codec where that is needed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyUnicodeDecodeError;
use pyo3::prelude::*;
use rapfiles_core::memory::{copied, extend};
use rapfiles_core::{Codec as NativeCodec, Guard, LineEnds, Newline};

use super::codec::{Codec, Snapshot};
use super::request::OpenFile;
use super::request::check_open;
use crate::errors::{no_memory, unsupported};
use crate::handle::strings::bytes_of;
use crate::once::intern;

pub(crate) const CLOSED: &str = "I/O operation on closed file.";
/// Decoded text that is longer is made a string by a worker.
pub(super) const LONG: usize = 256 << 10;
/// A request for more characters is left to a worker.
pub(super) const MANY: usize = 32 << 10;
/// Characters, or bytes, that go through Python's codecs at once.
pub(super) const CODEC_SLICE: usize = 64 << 10;

/// Other tasks get their turn after so long.
pub(super) const SLICE: Duration = Duration::from_millis(1);
/// How many lines are taken between looks at the clock.
pub(super) const BETWEEN_LOOKS: usize = 256;

/// How a text file treats its text.
pub(crate) struct Settings {
    pub(crate) native: Option<NativeCodec>,
    pub(crate) encoding: String,
    pub(crate) errors: String,
    /// As it was given to `open()`.
    pub(crate) newline: Option<&'static str>,
    pub(crate) line_buffering: bool,
    pub(crate) write_through: bool,
    /// Whether long text may go through the encoder in slices.
    pub(crate) sliced: bool,
}

impl Settings {
    /// What ends a line when reading.
    pub(crate) fn line_ends(&self) -> LineEnds {
        match self.newline {
            None => LineEnds::Universal { translate: true },
            Some("") => LineEnds::Universal { translate: false },
            Some(newline) => LineEnds::Fixed(newline.as_bytes()),
        }
    }

    /// What is written for a line feed, where that is something else.
    pub(super) fn written_newline(&self) -> Option<&'static str> {
        match self.newline {
            None if cfg!(windows) => Some("\r\n"),
            Some(newline @ ("\r" | "\r\n")) => Some(newline),
            _ => None,
        }
    }

    pub(super) fn native_newline(&self) -> Newline {
        match self.written_newline() {
            Some("\r") => Newline::CarriageReturn,
            Some(_) => Newline::CarriageReturnLineFeed,
            None => Newline::Untouched,
        }
    }
}

/// What a text file has beside its handle.
pub(crate) struct TextState {
    settings: Mutex<Settings>,
    codec: Mutex<Codec>,
}

impl TextState {
    pub(crate) fn new(settings: Settings, codec: Codec) -> Arc<Self> {
        Arc::new(Self { settings: Mutex::new(settings), codec: Mutex::new(codec) })
    }

    /// Held only while no Python code runs.
    pub(crate) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held only while no Python code runs.
    pub(crate) fn codec(&self) -> MutexGuard<'_, Codec> {
        self.codec.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the point from which the decoder can go on. What was there is let go of without the lock.
    pub(super) fn set_snapshot(&self, snapshot: Option<Snapshot>) {
        let before = std::mem::replace(&mut self.codec().snapshot, snapshot);
        drop(before);
    }

    /// The point from which the decoder can go on.
    pub(super) fn snapshot(&self, py: Python<'_>) -> PyResult<Option<Snapshot>> {
        let codec = self.codec();
        let Some(known) = &codec.snapshot else { return Ok(None) };
        let input = copied(&known.input).map_err(no_memory)?;
        Ok(Some(Snapshot { flags: known.flags.clone_ref(py), input }))
    }

    /// The decoder was given more since then; `false` where there is no such point.
    pub(super) fn extend_snapshot(&self, input: &[u8]) -> PyResult<bool> {
        let mut codec = self.codec();
        match codec.snapshot.as_mut().map(|before| extend(&mut before.input, input)) {
            Some(extended) => extended.map(|()| true).map_err(no_memory),
            None => Ok(false),
        }
    }

    pub(super) fn decoder<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.codec().decoder.as_ref().map(|decoder| decoder.bind(py).clone())
    }

    pub(super) fn encoder<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.codec().encoder.as_ref().map(|encoder| encoder.bind(py).clone())
    }

    /// What the native decoder says of bytes that it does not decode: the error of Python's codec.
    pub(super) fn decode_error(&self, py: Python<'_>, bytes: &[u8]) -> PyErr {
        let (encoding, errors) = {
            let settings = self.settings();
            (settings.encoding.clone(), settings.errors.clone())
        };
        let decoded = bytes_of(py, bytes)
            .and_then(|bytes| bytes.call_method1(intern!(py, "decode"), (native_name(&encoding), errors)));
        match decoded {
            Err(error) => error,
            Ok(_) => PyUnicodeDecodeError::new_err("the engine and Python's codec do not agree"),
        }
    }
}

/// By its usual name a codec is found without a search.
pub(super) fn native_name(encoding: &str) -> &str {
    if encoding.eq_ignore_ascii_case("utf-8") { "utf-8" } else { encoding }
}

pub(super) fn check_readable(py: Python<'_>, file: &OpenFile, guard: &Guard<'_>) -> PyResult<()> {
    check_open(guard, CLOSED)?;
    if file.readable { Ok(()) } else { Err(unsupported(py, "not readable")) }
}
