//! The read buffer: bytes that have been read ahead.

use std::io;

use crate::cached::IoVec;
use crate::limits::{FIRST_READ_AHEAD, MOST_READ_AHEAD};
use crate::platform::{self, EventSignal, File};

/// Bytes that have been read from a file and not been returned yet.
#[derive(Debug)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
    /// The bytes before this have been returned already. They are kept while there is room, for seeking back.
    start: usize,
    window: usize,
    /// Whether anything has been read.
    begun: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self { buffer: Vec::new(), start: 0, window: FIRST_READ_AHEAD, begun: false }
    }
}

impl Reader {
    /// The available bytes.
    #[inline]
    pub(crate) fn available(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// The number of available bytes.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Consumes this many bytes.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.buffer.len());
    }

    /// Discards everything: the file's position has been moved.
    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
        self.start = 0;
    }

    /// Notes a read past the empty buffer: the file's position is no longer at the end of the buffer's content.
    pub(crate) fn pass_by(&mut self) {
        if self.len() == 0 {
            self.clear();
        }
    }

    /// Discards everything, and begins again with the smallest read-ahead.
    pub(crate) fn restart(&mut self) {
        self.clear();
        self.window = FIRST_READ_AHEAD;
    }

    /// Puts bytes back in front of the available ones. If memory cannot be allocated, the file's position is moved back
    /// instead, so that they are read again.
    ///
    /// # Errors
    /// That is not possible either: the bytes are lost.
    pub(crate) fn put_back(&mut self, bytes: &[u8], file: Option<&File>) -> io::Result<()> {
        if self.buffer.try_reserve(bytes.len()).is_err() {
            go_back(file, self.len() + bytes.len())?;
            self.clear();
            return Ok(());
        }
        self.buffer.splice(..self.start, bytes.iter().copied());
        self.start = 0;
        Ok(())
    }

    /// Appends pieces that were read from the file past the buffer; if memory cannot be allocated, like `put_back`.
    ///
    /// # Errors
    /// Those of `put_back`.
    pub(crate) fn append(&mut self, parts: &[&[u8]], file: Option<&File>) -> io::Result<()> {
        let length = parts.iter().map(|part| part.len()).sum();
        if self.buffer.try_reserve(length).is_err() {
            return go_back(file, length);
        }
        parts.iter().for_each(|part| self.buffer.extend_from_slice(part));
        Ok(())
    }

    /// Moves the position within the buffer by this offset, if the buffer contains it.
    pub(crate) fn move_by(&mut self, offset: i64) -> bool {
        let target = self.start as i64 + offset;
        let within = 0 <= target && target <= self.buffer.len() as i64;
        if within {
            self.start = target as usize;
        }
        within
    }

    /// Notes that reading begins; returns whether it had begun before.
    pub(crate) fn begin(&mut self) -> bool {
        std::mem::replace(&mut self.begun, true)
    }

    /// How much the next read should request, to make `at_least` bytes available.
    fn wanted(&self, at_least: usize, most: usize) -> usize {
        self.window.min(most).max(at_least.saturating_sub(self.len()).min(MOST_READ_AHEAD))
    }

    /// The buffer for the next read.
    ///
    /// # Errors
    /// Memory cannot be allocated.
    pub(crate) fn room(&mut self, at_least: usize, most: usize) -> io::Result<IoVec> {
        let wanted = self.wanted(at_least, most);
        self.begun = true;
        if self.start == self.buffer.len() {
            self.clear();
        }
        if self.buffer.capacity() - self.buffer.len() < wanted {
            self.buffer.drain(..self.start);
            self.start = 0;
            if wanted > FIRST_READ_AHEAD {
                // The memory is freed with each file, and allocated again with the next.
                platform::keep_freed_memory();
            }
            self.buffer.try_reserve(wanted)?;
        }
        Ok(IoVec { start: self.buffer.spare_capacity_mut().as_mut_ptr().cast(), length: wanted })
    }

    /// Notes that this many bytes have been read into that buffer.
    ///
    /// # Safety
    /// They have been written there.
    pub(crate) unsafe fn grow(&mut self, count: usize) {
        // SAFETY: guaranteed by the caller.
        unsafe { self.buffer.set_len(self.buffer.len() + count) };
        if count >= self.window {
            self.window = (self.window * 2).min(MOST_READ_AHEAD);
        }
    }

    /// Reads once. Zero is the end of the file.
    fn read(&mut self, file: &File, at_least: usize) -> io::Result<usize> {
        let IoVec { start, length } = self.room(at_least, usize::MAX)?;
        // SAFETY: `room` has made room for that much.
        let read = unsafe { platform::read(file, start, length) }?;
        // SAFETY: the system has written that many bytes.
        unsafe { self.grow(read) };
        Ok(read)
    }

    /// Reads until this many bytes are available or the file ends; `once`: only until any bytes are available.
    ///
    /// `signal`: interrupts waiting for another process.
    pub(crate) fn read_ahead(
        &mut self,
        file: &File,
        at_least: usize,
        once: bool,
        signal: Option<&EventSignal>,
    ) -> io::Result<Filled> {
        while self.len() < at_least {
            if signal.is_some() && !platform::wait_to_read(file, signal)? {
                return Ok(Filled::Interrupted);
            }
            match self.read(file, at_least) {
                Ok(0) => return Ok(Filled::End),
                Ok(_) if once => break,
                Ok(_) => {}
                Err(error) if platform::would_block(&error) => return Ok(Filled::WouldBlock),
                Err(error) => return Err(error),
            }
        }
        Ok(Filled::Enough)
    }
}

/// The result of filling the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filled {
    Enough,
    End,
    WouldBlock,
    Interrupted,
}

/// Moves the file's position back by this many bytes.
fn go_back(file: Option<&File>, length: usize) -> io::Result<()> {
    let file = file.ok_or_else(no_memory)?;
    let offset = i64::try_from(length).map_err(|_| no_memory())?;
    // Pipes, sockets and the like have no position (ESPIPE of `lseek(2)`).
    platform::seek(file, -offset, platform::FROM_HERE).map(drop).map_err(|_| no_memory())
}

pub(crate) fn no_memory() -> io::Error {
    io::ErrorKind::OutOfMemory.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_back_comes_first() {
        let mut reader = Reader::default();
        reader.append(&[b"abc", b"def"], None).unwrap();
        reader.consume(3);
        reader.put_back(b"BC", None).unwrap();
        assert_eq!(reader.available(), b"BCdef");
    }

    #[test]
    fn one_can_go_back_within_the_buffer() {
        let mut reader = Reader::default();
        reader.append(&[b"abc", b"def"], None).unwrap();
        reader.consume(4);
        assert!(reader.move_by(-4) && !reader.move_by(-1) && reader.move_by(6) && !reader.move_by(1));
        assert_eq!(reader.len(), 0);
    }
}
