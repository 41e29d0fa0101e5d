//! The settings of a text file, and the snapshot of its decoder.

use std::collections::TryReserveError;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use super::foreign::ForeignCodec;
use crate::engine::runtime;
use crate::handle::complaint::Complaint;
use crate::handle::file::HandleFile;
use crate::handle::guard::Guard;
use crate::handle::sink::Sink;
use crate::memory::{copied, extend};
use crate::text::{Codec, Decoder, LineEnds, Newline};

/// The settings of a text file.
#[derive(Debug, Clone, Copy)]
pub struct TextSettings {
    /// The codec, if the engine has it.
    pub native: Option<Codec>,
    /// The argument of `open()`.
    pub newline: Option<&'static str>,
    /// Whether writing a line end flushes.
    pub line_buffering: bool,
    /// Whether text is passed to the buffer at once.
    pub write_through: bool,
    /// Whether long text may go through the caller's encoder in slices.
    pub sliced: bool,
}

impl TextSettings {
    /// The line ends when reading.
    pub fn line_ends(&self) -> LineEnds {
        match self.newline {
            None => LineEnds::Universal { translate: true },
            Some("") => LineEnds::Universal { translate: false },
            Some(newline) => LineEnds::Fixed(newline.as_bytes()),
        }
    }

    /// The replacement of a line feed when writing, if there is one.
    pub(crate) fn written_newline(&self) -> Option<&'static str> {
        match self.newline {
            None if cfg!(windows) => Some("\r\n"),
            Some(newline @ ("\r" | "\r\n")) => Some(newline),
            _ => None,
        }
    }

    /// The same, for the engine's encoder.
    pub(crate) fn native_newline(&self) -> Newline {
        match self.written_newline() {
            Some("\r") => Newline::CarriageReturn,
            Some(_) => Newline::CarriageReturnLineFeed,
            None => Newline::Untouched,
        }
    }
}

/// The point from which a decoder of the caller's can get to its present state: its state there, and its input since.
pub struct Snapshot<S: Sink> {
    /// The state. It is shared, because it is copied under a lock, where the caller's code must not run.
    pub state: Arc<<S::ForeignCodec as ForeignCodec<S>>::State>,
    /// The bytes.
    pub input: Vec<u8>,
}

impl<S: Sink> Snapshot<S> {
    /// A snapshot with this state.
    pub fn new(state: <S::ForeignCodec as ForeignCodec<S>>::State, input: Vec<u8>) -> Self {
        Self { state: Arc::new(state), input }
    }
}

/// Means that the caller's decoder knows which line ends it has seen.
const NOT_NATIVE: u16 = u16::MAX;

/// The state of a text file besides its handle.
pub struct TextState<S: Sink> {
    settings: Mutex<TextSettings>,
    snapshot: Mutex<Option<Snapshot<S>>>,
    /// The line ends that the engine's decoder had seen when this was last updated.
    seen: AtomicU16,
    /// The caller's codec.
    pub codec: S::ForeignCodec,
}

impl<S: Sink> TextState<S> {
    /// The state of a file with this codec.
    pub fn new(settings: TextSettings, codec: S::ForeignCodec) -> Self {
        Self {
            settings: Mutex::new(settings),
            snapshot: Mutex::new(None),
            seen: AtomicU16::new(NOT_NATIVE),
            codec,
        }
    }

    /// The current settings.
    pub fn settings(&self) -> TextSettings {
        *runtime::lock(&self.settings)
    }

    /// Changes the settings.
    pub fn set(&self, change: impl FnOnce(&mut TextSettings)) {
        change(&mut runtime::lock(&self.settings));
    }

    /// Sets the codec and the line ends. `change`: sets the caller's codec.
    ///
    /// # Errors
    /// An operation is running.
    pub fn set_encoding(
        &self,
        file: &HandleFile<S>,
        native: Option<Codec>,
        newline: Option<&'static str>,
        sliced: bool,
        change: impl FnOnce(),
    ) -> Result<(), Complaint> {
        self.set(|settings| {
            (settings.native, settings.newline, settings.sliced) = (native, newline, sliced);
        });
        change();
        self.set_snapshot(None);
        let line_ends = self.settings().line_ends();
        let decoder = file.readable.then(|| Decoder::new(native, line_ends));
        begin(file)?.ok_or(Complaint::UnderWay)?.set_decoder(decoder);
        Ok(())
    }

    /// Detaches the text layer.
    ///
    /// # Errors
    /// An operation is running.
    pub fn detach(&self, file: &HandleFile<S>) -> Result<(), Complaint> {
        begin(file)?.ok_or(Complaint::UnderWay)?.set_decoder(None);
        Ok(())
    }

    /// Whether characters have been read that are not used up.
    ///
    /// # Errors
    /// In a forked child, if the parent was using the file during the fork.
    pub fn has_read(&self, file: &HandleFile<S>) -> Result<bool, Complaint> {
        Ok(match begin(file)? {
            Some(mut guard) => guard.decoder().is_some_and(|decoder| decoder.has_read()),
            // The holder of the turn may be reading.
            None => file.readable,
        })
    }

    /// The line ends that the engine's decoder has seen, as of [`Decoder::seen`]; while an operation has the turn, those
    /// before it. `None`: the caller's decoder knows.
    ///
    /// # Errors
    /// In a forked child, if the parent was using the file during the fork.
    pub fn seen(&self, file: &HandleFile<S>) -> Result<Option<u8>, Complaint> {
        if let Some(mut guard) = begin(file)? {
            let seen = guard.decoder().filter(|decoder| decoder.is_native()).map(|decoder| decoder.seen());
            self.seen.store(seen.map_or(NOT_NATIVE, u16::from), Ordering::Relaxed);
        }
        Ok(u8::try_from(self.seen.load(Ordering::Relaxed)).ok())
    }

    /// Sets the snapshot of the decoder.
    pub fn set_snapshot(&self, snapshot: Option<Snapshot<S>>) {
        let before = std::mem::replace(&mut *runtime::lock(&self.snapshot), snapshot);
        // Not under the lock: dropping it may run the caller's code.
        drop(before);
    }

    /// Adds input of the decoder to the snapshot; `false` if there is none.
    pub(crate) fn extend_snapshot(&self, input: &[u8]) -> Result<bool, TryReserveError> {
        match &mut *runtime::lock(&self.snapshot) {
            Some(before) => extend(&mut before.input, input).map(|()| true),
            None => Ok(false),
        }
    }

    /// A copy of the snapshot.
    pub(crate) fn snapshot(&self) -> Result<Option<Snapshot<S>>, TryReserveError> {
        let snapshot = runtime::lock(&self.snapshot);
        let Some(before) = &*snapshot else { return Ok(None) };
        Ok(Some(Snapshot { state: Arc::clone(&before.state), input: copied(&before.input)? }))
    }
}

/// The turn, if nobody has it.
fn begin<S: Sink>(file: &HandleFile<S>) -> Result<Option<Guard<'_>>, Complaint> {
    file.handle.begin().map_err(|_| Complaint::Forked)
}
