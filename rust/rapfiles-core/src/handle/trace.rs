//! The effects of a task on a file, so that they can be undone if the operation is cancelled.

use super::guard::Guard;
use super::reply::Reply;
use super::task::TaskBuffer;
use crate::error::Error;
use crate::memory::copied;
use crate::text::Mark;

/// What a cancelled operation has taken, to be put back.
#[derive(Debug)]
pub enum Unread {
    /// Bytes, to put in front of the available ones.
    Bytes(Vec<u8>),
    /// Decoded text, to put in front of the decoder's.
    Text(Vec<u8>),
    /// Everything since this mark: the file returns to it.
    Since(Mark),
}

/// The effects of a task besides its reply.
#[derive(Default)]
pub(super) struct Trace {
    /// The caller's memory that was read into, and how many bytes of it were valid before.
    pub(super) buffer: Option<(TaskBuffer, usize)>,
    /// The position before it was moved.
    pub(super) moved_from: Option<u64>,
    /// Whether it writes: then its error has to be raised.
    pub(super) wrote: bool,
}

impl Trace {
    /// Undoes a task whose operation was cancelled: what was read becomes read-ahead, the position is restored, and the
    /// error of a write is kept for the next call.
    pub(super) fn undo(&mut self, guard: &mut Guard<'_>, reply: Result<Reply, Error>) {
        match reply {
            Ok(Reply::Text(text)) => guard.give_back(*text),
            Ok(Reply::LaidOut(fill)) => guard.give_back(fill.into_text()),
            // If memory cannot be allocated, what was read is lost, unless the file goes back.
            Ok(Reply::Lines(lines)) => {
                guard.restore(Unread::Text(copied(lines.rest()).unwrap_or_default()));
            }
            // So that the next read fails to decode them again.
            Ok(Reply::Undecodable(bytes)) => {
                let known = guard.decoder().map_or(0, |decoder| decoder.undecoded());
                guard.put_back(&bytes[known.min(bytes.len())..]);
            }
            Ok(Reply::ReadInto { length, tail }) => {
                let buffer = self.buffer.as_mut().map(|(buffer, have)| &buffer.bytes()[*have..length]);
                guard.append_all(&[buffer.unwrap_or_default(), &tail]);
            }
            Ok(Reply::Count(count)) => {
                if let Some((buffer, _)) = &mut self.buffer {
                    guard.append(&buffer.bytes()[..count as usize]);
                }
                if let Some(before) = self.moved_from {
                    guard.move_back(before);
                }
            }
            Err(error) if self.wrote => {
                guard.leave_error(error);
            }
            _ => {}
        }
    }
}
