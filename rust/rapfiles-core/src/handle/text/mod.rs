//! The state of text files besides their handles.

mod foreign;
mod state;

pub use foreign::{Characters, Decoded, ForeignCodec, Target as TextTarget};
pub use state::{Snapshot, TextSettings, TextState};
