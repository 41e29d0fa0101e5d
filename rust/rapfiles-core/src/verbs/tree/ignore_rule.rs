//! One line of a `.gitignore` file, as gitignore(5) and `wildmatch.c` of git read it.
//!
//! Names are matched byte by byte, by the same code as those of globs, and `**` as in the other patterns of trees, in
//! linear time. The `ignore` crate does not match all rules as git does: it has no POSIX classes, for example
//! (BurntSushi/ripgrep#2962).

use super::pattern::{Component, matches_path};
use crate::verbs::glob::{NamePattern, Token};

/// A rule.
#[derive(Debug)]
pub(super) struct IgnoreRule {
    /// One of these has to match.
    forms: Vec<Vec<Component>>,
    /// It matches a path relative to the directory of its file, rather than a name at any depth.
    anchored: bool,
    only_directories: bool,
    /// What matches is not ignored, even if an earlier rule ignores it.
    pub(super) keeps: bool,
}

impl IgnoreRule {
    /// Parses a line; `None` for a comment and for anything else that is not a rule.
    pub(super) fn new(line: &[u8]) -> Option<Self> {
        let line = without_trailing_spaces(line.strip_suffix(b"\r").unwrap_or(line));
        if line.starts_with(b"#") {
            return None;
        }
        let (line, keeps) = match line.strip_prefix(b"!") {
            Some(rest) => (rest, true),
            None => (line, false),
        };
        let (line, only_directories) = match line.strip_suffix(b"/") {
            Some(rest) => (rest, true),
            None => (line, false),
        };
        let anchored = line.contains(&b'/');
        let text = line.strip_prefix(b"/").unwrap_or(line);
        if text.is_empty() || text.ends_with(b"/") {
            return None;
        }
        let forms = if anchored { forms(text) } else { components(text).into_iter().collect() };
        (!forms.is_empty()).then_some(Self { forms, anchored, only_directories, keeps })
    }

    /// Whether it matches the entry with these names, relative to the directory of its file.
    pub(super) fn matches(&self, names: &[&[u8]], is_directory: bool) -> bool {
        if self.only_directories && !is_directory {
            return false;
        }
        self.forms.iter().any(|components| match (&components[..], names.last()) {
            ([component], Some(name)) if !self.anchored => component.matches(name, &mut Vec::new()),
            _ => matches_path(components, names),
        })
    }
}

/// Strips trailing spaces, except those after a backslash.
fn without_trailing_spaces(line: &[u8]) -> &[u8] {
    let (mut end, mut at) = (0, 0);
    while at < line.len() {
        if line[at] == b'\\' {
            at += 1;
        } else if line[at] == b' ' {
            at += 1;
            continue;
        }
        at += 1;
        end = at.min(line.len());
    }
    &line[..end]
}

/// What an anchored rule stands for.
///
/// git compares what comes before the first wildcard by itself (`match_pathname` in its `dir.c`). So if `**` comes next,
/// it is at the beginning of what is left, and stands for directories as if a slash came before it: `a**/b` matches what
/// `ab` or `a*/**/b` would.
fn forms(text: &[u8]) -> Vec<Vec<Component>> {
    let plain = text.iter().position(|byte| b"*?[\\".contains(byte)).unwrap_or(text.len());
    let (before, mut rest) = text.split_at(plain);
    let mut forms = Vec::new();
    while !before.is_empty()
        && !before.ends_with(b"/")
        && let Some(after) = behind_directories(rest)
    {
        forms.extend(components(&[before, b"*/**", after].concat()));
        let Some(after) = after.strip_prefix(b"/") else { break };
        rest = after;
    }
    forms.extend(components(&[before, rest].concat()));
    forms
}

/// What follows `**` at the beginning of a text, if it stands for directories there.
fn behind_directories(text: &[u8]) -> Option<&[u8]> {
    let stars = text.iter().take_while(|byte| **byte == b'*').count();
    let after = &text[stars..];
    (stars >= 2 && (after.is_empty() || after.starts_with(b"/"))).then_some(after)
}

/// The names of a rule; `None` where nothing can match.
fn components(text: &[u8]) -> Option<Vec<Component>> {
    let mut components = Vec::new();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        let starts = at == 0 || text[at - 1] == b'/';
        at += 1;
        match byte {
            b'/' if starts => return None,
            b'/' => components.extend(name(&mut tokens)),
            b'*' => {
                let begin = at;
                while text.get(at) == Some(&b'*') {
                    at += 1;
                }
                let rest = &text[at..];
                let ends = rest.is_empty() || rest.starts_with(b"/") || rest.starts_with(b"\\/");
                if at > begin && starts && ends {
                    components.push(Component::Directories);
                    if rest.is_empty() {
                        // The content of a directory, not the directory itself.
                        components.push(Component::Name(NamePattern::of_bytes(vec![Token::Star])));
                    }
                } else if !matches!(tokens.last(), Some(Token::Star)) {
                    tokens.push(Token::Star);
                }
            }
            b'?' => tokens.push(Token::One),
            b'[' => {
                let (set, end) = set(text, at)?;
                tokens.push(set);
                at = end;
            }
            b'\\' => match *text.get(at)? {
                // It would have to match a slash at the beginning of a name.
                b'/' if starts => return None,
                b'/' => {}
                escaped => {
                    tokens.push(Token::Character(escaped.into()));
                    at += 1;
                }
            },
            byte => tokens.push(Token::Character(byte.into())),
        }
    }
    components.extend(name(&mut tokens));
    Some(components)
}

/// The pattern for a whole name.
fn name(tokens: &mut Vec<Token>) -> Option<Component> {
    let tokens = std::mem::take(tokens);
    (!tokens.is_empty()).then(|| Component::Name(NamePattern::of_bytes(tokens)))
}

/// The set that begins after a bracket, and where it ends; `None` if it does not end.
fn set(text: &[u8], mut at: usize) -> Option<(Token, usize)> {
    let negated = matches!(text.get(at)?, b'!' | b'^');
    at += usize::from(negated);
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    // The character that would begin a range if a hyphen followed.
    let mut before: Option<u8> = None;
    let start = at;
    loop {
        let mut byte = *text.get(at)?;
        at += 1;
        if byte == b']' && at > start + 1 {
            return Some((Token::Set { negated, ranges }, at));
        }
        if byte == b'-'
            && let Some(low) = before
            && text.get(at).is_some_and(|next| *next != b']')
        {
            let mut high = *text.get(at)?;
            at += 1;
            if high == b'\\' {
                high = *text.get(at)?;
                at += 1;
            }
            ranges.push((low.into(), high.into()));
            before = None;
            continue;
        }
        if byte == b'[' && text.get(at) == Some(&b':') {
            let inside = &text[at + 1..];
            let length = inside.iter().position(|byte| *byte == b']')?;
            if let Some(class) = inside[..length].strip_suffix(b":") {
                ranges.extend(class_of(class)?.iter().map(|(low, high)| (u32::from(*low), u32::from(*high))));
                at += length + 2;
                before = None;
                continue;
            }
        }
        if byte == b'\\' {
            byte = *text.get(at)?;
            at += 1;
        }
        ranges.push((byte.into(), byte.into()));
        before = Some(byte);
    }
}

/// The characters of a class in the C locale.
fn class_of(name: &[u8]) -> Option<&'static [(u8, u8)]> {
    Some(match name {
        b"alnum" => &[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')],
        b"alpha" => &[(b'A', b'Z'), (b'a', b'z')],
        b"blank" => &[(b' ', b' '), (b'\t', b'\t')],
        b"cntrl" => &[(0, 0x1f), (0x7f, 0x7f)],
        b"digit" => &[(b'0', b'9')],
        b"graph" => &[(b'!', b'~')],
        b"lower" => &[(b'a', b'z')],
        b"print" => &[(b' ', b'~')],
        b"punct" => &[(b'!', b'/'), (b':', b'@'), (b'[', b'`'), (b'{', b'~')],
        b"space" => &[(b'\t', b'\r'), (b' ', b' ')],
        b"upper" => &[(b'A', b'Z')],
        b"xdigit" => &[(b'0', b'9'), (b'A', b'F'), (b'a', b'f')],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(rule: &str, path: &str) -> bool {
        let names: Vec<&[u8]> = path.trim_end_matches('/').split('/').map(str::as_bytes).collect();
        IgnoreRule::new(rule.as_bytes()).is_some_and(|rule| rule.matches(&names, path.ends_with('/')))
    }

    #[test]
    fn rules_are_read_as_git_reads_them() {
        for (rule, path) in [
            ("a", "b/a"),
            ("/a", "a"),
            ("a/", "b/a/"),
            ("a/b", "a/b"),
            ("a\\/b", "a/b"),
            ("**/b", "b"),
            ("**/b", "a/c/b"),
            ("a/**", "a/b/c"),
            ("a/**/b", "a/b"),
            ("a/**/b", "a/x/y/b"),
            ("*", "a/b"),
            ("a**b", "axxb"),
            ("[a-c]x", "bx"),
            ("[^a-c]x", "dx"),
            ("[!a-c]x", "dx"),
            ("[]-]", "]"),
            ("[[:digit:][:upper:]]", "Q"),
            ("[\\]]", "]"),
            ("a[b/c]d", "acd"),
            ("\\#a", "#a"),
            ("\\!a", "!a"),
            ("a\\ ", "a "),
            ("a  ", "a"),
            ("a\r", "a"),
            ("\\*", "*"),
            ("[:a]", ":"),
            ("/a**/b", "ab"),
            ("/a**/b", "a/b"),
            ("a**/b", "ax/y/b"),
            ("c/a**/**/b", "c/ab"),
            ("c/a**", "c/ax/y"),
        ] {
            assert!(matches(rule, path), "{rule} {path}");
        }
        for (rule, path) in [
            ("/a", "b/a"),
            ("a/", "a"),
            ("a/**", "a/"),
            ("a/b", "c/a/b"),
            ("a/*", "a/b/c"),
            ("?", "ü"),
            ("#a", "#a"),
            ("", "a"),
            ("/", "a"),
            ("[a", "[a"),
            ("a\\", "a\\"),
            ("a//b", "a/b/"),
            ("\\/a", "a"),
            ("a/\\/b", "a/b"),
            ("\\*", "a"),
            ("a*/b", "ab"),
            ("c/*a**/b", "c/ab"),
            ("/a**/b", "xab"),
        ] {
            assert!(!matches(rule, path), "{rule} {path}");
        }
        assert!(IgnoreRule::new(b"!a").is_some_and(|rule| rule.keeps));
        let hostile = "*a".repeat(200) + "?b";
        assert!(!matches(&hostile, &"a".repeat(2000)));
    }
}
