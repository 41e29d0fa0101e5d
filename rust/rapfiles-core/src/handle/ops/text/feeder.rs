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
    pub(super) fn begin(
        &mut self,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: &mut Option<Reply>,
    ) -> Fallible<S, Option<Advance<S>>> {
        check_open(guard, Complaint::ClosedStream)?;
        check(file.readable, Complaint::TextNotReadable)?;
        if let Some(step) = check_written(guard)? {
            return Ok(Some(step));
        }
        match reply.take() {
            Some(Reply::Undecodable(bytes)) => Ok(Some(self.refuse(guard, bytes))),
            other => {
                *reply = other;
                Ok(None)
            }
        }
    }

    /// Decodes until `wanted` is satisfied. `filled`: whether a worker has read everything that there is.
    #[inline]
    pub(super) fn decode_until(
        &mut self,
        guard: &mut Guard<'_>,
        filled: bool,
        mut wanted: impl FnMut(&mut Decoder) -> Option<usize>,
    ) -> Fallible<S, More<S>> {
        if self.ended {
            let enough = guard.decoder().is_none_or(|decoder| wanted(decoder).is_none());
            self.ended = enough;
            return Ok(if enough { More::Enough } else { More::End });
        }
        Ok(match guard.decode_until(filled, wanted)? {
            Decoding::Enough => More::Enough,
            Decoding::End => More::End,
            Decoding::Undecodable(bytes) => More::Advance(self.refuse(guard, bytes)),
            Decoding::Missing(at_least) => {
                More::Advance(Advance::Task(Task::ReadAhead { at_least, once: false }))
            }
            Decoding::Foreign(count) => {
                self.input = Some((copied(&guard.available()[..count])?, count == 0));
                guard.consume(count);
                More::Advance(Advance::Call)
            }
        })
    }

    /// Lets the caller's decoder create the error for bytes.
    fn refuse(&mut self, guard: &mut Guard<'_>, bytes: Vec<u8>) -> Advance<S> {
        self.undecodable = Some(bytes);
        self.forget(guard);
        Advance::Call
    }

    /// As in a synchronous file, text that was decoded before an error is lost, unless everything was requested.
    fn forget(&self, guard: &mut Guard<'_>) {
        if !self.whole
            && let Some(decoder) = guard.decoder()
        {
            decoder.clear();
        }
    }

    /// The caller's step.
    pub(super) fn call(&mut self, context: S::Context<'_>, guard: &mut Guard<'_>) -> Fallible<S, ()> {
        if let Some(bytes) = self.undecodable.take() {
            return Err(self.state.codec.undecodable(context, &bytes));
        }
        match self.input.take() {
            Some((input, end)) => self.decode(context, guard, &input, end),
            None => Ok(()),
        }
    }

    /// Lets the caller's decoder decode bytes.
    pub(super) fn decode(
        &mut self,
        context: S::Context<'_>,
        guard: &mut Guard<'_>,
        input: &[u8],
        end: bool,
    ) -> Fallible<S, ()> {
        let decoded = self.state.codec.decode(context, input, end);
        let Decoded { content, characters, snapshot } = decoded.inspect_err(|_| self.forget(guard))?;
        let Some(decoder) = guard.decoder() else { return Ok(()) };
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

/// Whether a worker has read everything that there is.
pub(super) fn is_filled(reply: &Option<Reply>) -> bool {
    matches!(reply, Some(Reply::Filled(false) | Reply::WouldBlock))
}

/// Takes the first bytes of the decoded text as a string.
#[inline]
pub(super) fn take<S: Sink>(
    context: S::Context<'_>,
    guard: &mut Guard<'_>,
    bytes: usize,
) -> Fallible<S, Advance<S>> {
    let Some(decoder) = guard.decoder() else { return Ok(Advance::Done(S::nothing(context))) };
    if bytes > LONG_TEXT && decoder.is_native() {
        return Ok(Advance::Text(Box::new(decoder.take_text(bytes)?)));
    }
    let (content, form) = decoder.peek(bytes);
    let text = S::string(context, content, form)?;
    decoder.consume(bytes);
    Ok(Advance::Done(text))
}
