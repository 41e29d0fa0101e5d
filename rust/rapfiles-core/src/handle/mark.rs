//! Marks: the position of a text file before text was taken from it, for giving the text back.
//!
//! Decoded text cannot just be put back in front of what follows: if line ends were translated, it has fewer bytes than
//! the file, and its position in the file would be lost.

use super::reader::Reader;
use crate::platform::{self, File};
use crate::text::Decoder;

/// A position of a text file.
#[derive(Debug)]
pub enum Mark {
    /// The text was in the decoder, after this many bytes.
    Decoded(usize),
    /// A position in the file, and the decoder's state there.
    Place(u64, Box<Decoder>),
}

impl Mark {
    /// The current position; `None` if it is not possible to return to it, or memory cannot be allocated.
    ///
    /// `regular`: whether what was read can be read again.
    pub(super) fn set(file: &File, reader: &Reader, decoder: &Decoder, regular: bool) -> Option<Self> {
        if !regular {
            return None;
        }
        // Moving nowhere waits for nothing, on a network's file systems neither.
        let position = platform::seek(file, 0, platform::FROM_HERE).ok()?;
        let position = position.checked_sub(reader.len() as u64)?;
        Some(Self::Place(position, Box::new(decoder.try_clone().ok()?)))
    }

    /// Returns to it; `false` if that is not possible. `taken`: the number of bytes of decoded text that were taken.
    pub(super) fn go_back(
        self,
        file: &File,
        reader: &mut Reader,
        decoder: &mut Decoder,
        taken: usize,
    ) -> bool {
        match self {
            Self::Decoded(used) => decoder.give_back(used, taken),
            Self::Place(position, before) => {
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
}
