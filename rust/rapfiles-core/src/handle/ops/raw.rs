//! Files without a buffer: each operation is one system call.

use super::checks::{check, check_open, done, number, take};
use crate::cached::IoVec;
use crate::handle::complaint::Complaint;
use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::Guard;
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink, Source, Target};
use crate::handle::task::{Task, TaskBuffer};
use crate::limits::READ_AT_ONCE;

/// Reads once.
pub struct ReadOnce<S: Sink> {
    size: usize,
    /// The buffer into which a worker reads.
    bytes: Option<S::Bytes>,
}

impl<S: Sink> ReadOnce<S> {
    /// Reads up to `size` bytes.
    pub fn new(size: usize) -> Self {
        Self { size, bytes: None }
    }
}

fn check_readable<S: Sink>(file: &HandleFile<S>, guard: &Guard<'_>) -> Result<(), Complaint> {
    check_open(guard, Complaint::ClosedFile)?;
    check(file.readable, Complaint::NotForReading)
}

/// Reads once, if that does not block, and the size is small.
///
/// # Safety
/// `start` must be valid for writes of `length` bytes.
unsafe fn read_now(guard: &mut Guard<'_>, start: *mut u8, length: usize) -> Option<usize> {
    if length > READ_AT_ONCE {
        return None;
    }
    // SAFETY: guaranteed by the caller.
    unsafe { guard.read_past(&[IoVec { start, length }]) }
}

impl<S: Sink> FileOperation<S> for ReadOnce<S> {
    fn name(&self) -> &'static str {
        "read"
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        check_readable(file, guard)?;
        match (reply, self.bytes.take()) {
            (Some(Reply::Count(read)), Some(bytes)) => {
                // SAFETY: that many bytes have been read into it.
                return unsafe { S::finish(context, bytes, read as usize, &[]) }.map(Advance::Done);
            }
            (Some(_), _) => return done(context),
            (None, _) => {}
        }
        // The read-ahead of an earlier search for a line comes first.
        if self.size > 0 && !guard.available().is_empty() {
            return take(context, guard, self.size);
        }
        let (bytes, start) = S::new_bytes(context, self.size)?;
        // SAFETY: there is room for that much.
        if let Some(read) = unsafe { read_now(guard, start, self.size) } {
            // SAFETY: that many bytes have been read into it.
            return unsafe { S::finish(context, bytes, read, &[]) }.map(Advance::Done);
        }
        // SAFETY: the bytes are not exposed before the task is done, and they are kept alive for as long.
        let buffer = unsafe { TaskBuffer::new(start, self.size, S::keep_alive(context, &bytes)) };
        self.bytes = Some(bytes);
        Ok(Advance::Task(Task::ReadOnce { buffer }))
    }
}

/// Reads once into the caller's memory.
#[derive(Debug)]
pub struct ReadOnceInto<T> {
    /// The memory.
    pub target: T,
}

impl<S: Sink> FileOperation<S> for ReadOnceInto<S::Target> {
    fn name(&self) -> &'static str {
        "readinto"
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        check_readable(file, guard)?;
        match reply {
            Some(Reply::Count(read)) => return number(context, read),
            Some(_) => return done(context),
            None => {}
        }
        let (start, length) = (self.target.start(), self.target.length());
        let ahead = guard.available().len().min(length);
        if ahead > 0 {
            // SAFETY: within the memory.
            unsafe { std::ptr::copy_nonoverlapping(guard.available().as_ptr(), start, ahead) };
            guard.consume(ahead);
            return number(context, ahead as u64);
        }
        // SAFETY: the memory has room for that much.
        if let Some(read) = unsafe { read_now(guard, start, length) } {
            return number(context, read as u64);
        }
        // SAFETY: it is kept alive, and the caller must not use it meanwhile.
        let buffer = unsafe { TaskBuffer::new(start, length, self.target.keep_alive(context)) };
        Ok(Advance::Task(Task::ReadOnce { buffer }))
    }
}

/// Writes once.
#[derive(Debug)]
pub struct WriteOnce<B> {
    /// The bytes.
    pub source: B,
}

impl<S: Sink> FileOperation<S> for WriteOnce<S::Source> {
    fn name(&self) -> &'static str {
        "write"
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        check_open(guard, Complaint::ClosedFile)?;
        check(file.writable, Complaint::NotForWriting)?;
        match reply {
            Some(Reply::Count(written)) => number(context, written),
            Some(_) => done(context),
            None => Ok(Advance::Task(Task::WriteOnce(self.source.shared(context)?))),
        }
    }
}
