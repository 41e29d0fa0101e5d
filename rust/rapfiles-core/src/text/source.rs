//! Strings to encode.

use std::borrow::Cow;
use std::collections::TryReserveError;
use std::fmt;

use super::codec::{Codec, Newline};
use crate::error::Error;
use crate::limits::ENCODED_SLICE;
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
        self.encode_part(self.data.bytes(), codec, newline)
    }

    /// Has the text taken in encoded slices, where there is no memory for all of it. `false` if the codec cannot represent
    /// a character: then nothing is taken.
    pub(crate) fn encode_in_slices(
        &self,
        codec: Codec,
        newline: Newline,
        mut take: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        if !codes(self.data.bytes(), self.width).all(|code| codec.represents(code)) {
            return Ok(false);
        }
        for part in self.data.bytes().chunks(ENCODED_SLICE * self.width) {
            if let Some(encoded) = self.encode_part(part, codec, newline)? {
                take(&encoded)?;
            }
        }
        Ok(true)
    }

    fn encode_part<'a>(
        &self,
        part: &'a [u8],
        codec: Codec,
        newline: Newline,
    ) -> Result<Option<Cow<'a, [u8]>>, TryReserveError> {
        let encoded = if self.ascii || (codec == Codec::Latin1 && self.width == 1) {
            Cow::Borrowed(part)
        } else {
            let mut encoded = Vec::new();
            encoded.try_reserve(part.len())?;
            for code in codes(part, self.width) {
                encoded.try_reserve(4)?;
                match codec {
                    Codec::Utf8 => {
                        let Some(char) = char::from_u32(code) else { return Ok(None) };
                        encoded.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                    Codec::Ascii | Codec::Latin1 if codec.represents(code) => encoded.push(code as u8),
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
}

fn codes(bytes: &[u8], width: usize) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(width).map(move |char| match *char {
        [a] => u32::from(a),
        [a, b] => u32::from(u16::from_ne_bytes([a, b])),
        [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]),
        _ => unreachable!("a character is 1, 2 or 4 bytes wide"),
    })
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
    fn slices_are_what_the_whole_is() {
        let codes =
            (0..3 * ENCODED_SLICE as u32 + 5).map(|code| if code % 7 == 0 { 10 } else { 0xe0 + code % 31 });
        for (width, codec) in
            [(1, Codec::Latin1), (1, Codec::Utf8), (2, Codec::Utf8), (2, Codec::Latin1), (4, Codec::Utf8)]
        {
            let bytes = |code: u32| code.to_ne_bytes().into_iter().take(width).collect::<Vec<_>>();
            let data = |codes: &mut dyn Iterator<Item = u32>| Data::Owned(codes.flat_map(bytes).collect());
            let source = TextSource::new(data(&mut codes.clone()), width, false);
            let mut whole = Vec::new();
            let newline = Newline::CarriageReturnLineFeed;
            let taken = source.encode_in_slices(codec, newline, |part| {
                whole.extend_from_slice(part);
                Ok(())
            });
            assert!(taken.unwrap());
            assert!(whole == *source.encode(codec, newline).unwrap().unwrap(), "{width} {codec:?}");
            let bad = TextSource::new(data(&mut codes.clone().chain([0xd800])), width, false);
            if width > 1 {
                assert!(!bad.encode_in_slices(codec, newline, |_| panic!("taken")).unwrap());
            }
        }
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
