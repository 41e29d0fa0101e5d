//! Atomic writes of whole files: others see the old content or the new one, also after a crash.

mod content;
mod in_place;
mod inheritance;
mod open;
mod options;
mod staged;
mod write;

pub(crate) use content::synchronise_content;
pub(crate) use inheritance::inherit;
pub use open::StagedFile;
pub(crate) use open::{commit, open};
pub use options::AtomicOptions;
pub(crate) use staged::find;
pub(crate) use write::{write, write_text};
