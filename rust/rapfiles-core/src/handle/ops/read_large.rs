//! Large reads: straight into the result, so that it is never copied.

use super::checks::{check, check_open, check_written, take};
use crate::error::{Error, Subject};
use crate::handle::complaint::{Complaint, Failure};
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::{Fetched, Guard};
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::task::{Task, TaskBuffer};
use crate::limits::READ_IN_SLICES;
use crate::platform;
use crate::verbs::slices::{Sliced, Slices};

/// Reads `size` bytes, or everything.
pub struct ReadLarge<S: Sink> {
    size: Option<usize>,
    iterates: bool,
    /// Whether the file is a raw one, whose errors differ from a buffered one's.
    raw: bool,
    state: State<S>,
}

enum State<S: Sink> {
    /// Nothing has been read yet.
    Begin,
    /// A worker reads into the result, of which this much was buffered.
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

/// The start of the result.
struct Start(*mut u8);

// SAFETY: it is used only together with the bytes to which it points.
unsafe impl Send for Start {}
// SAFETY: as above.
unsafe impl Sync for Start {}

impl<S: Sink> ReadLarge<S> {
    /// Reads `size` bytes, or everything. `iterates`: it is the next item of an iteration, which ends with the file.
    pub fn new(size: Option<usize>, iterates: bool) -> Self {
        Self { size, iterates, raw: false, state: State::Begin }
    }

    /// Reads everything from a raw file.
    pub fn raw() -> Self {
        Self { raw: true, ..Self::new(None, false) }
    }

    /// Everything that is available, up to the requested size.
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

    /// Begins: on the loop, if the kernel may have it in the page cache and it is not too much, otherwise in a worker.
    fn begin(&mut self, context: S::Context<'_>, guard: &mut Guard<'_>) -> Fallible<S, Advance<S>> {
        let measure = Task::Measure { size: self.size.unwrap_or(usize::MAX) };
        let Some(left) = guard.left() else { return Ok(Advance::Task(measure)) };
        let available = guard.available().len();
        if self.size.is_some_and(|size| size <= available) {
            return self.take(context, guard, false);
        }
        let size = self.size.unwrap_or(usize::MAX).min(available.saturating_add(left));
        if size <= available {
            // Probably at the end.
            return match guard.fetch(available + 1) {
                Fetched::End => self.take(context, guard, false),
                Fetched::Enough | Fetched::Missing => Ok(Advance::Task(measure)),
            };
        }
        if size - available > READ_IN_SLICES {
            return self.fill(context, guard, size);
        }
        let (bytes, have, start) = begun::<S>(context, guard, size)?;
        let to_end = size - available == left;
        // SAFETY: the buffer has room for the size and one more byte, and has not been exposed.
        if to_end && unsafe { guard.read_rest(start.add(have), left) } {
            // SAFETY: that many bytes have been read into it.
            return unsafe { S::finish(context, bytes, size, &[]) }.map(Advance::Done);
        }
        match guard.slices(size - have, to_end) {
            Some(slices) => {
                let start = Start(start);
                self.slice(context, guard, Slicing { bytes, start, size, have, slices })
            }
            None => Ok(Advance::Task(measure)),
        }
    }

    /// Lets a worker read `size` bytes.
    fn fill(&mut self, context: S::Context<'_>, guard: &Guard<'_>, size: usize) -> Fallible<S, Advance<S>> {
        // The buffered part is consumed only when there is a result.
        let (bytes, have, start) = begun::<S>(context, guard, size)?;
        // SAFETY: the bytes are not exposed before the task is done, and they are kept alive for as long.
        let buffer = unsafe { TaskBuffer::new(start, size, S::keep_alive(context, &bytes)) };
        self.state = State::Filling(bytes, have);
        Ok(Advance::Task(Task::ReadInto { buffer, have, to_end: self.size.is_none() }))
    }

    /// Continues on the loop, for as long as it may be blocked.
    fn slice(
        &mut self,
        context: S::Context<'_>,
        guard: &mut Guard<'_>,
        mut slicing: Slicing<S>,
    ) -> Fallible<S, Advance<S>> {
        let (size, have) = (slicing.size, slicing.have);
        // SAFETY: the buffer has room for the size and one more byte, and has not been exposed.
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

/// A result buffer that begins with the buffered bytes, the number of these, and its start.
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
                // The error of read(2).
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
