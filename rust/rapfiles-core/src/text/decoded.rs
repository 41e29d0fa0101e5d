//! Text that has been decoded and measured, and can be laid out in a string.

use super::Mark;
use super::codec::{Codec, Newline};
use super::layout::{Highest, lay_out, measure};
use super::parallel;

/// Decoded text: its content still encoded, but valid and measured.
#[derive(Debug)]
pub struct Text {
    content: Vec<u8>,
    latin1: bool,
    chars: usize,
    highest: Highest,
    /// Where each part of a large text begins: byte and character; and where the last one ends.
    parts: Vec<(usize, usize)>,
    /// The position of the file before the text was taken from it.
    mark: Option<Mark>,
}

impl Text {
    /// The text of bytes, with replacement characters for invalid ones.
    pub(crate) fn lossy(content: &[u8]) -> Self {
        let content = String::from_utf8_lossy(content).into_owned().into_bytes();
        let (chars, highest) = measure(&content);
        Self { content, latin1: false, chars, highest, parts: Vec::new(), mark: None }
    }

    /// The same text, with the position of its file before it was taken.
    pub(crate) fn taken_from(self, mark: Option<Mark>) -> Self {
        Self { mark, ..self }
    }

    /// The encoded content, and the position of the file before it was taken.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Option<Mark>) {
        (self.content, self.mark)
    }

    /// The number of characters.
    pub fn chars(&self) -> usize {
        self.chars
    }

    /// An upper bound of the code points, as `PyUnicode_New` takes it.
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
            // SAFETY: `decode` has validated and measured the content, and each part has a place of its own; the rest
            // is the caller's promise.
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
    /// The buffer must have that many bytes.
    unsafe fn at(&self, offset: usize) -> *mut u8 {
        // SAFETY: guaranteed by the caller.
        unsafe { self.0.add(offset) }
    }
}

/// Decodes a file's content; returns the content if the codec cannot decode it.
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
}
