//! What can be done with a handle without waiting, by whoever has the turn.

use std::io;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::decoding::{Decoding, Supplied, Supply, decode_until};
use super::file_io;
use super::handle::{Exclusive, Handle, in_use};
use super::job::{self, HandleJob};
use super::mark::Mark;
use super::reader::Reader;
use super::shared::{Shared, Unattended};
use super::trace::Unread;
use super::turn::{Turn, WANTED};
use super::writer::{Waiter, Writer};
use crate::cached::IoVec;
use crate::engine::runtime;
use crate::engine::ticket::Ticket;
use crate::error::{About, Error, Subject};
use crate::limits::{READ_AT_ONCE, READ_WITHOUT_AHEAD, SHORT_TEXT};
use crate::memory::copied;
use crate::outcome::Outcome;
use crate::platform::{self, File};
use crate::text::Text;
use crate::text::line_feed::line_feed_in;
use crate::text::{Decoder, Undecoded};
use crate::verbs::slices::{Sliced, Slices};
use crate::verbs::write::Data;

/// A handle in the hands of whoever has the turn.
pub struct Guard<'a> {
    handle: &'a Arc<Handle>,
    /// The turn ends with it.
    passes_on: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.passes_on {
            // SAFETY: the turn was taken for this guard, which is gone.
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

/// How far the writer has to come for an operation that waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriterState {
    /// Everything has been written.
    Written,
    /// There is room for this many bytes.
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
    /// What can be done by whoever has the turn. `passes_on`: and that ends with the guard.
    ///
    /// # Safety
    /// The caller has the turn, and no other guard; no worker has a task of it.
    pub(super) unsafe fn new(handle: &'a Arc<Handle>, passes_on: bool) -> Self {
        Self { handle, passes_on }
    }

    #[inline]
    fn own(&self) -> &Exclusive {
        // SAFETY: the promise of `new`, and nobody else can change it while this is borrowed.
        unsafe { self.handle.exclusive() }
    }

    #[inline]
    fn own_mut(&mut self) -> &mut Exclusive {
        // SAFETY: the promise of `new`, and this is borrowed for as long.
        unsafe { self.handle.exclusive() }
    }

    /// Keeps the turn for an operation that has to wait; `None` where it has been kept before.
    pub fn keep(self) -> Option<Turn> {
        let guard = ManuallyDrop::new(self);
        // SAFETY: the turn was taken for this guard, which does not pass it on any more.
        guard.passes_on.then(|| unsafe { Turn::new(guard.handle) })
    }

    /// Whether there are positional operations under way; the ticket is finished when there are none.
    pub fn await_positional(&mut self, ticket: &Arc<Ticket>) -> bool {
        let mut shared = self.handle.shared();
        if shared.positional > 0 {
            shared.positional_waiter = Some(Arc::clone(ticket));
        }
        shared.positional > 0
    }

    /// Whether there are positional operations under way.
    pub fn has_positional(&self) -> bool {
        self.handle.shared().positional > 0
    }

    /// Whether the file is being closed in the background, or going to be.
    pub fn is_closing_in_background(&self) -> bool {
        if !self.is_closed() {
            return false;
        }
        let shared = self.handle.shared();
        matches!(shared.unattended, Unattended::Due | Unattended::Closing)
    }

    /// The ticket is finished when the file has been closed in the background, or when there is no thread that would; `false`
    /// when it is. That does not wait for this turn.
    pub fn await_background_close(&mut self, ticket: &Arc<Ticket>) -> bool {
        let handle = self.handle;
        let mut shared = handle.shared();
        if !matches!(shared.unattended, Unattended::Due | Unattended::Closing) {
            return false;
        }
        shared.turn_waits_for_close = true;
        shared.close_waiters.push(Arc::clone(ticket));
        self.own_mut().file = None;
        handle.turn.store(WANTED, Ordering::Relaxed);
        // SAFETY: this is the turn.
        let effects = unsafe { handle.close_in_background_in_turn(&mut shared) };
        drop(shared);
        if let Some(effects) = effects {
            effects.run();
        }
        handle.engine().pool().wait_for_detached();
        true
    }

    /// Moves the position to where it was; what was read ahead is behind that.
    pub(super) fn move_back(&mut self, position: u64) {
        let own = self.own_mut();
        if let Some(file) = &own.file {
            // Where the position could be moved, it can be moved back.
            let _ = platform::seek(file, position as i64, platform::FROM_START);
            own.reader.restart();
        }
    }

    /// Leaves an error for the next call to tell of.
    pub(super) fn leave_error(&mut self, error: Error) {
        self.handle.shared().writer.error.get_or_insert(error);
    }

    // Reading.

    /// What has been read ahead.
    #[inline]
    pub fn available(&self) -> &[u8] {
        self.own().reader.available()
    }

    /// So many of the available bytes have been used.
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
                    mark.go_back(file, &mut own.reader, decoder, 0);
                }
            }
            (Unread::Since(_), None) => {}
        }
    }

    /// Gives text back that was taken from the decoder, and that nobody has been told of.
    pub fn give_back(&mut self, text: Text) {
        self.own_mut().give_back(text);
    }

    /// Where a text file is, to go back there; `None` where that is not possible.
    pub fn mark(&self) -> Option<Mark> {
        let Exclusive { file: Some(file), reader, decoder: Some(decoder) } = self.own() else { return None };
        Mark::set(file, reader, decoder, self.handle.info.regular)
    }

    /// The buffer is used up, and what comes behind has been read past it.
    pub fn pass_by(&mut self) {
        self.own_mut().reader.pass_by();
    }

    /// Adds bytes that were read behind the available ones.
    pub fn append(&mut self, bytes: &[u8]) {
        self.append_all(&[bytes]);
    }

    /// The same for several, one behind the other.
    pub(super) fn append_all(&mut self, parts: &[&[u8]]) {
        let Exclusive { file, reader, .. } = self.own_mut();
        let kept = reader.append(parts, file.as_deref());
        self.leave_if_lost(kept);
    }

    /// There was no memory for what a cancelled operation has read, and it cannot be read again: the next call tells.
    fn leave_if_lost(&mut self, kept: io::Result<()>) {
        if let Err(error) = kept {
            self.leave_error(Error::new(&error, Subject::Nothing));
        }
    }

    /// Sees to it that so many bytes are available, if that needs no waiting.
    pub fn fetch(&mut self, at_least: usize) -> Fetched {
        let handle = self.handle;
        let Exclusive { file, reader, .. } = self.own_mut();
        fetch(handle, file.as_deref(), reader, at_least)
    }

    /// Reads into the caller's memory, if that needs no waiting: how much is there, and whether that is all that could
    /// be. What is missing makes it no reading at all: the bytes stay available.
    ///
    /// # Safety
    /// `start` must be valid for writes of `length` bytes.
    pub unsafe fn read_into(&mut self, start: *mut u8, length: usize) -> (usize, Fetched) {
        let mut have = self.own().reader.len().min(length);
        // SAFETY: the caller's promise, and so much is available.
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
            // Nor at first, where it is all of a small file.
            let whole = !reader.begin() && handle.info.size <= rest as u64;
            let ahead =
                if rest < READ_WITHOUT_AHEAD && !whole { reader.room(1, READ_AT_ONCE).ok() } else { None };
            // SAFETY: the caller's promise.
            let wanted = IoVec { start: unsafe { start.add(have) }, length: rest };
            let rooms = [wanted, ahead.unwrap_or(wanted)];
            let count = 1 + usize::from(ahead.is_some());
            // SAFETY: the caller's promise, and the room that `room` has made.
            let read = unsafe { read_now(handle, file, &rooms[..count], POSITION) };
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
                    // A regular file, which can be read again where there is no memory for the bytes.
                    let _ = reader.put_back(bytes, Some(file));
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
        let handle = self.handle;
        let Exclusive { file: Some(file), reader, .. } = self.own_mut() else { return None };
        reader.pass_by();
        // SAFETY: the caller's promise.
        unsafe { read_now(handle, file, rooms, POSITION) }
    }

    /// How much the file has behind what is available, if that can be told without waiting.
    pub fn left(&self) -> Option<usize> {
        self.handle.info.mount?;
        file_io::left_in(self.own().file.as_ref()?).ok()
    }

    /// A read in slices of what follows the available bytes. `to_end`: that is all that the file has. Whoever asks must
    /// have the turn until it is over.
    pub fn slices(&self, length: usize, to_end: bool) -> Option<Slices> {
        let position = platform::seek(self.own().file.as_ref()?, 0, platform::FROM_HERE).ok()?;
        Some(Slices::new(position, length, to_end))
    }

    /// Goes on with a read in slices. When it is complete, the file's position is behind it, and the buffer used up.
    ///
    /// # Safety
    /// That of [`Slices::advance`].
    pub unsafe fn read_slices(&mut self, slices: &mut Slices, start: *mut u8) -> Sliced {
        let (Some(mount), Some(file)) = (self.handle.info.mount, self.own().file.as_ref()) else {
            return Sliced::Missing;
        };
        // SAFETY: the caller's promise.
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

    /// Whether the available bytes are ASCII without line ends to be translated, which is decoded in no time.
    pub fn is_plain(&self) -> bool {
        self.available().is_ascii() && memchr::memchr(b'\r', self.available()).is_none()
    }

    /// Has the native decoder decode everything up to the end of the file, which has been read.
    ///
    /// # Errors
    /// When it is not valid in that encoding.
    pub fn decode_rest(&mut self) -> Option<Result<Text, Undecoded>> {
        // Of a short text, the string is made at once.
        let mark = if self.available().len() > SHORT_TEXT { self.mark() } else { None };
        let Exclusive { reader, decoder, file } = self.own_mut();
        let Ok(rest) = copied(reader.available()) else { return Some(Err(Undecoded::OutOfMemory)) };
        reader.clear();
        let decoder = decoder.as_mut()?;
        Some(match decoder.decode_rest(rest) {
            Ok(text) => Ok(text.taken_from(mark)),
            Err(Undecoded::OutOfMemory) => {
                if let (Some(mark), Some(file)) = (mark, file) {
                    mark.go_back(file, reader, decoder, 0);
                }
                Err(Undecoded::OutOfMemory)
            }
            Err(undecoded) => Err(undecoded),
        })
    }

    /// Moves the file's position back to where the user is, if that needs no waiting.
    pub fn rewind(&mut self) {
        let written = self.handle.info.mount.is_some() && self.is_written();
        let Exclusive { file: Some(file), reader, .. } = self.own_mut() else { return };
        if written && reader.len() > 0 {
            // Where it fails, the position is as good as before.
            let _ = file_io::rewind(file, reader);
        }
    }

    /// Forgets what was read ahead before something was written at an offset; `false` where a worker has to, because that may
    /// wait.
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

    /// Where the first line ends in what is available, its end included, and how much was looked at. `scanned`: so much
    /// was looked at before.
    #[inline]
    pub fn find_line(&self, scanned: usize) -> Option<usize> {
        let available = self.available();
        line_feed_in(available.get(scanned..)?).map(|at| scanned + at + 1)
    }

    /// The decoder of a text file, and the buffer that feeds it.
    #[inline]
    pub fn decoder(&mut self) -> Option<&mut Decoder> {
        self.own_mut().decoder.as_deref_mut()
    }

    /// Sets or takes away the decoder.
    pub fn set_decoder(&mut self, decoder: Option<Decoder>) {
        self.own_mut().decoder = decoder.map(Box::new);
    }

    /// Decodes until `wanted` finds that it is enough, as far as that needs no waiting. `all`: there is nothing to be had
    /// but what is available.
    ///
    /// # Errors
    /// When there is no memory.
    #[inline]
    pub(super) fn decode_until(
        &mut self,
        all: bool,
        wanted: impl FnMut(&mut Decoder) -> Option<usize>,
    ) -> Result<Decoding, Error> {
        let handle = self.handle;
        let Exclusive { file, reader, decoder: Some(decoder) } = self.own_mut() else {
            return Ok(Decoding::End);
        };
        let mut supply = AtHand { handle, file: file.as_deref(), all };
        decode_until(&mut supply, reader, decoder, wanted).about(Subject::Nothing)
    }

    // Writing.

    /// Takes the error of an earlier write that nobody has been told of.
    pub fn take_error(&mut self) -> Option<Error> {
        if self.handle.is_settled() { None } else { self.handle.shared().writer.error.take() }
    }

    /// Whether a worker is at writing it.
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

    /// Has the writer accept so many bytes, if there is room; it is told first how many were read ahead.
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

    /// Accepts bytes, if nothing else has to be done for that: there is nothing to be told, and no worker to be called.
    #[inline]
    pub(crate) fn write_at_hand(&mut self, bytes: &[u8]) -> bool {
        if self.handle.is_settled() || self.own().reader.len() > 0 {
            return false;
        }
        let mut shared = self.handle.shared();
        let Shared { stale, writer, .. } = &mut *shared;
        !*stale && writer.push_quietly(bytes)
    }

    /// Accepts bytes that stay where they are and do not change, if there is room.
    pub fn write_shared(&mut self, data: Data) -> Result<(), Data> {
        let mut data = Some(data);
        let length = data.as_ref().map_or(0, |data| data.bytes().len());
        self.accept(length, |writer| data.take().into_iter().for_each(|data| writer.push_shared(data)));
        data.map_or(Ok(()), Err)
    }

    /// A worker's job that writes what there is, if it is needed and none is at it. The caller must submit it.
    pub fn start_writer(&mut self, everything: bool) -> Option<HandleJob> {
        if self.handle.is_settled() {
            return None;
        }
        start_writer(self.handle, &mut self.handle.shared(), everything)
    }

    /// Waits for the writer: the ticket is finished when no more than `until` says is left to be written, or writing has
    /// failed. Nobody waits for a writer that is not there: where none is at it, the caller gets the job and must submit
    /// it, and where there is nothing to be waited for, the ticket is done.
    pub fn await_writer(&mut self, ticket: &Arc<Ticket>, until: WriterState) -> Option<HandleJob> {
        let mut shared = self.handle.shared();
        // A writer that has failed meanwhile does not try again before somebody has been told.
        if shared.writer.is_done() || (shared.writer.error.is_some() && !shared.writer.running) {
            drop(shared);
            ticket.finish(Ok(Outcome::Done));
            return None;
        }
        let left = match until {
            WriterState::Written => 0,
            WriterState::RoomFor(length) => Writer::room_for(length),
        };
        shared.writer.waiter = Some(Waiter { ticket: Arc::clone(ticket), left });
        start_writer(self.handle, &mut shared, true)
    }

    // The position.

    /// Where the next read or write begins, if that can be told without waiting.
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

    /// Moves the position, if that needs no waiting.
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

    /// Closes the file, if that cannot wait, and there is no error to be told of: one that was only read, and has a name.
    pub fn close_now(&mut self) -> bool {
        let close = self.handle.closes_descriptor;
        if !self.handle.is_settled() {
            return false;
        }
        let Some(open) = &self.own().file else { return true };
        if close {
            let (info, now) = (&self.handle.info, runtime::now());
            let local = info.mount.is_some_and(|mount| self.handle.engine().permits(mount, now));
            // The last descriptor of a file without a name gives its blocks back.
            let named = || platform::metadata_of(open).is_ok_and(|metadata| metadata.links > 0);
            if !local || !self.handle.info.only_read || !named() {
                return false;
            }
        }
        let Some(file) = self.take_file() else { return true };
        if close {
            drop(file);
        } else {
            let _ = platform::into_descriptor(file);
        }
        true
    }

    /// Takes the file away, which nobody else uses.
    fn take_file(&mut self) -> Option<File> {
        self.own_mut().file = None;
        let file = self.handle.shared().file.take();
        file.and_then(Arc::into_inner)
    }

    /// Gives the file up: whoever asks is to close it, or not. Blocks while what is buffered is written.
    ///
    /// # Errors
    /// `None` while a worker uses the file; else what writing or moving the position failed with.
    pub fn into_descriptor(&mut self) -> Option<Result<i32, Error>> {
        if self.is_writing() || self.has_positional() {
            return None;
        }
        Some(self.flush_here().and_then(|()| {
            let file = self.take_file().ok_or_else(in_use)?;
            let descriptor = self.handle.presentable(&file).and_then(|_| platform::into_descriptor(file));
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

/// A worker's job that writes what there is, if it is needed and none is at it.
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

/// Sees to it that so many bytes are available, if that needs no waiting.
fn fetch(handle: &Handle, file: Option<&File>, reader: &mut Reader, at_least: usize) -> Fetched {
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
        // SAFETY: `room` has made room for that much.
        match unsafe { read_now(handle, file, &[room], POSITION) } {
            None => return Fetched::Missing,
            Some(0) => return Fetched::End,
            // SAFETY: the kernel has written that many bytes.
            Some(read) => unsafe { reader.grow(read) },
        }
    }
}

/// What can be had without waiting, for decoding.
struct AtHand<'a> {
    handle: &'a Handle,
    file: Option<&'a File>,
    /// There is nothing more to be had for the next chunk.
    all: bool,
}

impl Supply for AtHand<'_> {
    fn fill(&mut self, reader: &mut Reader, at_least: usize) -> io::Result<Supplied> {
        if !std::mem::take(&mut self.all) {
            let at_least = if self.handle.info.regular { at_least } else { 1 };
            if fetch(self.handle, self.file, reader, at_least) == Fetched::Missing {
                return Ok(Supplied::Missing(at_least));
            }
        }
        Ok(Supplied::Ready)
    }
}

/// Reads, if that needs no waiting.
///
/// # Safety
/// The rooms must be valid for writes.
pub(super) unsafe fn read_now(handle: &Handle, file: &File, rooms: &[IoVec], offset: i64) -> Option<usize> {
    // SAFETY: the caller's promise.
    unsafe { handle.engine().read_now(file, handle.info.mount?, &handle.times, rooms, offset) }
}
