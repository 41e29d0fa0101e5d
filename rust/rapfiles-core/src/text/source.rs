//! Strings to encode.

use std::borrow::Cow;
use std::collections::TryReserveError;
use std::fmt;

use super::codec::{Codec, Newline};
use crate::memory::{copied, extend};
use crate::verbs::write::Data;

/// A string to encode, in one of Python's layouts.
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

    /// The encoded text, or `None` if the codec cannot represent a character.
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
    /// Memory cannot be allocated.
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
