//! Trees: what is in a directory and in those below it.

mod frontier;
mod listing;
mod node;
mod open_directories;
mod options;
mod source;
mod walk;

pub use listing::Listing;
pub use node::Node;
pub use options::Options;
pub use walk::{Tree, WalkSource};
