//! Marks: where a text file was before text was taken from it, for whoever gives the text back.
//!
//! Decoded text cannot just be put in front of what comes next: where line ends were translated, it has fewer bytes than
//! what it was made of, and nobody could tell any more where in the file it is.

use super::reader::Reader;
use crate::platform::{self, File};
use crate::text::Decoder;

/// Where a text file was.
#[derive(Debug)]
pub enum Mark {
    /// The decoder had what was taken, behind so many bytes.
    Decoded(usize),
    /// A place in the file, and the decoder as it was there.
    Place(u64, Box<Decoder>),
}

impl Mark {
    /// Where the file is now; `None` where one cannot go back to that, or there is no memory for it.
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

    /// Goes back; `false` where that is not possible. `taken`: so many bytes of decoded text had been taken.
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
