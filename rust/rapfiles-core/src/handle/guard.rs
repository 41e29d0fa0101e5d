//! Access to a handle for the holder of the turn: everything that can be done without blocking.

use std::io;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::file_info::FileInfo;
use super::file_io;
use super::handle::{Exclusive, Handle, in_use};
use super::job::{self, HandleJob};
use super::mark::go_back;
use super::reader::Reader;
use super::shared::Shared;
use super::trace::Unread;
use super::turn::{Turn, WANTED};
use super::writer::{Waiter, Writer};
use crate::cached::IoVec;
use crate::engine::runtime;
use crate::engine::ticket::Ticket;
use crate::error::{Error, Subject};
use crate::limits::{FIRST_SLICE, READ_AT_ONCE, READ_WITHOUT_AHEAD};
use crate::outcome::Outcome;
use crate::platform::{self, File};
use crate::text::line_feed::line_feed_in;
use crate::text::{Decoder, Text};
use crate::verbs::slices::{Sliced, Slices};
use crate::verbs::write::Data;

/// Access to a handle for the holder of the turn.
pub struct Guard<'a> {
    handle: &'a Arc<Handle>,
    /// Whether the turn is passed on when this is dropped.
    passes_on: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.passes_on {
            // SAFETY: the turn was taken for this guard, which is being dropped.
            unsafe { self.handle.pass_on() };
        }
    }
}

impl Deref for Guard<'_> {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        self.handle
    }
}

/// The result of an attempt to make bytes available without blocking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// They are available.
    Enough,
    /// The file ends before that.
    End,
    /// A worker has to read them.
    Missing,
}

/// The state of the writer that an operation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriterState {
    /// No worker is writing, whether everything has been written or not.
    Idle,
    /// Everything has been written.
    Written,
    /// There is room for this many bytes.
    RoomFor(usize),
}

/// Whether bytes were accepted for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// They are in the buffer.
    Accepted,
    /// There is no room for them now.
    Full,
}

impl<'a> Guard<'a> {
    /// A guard for the holder of the turn. `passes_on`: whether dropping it passes the turn on.
    ///
    /// # Safety
    /// The caller has the turn, and no other guard; no worker has a task of it.
    pub(super) unsafe fn new(handle: &'a Arc<Handle>, passes_on: bool) -> Self {
        Self { handle, passes_on }
    }

    #[inline]
    fn own(&self) -> &Exclusive {
        // SAFETY: the contract of `new`, and nobody else can change it while this is borrowed.
        unsafe { self.handle.exclusive() }
    }

    #[inline]
    fn own_mut(&mut self) -> &mut Exclusive {
        // SAFETY: the contract of `new`, and this is borrowed for as long.
        unsafe { self.handle.exclusive() }
    }

    /// The handle, and what belongs to the turn.
    #[inline]
    pub(super) fn parts(&mut self) -> (&Handle, &mut Exclusive) {
        let handle: &Handle = self.handle;
        // SAFETY: the contract of `new`, and this is borrowed for as long.
        (handle, unsafe { handle.exclusive() })
    }

    /// Keeps the turn for an operation that has to wait; `None` if it has been kept before.
    pub fn keep(self) -> Option<Turn> {
        let guard = ManuallyDrop::new(self);
        // SAFETY: the turn was taken for this guard, which does not pass it on any more.
        guard.passes_on.then(|| unsafe { Turn::new(guard.handle) })
    }

    /// Whether positional operations are running; the ticket is finished when there are none.
    pub fn await_positional(&mut self, ticket: &Arc<Ticket>) -> bool {
        self.handle.shared().file.await_end_of_use(ticket)
    }

    /// Whether the file is open, and nobody uses it beside this turn. Then nobody begins to any more, and the caller must
    /// close it at once.
    /// (Workers that lock the file begin at any time.)
    pub(super) fn begin_closing(&mut self) -> bool {
        self.handle.shared().file.begin_closing()
    }

    /// Whether positional operations are running.
    pub fn has_positional(&self) -> bool {
        self.handle.shared().file.is_in_use()
    }

    /// Whether the file is being closed in the background, or will be.
    pub fn is_closing_in_background(&self) -> bool {
        self.is_closed() && self.handle.shared().file.awaits_background()
    }

    /// The ticket is finished when the file has been closed in the background, or when there is no thread that would;
    /// `false` when it is. That does not wait for this turn.
    pub fn await_background_close(&mut self, ticket: &Arc<Ticket>) -> bool {
        let handle = self.handle;
        let mut shared = handle.shared();
        if !shared.file.await_background(ticket) {
            return false;
        }
        self.own_mut().file = None;
        handle.turn.store(WANTED, Ordering::Relaxed);
        // SAFETY: this is the turn.
        let close = unsafe { handle.close_in_background_in_turn(&mut shared) };
        drop(shared);
        if let Some(close) = close {
            close.begin();
        }
        handle.engine().pool().wait_for_detached();
        true
    }

    /// Moves the file's position back; the read-ahead is discarded.
    pub(super) fn move_back(&mut self, position: u64) {
        let own = self.own_mut();
        if let Some(file) = &own.file {
            // Where the position could be moved, it can be moved back.
            let _ = platform::seek(file, position as i64, platform::FROM_START);
            own.reader.restart();
        }
    }

    /// Stores an error for the next call to raise.
    pub(super) fn leave_error(&mut self, error: Error) {
        self.handle.shared().leave_error(error);
    }

    // Reading.

    /// The bytes that have been read ahead.
    #[inline]
    pub fn available(&self) -> &[u8] {
        self.own().reader.available()
    }

    /// Consumes this many of the available bytes.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        self.own_mut().reader.consume(count);
    }

    /// Puts bytes back in front of the available ones.
    pub fn put_back(&mut self, bytes: &[u8]) {
        let Exclusive { file, reader, .. } = self.own_mut();
        let kept = reader.put_back(bytes, file.as_deref());
        self.leave_if_lost(kept);
    }

    /// Puts back what a cancelled operation had taken.
    pub fn restore(&mut self, unread: Unread) {
        let own = self.own_mut();
        match (unread, &mut own.decoder) {
            (Unread::Text(text), Some(decoder)) => decoder.put_back(text),
            (Unread::Bytes(bytes) | Unread::Text(bytes), _) => self.put_back(&bytes),
            (Unread::Since(mark), Some(decoder)) => {
                if let Some(file) = &own.file {
                    go_back(mark, file, &mut own.reader, decoder, 0);
                }
            }
            (Unread::Since(_), None) => {}
        }
    }

    /// Gives back text that was taken from the decoder and not returned to anybody.
    pub fn give_back(&mut self, text: Text) {
        self.own_mut().give_back(text);
    }

    /// Notes that the buffer is empty, and that what follows has been read past it.
    pub fn pass_by(&mut self) {
        self.own_mut().reader.pass_by();
    }

    /// Appends bytes that were read after the available ones.
    pub fn append(&mut self, bytes: &[u8]) {
        self.append_all(&[bytes]);
    }

    /// The same for several pieces, one after the other.
    pub(super) fn append_all(&mut self, parts: &[&[u8]]) {
        let Exclusive { file, reader, .. } = self.own_mut();
        let kept = reader.append(parts, file.as_deref());
        self.leave_if_lost(kept);
    }

    /// If the bytes of a cancelled operation could neither be kept nor be read again, lets the next call fail.
    fn leave_if_lost(&mut self, kept: io::Result<()>) {
        if let Err(error) = kept {
            self.leave_error(Error::new(&error, Subject::Nothing));
        }
    }

    /// Ensures that `at_least` bytes are available, if that does not block.
    pub fn fetch(&mut self, at_least: usize) -> Fetched {
        let handle = self.handle;
        let Exclusive { file, reader, .. } = self.own_mut();
        fetch(handle, file.as_deref(), reader, at_least)
    }

    /// Reads into the caller's memory, if that does not block: the number of bytes, and whether that is enough. If
    /// bytes are missing, nothing is consumed: the bytes stay available.
    ///
    /// # Safety
    /// `start` must be valid for writes of `length` bytes.
    pub unsafe fn read_into(&mut self, start: *mut u8, length: usize) -> (usize, Fetched) {
        let mut have = self.own().reader.len().min(length);
        // SAFETY: guaranteed by the caller, and that much is available.
        unsafe { std::ptr::copy_nonoverlapping(self.available().as_ptr(), start, have) };
        if have == length {
            self.consume(have);
            return (have, Fetched::Enough);
        }
        if length - have > READ_AT_ONCE || self.handle.info.mount.is_none() {
            return (0, Fetched::Missing);
        }
        let handle = self.handle;
        let Exclusive { file: Some(file), reader, .. } = self.own_mut() else {
            return (0, Fetched::Missing);
        };
        let buffered = have;
        while have < length {
            let rest = length - have;
            reader.clear();
            // Nor for the first read, if it gets all of a small file.
            let whole = !reader.begin() && handle.info.size <= rest as u64;
            let ahead =
                if rest < READ_WITHOUT_AHEAD && !whole { reader.room(1, READ_AT_ONCE).ok() } else { None };
            // SAFETY: guaranteed by the caller.
            let wanted = IoVec { start: unsafe { start.add(have) }, length: rest };
            let rooms = [wanted, ahead.unwrap_or(wanted)];
            let count = 1 + usize::from(ahead.is_some());
            // SAFETY: guaranteed by the caller, and the room that `room` has made.
            let read = unsafe { read_now(handle, file, &rooms[..count], POSITION) };
            match read {
                Some(0) => return (have, Fetched::End),
                Some(read) if read > rest => {
                    have = length;
                    // SAFETY: the kernel has filled the first buffer, and written that many bytes to the second.
                    unsafe { reader.grow(read - rest) };
                }
                Some(read) => have += read,
                None => {
                    // SAFETY: that much has been written there.
                    let bytes = unsafe { std::slice::from_raw_parts(start, have) };
                    debug_assert!(buffered <= have);
                    // A regular file, which can be read again if the bytes cannot be kept.
                    let _ = reader.put_back(bytes, Some(file));
                    return (0, Fetched::Missing);
                }
            }
        }
        (have, Fetched::Enough)
    }

    /// Reads once, past the buffer, into one place after the other, if that does not block.
    ///
    /// # Safety
    /// The buffers must be valid for writes.
    pub unsafe fn read_past(&mut self, rooms: &[IoVec]) -> Option<usize> {
        let handle = self.handle;
        let Exclusive { file: Some(file), reader, .. } = self.own_mut() else { return None };
        reader.pass_by();
        // SAFETY: guaranteed by the caller.
        unsafe { read_now(handle, file, rooms, POSITION) }
    }

    /// How much the file has at most after the available bytes, if finding out does not block. It has less only if it is
    /// small, nothing has been read of it here, and its position has been moved nevertheless.
    pub fn left(&mut self) -> Option<usize> {
        let (handle, Exclusive { file, reader, .. }) = self.parts();
        left_after(reader, file.as_deref()?, &handle.info)
    }

    /// Reads the rest of a file, of which this much is left, past the buffer with one call, if that does not block and
    /// is no more than the first slice of a read in slices. Otherwise nothing has been read.
    ///
    /// # Safety
    /// `start` must be valid for writes of one byte more.
    pub unsafe fn read_rest(&mut self, start: *mut u8, left: usize) -> bool {
        let handle = self.handle;
        let Exclusive { file: Some(file), reader, .. } = self.own_mut() else { return false };
        if left > FIRST_SLICE {
            return false;
        }
        // A request of one byte more than is left shows whether the file has grown.
        // SAFETY: guaranteed by the caller.
        let read = unsafe { read_now(handle, file, &[IoVec { start, length: left + 1 }], POSITION) };
        if read == Some(left) {
            reader.clear();
            return true;
        }
        if let Some(read) = read {
            // Where the position could be moved, it can be moved back.
            let _ = platform::seek(file, -(read as i64), platform::FROM_HERE);
        }
        false
    }

    /// A read in slices of what follows the available bytes. `to_end`: that is the rest of the file. The caller must
    /// keep the turn until it is complete.
    pub fn slices(&self, length: usize, to_end: bool) -> Option<Slices> {
        let position = platform::seek(self.own().file.as_ref()?, 0, platform::FROM_HERE).ok()?;
        Some(Slices::new(position, length, to_end))
    }

    /// Continues a read in slices. When it is complete, the file's position is at its end, and the buffer is empty.
    ///
    /// # Safety
    /// `start` must be valid for writes of all of the read and, if it goes to the end of the file, of one more byte.
    pub unsafe fn read_slices(&mut self, slices: &mut Slices, start: *mut u8) -> Sliced {
        let (Some(mount), Some(file)) = (self.handle.info.mount, self.own().file.as_ref()) else {
            return Sliced::Missing;
        };
        // SAFETY: guaranteed by the caller.
        let sliced =
            unsafe { self.handle.engine().read_slices(file, mount, &self.handle.times, slices, start) };
        if matches!(sliced, Sliced::Complete | Sliced::End(_)) {
            let end = i64::try_from(slices.end()).unwrap_or(i64::MAX);
            if platform::seek(file, end, platform::FROM_START).is_err() {
                return Sliced::Missing;
            }
            self.own_mut().reader.clear();
        }
        sliced
    }

    /// Moves the file's position back to where the user is, if that does not block.
    pub fn rewind(&mut self) {
        let written = self.handle.info.mount.is_some() && self.is_written();
        let Exclusive { file: Some(file), reader, .. } = self.own_mut() else { return };
        if written && reader.len() > 0 {
            // If it fails, the position is unchanged.
            let _ = file_io::rewind(file, reader);
        }
    }

    /// Discards the read-ahead if something was written at an offset since; `false` if a worker has to do that, because
    /// it may block.
    #[inline]
    pub fn refresh(&mut self) -> bool {
        self.handle.is_settled() || self.refresh_slowly()
    }

    #[cold]
    fn refresh_slowly(&mut self) -> bool {
        let handle = self.handle;
        if !handle.shared().stale {
            return true;
        }
        let Exclusive { file: Some(file), reader, .. } = self.own_mut() else { return true };
        if reader.len() > 0 && handle.info.mount.is_none() {
            return false;
        }
        job::refresh(handle, file, reader);
        true
    }

    /// The length of the first line in the available bytes, including its end, and how much was searched. `scanned`:
    /// how much was searched before.
    #[inline]
    pub fn find_line(&self, scanned: usize) -> Option<usize> {
        let available = self.available();
        line_feed_in(available.get(scanned..)?).map(|at| scanned + at + 1)
    }

    /// The decoder of a text file; `None` if it is only written, and for a file of bytes. An operation that reads text asks
    /// for [`Guard::text`].
    #[inline]
    pub fn decoder(&mut self) -> Option<&mut Decoder> {
        self.own_mut().decoder.as_deref_mut()
    }

    /// Sets or takes away the decoder.
    pub fn set_decoder(&mut self, decoder: Option<Decoder>) {
        self.own_mut().decoder = decoder.map(Box::new);
    }

    // Writing.

    /// Takes the error of an earlier write that has not been raised.
    pub fn take_error(&mut self) -> Option<Error> {
        if self.handle.is_settled() { None } else { self.handle.shared().writer.error.take() }
    }

    /// Whether a worker is writing the buffer.
    pub fn is_writing(&self) -> bool {
        !self.handle.is_settled() && self.handle.shared().writer.running
    }

    /// Whether the kernel has everything.
    #[inline(always)]
    pub fn is_written(&self) -> bool {
        self.handle.is_settled() || self.is_writer_done()
    }

    #[cold]
    fn is_writer_done(&self) -> bool {
        self.handle.shared().writer.is_done()
    }

    /// Lets the writer accept this many bytes, if there is room; it is told first how many were read ahead.
    fn accept(&mut self, length: usize, push: impl FnOnce(&mut Writer)) -> Written {
        let handle = self.handle;
        let reader = &mut self.own_mut().reader;
        let mut shared = handle.shared();
        if !shared.writer.has_room(length) {
            return Written::Full;
        }
        if reader.len() > 0 {
            shared.writer.rewind = reader.len() as u64;
        }
        reader.restart();
        push(&mut shared.writer);
        Written::Accepted
    }

    /// Accepts bytes by copying them, if there is room.
    pub fn write(&mut self, bytes: &[u8]) -> Written {
        if bytes.is_empty() {
            return Written::Accepted;
        }
        self.accept(bytes.len(), |writer| writer.push(bytes))
    }

    /// Accepts bytes, if that needs nothing else: no error to raise, and no worker to start.
    #[inline]
    pub(crate) fn write_at_hand(&mut self, bytes: &[u8]) -> bool {
        if self.handle.is_settled() || self.own().reader.len() > 0 {
            return false;
        }
        let mut shared = self.handle.shared();
        let Shared { stale, writer, .. } = &mut *shared;
        !*stale && writer.push_quietly(bytes)
    }

    /// Accepts bytes that stay in place and do not change, without copying them, if there is room.
    pub fn write_shared(&mut self, data: Data) -> Result<(), Data> {
        let mut data = Some(data);
        let length = data.as_ref().map_or(0, |data| data.bytes().len());
        self.accept(length, |writer| data.take().into_iter().for_each(|data| writer.push_shared(data)));
        data.map_or(Ok(()), Err)
    }

    /// A worker's job that writes the buffer, if it is needed and none is running. The caller must submit it.
    pub fn start_writer(&mut self, everything: bool) -> Option<HandleJob> {
        if self.handle.is_settled() {
            return None;
        }
        start_writer(self.handle, &mut self.handle.shared(), everything)
    }

    /// Waits for the writer: the ticket is finished when it has reached the state `until`, or writing has failed, and with
    /// [`Error::NoThread`] if there is no thread to reach it. If no writer is running, the caller gets its job and must
    /// submit it; if there is nothing to wait for, the ticket is finished at once.
    pub fn await_writer(&mut self, ticket: &Arc<Ticket>, until: WriterState) -> Option<HandleJob> {
        let mut shared = self.handle.shared();
        // A writer that has failed meanwhile does not retry before the error has been raised.
        let enough = until == WriterState::Idle || shared.writer.error.is_some();
        if shared.writer.is_done() || (enough && !shared.writer.running) {
            drop(shared);
            ticket.finish(Ok(Outcome::Done));
            return None;
        }
        shared.writer.waiter = Some(Waiter { ticket: Arc::clone(ticket), until });
        start_writer(self.handle, &mut shared, true)
    }

    // The position.

    /// The position of the next read or write, if finding it does not block.
    ///
    /// # Errors
    /// Those of `lseek(2)`.
    pub fn position(&mut self) -> Option<Result<u64, Error>> {
        self.handle.info.mount?;
        let Exclusive { file: Some(file), reader, .. } = self.own() else { return None };
        let (unwritten, rewind) = if self.handle.is_settled() {
            (0, 0)
        } else {
            let shared = self.handle.shared();
            if shared.writer.running {
                return None;
            }
            (shared.writer.unwritten() as u64, shared.writer.rewind)
        };
        let position = file_io::position(file, reader, unwritten, rewind);
        Some(position.map_err(|error| Error::new(&error, Subject::Nothing)))
    }

    /// Moves the position, if that does not block.
    ///
    /// # Errors
    /// Those of `lseek(2)`.
    pub fn seek(&mut self, offset: i64, whence: i32) -> Option<Result<u64, Error>> {
        if self.handle.info.mount.is_none() || whence > platform::FROM_END || !self.is_written() {
            return None;
        }
        let Exclusive { file: Some(file), reader, .. } = self.own_mut() else { return None };
        Some(
            file_io::seek(file, reader, offset, whence).map_err(|error| Error::new(&error, Subject::Nothing)),
        )
    }

    /// Closes the file, if that cannot block and there is no error to raise: one that was only read, and has a name, and
    /// for whose locks nobody may wait, whom to tell takes as long as there are many.
    pub fn close_now(&mut self) -> bool {
        let close = self.handle.closes_descriptor;
        if !self.handle.is_settled() || self.handle.has_been_locked() {
            return false;
        }
        let Some(open) = &self.own().file else { return true };
        if close {
            let (info, now) = (&self.handle.info, runtime::now());
            let local = info.mount.is_some_and(|mount| self.handle.engine().permits(mount, now));
            // Closing the last descriptor of a file without a name frees its blocks (`unlink(2)`), which may wait for a
            // journal.
            let named = || platform::metadata_of(open).is_ok_and(|metadata| metadata.links > 0);
            if !local || !self.handle.info.only_read || !named() {
                return false;
            }
        }
        let Some(file) = self.take_file() else { return false };
        if close {
            drop(file);
        } else {
            let _ = platform::into_descriptor(file);
        }
        true
    }

    /// Takes the file, if nobody else uses it.
    fn take_file(&mut self) -> Option<File> {
        let file = self.handle.shared().file.take()?;
        self.own_mut().file = None;
        Arc::into_inner(file)
    }

    /// Gives the descriptor to the caller, who may close it. Blocks while the buffer is written.
    ///
    /// # Errors
    /// `None` while a worker uses the file; otherwise the error of writing or of moving the position.
    pub fn into_descriptor(&mut self) -> Option<Result<i32, Error>> {
        if self.is_writing() || self.has_positional() {
            return None;
        }
        Some(self.flush_here().and_then(|()| {
            let file = self.take_file().ok_or_else(in_use)?;
            let descriptor = self.handle.presentable(&file).and_then(|_| platform::into_descriptor(file));
            self.handle.locks_are_gone();
            descriptor.map_err(|error| Error::new(&error, Subject::Nothing))
        }))
    }

    fn flush_here(&mut self) -> Result<(), Error> {
        if let Some(error) = self.take_error() {
            return Err(error);
        }
        let handle = self.handle;
        let Exclusive { file: Some(file), reader, .. } = self.own_mut() else { return Ok(()) };
        job::write_rest(handle, file)?;
        file_io::rewind(file, reader).map_err(|error| Error::new(&error, Subject::Nothing))
    }
}

/// A worker's job that writes the buffer, if it is needed and none is running.
fn start_writer(handle: &Arc<Handle>, shared: &mut Shared, everything: bool) -> Option<HandleJob> {
    let writer = &mut shared.writer;
    if writer.running
        || writer.error.is_some()
        || writer.unwritten() == 0
        || !(everything || writer.is_worthwhile())
    {
        return None;
    }
    writer.running = true;
    Some(HandleJob::writer(Arc::clone(handle)))
}

/// The offset that stands for the file's position.
const POSITION: i64 = -1;

/// See [`Guard::left`].
pub(super) fn left_after(reader: &mut Reader, file: &File, info: &FileInfo) -> Option<usize> {
    info.mount?;
    // Its position is not asked for: it is at the start, unless `seek` or the owner of another copy of the descriptor, such
    // as a forked child, has moved it.
    let at_start = !reader.begin() && info.only_read && info.at_start && info.size <= FIRST_SLICE as u64;
    if at_start
        && let Ok(length) = platform::length_of(file)
        && length <= FIRST_SLICE as u64
    {
        return Some(length as usize);
    }
    file_io::left_in(file).ok()
}

/// Ensures that `at_least` bytes are available, if that does not block.
pub(super) fn fetch(handle: &Handle, file: Option<&File>, reader: &mut Reader, at_least: usize) -> Fetched {
    loop {
        let have = reader.len();
        if have >= at_least {
            return Fetched::Enough;
        }
        if at_least - have > READ_AT_ONCE || handle.info.mount.is_none() {
            return Fetched::Missing;
        }
        let Some(file) = file else { return Fetched::Missing };
        let Ok(room) = reader.room(at_least, READ_AT_ONCE) else { return Fetched::Missing };
        // SAFETY: `room` has reserved that much.
        match unsafe { read_now(handle, file, &[room], POSITION) } {
            None => return Fetched::Missing,
            Some(0) => return Fetched::End,
            // SAFETY: the kernel has written that many bytes.
            Some(read) => unsafe { reader.grow(read) },
        }
    }
}

/// Reads, if that does not block.
///
/// # Safety
/// The buffers must be valid for writes.
pub(super) unsafe fn read_now(handle: &Handle, file: &File, rooms: &[IoVec], offset: i64) -> Option<usize> {
    // SAFETY: guaranteed by the caller.
    unsafe { handle.engine().read_now(file, handle.info.mount?, &handle.times, rooms, offset) }
}
