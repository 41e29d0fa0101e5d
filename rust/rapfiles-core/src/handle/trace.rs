//! What a task has done to a file, so that it can be undone where nobody is told of it.

use super::job::TaskRoom;
use super::turn::{Inner, Salvage};
use crate::error::Error;
use crate::outcome::Outcome;
use crate::platform;

/// What a task has done beside its outcome.
#[derive(Default)]
pub(super) struct Trace {
    /// The caller's memory that was read into, and how much of it was filled before.
    pub(super) room: Option<(TaskRoom, usize)>,
    /// From where the position was moved.
    pub(super) moved_from: Option<u64>,
    /// It was to write: where it failed, somebody has to be told.
    pub(super) wrote: bool,
}

impl Trace {
    /// Nobody is going to learn of the outcome: what was read is as if it had been read ahead, the position is where it
    /// was, and of what could not be written the next call is told.
    pub(super) fn undo(&mut self, inner: &mut Inner, outcome: Result<Outcome, Error>) {
        match outcome {
            Ok(Outcome::Text(text)) => inner.restore(Salvage::Text(text.into_content())),
            Ok(Outcome::TextFilled(fill)) => inner.restore(Salvage::Text(fill.into_text().into_content())),
            Ok(Outcome::Lines(lines)) => inner.restore(Salvage::Text(lines.rest().to_vec())),
            // To be found undecodable once more.
            Ok(Outcome::Undecodable(bytes)) => {
                let known = inner.decoder.as_ref().map_or(0, |decoder| decoder.undecoded());
                inner.reader.put_back(&bytes[known.min(bytes.len())..]);
            }
            Ok(Outcome::Filled { length, tail }) => {
                if let Some((room, have)) = &mut self.room {
                    inner.reader.append(&room.bytes()[*have..length]);
                }
                inner.reader.append(&tail);
            }
            Ok(Outcome::Count(count)) => {
                if let Some((room, _)) = &mut self.room {
                    inner.reader.append(&room.bytes()[..count as usize]);
                }
                if let (Some(before), Some(file)) = (self.moved_from, &inner.file) {
                    // Where the position can be moved, it can be moved back.
                    let _ = platform::seek(file, before as i64, platform::FROM_START);
                    inner.reader.restart();
                }
            }
            Err(error) if self.wrote => {
                inner.writer.error.get_or_insert(error);
            }
            _ => {}
        }
    }
}
