//! Decoding a text file on the loop, by the engine's decoder or the caller's.

use std::sync::Arc;

use crate::handle::complaint::Complaint;
use crate::handle::decoding::Decoding;
use crate::handle::driver::Advance;
use crate::handle::file::HandleFile;
use crate::handle::guard::Guard;
use crate::handle::ops::checks::{check, check_open, check_written};
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::task::Task;
use crate::handle::text::{Decoded, ForeignCodec, Snapshot, TextState};
use crate::handle::text_guard::TextGuard;
use crate::limits::LONG_TEXT;
use crate::memory::copied;
use crate::text::Decoder;

/// Decodes until enough is decoded.
pub(super) struct Feeder<S: Sink> {
    pub(super) state: Arc<TextState<S>>,
    /// Bytes for the caller's decoder, and whether they are the last.
    input: Option<(Vec<u8>, bool)>,
    pub(super) undecodable: Option<Vec<u8>>,
    /// Whether the file has ended, and the caller's decoder has been told.
    ended: bool,
    /// The decoder's snapshot then.
    pub(super) at_the_end: Option<Snapshot<S>>,
    /// Whether everything is requested, at once.
    whole: bool,
}

/// Where an operation that reads text begins: everything that it needs from here on.
pub(super) enum Begun<'a, S: Sink> {
    Text(TextGuard<'a>),
    /// Something else has to be done first.
    Advance(Advance<S>),
}

/// The result of decoding.
pub(super) enum More<S: Sink> {
    Enough,
    End,
    Advance(Advance<S>),
}

impl<S: Sink> Feeder<S> {
    /// `whole`: whether everything is requested.
    pub(super) fn new(state: &Arc<TextState<S>>, whole: bool) -> Self {
        Self {
            state: Arc::clone(state),
            input: None,
            undecodable: None,
            ended: false,
            at_the_end: None,
            whole,
        }
    }

    /// The checks before anything is read. `reply`: that of a worker, which is taken only if it has undecodable bytes.
    #[inline]
    pub(super) fn begin<'a>(
        &mut self,
        file: &HandleFile<S>,
        guard: &'a mut Guard<'_>,
        reply: &mut Option<Reply>,
    ) -> Fallible<S, Begun<'a, S>> {
        check_readable(file, guard)?;
        if let Some(step) = check_written(guard)? {
            return Ok(Begun::Advance(step));
        }
        let mut text = guard.text()?;
        match reply.take() {
            Some(Reply::Undecodable(bytes)) => Ok(Begun::Advance(self.refuse(&mut text, bytes))),
            other => {
                *reply = other;
                Ok(Begun::Text(text))
            }
        }
    }

    /// Decodes until `wanted` is satisfied. `filled`: whether a worker has read everything that there is.
    #[inline]
    pub(super) fn decode_until(
        &mut self,
        text: &mut TextGuard<'_>,
        filled: bool,
        mut wanted: impl FnMut(&mut Decoder) -> Option<usize>,
    ) -> Fallible<S, More<S>> {
        if self.ended {
            let enough = wanted(text.decoder).is_none();
            self.ended = enough;
            return Ok(if enough { More::Enough } else { More::End });
        }
        Ok(match text.decode_until(filled, wanted)? {
            Decoding::Enough => More::Enough,
            Decoding::End => More::End,
            Decoding::Undecodable(bytes) => More::Advance(self.refuse(text, bytes)),
            Decoding::Missing(at_least) => {
                More::Advance(Advance::Task(Task::ReadAhead { at_least, once: false }))
            }
            Decoding::Foreign(count) => {
                self.input = Some((copied(&text.available()[..count])?, count == 0));
                text.consume(count);
                More::Advance(Advance::Call)
            }
        })
    }

    /// Lets the caller's decoder create the error for bytes.
    fn refuse(&mut self, text: &mut TextGuard<'_>, bytes: Vec<u8>) -> Advance<S> {
        self.undecodable = Some(bytes);
        self.forget(text);
        Advance::Call
    }

    /// As in a synchronous file, text that was decoded before an error is lost, unless everything was requested.
    fn forget(&self, text: &mut TextGuard<'_>) {
        if !self.whole {
            text.decoder.clear();
        }
    }

    /// The caller's step.
    pub(super) fn call(&mut self, context: S::Context<'_>, guard: &mut Guard<'_>) -> Fallible<S, ()> {
        if let Some(bytes) = self.undecodable.take() {
            return Err(self.state.codec.undecodable(context, &bytes));
        }
        match self.input.take() {
            Some((input, end)) => self.decode(context, &mut guard.text()?, &input, end),
            None => Ok(()),
        }
    }

    /// Lets the caller's decoder decode bytes.
    pub(super) fn decode(
        &mut self,
        context: S::Context<'_>,
        text: &mut TextGuard<'_>,
        input: &[u8],
        end: bool,
    ) -> Fallible<S, ()> {
        let decoded = self.state.codec.decode(context, input, end);
        let Decoded { content, characters, snapshot } = decoded.inspect_err(|_| self.forget(text))?;
        let decoder = &mut *text.decoder;
        self.ended = end && characters == 0;
        if self.ended && !decoder.is_empty() {
            self.at_the_end = Some(snapshot);
        } else if decoder.is_empty() || !self.state.extend_snapshot(input)? {
            // Otherwise the chunk continues after the rest of the previous one.
            self.state.set_snapshot(Some(snapshot));
        }
        Ok(decoder.add(&content, characters, input.len())?)
    }
}

/// Fails if the file is closed, or not for reading.
#[inline]
pub(super) fn check_readable<S: Sink>(file: &HandleFile<S>, guard: &Guard<'_>) -> Result<(), Complaint> {
    check_open(guard, Complaint::ClosedStream)?;
    check(file.readable, Complaint::TextNotReadable)
}

/// Whether a worker has read everything that there is.
pub(super) fn is_filled(reply: &Option<Reply>) -> bool {
    matches!(reply, Some(Reply::Filled(false) | Reply::WouldBlock))
}

/// Takes the first bytes of the decoded text as a string.
#[inline]
pub(super) fn take<S: Sink>(
    context: S::Context<'_>,
    text: &mut TextGuard<'_>,
    bytes: usize,
) -> Fallible<S, Advance<S>> {
    let decoder = &mut *text.decoder;
    if bytes > LONG_TEXT && decoder.is_native() {
        return Ok(Advance::Text(Box::new(decoder.take_text(bytes)?)));
    }
    let (content, form) = decoder.peek(bytes);
    let text = S::string(context, content, form)?;
    decoder.consume(bytes);
    Ok(Advance::Done(text))
}
