//! What buffered binary files do: reading, writing, and moving about.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt};
use rapfiles_core::{
    Error, Fetched, Guard, Handle, MOST_NOW, Outcome, Salvage, Subject, Task, Until, Written,
};

use super::large::ReadLarge;
use super::open_file::OpenFile;
use super::payload::{Payload, Target};
use super::strings::{new_bytes, shortened};
use super::work::{Request, Step};
use crate::errors::{self, Names, unsupported};

/// A read of more goes straight to its place.
pub(crate) const LARGE: usize = 256 << 10;
/// What changes meanwhile is not copied above this size, but written before the operation is over.
const MOST_COPIED: usize = 1 << 20;
/// What does not change is not copied above this size.
const WORTH_SHARING: usize = 256 << 10;

/// Refuses to go on with a closed file.
pub(crate) fn check_open(handle: &Handle, message: &'static str) -> PyResult<()> {
    if handle.is_closed() { Err(PyValueError::new_err(message)) } else { Ok(()) }
}

/// Refuses to read what is only written.
fn check_readable(py: Python<'_>, file: &OpenFile, message: &'static str) -> PyResult<()> {
    if file.readable { Ok(()) } else { Err(unsupported(py, message)) }
}

/// What was accepted has to be with the kernel before anything else is done.
pub(crate) fn check_written(py: Python<'_>, guard: &mut Guard<'_>) -> PyResult<Option<Step>> {
    if let Some(error) = guard.take_error() {
        return Err(exception(py, error));
    }
    Ok(if guard.is_written() { None } else { Some(Step::AwaitWriter(Until::Written)) })
}

/// What was accepted is written by the task that is asked for next; but not beside the writer, if that is at it.
pub(crate) fn check_writer(py: Python<'_>, guard: &mut Guard<'_>) -> PyResult<Option<Step>> {
    if let Some(error) = guard.take_error() {
        return Err(exception(py, error));
    }
    Ok(guard.is_writing().then_some(Step::AwaitWriter(Until::Written)))
}

pub(crate) fn exception(py: Python<'_>, error: Error) -> PyErr {
    errors::exception(py, error, &Names::none())
}

/// The error of reading what was opened for writing only.
pub(crate) fn bad_descriptor(py: Python<'_>) -> PyErr {
    const EBADF: i32 = 9;
    exception(py, Error::Os { code: EBADF, subject: Subject::Nothing })
}

pub(crate) fn number(py: Python<'_>, number: u64) -> Step {
    Step::Done(PyInt::new(py, number).into_any().unbind())
}

/// Takes the first of the available bytes.
fn take(py: Python<'_>, guard: &mut Guard<'_>, count: usize) -> Step {
    let count = count.min(guard.available().len());
    let bytes = PyBytes::new(py, &guard.available()[..count]).into_any().unbind();
    guard.consume(count);
    Step::Done(bytes)
}

/// Takes up to so many of the available bytes, if there are any.
pub(crate) fn take_available(py: Python<'_>, guard: &mut Guard<'_>, most: usize) -> Option<Step> {
    (most > 0 && !guard.available().is_empty()).then(|| take(py, guard, most))
}

/// The end of an asynchronous iteration.
pub(crate) fn stop() -> PyErr {
    pyo3::exceptions::PyStopAsyncIteration::new_err(())
}

/// Reads so many bytes, or up to the end of the file.
pub(crate) struct Read {
    pub(crate) size: usize,
    /// What this is the next item of ends with the file.
    pub(crate) iterates: bool,
}

impl Request for Read {
    fn name(&self) -> &'static str {
        "read"
    }

    fn at_hand(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
    ) -> Option<PyResult<Py<PyAny>>> {
        let bytes = guard.available().get(..self.size)?;
        if !file.readable || !guard.is_settled() || !file.ahead.is_off() {
            return None;
        }
        let bytes = PyBytes::new(py, bytes).into_any().unbind();
        guard.consume(self.size);
        Some(Ok(bytes))
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        if self.iterates {
            check_open(guard, "read of closed file")?;
        }
        check_readable(py, file, "read")?;
        check_open(guard, "read of closed file")?;
        if let Some(step) = check_written(py, guard)? {
            return Ok(step);
        }
        if outcome.is_none()
            && !file.writable
            && let Some(bytes) = file.ahead.take(py, guard, self.size)?
        {
            return Ok(Step::Done(bytes.into_any()));
        }
        let available = guard.available().len();
        if available >= self.size {
            return Ok(take(py, guard, self.size));
        }
        match outcome {
            // Nothing to read, and no end.
            Some(Outcome::WouldBlock) if available == 0 => return Ok(Step::Done(py.None())),
            Some(_) if available == 0 && self.iterates => return Err(stop()),
            Some(_) => return Ok(take(py, guard, self.size)),
            None => {}
        }
        if self.size <= MOST_NOW {
            let (bytes, start) = new_bytes(py, self.size)?;
            // SAFETY: the bytes object has room for that much, and is shown to nobody else.
            match unsafe { guard.read_into(start, self.size) } {
                (0, Fetched::End) if self.iterates => return Err(stop()),
                (length, Fetched::Enough | Fetched::End) => return Ok(Step::Done(shortened(bytes, length)?)),
                (_, Fetched::Missing) => {}
            }
        }
        Ok(Step::Task(Task::Fill { at_least: self.size, once: false }))
    }

    fn takes_ahead(&self) -> usize {
        self.size
    }
}

/// A request that reads so many bytes, or everything.
pub(crate) fn read(size: Option<usize>, iterates: bool) -> Box<dyn Request> {
    match size {
        Some(size) if size <= MOST_NOW => Box::new(Read { size, iterates }),
        size => Box::new(ReadLarge::new(size, iterates)),
    }
}

/// Reads what is there, with one read at most.
pub(crate) struct ReadSome {
    pub(crate) size: usize,
    /// What was read is still there afterwards.
    pub(crate) peek: bool,
}

impl Request for ReadSome {
    fn name(&self) -> &'static str {
        if self.peek { "peek" } else { "read1" }
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        if self.peek {
            // Only files that can be read have it in io, so there a closed file is the first thing to be noticed.
            check_open(guard, "peek of closed file")?;
        }
        check_readable(py, file, if self.peek { "peek" } else { "read1" })?;
        check_open(guard, "read of closed file")?;
        if let Some(step) = check_written(py, guard)? {
            return Ok(step);
        }
        let wants = self.size > 0 || self.peek;
        if wants && outcome.is_none() && guard.available().is_empty() {
            match guard.fetch(1) {
                Fetched::Missing => return Ok(Step::Task(Task::Fill { at_least: 1, once: true })),
                Fetched::Enough | Fetched::End => {}
            }
        }
        if !self.peek {
            return Ok(take(py, guard, self.size));
        }
        /// What a synchronous buffer holds.
        const BUFFER: usize = 8192;
        let available = guard.available();
        let shown = &available[..available.len().min(self.size.max(BUFFER))];
        Ok(Step::Done(PyBytes::new(py, shown).into_any().unbind()))
    }
}

/// Reads into the caller's memory.
pub(crate) struct ReadInto {
    pub(crate) target: Target,
    /// One read at most.
    pub(crate) once: bool,
    pub(crate) done: usize,
}

impl Request for ReadInto {
    fn name(&self) -> &'static str {
        if self.once { "readinto1" } else { "readinto" }
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        check_readable(py, file, if self.once { "read1" } else { "read" })?;
        check_open(guard, "readinto of closed file")?;
        if let Some(step) = check_written(py, guard)? {
            return Ok(step);
        }
        let length = self.target.len();
        let wanted = if self.once { 1.min(length) } else { length };
        if outcome.is_none()
            && self.done == 0
            && guard.available().len() < wanted
            && !self.once
            && wanted <= MOST_NOW
        {
            // SAFETY: the memory has room for that much, and the view holds on to it.
            match unsafe { guard.read_into(self.target.start(), length) } {
                (read, Fetched::Enough | Fetched::End) => return Ok(number(py, read as u64)),
                (_, Fetched::Missing) => {}
            }
        }
        if outcome.is_none() && self.once && guard.available().is_empty() && wanted > 0 {
            guard.fetch(1);
        }
        let count = guard.available().len().min(length - self.done);
        self.target.put(self.done, &guard.available()[..count]);
        guard.consume(count);
        self.done += count;
        match outcome {
            Some(Outcome::WouldBlock) if self.done == 0 => return Ok(Step::Done(py.None())),
            Some(Outcome::Flag(true)) | None if self.done < wanted => {}
            _ => return Ok(number(py, self.done as u64)),
        }
        let at_least = (wanted - self.done).min(LARGE);
        Ok(Step::Task(Task::Fill { at_least, once: self.once }))
    }

    fn salvage(&mut self) -> Option<Salvage> {
        Some(Salvage::Bytes(self.target.copy(self.done)))
    }
}

/// Writes bytes.
pub(crate) struct Write {
    pub(crate) payload: Payload,
}

impl Request for Write {
    fn name(&self) -> &'static str {
        "write"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        if !file.writable {
            return Err(unsupported(py, "write"));
        }
        check_open(guard, "write to closed file")?;
        if let Some(Outcome::Count(written)) = outcome {
            return Ok(number(py, written));
        }
        if let Some(error) = guard.take_error() {
            return Err(exception(py, error));
        }
        accept(py, guard, &self.payload)
    }
}

/// Puts bytes into the buffer for writing, as far as that is the way to do it.
fn accept(py: Python<'_>, guard: &mut Guard<'_>, payload: &Payload) -> PyResult<Step> {
    let length = payload.with(py, <[u8]>::len)?;
    let accepted = if payload.is_constant() && length >= WORTH_SHARING {
        guard.write_shared(payload.shared(py)?).is_ok()
    } else if length > MOST_COPIED {
        return Ok(if guard.is_written() {
            Step::Task(Task::WriteThrough(payload.shared(py)?))
        } else {
            Step::AwaitWriter(Until::Written)
        });
    } else {
        payload.with(py, |bytes| guard.write(bytes))? == Written::Accepted
    };
    Ok(if accepted { number(py, length as u64) } else { Step::AwaitWriter(Until::RoomFor(length)) })
}

/// Sees to it that the kernel has everything.
pub(crate) struct Flush {
    pub(crate) closed: &'static str,
}

impl Request for Flush {
    fn name(&self) -> &'static str {
        "flush"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        _outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        check_open(guard, self.closed)?;
        if let Some(step) = check_written(py, guard)? {
            return Ok(step);
        }
        if file.writable && file.readable && guard.decoder().is_none() {
            guard.rewind();
        }
        Ok(Step::Done(py.None()))
    }
}

/// Moves the position.
pub(crate) struct Seek {
    pub(crate) offset: i64,
    pub(crate) whence: i32,
    /// The file has no buffer, and so no manners of its own.
    pub(crate) raw: bool,
}

impl Request for Seek {
    fn name(&self) -> &'static str {
        "seek"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        check_open(guard, if self.raw { "I/O operation on closed file" } else { "seek of closed file" })?;
        if !self.raw && !file.handle.facts.seekable {
            return Err(unsupported(py, "File or stream is not seekable."));
        }
        if let Some(step) = check_writer(py, guard)? {
            return Ok(step);
        }
        if let Some(Outcome::Count(position)) = outcome {
            return Ok(number(py, position));
        }
        match guard.seek(self.offset, self.whence) {
            Some(position) => Ok(number(py, position.map_err(|error| exception(py, error))?)),
            None => Ok(Step::Task(Task::Seek { offset: self.offset, whence: self.whence })),
        }
    }
}

/// Tells the position.
pub(crate) struct Tell;

impl Request for Tell {
    fn name(&self) -> &'static str {
        "tell"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        _file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        check_open(guard, "I/O operation on closed file")?;
        if let Some(Outcome::Count(position)) = outcome {
            return Ok(number(py, position));
        }
        match guard.position() {
            Some(position) => Ok(number(py, position.map_err(|error| exception(py, error))?)),
            None if guard.is_written() => Ok(Step::Task(Task::Position)),
            None => Ok(check_written(py, guard)?.unwrap_or(Step::Task(Task::Position))),
        }
    }
}

/// Cuts the file, or extends it with zeros.
pub(crate) struct Truncate {
    pub(crate) length: Option<i64>,
    /// What a file that is only read says.
    pub(crate) refusal: &'static str,
    pub(crate) closed: &'static str,
}

impl Request for Truncate {
    fn name(&self) -> &'static str {
        "truncate"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        check_open(guard, self.closed)?;
        if !file.writable {
            return Err(unsupported(py, self.refusal));
        }
        if let Some(Outcome::Count(length)) = outcome {
            return Ok(number(py, length));
        }
        if let Some(step) = check_writer(py, guard)? {
            return Ok(step);
        }
        Ok(Step::Task(Task::Truncate { length: self.length }))
    }
}

/// Sees to it that the device has everything.
pub(crate) struct Synchronise {
    pub(crate) data_only: bool,
}

impl Request for Synchronise {
    fn name(&self) -> &'static str {
        if self.data_only { "datasync" } else { "sync" }
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        _file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        check_open(guard, "I/O operation on closed file")?;
        if outcome.is_some_and(|outcome| matches!(outcome, Outcome::Done)) {
            return Ok(Step::Done(py.None()));
        }
        if let Some(step) = check_writer(py, guard)? {
            return Ok(step);
        }
        Ok(Step::Task(Task::Synchronise { data_only: self.data_only }))
    }
}
