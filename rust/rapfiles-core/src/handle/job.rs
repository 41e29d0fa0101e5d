//! What a worker does for a handle.

use std::io;
use std::sync::Arc;

use super::batch::LineBatch;
use super::decoder::{Chunk, Decoder, Undecoded};
use super::handle::{Handle, Possession, in_use};
use super::mark::Mark;
use super::reader::{Filled, Reader, no_memory};
use super::trace::Trace;
use super::writer::Writer;
use crate::error::{About, Error, Subject};
use crate::fill::TextFill;
use crate::keep_alive::KeepAlive;
use crate::kind::Kind;
use crate::outcome::Outcome;
use crate::parallel;
use crate::platform::{self, File};
use crate::ticket::Ticket;
use crate::write::Data;

/// Content up to this size is brought in the handle's buffer; for more, the caller makes room first.
const BUFFERED: usize = 256 << 10;

/// The caller's memory, to be read into.
pub struct TaskRoom {
    start: *mut u8,
    length: usize,
    _keep_alive: KeepAlive,
}

// SAFETY: `_keep_alive` keeps the memory where it is, and nobody else uses it until the task is done (the contract of
// `new`).
unsafe impl Send for TaskRoom {}

impl TaskRoom {
    /// The `length` bytes at `start`.
    ///
    /// # Safety
    /// They must stay valid for writes for as long as `keep_alive` exists, and nobody may read or write them until the
    /// task is done.
    pub unsafe fn new(start: *mut u8, length: usize, keep_alive: KeepAlive) -> Self {
        Self { start, length, _keep_alive: keep_alive.of(length) }
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the contract of `new`. The bytes may be uninitialised, but they are only handed to the system to be
        // written to, and read where it has written.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.length) }
    }
}

/// What a worker is to do. The first ones are for whoever has the turn.
pub enum Task {
    /// Reads until so much is available. `once`: no more often than it takes to have anything.
    /// Yields [`Outcome::Flag`], true unless the file ended or would have had to be waited for.
    Fill {
        /// So many bytes.
        at_least: usize,
        /// Whether one read is enough.
        once: bool,
    },
    /// As `Fill` where there is no more than the buffer should hold; else yields [`Outcome::Count`]: how many bytes are
    /// left of the file, but no more than `size`.
    Measure {
        /// How many bytes are wanted.
        size: usize,
    },
    /// Reads behind the `have` bytes that are in the room already. Yields [`Outcome::Filled`], where `length` includes
    /// them. `to_end`: what the file has beyond the room comes in the tail.
    FillRoom {
        /// Where to.
        room: TaskRoom,
        /// So much is there already.
        have: usize,
        /// Whether everything is wanted.
        to_end: bool,
    },
    /// Reads once, past the buffer. Yields [`Outcome::Count`] or [`Outcome::WouldBlock`].
    ReadOnce {
        /// Where to.
        room: TaskRoom,
    },
    /// Decodes natively until so many characters are there, or the file ends. Yields [`Outcome::Text`] or
    /// [`Outcome::Undecodable`].
    ReadText {
        /// So many characters; `None` for everything.
        characters: Option<usize>,
    },
    /// Decodes natively until there is a whole line. Yields [`Outcome::Done`] or [`Outcome::Undecodable`].
    FindLine,
    /// Decodes natively until there is a batch of lines, or the file ends. Yields [`Outcome::Lines`] or
    /// [`Outcome::Undecodable`].
    ReadLines,
    /// Lays text out where the caller wants it. Yields [`Outcome::TextFilled`].
    LayOut(TextFill),
    /// Writes once, past the buffer. Yields [`Outcome::Count`] or [`Outcome::WouldBlock`].
    WriteOnce(Data),
    /// Writes everything, past the buffer.
    WriteThrough(Data),
    /// Yields the position.
    Position,
    /// Moves the position. Yields it. This and the following ones first write what has been accepted.
    Seek {
        /// By so much.
        offset: i64,
        /// As `lseek(2)` has it.
        whence: i32,
    },
    /// Cuts the file; `None`: where the position is. Yields the length.
    Truncate {
        /// To this length.
        length: Option<i64>,
    },
    /// Waits for the device.
    Synchronise {
        /// Whether the metadata may come later.
        data_only: bool,
    },
    /// Closes the file.
    Close,
    /// What `fstat(2)` tells. This and the following need no turn.
    Stat,
    /// Reads at an offset, until so much is there or the file ends. Yields [`Outcome::Bytes`].
    ReadAt {
        /// So many bytes.
        size: usize,
        /// From here.
        offset: u64,
    },
    /// Writes everything at an offset. Yields [`Outcome::Count`].
    WriteAt {
        /// The bytes.
        data: Data,
        /// To here.
        offset: u64,
    },
}

/// Whom a job is for.
enum Role {
    /// Whoever has the turn.
    Turn(Option<Task>),
    /// A positional operation.
    Positional(Option<Task>),
    /// The buffer for writing.
    Writer,
}

/// A worker's job for a handle. Dropped without having been run, it leaves everything as it is.
pub struct HandleJob {
    handle: Arc<Handle>,
    /// For a positional operation.
    file: Option<Arc<File>>,
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
        Self { handle, file: None, role: Role::Turn(Some(task)), trace, over: false }
    }

    pub(super) fn positional(handle: Arc<Handle>, file: Option<Arc<File>>, task: Task) -> Self {
        Self { handle, file, role: Role::Positional(Some(task)), trace: Trace::default(), over: false }
    }

    pub(super) fn writer(handle: Arc<Handle>) -> Self {
        Self { handle, file: None, role: Role::Writer, trace: Trace::default(), over: false }
    }

    /// By which [`crate::timing`] tells jobs apart.
    pub(crate) fn kind(&self) -> Kind {
        let (Role::Turn(task) | Role::Positional(task)) = &self.role else { return Kind::Flush };
        match task {
            Some(Task::Fill { .. } | Task::Measure { .. }) => Kind::HandleFill,
            Some(Task::FillRoom { .. } | Task::ReadOnce { .. } | Task::ReadAt { .. }) => Kind::HandleRead,
            Some(Task::ReadText { .. } | Task::FindLine | Task::ReadLines | Task::LayOut(_)) => {
                Kind::HandleReadText
            }
            Some(Task::WriteOnce(_) | Task::WriteThrough(_) | Task::WriteAt { .. }) => Kind::HandleWrite,
            Some(Task::Seek { .. } | Task::Position | Task::Stat) => Kind::HandlePosition,
            Some(Task::Truncate { .. }) => Kind::HandleTruncate,
            Some(Task::Synchronise { .. }) => Kind::HandleSynchronise,
            Some(Task::Close) | None => Kind::HandleClose,
        }
    }

    /// Whether the caller may look for the answer a few microseconds before it suspends.
    pub(crate) fn is_prompt(&self) -> bool {
        self.handle.facts.regular
    }

    pub(crate) fn lane(&self) -> crate::queue::Lane {
        self.handle.facts.lane
    }

    /// Runs in a worker. The outcome is left in the ticket, whose owner is yet to be told.
    pub(crate) fn run(mut self, ticket: &Ticket) {
        match &mut self.role {
            Role::Turn(task) => {
                if let Some(task) = task.take() {
                    let outcome = self.observed(|job| job.run_task(task));
                    self.over = true;
                    self.handle.job_ended(std::mem::take(&mut self.trace), Some((ticket, outcome)));
                }
            }
            Role::Positional(task) => {
                if let Some(task) = task.take() {
                    let writes = matches!(task, Task::WriteAt { .. });
                    let outcome = self.observed(|job| job.run_positional(task));
                    self.handle.leave_positional(ticket, outcome, writes);
                }
            }
            Role::Writer => {
                self.run_writer();
                ticket.leave(Ok(Outcome::Done));
            }
        }
    }

    /// Does something that may change the times of the file.
    fn observed<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let observation = self.handle.times.begin();
        let result = work(self);
        let file = observation.is_some().then(|| self.handle.shared().file.clone()).flatten();
        self.handle.times.end(observation.zip(file.as_deref()));
        result
    }

    fn run_task(&mut self, task: Task) -> Result<Outcome, Error> {
        let handle = Arc::clone(&self.handle);
        if matches!(task, Task::Close) {
            return self.close();
        }
        // SAFETY: a task of whoever has the turn has it too, and until it is over, nobody else.
        let Possession { file, reader, decoder } = unsafe { handle.possession() };
        let file = &**file.as_ref().ok_or_else(in_use)?;
        if matches!(task, Task::Seek { .. } | Task::Truncate { .. } | Task::Synchronise { .. }) {
            write_rest(&handle, file).inspect_err(|_| self.trace.wrote = true)?;
        }
        let signal = handle.signal.as_ref();
        match task {
            Task::Fill { at_least, once } => {
                reader.fill(file, at_least, once, signal).map(outcome_of).about(Subject::Nothing)
            }
            Task::Measure { size } => {
                let regular = handle.facts.regular;
                let left = if regular { left_in(file).about(Subject::Nothing)? } else { 0 };
                let wanted = size.min(reader.len().saturating_add(left));
                if regular && wanted > BUFFERED {
                    return Ok(Outcome::Count(wanted as u64));
                }
                reader.fill(file, size, false, signal).map(outcome_of).about(Subject::Nothing)
            }
            Task::FillRoom { room, have, to_end } => {
                let (room, _) = self.trace.room.insert((room, have));
                match fill_room(file, room.bytes(), have, to_end) {
                    Ok((length, tail)) => Ok(Outcome::Filled { length, tail }),
                    Err((length, error)) => {
                        reader.append(&room.bytes()[have..length]);
                        Err(Error::new(&error, Subject::Nothing))
                    }
                }
            }
            Task::ReadOnce { room } => {
                if signal.is_some() && !platform::wait_to_read(file, signal).about(Subject::Nothing)? {
                    return Ok(Outcome::WouldBlock);
                }
                reader.pass_by();
                let (room, _) = self.trace.room.insert((room, 0));
                let bytes = room.bytes();
                // SAFETY: the slice is as long as it says.
                once(unsafe { platform::read(file, bytes.as_mut_ptr(), bytes.len()) })
            }
            Task::ReadText { .. } | Task::FindLine | Task::ReadLines => match decoder {
                Some(decoder) => run_text(&task, file, reader, decoder, signal).about(Subject::Nothing),
                None => Ok(Outcome::Done),
            },
            Task::LayOut(mut fill) => {
                fill.run();
                Ok(Outcome::TextFilled(fill))
            }
            Task::WriteOnce(data) => {
                rewind(file, reader).about(Subject::Nothing)?;
                once(platform::write(file, data.bytes()))
            }
            Task::WriteThrough(data) => {
                rewind(file, reader)
                    .and_then(|()| write_all(file, data.bytes()).map_err(|(_, error)| error))
                    .about(Subject::Nothing)?;
                Ok(Outcome::Count(data.bytes().len() as u64))
            }
            Task::Seek { offset, whence } => {
                self.trace.moved_from = position(file, reader, 0, 0).ok();
                seek(file, reader, offset, whence).map(Outcome::Count).about(Subject::Nothing)
            }
            Task::Position => {
                let position = platform::seek(file, 0, platform::FROM_HERE).about(Subject::Nothing)?;
                Ok(Outcome::Count(position.saturating_sub(reader.len() as u64)))
            }
            Task::Truncate { length } => {
                truncate(file, reader, length).map(Outcome::Count).about(Subject::Nothing)
            }
            Task::Synchronise { data_only } => {
                platform::synchronise(file, data_only).about(Subject::Nothing)?;
                Ok(Outcome::Done)
            }
            Task::Close | Task::Stat | Task::ReadAt { .. } | Task::WriteAt { .. } => Ok(Outcome::Done),
        }
    }

    /// Writes what has been accepted, and closes the file even where that fails.
    fn close(&mut self) -> Result<Outcome, Error> {
        let handle = &self.handle;
        // SAFETY: as for any other task.
        let own = unsafe { handle.possession() };
        // An attempt before may have come this far.
        let earlier = handle.shared().writer.error.take();
        let written = own.file.as_ref().map_or(Ok(()), |file| write_rest(handle, file));
        let written = earlier.map_or(written, Err);
        own.file = None;
        let file = handle.shared().file.take();
        let Some(file) = file.and_then(Arc::into_inner) else { return written.map(|()| Outcome::Done) };
        let closed = if handle.closes_descriptor {
            platform::close(file)
        } else {
            platform::into_descriptor(file).map(drop)
        };
        written.and(closed.about(Subject::Nothing))?;
        Ok(Outcome::Done)
    }

    fn run_positional(&mut self, task: Task) -> Result<Outcome, Error> {
        let file = self.file.as_ref().ok_or_else(in_use)?;
        match task {
            Task::ReadAt { size, offset } => read_at(file, size, offset).map(Outcome::Bytes),
            Task::Stat => platform::metadata_of(file).map(|metadata| Outcome::Metadata(Box::new(metadata))),
            Task::WriteAt { data, offset } => write_at(file, data.bytes(), offset).map(Outcome::Count),
            _ => Ok(Outcome::Done),
        }
        .about(Subject::Nothing)
    }

    /// Writes until nothing worth it is left, or nothing at all while somebody waits for that.
    fn run_writer(&mut self) {
        let handle = Arc::clone(&self.handle);
        let mut shared = handle.shared();
        loop {
            let wanted = shared.writer.is_worthwhile() || shared.writer.waiter.is_some();
            let piece = if wanted && shared.writer.error.is_none() { shared.writer.take() } else { None };
            let (Some(piece), Some(file)) = (piece, shared.file.clone()) else {
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
            // Locked until the next piece is in hand: whoever is told of an error is not to find this trying again.
            shared = handle.shared();
            shared.writer.rewind = rewind;
            shared.writer.give_back(piece, written);
            if let Err(error) = result {
                shared.writer.error = Some(Error::new(&error, Subject::Nothing));
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
                // Text that was to be laid out has been taken from the decoder.
                if let Some(Task::LayOut(fill)) = task.take() {
                    // SAFETY: as for a task that is run.
                    unsafe { self.handle.possession() }.give_back(fill.into_text());
                }
                self.handle.job_ended(trace, None);
            }
            Role::Positional(_) => {
                drop(self.file.take());
                self.handle.positional_ended();
            }
            Role::Writer => {
                // Where there is no thread, or a defect has ended it, whoever waits must learn of it.
                let mut shared = self.handle.shared();
                shared.writer.running = false;
                if shared.writer.unwritten() > 0 {
                    let code = platform::NO_THREAD;
                    shared.writer.error.get_or_insert(Error::Os { code, subject: Subject::Nothing });
                }
                let waiter = shared.writer.take_waiter();
                self.handle.beside_ended(shared, waiter);
            }
        }
    }
}

impl std::fmt::Debug for HandleJob {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("HandleJob").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

fn outcome_of(filled: Filled) -> Outcome {
    match filled {
        Filled::Enough => Outcome::Flag(true),
        Filled::End | Filled::Interrupted => Outcome::Flag(false),
        Filled::WouldBlock => Outcome::WouldBlock,
    }
}

fn once(result: io::Result<usize>) -> Result<Outcome, Error> {
    match result {
        Ok(count) => Ok(Outcome::Count(count as u64)),
        Err(error) if platform::would_block(&error) => Ok(Outcome::WouldBlock),
        Err(error) => Err(Error::new(&error, Subject::Nothing)),
    }
}

/// How many bytes a regular file has from its position on.
pub(super) fn left_in(file: &File) -> io::Result<usize> {
    let position = platform::seek(file, 0, platform::FROM_HERE)?;
    let length = platform::length_of(file)?;
    usize::try_from(length.saturating_sub(position)).map_err(|_| no_memory())
}

/// How full the room is, and what the file has beyond it; where it failed, how full it is and why.
fn fill_room(
    file: &File,
    room: &mut [u8],
    have: usize,
    to_end: bool,
) -> Result<(usize, Vec<u8>), (usize, io::Error)> {
    let mut length = have;
    while length < room.len() {
        let rest = &mut room[length..];
        // SAFETY: the slice is as long as it says.
        match unsafe { platform::read(file, rest.as_mut_ptr(), rest.len()) } {
            Ok(0) => return Ok((length, Vec::new())),
            Ok(read) => length += read,
            Err(error) if platform::would_block(&error) && length > 0 => return Ok((length, Vec::new())),
            Err(error) => return Err((length, error)),
        }
    }
    let mut tail = Vec::new();
    if to_end {
        platform::read_to_end(file, &mut tail, None).map_err(|error| (length, error))?;
    }
    Ok((length, tail))
}

fn read_at(file: &File, size: usize, offset: u64) -> io::Result<Vec<u8>> {
    /// Nobody has so much room for a mistake.
    const AT_ONCE: usize = 1 << 20;
    let mut content = Vec::new();
    while content.len() < size {
        let have = content.len();
        content.try_reserve((size - have).min(AT_ONCE.max(have)))?;
        content.resize(content.capacity().min(size), 0);
        match platform::read_at(file, &mut content[have..], offset + have as u64) {
            Ok(0) => {
                content.truncate(have);
                break;
            }
            Ok(read) => content.truncate(have + read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => content.truncate(have),
            Err(error) => return Err(error),
        }
    }
    Ok(content)
}

fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<u64> {
    let mut written = 0;
    while written < bytes.len() {
        match platform::write_at(file, &bytes[written..], offset + written as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written as u64)
}

/// Writes everything at the file's position. An error comes with how much was written before.
fn write_all(file: &File, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match platform::write(file, &bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if platform::would_block(&error) => {
                platform::wait_to_write(file).map_err(|error| (written, error))?;
            }
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

/// Goes back by what was read ahead, and writes everything: how much was written, and what failed.
fn write_out(file: &File, rewind: &mut u64, bytes: &[u8]) -> (usize, io::Result<()>) {
    if *rewind > 0 {
        if let Err(error) = platform::seek(file, -(*rewind as i64), platform::FROM_HERE) {
            return (0, Err(error));
        }
        *rewind = 0;
    }
    match write_all(file, bytes) {
        Ok(()) => (bytes.len(), Ok(())),
        Err((written, error)) => (written, Err(error)),
    }
}

/// Writes what the buffer for writing has, here and now.
pub(super) fn drain(file: &File, writer: &mut Writer) -> io::Result<()> {
    while let Some(piece) = writer.take() {
        let (written, result) = write_out(file, &mut writer.rewind, piece.bytes());
        writer.give_back(piece, written);
        result?;
    }
    Ok(())
}

/// Writes what has been accepted. The writer is not at it: whoever has the turn has waited for that.
pub(super) fn write_rest(handle: &Handle, file: &File) -> Result<(), Error> {
    let mut shared = handle.shared();
    // Of a writer that was done a moment ago.
    if let Some(error) = shared.writer.error.take() {
        return Err(error);
    }
    while let Some(piece) = shared.writer.take() {
        let mut rewind = shared.writer.rewind;
        drop(shared);
        let (written, result) = write_out(file, &mut rewind, piece.bytes());
        shared = handle.shared();
        shared.writer.rewind = rewind;
        shared.writer.give_back(piece, written);
        result.about(Subject::Nothing)?;
    }
    Ok(())
}

/// Cuts the file; `None`: where the position is.
fn truncate(file: &File, reader: &mut Reader, length: Option<i64>) -> io::Result<u64> {
    rewind(file, reader)?;
    let length = match length {
        Some(length) => length,
        None => platform::seek(file, 0, platform::FROM_HERE)? as i64,
    };
    platform::set_length(file, length)?;
    Ok(length as u64)
}

/// Decodes natively.
fn run_text(
    task: &Task,
    file: &File,
    reader: &mut Reader,
    decoder: &mut Decoder,
    signal: Option<&platform::EventSignal>,
) -> io::Result<Outcome> {
    /// Of lines, so much is decoded at once: a fraction of a millisecond's work.
    const BATCH: usize = 256 << 10;
    match task {
        Task::ReadText { characters } => {
            let mark = Mark::set(file, reader, decoder, signal.is_none());
            match read_text(file, reader, decoder, *characters, signal) {
                Ok(Outcome::Text(text)) if mark.is_some() => Ok(Outcome::Text(text.taken_from(mark))),
                Err(error) => {
                    // What was read before can be read once more.
                    if let Some(mark) = mark {
                        mark.go_back(file, reader, decoder, 0);
                    }
                    Err(error)
                }
                outcome => outcome,
            }
        }
        Task::ReadLines => {
            let ended = loop {
                match chunk(file, reader, decoder, 0, signal)? {
                    Chunk::Decoded if decoder.len() < BATCH || decoder.find_line().is_none() => {}
                    Chunk::Decoded => break false,
                    Chunk::End => break true,
                    Chunk::Undecodable(bytes) => return Ok(Outcome::Undecodable(bytes)),
                }
            };
            Ok(Outcome::Lines(LineBatch::take(decoder, ended)?))
        }
        _ => {
            while decoder.find_line().is_none() {
                match chunk(file, reader, decoder, 0, signal)? {
                    Chunk::Decoded => {}
                    Chunk::End => break,
                    Chunk::Undecodable(bytes) => return Ok(Outcome::Undecodable(bytes)),
                }
            }
            Ok(Outcome::Done)
        }
    }
}

/// Moves the file's position back to where the user is, and forgets what was read ahead.
pub(super) fn rewind(file: &File, reader: &mut Reader) -> io::Result<()> {
    if reader.len() > 0 {
        platform::seek(file, -(reader.len() as i64), platform::FROM_HERE)?;
    }
    reader.clear();
    Ok(())
}

/// Where the user is, who has so many bytes to write still, and so many read ahead when that began.
pub(super) fn position(file: &File, reader: &Reader, unwritten: u64, rewind: u64) -> io::Result<u64> {
    let position = platform::seek(file, 0, platform::FROM_HERE)?;
    Ok((position + unwritten).saturating_sub(reader.len() as u64 + rewind))
}

/// Moves to where the user wants to be; within what was read ahead without moving the file's position.
pub(super) fn seek(file: &File, reader: &mut Reader, mut offset: i64, whence: i32) -> io::Result<u64> {
    let ahead = reader.len() as i64;
    if whence == platform::FROM_START || whence == platform::FROM_HERE {
        let position = platform::seek(file, 0, platform::FROM_HERE)? as i64;
        let target = if whence == platform::FROM_HERE { position - ahead + offset } else { offset };
        if reader.move_by(target - (position - ahead)) {
            return Ok(target as u64);
        }
    }
    if whence == platform::FROM_HERE {
        offset -= ahead;
    }
    let position = platform::seek(file, offset, whence)?;
    reader.restart();
    Ok(position)
}

/// Decodes the next chunk, as a synchronous text file would.
fn chunk(
    file: &File,
    reader: &mut Reader,
    decoder: &mut Decoder,
    characters: usize,
    signal: Option<&platform::EventSignal>,
) -> io::Result<Chunk> {
    let wanted = decoder.next_input(characters);
    let at_least = if signal.is_some() { 1 } else { wanted };
    let filled = reader.fill(file, at_least, false, signal)?;
    if reader.len() == 0 && filled == Filled::Interrupted {
        return Ok(Chunk::End);
    }
    let input = &reader.available()[..reader.len().min(wanted)];
    let count = input.len();
    let before = decoder.len();
    let decoded = decoder.decode(input, count == 0);
    if !matches!(decoded, Err(Undecoded::OutOfMemory)) {
        reader.consume(count);
    }
    Ok(match decoded {
        Err(Undecoded::Invalid(bytes)) => Chunk::Undecodable(bytes),
        Err(Undecoded::OutOfMemory) => return Err(no_memory()),
        Ok(()) if count == 0 && decoder.len() == before => Chunk::End,
        Ok(()) => Chunk::Decoded,
    })
}

fn read_text(
    file: &File,
    reader: &mut Reader,
    decoder: &mut Decoder,
    characters: Option<usize>,
    signal: Option<&platform::EventSignal>,
) -> io::Result<Outcome> {
    let Some(characters) = characters else {
        let Some(rest) = read_rest(file, reader, signal)? else { return Ok(Outcome::Done) };
        return Ok(match decoder.decode_rest(rest) {
            Ok(text) => Outcome::Text(text),
            Err(Undecoded::Invalid(bytes)) => Outcome::Undecodable(bytes),
            Err(Undecoded::OutOfMemory) => return Err(no_memory()),
        });
    };
    loop {
        let missing = characters.saturating_sub(decoder.characters());
        if missing == 0 {
            break;
        }
        match chunk(file, reader, decoder, missing, signal)? {
            Chunk::Decoded => {}
            Chunk::End => {
                let rest = decoder.take_text(decoder.len())?;
                decoder.exhaust();
                return Ok(Outcome::Text(rest));
            }
            Chunk::Undecodable(bytes) => return Ok(Outcome::Undecodable(bytes)),
        }
    }
    Ok(Outcome::Text(decoder.take_text(decoder.bytes_of(characters))?))
}

/// What was read ahead and what is left of the file; `None` where waiting for it was interrupted.
fn read_rest(
    file: &File,
    reader: &mut Reader,
    signal: Option<&platform::EventSignal>,
) -> io::Result<Option<Vec<u8>>> {
    if signal.is_some() {
        let filled = reader.fill(file, usize::MAX, false, signal)?;
        if filled == Filled::Interrupted {
            return Ok(None);
        }
    }
    let mut rest = Vec::new();
    let left = if signal.is_none() { left_in(file).unwrap_or(0) } else { 0 };
    rest.try_reserve_exact(reader.len() + left + 1)?;
    rest.extend_from_slice(reader.available());
    reader.clear();
    if signal.is_none() {
        read_large(file, &mut rest, left)?;
        platform::read_to_end(file, &mut rest, None)?;
    }
    Ok(Some(rest))
}

/// Reads what is left of a large regular file with several threads, as far as it is there.
fn read_large(file: &File, rest: &mut Vec<u8>, left: usize) -> io::Result<()> {
    let parts = parallel::parts(left);
    if parts == 1 {
        return Ok(());
    }
    struct Start(*mut u8);
    // SAFETY: each thread writes to a place of its own.
    unsafe impl Sync for Start {}
    let position = platform::seek(file, 0, platform::FROM_HERE)?;
    let start = Start(rest.spare_capacity_mut().as_mut_ptr().cast());
    let start = &start;
    let size = left.div_ceil(parts);
    let read = parallel::for_each_part(parts, |part| {
        let (from, to) = (part * size, ((part + 1) * size).min(left));
        let mut at = from;
        while at < to {
            // SAFETY: the spare room is as large, and this part of it is this thread's alone.
            let room = unsafe { std::slice::from_raw_parts_mut(start.0.add(at), to - at) };
            match platform::read_at(file, room, position + at as u64) {
                Ok(0) => break,
                Ok(count) => at += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Reading once more, in order, tells what is wrong.
                Err(_) => break,
            }
        }
        at - from == to - from
    });
    let complete = read.iter().take_while(|complete| **complete).count();
    let length = (complete * size).min(left);
    // SAFETY: so much has been read.
    unsafe { rest.set_len(rest.len() + length) };
    platform::seek(file, length as i64, platform::FROM_HERE).map(drop)
}
