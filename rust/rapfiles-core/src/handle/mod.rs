//! Handles: open files with a read buffer, a write buffer, and text on top.

mod ahead;
mod background_close;
mod batch;
mod complaint;
mod decoding;
mod driver;
mod file;
mod file_info;
mod file_io;
mod file_state;
mod guard;
#[allow(clippy::module_inception, reason = "the noun of the folder")]
mod handle;
#[cfg(all(test, target_os = "linux", not(loom)))]
mod invariants;
mod job;
mod mark;
mod open;
pub mod ops;
mod reader;
mod reply;
mod shared;
mod sink;
mod task;
mod text;
mod text_guard;
mod trace;
mod turn;
mod writer;

pub use ahead::Ahead;
pub(crate) use background_close::BackgroundCloses;
pub use batch::LineBatch;
pub use complaint::{Complaint, Failure};
pub use driver::{
    Advance, AdvancePositional, Driver, FileOperation, FileProgress, PositionalOperation, begin_briefly,
};
pub use file::HandleFile;
pub use file_info::FileInfo;
pub use guard::{Fetched, Guard, WriterState, Written};
pub use handle::Handle;
pub use job::HandleJob;
pub use open::{Adoption, OpenedFile};
pub use reply::Reply;
pub use sink::{Fallible, MadeText, Sink, Source, Target, UnmadeText};
pub use task::{PositionalTask, Task, TaskBuffer};
pub use text::{Characters, Decoded, ForeignCodec, Snapshot, TextSettings, TextState, TextTarget};
pub use text_guard::TextGuard;
pub use trace::Unread;
pub use turn::{QueuedTurn, Turn, TurnRequest};

pub(crate) use open::{examine, open};
