//! Patterns over names and paths: each name as in a glob ([`NamePattern`]), and `**` for any number of directories.
//!
//! A pattern without a slash matches names; one with a slash matches paths relative to the top of the tree. With a
//! slash at the end it only matches directories. Matching takes time proportional to the length of the pattern times
//! that of the text, for any pattern.

use std::borrow::Cow;

use super::node::Node;
use crate::verbs::glob::{NamePattern, decode};

/// A pattern for one name.
#[derive(Debug, Clone)]
pub(super) enum Component {
    /// `**`: any number of directories.
    Directories,
    Name(NamePattern),
}

/// A pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    components: Vec<Component>,
    /// It matches a path rather than a name.
    anchored: bool,
    only_directories: bool,
}

/// Patterns, at least one of which has to match.
#[derive(Debug, Clone, Default)]
pub struct Patterns(Vec<Pattern>);

impl Component {
    fn new(text: &[u8]) -> Self {
        if text == b"**" {
            return Self::Directories;
        }
        let mut pattern = Vec::with_capacity(text.len());
        decode(text, &mut pattern);
        Self::Name(NamePattern::new(&pattern, !cfg!(windows)))
    }

    pub(super) fn matches(&self, name: &[u8], room: &mut Vec<u32>) -> bool {
        match self {
            Self::Directories => true,
            Self::Name(pattern) => pattern.matches(name, room),
        }
    }
}

impl Pattern {
    /// Parses a pattern, with slashes between the names.
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
            [component] if !self.anchored => component.matches(names.name, &mut Vec::new()),
            components => matches_path(components, &names.path()),
        }
    }
}

/// Keeps the set of how many leading names the components so far may have matched, so that `**` needs no backtracking.
pub(super) fn matches_path(components: &[Component], names: &[impl AsRef<[u8]>]) -> bool {
    let (mut taken, mut room) = (vec![false; names.len() + 1], Vec::new());
    taken[0] = true;
    for component in components {
        if matches!(component, Component::Directories) {
            if let Some(first) = taken.iter().position(|taken| *taken) {
                taken[first..].fill(true);
            }
            continue;
        }
        for count in (0..names.len()).rev() {
            taken[count + 1] = taken[count] && component.matches(names[count].as_ref(), &mut room);
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
    /// Patterns, at least one of which has to match.
    pub fn new(patterns: Vec<Pattern>) -> Self {
        Self(patterns)
    }

    /// Whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of the patterns matches.
    pub(super) fn match_any(&self, names: &Names<'_>, is_directory: bool) -> bool {
        self.0.iter().any(|pattern| pattern.matches(names, is_directory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Component::new(pattern.as_bytes()).matches(name.as_bytes(), &mut Vec::new())
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
