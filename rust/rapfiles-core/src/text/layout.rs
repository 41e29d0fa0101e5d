//! Python's three string layouts (PEP 393): which of them a text needs, and how its characters are laid out.

/// The smallest of Python's string layouts that can hold a text, by its highest code point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Highest {
    Ascii,
    Latin1,
    Ucs2,
    Ucs4,
}

impl Highest {
    pub(super) fn code_point(self) -> u32 {
        match self {
            Self::Ascii => 0x7f,
            Self::Latin1 => 0xff,
            Self::Ucs2 => 0xffff,
            Self::Ucs4 => 0x0010_ffff,
        }
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

    /// An upper bound of the code points, as `PyUnicode_New` takes it.
    pub fn highest(&self) -> u32 {
        self.highest.code_point()
    }

    /// Lays the characters out at `start`.
    ///
    /// # Safety
    /// `content` must be what the layout was made of, and valid UTF-8 but for surrogates; `start` must be valid for
    /// writes of that many characters of the width that the highest one needs, and aligned for them.
    pub unsafe fn write_to(&self, content: &[u8], start: *mut u8) {
        // SAFETY: guaranteed by the caller.
        unsafe { lay_out(content, self.highest, start) };
    }
}

/// # Safety
/// As for [`Layout::write_to`].
pub(super) unsafe fn lay_out(content: &[u8], highest: Highest, start: *mut u8) {
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
pub(super) unsafe fn lay_out_as<T>(content: &[u8], mut to: *mut T, convert: impl Fn(u32) -> T) {
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

/// The number of characters in valid UTF-8, and the layout that holds them.
pub(super) fn measure(content: &[u8]) -> (usize, Highest) {
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
