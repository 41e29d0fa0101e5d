//! Writing text.

use std::sync::Arc;

use crate::engine::keep_alive::release_memory;
use crate::engine::runtime;
use crate::handle::complaint::Complaint;
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::{Guard, WriterState, Written};
use crate::handle::ops::checks::{check, check_open, check_written, number};
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::text::{Characters, ForeignCodec, TextSettings, TextState};
use crate::handle::trace::Unread;
use crate::limits::{CODEC_SLICE, LONG_TEXT, LOOP_SLICE};
use crate::memory::extend;
use crate::text::Codec;
use crate::verbs::write::Data;

/// Writes text.
pub struct Write<S: Sink> {
    state: Arc<TextState<S>>,
    text: S::Text,
    encoding: Encoding,
    /// The state of the caller's encoder before this text, to restore if the text is not written.
    encoder: Option<<S::ForeignCodec as ForeignCodec<S>>::State>,
    /// Whether a flush has to follow.
    flush: bool,
    /// Whether there was no memory beside what is being written.
    starved: bool,
}

/// The progress of encoding.
enum Encoding {
    /// This many characters are encoded.
    Begun(Vec<u8>, usize),
    /// All of them are.
    Complete(Vec<u8>),
    /// They are in the buffer.
    Accepted,
}

impl<S: Sink> Write<S> {
    /// Writes a text.
    pub fn new(state: &Arc<TextState<S>>, text: S::Text) -> Self {
        Self {
            state: Arc::clone(state),
            text,
            encoding: Encoding::Begun(Vec::new(), 0),
            encoder: None,
            flush: false,
            starved: false,
        }
    }

    /// The characters, if they are identical to their encoding.
    fn plain(&self, context: S::Context<'_>, settings: &TextSettings) -> Option<&[u8]> {
        let native = settings.native?;
        let characters = self.text.narrow(context)?;
        let its_own = native == Codec::Latin1 || characters.is_ascii();
        let translated = settings.written_newline().is_some() && memchr::memchr(b'\n', characters).is_some();
        (its_own && !translated).then_some(characters)
    }

    /// Encodes the next characters: all of them, if that does not take too long. `writing`: whether what is being
    /// written takes memory that is free later.
    fn encode(
        &self,
        context: S::Context<'_>,
        mut encoded: Vec<u8>,
        mut from: usize,
        writing: bool,
    ) -> Fallible<S, Encoding> {
        let settings = self.state.settings();
        let (native, written) = (settings.native, settings.written_newline());
        let characters = self.text.length(context);
        let codec = &self.state.codec;
        let until = runtime::now() + LOOP_SLICE;
        loop {
            let slice = if native.is_some() || settings.sliced { CODEC_SLICE } else { usize::MAX };
            let to = characters.min(from.saturating_add(slice));
            let whole = from == 0 && to == characters;
            let bytes = match native {
                Some(native) => {
                    let part = self.text.part(context, from..to)?;
                    let Some(bytes) = part.encode_owned(native, settings.native_newline())? else {
                        return Err(codec.unencodable(context, &self.text, written));
                    };
                    // The parts would otherwise be kept until the loop is woken: as much as the whole text.
                    drop(part);
                    release_memory();
                    bytes
                }
                None => codec.encode(context, &self.text, from..to, written)?,
            };
            if whole {
                encoded = bytes;
            } else {
                if from == 0 {
                    // About as much for each of the other slices. Growing by doubling would allocate more.
                    let slices = characters.div_ceil(to);
                    let reserved = encoded.try_reserve_exact(bytes.len().saturating_mul(slices));
                    // It may be less: without anything to wait for, that is tried.
                    if writing {
                        reserved?;
                    }
                }
                extend(&mut encoded, &bytes)?;
            }
            from = to;
            if from == characters {
                if codec.forget(context)? {
                    self.state.set_snapshot(None);
                }
                return Ok(Encoding::Complete(encoded));
            }
            if runtime::now() > until {
                return Ok(Encoding::Begun(encoded, from));
            }
        }
    }

    /// Restores the encoder after a text that is not written. It may have put a byte order mark into that text.
    fn restore_encoder(&mut self) {
        if let Some(saved) = self.encoder.take() {
            self.state.codec.restore_encoder(saved);
        }
    }

    /// Puts the encoded bytes into the buffer; if there is no room, returns their number.
    fn accept(&mut self, context: S::Context<'_>, guard: &mut Guard<'_>, encoded: Vec<u8>) -> Option<usize> {
        let length = encoded.len();
        let refused = if length > LONG_TEXT {
            guard.write_shared(Data::Owned(encoded)).err()
        } else if guard.write(&encoded) == Written::Full {
            Some(Data::Owned(encoded))
        } else {
            None
        };
        if let Some(Data::Owned(encoded)) = refused {
            self.encoding = Encoding::Complete(encoded);
            return Some(length);
        }
        self.flush = self.state.settings().line_buffering && self.text.has_line_end(context);
        None
    }

    /// Puts a text that is identical to its encoding into the buffer; if there is no room, returns its size. `None`: it
    /// has to be encoded first.
    #[inline]
    fn accept_plain(&mut self, context: S::Context<'_>, guard: &mut Guard<'_>) -> Option<Result<(), usize>> {
        let settings = self.state.settings();
        let plain = self.plain(context, &settings)?;
        let length = plain.len();
        let flush = settings.line_buffering && memchr::memchr2(b'\n', b'\r', plain).is_some();
        let accepted = if length > LONG_TEXT {
            guard.write_shared(self.text.shared(context)).is_ok()
        } else {
            guard.write(plain) == Written::Accepted
        };
        self.flush = flush;
        Some(if accepted { Ok(()) } else { Err(length) })
    }
}

impl<S: Sink> FileOperation<S> for Write<S> {
    fn name(&self) -> &'static str {
        "write"
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        _reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        check_open(guard, Complaint::ClosedStream)?;
        check(file.writable, Complaint::TextNotWritable)?;
        match std::mem::replace(&mut self.encoding, Encoding::Accepted) {
            Encoding::Accepted => {
                if let Some(step) = check_written(guard)? {
                    return Ok(step);
                }
                return number(context, self.text.length(context) as u64);
            }
            Encoding::Begun(encoded, characters) => {
                if let Some(error) = guard.take_error() {
                    return Err(error.into());
                }
                if self.starved {
                    if !guard.is_written() {
                        self.encoding = Encoding::Begun(encoded, characters);
                        return Ok(Advance::AwaitWriter(WriterState::Written));
                    }
                    self.starved = false;
                    release_memory();
                }
                match self.accept_plain(context, guard) {
                    Some(Ok(())) => {}
                    Some(Err(length)) => {
                        self.encoding = Encoding::Begun(encoded, characters);
                        return Ok(Advance::AwaitWriter(WriterState::RoomFor(length)));
                    }
                    None => {
                        self.encoding = Encoding::Begun(encoded, characters);
                        // One slice after the other, between which other tasks run.
                        if characters > 0 {
                            self.flush = !self.flush;
                            if self.flush {
                                return Ok(Advance::Yield);
                            }
                        }
                        return Ok(Advance::Call);
                    }
                }
            }
            Encoding::Complete(encoded) => {
                if let Some(error) = guard.take_error() {
                    self.restore_encoder();
                    return Err(error.into());
                }
                if let Some(length) = self.accept(context, guard, encoded) {
                    return Ok(Advance::AwaitWriter(WriterState::RoomFor(length)));
                }
                self.encoder = None;
            }
        }
        // The snapshot of the decoder is not valid any more.
        if let Some(decoder) = guard.decoder() {
            decoder.restart();
        }
        if self.flush
            && let Some(step) = check_written(guard)?
        {
            return Ok(step);
        }
        number(context, self.text.length(context) as u64)
    }

    fn call(&mut self, context: S::Context<'_>, guard: &mut Guard<'_>) -> Fallible<S, ()> {
        if let Encoding::Begun(encoded, characters) = &mut self.encoding {
            let (encoded, characters) = (std::mem::take(encoded), *characters);
            if characters == 0 && self.state.settings().native.is_none() {
                self.encoder = self.state.codec.save_encoder(context);
            }
            let writing = !guard.is_written();
            match self.encode(context, encoded, characters, writing) {
                Ok(encoding) => self.encoding = encoding,
                Err(failure) => {
                    let repeatable = self.state.settings().native.is_some() || self.encoder.is_some();
                    self.restore_encoder();
                    if !(writing && repeatable && S::is_memory_short(context, &failure)) {
                        return Err(failure);
                    }
                    // Once more from the start, when the kernel has what was written before.
                    self.encoding = Encoding::Begun(Vec::new(), 0);
                    self.starved = true;
                }
            }
        }
        Ok(())
    }

    fn unread(&mut self) -> Option<Unread> {
        self.restore_encoder();
        None
    }
}
