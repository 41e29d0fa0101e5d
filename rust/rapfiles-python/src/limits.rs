//! The sizes and times of the binding in one table, each with its unit, its reason, and the values that it depends on.
//! Those of the engine are in its own `limits.rs`.

use std::time::Duration;

// Objects that are created on the loop before other tasks run.

/// Text of a whole file is laid out on the loop up to this size, in bytes, if that is a plain copy.
pub(crate) const PLAIN_TEXT: usize = 256 << 10;
/// Text up to this size, in bytes, is laid out on the loop if each character has to be converted.
pub(crate) const OTHER_TEXT: usize = 32 << 10;
/// Names of a directory that become strings or paths before other tasks may run: some 40 µs of work.
pub(crate) const NAMES_AT_ONCE: usize = 128;
/// The same if each path is created by its class, which is Python code.
pub(crate) const PATHS_AT_ONCE: usize = 16;
/// How many times [`NAMES_AT_ONCE`] objects are created while the directory is still being read.
pub(crate) const MOST_MADE_AHEAD: usize = 128;
/// Names of a tree that become strings before other tasks may run.
pub(crate) const TREE_NAMES_AT_ONCE: usize = 512;
/// Names of a directory from which the caller of a copy selects, before other tasks may run: some 50 µs to create them,
/// and as long to look them up among those that are left out.
pub(crate) const SELECTED_AT_ONCE: usize = 1024;
/// The characters that are joined to a text before other tasks may run: some 100 µs of copying into memory that has not
/// been touched before.
pub(crate) const JOINED_AT_ONCE: isize = 64 << 10;
/// Entries that are created before other tasks may run: some 30 µs of work.
pub(crate) const ENTRIES_AT_ONCE: usize = 128;
/// After this many directories without a result, other tasks may run.
pub(crate) const DIRECTORIES_AT_ONCE: usize = 64;
/// The most errors of a tree that are kept for raising them at the end.
pub(crate) const MOST_ERRORS: usize = 100;
/// On trio, how long items of a stream are created before other tasks run. On asyncio the budget that all tasks share
/// decides.
pub(crate) const TRIO_ITEMS: Duration = Duration::from_micros(500);

// Arguments.

/// Mutable buffers are copied up to this size, in bytes, so that the caller may change them at once. Larger ones are
/// used in place.
pub(crate) const COPIED_ARGUMENT: usize = 64 << 10;

// Fairness.

/// How much time should pass between two readings of the clock, for operations that take less time than one.
pub(crate) const LOOK_EVERY: Duration = Duration::from_micros(200);
/// The most operations between two readings.
pub(crate) const MOST_BETWEEN_LOOKS: u64 = 256;
/// The number of operations on a file before the first reading: the clock was read after opening it.
pub(crate) const FIRST_LOOK_AFTER: u32 = 2;
/// A loop that was asked to refill the budget and has not done so for this long is assumed not to run any more.
pub(crate) const REFILL_IN_VAIN: Duration = Duration::from_millis(100);
/// The interval at which the GIL is released for other threads: CPython's own switch interval
/// (`sys.getswitchinterval()`).
pub(crate) const LET_IN_EVERY: Duration = Duration::from_millis(5);
/// Releasing the GIL takes a tenth of this if nobody waits for it, and longer if a thread has to be woken.
pub(crate) const GIL_WANTED: Duration = Duration::from_micros(1);
/// How long such a thread is given to wake up and take it.
pub(crate) const LET_IN_FOR: Duration = Duration::from_micros(100);
