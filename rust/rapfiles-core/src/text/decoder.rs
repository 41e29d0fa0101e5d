//! Decoding a text file chunk by chunk, with exactly the results of `io.TextIOWrapper`, including where errors are
//! raised.
//!
//! A synchronous text file decodes 8 KiB at a time (`textiowrapper_read_chunk` in CPython's `Modules/_io/textio.c`),
//! and how it handles an invalid byte or `tell()` depends on where these chunks begin. So the same chunks are decoded
//! here. Decoded text is kept as UTF-8 (or unchanged, for Latin-1): strings are created only when lines or characters
//! are requested.

use std::collections::TryReserveError;

use super::line_feed::line_feed_in;
use super::{Codec, Mark, Newline, Text, decode};
use crate::limits::TEXT_CHUNK;
use crate::memory::{copied, extend, joined};

const CARRIAGE_RETURN: u8 = 1;
const LINE_FEED: u8 = 2;
const BOTH: u8 = 4;

/// The line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnds {
    /// `\n`, `\r` and `\r\n`. `translate`: all become `\n`.
    Universal {
        /// Whether they do.
        translate: bool,
    },
    /// Only this one.
    Fixed(&'static [u8]),
}

/// The form of decoded characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Each byte is a character of ASCII.
    Ascii,
    /// Each byte is a character of Latin-1.
    Latin1,
    /// UTF-8. Surrogates may be among it.
    Utf8,
}

/// Why bytes were not decoded.
#[derive(Debug)]
pub enum Undecoded {
    /// They are not valid in the encoding. Includes the beginning of a character from the previous chunk.
    Invalid(Vec<u8>),
    /// Memory for the characters cannot be allocated. The bytes can be decoded later.
    OutOfMemory,
}

impl From<TryReserveError> for Undecoded {
    fn from(_: TryReserveError) -> Self {
        Self::OutOfMemory
    }
}

/// The user's position in the file, for `tell()`.
#[derive(Debug)]
pub enum Position<'a> {
    /// This many bytes before the position of the buffer.
    Before(usize),
    /// To be found by decoding once more.
    Decode {
        /// What was decoded.
        input: &'a [u8],
        /// Whether a carriage return was pending before.
        pending: bool,
        /// How many of the characters have been used.
        used: usize,
        /// Bytes for each character, when they were last decoded.
        ratio: f64,
    },
}

/// Decoded characters that have not been returned yet, and the state for decoding more.
#[derive(Debug)]
pub struct Decoder {
    /// `None`: the caller decodes.
    codec: Option<Codec>,
    line_ends: LineEnds,
    /// A line ends with the first line feed.
    by_line_feed: bool,
    chunk: Vec<u8>,
    used: usize,
    form: Form,
    /// How much of the chunk has been searched for the end of a line.
    scanned: usize,
    /// The beginning of a character that continues in the next chunk.
    undecoded: Vec<u8>,
    /// The last chunk ended with a carriage return, which the next may make a `\r\n`.
    pending: bool,
    /// The line ends that were seen.
    seen: u8,
    /// The input of the chunk, if it differs from the decoded text.
    input: Option<Vec<u8>>,
    /// Whether a carriage return was pending before it.
    input_pending: bool,
    /// The last read went to the end of the file.
    exhausted: bool,
    ratio: f64,
}

impl Decoder {
    /// A decoder; `codec`: `None` if the chunks are already decoded.
    pub fn new(codec: Option<Codec>, line_ends: LineEnds) -> Self {
        Self {
            codec,
            line_ends,
            by_line_feed: matches!(
                line_ends,
                LineEnds::Universal { translate: true } | LineEnds::Fixed(b"\n")
            ),
            chunk: Vec::new(),
            used: 0,
            form: Form::Ascii,
            scanned: 0,
            undecoded: Vec::new(),
            pending: false,
            seen: 0,
            input: None,
            input_pending: false,
            exhausted: false,
            ratio: 0.0,
        }
    }

    /// A decoder in the same state.
    ///
    /// # Errors
    /// Memory cannot be allocated.
    pub(crate) fn try_clone(&self) -> Result<Self, TryReserveError> {
        Ok(Self {
            chunk: copied(&self.chunk)?,
            undecoded: copied(&self.undecoded)?,
            input: self.input.as_deref().map(copied).transpose()?,
            ..*self
        })
    }

    /// Whether it decodes by itself.
    pub fn is_native(&self) -> bool {
        self.codec.is_some()
    }

    /// Which line ends were seen: 1 for `\r`, 2 for `\n`, 4 for `\r\n`.
    pub fn seen(&self) -> u8 {
        self.seen
    }

    /// Discards the characters that have not been used.
    pub fn clear(&mut self) {
        self.chunk.clear();
        (self.used, self.scanned, self.form, self.input) = (0, 0, Form::Ascii, None);
        (self.input_pending, self.exhausted) = (self.pending, false);
    }

    /// Notes that a read has reached the end of the file, as if another one had found nothing there.
    pub fn exhaust(&mut self) {
        self.clear();
        self.exhausted = true;
    }

    /// As if nothing had been decoded yet, and no line end been seen.
    pub fn restart(&mut self) {
        self.reset(false);
        self.seen = 0;
    }

    /// As if nothing had been decoded yet. `pending`: a carriage return came before.
    pub fn reset(&mut self, pending: bool) {
        self.clear();
        self.undecoded.clear();
        (self.pending, self.input_pending) = (pending, pending);
    }

    /// Whether there are no characters left.
    pub fn is_empty(&self) -> bool {
        self.used == self.chunk.len()
    }

    /// The number of bytes that decoded characters take.
    pub fn len(&self) -> usize {
        self.chunk.len() - self.used
    }

    /// The number of bytes of a character whose rest is in the next chunk.
    pub(crate) fn undecoded(&self) -> usize {
        self.undecoded.len()
    }

    /// The number of available characters.
    pub fn characters(&self) -> usize {
        count(&self.chunk[self.used..], self.form)
    }

    /// How many bytes a synchronous text file would decode next, to get this many characters.
    pub fn next_input(&self, characters: usize) -> usize {
        ((self.ratio.max(1.0) * characters as f64) as usize).max(TEXT_CHUNK)
    }

    /// Makes room for the next chunk after the rest of this one.
    fn begin_chunk(&mut self) {
        if self.is_empty() {
            self.clear();
        } else if self.is_native() && self.input.is_none() && self.used > 0 {
            self.chunk.drain(..self.used);
            self.scanned = self.scanned.saturating_sub(self.used);
            self.used = 0;
        }
    }

    /// Decodes the next bytes of the file. `end`: there are none.
    ///
    /// # Errors
    /// When they are not valid in the encoding. They are used up all the same, as in a synchronous text file.
    pub fn decode(&mut self, bytes: &[u8], end: bool) -> Result<(), Undecoded> {
        self.begin_chunk();
        let from = self.chunk.len();
        let pending_before = self.pending;
        self.chunk.try_reserve(1 + self.undecoded.len() + bytes.len())?;
        if pending_before {
            self.chunk.push(b'\r');
        }
        let begin = self.chunk.len();
        self.chunk.extend_from_slice(&self.undecoded);
        self.chunk.extend_from_slice(bytes);
        let (form, valid) = match self.validate(begin, end) {
            Ok(valid) => valid,
            Err(undecoded) => {
                self.chunk.truncate(from);
                return Err(undecoded);
            }
        };
        let universal = matches!(self.line_ends, LineEnds::Universal { .. });
        let differs =
            universal && (pending_before || memchr::memchr(b'\r', &self.chunk[begin..valid]).is_some());
        let noted = match &mut self.input {
            // What is undecoded is in it already.
            Some(input) => extend(input, bytes),
            None if differs => {
                joined(&[&self.chunk[..from], &self.undecoded, bytes]).map(|input| self.input = Some(input))
            }
            None => Ok(()),
        };
        if let Err(error) = noted {
            self.chunk.truncate(from);
            return Err(error.into());
        }
        self.undecoded.splice(.., self.chunk[valid..].iter().copied());
        self.chunk.truncate(valid);
        if universal {
            if pending_before && begin == valid && !end {
                self.chunk.truncate(from);
            } else {
                self.pending = !end && self.chunk.len() > from && self.chunk.last() == Some(&b'\r');
                if self.pending {
                    self.chunk.pop();
                }
            }
            self.note_line_ends(from);
        }
        self.form = match (from, self.form) {
            (0, _) => form,
            (_, before) if before == form => form,
            (_, Form::Latin1) => Form::Latin1,
            (_, Form::Ascii) => form,
            (_, Form::Utf8) => Form::Utf8,
        };
        let characters = count(&self.chunk[from..], form);
        self.ratio = if characters == 0 { 0.0 } else { bytes.len() as f64 / characters as f64 };
        Ok(())
    }

    /// What form the bytes from `begin` on have, and how far they are whole characters.
    fn validate(&self, begin: usize, end: bool) -> Result<(Form, usize), Undecoded> {
        let bytes = &self.chunk[begin..];
        let undecodable = || copied(bytes).map_or(Undecoded::OutOfMemory, Undecoded::Invalid);
        if bytes.is_ascii() {
            return Ok((Form::Ascii, self.chunk.len()));
        }
        match self.codec {
            Some(Codec::Latin1) => Ok((Form::Latin1, self.chunk.len())),
            Some(Codec::Ascii) => Err(undecodable()),
            Some(Codec::Utf8) | None => match std::str::from_utf8(bytes) {
                Ok(_) => Ok((Form::Utf8, self.chunk.len())),
                Err(error) if error.error_len().is_none() && !end => {
                    Ok((Form::Utf8, begin + error.valid_up_to()))
                }
                Err(_) => Err(undecodable()),
            },
        }
    }

    /// Notes which line ends the chunk has from here on, and translates them if necessary.
    fn note_line_ends(&mut self, from: usize) {
        let chunk = &self.chunk[from..];
        if memchr::memchr(b'\r', chunk).is_none() {
            if self.seen & LINE_FEED == 0 && memchr::memchr(b'\n', chunk).is_some() {
                self.seen |= LINE_FEED;
            }
            return;
        }
        let mut before = b' ';
        for &byte in chunk.iter().chain(b" ") {
            match (before, byte) {
                (b'\r', b'\n') => self.seen |= BOTH,
                (b'\r', _) => self.seen |= CARRIAGE_RETURN,
                (_, b'\n') => self.seen |= LINE_FEED,
                _ => {}
            }
            before = byte;
        }
        if self.line_ends == (LineEnds::Universal { translate: true }) {
            let mut to = from;
            let mut at = from;
            while at < self.chunk.len() {
                let byte = self.chunk[at];
                self.chunk[to] = if byte == b'\r' { b'\n' } else { byte };
                at += if byte == b'\r' && self.chunk.get(at + 1) == Some(&b'\n') { 2 } else { 1 };
                to += 1;
            }
            self.chunk.truncate(to);
        }
    }

    /// Adds characters that the caller has decoded from this many bytes.
    ///
    /// # Errors
    /// Memory cannot be allocated.
    pub fn add(&mut self, text: &[u8], characters: usize, bytes: usize) -> Result<(), TryReserveError> {
        self.begin_chunk();
        self.chunk.try_reserve(text.len())?;
        let ascii = characters == text.len();
        self.form = match self.form {
            Form::Utf8 if !self.chunk.is_empty() => Form::Utf8,
            _ if ascii && (self.chunk.is_empty() || self.form == Form::Ascii) => Form::Ascii,
            _ => Form::Utf8,
        };
        self.chunk.extend_from_slice(text);
        self.ratio = if characters == 0 { 0.0 } else { bytes as f64 / characters as f64 };
        Ok(())
    }

    /// Where the first line ends, its end included.
    #[inline(always)]
    pub fn find_line(&mut self) -> Option<usize> {
        // Most lines are short.
        let found = if self.by_line_feed && self.scanned <= self.used {
            self.chunk.get(self.used..).and_then(line_feed_in).map(|at| at + 1)
        } else {
            self.find_end_of_line()
        };
        if found.is_none() {
            self.scanned = self.chunk.len();
        }
        found
    }

    fn find_end_of_line(&self) -> Option<usize> {
        let chunk = &self.chunk[self.used..];
        let from = self.scanned.saturating_sub(self.used);
        match self.line_ends {
            _ if self.by_line_feed => line_feed_in(&chunk[from..]).map(|at| from + at + 1),
            LineEnds::Universal { .. } => memchr::memchr2(b'\n', b'\r', &chunk[from..]).map(|at| {
                let at = from + at;
                let both = chunk[at] == b'\r' && chunk.get(at + 1) == Some(&b'\n');
                at + if both { 2 } else { 1 }
            }),
            LineEnds::Fixed(end) => find_end(chunk, from, end),
        }
    }

    /// How long the line is that begins this many bytes behind the first character.
    pub(crate) fn find_line_from(&mut self, offset: usize) -> Option<usize> {
        let (used, scanned) = (self.used, self.scanned);
        self.used += offset;
        self.scanned = self.scanned.max(self.used);
        let found = self.find_line();
        self.used = used;
        if found.is_some() {
            self.scanned = scanned;
        }
        found
    }

    /// How many bytes the first characters take, no more than there are.
    pub fn bytes_of(&self, characters: usize) -> usize {
        let chunk = &self.chunk[self.used..];
        if self.form != Form::Utf8 || characters >= chunk.len() {
            return characters.min(chunk.len());
        }
        let mut starts = chunk.iter().enumerate().filter(|(_, byte)| **byte & 0xc0 != 0x80);
        starts.nth(characters).map_or(chunk.len(), |(at, _)| at)
    }

    /// The first bytes of the available characters.
    #[inline]
    pub fn peek(&self, bytes: usize) -> (&[u8], Form) {
        (&self.chunk[self.used..self.used + bytes], self.form)
    }

    /// Consumes this many bytes of them.
    #[inline]
    pub fn consume(&mut self, bytes: usize) {
        self.used += bytes;
        debug_assert!(self.used <= self.chunk.len());
    }

    /// Puts characters back in front of the others.
    pub fn put_back(&mut self, mut text: Vec<u8>) {
        let ascii = text.is_ascii();
        let rest = &self.chunk[self.used..];
        self.form = match self.form {
            Form::Latin1 => Form::Latin1,
            Form::Ascii if ascii => Form::Ascii,
            _ if self.codec == Some(Codec::Latin1) => Form::Latin1,
            _ => Form::Utf8,
        };
        // Without the memory for both, what was taken is lost, as with a synchronous file.
        if text.try_reserve(rest.len()).is_ok() {
            text.extend_from_slice(rest);
            self.chunk = text;
        } else {
            self.chunk.drain(..self.used);
        }
        (self.used, self.scanned, self.input) = (0, 0, None);
    }

    /// Gives back the last `taken` bytes; `false` if the characters have been discarded since.
    pub(crate) fn give_back(&mut self, used: usize, taken: usize) -> bool {
        let are_there = self.used == used + taken && self.used <= self.chunk.len();
        if are_there {
            (self.used, self.scanned) = (used, 0);
        }
        are_there
    }

    /// Takes the first bytes as a text of its own.
    ///
    /// # Errors
    /// Memory cannot be allocated.
    pub fn take_text(&mut self, bytes: usize) -> Result<Text, TryReserveError> {
        let content = copied(&self.chunk[self.used..self.used + bytes])?;
        let mark = Mark::Decoded(self.used);
        self.used += bytes;
        Ok(self.text(content).taken_from(Some(mark)))
    }

    fn text(&self, content: Vec<u8>) -> Text {
        let codec = if self.form == Form::Latin1 { Codec::Latin1 } else { Codec::Utf8 };
        // It has been decoded, so it is valid; surrogates do not occur here.
        decode(content, codec, Newline::Untouched).unwrap_or_else(|content| Text::lossy(&content))
    }

    /// Decodes the rest of the file, and takes everything.
    pub(crate) fn decode_rest(&mut self, rest: Vec<u8>) -> Result<Text, Undecoded> {
        let pending: &[u8] = if self.pending { b"\r" } else { b"" };
        let decoded = self.len() + pending.len();
        let mut content = rest;
        if decoded + self.undecoded.len() > 0 {
            let prefix = joined(&[&self.chunk[self.used..], pending, &self.undecoded])?;
            content.try_reserve(prefix.len())?;
            content.splice(..0, prefix);
        }
        let codec = self.codec.unwrap_or(Codec::Utf8);
        let newline = match self.line_ends {
            LineEnds::Universal { translate: true } => Newline::Universal,
            _ => Newline::Untouched,
        };
        if matches!(self.line_ends, LineEnds::Universal { .. }) {
            self.seen |= line_ends_in(&content[decoded - pending.len()..]);
        }
        let text = decode(content, codec, newline).map_err(|mut content| {
            content.drain(..decoded.min(content.len()));
            Undecoded::Invalid(content)
        })?;
        self.reset(false);
        Ok(text)
    }

    /// The user's position.
    pub fn position(&self) -> Position<'_> {
        if self.input_pending || self.input.is_some() {
            let used = count(&self.chunk[..self.used], self.form);
            let input =
                self.input.as_deref().unwrap_or(if self.chunk.is_empty() { b"" } else { &self.chunk });
            return Position::Decode { input, pending: self.input_pending, used, ratio: self.ratio };
        }
        Position::Before(self.undecoded.len() + self.len())
    }

    /// Whether characters have been read since everything was last discarded.
    pub fn has_read(&self) -> bool {
        self.exhausted || !self.chunk.is_empty()
    }

    /// The ratio of bytes to characters when they were last decoded.
    pub fn ratio(&self) -> f64 {
        self.ratio
    }

    /// How many characters have been used of what was decoded last.
    pub fn used_characters(&self) -> usize {
        count(&self.chunk[..self.used], self.form)
    }
}

fn count(bytes: &[u8], form: Form) -> usize {
    if form != Form::Utf8 {
        return bytes.len();
    }
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// The distance to the end of the first line end, which may have begun before the searched part.
#[inline(never)]
fn find_end(chunk: &[u8], from: usize, end: &[u8]) -> Option<usize> {
    let from = from.saturating_sub(end.len() - 1);
    memchr::memmem::find(&chunk[from..], end).map(|at| from + at + end.len())
}

/// Which line ends there are.
fn line_ends_in(content: &[u8]) -> u8 {
    let mut seen = 0;
    if memchr::memchr(b'\r', content).is_none() {
        return if memchr::memchr(b'\n', content).is_some() { LINE_FEED } else { 0 };
    }
    for at in memchr::memchr2_iter(b'\r', b'\n', content) {
        seen |= match (content[at], content.get(at + 1)) {
            (b'\r', Some(b'\n')) => BOTH,
            (b'\r', _) => CARRIAGE_RETURN,
            _ if at > 0 && content[at - 1] == b'\r' => 0,
            _ => LINE_FEED,
        };
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSLATE: LineEnds = LineEnds::Universal { translate: true };

    fn lines(line_ends: LineEnds, chunks: &[&[u8]]) -> Vec<String> {
        let mut decoder = Decoder::new(Some(Codec::Utf8), line_ends);
        let mut lines = Vec::new();
        let mut chunks = chunks.iter();
        loop {
            if let Some(end) = decoder.find_line() {
                lines.push(String::from_utf8(decoder.peek(end).0.to_vec()).unwrap());
                decoder.consume(end);
                continue;
            }
            let next = chunks.next();
            decoder.decode(next.copied().unwrap_or(b""), next.is_none()).unwrap();
            if next.is_none() {
                if decoder.find_line().is_some() {
                    continue;
                }
                if !decoder.is_empty() {
                    lines.push(String::from_utf8(decoder.peek(decoder.len()).0.to_vec()).unwrap());
                }
                return lines;
            }
        }
    }

    #[test]
    fn lines_go_on_from_chunk_to_chunk() {
        let chunks: &[&[u8]] =
            &[b"a", b"b\r", b"\nc\r", b"d\n", "é".as_bytes().split_at(1).0, b"\xa9\n", b"e"];
        assert_eq!(lines(TRANSLATE, chunks), ["ab\n", "c\n", "d\n", "é\n", "e"]);
        assert_eq!(
            lines(LineEnds::Universal { translate: false }, chunks),
            ["ab\r\n", "c\r", "d\n", "é\n", "e"]
        );
        assert_eq!(lines(LineEnds::Fixed(b"\n"), chunks), ["ab\r\n", "c\rd\n", "é\n", "e"]);
        assert_eq!(lines(LineEnds::Fixed(b"\r\n"), chunks), ["ab\r\n", "c\rd\né\ne"]);
        assert_eq!(lines(LineEnds::Fixed(b"\r"), chunks), ["ab\r", "\nc\r", "d\né\ne"]);
    }

    #[test]
    fn an_invalid_chunk_is_used_up() {
        let mut decoder = Decoder::new(Some(Codec::Utf8), TRANSLATE);
        decoder.decode(b"a\xc3", false).unwrap();
        assert!(matches!(decoder.decode(b"b", false), Err(Undecoded::Invalid(bytes)) if bytes == b"\xc3b"));
        decoder.decode(b"\xa9", false).unwrap();
        assert_eq!(decoder.peek(3).0, "aé".as_bytes());
        decoder.decode(b"\xc3", false).unwrap();
        assert!(matches!(decoder.decode(b"", true), Err(Undecoded::Invalid(bytes)) if bytes == b"\xc3"));
    }

    #[test]
    fn what_was_decoded_has_no_byte_twice() {
        let mut decoder = Decoder::new(Some(Codec::Utf8), TRANSLATE);
        decoder.decode(b"a\r\n\xc3", false).unwrap();
        decoder.decode(b"\xa9\r\n\xc3", false).unwrap();
        decoder.decode(b"\xa9", false).unwrap();
        let whole = "a\r\né\r\né".as_bytes();
        assert!(matches!(decoder.position(), Position::Decode { input, used: 0, .. } if input == whole));
    }

    #[test]
    fn the_position_is_before_what_was_not_used() {
        let mut decoder = Decoder::new(Some(Codec::Utf8), TRANSLATE);
        decoder.decode("aéb".as_bytes(), false).unwrap();
        decoder.consume(decoder.bytes_of(2));
        assert!(matches!(decoder.position(), Position::Before(1)));
        decoder.decode(b"c\r\n", false).unwrap();
        assert!(matches!(
            decoder.position(),
            Position::Decode { input: b"bc\r\n", pending: false, used: 0, .. }
        ));
    }
}
