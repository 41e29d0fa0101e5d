//! Reading and writing at an offset: concurrently with everything else, and past the buffers.

use super::checks::{check, check_open};
use crate::cached::IoVec;
use crate::handle::complaint::Complaint;
use crate::handle::driver::{AdvancePositional, PositionalOperation};
use crate::handle::file::HandleFile;
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink, Source};
use crate::handle::task::PositionalTask;
use crate::limits::READ_AT_ONCE;

/// Reads at an offset.
#[derive(Debug)]
pub struct ReadAt {
    /// The number of bytes; fewer are read only at the end of the file.
    pub size: usize,
    /// The offset to read at.
    pub offset: u64,
}

impl<S: Sink> PositionalOperation<S> for ReadAt {
    fn name(&self) -> &'static str {
        "pread"
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        reply: Option<Reply>,
    ) -> Fallible<S, AdvancePositional<S>> {
        if let Some(Reply::Bytes(bytes)) = reply {
            return S::bytes(context, &bytes).map(AdvancePositional::Done);
        }
        check_open(&file.handle, Complaint::ClosedFile)?;
        check(file.readable, Complaint::NotForReading)?;
        if self.size <= READ_AT_ONCE && file.handle.info.regular {
            let (bytes, start) = S::new_bytes(context, self.size)?;
            // SAFETY: there is room for that much.
            let read = unsafe { file.handle.read_at(IoVec { start, length: self.size }, self.offset) };
            // Less may be the end of the file, or of what is in the cache.
            if let Some(length) = read.filter(|read| *read == self.size || *read == 0) {
                // SAFETY: that many bytes have been read into it.
                return unsafe { S::finish(context, bytes, length, &[]) }.map(AdvancePositional::Done);
            }
        }
        Ok(AdvancePositional::Task(PositionalTask::ReadAt { size: self.size, offset: self.offset }))
    }
}

/// Writes all of the bytes at an offset.
#[derive(Debug)]
pub struct WriteAt<B> {
    /// The bytes.
    pub source: B,
    /// The offset to write at.
    pub offset: u64,
}

impl<S: Sink> PositionalOperation<S> for WriteAt<S::Source> {
    fn name(&self) -> &'static str {
        "pwrite"
    }

    fn writes(&self) -> bool {
        true
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        reply: Option<Reply>,
    ) -> Fallible<S, AdvancePositional<S>> {
        if let Some(Reply::Count(count)) = reply {
            return S::number(context, count).map(AdvancePositional::Done);
        }
        check_open(&file.handle, Complaint::ClosedFile)?;
        check(file.writable, Complaint::NotForWriting)?;
        let data = self.source.shared(context)?;
        Ok(AdvancePositional::Task(PositionalTask::WriteAt { data, offset: self.offset }))
    }
}

/// The result of `fstat(2)`.
#[derive(Debug)]
pub struct Stat;

impl<S: Sink> PositionalOperation<S> for Stat {
    fn name(&self) -> &'static str {
        "stat"
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        reply: Option<Reply>,
    ) -> Fallible<S, AdvancePositional<S>> {
        if let Some(Reply::Metadata(metadata)) = reply {
            return S::metadata(context, &metadata).map(AdvancePositional::Done);
        }
        check_open(&file.handle, Complaint::ClosedFile)?;
        Ok(AdvancePositional::Task(PositionalTask::Stat))
    }
}
