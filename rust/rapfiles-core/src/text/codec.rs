//! The encodings and line ends that the engine has.

/// An encoding that the engine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// UTF-8, without surrogates.
    Utf8,
    /// ASCII.
    Ascii,
    /// ISO 8859-1: each byte is the code point.
    Latin1,
}

impl Codec {
    /// Whether a character can be encoded.
    pub(super) fn represents(self, code: u32) -> bool {
        match self {
            Self::Utf8 => char::from_u32(code).is_some(),
            Self::Ascii => code < 0x80,
            Self::Latin1 => code < 0x100,
        }
    }
}

/// The translation of line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newline {
    /// None.
    Untouched,
    /// Reading: `\r` and `\r\n` become `\n`.
    Universal,
    /// Writing: `\n` becomes `\r`.
    CarriageReturn,
    /// Writing: `\n` becomes `\r\n`.
    CarriageReturnLineFeed,
}

impl Newline {
    pub(super) fn written(self) -> Option<&'static [u8]> {
        match self {
            Self::Untouched | Self::Universal => None,
            Self::CarriageReturn => Some(b"\r"),
            Self::CarriageReturnLineFeed => Some(b"\r\n"),
        }
    }
}
