//! What a task has done to a file, so that it can be undone where nobody is told of it.

use super::guard::Guard;
use super::job::TaskBuffer;
use super::mark::Mark;
use super::reply::Reply;
use crate::error::Error;
use crate::memory::copied;

/// What a cancelled operation had taken, to be put back.
#[derive(Debug)]
pub enum Unread {
    /// Bytes, in front of what can be read.
    Bytes(Vec<u8>),
    /// Decoded text, in front of what the decoder has.
    Text(Vec<u8>),
    /// Whatever was taken since: the file goes back.
    Since(Mark),
}

/// What a task has done beside its reply.
#[derive(Default)]
pub(super) struct Trace {
    /// The caller's memory that was read into, and how much of it was filled before.
    pub(super) room: Option<(TaskBuffer, usize)>,
    /// From where the position was moved.
    pub(super) moved_from: Option<u64>,
    /// It was to write: where it failed, somebody has to be told.
    pub(super) wrote: bool,
}

impl Trace {
    /// Nobody is going to learn of the reply: what was read is as if it had been read ahead, the position is where it
    /// was, and of what could not be written the next call is told.
    pub(super) fn undo(&mut self, guard: &mut Guard<'_>, reply: Result<Reply, Error>) {
        match reply {
            Ok(Reply::Text(text)) => guard.give_back(*text),
            Ok(Reply::LaidOut(fill)) => guard.give_back(fill.into_text()),
            // Without the memory for it, what was read is lost, unless the file goes back.
            Ok(Reply::Lines(lines)) => {
                guard.restore(Unread::Text(copied(lines.rest()).unwrap_or_default()));
            }
            // To be found undecodable once more.
            Ok(Reply::Undecodable(bytes)) => {
                let known = guard.decoder().map_or(0, |decoder| decoder.undecoded());
                guard.put_back(&bytes[known.min(bytes.len())..]);
            }
            Ok(Reply::ReadInto { length, tail }) => {
                let room = self.room.as_mut().map(|(room, have)| &room.bytes()[*have..length]);
                guard.append_all(&[room.unwrap_or_default(), &tail]);
            }
            Ok(Reply::Count(count)) => {
                if let Some((room, _)) = &mut self.room {
                    guard.append(&room.bytes()[..count as usize]);
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
