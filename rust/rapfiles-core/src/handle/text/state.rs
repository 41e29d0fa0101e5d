//! How a text file treats its text, and where its decoder can go on from.

use std::collections::TryReserveError;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use super::foreign::ForeignCodec;
use crate::engine::runtime;
use crate::handle::complaint::Complaint;
use crate::handle::file::HandleFile;
use crate::handle::guard::Guard;
use crate::handle::sink::Sink;
use crate::memory::{copied, extend};
use crate::text::{Codec, Decoder, LineEnds, Newline};

/// How a text file treats its text.
#[derive(Debug, Clone, Copy)]
pub struct TextSettings {
    /// The codec, where the engine has it.
    pub native: Option<Codec>,
    /// As it was given to `open()`.
    pub newline: Option<&'static str>,
    /// Whether a line end that is written has everything flushed.
    pub line_buffering: bool,
    /// Whether what is written is handed to the buffer at once.
    pub write_through: bool,
    /// Whether long text may go through the caller's encoder in slices.
    pub sliced: bool,
}

impl TextSettings {
    /// What ends a line when reading.
    pub fn line_ends(&self) -> LineEnds {
        match self.newline {
            None => LineEnds::Universal { translate: true },
            Some("") => LineEnds::Universal { translate: false },
            Some(newline) => LineEnds::Fixed(newline.as_bytes()),
        }
    }

    /// What is written for a line feed, where that is something else.
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

/// The point from which a decoder of the caller's can go on to where it is: its state there, and what it was given
/// since.
pub struct Snapshot<S: Sink> {
    /// The state.
    pub state: <S::ForeignCodec as ForeignCodec<S>>::State,
    /// The bytes.
    pub input: Vec<u8>,
}

/// The caller's decoder knows which line ends it has seen.
const NOT_NATIVE: u16 = u16::MAX;

/// What a text file has beside its handle.
pub struct TextState<S: Sink> {
    settings: Mutex<TextSettings>,
    snapshot: Mutex<Option<Snapshot<S>>>,
    /// The line ends that the engine's decoder had seen when it was asked last.
    seen: AtomicU16,
    /// The caller's codec.
    pub codec: S::ForeignCodec,
}

impl<S: Sink> TextState<S> {
    /// That of a file with this codec.
    pub fn new(settings: TextSettings, codec: S::ForeignCodec) -> Self {
        Self {
            settings: Mutex::new(settings),
            snapshot: Mutex::new(None),
            seen: AtomicU16::new(NOT_NATIVE),
            codec,
        }
    }

    /// The settings as they are now.
    pub fn settings(&self) -> TextSettings {
        *runtime::lock(&self.settings)
    }

    /// Changes the settings.
    pub fn set(&self, change: impl FnOnce(&mut TextSettings)) {
        change(&mut runtime::lock(&self.settings));
    }

    /// Sets how text is encoded and lines end. `change`: sets the caller's codec.
    ///
    /// # Errors
    /// While an operation is under way.
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

    /// The file is no text file any more.
    ///
    /// # Errors
    /// While an operation is under way.
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
            // The holder of the turn may be at it.
            None => file.readable,
        })
    }

    /// The line ends that the engine's decoder has seen, as [`Decoder::seen`] tells them; where somebody has the turn,
    /// before that. `None`: the caller's decoder knows.
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

    /// Sets the point from which the decoder can go on.
    pub fn set_snapshot(&self, snapshot: Option<Snapshot<S>>) {
        let before = std::mem::replace(&mut *runtime::lock(&self.snapshot), snapshot);
        // Not under the lock: it may be the caller's code that runs then.
        drop(before);
    }

    /// The decoder was given more since then; `false` if there is no such point.
    pub(crate) fn extend_snapshot(&self, input: &[u8]) -> Result<bool, TryReserveError> {
        match &mut *runtime::lock(&self.snapshot) {
            Some(before) => extend(&mut before.input, input).map(|()| true),
            None => Ok(false),
        }
    }

    /// A copy of that point.
    pub(crate) fn snapshot(&self, context: S::Context<'_>) -> Result<Option<Snapshot<S>>, TryReserveError> {
        let snapshot = runtime::lock(&self.snapshot);
        let Some(before) = &*snapshot else { return Ok(None) };
        let input = copied(&before.input)?;
        Ok(Some(Snapshot { state: self.codec.same_state(context, &before.state), input }))
    }
}

/// The turn, if nobody has it.
fn begin<S: Sink>(file: &HandleFile<S>) -> Result<Option<Guard<'_>>, Complaint> {
    file.handle.begin().map_err(|_| Complaint::Forked)
}
