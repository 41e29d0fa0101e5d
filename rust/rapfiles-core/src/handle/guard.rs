//! What can be done with a handle without waiting, under its lock.

use std::fs::File;
use std::io;
use std::sync::{Arc, MutexGuard};

use super::decoder::{Decoder, Undecoded};
use super::job::{self, HandleJob, Task};
use super::turn::{Handle, Inner, Salvage};
use super::writer::{Waiter, Writer};
use crate::cached::IoVec;
use crate::engine::Engine;
use crate::error::{Error, Subject};
use crate::memory::copied;
use crate::outcome::Outcome;
use crate::platform;
use crate::slices::{Sliced, Slices};
use crate::text::Text;
use crate::ticket::Ticket;
use crate::write::Data;

/// The most that is read on the loop at once: about 20 µs of copying.
pub const MOST_NOW: usize = 128 << 10;
/// A read of so many bytes is not worth reading ahead for, because that would copy everything twice.
const NO_READING_AHEAD: usize = 32 << 10;

/// A handle under its lock. Nothing that is done with it may run Python code.
pub struct Guard<'a> {
    handle: &'a Arc<Handle>,
    pub(super) inner: MutexGuard<'a, Inner>,
}

/// How far an attempt to have bytes without waiting has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// They are there.
    Enough,
    /// The file ends before.
    End,
    /// A worker has to get them.
    Missing,
}

/// What somebody waits for who waits for the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Everything has been written.
    Written,
    /// There is room for so many bytes.
    RoomFor(usize),
}

/// What became of bytes to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// They are in the buffer.
    Accepted,
    /// There is no room for them now.
    Full,
}

impl<'a> Guard<'a> {
    pub(super) fn new(handle: &'a Arc<Handle>, inner: MutexGuard<'a, Inner>) -> Self {
        Self { handle, inner }
    }

    /// Whether nobody has the turn, or waits for it.
    pub fn is_idle(&self) -> bool {
        self.inner.is_idle()
    }

    /// Takes the turn, which nobody has.
    pub fn hold(&mut self) {
        self.inner.hold();
    }

    /// Waits for the turn: the ticket is finished when it comes.
    pub fn queue(&mut self, ticket: &Arc<Ticket>) {
        self.inner.queue(Arc::clone(ticket));
    }

    /// Whether the file has been closed, or given up, or is to be closed as soon as no worker uses it.
    pub fn is_closed(&self) -> bool {
        self.inner.file.is_none() || self.inner.is_orphaned()
    }

    /// Whether the descriptor is closed with the file.
    pub fn closes_descriptor(&self) -> bool {
        self.inner.close
    }

    /// The number by which Python knows the file; `None` when it is closed.
    ///
    /// # Errors
    /// When the process has no number left.
    pub fn descriptor(&self) -> io::Result<Option<i32>> {
        self.inner.file.as_ref().map(|file| platform::descriptor(file)).transpose()
    }

    /// A task for a worker. Only whoever has the turn may ask, and must submit it.
    pub fn task(&mut self, task: Task) -> HandleJob {
        self.inner.job_begins();
        HandleJob::new(Arc::clone(self.handle), task)
    }

    /// A positional task, for which nobody needs the turn.
    pub fn positional(&mut self, task: Task) -> HandleJob {
        self.inner.positional_begins();
        HandleJob::positional(Arc::clone(self.handle), task)
    }

    /// Whether there are positional operations under way; the ticket is finished when there are none.
    pub fn await_positional(&mut self, ticket: &Arc<Ticket>) -> bool {
        self.inner.await_positional(ticket)
    }

    /// Whether there are positional operations under way.
    pub fn has_positional(&self) -> bool {
        self.inner.has_positional()
    }

    /// Whether the file is being closed in the background.
    pub fn is_being_buried(&self) -> bool {
        self.inner.is_being_buried()
    }

    /// The ticket is finished when the file has been closed in the background; `false` when it is.
    pub fn await_burial(&mut self, ticket: &Arc<Ticket>) -> bool {
        self.inner.await_burial(ticket)
    }

    // Reading.

    /// What has been read ahead.
    pub fn available(&self) -> &[u8] {
        self.inner.reader.available()
    }

    /// So many of the available bytes have been used.
    pub fn consume(&mut self, count: usize) {
        self.inner.reader.consume(count);
    }

    /// Puts bytes back in front of the available ones.
    pub fn put_back(&mut self, bytes: &[u8]) {
        self.inner.reader.put_back(bytes);
    }

    /// Puts back what a cancelled operation had taken.
    pub fn restore(&mut self, salvage: Salvage) {
        self.inner.restore(salvage);
    }

    /// The buffer is used up, and what comes behind has been read past it.
    pub fn pass_by(&mut self) {
        self.inner.reader.pass_by();
    }

    /// Adds bytes that were read behind the available ones.
    pub fn append(&mut self, bytes: &[u8]) {
        self.inner.reader.append(bytes);
    }

    /// Sees to it that so many bytes are available, if that needs no waiting.
    pub fn fetch(&mut self, at_least: usize) -> Fetched {
        loop {
            let have = self.inner.reader.len();
            if have >= at_least {
                return Fetched::Enough;
            }
            if at_least - have > MOST_NOW || self.handle.facts.mount.is_none() {
                return Fetched::Missing;
            }
            let Inner { file: Some(file), reader, .. } = &mut *self.inner else { return Fetched::Missing };
            let Ok(room) = reader.room(at_least, MOST_NOW) else { return Fetched::Missing };
            // SAFETY: `room` has made room for that much.
            match unsafe { read_now(self.handle, file, &[room], POSITION) } {
                None => return Fetched::Missing,
                Some(0) => return Fetched::End,
                // SAFETY: the kernel has written that many bytes.
                Some(read) => unsafe { reader.grow(read) },
            }
        }
    }

    /// Reads into the caller's memory, if that needs no waiting: how much is there, and whether that is all that could
    /// be. What is missing makes it no reading at all: the bytes stay available.
    ///
    /// # Safety
    /// `start` must be valid for writes of `length` bytes.
    pub unsafe fn read_into(&mut self, start: *mut u8, length: usize) -> (usize, Fetched) {
        let mut have = self.inner.reader.len().min(length);
        // SAFETY: the caller's promise, and so much is available.
        unsafe { std::ptr::copy_nonoverlapping(self.available().as_ptr(), start, have) };
        if have == length {
            self.consume(have);
            return (have, Fetched::Enough);
        }
        if length - have > MOST_NOW || self.handle.facts.mount.is_none() {
            return (0, Fetched::Missing);
        }
        let Inner { file: Some(file), reader, .. } = &mut *self.inner else { return (0, Fetched::Missing) };
        let buffered = have;
        while have < length {
            let rest = length - have;
            reader.clear();
            let ahead = if rest < NO_READING_AHEAD { reader.room(1, MOST_NOW).ok() } else { None };
            // SAFETY: the caller's promise.
            let wanted = IoVec { start: unsafe { start.add(have) }, length: rest };
            let rooms = [wanted, ahead.unwrap_or(wanted)];
            let count = 1 + usize::from(ahead.is_some());
            // SAFETY: the caller's promise, and the room that `room` has made.
            let read = unsafe { read_now(self.handle, file, &rooms[..count], POSITION) };
            match read {
                Some(0) => return (have, Fetched::End),
                Some(read) if read > rest => {
                    have = length;
                    // SAFETY: the kernel has filled the first room, and written so many bytes to the second.
                    unsafe { reader.grow(read - rest) };
                }
                Some(read) => have += read,
                None => {
                    // SAFETY: so much has been written there.
                    let bytes = unsafe { std::slice::from_raw_parts(start, have) };
                    debug_assert!(buffered <= have);
                    reader.put_back(bytes);
                    return (0, Fetched::Missing);
                }
            }
        }
        (have, Fetched::Enough)
    }

    /// Reads once, past the buffer, into one place after the other, if that needs no waiting.
    ///
    /// # Safety
    /// The rooms must be valid for writes.
    pub unsafe fn read_past(&mut self, rooms: &[IoVec]) -> Option<usize> {
        let Inner { file: Some(file), reader, .. } = &mut *self.inner else { return None };
        reader.pass_by();
        // SAFETY: the caller's promise.
        unsafe { read_now(self.handle, file, rooms, POSITION) }
    }

    /// Reads once at an offset, if that needs no waiting.
    ///
    /// # Safety
    /// The room must be valid for writes.
    pub unsafe fn read_at(&self, room: IoVec, offset: u64) -> Option<usize> {
        let offset = i64::try_from(offset).ok()?;
        // SAFETY: the caller's promise.
        unsafe { read_now(self.handle, self.inner.file.as_ref()?, &[room], offset) }
    }

    /// How much the file has behind what is available, if that can be told without waiting.
    pub fn left(&self) -> Option<usize> {
        self.handle.facts.mount?;
        job::left_in(self.inner.file.as_ref()?).ok()
    }

    /// A read in slices of what follows the available bytes. `to_end`: that is all that the file has. Whoever asks must
    /// have the turn until it is over.
    pub fn slices(&self, length: usize, to_end: bool) -> Option<Slices> {
        let position = platform::seek(self.inner.file.as_ref()?, 0, platform::FROM_HERE).ok()?;
        Some(Slices::new(position, length, to_end))
    }

    /// Goes on with a read in slices. When it is complete, the file's position is behind it, and the buffer used up.
    ///
    /// # Safety
    /// That of [`Slices::advance`].
    pub unsafe fn read_slices(&mut self, slices: &mut Slices, start: *mut u8) -> Sliced {
        let (Some(mount), Some(file)) = (self.handle.facts.mount, self.inner.file.as_ref()) else {
            return Sliced::Missing;
        };
        // SAFETY: the caller's promise.
        let sliced = unsafe { Engine::current().read_slices(file, mount, &self.handle.times, slices, start) };
        if matches!(sliced, Sliced::Complete | Sliced::End(_)) {
            let end = i64::try_from(slices.end()).unwrap_or(i64::MAX);
            if platform::seek(file, end, platform::FROM_START).is_err() {
                return Sliced::Missing;
            }
            self.inner.reader.clear();
        }
        sliced
    }

    /// Whether the available bytes are ASCII without line ends to be translated, which is decoded in no time.
    pub fn is_plain(&self) -> bool {
        self.available().is_ascii() && memchr::memchr(b'\r', self.available()).is_none()
    }

    /// Has the native decoder decode everything up to the end of the file, which has been read.
    ///
    /// # Errors
    /// When it is not valid in that encoding.
    pub fn decode_rest(&mut self) -> Option<Result<Text, Undecoded>> {
        let Inner { reader, decoder, .. } = &mut *self.inner;
        let Ok(rest) = copied(reader.available()) else { return Some(Err(Undecoded::OutOfMemory)) };
        reader.clear();
        Some(decoder.as_mut()?.decode_rest(rest))
    }

    /// Moves the file's position back to where the user is, if that needs no waiting.
    pub fn rewind(&mut self) {
        let Inner { file: Some(file), reader, writer, .. } = &mut *self.inner else { return };
        if self.handle.facts.mount.is_some() && writer.is_done() && reader.len() > 0 {
            // Where it fails, the position is as good as before.
            let _ = job::rewind(file, reader);
        }
    }

    /// Where the first line ends in what is available, its end included, and how much was looked at. `scanned`: so much
    /// was looked at before.
    pub fn find_line(&self, scanned: usize) -> Option<usize> {
        let available = self.available();
        memchr::memchr(b'\n', available.get(scanned..)?).map(|at| scanned + at + 1)
    }

    /// The decoder of a text file, and the buffer that feeds it.
    pub fn decoder(&mut self) -> Option<&mut Decoder> {
        self.inner.decoder.as_deref_mut()
    }

    /// Sets or takes away the decoder.
    pub fn set_decoder(&mut self, decoder: Option<Decoder>) {
        self.inner.decoder = decoder.map(Box::new);
    }

    /// Has the native decoder decode so many of the available bytes.
    ///
    /// # Errors
    /// When they are not valid in that encoding: they are used up all the same.
    pub fn decode(&mut self, count: usize, end: bool) -> Result<(), Undecoded> {
        let Inner { reader, decoder: Some(decoder), .. } = &mut *self.inner else { return Ok(()) };
        let result = decoder.decode(&reader.available()[..count], end);
        if !matches!(result, Err(Undecoded::OutOfMemory)) {
            reader.consume(count);
        }
        result
    }

    // Writing.

    /// Takes the error of an earlier write that nobody has been told of.
    pub fn take_error(&mut self) -> Option<Error> {
        self.inner.writer.error.take()
    }

    /// The bytes that the kernel does not have yet.
    pub fn unwritten(&self) -> usize {
        self.inner.writer.unwritten()
    }

    /// Whether a worker is at writing it.
    pub fn is_writing(&self) -> bool {
        self.inner.writer.running
    }

    /// Whether the kernel has everything.
    pub fn is_written(&self) -> bool {
        self.inner.writer.is_done()
    }

    /// Whether writing has to be told first that some bytes were read ahead.
    fn begin_writing(&mut self) {
        let Inner { reader, writer, .. } = &mut *self.inner;
        let ahead = reader.len();
        if ahead > 0 {
            writer.rewind = ahead as u64;
        }
        reader.restart();
    }

    /// Accepts bytes by copying them, if there is room.
    pub fn write(&mut self, bytes: &[u8]) -> Written {
        if bytes.is_empty() {
            return Written::Accepted;
        }
        if !self.inner.writer.has_room(bytes.len()) {
            return Written::Full;
        }
        self.begin_writing();
        self.inner.writer.push(bytes);
        Written::Accepted
    }

    /// Accepts bytes that stay where they are and do not change, if there is room.
    pub fn write_shared(&mut self, data: Data) -> Result<(), Data> {
        if !self.inner.writer.has_room(data.bytes().len()) {
            return Err(data);
        }
        self.begin_writing();
        self.inner.writer.push_shared(data);
        Ok(())
    }

    /// A worker's job that writes what there is, if it is needed and none is at it. The caller must submit it.
    pub fn start_writer(&mut self, everything: bool) -> Option<HandleJob> {
        let Inner { writer, .. } = &mut *self.inner;
        if writer.running || writer.unwritten() == 0 || !(everything || writer.is_worthwhile()) {
            return None;
        }
        writer.running = true;
        Some(HandleJob::writer(Arc::clone(self.handle)))
    }

    /// Waits for the writer: the ticket is finished when no more than `until` says is left to be written, or writing has
    /// failed. Nobody waits for a writer that is not there: where none is at it, the caller gets the job and must submit
    /// it, and where there is nothing to be written, the ticket is done.
    pub fn await_writer(&mut self, ticket: &Arc<Ticket>, until: Until) -> Option<HandleJob> {
        if self.inner.writer.is_done() {
            ticket.finish(Ok(Outcome::Done));
            return None;
        }
        let left = match until {
            Until::Written => 0,
            Until::RoomFor(length) => Writer::room_for(length),
        };
        self.inner.writer.waiter = Some(Waiter { ticket: Arc::clone(ticket), left });
        self.start_writer(true)
    }

    // The position.

    /// Where the next read or write begins, if that can be told without waiting.
    ///
    /// # Errors
    /// Those of `lseek(2)`.
    pub fn position(&mut self) -> Option<Result<u64, Error>> {
        let Inner { file: Some(file), reader, writer, .. } = &mut *self.inner else { return None };
        if self.handle.facts.mount.is_none() || writer.running {
            return None;
        }
        let position = job::position(file, reader, writer.unwritten() as u64, writer.rewind);
        Some(position.map_err(|error| Error::new(&error, Subject::Nothing)))
    }

    /// Moves the position, if that needs no waiting.
    ///
    /// # Errors
    /// Those of `lseek(2)`.
    pub fn seek(&mut self, offset: i64, whence: i32) -> Option<Result<u64, Error>> {
        let Inner { file: Some(file), reader, writer, .. } = &mut *self.inner else { return None };
        if self.handle.facts.mount.is_none() || whence > platform::FROM_END || !writer.is_done() {
            return None;
        }
        Some(job::seek(file, reader, offset, whence).map_err(|error| Error::new(&error, Subject::Nothing)))
    }

    /// Closes the file, if that cannot wait: one that was only read, and has a name.
    pub fn close_now(&mut self) -> bool {
        let Inner { file, close, writer, .. } = &mut *self.inner;
        let Some(open) = file else { return true };
        if !writer.is_done() {
            return false;
        }
        if *close {
            let local = self.handle.facts.mount.is_some_and(|mount| Engine::current().permits(mount));
            // The last descriptor of a file without a name gives its blocks back.
            let named = || platform::metadata_of(open).is_ok_and(|metadata| metadata.links > 0);
            if !local || !self.handle.facts.only_read || !named() {
                return false;
            }
        }
        let Some(file) = file.take().and_then(Arc::into_inner) else { return true };
        if *close {
            drop(file);
        } else {
            let _ = platform::into_descriptor(file);
        }
        true
    }

    /// Gives the file up: whoever asks is to close it, or not. Blocks while what is buffered is written.
    ///
    /// # Errors
    /// `None` while a worker uses the file; else what writing or moving the position failed with.
    pub fn give_up(&mut self) -> Option<Result<i32, Error>> {
        if !self.is_idle() || self.inner.writer.running {
            return None;
        }
        Some(self.flush_here().and_then(|()| {
            let file = self
                .inner
                .file
                .take()
                .and_then(Arc::into_inner)
                .ok_or(Error::Os { code: platform::EIO, subject: Subject::Nothing })?;
            platform::into_descriptor(file).map_err(|error| Error::new(&error, Subject::Nothing))
        }))
    }

    fn flush_here(&mut self) -> Result<(), Error> {
        if let Some(error) = self.take_error() {
            return Err(error);
        }
        let Inner { file: Some(file), reader, writer, .. } = &mut *self.inner else { return Ok(()) };
        job::drain(file, writer)
            .and_then(|()| job::rewind(file, reader))
            .map_err(|error| Error::new(&error, Subject::Nothing))
    }
}

/// The offset that stands for the file's position.
const POSITION: i64 = -1;

/// Reads, if that needs no waiting.
///
/// # Safety
/// The rooms must be valid for writes.
unsafe fn read_now(handle: &Handle, file: &File, rooms: &[IoVec], offset: i64) -> Option<usize> {
    // SAFETY: the caller's promise.
    unsafe { Engine::current().read_now(file, handle.facts.mount?, &handle.times, rooms, offset) }
}
