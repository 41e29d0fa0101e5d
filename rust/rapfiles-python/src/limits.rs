//! The sizes and times of the binding, in one table: each with its unit, its reason, and what it has to agree with. The
//! engine's are in its own `limits.rs`.

use std::time::Duration;

// What is made on the loop before other tasks have a turn.

/// Text of a whole file is laid out on the loop up to this size, in bytes, where that is a plain copy.
pub(crate) const PLAIN_TEXT: usize = 256 << 10;
/// Text up to this size, in bytes, is laid out on the loop where each character has to be looked at.
pub(crate) const OTHER_TEXT: usize = 32 << 10;
/// Names of a directory that become strings or paths before other tasks may have a turn: some 40 µs of work.
pub(crate) const NAMES_AT_ONCE: usize = 128;
/// The same where each path is made by its class, which is Python code.
pub(crate) const PATHS_AT_ONCE: usize = 16;
/// How many times [`NAMES_AT_ONCE`] are made while the directory is still being read.
pub(crate) const MOST_MADE_AHEAD: usize = 128;
/// Names of a tree that become strings before other tasks may have a turn.
pub(crate) const TREE_NAMES_AT_ONCE: usize = 512;
/// Entries that are made before other tasks may have a turn: some 30 µs of work.
pub(crate) const ENTRIES_AT_ONCE: usize = 128;
/// After so many directories of which nothing is made, other tasks may have a turn.
pub(crate) const DIRECTORIES_AT_ONCE: usize = 64;
/// The most errors of a tree that are kept to be raised at the end.
pub(crate) const MOST_ERRORS: usize = 100;
/// On trio, how long items of a stream are made before other tasks have their turn. On asyncio the budget that all tasks
/// share tells.
pub(crate) const TRIO_ITEMS: Duration = Duration::from_micros(500);

// Arguments.

/// Buffers that may change are copied up to this size, in bytes, so that the caller may change them at once. Larger ones are
/// kept in place.
pub(crate) const COPIED_ARGUMENT: usize = 64 << 10;

// Fairness.

/// How much time should pass between two looks at the clock, where operations take less than that does.
pub(crate) const LOOK_EVERY: Duration = Duration::from_micros(200);
/// The most operations between two looks.
pub(crate) const MOST_BETWEEN_LOOKS: u64 = 256;
/// How many operations on a file come before the first look: opening it was one, after which the clock was looked at.
pub(crate) const FIRST_LOOK_AFTER: u32 = 2;
/// A loop that was asked to refill the budget and has not done so for this long is taken not to run any more.
pub(crate) const REFILL_IN_VAIN: Duration = Duration::from_millis(100);
/// How often another thread is let in: CPython's own switch interval (`sys.getswitchinterval()`).
pub(crate) const LET_IN_EVERY: Duration = Duration::from_millis(5);
/// Letting go of the GIL takes a tenth of this where nobody waits for it, and longer where a thread has to be woken.
pub(crate) const GIL_WANTED: Duration = Duration::from_micros(1);
/// How long such a thread is given to wake up and take it.
pub(crate) const LET_IN_FOR: Duration = Duration::from_micros(100);
