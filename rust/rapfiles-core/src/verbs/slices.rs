//! Large reads on the loop: in slices, between which other tasks run.
//!
//! Handing a read to a worker and back takes as long as copying some hundred kilobytes. So up to
//! [`READ_IN_SLICES`](crate::limits::READ_IN_SLICES) it is cheaper in total to copy from the page cache on the loop,
//! which is blocked for at most [`SLICE_TIME`] at a time.

#![cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has tier 0"))]

use std::time::Duration;

use crate::cached::IoVec;
use crate::engine::runtime;
use crate::limits::{FIRST_SLICE, LARGEST_SLICE, SLICE_TIME, SMALLEST_SLICE};
use crate::platform;

/// Slices end at page boundaries, if possible.
const PAGE: usize = 4 << 10;

/// From this size on, glibc maps the memory for a result and unmaps it when it is freed, until its dynamic threshold
/// has risen (`M_MMAP_THRESHOLD` in `mallopt(3)`).
const MAPPED_BY_MALLOC: usize = 128 << 10;

/// The state of a read in slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sliced {
    /// Everything has been read.
    Complete,
    /// The file ends here.
    End(usize),
    /// Other tasks should run.
    Pause,
    /// A worker has to do it, from the beginning: something is not in the page cache, or the file has grown.
    Missing,
}

/// A read in slices, at an offset of a file: its position is not moved, so that nothing has to be put back if the read
/// is abandoned.
#[derive(Debug)]
pub struct Slices {
    offset: u64,
    length: usize,
    done: usize,
    to_end: bool,
}

impl Slices {
    /// A read of `length` bytes from `offset` on. `to_end`: they are the rest of the file.
    pub(crate) fn new(offset: u64, length: usize, to_end: bool) -> Self {
        if length >= MAPPED_BY_MALLOC {
            platform::keep_freed_memory();
        }
        Self { offset, length, done: 0, to_end }
    }

    /// The offset after the bytes that have been read.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.done as u64
    }

    /// How many bytes have been read.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Continues to read until it has to pause.
    ///
    /// # Safety
    /// `start` must be valid for writes of `length` bytes and, if the read goes to the end of the file, of one more.
    /// `read` must not write beyond the buffer that it is given.
    pub(crate) unsafe fn advance(
        &mut self,
        start: *mut u8,
        mut read: impl FnMut(IoVec, u64) -> Option<usize>,
    ) -> Sliced {
        let began = runtime::now();
        let until = began + SLICE_TIME;
        let mut last = began;
        let mut slice = FIRST_SLICE;
        loop {
            let rest = self.length - self.done;
            let wanted = if slice < rest { slice / PAGE * PAGE } else { rest };
            // The last call requests one byte more than the file had, to see whether it has grown.
            let more = usize::from(self.to_end && wanted == rest);
            // SAFETY: guaranteed by the caller.
            let room = IoVec { start: unsafe { start.add(self.done) }, length: wanted + more };
            let count = match read(room, self.offset + self.done as u64) {
                None => return Sliced::Missing,
                Some(0) => return if rest == 0 { Sliced::Complete } else { Sliced::End(self.done) },
                Some(count) if count > rest => return Sliced::Missing,
                // Only a part of the slice was in the page cache, or the file ends within it: the next call shows
                // which.
                Some(count) => count,
            };
            self.done += count;
            if self.done == self.length {
                return Sliced::Complete;
            }
            let now = runtime::now();
            let fits =
                fitting(count, now.saturating_duration_since(last), until.saturating_duration_since(now));
            slice = fits.min(LARGEST_SLICE);
            if slice < SMALLEST_SLICE.min(self.length - self.done) {
                return Sliced::Pause;
            }
            last = now;
        }
    }
}

/// How much can be read in the time that is left, by how long the previous call took.
fn fitting(count: usize, took: Duration, left: Duration) -> usize {
    // The times are so short that neither exceeds 64 bits.
    (count as u64 * left.as_nanos() as u64 / (took.as_nanos() as u64).max(1)) as usize
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::limits::READ_IN_SLICES;

    /// Reads in slices what a file of this content has from `offset` on, `extent` bytes at most with each call.
    fn read(content: &[u8], offset: usize, length: usize, to_end: bool, extent: usize) -> (Sliced, Vec<u8>) {
        let mut room = vec![0_u8; length + 1];
        let mut slices = Slices::new(offset as u64, length, to_end);
        loop {
            // SAFETY: there is room for one byte more, and no more is written than there is room for.
            let sliced = unsafe {
                slices.advance(room.as_mut_ptr(), |room, offset| {
                    let rest = content.get(offset as usize..).unwrap_or_default();
                    let count = room.length.min(rest.len()).min(extent);
                    std::ptr::copy_nonoverlapping(rest.as_ptr(), room.start, count);
                    Some(count)
                })
            };
            if sliced != Sliced::Pause {
                room.truncate(slices.done);
                return (sliced, room);
            }
        }
    }

    #[test]
    fn everything_arrives_in_whatever_pieces() {
        let content: Vec<u8> = (0..FIRST_SLICE * 3).map(|number| (number / 7) as u8).collect();
        for length in [1, FIRST_SLICE - 1, FIRST_SLICE, FIRST_SLICE + 1, FIRST_SLICE * 2 - 5] {
            for extent in [usize::MAX, FIRST_SLICE, 4096] {
                let (sliced, read) = read(&content, 5, length, false, extent);
                assert_eq!((sliced, &read[..]), (Sliced::Complete, &content[5..5 + length]));
            }
        }
        let (sliced, read) = read(&content, 0, content.len(), true, usize::MAX);
        assert!(sliced == Sliced::Complete && read == content);
    }

    #[test]
    fn what_has_shrunk_ends_and_what_has_grown_is_for_a_worker() {
        let content = vec![7; FIRST_SLICE * 2];
        assert_eq!(read(&content, 0, FIRST_SLICE * 2 + 1, true, usize::MAX).0, Sliced::End(FIRST_SLICE * 2));
        assert_eq!(read(&content, 0, FIRST_SLICE * 3, false, 4096).0, Sliced::End(FIRST_SLICE * 2));
        assert_eq!(read(&content, 0, FIRST_SLICE * 2 - 1, true, usize::MAX).0, Sliced::Missing);
        assert_eq!(read(&content, 0, FIRST_SLICE * 2 - 1, false, usize::MAX).0, Sliced::Complete);
    }

    #[test]
    fn nobody_holds_the_loop_for_long() {
        let mut room = vec![0_u8; READ_IN_SLICES];
        let mut slices = Slices::new(0, READ_IN_SLICES, false);
        let mut calls = 0;
        // SAFETY: nothing is written.
        let sliced = unsafe {
            slices.advance(room.as_mut_ptr(), |room, _| {
                calls += 1;
                let until = Instant::now() + SLICE_TIME;
                while Instant::now() < until {}
                Some(room.length)
            })
        };
        assert_eq!((sliced, calls), (Sliced::Pause, 1));
    }
}
