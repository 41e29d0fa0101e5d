//! The request and the options of a copy or a move.

use crate::platform::NativePath;
use crate::verbs::report::Policy;

/// A copy or a move.
#[derive(Debug)]
pub struct CopyRequest {
    /// The path to copy.
    pub source: NativePath,
    /// The path of the copy.
    pub target: NativePath,
    /// Whether the source is removed at the end.
    pub moves: bool,
    /// The options.
    pub options: CopyOptions,
}

/// The options of a copy.
#[derive(Debug, Clone, Copy)]
pub struct CopyOptions {
    /// Whether symbolic links are followed.
    pub follow_symlinks: bool,
    /// Whether times, permissions and extended attributes are copied too.
    pub preserve_metadata: bool,
    /// Whether hard links to one file become hard links to one copy.
    pub preserve_hard_links: bool,
    /// Whether the target directory may exist.
    pub merge: bool,
    /// Whether an existing file is replaced atomically.
    pub atomic: bool,
    /// Whether the consumer selects the entries of each directory to copy.
    pub selects: bool,
    /// Whether FIFOs, sockets and devices are created anew.
    pub recreate_special: bool,
    /// How to handle an entry that cannot be copied.
    pub policy: Policy,
    /// Whether the consumer wants reports of progress.
    pub progress: bool,
    /// What there is to copy is counted first.
    pub totals: bool,
}
