//! Patterns over names and paths: `*`, `?`, `[…]` as in pathlib, `**` for any number of directories.
//!
//! A pattern without a slash is about names; one with a slash about paths from the top of the tree. A slash at the end
//! keeps it to directories. Matching takes time in proportion to the pattern times the text, whatever they are.

use std::borrow::Cow;

use memchr::memmem;

use super::node::Node;

/// What a position of a name may be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(u32),
    /// Any one character.
    Any,
    /// Any number of them.
    Star,
    /// One of these ranges, or none of them.
    Set {
        negated: bool,
        ranges: Vec<(u32, u32)>,
    },
}

/// A pattern for one name.
#[derive(Debug, Clone)]
enum Component {
    /// `**`: any number of directories.
    Directories,
    /// What stands between asterisks.
    Pieces(Vec<Vec<u8>>),
    Tokens(Vec<Token>),
}

/// A pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    components: Vec<Component>,
    /// It is about a path, and not about a name.
    anchored: bool,
    only_directories: bool,
}

/// Patterns of which one has to match.
#[derive(Debug, Clone, Default)]
pub struct Patterns(Vec<Pattern>);

/// The characters of a name: bytes that are not UTF-8 are those that Python makes of them.
fn characters(name: &[u8]) -> Vec<u32> {
    let mut characters = Vec::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        characters.extend(chunk.valid().chars().map(fold));
        characters.extend(chunk.invalid().iter().map(|byte| 0xDC00 + u32::from(*byte)));
    }
    characters
}

/// Where names that differ in case alone are the same, they are compared in lower case.
fn fold(character: char) -> u32 {
    if cfg!(windows) { character.to_lowercase().next().unwrap_or(character).into() } else { character.into() }
}

impl Component {
    fn new(text: &[u8]) -> Self {
        if text == b"**" {
            return Self::Directories;
        }
        if !cfg!(windows) && !text.iter().any(|byte| matches!(byte, b'?' | b'[')) {
            return Self::Pieces(text.split(|byte| *byte == b'*').map(<[u8]>::to_vec).collect());
        }
        Self::Tokens(tokens(&characters(text)))
    }

    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Directories => true,
            Self::Pieces(pieces) => matches_pieces(pieces, name),
            Self::Tokens(tokens) => matches_tokens(tokens, &characters(name)),
        }
    }
}

fn matches_pieces(pieces: &[Vec<u8>], name: &[u8]) -> bool {
    let [first, middle @ .., last] = pieces else {
        return pieces.first().is_some_and(|whole| whole == name);
    };
    let Some(mut rest) = name.strip_prefix(&first[..]) else { return false };
    for piece in middle {
        let Some(at) = memmem::find(rest, piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// Goes back to the last asterisk only: what an earlier one took was enough.
fn matches_tokens(tokens: &[Token], name: &[u32]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < name.len() {
        match tokens.get(token) {
            Some(Token::Star) => {
                retry = Some((token + 1, at));
                token += 1;
                continue;
            }
            Some(expected) if expected.takes(name[at]) => {
                token += 1;
                at += 1;
                continue;
            }
            _ => {}
        }
        let Some((behind, from)) = retry else { return false };
        retry = Some((behind, from + 1));
        (token, at) = (behind, from + 1);
    }
    tokens[token..].iter().all(|token| *token == Token::Star)
}

impl Token {
    fn takes(&self, character: u32) -> bool {
        match self {
            Self::Literal(expected) => *expected == character,
            Self::Any => true,
            Self::Star => false,
            Self::Set { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&character)) != *negated
            }
        }
    }
}

/// What `fnmatch.translate` understands.
fn tokens(text: &[u32]) -> Vec<Token> {
    let is = |at: usize, character: char| text.get(at) == Some(&u32::from(character));
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let character = text[at];
        at += 1;
        if character == u32::from('*') {
            if tokens.last() != Some(&Token::Star) {
                tokens.push(Token::Star);
            }
        } else if character == u32::from('?') {
            tokens.push(Token::Any);
        } else if character == u32::from('[') {
            let start = at + usize::from(is(at, '!'));
            // A bracket that comes first is one of the set.
            let mut end = start + usize::from(is(start, ']'));
            while end < text.len() && !is(end, ']') {
                end += 1;
            }
            if end >= text.len() {
                tokens.push(Token::Literal(character));
                continue;
            }
            tokens.push(Token::Set { negated: start > at, ranges: ranges(&text[start..end]) });
            at = end + 1;
        } else {
            tokens.push(Token::Literal(character));
        }
    }
    tokens
}

fn ranges(text: &[u32]) -> Vec<(u32, u32)> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let is_range = text.get(at + 1) == Some(&u32::from('-')) && at + 2 < text.len();
        let high = if is_range { text[at + 2] } else { text[at] };
        // One that ends before it begins is empty.
        ranges.push((text[at], high));
        at += if is_range { 3 } else { 1 };
    }
    ranges
}

impl Pattern {
    /// A pattern, with slashes between the names.
    pub fn new(text: &[u8]) -> Self {
        let (text, only_directories) = match text.strip_suffix(b"/") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let anchored = text.contains(&b'/');
        let names = text.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
        Self { components: names.map(Component::new).collect(), anchored, only_directories }
    }

    fn matches(&self, names: &Names<'_>, is_directory: bool) -> bool {
        if self.only_directories && !is_directory {
            return false;
        }
        match &self.components[..] {
            [] => false,
            [component] if !self.anchored => component.matches(names.name),
            components => matches_path(components, &names.path()),
        }
    }
}

/// How many leading names the components so far may have taken is a set, so that `**` costs no going back.
fn matches_path(components: &[Component], names: &[Cow<'_, [u8]>]) -> bool {
    let mut taken = vec![false; names.len() + 1];
    taken[0] = true;
    for component in components {
        if matches!(component, Component::Directories) {
            if let Some(first) = taken.iter().position(|taken| *taken) {
                taken[first..].fill(true);
            }
            continue;
        }
        for count in (0..names.len()).rev() {
            taken[count + 1] = taken[count] && component.matches(&names[count]);
        }
        taken[0] = false;
    }
    taken[names.len()]
}

/// The names from the top of a tree to an entry.
pub(super) struct Names<'a> {
    pub(super) node: &'a Node,
    pub(super) name: &'a [u8],
}

impl<'a> Names<'a> {
    fn path(&self) -> Vec<Cow<'a, [u8]>> {
        let mut names: Vec<Cow<'_, [u8]>> = vec![self.name.into()];
        names.extend(self.node.line().filter(|node| node.depth() > 0).map(|node| node.name().encoded()));
        names.reverse();
        names
    }
}

impl Patterns {
    /// Patterns of which one has to match.
    pub fn new(patterns: Vec<Pattern>) -> Self {
        Self(patterns)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn match_any(&self, names: &Names<'_>, is_directory: bool) -> bool {
        self.0.iter().any(|pattern| pattern.matches(names, is_directory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Component::new(pattern.as_bytes()).matches(name.as_bytes())
    }

    #[test]
    fn names_match_as_in_fnmatch() {
        for (pattern, name) in [
            ("*", "a"),
            ("*.txt", ".txt"),
            ("a*b*c", "a-b-b-c"),
            ("?", "ü"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("[!]]", "["),
            ("[", "["),
            ("[a", "[a"),
            ("a[", "a["),
            ("[^a]", "^"),
            ("[a-]", "-"),
            ("**a", "bba"),
            ("{a,b}", "{a,b}"),
            ("\\*", "\\x"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("a", "b"),
            ("*.txt", "a.txt2"),
            ("a*b*c", "a-c-b"),
            ("?", ""),
            ("[!a]", "a"),
            ("[b-a]", "a"),
            ("ab*ba", "aba"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        let hostile = "*a".repeat(200) + "b?";
        assert!(!matches(&hostile, &"a".repeat(2000)));
    }

    #[test]
    fn two_asterisks_are_any_number_of_directories() {
        let matches = |pattern: &str, path: &str| {
            let names: Vec<Cow<'_, [u8]>> = path.split('/').map(|name| name.as_bytes().into()).collect();
            matches_path(&Pattern::new(pattern.as_bytes()).components, &names)
        };
        assert!(matches("**/a", "a") && matches("**/a", "b/c/a") && matches("a/**/b", "a/b"));
        assert!(matches("a/**", "a/b/c") && matches("a/*/c", "a/b/c"));
        assert!(!matches("a/*", "a/b/c") && !matches("/a", "b/a") && !matches("a/**/b", "a/b/c"));
    }
}
