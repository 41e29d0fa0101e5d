//! Symbolic and hard links.

use std::ffi::OsString;

use crate::error::{About, Error, Subject};
use crate::platform::{self, NativePath};

/// The type of a symbolic link's target. It matters only on Windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// A file, or unknown.
    File,
    /// A directory.
    Directory,
}

/// Creates a symbolic link at `path`.
pub(crate) fn symlink(target: &NativePath, path: &NativePath, kind: TargetKind) -> Result<(), Error> {
    platform::symlink(target, path, kind).about(Subject::Both)
}

/// Creates a hard link at `path`. `follow`: whether to follow `target` if it is a symbolic link.
pub(crate) fn link(target: &NativePath, path: &NativePath, follow: bool) -> Result<(), Error> {
    platform::link(target, path, follow).about(Subject::Both)
}

/// Where a symbolic link leads.
pub(crate) fn read(path: &NativePath) -> Result<OsString, Error> {
    platform::read_link(path).about_path()
}
