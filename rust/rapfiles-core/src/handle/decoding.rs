//! Decoding a file chunk by chunk: on the loop from the page cache, and in a worker if reading blocks.

use std::io;

use super::reader::{Filled, Reader, no_memory};
use crate::platform::{EventSignal, File};
use crate::text::{Decoder, Undecoded};

/// The source of the bytes to decode.
pub(super) trait Supply {
    /// Ensures that `at_least` bytes are available, unless the file ends or what this supply does not do is needed.
    fn fill(&mut self, reader: &mut Reader, at_least: usize) -> io::Result<Supplied>;
}

/// The result of a supply.
pub(super) enum Supplied {
    /// Everything that could be supplied is available.
    Ready,
    /// Waiting for it was interrupted.
    Interrupted,
    /// A worker has to read this many bytes.
    Missing(usize),
}

/// The result of decoding.
pub(super) enum Decoding {
    /// Enough is decoded.
    Enough,
    /// The file has ended.
    End,
    /// Bytes that are not valid in the encoding. They are consumed, as in a synchronous text file.
    Undecodable(Vec<u8>),
    /// A worker has to read this many bytes first.
    Missing(usize),
    /// This many of the available bytes have to be decoded by the caller.
    Foreign(usize),
}

/// Decodes chunks, as a synchronous text file would, until that is enough. `wanted`: looks at what there is, and says
/// how many characters are still to come, where that is known; `None`: it is enough.
pub(super) fn decode_until(
    supply: &mut impl Supply,
    reader: &mut Reader,
    decoder: &mut Decoder,
    mut wanted: impl FnMut(&mut Decoder) -> Option<usize>,
) -> io::Result<Decoding> {
    while let Some(characters) = wanted(decoder) {
        let size = decoder.next_input(characters);
        match supply.fill(reader, size)? {
            Supplied::Ready => {}
            Supplied::Missing(at_least) => return Ok(Decoding::Missing(at_least)),
            Supplied::Interrupted if reader.len() == 0 => return Ok(Decoding::End),
            Supplied::Interrupted => {}
        }
        let count = reader.len().min(size);
        if !decoder.is_native() {
            return Ok(Decoding::Foreign(count));
        }
        let before = decoder.len();
        match decoder.decode(&reader.available()[..count], count == 0) {
            Ok(()) => reader.consume(count),
            Err(Undecoded::Invalid(bytes)) => {
                reader.consume(count);
                return Ok(Decoding::Undecodable(bytes));
            }
            Err(Undecoded::OutOfMemory) => return Err(no_memory()),
        }
        // At the end, a pending carriage return may still come.
        if count == 0 && decoder.len() == before {
            return Ok(Decoding::End);
        }
    }
    Ok(Decoding::Enough)
}

/// A worker's supply: waits for the file, and for other processes, which can be interrupted.
pub(super) struct Waiting<'a> {
    pub(super) file: &'a File,
    pub(super) signal: Option<&'a EventSignal>,
}

impl Supply for Waiting<'_> {
    fn fill(&mut self, reader: &mut Reader, at_least: usize) -> io::Result<Supplied> {
        let at_least = if self.signal.is_some() { 1 } else { at_least };
        Ok(match reader.read_ahead(self.file, at_least, false, self.signal)? {
            Filled::Interrupted => Supplied::Interrupted,
            Filled::Enough | Filled::End | Filled::WouldBlock => Supplied::Ready,
        })
    }
}
