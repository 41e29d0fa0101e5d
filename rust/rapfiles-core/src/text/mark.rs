//! Marks: the position of a text file before text was taken from it, for giving the text back.
//!
//! Decoded text cannot just be put back in front of what follows: if line ends were translated, it has fewer bytes than
//! the file, and its position in the file would be lost.

use super::Decoder;

/// A position of a text file.
#[derive(Debug)]
pub enum Mark {
    /// The text was in the decoder, after this many bytes.
    Decoded(usize),
    /// A position in the file, and the decoder's state there.
    Place(u64, Box<Decoder>),
}
