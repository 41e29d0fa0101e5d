//! The path without symbolic links, as `os.path.realpath` of the running Python finds it.

use std::ffi::OsString;

use crate::error::Error;
use crate::platform::{self, NativePath};

/// What may be missing on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Whatever cannot be resolved is kept as it is.
    Lenient,
    /// Only what does not exist is kept as it is.
    AllowMissing,
    /// The last component may be missing, or what a link there leads to; everything above must exist.
    AllButLast,
    /// Any error is raised.
    Strict,
}

/// The path without symbolic links. `rules`: the minor version of the Python 3 whose `realpath` is followed.
pub(crate) fn resolve(path: &NativePath, strictness: Strictness, rules: u32) -> Result<OsString, Error> {
    platform::resolve(path, strictness, rules)
}

/// The lexical parent, as `pathlib` has it; `None` for a root and for the current directory.
///
/// Expects a path as `pathlib` normalises it: no doubled and no trailing separators.
pub(crate) fn parent(path: &NativePath) -> Option<NativePath> {
    platform::parent(path)
}
