//! The tasks of workers for handles, as plain data, and which [`Reply`](super::Reply) each brings.

use crate::engine::keep_alive::KeepAlive;
use crate::text::TextFill;
use crate::verbs::write::Data;

/// The caller's memory, to read into.
pub struct TaskBuffer {
    start: *mut u8,
    length: usize,
    _keep_alive: KeepAlive,
}

// SAFETY: `_keep_alive` keeps the memory where it is, and nobody else uses it until the task is done (the contract of
// `new`).
unsafe impl Send for TaskBuffer {}

impl TaskBuffer {
    /// The `length` bytes at `start`.
    ///
    /// # Safety
    /// They must stay valid for writes for as long as `keep_alive` exists, and must not be read or written by others
    /// until the task is done.
    pub unsafe fn new(start: *mut u8, length: usize, keep_alive: KeepAlive) -> Self {
        Self { start, length, _keep_alive: keep_alive.of(length) }
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the contract of `new`. The bytes may be uninitialised, but they are only passed to the system, which
        // writes to them, and read only where it has written.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.length) }
    }
}

/// The task of a worker. for the holder of the turn.
pub enum Task {
    /// Reads until `at_least` bytes are available. `once`: only until any bytes are available.
    /// Replies `Reply::Filled`, true unless the file ended or reading it would block.
    ReadAhead {
        /// The number of bytes.
        at_least: usize,
        /// Whether one read is enough.
        once: bool,
    },
    /// As `ReadAhead` if there is no more than the buffer should hold; otherwise replies `Reply::Count`: the number
    /// of bytes left in the file, at most `size`.
    Measure {
        /// The number of bytes that are wanted.
        size: usize,
    },
    /// Reads after the `have` bytes that are already in the buffer. Replies `Reply::ReadInto`, whose `length`
    /// includes them. `to_end`: the content beyond the buffer is in the tail.
    ReadInto {
        /// The destination.
        buffer: TaskBuffer,
        /// The number of bytes that are already there.
        have: usize,
        /// Whether everything is wanted.
        to_end: bool,
    },
    /// Reads once, past the buffer. Replies `Reply::Count` or `Reply::WouldBlock`.
    ReadOnce {
        /// The destination.
        buffer: TaskBuffer,
    },
    /// Decodes natively until this many characters are decoded, or the file ends. Replies `Reply::Text` or
    /// `Reply::Undecodable`.
    ReadText {
        /// The number of characters; `None` for everything.
        characters: Option<usize>,
    },
    /// Decodes natively until there is a whole line. Replies `Reply::Done` or `Reply::Undecodable`.
    FindLine,
    /// Decodes natively until there is a batch of lines, or the file ends. Replies `Reply::Lines` or
    /// `Reply::Undecodable`.
    ReadLines,
    /// Lays out text in the caller's string. Replies `Reply::LaidOut`.
    LayOut(Box<TextFill>),
    /// Discards the read-ahead, after a write at an offset.
    Refresh,
    /// Writes once, past the buffer. Replies `Reply::Count` or `Reply::WouldBlock`.
    WriteOnce(Data),
    /// Writes everything, past the buffer.
    WriteThrough(Data),
    /// Replies the position.
    Position,
    /// Moves the position, and replies it. This and the following tasks first write what has been accepted.
    Seek {
        /// The offset.
        offset: i64,
        /// As for `lseek(2)`.
        whence: i32,
    },
    /// Truncates the file, and replies its length.
    Truncate {
        /// The new length.
        length: Option<i64>,
    },
    /// Waits for the device.
    Synchronise {
        /// Whether metadata need not be written (`fdatasync(2)`).
        data_only: bool,
    },
    /// Closes the file.
    Close,
}

/// The task of a worker for an operation that needs no turn.
pub enum PositionalTask {
    /// Replies the result of `fstat(2)`.
    Stat,
    /// Reads `size` bytes at an offset, fewer only at the end of the file. Replies `Reply::Bytes`.
    ReadAt {
        /// The number of bytes.
        size: usize,
        /// The offset to read at.
        offset: u64,
    },
    /// Writes everything at an offset. Replies `Reply::Count`.
    WriteAt {
        /// The bytes.
        data: Data,
        /// The offset to write at.
        offset: u64,
    },
}
