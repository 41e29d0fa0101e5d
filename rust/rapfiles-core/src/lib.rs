//! The engine of rapfiles: file operations as plain data, without any Python in it.
//!
//! An [`Operation`] is first tried without blocking ([`cached`], tier 0: calls that the kernel itself promises
//! not to wait in). What cannot be answered so is handed to a worker ([`Pool`], tier 1). The worker puts the
//! finished [`Ticket`] on the [`Port`] of the loop that asked, which wakes that loop once for a whole burst.

mod access;
mod attributes;
mod budget;
mod cached;
mod configuration;
mod counters;
mod directory;
mod engine;
mod entry;
mod error;
mod fill;
pub mod handle;
mod home;
mod keep_alive;
mod kind;
mod link;
mod listing;
pub mod memory;
mod metadata;
mod operation;
mod outcome;
mod ownership;
mod parallel;
mod platform;
mod pool;
mod port;
mod progress;
mod queue;
mod read;
mod remove_tree;
mod resolve;
mod runtime;
#[cfg(all(test, target_os = "linux"))]
#[path = "../tests/simulation/mod.rs"]
mod simulation;
mod slices;
mod stream;
mod text;
mod ticket;
mod timing;
mod write;

pub use attributes::AttributeName;
pub use budget::Budget;
pub use cached::{IoVec, Room};
pub use configuration::Configuration;
pub use counters::Counters;
pub use engine::{Answer, Engine};
pub use error::{Error, Subject};
pub use fill::{Fill, TextFill};
pub use handle::{
    Adoption, Decoder, Facts, Fetched, Form, Guard, Handle, HandleJob, LineBatch, LineEnds, MOST_NOW, Mark,
    OpenedFile, Place, Position, Reply, Salvage, Task, TaskRoom, Turn, Undecoded, Until, Wish, Written,
};
pub use keep_alive::{KeepAlive, release_memory};
pub use link::TargetKind;
pub use listing::{Block, Entry, ReadDirectory};
pub use metadata::{FileType, Metadata, MountRules, Timestamp};
pub use operation::Operation;
pub use outcome::{FileSystem, FileSystemLimits, Outcome};
pub use ownership::Account;
pub use platform::{EventSignal, NativePath};
pub use port::{Port, Wake};
pub use progress::Progress;
pub use queue::Lane;
pub use read::LargeFile;
pub use remove_tree::{RemoveTree, remove_tree};
pub use resolve::Strictness;
pub use slices::{MOST_SLICED, Sliced, Slices};
pub use stream::{Claim, MOST_READY, Order, Part, Single, Slice, Source, Step, Stream, run_here};
pub use text::{Codec, Layout, Newline, Text, TextSource};
pub use ticket::Ticket;
pub use write::Data;
