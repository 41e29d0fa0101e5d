//! Text: UTF-8, ASCII and Latin-1 to and from Python's three string layouts, with newline translation.

use std::borrow::Cow;
use std::collections::TryReserveError;
use std::fmt;

use crate::engine::parallel;
use crate::handle::Mark;
use crate::memory::{copied, extend};
use crate::verbs::write::Data;

/// An encoding that needs no Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// UTF-8, without surrogates.
    Utf8,
    /// ASCII.
    Ascii,
    /// ISO 8859-1: each byte is the code point.
    Latin1,
}

/// What becomes of line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newline {
    /// Left as they are.
    Untouched,
    /// Reading: `\r` and `\r\n` become `\n`.
    Universal,
    /// Writing: `\n` becomes `\r`.
    CarriageReturn,
    /// Writing: `\n` becomes `\r\n`.
    CarriageReturnLineFeed,
}

impl Newline {
    fn written(self) -> Option<&'static [u8]> {
        match self {
            Self::Untouched | Self::Universal => None,
            Self::CarriageReturn => Some(b"\r"),
            Self::CarriageReturnLineFeed => Some(b"\r\n"),
        }
    }
}

/// Decoded text: its content still encoded, but valid and measured.
#[derive(Debug)]
pub struct Text {
    content: Vec<u8>,
    latin1: bool,
    chars: usize,
    highest: Highest,
    /// Where each part of a large text begins: byte and character; and where the last one ends.
    parts: Vec<(usize, usize)>,
    /// Where the file was that it was taken from.
    mark: Option<Mark>,
}

/// The least of Python's string layouts that holds a text, by its highest code point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Highest {
    Ascii,
    Latin1,
    Ucs2,
    Ucs4,
}

impl Highest {
    fn code_point(self) -> u32 {
        match self {
            Self::Ascii => 0x7f,
            Self::Latin1 => 0xff,
            Self::Ucs2 => 0xffff,
            Self::Ucs4 => 0x0010_ffff,
        }
    }
}

impl Text {
    /// The text that bytes stand for, with a replacement where they stand for none.
    pub(crate) fn lossy(content: &[u8]) -> Self {
        let content = String::from_utf8_lossy(content).into_owned().into_bytes();
        let (chars, highest) = measure(&content);
        Self { content, latin1: false, chars, highest, parts: Vec::new(), mark: None }
    }

    /// The same text, taken from a file that was there before.
    pub(crate) fn taken_from(self, mark: Option<Mark>) -> Self {
        Self { mark, ..self }
    }

    /// The encoded content, and where the file was that it was taken from.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Option<Mark>) {
        (self.content, self.mark)
    }

    /// The number of characters.
    pub fn chars(&self) -> usize {
        self.chars
    }

    /// An upper bound of the code points, as `PyUnicode_New` wants it.
    pub fn highest(&self) -> u32 {
        self.highest.code_point()
    }

    /// The width of a character in Python's layout, in bytes.
    pub fn width(&self) -> usize {
        match self.highest {
            Highest::Ascii | Highest::Latin1 => 1,
            Highest::Ucs2 => 2,
            Highest::Ucs4 => 4,
        }
    }

    /// Whether laying it out is a plain copy.
    pub fn is_plain(&self) -> bool {
        self.latin1 || self.highest == Highest::Ascii
    }

    /// Lays the characters out at `start`.
    ///
    /// # Safety
    /// `start` must be valid for writes of `chars() * width()` bytes and aligned for characters of that width.
    pub unsafe fn write_to(&self, start: *mut u8) {
        let whole = [(0, 0), (self.content.len(), self.chars)];
        let parts = if self.parts.is_empty() { &whole[..] } else { &self.parts };
        let start = Start(start);
        parallel::for_each_part(parts.len() - 1, |part| {
            let ((from, first), (to, _)) = (parts[part], parts[part + 1]);
            let content = &self.content[from..to];
            // SAFETY: `decode` has validated and measured the content, and each part has a place of its own; the rest is
            // the caller's promise.
            unsafe {
                let start = start.at(first * self.width());
                if self.is_plain() {
                    std::ptr::copy_nonoverlapping(content.as_ptr(), start, content.len());
                } else {
                    lay_out(content, self.highest, start);
                }
            }
        });
    }
}

/// Where characters are laid out, by several threads.
struct Start(*mut u8);

// SAFETY: each thread writes to a place of its own.
unsafe impl Sync for Start {}

impl Start {
    /// # Safety
    /// So many bytes must be there.
    unsafe fn at(&self, offset: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(offset) }
    }
}

/// How characters that are encoded as UTF-8 are laid out in a string of Python's.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The number of characters.
    pub characters: usize,
    highest: Highest,
}

impl Layout {
    /// The layout of characters. Surrogates may be among them.
    pub fn of(content: &[u8]) -> Self {
        let (characters, highest) = measure(content);
        Self { characters, highest }
    }

    /// The layout of characters that are bytes.
    pub(crate) fn of_single_bytes(content: &[u8]) -> Self {
        let highest = if content.is_ascii() { Highest::Ascii } else { Highest::Latin1 };
        Self { characters: content.len(), highest }
    }

    /// An upper bound of the code points, as `PyUnicode_New` wants it.
    pub fn highest(&self) -> u32 {
        self.highest.code_point()
    }

    /// Lays the characters out at `start`.
    ///
    /// # Safety
    /// `content` must be what the layout was made of, and valid UTF-8 but for surrogates; `start` must be valid for
    /// writes of that many characters of the width that the highest one needs, and aligned for them.
    pub unsafe fn write_to(&self, content: &[u8], start: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { lay_out(content, self.highest, start) };
    }
}

/// # Safety
/// As for [`Layout::write_to`].
unsafe fn lay_out(content: &[u8], highest: Highest, start: *mut u8) {
    // SAFETY: the caller's promise, for the width of the layout.
    unsafe {
        match highest {
            Highest::Ascii | Highest::Latin1 => lay_out_as(content, start, |code| code as u8),
            Highest::Ucs2 => lay_out_as(content, start.cast::<u16>(), |code| code as u16),
            Highest::Ucs4 => lay_out_as(content, start.cast::<u32>(), |code| code),
        }
    }
}

/// # Safety
/// `content` must be valid UTF-8 but for surrogates, and `to` valid for writes of as many items as it has characters.
unsafe fn lay_out_as<T>(content: &[u8], mut to: *mut T, convert: impl Fn(u32) -> T) {
    const WORD: usize = size_of::<u64>();
    let mut rest = content;
    let tail = |byte: u8| u32::from(byte & 0x3f);
    while let [first, ..] = *rest {
        // SAFETY: one item for each character.
        let mut put = |code| unsafe {
            to.write(convert(code));
            to = to.add(1);
        };
        match *rest {
            [a, ..] if a < 0x80 => {
                while let Some((word, after)) = rest.split_first_chunk::<WORD>()
                    && u64::from_ne_bytes(*word) & 0x8080_8080_8080_8080 == 0
                {
                    word.iter().for_each(|byte| put(u32::from(*byte)));
                    rest = after;
                }
                let run = rest.iter().take_while(|byte| **byte < 0x80).count();
                rest[..run].iter().for_each(|byte| put(u32::from(*byte)));
                rest = &rest[run..];
            }
            [a, b, ..] if a < 0xe0 => {
                put(u32::from(a & 0x1f) << 6 | tail(b));
                rest = &rest[2..];
            }
            [a, b, c, ..] if a < 0xf0 => {
                put(u32::from(a & 0x0f) << 12 | tail(b) << 6 | tail(c));
                rest = &rest[3..];
            }
            [a, b, c, d, ..] => {
                put(u32::from(a & 0x07) << 18 | tail(b) << 12 | tail(c) << 6 | tail(d));
                rest = &rest[4..];
            }
            _ => unreachable!("the text was validated, but ends within a character: {first:#x}"),
        }
    }
}

/// Decodes a file's content; gives it back where the codec does not decode it.
pub(crate) fn decode(content: Vec<u8>, codec: Codec, newline: Newline) -> Result<Text, Vec<u8>> {
    let boundaries = parallel::boundaries(&content);
    let part = |part: usize| &content[boundaries[part]..boundaries[part + 1]];
    let count = boundaries.len() - 1;
    let valid = parallel::for_each_part(count, |number| {
        let ascii = part(number).is_ascii();
        let valid = match codec {
            Codec::Utf8 => ascii || std::str::from_utf8(part(number)).is_ok(),
            Codec::Ascii => ascii,
            Codec::Latin1 => true,
        };
        valid.then_some(ascii)
    });
    if valid.contains(&None) {
        return Err(content);
    }
    let ascii = valid.iter().all(|ascii| *ascii == Some(true));
    let content = if newline == Newline::Universal { universal(content) } else { content };
    let boundaries = parallel::boundaries(&content);
    let measured = parallel::for_each_part(boundaries.len() - 1, |part| {
        let content = &content[boundaries[part]..boundaries[part + 1]];
        match codec {
            _ if ascii => (content.len(), Highest::Ascii),
            Codec::Latin1 => (content.len(), Highest::Latin1),
            Codec::Utf8 | Codec::Ascii => measure(content),
        }
    });
    let highest = measured.iter().map(|(_, highest)| *highest).max().unwrap_or(Highest::Ascii);
    let mut chars = 0;
    let mut parts = vec![(0, 0)];
    for (end, (count, _)) in boundaries[1..].iter().zip(&measured) {
        chars += count;
        parts.push((*end, chars));
    }
    Ok(Text { content, latin1: codec == Codec::Latin1 && !ascii, chars, highest, parts, mark: None })
}

/// The number of characters in valid UTF-8, and the layout that holds them.
fn measure(content: &[u8]) -> (usize, Highest) {
    let mut chars = 0;
    let mut highest = 0;
    for &byte in content {
        // Every byte but a continuation begins a character, and the first bytes are ordered as their code points are.
        chars += usize::from(byte & 0xc0 != 0x80);
        highest = highest.max(byte);
    }
    let highest = match highest {
        0..=0x7f => Highest::Ascii,
        0x80..=0xc3 => Highest::Latin1,
        0xc4..=0xef => Highest::Ucs2,
        _ => Highest::Ucs4,
    };
    (chars, highest)
}

/// `\r\n` and `\r` become `\n`, in place.
fn universal(mut content: Vec<u8>) -> Vec<u8> {
    let Some(first) = memchr::memchr(b'\r', &content) else { return content };
    let (mut from, mut to) = (first, first);
    while from < content.len() {
        content[to] = b'\n';
        to += 1;
        from += if content.get(from + 1) == Some(&b'\n') { 2 } else { 1 };
        let next = memchr::memchr(b'\r', &content[from..]).map_or(content.len(), |at| from + at);
        content.copy_within(from..next, to);
        to += next - from;
        from = next;
    }
    content.truncate(to);
    content
}

/// A string to be encoded, in one of Python's layouts.
pub struct TextSource {
    data: Data,
    width: usize,
    ascii: bool,
}

impl TextSource {
    /// The characters in `data`, each `width` (1, 2 or 4) bytes wide in the order of the machine, aligned for it.
    pub fn new(data: Data, width: usize, ascii: bool) -> Self {
        Self { data, width, ascii }
    }

    /// The number of characters.
    pub(crate) fn chars(&self) -> usize {
        self.data.bytes().len() / self.width
    }

    /// The encoded text, or `None` where the codec has no room for a character.
    pub(crate) fn encode(
        &self,
        codec: Codec,
        newline: Newline,
    ) -> Result<Option<Cow<'_, [u8]>>, TryReserveError> {
        let bytes = self.data.bytes();
        let encoded = if self.ascii || (codec == Codec::Latin1 && self.width == 1) {
            Cow::Borrowed(bytes)
        } else {
            let mut encoded = Vec::new();
            encoded.try_reserve(bytes.len())?;
            for code in self.codes() {
                encoded.try_reserve(4)?;
                match codec {
                    Codec::Utf8 => {
                        let Some(char) = char::from_u32(code) else { return Ok(None) };
                        encoded.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                    Codec::Ascii if code < 0x80 => encoded.push(code as u8),
                    Codec::Latin1 if code < 0x100 => encoded.push(code as u8),
                    Codec::Ascii | Codec::Latin1 => return Ok(None),
                }
            }
            Cow::Owned(encoded)
        };
        Ok(Some(match newline.written() {
            Some(newline) => Cow::Owned(replace_line_feeds(&encoded, newline)?),
            None => encoded,
        }))
    }

    /// The same, as a vector.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn encode_owned(&self, codec: Codec, newline: Newline) -> Result<Option<Vec<u8>>, TryReserveError> {
        Ok(match self.encode(codec, newline)? {
            Some(Cow::Owned(encoded)) => Some(encoded),
            Some(Cow::Borrowed(encoded)) => Some(copied(encoded)?),
            None => None,
        })
    }

    fn codes(&self) -> impl Iterator<Item = u32> + '_ {
        let width = self.width;
        self.data.bytes().chunks_exact(width).map(move |char| match *char {
            [a] => u32::from(a),
            [a, b] => u32::from(u16::from_ne_bytes([a, b])),
            [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]),
            _ => unreachable!("a character is 1, 2 or 4 bytes wide"),
        })
    }
}

impl fmt::Debug for TextSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("TextSource").field(&self.data).finish()
    }
}

fn replace_line_feeds(encoded: &[u8], newline: &[u8]) -> Result<Vec<u8>, TryReserveError> {
    let mut replaced = Vec::new();
    replaced.try_reserve(encoded.len() + encoded.len() / 16)?;
    let mut from = 0;
    for at in memchr::memchr_iter(b'\n', encoded) {
        extend(&mut replaced, &encoded[from..at])?;
        extend(&mut replaced, newline)?;
        from = at + 1;
    }
    extend(&mut replaced, &encoded[from..])?;
    Ok(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf8(content: &[u8], newline: Newline) -> Text {
        decode(content.to_vec(), Codec::Utf8, newline).expect("valid")
    }

    #[test]
    fn every_kind_of_line_end_becomes_a_line_feed() {
        for (from, to) in [
            ("", ""),
            ("\r", "\n"),
            ("\r\n", "\n"),
            ("\n\r", "\n\n"),
            ("\r\r\n", "\n\n"),
            ("a\rb\r\nc\nd", "a\nb\nc\nd"),
            ("é\r\nü", "é\nü"),
        ] {
            assert_eq!(utf8(from.as_bytes(), Newline::Universal).content, to.as_bytes(), "{from:?}");
        }
    }

    #[test]
    fn texts_are_measured_by_their_highest_character() {
        for (text, highest, width) in [
            ("abc", 0x7f, 1),
            ("aé", 0xff, 1),
            ("ÿ", 0xff, 1),
            ("Ā", 0xffff, 2),
            ("€", 0xffff, 2),
            ("😀", 0x10_ffff, 4),
        ] {
            let decoded = utf8(text.as_bytes(), Newline::Untouched);
            assert_eq!(decoded.chars(), text.chars().count());
            assert_eq!(decoded.highest(), highest, "{text}");
            assert_eq!(decoded.width(), width, "{text}");
        }
    }

    #[test]
    fn characters_are_laid_out_in_the_width_of_the_text() {
        let text = "aé€😀";
        let decoded = utf8(text.as_bytes(), Newline::Untouched);
        let mut layout = vec![0_u32; decoded.chars()];
        // SAFETY: the layout has room for each character, four bytes wide.
        unsafe { decoded.write_to(layout.as_mut_ptr().cast()) };
        assert_eq!(layout, text.chars().map(u32::from).collect::<Vec<_>>());
    }

    #[test]
    fn what_a_codec_does_not_decode_comes_back() {
        assert!(decode(vec![0xff], Codec::Utf8, Newline::Universal).is_err());
        assert!(decode(vec![0xed, 0xa0, 0x80], Codec::Utf8, Newline::Universal).is_err());
        assert!(decode(vec![0x80], Codec::Ascii, Newline::Universal).is_err());
        assert!(decode(vec![0x80], Codec::Latin1, Newline::Universal).is_ok());
    }

    #[test]
    fn what_a_codec_does_not_encode_is_refused() {
        let source = |code: u32| TextSource::new(Data::Owned(code.to_ne_bytes().to_vec()), 4, false);
        assert_eq!(source(0x20ac).encode(Codec::Utf8, Newline::Untouched).unwrap().unwrap(), "€".as_bytes());
        assert!(source(0xd800).encode(Codec::Utf8, Newline::Untouched).unwrap().is_none());
        assert!(source(0x20ac).encode(Codec::Latin1, Newline::Untouched).unwrap().is_none());
        assert!(source(0xe9).encode(Codec::Ascii, Newline::Untouched).unwrap().is_none());
        assert_eq!(*source(0xe9).encode(Codec::Latin1, Newline::Untouched).unwrap().unwrap(), [0xe9]);
    }

    #[test]
    fn line_feeds_are_replaced_when_writing() {
        let source = TextSource::new(Data::Owned(b"a\nb\n".to_vec()), 1, true);
        assert_eq!(
            *source.encode(Codec::Utf8, Newline::CarriageReturnLineFeed).unwrap().unwrap(),
            *b"a\r\nb\r\n"
        );
        assert_eq!(*source.encode(Codec::Utf8, Newline::CarriageReturn).unwrap().unwrap(), *b"a\rb\r");
        assert_eq!(*source.encode(Codec::Utf8, Newline::Untouched).unwrap().unwrap(), *b"a\nb\n");
    }
}
