//! Access to a text file for the holder of the turn that reads it: its file, its buffer and its decoder.

use std::io;

use super::complaint::Complaint;
use super::decoding::{Decoding, Supplied, Supply, decode_until};
use super::guard::{Fetched, Guard, fetch, left_after};
use super::handle::{Exclusive, Handle};
use super::mark::{go_back, mark};
use super::reader::Reader;
use crate::error::{About, Error, Subject};
use crate::limits::SHORT_TEXT;
use crate::memory::copied;
use crate::platform::File;
use crate::text::{Decoder, Mark, Text, Undecoded};

/// Access to an open text file that is read, borrowed of a [`Guard`].
pub struct TextGuard<'a> {
    handle: &'a Handle,
    file: &'a File,
    reader: &'a mut Reader,
    /// The decoder, which the buffer feeds.
    pub decoder: &'a mut Decoder,
}

impl Guard<'_> {
    /// Access to a text file for reading.
    ///
    /// # Errors
    /// It is closed; or it has no decoder, because the text layer has been taken away. (One that is only written has none
    /// either: that comes first.)
    #[inline]
    pub fn text(&mut self) -> Result<TextGuard<'_>, Complaint> {
        let (handle, Exclusive { file, reader, decoder }) = self.parts();
        let file = file.as_deref().ok_or(Complaint::ClosedStream)?;
        let decoder = decoder.as_deref_mut().ok_or(Complaint::Detached)?;
        Ok(TextGuard { handle, file, reader, decoder })
    }
}

impl TextGuard<'_> {
    /// The bytes that have been read ahead, and not been decoded.
    #[inline]
    pub fn available(&self) -> &[u8] {
        self.reader.available()
    }

    /// Consumes this many of the available bytes.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        self.reader.consume(count);
    }

    /// Ensures that `at_least` bytes are available, if that does not block.
    pub fn fetch(&mut self, at_least: usize) -> Fetched {
        fetch(self.handle, Some(self.file), self.reader, at_least)
    }

    /// As [`Guard::left`].
    pub fn left(&mut self) -> Option<usize> {
        left_after(self.reader, self.file, &self.handle.info)
    }

    /// Where the file is, to go back there; `None` if that is not possible.
    pub fn mark(&self) -> Option<Mark> {
        mark(self.file, self.reader, self.decoder, self.handle.info.regular)
    }

    /// Whether the available bytes are ASCII without line ends to translate, which is decoded very fast.
    pub fn is_plain(&self) -> bool {
        self.available().is_ascii() && memchr::memchr(b'\r', self.available()).is_none()
    }

    /// Decodes everything up to the end of the file, which has been read, with the native decoder.
    ///
    /// # Errors
    /// It is not valid in that encoding, or memory cannot be allocated.
    pub fn decode_rest(&mut self) -> Result<Text, Undecoded> {
        // The string of a short text is created at once.
        let mark = if self.available().len() > SHORT_TEXT { self.mark() } else { None };
        let Ok(rest) = copied(self.available()) else { return Err(Undecoded::OutOfMemory) };
        self.reader.clear();
        match self.decoder.decode_rest(rest) {
            Ok(text) => Ok(text.taken_from(mark)),
            Err(Undecoded::OutOfMemory) => {
                if let Some(mark) = mark {
                    go_back(mark, self.file, self.reader, self.decoder, 0);
                }
                Err(Undecoded::OutOfMemory)
            }
            Err(undecoded) => Err(undecoded),
        }
    }

    /// Decodes until `wanted` is satisfied, as far as that does not block. `all`: nothing but the available bytes can
    /// be decoded.
    ///
    /// # Errors
    /// Memory cannot be allocated.
    #[inline]
    pub(super) fn decode_until(
        &mut self,
        all: bool,
        wanted: impl FnMut(&mut Decoder) -> Option<usize>,
    ) -> Result<Decoding, Error> {
        let mut supply = AtHand { handle: self.handle, file: self.file, all };
        decode_until(&mut supply, self.reader, self.decoder, wanted).about(Subject::Nothing)
    }
}

/// The supply of bytes for decoding that does not block.
struct AtHand<'a> {
    handle: &'a Handle,
    file: &'a File,
    /// Whether nothing more can be read for the next chunk.
    all: bool,
}

impl Supply for AtHand<'_> {
    fn fill(&mut self, reader: &mut Reader, at_least: usize) -> io::Result<Supplied> {
        if !std::mem::take(&mut self.all) {
            let at_least = if self.handle.info.regular { at_least } else { 1 };
            if fetch(self.handle, Some(self.file), reader, at_least) == Fetched::Missing {
                return Ok(Supplied::Missing(at_least));
            }
        }
        Ok(Supplied::Ready)
    }
}
