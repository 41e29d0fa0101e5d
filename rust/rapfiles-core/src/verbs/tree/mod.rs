//! Trees: walking, searching and measuring a directory with everything below it.

mod batches;
mod filter;
mod frontier;
mod gitignore;
mod ignore_rule;
mod listing;
mod node;
mod open_directories;
mod options;
mod pattern;
mod source;
mod totals;
mod usage;
mod walk;

pub use filter::{Filter, Permissions};
pub use listing::Listing;
pub use node::Node;
pub(crate) use open_directories::OpenDirectories;
pub use options::{Options, Purpose};
pub use pattern::{Pattern, Patterns};
pub(crate) use totals::Counts;
pub use totals::Totals;
pub use usage::Usage;
pub use walk::{Tree, WalkSource};
