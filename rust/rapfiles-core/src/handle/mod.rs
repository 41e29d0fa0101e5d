//! Handles: open files with a buffer for reading, one for writing, and text on top.

mod ahead;
mod batch;
mod burial;
mod complaint;
mod decoder;
mod decoding;
mod driver;
mod facts;
mod file;
mod file_io;
mod guard;
#[allow(clippy::module_inception, reason = "the noun of the folder")]
mod handle;
#[cfg(all(test, target_os = "linux"))]
mod invariants;
mod job;
mod limits;
mod line_feed;
mod mark;
mod open;
pub mod ops;
mod reader;
mod reply;
mod shared;
mod sink;
mod text;
mod trace;
mod turn;
mod writer;

pub use ahead::Ahead;
pub use batch::LineBatch;
pub(crate) use burial::Burials;
pub use complaint::{Complaint, Failure};
pub use decoder::{Decoder, Form, LineEnds, Position, Undecoded};
pub use driver::{Driver, FileOperation, FileProgress, Step, begin_briefly};
pub use facts::Facts;
pub use file::HandleFile;
pub use guard::{Fetched, Guard, MOST_NOW, Until, Written};
pub use handle::Handle;
pub use job::{HandleJob, Task, TaskRoom};
pub use mark::Mark;
pub use open::{Adoption, OpenedFile};
pub use reply::Reply;
pub use sink::{Fallible, Made, Sink, Source, Target, Unmade};
pub use text::{Characters, Decoded, ForeignCodec, Snapshot, TextSettings, TextState, TextTarget};
pub use trace::Salvage;
pub use turn::{Place, Turn, Wish};

pub(crate) use open::open;
