//! The engine of rapfiles: file operations as plain data, independent of Python.
//!
//! A [`PathOperation`] is first tried without blocking (`cached/`, tier 0: system calls that fail rather than block).
//! If that gives no answer, it is handed to a worker (`engine/pool.rs`, tier 1). The worker puts the finished
//! [`Ticket`] on the [`Port`] of the loop that submitted it, which wakes that loop once for a whole burst.

// Calls pass the door of the simulations (`platform/calls.rs`), which only the crate's tests have; `clippy.toml` lists
// those that would not.
#![cfg_attr(all(test, target_os = "linux", not(loom)), warn(clippy::disallowed_methods))]

mod cached;
mod engine;
mod error;
pub mod handle;
mod limits;
mod lock;
pub mod memory;
#[cfg(all(test, loom))]
#[path = "../tests/models/mod.rs"]
mod models;
mod outcome;
mod path_operation;
mod platform;
#[cfg(all(test, target_os = "linux", not(loom)))]
#[path = "../tests/simulation/mod.rs"]
#[allow(clippy::disallowed_methods, reason = "behind the door")]
mod simulation;
mod text;
mod verbs;

// Operations and their results.
pub use error::{Error, Subject};
pub use limits::{IO_BUFFER, STREAM_READY};
pub use outcome::Outcome;
pub use path_operation::PathOperation;
pub use platform::{EventSignal, NativePath};

// The engine.
pub use cached::{BufferProvider, FileSystem, IoVec};
pub use engine::budget::Budget;
pub use engine::configuration::Configuration;
pub use engine::counters::Counters;
pub use engine::keep_alive::{KeepAlive, release_memory};
pub use engine::lane::Lane;
pub use engine::port::{Port, Wake};
pub use engine::progress::Progress;
pub use engine::stream::{Claim, Order, Part, Single, Slice, Source, Step, Stream, run_here};
pub use engine::ticket::Ticket;
pub use engine::{Engine, Submitted};

// Operations on paths.
pub use verbs::atomic::{AtomicOptions, StagedFile};
pub use verbs::copy::{CopyOptions, CopyRequest, Copying};
pub use verbs::glob::{Glob, GlobFound, GlobGroup, GlobPart, GlobRules, NamePattern, Selector};
pub use verbs::link::TargetKind;
pub use verbs::listing::{Block, Entry, ReadDirectory};
pub use verbs::metadata::{FileType, Metadata, MountRules, StatVfs, Timestamp};
pub use verbs::ownership::Account;
pub use verbs::parallel_read::ParallelRead;
pub use verbs::read::LargeFile;
pub use verbs::remove_tree::{Removed, Removing, remove_tree};
pub use verbs::report::{Amount, Policy, Report, Reporter, Snapshot};
pub use verbs::resolve::Strictness;
pub use verbs::scandir::{EntryFacts, EntryStats, Facts, ScanDirectory, Scanned};
pub use verbs::selection::Selection;
pub use verbs::slices::{Sliced, Slices};
pub use verbs::transaction::{Recovery, Staging, Transaction, TransactionOptions};
pub use verbs::tree::{
    Filter, Listing, Node, Options, Pattern, Patterns, Permissions, Purpose, Totals, Tree, Usage, WalkSource,
};
pub use verbs::write::Data;
pub use verbs::xattr::AttributeName;

// Locks.
pub use lock::{Acquisition, Conversion, Extent, HeldLock, LockRequest, LockTarget, Mode};

// Open files.
pub use handle::{
    Adoption, Fetched, FileInfo, Guard, Handle, HandleJob, LineBatch, OpenedFile, PositionalTask, QueuedTurn,
    Reply, Task, TaskBuffer, Turn, TurnRequest, Unread, WriterState, Written,
};

// Text.
pub use text::{
    Codec, Decoder, Form, Layout, LineEnds, Mark, Newline, Position, Text, TextFill, TextSource, Undecoded,
};
