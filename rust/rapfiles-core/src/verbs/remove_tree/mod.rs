//! Removing a directory with everything in it, without ever following a link out of it.
//!
//! Everything is done by descriptor, relative to a directory that was opened as such: neither a link that takes the place
//! of a directory meanwhile nor another directory that does can mislead it. Several workers do it at once, each in another
//! directory where there are so many; how many are open does not grow with the depth of the tree.

mod remover;
mod removing;
#[cfg(all(test, unix))]
mod tests;

pub(crate) use remover::Remover;
pub(crate) use removing::unattended;
pub use removing::{Removed, Removing, remove_tree};
