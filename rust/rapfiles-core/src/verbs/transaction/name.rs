//! The names of what a transaction changes: paths relative to its directory that cannot lead out of it.

use crate::platform::{self, NativePath};

/// The directory of the logs.
pub(super) const LOGS: &str = ".rapfiles";

/// A path relative to the directory of a transaction: names separated by `/`, none of them `.` or `..`. Names that are
/// not valid UTF-8 are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name(Vec<u8>);

impl Name {
    /// A name that may be changed; `None` for others.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let valid = |part: &[u8]| {
            !part.is_empty()
                && part != b"."
                && part != b".."
                && !part.contains(&0)
                && !(cfg!(windows)
                    && (std::str::from_utf8(part).is_err() || part.iter().any(|byte| b"\\:".contains(byte))))
        };
        let is_log = |part: &[u8]| part.eq_ignore_ascii_case(LOGS.as_bytes());
        let mut parts = bytes.split(|byte| *byte == b'/');
        let first = parts.next()?;
        (valid(first) && !is_log(first) && parts.all(valid)).then(|| Self(bytes.to_vec()))
    }

    /// The bytes, separators included.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name of an entry that was found in a directory with this name; the empty one is that of the transaction's.
    pub(super) fn found(above: &[u8], leaf: &[u8]) -> Self {
        if above.is_empty() { Self(leaf.to_vec()) } else { Self([above, b"/", leaf].concat()) }
    }

    /// The name of the directory that the entry is in, if that is not the transaction's.
    pub(super) fn parent(&self) -> Option<Self> {
        Some(self.split().0).filter(|above| !above.is_empty()).map(|above| Self(above.to_vec()))
    }

    /// The bytes of [`Name::parent`].
    pub(super) fn parent_bytes(&self) -> &[u8] {
        self.split().0
    }

    /// The last part.
    pub(super) fn leaf(&self) -> std::io::Result<NativePath> {
        platform::entry_name(self.split().1)
    }

    fn split(&self) -> (&[u8], &[u8]) {
        match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&self.0[..slash], &self.0[slash + 1..]),
            None => (&[], &self.0),
        }
    }
}
