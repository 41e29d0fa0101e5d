//! Case-insensitive comparison as by Python's `re.IGNORECASE`, which pathlib uses for matching.

/// Lower-case letters besides the one that a letter is folded to that count as the same: `_EXTRA_CASES` of CPython's
/// `Lib/re/_casefix.py`, each group once.
const SAME: &[&[u32]] = &[
    &[0x0069, 0x0131],
    &[0x0073, 0x017f],
    &[0x00b5, 0x03bc],
    &[0x0345, 0x03b9, 0x1fbe],
    &[0x0390, 0x1fd3],
    &[0x03b0, 0x1fe3],
    &[0x03b2, 0x03d0],
    &[0x03b5, 0x03f5],
    &[0x03b8, 0x03d1],
    &[0x03ba, 0x03f0],
    &[0x03c0, 0x03d6],
    &[0x03c1, 0x03f1],
    &[0x03c2, 0x03c3],
    &[0x03c6, 0x03d5],
    &[0x0432, 0x1c80],
    &[0x0434, 0x1c81],
    &[0x043e, 0x1c82],
    &[0x0441, 0x1c83],
    &[0x0442, 0x1c84, 0x1c85],
    &[0x044a, 0x1c86],
    &[0x0463, 0x1c87],
    &[0x1c88, 0xa64b],
    &[0x1e61, 0x1e9b],
    &[0xfb05, 0xfb06],
];

/// Letters that are neither upper nor lower case, and the lower-case ones that they are folded to.
const TITLE: &[(u32, u32)] = &[(0x01c5, 0x01c6), (0x01c8, 0x01c9), (0x01cb, 0x01cc), (0x01f2, 0x01f3)];

/// The lower-case letter of one.
fn lower(character: u32) -> u32 {
    /// The only letter for whose lower case Unicode has more than one letter, of which Python takes the first.
    const DOTTED_CAPITAL_I: u32 = 0x0130;
    if character < 0x80 {
        return character + if (0x41..=0x5a).contains(&character) { 0x20 } else { 0 };
    }
    if character == DOTTED_CAPITAL_I {
        return 0x0069;
    }
    char::from_u32(character).and_then(|letter| only(letter.to_lowercase())).map_or(character, u32::from)
}

fn only(mut letters: impl Iterator<Item = char>) -> Option<char> {
    let first = letters.next()?;
    letters.next().is_none().then_some(first)
}

/// The representative of a letter and of all others that count as the same.
pub(super) fn folded(character: u32) -> u32 {
    let letter = lower(character);
    let group = SAME.iter().find(|group| group.contains(&letter));
    group.map_or(letter, |group| group[0])
}

/// All letters that count as the same as one, including that one.
pub(super) fn variants(character: u32) -> impl Iterator<Item = u32> {
    let letter = lower(character);
    let group = SAME.iter().copied().find(|group| group.contains(&letter)).unwrap_or_default();
    let letters = [letter].into_iter().chain(group.iter().copied().filter(move |other| *other != letter));
    letters.flat_map(|letter| {
        let upper = char::from_u32(letter).and_then(|letter| only(letter.to_uppercase())).map(u32::from);
        let title = TITLE.iter().find(|(_, lower)| *lower == letter).map(|(title, _)| *title);
        let dotted = (letter == 0x0069).then_some(0x0130);
        let upper = upper.filter(|upper| lower(*upper) == letter);
        [Some(letter), upper, title, dotted].into_iter().flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_count_as_the_same_as_in_python() {
        let same = |one: char, other: char| folded(one.into()) == folded(other.into());
        assert!(same('a', 'A') && same('ä', 'Ä') && same('σ', 'ς') && same('ſ', 'S') && same('İ', 'i'));
        assert!(same('K', 'k') && same('µ', 'Μ') && same('ǅ', 'Ǆ'));
        assert!(!same('ß', 's') && !same('a', 'b') && !same('[', '{'));
        assert_eq!(folded(0xdcff), 0xdcff);
    }

    #[test]
    fn variants_are_what_is_folded_to_the_same() {
        for letter in ['a', 'A', 'ς', 'ǆ', 'ß', '1', 'ſ', 'İ'] {
            for variant in variants(letter.into()) {
                assert_eq!(folded(variant), folded(letter.into()), "{letter} {variant:x}");
            }
            assert!(variants(letter.into()).any(|variant| variant == letter.into()), "{letter}");
        }
    }
}
