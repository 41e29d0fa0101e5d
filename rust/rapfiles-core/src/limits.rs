//! The sizes, thresholds and times of the engine, in one table: each with its unit, its reason, and what it has to agree
//! with.
//!
//! Sizes are in bytes, unless they say otherwise. What is said to take some microseconds was measured on a virtual
//! machine with two processors. Numbers that are the kernel's, the C library's or a format's stand where they are used.

#![cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux has tier 0"))]

use std::time::Duration;

// How long the loop's thread is held.
//
// What an operation may do there without suspending is promised to take about 50 µs, and the program's other tasks get
// their turn in time.

/// The longest that a submitter looks for an answer before it suspends: what the loop may be held for, and
/// about what waking a thread costs.
pub(crate) const LONGEST_LOOK: Duration = Duration::from_micros(50);
/// Kinds of operations whose mean, in nanoseconds, is above this are not looked for: less than [`LONGEST_LOOK`].
pub(crate) const LOOK_PAYS_BELOW: u32 = 45_000;
/// The mean, in nanoseconds, goes no higher, so that it comes down again soon.
pub(crate) const LOOK_HIGHEST_MEAN: u32 = 400_000;
/// Where the mean is not known yet, a run counts for no more than this, in nanoseconds.
pub(crate) const LOOK_FIRST_SAMPLE: u32 = 20_000;

/// Operations that may complete without suspending before the first task of an iteration of the loop has to suspend.
pub(crate) const BUDGET_OPERATIONS: u32 = 128;
/// With each task that had to suspend in an iteration the next ones get half as many, down to these.
pub(crate) const BUDGET_FEWEST: u32 = 4;
/// Time that may pass in such operations, and between them.
pub(crate) const BUDGET_TIME: Duration = Duration::from_millis(2);
/// How long an operation on a handle goes on from one task of a worker's to the next before other tasks have their turn.
pub(crate) const LONGEST_TASK_CHAIN: Duration = BUDGET_TIME;
/// How long an operation on a handle decodes, encodes or makes lines before other tasks have their turn.
pub(crate) const LOOP_SLICE: Duration = Duration::from_millis(1);
/// Lines that are made between two looks at the clock, in such a slice.
pub(crate) const LINES_BETWEEN_LOOKS: usize = 256;
/// Characters, or bytes, that go through the caller's codec at once.
pub(crate) const CODEC_SLICE: usize = 64 << 10;

// What is read on the loop, and what by workers.

/// The most that is read with one call on the loop, of a path's file and of an open one: about 20 µs of copying.
pub(crate) const READ_AT_ONCE: usize = 128 << 10;
/// The most of an open file that is read on the loop in slices. More is read by workers, several at once where there are
/// processors for it.
pub(crate) const READ_IN_SLICES: usize = 4 << 20;
/// The same of a whole file: for more it takes less time to have workers read it, although two threads have to be woken.
pub(crate) const READ_FILE_IN_SLICES: usize = 3 << 20;
/// How long such a slice may take: less than the 50 µs that are promised, for what Python does around it.
pub(crate) const SLICE_TIME: Duration = Duration::from_micros(40);
/// What a slice reads with its first call, to see how fast it goes: some 5 µs of copying, and three times as long into
/// memory that nobody has used before.
pub(crate) const FIRST_SLICE: usize = 64 << 10;
/// The most that it reads with each further one.
pub(crate) const LARGEST_SLICE: usize = 256 << 10;
/// For less, a further call is not worth making.
pub(crate) const SMALLEST_SLICE: usize = 16 << 10;

/// A result up to this size is read into the engine's own buffer. For a larger one the caller makes room, and the content
/// goes straight there: copying it on the loop would take too long.
pub(crate) const COPIED_RESULT: usize = 256 << 10;
/// The most large files that stay open while the caller makes room for them: descriptors are scarce.
pub(crate) const LARGE_FILES_OPEN: usize = 16;
/// How much of a large file one worker reads before it takes the next part.
pub(crate) const READ_PART: usize = 2 << 20;
/// A part that takes longer would have come faster in small pages. So it is where a virtual machine gives its free huge
/// pages back to the host, and has to ask for each of them again.
pub(crate) const SLOW_READ_PART: Duration = Duration::from_micros(1_500);
/// The most workers that read one file, however many processors there are.
pub(crate) const READ_WORKERS: usize = 4;

// Text.

/// What a synchronous text file decodes at once: the attribute `_CHUNK_SIZE` of CPython's `TextIOWrapper`. What `tell()`
/// returns depends on it, so a file of ours decodes in the same chunks.
pub(crate) const TEXT_CHUNK: usize = 8192;
/// Text of a whole file with characters beyond ASCII is decoded on the loop up to this size.
pub(crate) const DECODED_AT_ONCE: usize = 32 << 10;
/// A read of more characters of an open file than these is left to a worker; see [`DECODED_AT_ONCE`].
pub(crate) const MANY_CHARACTERS: usize = 32 << 10;
/// Decoded text of an open file up to this size is made a string on the loop; for more, a worker lays it out first.
pub(crate) const LONG_TEXT: usize = 256 << 10;
/// From this many bytes on, a text may be laid out by a worker; of a shorter one the string is made at once.
pub(crate) const SHORT_TEXT: usize = 16 << 10;
/// From this size on, several threads decode a text: starting one takes some tens of microseconds.
pub(crate) const PARALLEL_TEXT: usize = 4 << 20;
/// What one of them decodes at once.
pub(crate) const TEXT_PART: usize = 2 << 20;
/// The most threads that decode one text.
pub(crate) const TEXT_THREADS: usize = 4;

// Lines.

/// A line that is longer than this is looked for by a worker.
pub(crate) const LONG_LINE: usize = 1 << 20;
/// From a text file of this size on, a worker finds the lines for `readlines`.
pub(crate) const LINES_BY_WORKER: u64 = 1 << 20;
/// How much text it decodes for a batch of them: a fraction of a millisecond's work.
pub(crate) const LINES_BATCH: usize = 256 << 10;

// The buffers of open files.

/// What `read1()` and `peek()` of a synchronous file bring at most where no size is given: the size of its buffer, which is
/// `io.DEFAULT_BUFFER_SIZE` of CPython 3.11.
pub const IO_BUFFER: usize = 8192;
/// How much is read ahead at first …
pub(crate) const FIRST_READ_AHEAD: usize = 32 << 10;
/// … and at most, doubled while reading goes on in sequence.
pub(crate) const MOST_READ_AHEAD: usize = 1 << 20;
/// For a read of this size or more nothing is read ahead into the buffer, because everything would be copied twice.
pub(crate) const READ_WITHOUT_AHEAD: usize = 32 << 10;
/// Reads of one size, from this one to [`READ_AT_ONCE`], are done several by one call. Smaller ones are copied from the
/// buffer, which reads ahead below [`READ_WITHOUT_AHEAD`]; of larger ones a call for each does not matter.
pub(crate) const READ_TOGETHER_FROM: usize = 32 << 10;
/// How much such a call reads: some 30 µs of copying.
pub(crate) const READ_TOGETHER: usize = 256 << 10;
/// What `readinto()` asks of a file that cannot be read straight into the caller's memory, and copies, at once.
pub(crate) const READ_INTO_PIECE: usize = 256 << 10;
/// What a positional read allocates at first. Its size may be a mistake, and so large that there is no memory for it.
pub(crate) const POSITIONAL_FIRST: usize = 1 << 20;

/// With this much waiting to be written, a worker begins to write.
pub(crate) const WRITE_FROM: usize = 256 << 10;
/// This much may wait; then the task that writes has to wait.
pub(crate) const WRITE_MOST_WAITING: usize = 1 << 20;
/// Small writes are collected into pieces of this size.
pub(crate) const WRITE_PIECE: usize = 256 << 10;
/// `bytes`, which do not change, are not copied from this size on, but kept alive until they are written.
pub(crate) const WRITE_SHARED_FROM: usize = 256 << 10;
/// What may change is not copied above this size, but written before the operation is over.
pub(crate) const WRITE_COPIED: usize = 1 << 20;

// Workers.

/// How many workers may run at once, unless the caller says: enough that a slow disk's queue is kept full, few enough that a
/// slow file system is not stormed.
pub(crate) const DEFAULT_MAX_WORKERS: usize = 64;
/// How long a worker looks for the next job before it sleeps: a little more than it takes a loop to be woken, go on with
/// its task and submit the next operation.
pub(crate) const LINGER: Duration = Duration::from_micros(100);
/// How long it does so after lingering has not paid several times in a row.
pub(crate) const SHORT_LINGER: Duration = Duration::from_micros(10);
/// How many times lingering may be in vain until then.
pub(crate) const LINGERS_IN_VAIN: u32 = 4;
/// Every so many times a worker lingers for the whole time all the same, to see whether it pays again.
pub(crate) const LINGER_AGAIN_EVERY: u32 = 16;
/// How long a sleeping worker waits for a job before its thread ends.
pub(crate) const WORKER_KEPT_FOR: Duration = Duration::from_secs(5);
/// How often a standby worker looks at the queue …
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
/// A queue is searched for jobs that have been cancelled when it is longer than this.
pub(crate) const PURGE_ABOVE: usize = if cfg!(test) { 4 } else { 64 };
/// With so many bytes given back by workers, a loop is woken to release them, even though nobody waits for anything.
pub(crate) const RELEASE_AT: usize = 64 << 10;

// Streams.

/// How long a worker stays with a stream before other jobs have their turn: far less than [`STUCK_AFTER`], and far more
/// than it costs to come back.
pub(crate) const STREAM_STEP: Duration = Duration::from_millis(5);
/// How many batches may be ready before a source is not stepped any more.
pub const STREAM_READY: usize = 8;
/// With fewer left, it is stepped again.
pub(crate) const STREAM_FEW_READY: usize = STREAM_READY / 2;
/// The most steps of one source at once, however many processors there are.
pub(crate) const STREAM_STEPS: usize = 8;
/// How often a stream that the calling thread runs itself asks whether to go on: about as soon as a person who has pressed
/// Ctrl-C expects something to happen.
pub(crate) const STREAM_ASKS_EVERY: Duration = Duration::from_millis(50);
/// How often the removal of a tree begins again with a directory into which something is put meanwhile, as by a cancelled
/// operation that still runs. After that, the error is raised.
pub(crate) const REMOVED_AGAIN: u32 = 100;

// Copying and going through trees.

/// So many entries of a directory are one task: enough to be worth handing to another worker, and some milliseconds of work
/// at most.
pub(crate) const TREE_SLICE: usize = 64;
/// So many tasks are looked through for one whose directory is open, while others are under way.
pub(crate) const TREE_LOOK: usize = 16;
/// The most descriptors of one way through a tree, and which part of what the process may have open …
pub(crate) const TREE_MOST_OPEN: usize = 512;
pub(crate) const TREE_SHARE: usize = 4;
/// … but on each way down so many directories, at least.
pub(crate) const TREE_LEAST_OPEN: usize = 2;
/// How often the consumer of long work is told how far it has come: as often as a person can tell the difference.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_millis(50);
/// Up to this size a file is copied by one read and one write, whatever the file system can do besides: nearly all of the
/// time goes into creating it.
pub(crate) const COPY_SMALL: u64 = 64 << 10;
/// So much goes through this process's memory at a time, where nothing else is to be had.
pub(crate) const COPY_BUFFER: usize = 256 << 10;
/// So much is copied within the kernel at a time: a millisecond's work from and to the page cache, and so less than
/// [`STREAM_STEP`].
pub(crate) const COPY_PIECE: u64 = 4 << 20;
/// How often another name is tried for what is temporary, where somebody else has the one that was made up.
pub(crate) const NAMES_TRIED: usize = 16;

// Tier 0 (Linux): what is trusted to be in memory.

/// An attempt that takes longer has waited for something, or the thread had to wait for a processor.
pub(crate) const SLOW_ATTEMPT: Duration = Duration::from_millis(1);
/// One that has waited for longer is a stall. That is foreseeable where a device is at work, but not where somebody
/// has asked the kernel to be asked before a file is opened or read (a virus scanner: permission events of
/// `fanotify(7)`).
pub(crate) const STALL: Duration = Duration::from_millis(10);
/// After a slow attempt, the next ones are watched to see which of the two it is: this many …
pub(crate) const WATCHED_ATTEMPTS: u32 = 64;
/// … and after one that may have been a stall, all for this long.
pub(crate) const WATCHED_FOR: Duration = Duration::from_secs(60 * 60);
/// How long a mount is left to the workers after the first stall; ten times as long after each further one. With the
/// one that was not watched yet, that is three stalls in an hour: at once, again at once, and after this rest.
pub(crate) const FIRST_REST: Duration = Duration::from_secs(6 * 60);
pub(crate) const LONGEST_REST: Duration = Duration::from_secs(24 * 60 * 60);
/// Without another stall for this long after its rest, a mount is trusted as at first.
pub(crate) const FORGIVEN_AFTER: Duration = Duration::from_secs(60 * 60);
/// How long it rests after the first wait that was shorter; doubled with each further one.
pub(crate) const FIRST_BREAK: Duration = Duration::from_millis(100);
pub(crate) const LONGEST_BREAK: Duration = Duration::from_secs(30);
/// When those are forgotten.
pub(crate) const BREAKS_FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// For how long a mount is taken to be what it was: it may be mounted again with other options, and before Linux 6.8
/// its number be given to another one.
pub(crate) const MOUNT_UNCHANGED_FOR: Duration = Duration::from_secs(1);
/// Mounts that are remembered.
pub(crate) const MOUNTS: usize = 64;
/// Overlays whose layers are remembered; a power of two.
pub(crate) const OVERLAYS: usize = 256;
/// For how long a path is taken to lead to the same kind of file.
pub(crate) const RECENT_FOR: Duration = Duration::from_millis(50);
/// Files that are remembered for that; a power of two.
pub(crate) const RECENT_FILES: usize = 4096;
/// How long the times of an open file are taken to be as they were. Looking at them takes 0.2 µs.
pub(crate) const TIMES_FRESH_FOR: Duration = Duration::from_micros(20);
/// Files that are remembered because reading does not touch them; a power of two.
pub(crate) const UNTOUCHED_FILES: usize = 4096;
/// How long a reading of the time in the run queue is used: it takes some microseconds, and attempts are short.
pub(crate) const QUEUED_FRESH_FOR: Duration = Duration::from_millis(100);
/// How many parents are looked at for one that is in the cache.
pub(crate) const PARENTS_TRIED: usize = 16;
/// How many files of a directory are looked at to find a regular one.
pub(crate) const ENTRIES_TRIED: usize = 1000;

// Trees.

/// What a worker reads of a tree before it hands it out, in entries: some 500 µs of its work, where waking the consumer
/// takes 50 µs …
pub(crate) const TREE_BATCH: usize = 1024;
/// … but what is slow to come is handed out soon.
pub(crate) const TREE_BATCH_TIME: Duration = Duration::from_micros(500);
/// As so many entries a directory counts, for opening it takes as long as reading those.
pub(crate) const TREE_DIRECTORY: usize = 32;
/// The most that is read ahead of the consumer, in entries: a few milliseconds of its work, and a megabyte.
pub(crate) const TREE_AHEAD: usize = 16 << 10;
/// The most directories that all trees together keep open …
pub(crate) const TREE_OPEN: usize = 512;
/// … and the part of the descriptors of the process that they may be.
pub(crate) const TREE_OPEN_SHARE: usize = 4;
/// Directories that take so long are waited for, so that more are read at once, up to [`STREAM_STEPS`] …
pub(crate) const TREE_SLOW: Duration = Duration::from_millis(1);
/// … and those that take no longer than this are not.
pub(crate) const TREE_FAST: Duration = Duration::from_micros(250);
