//! Lines of binary files.

use super::checks::{check, check_open, check_written};
use crate::engine::runtime;
use crate::handle::complaint::{Complaint, Failure};
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::{Fetched, Guard};
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::task::Task;
use crate::handle::trace::Unread;
use crate::limits::{LINES_BETWEEN_LOOKS, LONG_LINE, LOOP_SLICE};

/// The end of the next line.
enum Found<S: Sink> {
    /// After this many bytes; 0 at the end of the file.
    Line(usize),
    Advance(Advance<S>),
}

/// Searches for the end of the next line.
#[derive(Debug, Default)]
struct Search {
    /// How many of the available bytes have been searched.
    scanned: usize,
}

impl Search {
    #[inline]
    fn find<S: Sink>(
        &mut self,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        limit: Option<usize>,
        reply: Option<Reply>,
    ) -> Fallible<S, Found<S>> {
        check(file.readable, Complaint::CannotRead)?;
        check_open(guard, Complaint::ReadLineOfClosedFile)?;
        if let Some(step) = check_written(guard)? {
            return Ok(Found::Advance(step));
        }
        let limit = limit.unwrap_or(usize::MAX);
        let mut ended = matches!(reply, Some(Reply::Filled(false) | Reply::WouldBlock));
        loop {
            let available = guard.available().len();
            let line = guard.find_line(self.scanned);
            if let Some(length) = line.or_else(|| (available >= limit || ended).then_some(available)) {
                self.scanned = 0;
                return Ok(Found::Line(length.min(limit)));
            }
            self.scanned = available;
            let fetched = if available > LONG_LINE { Fetched::Missing } else { guard.fetch(available + 1) };
            match fetched {
                Fetched::Enough => {}
                Fetched::End => ended = true,
                Fetched::Missing => {
                    return Ok(Found::Advance(Advance::Task(Task::ReadAhead {
                        at_least: available + 1,
                        once: true,
                    })));
                }
            }
        }
    }
}

/// The checks of a raw file.
fn check_raw<S: Sink>(file: &HandleFile<S>, guard: &Guard<'_>, closed: Complaint) -> Result<(), Complaint> {
    check_open(guard, closed)?;
    check(file.readable, Complaint::NotForReading)
}

/// Reads a line.
#[derive(Debug)]
pub struct ReadLine {
    limit: Option<usize>,
    iterates: bool,
    raw: bool,
    search: Search,
}

impl ReadLine {
    /// Reads a line of up to `limit` bytes. `iterates`: it is the next item of an iteration, which ends with the file.
    /// `raw`: the file is a raw one, whose errors differ from a buffered one's.
    pub fn new(limit: Option<usize>, iterates: bool, raw: bool) -> Self {
        Self { limit, iterates, raw, search: Search::default() }
    }
}

impl<S: Sink> FileOperation<S> for ReadLine {
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
        if self.limit == Some(0) && (self.raw || !file.readable) {
            return S::bytes(context, b"").map(Advance::Done);
        }
        if self.raw {
            check_raw(file, guard, Complaint::ClosedFile)?;
        }
        match self.search.find(file, guard, self.limit, reply)? {
            Found::Advance(step) => Ok(step),
            Found::Line(0) if self.iterates => Err(Failure::NoMoreItems),
            Found::Line(length) => {
                let line = S::bytes(context, &guard.available()[..length])?;
                guard.consume(length);
                Ok(Advance::Done(line))
            }
        }
    }
}

/// Reads lines until they have `hint` bytes in total, or the file ends.
pub struct ReadLines<S: Sink> {
    hint: Option<usize>,
    raw: bool,
    lines: Option<S::Lines>,
    size: usize,
    search: Search,
}

impl<S: Sink> ReadLines<S> {
    /// Reads lines until they have `hint` bytes in total. `raw`: the file is a raw one, whose errors differ from a
    /// buffered one's.
    pub fn new(hint: Option<usize>, raw: bool) -> Self {
        Self { hint, raw, lines: None, size: 0, search: Search::default() }
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
        check_open(guard, Complaint::ClosedStream)?;
        if self.raw {
            check_raw(file, guard, Complaint::ClosedStream)?;
        }
        let lines = self.lines.get_or_insert_with(|| S::no_lines(context));
        let until = runtime::now() + LOOP_SLICE;
        loop {
            for _ in 0..LINES_BETWEEN_LOOKS {
                match self.search.find(file, guard, None, reply.take())? {
                    Found::Advance(step) => return Ok(step),
                    Found::Line(0) => return Ok(self.done(context)),
                    Found::Line(length) => {
                        S::add_line(context, lines, &guard.available()[..length])?;
                        guard.consume(length);
                        if self.hint.is_some_and(|hint| length > hint.saturating_sub(self.size)) {
                            return Ok(self.done(context));
                        }
                        self.size += length;
                    }
                }
            }
            if runtime::now() > until {
                return Ok(Advance::Yield);
            }
        }
    }

    fn unread(&mut self) -> Option<Unread> {
        S::lines_content(self.lines.take()?).map(Unread::Bytes)
    }
}
