//! The lexical part of Python's `ntpath`: splitting and joining paths.

const BACKSLASH: u16 = b'\\' as u16;
const SLASH: u16 = b'/' as u16;
const COLON: u16 = b':' as u16;
const DOT: u16 = b'.' as u16;

/// Since Python 3.13 a path with a root but without a drive is not absolute.
const DRIVES_MAKE_ABSOLUTE: u32 = 13;

pub(super) fn is_separator(unit: u16) -> bool {
    unit == BACKSLASH || unit == SLASH
}

/// The three parts of a path; one after the other, they are the path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// `C:`, `\\server\share`, `\\?\C:` and the like, or nothing.
    pub(super) drive: &'a [u16],
    /// A separator, or nothing.
    pub(super) root: &'a [u16],
    /// Everything else.
    pub(super) rest: &'a [u16],
}

/// `ntpath.splitroot`.
pub(super) fn split_root(path: &[u16]) -> Parts<'_> {
    let separator_from = |start: usize| {
        path.iter().skip(start).position(|unit| is_separator(*unit)).map(|found| start + found)
    };
    let separator_at = |index: usize| path.get(index).is_some_and(|unit| is_separator(*unit));
    let drive = if separator_at(0) {
        if separator_at(1) {
            let server = if is_extended_unc(path) { 8 } else { 2 };
            separator_from(server).and_then(|share| separator_from(share + 1)).unwrap_or(path.len())
        } else {
            0
        }
    } else if path.get(1) == Some(&COLON) {
        2
    } else {
        0
    };
    let root = drive + usize::from(separator_at(drive));
    Parts { drive: &path[..drive], root: &path[drive..root], rest: &path[root..] }
}

/// Whether the path begins with `\\?\UNC\`.
fn is_extended_unc(path: &[u16]) -> bool {
    const PREFIX: &[u8; 8] = br"\\?\UNC\";
    path.len() >= PREFIX.len()
        && path.iter().zip(PREFIX).all(|(unit, expected)| {
            let unit = if *unit == SLASH { BACKSLASH } else { *unit };
            u8::try_from(unit).is_ok_and(|unit| unit.eq_ignore_ascii_case(expected))
        })
}

/// `ntpath.split`: the directory, without separators behind it, and the last name.
pub(super) fn split(path: &[u16]) -> (Vec<u16>, &[u16]) {
    let Parts { drive, root, rest } = split_root(path);
    let name = rest.iter().rposition(|unit| is_separator(*unit)).map_or(0, |separator| separator + 1);
    let directory = without_separators_behind(&rest[..name]);
    ([drive, root, directory].concat(), &rest[name..])
}

/// A path without the separators at its end.
pub(super) fn without_separators_behind(path: &[u16]) -> &[u16] {
    let end = path.iter().rposition(|unit| !is_separator(*unit)).map_or(0, |last| last + 1);
    &path[..end]
}

/// `ntpath.isabs`, by the rules of this minor version of Python 3.
pub(super) fn is_absolute(path: &[u16], rules: u32) -> bool {
    let separator_at = |index: usize| path.get(index).is_some_and(|unit| is_separator(*unit));
    let has_drive_and_root = path.get(1) == Some(&COLON) && separator_at(2);
    let second_is_enough = rules < DRIVES_MAKE_ABSOLUTE || separator_at(1);
    has_drive_and_root || (separator_at(0) && second_is_enough)
}

/// `ntpath.join` of two paths.
pub(super) fn join(path: &[u16], other: &[u16]) -> Vec<u16> {
    let first = split_root(path);
    let second = split_root(other);
    if !second.root.is_empty() {
        let drive =
            if !second.drive.is_empty() || first.drive.is_empty() { second.drive } else { first.drive };
        return assembled(drive, second.root, second.rest.to_vec());
    }
    let mut drive = first.drive;
    if !second.drive.is_empty() && second.drive != first.drive {
        if lower_case(second.drive) != lower_case(first.drive) {
            return assembled(second.drive, second.root, second.rest.to_vec());
        }
        drive = second.drive;
    }
    let mut rest = first.rest.to_vec();
    if rest.last().is_some_and(|unit| !is_separator(*unit)) {
        rest.push(BACKSLASH);
    }
    rest.extend_from_slice(second.rest);
    assembled(drive, first.root, rest)
}

/// Puts a separator between a share and what is in it.
fn assembled(drive: &[u16], root: &[u16], rest: Vec<u16>) -> Vec<u16> {
    let open = drive.last().is_some_and(|unit| *unit != COLON && !is_separator(*unit));
    let separator: &[u16] = if !rest.is_empty() && root.is_empty() && open { &[BACKSLASH] } else { &[] };
    [drive, separator, root, &rest].concat()
}

/// `ntpath.normpath`.
pub(super) fn normalised(path: &[u16]) -> Vec<u16> {
    const PARENT: &[u16] = &[DOT, DOT];
    let path: Vec<u16> = path.iter().map(|unit| if *unit == SLASH { BACKSLASH } else { *unit }).collect();
    let Parts { drive, root, rest } = split_root(&path);
    let mut names: Vec<&[u16]> = Vec::new();
    for name in rest.split(|unit| *unit == BACKSLASH) {
        match name {
            [] | [DOT] => {}
            PARENT if names.last().is_some_and(|last| *last != PARENT) => drop(names.pop()),
            PARENT if names.is_empty() && !root.is_empty() => {}
            _ => names.push(name),
        }
    }
    let normalised = [drive, root, &names.join(&BACKSLASH)].concat();
    if normalised.is_empty() { vec![DOT] } else { normalised }
}

/// The path with its letters in lower case and its separators turned round, to be compared with others:
/// `ntpath.normcase`.
pub(super) fn folded(path: &[u16]) -> Vec<u16> {
    lower_case(path).into_iter().map(|unit| if unit == SLASH { BACKSLASH } else { unit }).collect()
}

fn lower_case(text: &[u16]) -> Vec<u16> {
    let mut lower = Vec::with_capacity(text.len());
    for character in char::decode_utf16(text.iter().copied()) {
        match character {
            Ok(character) => {
                let mut room = [0; 2];
                for character in character.to_lowercase() {
                    lower.extend_from_slice(character.encode_utf16(&mut room));
                }
            }
            Err(error) => lower.push(error.unpaired_surrogate()),
        }
    }
    lower
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    fn text(units: &[u16]) -> String {
        String::from_utf16(units).unwrap()
    }

    #[test]
    fn shares_and_devices_are_drives() {
        for (path, drive, root, rest) in [
            (r"C:\a", "C:", r"\", "a"),
            ("C:a", "C:", "", "a"),
            (r"\a", "", r"\", "a"),
            ("a", "", "", "a"),
            (r"\\server\share\a", r"\\server\share", r"\", "a"),
            (r"\\server\share", r"\\server\share", "", ""),
            (r"\\?\UNC\server\share\a", r"\\?\UNC\server\share", r"\", "a"),
            (r"\\?\C:\a", r"\\?\C:", r"\", "a"),
        ] {
            let units = wide(path);
            let parts = split_root(&units);
            assert_eq!(
                (text(parts.drive), text(parts.root), text(parts.rest)),
                (drive.to_owned(), root.to_owned(), rest.to_owned()),
                "{path}"
            );
        }
    }

    #[test]
    fn normalising_goes_up_but_not_above_a_root() {
        for (path, normal) in [
            (r"a\..\b", "b"),
            (r"C:\..\a/./b\", r"C:\a\b"),
            (r"..\..\a", r"..\..\a"),
            (r"a\..", "."),
            (r"\\server\share\..\a", r"\\server\share\a"),
        ] {
            assert_eq!(text(&normalised(&wide(path))), normal, "{path}");
        }
    }

    #[test]
    fn joining_keeps_the_drive() {
        for (path, other, joined) in [
            (r"C:\a", "b", r"C:\a\b"),
            (r"C:\a", r"\b", r"C:\b"),
            (r"C:\a", "c:b", r"c:\a\b"),
            (r"C:\a", r"D:b", "D:b"),
            (r"\\server\share", "a", r"\\server\share\a"),
        ] {
            assert_eq!(text(&join(&wide(path), &wide(other))), joined, "{path} {other}");
        }
    }
}
