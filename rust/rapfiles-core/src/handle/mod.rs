//! Handles: open files with a buffer for reading, one for writing, and text on top.

mod batch;
mod burial;
mod decoder;
mod facts;
mod guard;
#[allow(clippy::module_inception, reason = "the noun of the folder")]
mod handle;
mod job;
mod mark;
mod open;
mod reader;
mod shared;
mod trace;
mod turn;
mod writer;

pub use batch::LineBatch;
pub(crate) use burial::Burials;
pub use decoder::{Decoder, Form, LineEnds, Position, Undecoded};
pub use facts::Facts;
pub use guard::{Fetched, Guard, MOST_NOW, Until, Written};
pub use handle::Handle;
pub use job::{HandleJob, Task, TaskRoom};
pub use mark::Mark;
pub use open::{Adoption, OpenedFile};
pub use trace::Salvage;
pub use turn::{Place, Turn, Wish};

pub(crate) use open::open;
