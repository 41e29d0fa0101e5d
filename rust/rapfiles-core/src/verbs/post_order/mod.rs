//! Post-order traversal of a tree of directories by several workers, each directory left after everything in it.
//!
//! Entries are accessed relative to the descriptor of their directory, so no link that replaces a directory can mislead
//! a visit. The number of open directories does not grow with the depth of the tree: those far above the current one
//! are closed, and opened again on the way back up through `..`, if that is still the same directory.
//!
//! Tasks are kept on a stack, so that deep ones are done first and few wait. A directory with many entries is cut into
//! slices, which several workers process at once.

mod node;
mod traversal;
mod visiting;
mod visitor;

pub(crate) use node::Node;
pub(crate) use traversal::Manner;
pub use traversal::PostOrder;
pub(crate) use visitor::{At, Entered, Left, Visit, Visitor};
