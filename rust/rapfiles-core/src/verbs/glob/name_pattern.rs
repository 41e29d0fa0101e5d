//! Patterns for one component of a path: `*`, `?` and `[…]`, as in `fnmatch.translate` (CPython's Lib/fnmatch.py).

use memchr::memmem;

use super::case::{folded, variants};
use super::characters::{decode, encode};

/// A pattern for a name. Matching takes time in proportion to the product of both lengths at most, whatever the
/// pattern.
#[derive(Debug, Clone)]
pub struct NamePattern(Form);

#[derive(Debug, Clone)]
enum Form {
    /// Every name.
    Any,
    /// No name.
    None,
    /// Text between stars, compared byte by byte: the text before the first star, and after each.
    Text { first: Vec<u8>, others: Vec<Vec<u8>> },
    /// The same as tokens, byte by byte.
    Bytes(Vec<Token>),
    /// Everything else, compared character by character.
    Tokens { tokens: Vec<Token>, case_sensitive: bool },
}

/// What a pattern for a name consists of.
#[derive(Debug, Clone)]
pub(crate) enum Token {
    Star,
    One,
    /// A character, folded where case is ignored.
    Character(u32),
    Set {
        negated: bool,
        ranges: Vec<(u32, u32)>,
    },
}

const STAR: u32 = '*' as u32;
const ONE: u32 = '?' as u32;
const OPEN: u32 = '[' as u32;
const CLOSE: u32 = ']' as u32;
const NOT: u32 = '!' as u32;
const HYPHEN: u32 = '-' as u32;

/// Whether a component has wildcards, so that names are matched instead of looked up.
pub(super) fn is_magic(part: &[u32]) -> bool {
    part.iter().any(|character| [STAR, ONE, OPEN].contains(character))
}

impl NamePattern {
    /// The pattern with these characters.
    pub fn new(pattern: &[u32], case_sensitive: bool) -> Self {
        let Some(tokens) = tokens(pattern, case_sensitive) else { return Self(Form::None) };
        if let [Token::Star] = tokens[..] {
            return Self(Form::Any);
        }
        Self(text(&tokens, case_sensitive).unwrap_or(Form::Tokens { tokens, case_sensitive }))
    }

    /// The pattern of these tokens, whose characters are bytes, and no two stars of which follow one another.
    pub(crate) fn of_bytes(tokens: Vec<Token>) -> Self {
        if let [Token::Star] = tokens[..] {
            return Self(Form::Any);
        }
        let mut pieces = vec![Vec::new()];
        for token in &tokens {
            match (token, pieces.last_mut()) {
                (Token::Star, _) => pieces.push(Vec::new()),
                (Token::Character(byte), Some(piece)) => piece.push(*byte as u8),
                _ => return Self(Form::Bytes(tokens)),
            }
        }
        let mut pieces = pieces.into_iter();
        Self(Form::Text { first: pieces.next().unwrap_or_default(), others: pieces.collect() })
    }

    /// Whether a name matches. `room` is for the characters of the name, where they are needed.
    pub fn matches(&self, name: &[u8], room: &mut Vec<u32>) -> bool {
        match &self.0 {
            Form::Any => true,
            Form::None => false,
            Form::Text { first, others } => matches_text(name, first, others),
            Form::Bytes(tokens) => {
                room.clear();
                room.extend(name.iter().map(|byte| u32::from(*byte)));
                matches_tokens(room, tokens, true)
            }
            Form::Tokens { tokens, case_sensitive } => {
                room.clear();
                decode(name, room);
                matches_tokens(room, tokens, *case_sensitive)
            }
        }
    }
}

fn tokens(pattern: &[u32], case_sensitive: bool) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(character) = pattern.get(at) {
        at += 1;
        match *character {
            STAR if matches!(tokens.last(), Some(Token::Star)) => {}
            STAR => tokens.push(Token::Star),
            ONE => tokens.push(Token::One),
            OPEN => match end_of_set(pattern, at) {
                Some(end) => {
                    tokens.push(set(&pattern[at..end])?);
                    at = end + 1;
                }
                None => tokens.push(Token::Character(OPEN)),
            },
            character if case_sensitive => tokens.push(Token::Character(character)),
            character => tokens.push(Token::Character(folded(character))),
        }
    }
    Some(tokens)
}

/// The position of the bracket that closes a set whose content begins here.
fn end_of_set(pattern: &[u32], start: usize) -> Option<usize> {
    let mut from = start;
    from += usize::from(pattern.get(from) == Some(&NOT));
    from += usize::from(pattern.get(from) == Some(&CLOSE));
    let rest = pattern.get(from..)?;
    rest.iter().position(|character| *character == CLOSE).map(|length| from + length)
}

/// The set with this content; `None` if no character is in it.
fn set(content: &[u32]) -> Option<Token> {
    let negated = content.first() == Some(&NOT);
    let chunks = chunks(content, negated);
    let mut ranges = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        // The characters before and after a hyphen are the ends of a range.
        let from = usize::from(index > 0);
        let to = chunk.len() - usize::from(index + 1 < chunks.len());
        if let Some(next) = chunks.get(index + 1) {
            ranges.push((*chunk.last()?, *next.first()?));
        }
        ranges.extend(chunk.get(from..to).unwrap_or_default().iter().map(|single| (*single, *single)));
    }
    match (negated, ranges.is_empty()) {
        (false, true) => None,
        (true, true) => Some(Token::One),
        _ => Some(Token::Set { negated, ranges }),
    }
}

/// The content of a set, cut at the hyphens that make ranges, without ranges that are empty.
fn chunks(content: &[u32], negated: bool) -> Vec<Vec<u32>> {
    let (content, mut chunks) = (&content[usize::from(negated)..], Vec::new());
    // Neither the first character nor one after a range can be such a hyphen.
    let (mut from, mut look) = (0, 1);
    while let Some(hyphen) = content.get(look..).and_then(|rest| rest.iter().position(|it| *it == HYPHEN)) {
        let hyphen = look + hyphen;
        chunks.push(content[from..hyphen].to_vec());
        from = hyphen + 1;
        look = hyphen + 3;
    }
    match (content.get(from..).unwrap_or_default(), chunks.last_mut()) {
        ([], Some(last)) => last.push(HYPHEN),
        (rest, _) => chunks.push(rest.to_vec()),
    }
    for index in (1..chunks.len()).rev() {
        if chunks[index - 1].last() > chunks[index].first() {
            let behind = chunks.remove(index);
            chunks[index - 1].pop();
            chunks[index - 1].extend(behind.into_iter().skip(1));
        }
    }
    chunks
}

/// The pattern as text between stars, if it is nothing else.
fn text(tokens: &[Token], case_sensitive: bool) -> Option<Form> {
    if !case_sensitive {
        return None;
    }
    let mut pieces = vec![Vec::new()];
    for token in tokens {
        match token {
            Token::Star => pieces.push(Vec::new()),
            // A surrogate is a byte that is not part of a character, which bytes alone do not tell.
            Token::Character(character) if char::from_u32(*character).is_some() => {
                pieces.last_mut()?.push(*character);
            }
            _ => return None,
        }
    }
    let mut pieces = pieces.iter().map(|piece| encode(piece)).collect::<Option<Vec<_>>>()?.into_iter();
    Some(Form::Text { first: pieces.next()?, others: pieces.collect() })
}

/// Whether two pieces of the same length are the same. They are short, and mostly none or different soon: comparing them here
/// takes a fraction of a call of `memcmp`.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.iter().zip(other).all(|(one, other)| one == other)
}

fn matches_text(name: &[u8], first: &[u8], others: &[Vec<u8>]) -> bool {
    let Some((last, between)) = others.split_last() else { return name == first };
    let Some(middle) = name.len().checked_sub(first.len() + last.len()) else { return false };
    let (start, rest) = name.split_at(first.len());
    let (mut rest, end) = rest.split_at(middle);
    if !is_same(start, first) || !is_same(end, last) {
        return false;
    }
    for piece in between {
        // The earliest match leaves the most for the rest.
        let Some(at) = memmem::find(rest, piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    true
}

fn matches_tokens(name: &[u32], tokens: &[Token], case_sensitive: bool) -> bool {
    let (mut at, mut token) = (0, 0);
    // Where to continue if the rest does not match: only the last star can have matched too little.
    let mut again = None;
    loop {
        match (tokens.get(token), name.get(at)) {
            (Some(Token::Star), _) => {
                token += 1;
                again = Some((at, token));
                continue;
            }
            (None, None) => return true,
            (Some(expected), Some(character)) if expected.takes(*character, case_sensitive) => {
                at += 1;
                token += 1;
                continue;
            }
            _ => {}
        }
        match &mut again {
            Some((start, behind)) if *start < name.len() => {
                *start += 1;
                (at, token) = (*start, *behind);
            }
            _ => return false,
        }
    }
}

impl Token {
    fn takes(&self, character: u32, case_sensitive: bool) -> bool {
        let contains = |ranges: &[(u32, u32)], character: u32| {
            ranges.iter().any(|(low, high)| (*low..=*high).contains(&character))
        };
        match self {
            Self::Star => false,
            Self::One => true,
            Self::Character(expected) if case_sensitive => *expected == character,
            Self::Character(expected) => *expected == folded(character),
            Self::Set { negated, ranges } if case_sensitive => contains(ranges, character) != *negated,
            Self::Set { negated, ranges } => {
                variants(character).any(|variant| contains(ranges, variant)) != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str, case_sensitive: bool) -> bool {
        let pattern: Vec<u32> = pattern.chars().map(u32::from).collect();
        NamePattern::new(&pattern, case_sensitive).matches(name.as_bytes(), &mut Vec::new())
    }

    #[test]
    fn stars_take_as_much_as_fits() {
        for (pattern, name) in
            [("*", "a"), ("*.txt", "a.txt"), ("a*b*c", "aXbYbc"), ("**x", "x"), ("*a", "aa")]
        {
            assert!(matches(pattern, name, true), "{pattern} {name}");
            assert!(matches(pattern, name, false), "{pattern} {name}");
        }
        for (pattern, name) in [("*.txt", "txt"), ("a*a", "a"), ("ab*ba", "aba"), ("*b*b", "b"), ("a", "ab")]
        {
            assert!(!matches(pattern, name, true), "{pattern} {name}");
            assert!(!matches(pattern, name, false), "{pattern} {name}");
        }
    }

    #[test]
    fn a_question_mark_is_a_character() {
        assert!(matches("?", "ä", true) && matches("a?c", "a\nc", true));
        assert!(!matches("??", "ä", true));
        let pattern = NamePattern::new(&[ONE, ONE], true);
        assert!(pattern.matches(b"\xff\xfe", &mut Vec::new()));
    }

    #[test]
    fn sets_are_read_as_fnmatch_reads_them() {
        let takes = |pattern: &str, characters: &str| {
            characters.chars().all(|character| matches(pattern, &character.to_string(), true))
        };
        let leaves = |pattern: &str, characters: &str| {
            !characters.chars().any(|character| matches(pattern, &character.to_string(), true))
        };
        assert!(takes("[a-c]", "abc") && leaves("[a-c]", "d-"));
        assert!(takes("[!a-c]", "d-!") && leaves("[!a-c]", "abc"));
        assert!(takes("[]a]", "]a") && leaves("[!]a]", "]a"));
        assert!(
            takes("[a-]", "a-") && takes("[-a]", "-a") && takes("[a-c-e]", "abc-e") && leaves("[a-c-e]", "d")
        );
        assert!(takes("[^a]", "^a") && takes("[[]", "[") && takes("[\\]", "\\"));
        assert!(leaves("[z-a]", "az-") && takes("[!z-a]", "az-"));
        assert!(matches("[", "[", true) && matches("[!", "[!", true) && matches("[]", "[]", true));
        assert!(matches("[A-C]", "b", false) && !matches("[A-C]", "b", true));
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        assert!(!matches(&"*a".repeat(200), &"a".repeat(199), true));
        assert!(!matches(&"*[a]".repeat(120), &format!("{}b", "a".repeat(250)), false));
    }
}
