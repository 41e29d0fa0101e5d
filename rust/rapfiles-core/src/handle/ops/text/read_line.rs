//! Lines of text files.

use std::sync::Arc;

use super::before::Before;
use super::feeder::{Begun, Feeder, More, check_readable, is_filled, take};
use crate::engine::runtime;
use crate::handle::batch::LineBatch;
use crate::handle::complaint::Failure;
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::Guard;
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::task::Task;
use crate::handle::text::TextState;
use crate::handle::text_guard::TextGuard;
use crate::handle::trace::Unread;
use crate::limits::{LINES_BETWEEN_LOOKS, LINES_BY_WORKER, LONG_TEXT, LOOP_SLICE};
use crate::memory::extend;
use crate::text::{Codec, Decoder};

/// Searches for the end of the next line.
struct Search<S: Sink> {
    feeder: Feeder<S>,
    /// Whether the file ended during the search: then the decoded text is discarded after the line has been taken.
    ended: bool,
}

enum Found<'a, S: Sink> {
    /// After this many bytes; 0 at the end of the file.
    Line(TextGuard<'a>, usize),
    Advance(Advance<S>),
}

impl<S: Sink> Search<S> {
    fn new(state: &Arc<TextState<S>>) -> Self {
        Self { feeder: Feeder::new(state, false), ended: false }
    }

    /// Notes that the line has been taken.
    #[inline]
    fn taken(&mut self, text: &mut TextGuard<'_>) {
        if std::mem::take(&mut self.ended) {
            text.decoder.clear();
            self.feeder.state.set_snapshot(None);
        }
    }

    #[inline]
    fn find<'a>(
        &mut self,
        file: &HandleFile<S>,
        guard: &'a mut Guard<'_>,
        limit: Option<usize>,
        mut reply: Option<Reply>,
    ) -> Fallible<S, Found<'a, S>> {
        let mut text = match self.feeder.begin(file, guard, &mut reply)? {
            Begun::Text(text) => text,
            Begun::Advance(step) => return Ok(Found::Advance(step)),
        };
        // A worker that searched for a line has found one, or the end of the file.
        let searched = matches!(reply, Some(Reply::Done));
        let filled = is_filled(&reply);
        let clipped =
            |decoder: &Decoder, bytes: usize| limit.map_or(bytes, |limit| decoder.bytes_of(limit).min(bytes));
        // Most lines are available at once.
        if let Some(end) = text.decoder.find_line() {
            let bytes = clipped(text.decoder, end);
            return Ok(Found::Line(text, bytes));
        }
        let mut line = None;
        let wanted = |decoder: &mut Decoder| {
            let there = decoder.len();
            if let Some(end) = decoder.find_line() {
                line = Some(clipped(decoder, end));
            } else if searched || (there > 0 && limit.is_some_and(|limit| decoder.characters() >= limit)) {
                line = Some(clipped(decoder, there));
            } else if there <= LONG_TEXT || !decoder.is_native() {
                return Some(0);
            }
            None
        };
        match self.feeder.decode_until(&mut text, filled, wanted)? {
            More::Advance(step) => Ok(Found::Advance(step)),
            More::Enough => Ok(match line {
                Some(bytes) => Found::Line(text, bytes),
                None => Found::Advance(Advance::Task(Task::FindLine)),
            }),
            More::End => {
                let there = clipped(text.decoder, text.decoder.len());
                self.ended = true;
                if there == 0 {
                    self.taken(&mut text);
                }
                Ok(Found::Line(text, there))
            }
        }
    }
}

/// Reads a line.
pub struct ReadLine<S: Sink> {
    limit: Option<usize>,
    iterates: bool,
    search: Search<S>,
}

impl<S: Sink> ReadLine<S> {
    /// Reads a line of up to `limit` characters. `iterates`: it is the next item of an iteration, which ends with the
    /// file.
    pub fn new(state: &Arc<TextState<S>>, limit: Option<usize>, iterates: bool) -> Self {
        Self { limit, iterates, search: Search::new(state) }
    }
}

impl<S: Sink> FileOperation<S> for ReadLine<S> {
    fn name(&self) -> &'static str {
        if self.iterates { "__anext__" } else { "readline" }
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        match self.search.find(file, guard, self.limit, reply)? {
            Found::Advance(step) => Ok(step),
            Found::Line(_, 0) if self.iterates => Err(Failure::NoMoreItems),
            Found::Line(mut text, bytes) => {
                let step = take(context, &mut text, bytes);
                self.search.taken(&mut text);
                step
            }
        }
    }

    fn call(&mut self, context: S::Context<'_>, guard: &mut Guard<'_>) -> Fallible<S, ()> {
        self.search.feeder.call(context, guard)
    }
}

/// Reads lines until they have `hint` characters in total, or the file ends.
pub struct ReadLines<S: Sink> {
    hint: Option<usize>,
    lines: Option<S::Lines>,
    size: usize,
    search: Search<S>,
    /// Lines that a worker has found, and whose strings have not been created yet.
    batch: Option<Box<LineBatch>>,
    before: Before<S>,
    saved: Saved,
}

/// Whether the position of the file before the first line has been saved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Saved {
    No,
    /// The caller's decoder has to be saved, too.
    Half,
    Yes,
}

impl<S: Sink> ReadLines<S> {
    /// Reads lines until they have `hint` characters in total.
    pub fn new(state: &Arc<TextState<S>>, hint: Option<usize>) -> Self {
        let search = Search::new(state);
        Self { hint, lines: None, size: 0, search, batch: None, before: Before::default(), saved: Saved::No }
    }

    /// Creates the strings of the lines that a worker has found.
    fn make_lines(&mut self, context: S::Context<'_>) -> Fallible<S, ()> {
        let Some(batch) = &mut self.batch else { return Ok(()) };
        let lines = self.lines.get_or_insert_with(|| S::no_lines(context));
        while let Some((bytes, plain, layout)) = batch.next_line() {
            S::add_measured_line(context, lines, bytes, plain, layout)?;
        }
        Ok(())
    }

    /// Takes the lines that a worker has found, and requests more.
    fn take_batch(&mut self, context: S::Context<'_>, batch: Box<LineBatch>) -> Fallible<S, Advance<S>> {
        let ended = batch.ended;
        self.batch = Some(batch);
        if !ended {
            // Their strings are created meanwhile.
            return Ok(Advance::Task(Task::ReadLines));
        }
        self.make_lines(context)?;
        self.batch = None;
        Ok(self.done(context))
    }

    fn done(&mut self, context: S::Context<'_>) -> Advance<S> {
        let lines = self.lines.take().unwrap_or_else(|| S::no_lines(context));
        Advance::Done(S::lines(context, lines))
    }
}

impl<S: Sink> FileOperation<S> for ReadLines<S> {
    fn name(&self) -> &'static str {
        "readlines"
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        mut reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        if let Some(Reply::Lines(batch)) = reply {
            return self.take_batch(context, batch);
        }
        check_readable(file, guard)?;
        if self.saved == Saved::No && guard.is_written() {
            self.saved = if self.before.note_place(&guard.text()?) { Saved::Half } else { Saved::Yes };
        }
        if self.saved == Saved::Half {
            return Ok(Advance::Call);
        }
        let large = file.handle.info.size >= LINES_BY_WORKER && self.hint.is_none();
        if large && reply.is_none() && guard.is_written() && guard.text()?.decoder.is_native() {
            return Ok(Advance::Task(Task::ReadLines));
        }
        let lines = self.lines.get_or_insert_with(|| S::no_lines(context));
        let until = runtime::now() + LOOP_SLICE;
        loop {
            for _ in 0..LINES_BETWEEN_LOOKS {
                let (mut text, bytes) = match self.search.find(file, guard, None, reply.take())? {
                    Found::Advance(step) => return Ok(step),
                    Found::Line(_, 0) => return Ok(self.done(context)),
                    Found::Line(text, bytes) => (text, bytes),
                };
                let (content, form) = text.decoder.peek(bytes);
                let length = S::add_text_line(context, lines, content, form)?;
                text.decoder.consume(bytes);
                self.search.taken(&mut text);
                if self.hint.is_some_and(|hint| length > hint.saturating_sub(self.size)) {
                    return Ok(self.done(context));
                }
                self.size += length;
            }
            if runtime::now() > until {
                return Ok(Advance::Yield);
            }
        }
    }

    fn call(&mut self, context: S::Context<'_>, guard: &mut Guard<'_>) -> Fallible<S, ()> {
        let state = &self.search.feeder.state;
        if self.saved == Saved::Half {
            self.saved = Saved::Yes;
            return self.before.note_codec(context, state);
        }
        self.search.feeder.call(context, guard)
    }

    fn meanwhile(&mut self, context: S::Context<'_>) -> Fallible<S, ()> {
        self.make_lines(context)
    }

    fn unread(&mut self) -> Option<Unread> {
        let lines = self.lines.take();
        if let Some(back) = self.before.go_back(&self.search.feeder.state) {
            return Some(back);
        }
        // If they cannot be read again, the lines themselves are put back.
        let lines = lines?;
        let latin1 = self.search.feeder.state.settings().native == Some(Codec::Latin1);
        // If memory cannot be allocated, what was read is lost, as with a synchronous file.
        let mut content = S::text_lines_content(lines, latin1)?;
        extend(&mut content, self.batch.take().as_ref().map_or(&[], |batch| batch.rest())).ok()?;
        Some(Unread::Text(content))
    }
}
