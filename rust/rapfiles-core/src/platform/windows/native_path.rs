//! Paths as Windows' calls want them.

use std::ffi::OsString;
use std::os::windows::ffi::{OsStrExt, OsStringExt};

use super::lexical::{Parts, is_separator, split_root};

/// A path as system calls want it: 16-bit units with a NUL behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativePath(Vec<u16>);

impl NativePath {
    /// The path with this text.
    ///
    /// # Errors
    /// The text itself, when there is a NUL in it.
    pub fn from_os_string(text: OsString) -> Result<Self, OsString> {
        Self::from_wide(text.encode_wide().collect()).ok_or(text)
    }

    /// The path with these units; `None` when there is a NUL among them.
    pub(super) fn from_wide(mut units: Vec<u16>) -> Option<Self> {
        if units.contains(&0) {
            return None;
        }
        units.push(0);
        Some(Self(units))
    }

    /// The units, without the NUL.
    pub(super) fn units(&self) -> &[u16] {
        &self.0[..self.0.len() - 1]
    }

    /// Its bytes, as [`std::ffi::OsStr::as_encoded_bytes`] gives them.
    pub(crate) fn encoded(&self) -> std::borrow::Cow<'_, [u8]> {
        self.to_os_string().into_encoded_bytes().into()
    }

    /// Its length, in the units of [`super::LONGEST_PATH`].
    pub(crate) fn len(&self) -> usize {
        self.units().len()
    }

    /// The path as the platform's string.
    pub fn to_os_string(&self) -> OsString {
        OsString::from_wide(self.units())
    }

    pub(super) fn as_ptr(&self) -> *const u16 {
        self.0.as_ptr()
    }
}

/// The lexical parent of a path that pathlib has normalised.
pub(crate) fn parent(path: &NativePath) -> Option<NativePath> {
    parent_of(path.units()).and_then(NativePath::from_wide)
}

fn parent_of(path: &[u16]) -> Option<Vec<u16>> {
    let Parts { drive, root, rest } = split_root(path);
    if rest.is_empty() || path == [u16::from(b'.')] {
        return None;
    }
    let end = rest.iter().rposition(|unit| is_separator(*unit)).unwrap_or(0);
    let parent = [drive, root, &rest[..end]].concat();
    Some(if parent.is_empty() { vec![u16::from(b'.')] } else { parent })
}

#[cfg(test)]
impl From<&std::path::Path> for NativePath {
    fn from(path: &std::path::Path) -> Self {
        Self::from_os_string(path.into()).expect("paths of tests have no NUL")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_refused_and_the_text_given_back() {
        assert_eq!(NativePath::from_os_string("a\0b".into()), Err("a\0b".into()));
        let text = OsString::from_wide(&[0xd800, 0x61]);
        assert_eq!(NativePath::from_os_string(text.clone()).map(|path| path.to_os_string()), Ok(text));
    }

    fn parent_text(path: &str) -> Option<String> {
        parent_of(&path.encode_utf16().collect::<Vec<_>>()).map(|parent| String::from_utf16(&parent).unwrap())
    }

    #[test]
    fn parents_are_those_of_pure_windows_path() {
        for (path, parent) in [
            (r"C:\a\b", r"C:\a"),
            (r"C:\a", r"C:\"),
            (r"C:a\b", r"C:a"),
            ("C:a", "C:"),
            (r"\a", r"\"),
            ("a", "."),
            (r"a\b", "a"),
            (r".\c:a", "."),
            (r".\c:a\b", r".\c:a"),
            (r"\\server\share\a", r"\\server\share\"),
            (r"\\server\share\a\b", r"\\server\share\a"),
            (r"\\?\C:\a", r"\\?\C:\"),
            (r"\\?\UNC\server\share\a", r"\\?\UNC\server\share\"),
        ] {
            assert_eq!(parent_text(path).as_deref(), Some(parent), "{path}");
        }
    }

    #[test]
    fn roots_and_the_current_directory_have_no_parent() {
        for path in [r"C:\", "C:", r"\", ".", r"\\server\share\", r"\\?\C:\"] {
            assert_eq!(parent_text(path), None, "{path}");
        }
    }
}
