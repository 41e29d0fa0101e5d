//! Copying and moving files, links and trees.

mod aftermath;
mod attributes;
mod copier;
mod copying;
mod moved;
mod options;
pub(crate) mod refused;
mod target;
mod transfer;

pub use copying::Copying;
pub(crate) use moved::Moved;
pub use options::{CopyOptions, CopyRequest};
pub(crate) use refused::special;
pub(crate) use transfer::Transfer;
