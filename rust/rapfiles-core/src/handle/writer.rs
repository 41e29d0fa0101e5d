//! The write buffer: bytes that have been accepted and not been passed to the kernel yet.

use std::collections::VecDeque;
use std::sync::Arc;

use super::guard::WriterState;
use crate::engine::ticket::Ticket;
use crate::error::Error;
use crate::limits::{WRITE_FROM, WRITE_MOST_WAITING, WRITE_PIECE};
use crate::verbs::write::Data;

/// An operation that waits for the writer, and for what.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) until: WriterState,
}

/// Bytes that have been accepted, in the order in which they are written.
#[derive(Debug)]
pub(crate) struct Writer {
    pieces: VecDeque<Data>,
    /// The number of bytes in the pieces.
    waiting: usize,
    /// The number of bytes that a worker is writing.
    in_hand: usize,
    /// A buffer that has been written and can be filled again.
    spare: Vec<u8>,
    /// Whether a worker is writing.
    pub(crate) running: bool,
    /// The number of bytes that were read ahead before the first write: the file's position has to be moved back by
    /// them.
    pub(crate) rewind: u64,
    /// Why the last attempt to write failed, for the next call to raise.
    pub(crate) error: Option<Error>,
    pub(crate) waiter: Option<Waiter>,
    worthwhile: usize,
}

/// What is left of a piece after an attempt to write it. It is made without the lock: releasing the memory of a large
/// piece takes milliseconds, and the event loop may want the lock.
pub(crate) struct Rest {
    unwritten: Option<Data>,
    /// Its buffer, if it can be filled again.
    spare: Vec<u8>,
}

impl Rest {
    /// What is left after `written` bytes.
    pub(crate) fn of(piece: Data, written: usize) -> Self {
        let is_written = written == piece.bytes().len();
        match piece {
            Data::Owned(bytes) if is_written && bytes.capacity() <= WRITE_PIECE * 2 => {
                Self { unwritten: None, spare: bytes }
            }
            _ if is_written => Self { unwritten: None, spare: Vec::new() },
            Data::Owned(mut bytes) => {
                bytes.drain(..written);
                Self { unwritten: Some(Data::Owned(bytes)), spare: Vec::new() }
            }
            Data::Shared(mut bytes) => {
                bytes.skip(written);
                Self { unwritten: Some(Data::Shared(bytes)), spare: Vec::new() }
            }
        }
    }
}

impl Writer {
    /// A writer for a buffer of this size; `None` for the default.
    pub(crate) fn new(buffer_size: Option<usize>) -> Self {
        Self {
            pieces: VecDeque::new(),
            waiting: 0,
            in_hand: 0,
            spare: Vec::new(),
            running: false,
            rewind: 0,
            error: None,
            waiter: None,
            worthwhile: buffer_size.unwrap_or(WRITE_FROM).min(WRITE_FROM),
        }
    }

    /// The bytes that the kernel does not have yet.
    pub(crate) fn unwritten(&self) -> usize {
        self.waiting + self.in_hand
    }

    /// Whether the kernel has everything, and the file's position need not be moved back.
    pub(crate) fn is_done(&self) -> bool {
        self.unwritten() == 0 && !self.running
    }

    /// Whether there is enough to write.
    pub(crate) fn is_worthwhile(&self) -> bool {
        self.waiting >= self.worthwhile
    }

    /// Whether `length` more bytes can be accepted.
    pub(crate) fn has_room(&self, length: usize) -> bool {
        self.unwritten() == 0 || self.unwritten() + length <= WRITE_MOST_WAITING
    }

    /// How many bytes may be left for an operation that wants to write `length` bytes.
    pub(crate) fn room_for(length: usize) -> usize {
        // More than just enough: otherwise the worker and the loop would alternate in lockstep.
        (WRITE_MOST_WAITING / 2).min(WRITE_MOST_WAITING.saturating_sub(length))
    }

    /// Accepts bytes by copying them.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.waiting += bytes.len();
        match self.pieces.back_mut() {
            Some(Data::Owned(piece)) if piece.len() + bytes.len() <= WRITE_PIECE => {
                piece.extend_from_slice(bytes)
            }
            _ => {
                let mut piece = std::mem::take(&mut self.spare);
                piece.clear();
                piece.extend_from_slice(bytes);
                self.pieces.push_back(Data::Owned(piece));
            }
        }
    }

    /// Accepts bytes, if there is room, there is no error to raise, and no worker has to be started.
    pub(crate) fn push_quietly(&mut self, bytes: &[u8]) -> bool {
        let unwritten = self.unwritten();
        let quiet = self.error.is_none()
            && unwritten > 0
            && unwritten + bytes.len() <= WRITE_MOST_WAITING
            && (self.running || self.waiting + bytes.len() < self.worthwhile);
        if quiet {
            self.push(bytes);
        }
        quiet
    }

    /// Accepts bytes without copying them.
    pub(crate) fn push_shared(&mut self, data: Data) {
        self.waiting += data.bytes().len();
        self.pieces.push_back(data);
    }

    /// The next piece, for a worker to write.
    pub(crate) fn take(&mut self) -> Option<Data> {
        debug_assert_eq!(self.in_hand, 0);
        let piece = self.pieces.pop_front()?;
        self.in_hand = piece.bytes().len();
        self.waiting -= self.in_hand;
        Some(piece)
    }

    /// Takes back what is left of a piece.
    pub(crate) fn give_back(&mut self, rest: Rest) {
        self.in_hand = 0;
        if let Some(unwritten) = rest.unwritten {
            self.waiting += unwritten.bytes().len();
            self.pieces.push_front(unwritten);
        }
        if rest.spare.capacity() > 0 {
            self.spare = rest.spare;
        }
    }

    /// Takes the waiting operation, if few enough bytes are left for it.
    pub(crate) fn take_waiter(&mut self) -> Option<Arc<Ticket>> {
        let (over, length) = (self.error.is_some() || !self.running, self.unwritten());
        let waiter = self.waiter.take_if(|waiter| {
            over || matches!(waiter.until, WriterState::RoomFor(room) if length <= Self::room_for(room))
        })?;
        Some(waiter.ticket)
    }

    /// There was no thread for the writer: takes the waiting operation, if it cannot go on without it.
    pub(crate) fn take_refused(&mut self) -> Option<Arc<Ticket>> {
        let needed = self.error.is_none() && !self.is_done();
        let waiter = self.waiter.take_if(|waiter| needed && waiter.until != WriterState::Idle)?;
        Some(waiter.ticket)
    }

    /// Notes that nobody gives back the piece that a worker has taken, because of a panic; whether there is one.
    pub(crate) fn lose(&mut self) -> bool {
        std::mem::take(&mut self.in_hand) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_written_comes_first_again() {
        let mut writer = Writer::new(None);
        writer.push(b"abc");
        writer.push(b"def");
        let piece = writer.take().unwrap();
        assert_eq!(piece.bytes(), b"abcdef");
        writer.push(b"ghi");
        assert_eq!(writer.unwritten(), 9);
        writer.give_back(Rest::of(piece, 2));
        assert_eq!(writer.unwritten(), 7);
        assert_eq!(writer.take().unwrap().bytes(), b"cdef");
    }

    #[test]
    fn no_byte_is_lost_where_pieces_end() {
        for length in [WRITE_PIECE - 1, WRITE_PIECE, WRITE_PIECE + 1] {
            let mut writer = Writer::new(None);
            let content: Vec<u8> = (0..length * 2).map(|at| (at % 251) as u8).collect();
            for part in [1, length - 1, length].iter().scan(0, |at, part| {
                *at += part;
                Some(&content[*at - part..*at])
            }) {
                writer.push(part);
            }
            assert_eq!(writer.unwritten(), content.len());
            let mut written = Vec::new();
            while let Some(piece) = writer.take() {
                written.extend_from_slice(piece.bytes());
                let length = piece.bytes().len();
                writer.give_back(Rest::of(piece, length));
            }
            assert!(written == content, "pieces of {length}");
        }
    }

    #[test]
    fn a_full_buffer_has_room_again_when_half_of_it_is_written() {
        let mut writer = Writer::new(None);
        writer.push(&vec![0; WRITE_MOST_WAITING]);
        assert!(!writer.has_room(1));
        assert_eq!(Writer::room_for(1), WRITE_MOST_WAITING / 2);
        assert_eq!(Writer::room_for(WRITE_MOST_WAITING * 2), 0);
    }
}
