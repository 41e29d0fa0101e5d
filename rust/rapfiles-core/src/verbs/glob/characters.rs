//! The characters of names, as Python decodes them (PEP 383).

/// Appends the characters of a name: what is not UTF-8 becomes surrogates, as by Python's `surrogateescape`.
#[cfg(not(windows))]
pub(crate) fn decode(name: &[u8], characters: &mut Vec<u32>) {
    for chunk in name.utf8_chunks() {
        characters.extend(chunk.valid().chars().map(u32::from));
        characters.extend(chunk.invalid().iter().map(|byte| ESCAPED + u32::from(*byte)));
    }
}

/// Appends the characters of a name: lone surrogates are kept, as by Python's `surrogatepass`.
#[cfg(windows)]
pub(crate) fn decode(name: &[u8], characters: &mut Vec<u32>) {
    use std::os::windows::ffi::OsStrExt;

    // SAFETY: it is a name that a reader has given.
    let name = unsafe { std::ffi::OsStr::from_encoded_bytes_unchecked(name) };
    let decoded = char::decode_utf16(name.encode_wide());
    characters.extend(decoded.map(|unit| match unit {
        Ok(character) => u32::from(character),
        Err(lone) => u32::from(lone.unpaired_surrogate()),
    }));
}

/// A byte that is not part of a character is that much more as a surrogate.
#[cfg(not(windows))]
const ESCAPED: u32 = 0xdc00;

/// The name with these characters; `None` if no file can have it.
#[cfg(not(windows))]
pub(super) fn encode(characters: &[u32]) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(characters.len());
    for character in characters {
        match (char::from_u32(*character), character.checked_sub(ESCAPED)) {
            (Some('\0'), _) => return None,
            (Some(character), _) => {
                name.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            (None, Some(byte @ 0x80..=0xff)) => name.push(byte as u8),
            _ => return None,
        }
    }
    Some(name)
}

/// The name with these characters; `None` if no file can have it.
#[cfg(windows)]
pub(super) fn encode(characters: &[u32]) -> Option<Vec<u8>> {
    use std::os::windows::ffi::OsStringExt;

    let mut units = Vec::with_capacity(characters.len());
    for character in characters {
        match char::from_u32(*character) {
            Some('\0') => return None,
            Some(character) => units.extend_from_slice(character.encode_utf16(&mut [0; 2])),
            None => units.push(*character as u16),
        }
    }
    Some(std::ffi::OsString::from_wide(&units).into_encoded_bytes())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_python_makes_of_them() {
        // As `os.fsdecode` has them.
        let cases: [(&[u8], &[u32]); 4] = [
            (b"a\xc3\xa4", &[0x61, 0xe4]),
            (b"\xff\xe1\x80A", &[0xdcff, 0xdce1, 0xdc80, 0x41]),
            (b"\xed\xa0\x80", &[0xdced, 0xdca0, 0xdc80]),
            (b"\xf4\x90\x80\x80", &[0xdcf4, 0xdc90, 0xdc80, 0xdc80]),
        ];
        for (name, expected) in cases {
            let mut characters = Vec::new();
            decode(name, &mut characters);
            assert_eq!(characters, expected);
            assert_eq!(encode(&characters).as_deref(), Some(name));
        }
        assert_eq!(encode(&[0xd800]), None);
        assert_eq!(encode(&[0]), None);
    }
}
