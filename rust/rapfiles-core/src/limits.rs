//! The sizes, thresholds and times of the engine in one table, each with its unit, its reason, and the values that it
//! depends on.
//!
//! Sizes are in bytes, unless stated otherwise. Times that are given as reasons were measured on a virtual machine with
//! two processors. Numbers defined by the kernel, the C library or a format are defined where they are used.

#![cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has tier 0"))]

use std::time::Duration;

// How long an operation may block the loop's thread.
//
// Work without suspending is limited to about 50 µs at a time, and the program's other tasks must run in time.

/// The longest that a submitter polls for an answer before it suspends: as long as the loop may be blocked, and about
/// the cost of waking a thread.
pub(crate) const LONGEST_LOOK: Duration = Duration::from_micros(50);
/// The answer is not polled for if the mean time of the operation's kind, in nanoseconds, is above this: less than
/// [`LONGEST_LOOK`].
pub(crate) const LOOK_PAYS_BELOW: u32 = 45_000;
/// The upper bound of the mean, in nanoseconds, so that it soon comes down again.
pub(crate) const LOOK_HIGHEST_MEAN: u32 = 400_000;
/// The upper bound of the first sample of a mean, in nanoseconds.
pub(crate) const LOOK_FIRST_SAMPLE: u32 = 20_000;

/// Operations that may complete without suspending before the first task of an iteration of the loop has to suspend.
pub(crate) const BUDGET_OPERATIONS: u32 = 128;
/// Each task that had to suspend in an iteration halves the budget of the next ones, down to this.
pub(crate) const BUDGET_FEWEST: u32 = 4;
/// The time that may pass in and between such operations.
pub(crate) const BUDGET_TIME: Duration = Duration::from_millis(2);
/// How long an operation on a handle continues from one worker task to the next before other tasks of the loop run.
pub(crate) const LONGEST_TASK_CHAIN: Duration = BUDGET_TIME;
/// How long an operation on a handle decodes, encodes or creates lines before other tasks of the loop run.
pub(crate) const LOOP_SLICE: Duration = Duration::from_millis(1);
/// Lines that are created between two checks of the clock, in such a slice.
pub(crate) const LINES_BETWEEN_LOOKS: usize = 256;
/// Characters or bytes that the caller's codec processes at once.
pub(crate) const CODEC_SLICE: usize = 64 << 10;
/// Characters that a worker encodes and writes at a time where there is no memory for the whole text.
pub(crate) const ENCODED_SLICE: usize = 64 << 10;

// Reading on the loop, and by workers.

/// The most that one call on the loop reads, of a whole file and of an open one: about 20 µs of copying.
pub(crate) const READ_AT_ONCE: usize = 128 << 10;
/// The most that is read of an open file on the loop in slices. More is read by workers, several at once if there are
/// enough processors.
pub(crate) const READ_IN_SLICES: usize = 4 << 20;
/// The same for a whole file: workers read more than this in less time, although two threads have to be woken.
pub(crate) const READ_FILE_IN_SLICES: usize = 3 << 20;
/// How long such a slice may take: less than the promised 50 µs, which include Python's part.
pub(crate) const SLICE_TIME: Duration = Duration::from_micros(40);
/// The first read of a slice, which measures the speed: some 5 µs of copying, and three times as long into memory that
/// has not been touched before.
pub(crate) const FIRST_SLICE: usize = 64 << 10;
/// The most that each further call of a slice reads.
pub(crate) const LARGEST_SLICE: usize = 256 << 10;
/// A further call is not made for less than this.
pub(crate) const SMALLEST_SLICE: usize = 16 << 10;

/// A result up to this size is read into the engine's own buffer. For a larger one the caller provides a buffer, and
/// the content is read straight into it: copying it on the loop would take too long.
pub(crate) const COPIED_RESULT: usize = 256 << 10;
/// The most large files that stay open while their callers allocate buffers: descriptors are scarce.
pub(crate) const LARGE_FILES_OPEN: usize = 16;
/// How much of a large file one worker reads before it takes the next part.
pub(crate) const READ_PART: usize = 2 << 20;
/// If a part takes longer than this, small pages are faster. That was measured where a virtual machine returns its free
/// huge pages to the host (free page reporting, `Documentation/mm/free_page_reporting.rst` of the kernel), and has to
/// fault each of them in again.
pub(crate) const SLOW_READ_PART: Duration = Duration::from_micros(1_500);
/// The most workers that read one file, however many processors there are.
pub(crate) const READ_WORKERS: usize = 4;

// Text.

/// The chunk that a synchronous text file decodes at once: the attribute `_CHUNK_SIZE` of CPython's `TextIOWrapper`
/// (`Modules/_io/textio.c`). The results of `tell()` depend on it, so the engine decodes in the same chunks.
pub(crate) const TEXT_CHUNK: usize = 8192;
/// Text of a whole file with characters beyond ASCII is decoded on the loop up to this size.
pub(crate) const DECODED_AT_ONCE: usize = 32 << 10;
/// A read of more characters than this of an open file is left to a worker; see [`DECODED_AT_ONCE`].
pub(crate) const MANY_CHARACTERS: usize = 32 << 10;
/// Up to this size, the loop creates the string from decoded text of an open file; above it, a worker lays it out
/// first.
pub(crate) const LONG_TEXT: usize = 256 << 10;
/// From this many bytes on, a worker may lay out a text; the string of a shorter one is created at once.
pub(crate) const SHORT_TEXT: usize = 16 << 10;
/// From this size on, several threads decode a text: starting one takes some tens of microseconds.
pub(crate) const PARALLEL_TEXT: usize = 4 << 20;
/// The part that each of them decodes at once.
pub(crate) const TEXT_PART: usize = 2 << 20;
/// The most threads that decode one text.
pub(crate) const TEXT_THREADS: usize = 4;

// Lines.

/// The end of a line that is longer than this is searched for by a worker.
pub(crate) const LONG_LINE: usize = 1 << 20;
/// For text files of at least this size, a worker finds the lines for `readlines`.
pub(crate) const LINES_BY_WORKER: u64 = 1 << 20;
/// How much text it decodes for a batch of them: a fraction of a millisecond's work.
pub(crate) const LINES_BATCH: usize = 256 << 10;

// The buffers of open files.

/// The most that `read1()` and `peek()` of a synchronous file return without a size: the size of its buffer, which is
/// `io.DEFAULT_BUFFER_SIZE` of CPython 3.11 (`Modules/_io/_iomodule.h`).
pub const IO_BUFFER: usize = 8192;
/// The first read-ahead …
pub(crate) const FIRST_READ_AHEAD: usize = 32 << 10;
/// … and the largest: it is doubled while the file is read sequentially.
pub(crate) const MOST_READ_AHEAD: usize = 1 << 20;
/// A read of this size or more does not read ahead into the buffer, because everything would be copied twice.
pub(crate) const READ_WITHOUT_AHEAD: usize = 32 << 10;
/// Successive reads of the same size, from this one to [`READ_AT_ONCE`], share one call. Smaller ones are copied from
/// the buffer, which is read ahead below [`READ_WITHOUT_AHEAD`]; for larger ones the cost of a call does not matter.
pub(crate) const READ_TOGETHER_FROM: usize = 32 << 10;
/// How much such a call reads: some 30 µs of copying.
pub(crate) const READ_TOGETHER: usize = 256 << 10;
/// The piece that `readinto()` reads and copies at once if the file cannot be read straight into the caller's memory.
pub(crate) const READ_INTO_PIECE: usize = 256 << 10;
/// The first allocation of a positional read. Its size may be a mistake, and more than there is memory.
pub(crate) const POSITIONAL_FIRST: usize = 1 << 20;

/// With this much buffered, a worker begins to write.
pub(crate) const WRITE_FROM: usize = 256 << 10;
/// With this much buffered, the writing task has to wait.
pub(crate) const WRITE_MOST_WAITING: usize = 1 << 20;
/// Small writes are collected into pieces of this size.
pub(crate) const WRITE_PIECE: usize = 256 << 10;
/// Immutable `bytes` of at least this size are not copied, but kept alive until they are written.
pub(crate) const WRITE_SHARED_FROM: usize = 256 << 10;
/// Mutable data above this size is not copied, but written before the operation completes.
pub(crate) const WRITE_COPIED: usize = 1 << 20;

// Workers.

/// The default for how many workers may run at once: enough to keep a slow disk's queue full, few enough not to
/// overload a slow file system.
pub(crate) const DEFAULT_MAX_WORKERS: usize = 64;
/// How long a worker polls for the next job before it sleeps: a little more than it takes to wake a loop, resume its
/// task and submit the next operation.
pub(crate) const LINGER: Duration = Duration::from_micros(100);
/// The same after several lingers in a row that brought no job.
pub(crate) const SHORT_LINGER: Duration = Duration::from_micros(10);
/// The number of lingers without a job after which the shorter time applies.
pub(crate) const LINGERS_IN_VAIN: u32 = 4;
/// One of this many short lingers lasts for the whole time, to see whether that brings jobs again.
pub(crate) const LINGER_AGAIN_EVERY: u32 = 16;
/// How long a sleeping worker waits for a job before its thread exits.
pub(crate) const WORKER_KEPT_FOR: Duration = Duration::from_secs(5);
/// How often a standby worker checks the queue …
pub(crate) const STANDBY_TICK: Duration = Duration::from_micros(250);
/// … and how often at least: the time doubles while it may not join in.
pub(crate) const LONGEST_STANDBY_TICK: Duration = Duration::from_millis(10);
/// A worker that has been in one job for longer waits for a device and does not need a processor.
pub(crate) const WAITING_AFTER: Duration = Duration::from_millis(2);
/// A worker that has been in one job for longer is stuck, and another one may take its place. A step of a stream
/// ([`STREAM_STEP`]) has to be far shorter.
pub(crate) const STUCK_AFTER: Duration = Duration::from_millis(500);
/// Threads beyond the limit that may stand in for stuck workers.
pub(crate) const STAND_INS: usize = 4096;
/// A queue that is longer than this is searched for cancelled jobs.
pub(crate) const PURGE_ABOVE: usize = if cfg!(test) { 4 } else { 64 };
/// When workers have given back this many bytes, a loop is woken to release them, even if nobody waits for anything.
pub(crate) const RELEASE_AT: usize = 64 << 10;

// Streams.

/// How long a worker steps a stream before other jobs run: far less than [`STUCK_AFTER`], and far more than the cost of
/// requeueing it.
pub(crate) const STREAM_STEP: Duration = Duration::from_millis(5);
/// … but not longer than this while jobs wait that are no steps: ten times what waking another worker takes. It is no
/// shorter, because each end costs a hand-over, and jobs may wait for long that no worker may take, those of a dead mount.
pub(crate) const STREAM_LEAST_STEP: Duration = Duration::from_micros(500);
/// A source is not stepped while this many batches are ready, and stepped again when fewer than half of them are left.
pub const STREAM_READY: usize = 8;
/// The most steps of one source at once, however many processors there are.
pub(crate) const STREAM_STEPS: usize = 8;
/// How often a stream that runs in the calling thread checks whether to continue: often enough for a user who presses
/// Ctrl-C.
pub(crate) const STREAM_ASKS_EVERY: Duration = Duration::from_millis(50);
/// How often the removal of a tree starts again with a directory in which new entries are created meanwhile, for
/// example by a cancelled operation that still runs. After that, the error is raised.
pub(crate) const REMOVED_AGAIN: u32 = 100;

// Listing directories.

/// The first buffer for a directory holds some 500 entries, so that the first ones arrive soon; each next one is twice as
/// large …
pub(crate) const LISTING_FIRST_BUFFER: usize = 16 << 10;
/// … up to this: about a millisecond of work.
pub(crate) const LISTING_LARGEST_BUFFER: usize = 128 << 10;
/// How many entries are read at a time by systems that do not fill a buffer.
#[cfg_attr(target_os = "linux", allow(dead_code, reason = "it fills a buffer"))]
pub(crate) const LISTING_ENTRIES: usize = 1024;
/// A block of entries is allocated for this many …
pub(crate) const BLOCK_ENTRIES: usize = 64;
/// … with names of this length.
pub(crate) const BLOCK_NAME: usize = 16;

// Copying and going through trees.

/// The entries of a directory that form one task: enough to be worth handing to another worker, and at most some
/// milliseconds of work.
pub(crate) const TREE_SLICE: usize = 64;
/// The number of tasks that are searched for one whose directory is open, while others are running.
pub(crate) const TREE_LOOK: usize = 16;
/// The most descriptors for one traversal of a tree …
pub(crate) const TREE_MOST_OPEN: usize = 512;
/// … and at most this fraction of the process's descriptor limit …
pub(crate) const TREE_SHARE: usize = 4;
/// … but at least this many directories on each path down.
pub(crate) const TREE_LEAST_OPEN: usize = 2;
/// What the work on an entry takes, and what reaches a directory above or where the tree is.
pub(crate) const TREE_ENTRY_OPEN: usize = 5;
/// What copies and removals need at least may be this fraction of the process's descriptor limit; further ones wait until
/// others are over.
pub(crate) const TREE_ADMITTED_SHARE: usize = 3;
/// The most directories of all walks that are left half read between two steps are this fraction of the limit.
pub(crate) const TREE_LEFT_SHARE: usize = 8;
/// How long a step that found no descriptor is repeated while none is given back: longer than reading a directory on a
/// network takes, as most of those that wait have something open.
pub(crate) const DESCRIPTORS_AWAITED: Duration = Duration::from_secs(3);
/// The pause of its worker before: little for others who need one, and enough not to occupy a processor.
pub(crate) const DESCRIPTORS_PAUSE: Duration = Duration::from_micros(100);
/// The interval of progress reports: shorter ones would not be visible to a user.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_millis(50);
/// How many directories are counted for totals before other tasks of the loop have a turn: some 30 µs.
pub(crate) const TOTALS_AT_ONCE: usize = 64;
/// Up to this size a file is copied by one read and one write, whatever else the file system supports: nearly all of
/// the time is spent on creating it.
pub(crate) const COPY_SMALL: u64 = 64 << 10;
/// The buffer for copying through this process's memory, if the kernel cannot copy.
pub(crate) const COPY_BUFFER: usize = 256 << 10;
/// How much the kernel copies at a time: a millisecond of work within the page cache, and so less than [`STREAM_STEP`].
pub(crate) const COPY_PIECE: u64 = 4 << 20;
/// How many names are tried for a temporary entry if the generated ones are taken.
pub(crate) const NAMES_TRIED: usize = 16;
/// How often a log, the lock of all logs or a temporary file is begun again if others remove it before it is locked: each
/// time, one of them has ended a transaction or a recovery.
pub(crate) const BEGUN_AGAIN: usize = 256;
/// How often a directory is removed again that the system says is not empty, though no more is in it: often enough for a
/// server that has not heard yet of files that were closed.
pub(crate) const EMPTIED_TRIED: usize = 16;
/// How often a file is looked up or opened again after the system has said that it was removed or replaced meanwhile
/// (`ESTALE`): often enough for one that is replaced again and again, and few enough for a server that says so of every file.
pub(crate) const STALE_TRIED: u32 = 16;
/// The size from which an atomic write first reserves room on the disk, so that a full disk is reported before anything
/// is written. For smaller files the write itself reports it, and the extra call would cost more than it saves.
pub(crate) const RESERVED_FROM: usize = 1 << 20;
/// How many staged files of a transaction stay open until it is committed, so that all of them are synchronised
/// together, which takes a tenth of the time …
pub(crate) const STAGED_OPEN: usize = 256;
/// … but at most this fraction of the process's descriptor limit. Further ones are synchronised one by one.
pub(crate) const STAGED_OPEN_SHARE: usize = 8;
/// Another worker helps to synchronise staged files for each of this many beyond the first …
pub(crate) const SYNCHRONISED_EACH: usize = 8;
/// … but no more than this.
pub(crate) const SYNCHRONISING_WORKERS: usize = 15;
/// How long the caller waits for them before it checks again, although it will be woken.
pub(crate) const SYNCHRONISED_AFTER: Duration = Duration::from_secs(60 * 60);
/// How long a file is copied for a transaction before it is checked whether the commit has been cancelled.
pub(crate) const DUPLICATE_STEP: Duration = Duration::from_millis(100);

// Tier 0 (Linux): what is trusted to be in memory.

/// An attempt that takes longer has blocked, or its thread has waited for a processor.
pub(crate) const SLOW_ATTEMPT: Duration = Duration::from_millis(1);
/// An attempt that has blocked for longer is a stall. Waits for devices are foreseen, but not those for a program that
/// permits or denies the opening and reading of files (a virus scanner: permission events of `fanotify(7)`).
pub(crate) const STALL: Duration = Duration::from_millis(10);
/// After a slow attempt, the next ones are watched to find out which it is: this many …
pub(crate) const WATCHED_ATTEMPTS: u32 = 64;
/// … and after one that may have been a stall, all for this long.
pub(crate) const WATCHED_FOR: Duration = Duration::from_secs(60 * 60);
/// How long a mount is left to the workers after the first stall; ten times as long after each further one. Including
/// the first one, which is not watched yet, that makes at most three stalls in an hour: two at once, and one after this
/// rest.
pub(crate) const FIRST_REST: Duration = Duration::from_secs(6 * 60);
pub(crate) const LONGEST_REST: Duration = Duration::from_secs(24 * 60 * 60);
/// After this time without another stall, counted from its rest, the stalls of a mount are forgotten.
pub(crate) const FORGIVEN_AFTER: Duration = Duration::from_secs(60 * 60);
/// How long a mount is left to the workers after the first shorter wait; doubled with each further one.
pub(crate) const FIRST_BREAK: Duration = Duration::from_millis(100);
pub(crate) const LONGEST_BREAK: Duration = Duration::from_secs(30);
/// When the shorter waits are forgotten.
pub(crate) const BREAKS_FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// For how long the properties of a mount are cached: it may be remounted with other options, and before Linux 6.8,
/// which has unique mount ids (`STATX_MNT_ID_UNIQUE`, `statx(2)`), its id may be reused for another mount.
pub(crate) const MOUNT_UNCHANGED_FOR: Duration = Duration::from_secs(1);
/// The number of cached mounts.
pub(crate) const MOUNTS: usize = 64;
/// The number of overlays whose layers are cached; a power of two.
pub(crate) const OVERLAYS: usize = 256;
/// For how long a path is assumed to lead to a file of the same type.
pub(crate) const RECENT_FOR: Duration = Duration::from_millis(50);
/// The number of files in that cache; a power of two.
pub(crate) const RECENT_FILES: usize = 4096;
/// For how long the times of an open file are cached. Getting them takes 0.2 µs.
pub(crate) const TIMES_FRESH_FOR: Duration = Duration::from_micros(20);
/// The number of cached files whose access time a read does not update; a power of two.
pub(crate) const UNTOUCHED_FILES: usize = 4096;
/// For how long a count of a thread's voluntary switches is used. Getting it takes 0.3 µs, a tenth of an attempt; a
/// thread that sleeps seldom wakes up sooner.
pub(crate) const SWITCHES_FRESH_FOR: Duration = Duration::from_micros(50);
/// For how long a reading of the time in the run queue is used: reading it takes some microseconds, and attempts are
/// short.
pub(crate) const QUEUED_FRESH_FOR: Duration = Duration::from_millis(100);
/// How many parents of a path are tried to find one that is in the cache.
pub(crate) const PARENTS_TRIED: usize = 16;
/// How many entries of a directory are tried to find a regular file.
pub(crate) const ENTRIES_TRIED: usize = 1000;

// Trees.

/// The entries of a directory that are looked up before they are handed out: some 10 µs of a worker's work, and then the
/// consumer makes objects of them while the next ones, half as many more, are looked up. Both take about as long for each.
pub(crate) const SCAN_FIRST: usize = 8;
/// The entries of a tree that a worker reads before it hands them out: some 500 µs of its work, where waking the
/// consumer takes 50 µs …
pub(crate) const TREE_BATCH: usize = 4096;
/// … but fewer after this time, so that slow ones are handed out soon.
pub(crate) const TREE_BATCH_TIME: Duration = Duration::from_millis(1);
/// The first batch is this often halved, and each one after it once less: the consumer begins soon.
pub(crate) const TREE_BATCHES_HALVED: u32 = 3;
/// The entries that a worker reads for a pattern before it hands out what matches …
pub(crate) const GLOB_BATCH: usize = 1024;
/// … but fewer after this time …
pub(crate) const GLOB_BATCH_TIME: Duration = Duration::from_micros(500);
/// … or with this many paths.
pub(crate) const GLOB_FOUND: usize = 1024;
/// The batches that are read ahead of the consumer, a few milliseconds of the workers' work: with [`STREAM_READY`] they
/// stood still, and had to be woken, whenever the consumer had no processor for a millisecond.
pub(crate) const GLOB_READY: usize = 32;
/// The most directories that a part of such a search begins with.
pub(crate) const GLOB_CLAIMED: usize = 32;
/// The sets of positions in a pattern that are kept: far more than the patterns that people write need.
pub(crate) const GLOB_SETS: usize = 4096;
/// The directories, each with a position in a pattern, that are known to lead to nothing: some 20 MiB at most. Only
/// patterns with `..` behind a wildcard need them.
pub(crate) const GLOB_BARREN: usize = 1 << 18;
/// A directory counts as this many entries, because opening it takes as long as reading them.
pub(crate) const TREE_DIRECTORY: usize = 32;
/// The memory of a listing of at most this many entries is used again for another directory. With the results of `stat(2)`
/// that is 40 KiB, which as many listings may keep as there are directories in [`TREE_AHEAD`].
pub(crate) const TREE_REUSED: usize = 128;
/// The most entries that are read ahead of the consumer: a few milliseconds of its work, and a megabyte.
pub(crate) const TREE_AHEAD: usize = 16 << 10;
/// The most directories that all trees together keep open …
pub(crate) const TREE_OPEN: usize = 512;
/// … and at most this fraction of the process's descriptor limit.
pub(crate) const TREE_OPEN_SHARE: usize = 4;
/// Directories that take this long are waited for, so that more are read at once, up to [`STREAM_STEPS`] …
pub(crate) const TREE_SLOW: Duration = Duration::from_millis(1);
/// … and those that take no longer than this are not.
pub(crate) const TREE_FAST: Duration = Duration::from_micros(250);

// Locks.

/// How long a worker may take to ask for a lock the first time, even if the timeout is shorter: with a timeout of zero, too,
/// a lock that nobody has is acquired.
pub(crate) const LOCK_FIRST_TRY: Duration = Duration::from_secs(1);
/// How long one waits before the kernel is asked for a lock a second time: a few times as long as an uncontended lock is
/// held …
pub(crate) const LOCK_FIRST_PAUSE: Duration = Duration::from_micros(200);
/// … and later a part of the time for which one has waited: the time for which a lock is free before one gets it is in
/// proportion to that. In the first 0.6 s the kernel is asked 180 times, which takes some 7 ms of a busy processor …
pub(crate) const LOCK_PAUSE_SHARE: u32 = 32;
/// … or, if the kernel is asked for many, this much for each: asking takes some 5 µs …
pub(crate) const LOCK_PAUSE_FOR_EACH: Duration = Duration::from_micros(20);
/// … but at most this …
pub(crate) const LOCK_LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// … until a thread waits in the kernel.
pub(crate) const LOCK_POLLED_FOR: Duration = Duration::from_millis(200);
/// The most threads that wait in the kernel; the others keep asking.
pub(crate) const LOCK_THREADS: usize = 8;
/// The most descriptors of a process that are looked at to find out whether it has a lock: some 5 µs each.
pub(crate) const LOCK_DESCRIPTORS: usize = 4096;
/// How often the kernel's table of locks is read, where that takes more than one call, before a lock counts as missing. One
/// of 150 was missing in 4 of 100 readings while another process went on locking and unlocking.
pub(crate) const LOCK_TABLE_READINGS: u32 = 8;
/// How long the thread that asks the kernel is kept without anything to do.
pub(crate) const LOCK_POLLER_KEPT_FOR: Duration = Duration::from_secs(5);
/// The most locks that the loop's thread passes on at once: some 5 µs each.
pub(crate) const LOCKS_AT_ONCE: usize = 8;
/// How long the tasks of this process may pass a lock on to each other before another process may have it …
pub(crate) const LOCK_LONGEST_STREAK: Duration = Duration::from_millis(10);
/// … which has this long to wake up and take it.
pub(crate) const LOCK_LET_IN: Duration = Duration::from_micros(300);

/// The sizes and numbers of this table, around which simulations draw sizes. A test fails when one is missing.
#[cfg(test)]
pub(crate) const NUMBERS: &[(&str, usize)] = {
    macro_rules! named {
        ($($name:ident,)*) => {
            &[$((stringify!($name), $name as usize),)*]
        };
    }
    named![
        LINES_BETWEEN_LOOKS,
        CODEC_SLICE,
        ENCODED_SLICE,
        READ_AT_ONCE,
        READ_IN_SLICES,
        READ_FILE_IN_SLICES,
        FIRST_SLICE,
        LARGEST_SLICE,
        SMALLEST_SLICE,
        COPIED_RESULT,
        LARGE_FILES_OPEN,
        READ_PART,
        READ_WORKERS,
        TEXT_CHUNK,
        DECODED_AT_ONCE,
        MANY_CHARACTERS,
        LONG_TEXT,
        SHORT_TEXT,
        PARALLEL_TEXT,
        TEXT_PART,
        TEXT_THREADS,
        LONG_LINE,
        LINES_BY_WORKER,
        LINES_BATCH,
        IO_BUFFER,
        FIRST_READ_AHEAD,
        MOST_READ_AHEAD,
        READ_WITHOUT_AHEAD,
        READ_TOGETHER_FROM,
        READ_TOGETHER,
        READ_INTO_PIECE,
        POSITIONAL_FIRST,
        WRITE_FROM,
        WRITE_MOST_WAITING,
        WRITE_PIECE,
        WRITE_SHARED_FROM,
        WRITE_COPIED,
        DEFAULT_MAX_WORKERS,
        STAND_INS,
        PURGE_ABOVE,
        RELEASE_AT,
        STREAM_READY,
        STREAM_STEPS,
        LISTING_FIRST_BUFFER,
        LISTING_LARGEST_BUFFER,
        LISTING_ENTRIES,
        BLOCK_ENTRIES,
        BLOCK_NAME,
        TREE_SLICE,
        TREE_LOOK,
        TREE_MOST_OPEN,
        TREE_SHARE,
        TREE_LEAST_OPEN,
        TREE_ENTRY_OPEN,
        TREE_ADMITTED_SHARE,
        TREE_LEFT_SHARE,
        TOTALS_AT_ONCE,
        COPY_SMALL,
        COPY_BUFFER,
        COPY_PIECE,
        NAMES_TRIED,
        BEGUN_AGAIN,
        EMPTIED_TRIED,
        RESERVED_FROM,
        STAGED_OPEN,
        STAGED_OPEN_SHARE,
        SYNCHRONISED_EACH,
        SYNCHRONISING_WORKERS,
        MOUNTS,
        OVERLAYS,
        RECENT_FILES,
        UNTOUCHED_FILES,
        PARENTS_TRIED,
        ENTRIES_TRIED,
        SCAN_FIRST,
        TREE_BATCH,
        GLOB_BATCH,
        GLOB_FOUND,
        GLOB_READY,
        GLOB_CLAIMED,
        GLOB_SETS,
        GLOB_BARREN,
        TREE_DIRECTORY,
        TREE_REUSED,
        TREE_AHEAD,
        TREE_OPEN,
        TREE_OPEN_SHARE,
        LOCK_THREADS,
        LOCK_DESCRIPTORS,
        LOCKS_AT_ONCE,
    ]
};

#[cfg(test)]
mod tests {
    use super::NUMBERS;

    #[test]
    fn every_size_and_number_is_listed() {
        let defined = include_str!("limits.rs").lines().filter_map(|line| {
            let (name, value) = line.split_once("const ")?.1.split_once(": ")?;
            let is_number =
                line.starts_with("pub") && ["usize =", "u64 ="].iter().any(|kind| value.starts_with(kind));
            is_number.then_some(name)
        });
        let listed: Vec<_> = NUMBERS.iter().map(|(name, _)| *name).collect();
        assert_eq!(defined.collect::<Vec<_>>(), listed, "in this order");
    }
}
