//! The jobs of workers for handles.

use std::io;
use std::sync::Arc;

use super::batch::LineBatch;
use super::decoding::{Decoding, Waiting, decode_until};
use super::file_io::{
    left_in, position, read_at, read_into, read_rest, rewind, seek, truncate, write_all, write_at, write_out,
};
use super::handle::{Exclusive, Handle, in_use};
use super::mark::{go_back, mark};
use super::reader::{Filled, Reader, no_memory};
use super::reply::Reply;
use super::task::{PositionalTask, Task};
use super::trace::Trace;
use super::writer::{Rest, Writer};
use crate::engine::kind::Kind;
use crate::engine::ticket::Ticket;
use crate::error::{About, Error, Subject};
use crate::limits::{COPIED_RESULT, LINES_BATCH};
use crate::outcome::Outcome;
use crate::platform::{self, File};
use crate::text::{Decoder, Undecoded};

/// On whose behalf a job runs.
enum Role {
    /// The holder of the turn.
    Turn(Option<Task>),
    /// A positional operation.
    Positional(Option<(Arc<File>, PositionalTask)>),
    /// The writer.
    Writer,
}

/// A worker's job for a handle. Dropping it without running it changes nothing.
pub struct HandleJob {
    handle: Arc<Handle>,
    role: Role,
    trace: Trace,
    over: bool,
}

impl HandleJob {
    pub(super) fn new(handle: Arc<Handle>, task: Task) -> Self {
        let wrote = matches!(
            task,
            Task::WriteOnce(_) | Task::WriteThrough(_) | Task::Synchronise { .. } | Task::Close
        );
        let trace = Trace { wrote, ..Trace::default() };
        Self { handle, role: Role::Turn(Some(task)), trace, over: false }
    }

    pub(super) fn positional(handle: Arc<Handle>, file: Arc<File>, task: PositionalTask) -> Self {
        Self { handle, role: Role::Positional(Some((file, task))), trace: Trace::default(), over: false }
    }

    pub(super) fn writer(handle: Arc<Handle>) -> Self {
        Self { handle, role: Role::Writer, trace: Trace::default(), over: false }
    }

    /// The kind under which [`crate::engine::timing`] keeps the job's mean time.
    pub(crate) fn kind(&self) -> Kind {
        let task = match &self.role {
            Role::Turn(task) => task,
            Role::Positional(Some((_, PositionalTask::ReadAt { .. }))) => return Kind::HandleRead,
            Role::Positional(Some((_, PositionalTask::WriteAt { .. }))) => return Kind::HandleWrite,
            Role::Positional(_) => return Kind::HandlePosition,
            Role::Writer => return Kind::Flush,
        };
        match task {
            Some(Task::ReadAhead { .. } | Task::Measure { .. }) => Kind::HandleReadAhead,
            Some(Task::ReadInto { .. } | Task::ReadOnce { .. }) => Kind::HandleRead,
            Some(Task::ReadText { .. } | Task::FindLine | Task::ReadLines | Task::LayOut(_)) => {
                Kind::HandleReadText
            }
            Some(Task::WriteOnce(_) | Task::WriteThrough(_)) => Kind::HandleWrite,
            Some(Task::Seek { .. } | Task::Position | Task::Refresh) => Kind::HandlePosition,
            Some(Task::Truncate { .. }) => Kind::HandleTruncate,
            Some(Task::Synchronise { .. }) => Kind::HandleSynchronise,
            Some(Task::Close) | None => Kind::HandleClose,
        }
    }

    /// Whether the caller may poll for the answer for a few microseconds before it suspends.
    pub(crate) fn is_prompt(&self) -> bool {
        self.handle.info.regular
    }

    pub(crate) fn lane(&self) -> crate::engine::lane::Lane {
        self.handle.info.lane
    }

    /// Runs in a worker. The reply is stored with the turn, or in the ticket if there is no turn; the completion is not
    /// yet announced.
    pub(crate) fn run(mut self, ticket: &Ticket) {
        match &mut self.role {
            Role::Turn(task) => {
                if let Some(task) = task.take() {
                    let reply = self.observed(|job| job.run_task(task));
                    self.over = true;
                    self.handle.job_ended(std::mem::take(&mut self.trace), Some(reply));
                }
            }
            Role::Positional(task) => {
                if let Some((file, task)) = task.take() {
                    let writes = matches!(task, PositionalTask::WriteAt { .. });
                    let reply = self.observed(|_| run_positional(&file, task));
                    self.handle.leave_positional(ticket, reply, writes);
                }
            }
            Role::Writer => {
                self.run_writer();
                ticket.leave(Ok(Outcome::Done));
            }
        }
    }

    /// Runs something that may change the times of the file.
    fn observed<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let observation = self.handle.times.begin();
        let result = work(self);
        let file = observation.is_some().then(|| self.handle.shared().file.file().cloned()).flatten();
        self.handle.times.end(observation.zip(file.as_deref()));
        result
    }

    fn run_task(&mut self, task: Task) -> Result<Reply, Error> {
        let handle = Arc::clone(&self.handle);
        if matches!(task, Task::Close) {
            return self.close();
        }
        // SAFETY: this task has the turn of its operation, and until it is complete, nobody else has.
        let Exclusive { file, reader, decoder } = unsafe { handle.exclusive() };
        let file = &**file.as_ref().ok_or_else(in_use)?;
        if matches!(task, Task::Seek { .. } | Task::Truncate { .. } | Task::Synchronise { .. }) {
            write_rest(&handle, file).inspect_err(|_| self.trace.wrote = true)?;
        }
        let signal = handle.signal.as_ref();
        match task {
            Task::ReadAhead { at_least, once } => {
                reader.read_ahead(file, at_least, once, signal).map(reply_of).about(Subject::Nothing)
            }
            Task::Measure { size } => {
                let regular = handle.info.regular;
                let left = if regular { left_in(file).about(Subject::Nothing)? } else { 0 };
                let wanted = size.min(reader.len().saturating_add(left));
                if regular && wanted > COPIED_RESULT {
                    return Ok(Reply::Count(wanted as u64));
                }
                reader.read_ahead(file, size, false, signal).map(reply_of).about(Subject::Nothing)
            }
            Task::ReadInto { buffer, have, to_end } => {
                let (buffer, _) = self.trace.buffer.insert((buffer, have));
                match read_into(file, buffer.bytes(), have, to_end) {
                    Ok((length, tail)) => Ok(Reply::ReadInto { length, tail }),
                    Err((length, error)) => {
                        let kept = reader.append(&[&buffer.bytes()[have..length]], Some(file));
                        kept.about(Subject::Nothing)?;
                        Err(Error::new(&error, Subject::Nothing))
                    }
                }
            }
            Task::ReadOnce { buffer } => {
                if signal.is_some() && !platform::wait_to_read(file, signal).about(Subject::Nothing)? {
                    return Ok(Reply::WouldBlock);
                }
                reader.pass_by();
                let (buffer, _) = self.trace.buffer.insert((buffer, 0));
                let bytes = buffer.bytes();
                // SAFETY: the slice is as long as it says.
                once(unsafe { platform::read(file, bytes.as_mut_ptr(), bytes.len()) })
            }
            Task::ReadText { .. } | Task::FindLine | Task::ReadLines => {
                // Only operations that have one give these tasks.
                let decoder = decoder.as_mut().ok_or_else(in_use)?;
                run_text(&task, file, reader, decoder, signal).about(Subject::Nothing)
            }
            Task::LayOut(mut fill) => {
                fill.run();
                Ok(Reply::LaidOut(fill))
            }
            Task::Refresh => {
                refresh(&handle, file, reader);
                Ok(Reply::Done)
            }
            Task::WriteOnce(data) => {
                rewind(file, reader).about(Subject::Nothing)?;
                once(platform::write(file, data.bytes()))
            }
            Task::WriteThrough(data) => {
                rewind(file, reader)
                    .and_then(|()| write_all(file, data.bytes()).map_err(|(_, error)| error))
                    .about(Subject::Nothing)?;
                Ok(Reply::Count(data.bytes().len() as u64))
            }
            Task::Seek { offset, whence } => {
                self.trace.moved_from = position(file, reader, 0, 0).ok();
                seek(file, reader, offset, whence).map(Reply::Count).about(Subject::Nothing)
            }
            Task::Position => {
                let position = platform::seek(file, 0, platform::FROM_HERE).about(Subject::Nothing)?;
                Ok(Reply::Count(position.saturating_sub(reader.len() as u64)))
            }
            Task::Truncate { length } => {
                truncate(file, reader, length).map(Reply::Count).about(Subject::Nothing)
            }
            Task::Synchronise { data_only } => {
                platform::synchronise(file, data_only).about(Subject::Nothing)?;
                Ok(Reply::Done)
            }
            Task::Close => Ok(Reply::Done),
        }
    }

    /// Writes what has been accepted, and closes the file even if that fails.
    fn close(&mut self) -> Result<Reply, Error> {
        let handle = &self.handle;
        // SAFETY: as for any other task.
        let own = unsafe { handle.exclusive() };
        // An earlier attempt may have failed at this point.
        let earlier = handle.shared().writer.error.take();
        let written = own.file.as_ref().map_or(Ok(()), |file| write_rest(handle, file));
        let written = earlier.map_or(written, Err);
        own.file = None;
        let mut shared = handle.shared();
        let file = shared.file.take();
        // Data that could not be written is dropped; but an error of a write that was abandoned meanwhile has to be
        // raised.
        let mut left = std::mem::replace(&mut shared.writer, Writer::new(None));
        shared.writer.error = left.error.take();
        drop(shared);
        drop(left);
        let closed = handle.close_file(file.and_then(Arc::into_inner));
        written.and(closed.about(Subject::Nothing)).inspect_err(|_| handle.is_left_incomplete())?;
        Ok(Reply::Done)
    }

    /// Writes until little is left, or nothing if an operation waits for that.
    fn run_writer(&mut self) {
        let handle = Arc::clone(&self.handle);
        let mut shared = handle.shared();
        loop {
            let wanted = shared.writer.is_worthwhile() || shared.writer.waiter.is_some();
            let piece = if wanted && shared.writer.error.is_none() { shared.writer.take() } else { None };
            let (Some(piece), Some(file)) = (piece, shared.file.file().cloned()) else {
                shared.writer.running = false;
                self.over = true;
                let waiter = shared.writer.take_waiter();
                handle.beside_ended(shared, waiter);
                return;
            };
            let mut rewind = shared.writer.rewind;
            let waiter = shared.writer.take_waiter();
            drop(shared);
            if let Some(ticket) = waiter {
                ticket.finish(Ok(Outcome::Done));
            }
            let (written, result) = write_out(&file, &mut rewind, piece.bytes());
            handle.times.end(None);
            drop(file);
            let rest = Rest::of(piece, written);
            // Locked until the next piece is taken: after an error has been raised, this must not be retrying.
            shared = handle.shared();
            shared.writer.rewind = rewind;
            shared.writer.give_back(rest);
            if let Err(error) = result {
                shared.leave_error(Error::new(&error, Subject::Nothing));
            }
        }
    }
}

impl Drop for HandleJob {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        match &mut self.role {
            Role::Turn(task) => {
                let trace = std::mem::take(&mut self.trace);
                // Text for laying out has been taken from the decoder.
                if let Some(Task::LayOut(fill)) = task.take() {
                    // SAFETY: as for a task that is run.
                    unsafe { self.handle.exclusive() }.give_back(fill.into_text());
                }
                self.handle.job_ended(trace, None);
            }
            Role::Positional(task) => {
                drop(task.take());
                self.handle.positional_ended();
            }
            Role::Writer => {
                let mut shared = self.handle.shared();
                shared.writer.running = false;
                if shared.writer.lose() {
                    shared.leave_error(Error::Panic("what was being written is lost".to_owned()));
                }
                let refused = shared.writer.take_refused();
                let waiter = shared.writer.take_waiter();
                self.handle.beside_ended(shared, waiter);
                if let Some(ticket) = refused {
                    ticket.finish(Err(Error::NoThread));
                }
            }
        }
    }
}

impl std::fmt::Debug for HandleJob {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("HandleJob").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

fn run_positional(file: &File, task: PositionalTask) -> Result<Reply, Error> {
    match task {
        PositionalTask::ReadAt { size, offset } => read_at(file, size, offset).map(Reply::Bytes),
        PositionalTask::Stat => {
            platform::metadata_of(file).map(|metadata| Reply::Metadata(Box::new(metadata)))
        }
        PositionalTask::WriteAt { data, offset } => write_at(file, data.bytes(), offset).map(Reply::Count),
    }
    .about(Subject::Nothing)
}

fn reply_of(filled: Filled) -> Reply {
    match filled {
        Filled::Enough => Reply::Filled(true),
        Filled::End | Filled::Interrupted => Reply::Filled(false),
        Filled::WouldBlock => Reply::WouldBlock,
    }
}

fn once(result: io::Result<usize>) -> Result<Reply, Error> {
    match result {
        Ok(count) => Ok(Reply::Count(count as u64)),
        Err(error) if platform::would_block(&error) => Ok(Reply::WouldBlock),
        Err(error) => Err(Error::new(&error, Subject::Nothing)),
    }
}

/// Writes what has been accepted. The writer is not running: the holder of the turn has waited for that.
pub(super) fn write_rest(handle: &Handle, file: &File) -> Result<(), Error> {
    let mut shared = handle.shared();
    // The error of a writer that has just finished.
    if let Some(error) = shared.writer.error.take() {
        return Err(error);
    }
    while let Some(piece) = shared.writer.take() {
        let mut rewind = shared.writer.rewind;
        drop(shared);
        let (written, result) = write_out(file, &mut rewind, piece.bytes());
        let rest = Rest::of(piece, written);
        shared = handle.shared();
        shared.writer.rewind = rewind;
        shared.writer.give_back(rest);
        result.about(Subject::Nothing)?;
    }
    Ok(())
}

/// Discards the read-ahead, after a write at an offset.
pub(super) fn refresh(handle: &Handle, file: &File, reader: &mut Reader) {
    // Reset first: a read from here on may miss later writes.
    handle.shared().stale = false;
    // If it fails, nothing better can be done.
    let _ = rewind(file, reader);
}

/// Decodes natively.
fn run_text(
    task: &Task,
    file: &File,
    reader: &mut Reader,
    decoder: &mut Decoder,
    signal: Option<&platform::EventSignal>,
) -> io::Result<Reply> {
    let mut supply = Waiting { file, signal };
    let is_partial = |decoder: &mut Decoder| decoder.find_line().is_none();
    Ok(match task {
        Task::ReadText { characters } => {
            let mark = mark(file, reader, decoder, signal.is_none());
            match read_text(file, reader, decoder, *characters, signal) {
                Ok(Reply::Text(text)) if mark.is_some() => Reply::Text(Box::new(text.taken_from(mark))),
                Err(error) => {
                    // The content can be read again.
                    if let Some(mark) = mark {
                        go_back(mark, file, reader, decoder, 0);
                    }
                    return Err(error);
                }
                reply => reply?,
            }
        }
        Task::ReadLines => {
            let unfinished =
                |decoder: &mut Decoder| (decoder.len() < LINES_BATCH || is_partial(decoder)).then_some(0);
            match decode_until(&mut supply, reader, decoder, unfinished)? {
                Decoding::Undecodable(bytes) => Reply::Undecodable(bytes),
                decoding => {
                    Reply::Lines(Box::new(LineBatch::take(decoder, !matches!(decoding, Decoding::Enough))?))
                }
            }
        }
        _ => match decode_until(&mut supply, reader, decoder, |decoder| is_partial(decoder).then_some(0))? {
            Decoding::Undecodable(bytes) => Reply::Undecodable(bytes),
            _ => Reply::Done,
        },
    })
}

fn read_text(
    file: &File,
    reader: &mut Reader,
    decoder: &mut Decoder,
    characters: Option<usize>,
    signal: Option<&platform::EventSignal>,
) -> io::Result<Reply> {
    let Some(characters) = characters else {
        let Some(rest) = read_rest(file, reader, signal)? else { return Ok(Reply::Done) };
        return Ok(match decoder.decode_rest(rest) {
            Ok(text) => Reply::Text(Box::new(text)),
            Err(Undecoded::Invalid(bytes)) => Reply::Undecodable(bytes),
            Err(Undecoded::OutOfMemory) => return Err(no_memory()),
        });
    };
    let missing = |decoder: &mut Decoder| {
        Some(characters.saturating_sub(decoder.characters())).filter(|missing| *missing > 0)
    };
    Ok(match decode_until(&mut Waiting { file, signal }, reader, decoder, missing)? {
        Decoding::Undecodable(bytes) => Reply::Undecodable(bytes),
        Decoding::Enough => Reply::Text(Box::new(decoder.take_text(decoder.bytes_of(characters))?)),
        _ => {
            let rest = decoder.take_text(decoder.len())?;
            decoder.exhaust();
            Reply::Text(Box::new(rest))
        }
    })
}
