//! Removing a directory with everything in it, without ever following a link out of it.
//!
//! Everything is done by descriptor, relative to an open directory: neither a link nor another directory that replaces
//! a directory meanwhile can mislead it. Several workers do it at once, each in another directory if there are enough;
//! the number of open directories does not grow with the depth of the tree.

mod remover;
mod removing;
#[cfg(all(test, unix))]
#[allow(clippy::disallowed_methods, reason = "it looks at the real file system")]
mod tests;

pub(crate) use remover::Remover;
pub(crate) use removing::unattended;
pub use removing::{Removed, Removing, remove_tree};
