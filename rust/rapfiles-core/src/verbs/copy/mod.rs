//! Copying and moving files, links and trees.

mod aftermath;
mod attributes;
mod copier;
mod copying;
mod options;
mod refused;
mod target;
mod transfer;

pub use copying::Copying;
pub use options::{CopyOptions, CopyRequest};
