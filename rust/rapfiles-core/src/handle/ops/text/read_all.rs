//! Reading the rest of a text file.

use std::sync::Arc;

use super::feeder::{Begun, Feeder, is_filled};
use crate::engine::runtime;
use crate::error::Error;
use crate::handle::complaint::Complaint;
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::{Fetched, Guard};
use crate::handle::ops::checks::check_open;
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::task::Task;
use crate::handle::text::{ForeignCodec, TextState};
use crate::handle::text_guard::TextGuard;
use crate::handle::trace::Unread;
use crate::limits::{CODEC_SLICE, LOOP_SLICE, MANY_CHARACTERS, READ_AT_ONCE};
use crate::memory::extend;
use crate::text::Undecoded;

/// Reads everything.
pub struct ReadAll<S: Sink> {
    feeder: Feeder<S>,
    foreign: Foreign<S>,
}

/// The rest of the file, for the caller's decoder.
struct Foreign<S: Sink> {
    content: Vec<u8>,
    /// Whether the content is complete.
    complete: bool,
    /// How much of it has been decoded.
    decoded: usize,
    saved: Option<<S::ForeignCodec as ForeignCodec<S>>::Saved>,
    result: Option<S::Value>,
    /// The error that ended it.
    failure: Option<Error>,
}

impl<S: Sink> ReadAll<S> {
    /// Reads everything.
    pub fn new(state: &Arc<TextState<S>>) -> Self {
        let foreign = Foreign {
            content: Vec::new(),
            complete: false,
            decoded: 0,
            saved: None,
            result: None,
            failure: None,
        };
        Self { feeder: Feeder::new(state, true), foreign }
    }
}

impl<S: Sink> Foreign<S> {
    /// Collects the rest of the file.
    fn collect(&mut self, text: &mut TextGuard<'_>, filled: bool) -> Fallible<S, Advance<S>> {
        let ended = filled || text.fetch(CODEC_SLICE) == Fetched::End;
        let available = text.available().len();
        if available < CODEC_SLICE && !ended {
            return Ok(Advance::Task(Task::ReadAhead { at_least: CODEC_SLICE, once: false }));
        }
        extend(&mut self.content, text.available())?;
        text.consume(available);
        self.complete = ended;
        Ok(if ended { Advance::Call } else { Advance::Yield })
    }

    /// Decodes slice by slice, for as long as the loop may be blocked; small content in one slice.
    fn decode(
        &mut self,
        context: S::Context<'_>,
        state: &TextState<S>,
        guard: &mut Guard<'_>,
    ) -> Fallible<S, ()> {
        let until = runtime::now() + LOOP_SLICE;
        let mut saved = match self.saved.take() {
            Some(saved) => saved,
            None => state.codec.save(context)?,
        };
        loop {
            let to = (self.decoded + CODEC_SLICE).min(self.content.len());
            state.codec.decode_part(context, &mut saved, &self.content, self.decoded..to)?;
            self.decoded = to;
            if to == self.content.len() {
                break;
            }
            if runtime::now() > until {
                self.saved = Some(saved);
                return Ok(());
            }
        }
        // The text that was decoded before comes first, and nothing remains.
        let decoder = guard.text()?.decoder;
        self.result = Some(state.codec.join(context, decoder.peek(decoder.len()), saved)?);
        decoder.clear();
        state.set_snapshot(None);
        Ok(())
    }
}

/// Whether the rest of the file is available, and small enough to be decoded here.
fn fetch_rest(text: &mut TextGuard<'_>) -> bool {
    let most = text.available().len() + READ_AT_ONCE;
    let Some(all) = text.left().map(|left| text.available().len().saturating_add(left)) else {
        return text.fetch(MANY_CHARACTERS) == Fetched::End;
    };
    all <= most
        && text.fetch(all) != Fetched::Missing
        && text.fetch(all + 1) == Fetched::End
        && (text.available().len() <= MANY_CHARACTERS || text.is_plain())
}

impl<S: Sink> FileOperation<S> for ReadAll<S> {
    fn name(&self) -> &'static str {
        "read"
    }

    fn advance(
        &mut self,
        _context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        mut reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        if let Some(failure) = self.foreign.failure.take() {
            // The content can be read again.
            guard.put_back(&std::mem::take(&mut self.foreign.content));
            return Err(failure.into());
        }
        if self.foreign.complete {
            check_open(guard, Complaint::ClosedStream)?;
            return Ok(self.foreign.result.take().map_or(Advance::Call, Advance::Done));
        }
        let mut text = match self.feeder.begin(file, guard, &mut reply)? {
            Begun::Text(text) => text,
            Begun::Advance(step) => return Ok(step),
        };
        if !text.decoder.is_native() {
            return self.foreign.collect(&mut text, is_filled(&reply));
        }
        if let Some(Reply::Text(decoded)) = reply {
            return Ok(Advance::Text(decoded));
        }
        if !fetch_rest(&mut text) {
            return Ok(Advance::Task(Task::ReadText { characters: None }));
        }
        match text.decode_rest() {
            Ok(decoded) => Ok(Advance::Text(Box::new(decoded))),
            Err(Undecoded::Invalid(bytes)) => {
                self.feeder.undecodable = Some(bytes);
                Ok(Advance::Call)
            }
            Err(Undecoded::OutOfMemory) => Err(Error::OutOfMemory.into()),
        }
    }

    fn call(&mut self, context: S::Context<'_>, guard: &mut Guard<'_>) -> Fallible<S, ()> {
        if self.foreign.complete {
            self.foreign.decode(context, &self.feeder.state, guard)
        } else {
            self.feeder.call(context, guard)
        }
    }

    fn failed(&mut self, error: Error) -> Result<(), Error> {
        if self.foreign.content.is_empty() {
            return Err(error);
        }
        self.foreign.failure = Some(error);
        Ok(())
    }

    fn unread(&mut self) -> Option<Unread> {
        if let Some(saved) = self.foreign.saved.take() {
            self.feeder.state.codec.restore(saved);
        }
        Some(Unread::Bytes(std::mem::take(&mut self.foreign.content)))
    }
}
