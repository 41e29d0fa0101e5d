//! Seeking in a text file.

use std::sync::Arc;

use super::before::Before;
use super::feeder::{Feeder, check_readable};
use super::tell::Tell;
use crate::error::Error;
use crate::handle::complaint::Complaint;
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::{Fetched, Guard};
use crate::handle::ops::checks::{check, check_open, check_writer};
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::task::Task;
use crate::handle::text::{ForeignCodec, Snapshot, TextState, TextTarget};
use crate::handle::text_guard::TextGuard;
use crate::handle::trace::Unread;
use crate::memory::copied;
use crate::platform;
use crate::text::Undecoded;

/// Moves to the place of a cookie of [`Tell`], or to the current place or the end; returns the cookie of the new place.
pub struct Seek<S: Sink> {
    state: Arc<TextState<S>>,
    place: S::Value,
    whence: i32,
    phase: Phase<S>,
    /// The saved position, if moving takes several steps.
    before: Before<S>,
}

enum Phase<S: Sink> {
    Begin,
    /// The current place is being found.
    Telling(Box<Tell<S>>),
    /// The new place is known.
    Moving(TextTarget<S>),
    /// The file has been moved, the codec has not been set up.
    Moved(TextTarget<S>, u64),
    /// The decoder has to be fed.
    Feeding(TextTarget<S>),
    /// The decoder has to be fed with these bytes.
    Fed(TextTarget<S>, Vec<u8>),
    /// The decoder has been fed.
    Skipping(usize),
    Over,
}

impl<S: Sink> Seek<S> {
    /// Moves to `place`. `whence`: as `io.SEEK_SET` and the others.
    pub fn new(state: &Arc<TextState<S>>, place: S::Value, whence: i32) -> Self {
        let state = Arc::clone(state);
        Self { state, place, whence, phase: Phase::Begin, before: Before::default() }
    }

    /// Moves the file.
    fn go(
        &mut self,
        context: S::Context<'_>,
        guard: &mut Guard<'_>,
        target: TextTarget<S>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        let (offset, whence) = match target.offset {
            Some(offset) => (offset, platform::FROM_START),
            None => (0, platform::FROM_END),
        };
        let position = match reply {
            Some(Reply::Count(position)) => position,
            _ => match guard.seek(offset, whence) {
                Some(position) => position?,
                None => {
                    self.phase = Phase::Moving(target);
                    return Ok(Advance::Task(Task::Seek { offset, whence }));
                }
            },
        };
        if target.offset.is_none() {
            self.place = S::number(context, position)?;
        }
        self.phase = Phase::Moved(target, position);
        Ok(Advance::Call)
    }

    /// Sets up the codecs for the new place.
    fn set_up(
        &self,
        context: S::Context<'_>,
        guard: &mut Guard<'_>,
        target: &TextTarget<S>,
        position: u64,
    ) -> Fallible<S, ()> {
        let codec = &self.state.codec;
        let (begins, pending) = codec.move_to(context, target, position == 0)?;
        // A file that is only written has none.
        let Some(decoder) = guard.decoder() else { return Ok(()) };
        if !decoder.is_native() {
            let here = || Snapshot::new(codec.same_state(context, &target.state), Vec::new());
            self.state.set_snapshot(target.offset.is_some().then(here));
        }
        if begins || target.offset.is_none() {
            decoder.restart();
        } else {
            decoder.reset(pending && decoder.is_native());
        }
        Ok(())
    }

    /// Lets the decoder decode the bytes after the new position of the file.
    fn feed(
        &self,
        context: S::Context<'_>,
        text: &mut TextGuard<'_>,
        input: &[u8],
        end: bool,
    ) -> Fallible<S, ()> {
        if !text.decoder.is_native() {
            return Feeder::new(&self.state, false).decode(context, text, input, end);
        }
        match text.decoder.decode(input, end) {
            Ok(()) => Ok(()),
            Err(Undecoded::Invalid(bytes)) => Err(self.state.codec.undecodable(context, &bytes)),
            Err(Undecoded::OutOfMemory) => Err(Error::OutOfMemory.into()),
        }
    }

    /// The cookie of the new place.
    fn done(&self, context: S::Context<'_>) -> Advance<S> {
        Advance::Done(self.state.codec.same_value(context, &self.place))
    }
}

impl<S: Sink> FileOperation<S> for Seek<S> {
    fn name(&self) -> &'static str {
        "seek"
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        check_open(guard, Complaint::ClosedStream)?;
        check(file.handle.info.seekable, Complaint::TextNotSeekable)?;
        if let Some(step) = check_writer(guard)? {
            return Ok(step);
        }
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Telling(mut tell) => match tell.advance(context, file, guard, reply)? {
                Advance::Done(place) => {
                    (self.place, self.whence, self.phase) = (place, platform::FROM_START, Phase::Begin);
                    Ok(Advance::Call)
                }
                step => {
                    self.phase = Phase::Telling(tell);
                    Ok(step)
                }
            },
            Phase::Moving(target) => self.go(context, guard, target, reply),
            Phase::Feeding(target) => {
                check_readable(file, guard)?;
                let mut text = guard.text()?;
                if reply.is_none() && text.fetch(target.feed) == Fetched::Missing {
                    let at_least = target.feed;
                    self.phase = Phase::Feeding(target);
                    return Ok(Advance::Task(Task::ReadAhead { at_least, once: false }));
                }
                let count = target.feed.min(text.available().len());
                let input = copied(&text.available()[..count])?;
                text.consume(count);
                self.phase = Phase::Fed(target, input);
                Ok(Advance::Call)
            }
            Phase::Skipping(skip) => {
                let decoder = guard.text()?.decoder;
                check(decoder.characters() >= skip, Complaint::CannotRestorePosition)?;
                decoder.consume(decoder.bytes_of(skip));
                Ok(self.done(context))
            }
            Phase::Over => Ok(self.done(context)),
            phase @ (Phase::Begin | Phase::Moved(..) | Phase::Fed(..)) => {
                self.phase = phase;
                Ok(Advance::Call)
            }
        }
    }

    fn call(&mut self, context: S::Context<'_>, guard: &mut Guard<'_>) -> Fallible<S, ()> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Begin => {
                self.phase = match self.state.codec.target(context, &self.place, self.whence)? {
                    Some(target) => {
                        // Unwritten data is written first, which moves the position.
                        if target.skip > 0
                            && guard.is_written()
                            && let Ok(text) = guard.text()
                            && self.before.note_place(&text)
                        {
                            self.before.note_codec(context, &self.state)?;
                        }
                        Phase::Moving(target)
                    }
                    None => Phase::Telling(Box::new(Tell::new(&self.state))),
                };
            }
            Phase::Telling(mut tell) => {
                tell.call(context, guard)?;
                self.phase = Phase::Telling(tell);
            }
            Phase::Moved(target, position) => {
                self.set_up(context, guard, &target, position)?;
                if target.skip > 0 {
                    self.phase = Phase::Feeding(target);
                }
            }
            Phase::Fed(target, input) => {
                self.feed(context, &mut guard.text()?, &input, target.end)?;
                self.phase = Phase::Skipping(target.skip);
            }
            phase => self.phase = phase,
        }
        Ok(())
    }

    fn unread(&mut self) -> Option<Unread> {
        self.before.go_back(&self.state)
    }
}
