//! What is to be copied, and how.

use crate::platform::NativePath;
use crate::verbs::report::Policy;

/// A copy or a move.
#[derive(Debug)]
pub struct CopyRequest {
    /// What is copied.
    pub source: NativePath,
    /// What it is copied to.
    pub target: NativePath,
    /// The source is removed in the end.
    pub moves: bool,
    /// How it is done.
    pub options: CopyOptions,
}

/// How something is copied.
#[derive(Debug, Clone, Copy)]
pub struct CopyOptions {
    /// A symbolic link stands for what it leads to.
    pub follow_symlinks: bool,
    /// Times, permissions and extended attributes are copied too.
    pub preserve_metadata: bool,
    /// Names of one file become names of one file.
    pub preserve_hard_links: bool,
    /// A directory may be there already.
    pub merge: bool,
    /// A file that is there is replaced at a stroke.
    pub atomic: bool,
    /// The consumer selects what of each directory is copied.
    pub selects: bool,
    /// FIFOs, sockets and devices are made anew.
    pub recreate_special: bool,
    /// What becomes of an entry that cannot be copied.
    pub policy: Policy,
    /// The consumer wants to know how far it has come.
    pub progress: bool,
    /// What there is to copy is counted first.
    pub totals: bool,
}
