//! Reading much at once: straight into the result, so that it is never copied.

use super::checks::{check, check_open, check_written, take};
use crate::error::{Error, Subject};
use crate::handle::complaint::{Complaint, Failure};
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::{Fetched, Guard};
use crate::handle::job::{Task, TaskBuffer};
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::limits::READ_IN_SLICES;
use crate::platform;
use crate::verbs::slices::{Sliced, Slices};

/// Reads so many bytes, or everything.
pub struct ReadLarge<S: Sink> {
    size: Option<usize>,
    iterates: bool,
    /// The file has no buffer, and so no manners of its own.
    raw: bool,
    state: State<S>,
}

enum State<S: Sink> {
    /// Nothing has been read yet.
    Begin,
    /// A worker reads into the result, of which so much was buffered.
    Filling(S::Bytes, usize),
    /// It is read on the loop.
    Slicing(Slicing<S>),
}

/// A read on the loop: the result, its size, how much of it was buffered, and the rest.
struct Slicing<S: Sink> {
    bytes: S::Bytes,
    start: Start,
    size: usize,
    have: usize,
    slices: Slices,
}

/// Where the result begins.
struct Start(*mut u8);

// SAFETY: it is used by whoever has the bytes that it is the beginning of.
unsafe impl Send for Start {}
// SAFETY: as above.
unsafe impl Sync for Start {}

impl<S: Sink> ReadLarge<S> {
    /// Reads `size` bytes, or everything. `iterates`: it is the next item of an iteration, which ends with the file.
    pub fn new(size: Option<usize>, iterates: bool) -> Self {
        Self { size, iterates, raw: false, state: State::Begin }
    }

    /// Reads everything that a file without a buffer has.
    pub fn raw() -> Self {
        Self { raw: true, ..Self::new(None, false) }
    }

    /// Everything that is available, within what is wanted.
    fn take(
        &self,
        context: S::Context<'_>,
        guard: &mut Guard<'_>,
        would_block: bool,
    ) -> Fallible<S, Advance<S>> {
        let count = guard.available().len().min(self.size.unwrap_or(usize::MAX));
        if count == 0 && self.iterates {
            return Err(Failure::NoMoreItems);
        }
        if count == 0 && would_block {
            return Ok(Advance::Done(S::nothing(context)));
        }
        take(context, guard, count)
    }

    /// Begins: on the loop, if the kernel may have it available at once and it is not too much for that, else in a
    /// worker.
    fn begin(&mut self, context: S::Context<'_>, guard: &mut Guard<'_>) -> Fallible<S, Advance<S>> {
        let measure = Task::Measure { size: self.size.unwrap_or(usize::MAX) };
        let Some(left) = guard.left() else { return Ok(Advance::Task(measure)) };
        let available = guard.available().len();
        if self.size.is_some_and(|size| size <= available) {
            return self.take(context, guard, false);
        }
        let size = self.size.unwrap_or(usize::MAX).min(available.saturating_add(left));
        if size <= available {
            // At the end, as far as one knows.
            return match guard.fetch(available + 1) {
                Fetched::End => self.take(context, guard, false),
                Fetched::Enough | Fetched::Missing => Ok(Advance::Task(measure)),
            };
        }
        if size - available > READ_IN_SLICES {
            return self.fill(context, guard, size);
        }
        let (bytes, have, start) = begun::<S>(context, guard, size)?;
        match guard.slices(size - have, size - available == left) {
            Some(slices) => {
                let start = Start(start);
                self.slice(context, guard, Slicing { bytes, start, size, have, slices })
            }
            None => Ok(Advance::Task(measure)),
        }
    }

    /// Lets a worker read so much.
    fn fill(&mut self, context: S::Context<'_>, guard: &Guard<'_>, size: usize) -> Fallible<S, Advance<S>> {
        // The buffered part is used up only when there is a result.
        let (bytes, have, start) = begun::<S>(context, guard, size)?;
        // SAFETY: nobody is shown the bytes before the task is done, and they are kept alive for as long.
        let room = unsafe { TaskBuffer::new(start, size, S::keep_alive(context, &bytes)) };
        self.state = State::Filling(bytes, have);
        Ok(Advance::Task(Task::FillRoom { room, have, to_end: self.size.is_none() }))
    }

    /// Reads on here, as long as the loop may be held.
    fn slice(
        &mut self,
        context: S::Context<'_>,
        guard: &mut Guard<'_>,
        mut slicing: Slicing<S>,
    ) -> Fallible<S, Advance<S>> {
        let (size, have) = (slicing.size, slicing.have);
        // SAFETY: there is room for the size and one byte behind that, and nobody has been shown it.
        let sliced = unsafe { guard.read_slices(&mut slicing.slices, slicing.start.0.add(have)) };
        let length = match sliced {
            Sliced::Complete => size,
            Sliced::End(length) if have + length == 0 && self.iterates => return Err(Failure::NoMoreItems),
            Sliced::End(length) => have + length,
            Sliced::Pause => {
                self.state = State::Slicing(slicing);
                return Ok(Advance::Yield);
            }
            Sliced::Missing => return self.fill(context, guard, size),
        };
        // SAFETY: that many bytes have been read into it.
        unsafe { S::finish(context, slicing.bytes, length, &[]) }.map(Advance::Done)
    }
}

/// Room for so many bytes that begins with those of the buffer, how many these are, and where it begins.
fn begun<S: Sink>(
    context: S::Context<'_>,
    guard: &Guard<'_>,
    size: usize,
) -> Fallible<S, (S::Bytes, usize, *mut u8)> {
    let (bytes, start) = S::new_bytes(context, size)?;
    let have = guard.available().len().min(size);
    // SAFETY: there is room for that much.
    unsafe { std::ptr::copy_nonoverlapping(guard.available().as_ptr(), start, have) };
    Ok((bytes, have, start))
}

impl<S: Sink> FileOperation<S> for ReadLarge<S> {
    fn name(&self) -> &'static str {
        if self.raw { "readall" } else { "read" }
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        if self.raw {
            check_open(guard, Complaint::ClosedFile)?;
            if !file.readable {
                // What read(2) would say.
                return Err(Error::Os { code: platform::BAD_DESCRIPTOR, subject: Subject::Nothing }.into());
            }
        }
        if self.iterates {
            check_open(guard, Complaint::ReadOfClosedFile)?;
        }
        check(file.readable, Complaint::CannotRead)?;
        check_open(guard, Complaint::ReadOfClosedFile)?;
        if let Some(step) = check_written(guard)? {
            return Ok(step);
        }
        let state = std::mem::replace(&mut self.state, State::Begin);
        match (reply, state) {
            (Some(Reply::Count(size)), _) => self.fill(context, guard, size as usize),
            (Some(Reply::ReadInto { length, tail }), State::Filling(bytes, have)) => {
                guard.consume(have);
                guard.pass_by();
                if length == 0 && tail.is_empty() && self.iterates {
                    return Err(Failure::NoMoreItems);
                }
                // SAFETY: that many bytes have been read into it.
                unsafe { S::finish(context, bytes, length, &tail) }.map(Advance::Done)
            }
            (Some(reply), _) => self.take(context, guard, matches!(reply, Reply::WouldBlock)),
            (None, State::Slicing(slicing)) => self.slice(context, guard, slicing),
            (None, _) => self.begin(context, guard),
        }
    }
}
