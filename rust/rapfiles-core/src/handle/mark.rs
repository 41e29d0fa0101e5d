//! Setting marks in a file, and returning to them.

use super::reader::Reader;
use crate::platform::{self, File};
use crate::text::{Decoder, Mark};

/// The current position; `None` if it is not possible to return to it, or memory cannot be allocated.
///
/// `regular`: whether what was read can be read again.
pub(super) fn mark(file: &File, reader: &Reader, decoder: &Decoder, regular: bool) -> Option<Mark> {
    if !regular {
        return None;
    }
    // Moving nowhere waits for nothing, on a network's file systems neither.
    let position = platform::seek(file, 0, platform::FROM_HERE).ok()?;
    let position = position.checked_sub(reader.len() as u64)?;
    Some(Mark::Place(position, Box::new(decoder.try_clone().ok()?)))
}

/// Returns to a mark; `false` if that is not possible. `taken`: the number of bytes of decoded text that were taken.
pub(super) fn go_back(
    mark: Mark,
    file: &File,
    reader: &mut Reader,
    decoder: &mut Decoder,
    taken: usize,
) -> bool {
    match mark {
        Mark::Decoded(used) => decoder.give_back(used, taken),
        Mark::Place(position, before) => {
            let position = i64::try_from(position).unwrap_or(i64::MAX);
            let moved = platform::seek(file, position, platform::FROM_START).is_ok();
            if moved {
                reader.restart();
                *decoder = *before;
            }
            moved
        }
    }
}
