//! Filling a buffer that the caller has made, so that a big result is never copied.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::engine::keep_alive::KeepAlive;
use crate::engine::queue::Lane;
use crate::engine::runtime;
use crate::engine::ticket::Ticket;
use crate::error::{About, Error, Subject};
use crate::outcome::Outcome;
use crate::platform;
use crate::text::Text;
use crate::verbs::read::LargeFile;

/// How much of a file one worker reads before it looks for the next part.
const PART: usize = 2 << 20;
/// A part that takes longer would have come faster in small pages. So it is where a virtual machine gives its free huge
/// pages back to the host, and has to ask for each of them again.
const SLOW_PART: Duration = Duration::from_micros(1_500);
/// The most workers that fill one buffer.
const MAX_WORKERS: usize = 4;

/// A buffer, of which each byte is written by one worker at most.
struct Buffer {
    start: *mut u8,
    length: usize,
    /// Given back by whoever is the last to use the buffer, before anybody is told that it is filled.
    keep_alive: Mutex<Option<KeepAlive>>,
}

impl Buffer {
    fn new(start: *mut u8, length: usize, keep_alive: KeepAlive) -> Self {
        Self { start, length, keep_alive: Mutex::new(Some(keep_alive.of(length))) }
    }

    /// Nobody is going to use it any more.
    fn give_back(&self) {
        drop(self.keep_alive.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

// SAFETY: the buffer stays where it is for as long as `keep_alive` exists, nobody else looks at it until the
// operation is done (the contract of `Fill::new` and `TextFill::new`), and workers write to disjoint parts of it.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

/// A buffer to be filled from a file, in parts that several workers read at once.
pub struct Fill {
    file: LargeFile,
    buffer: Buffer,
    next: AtomicUsize,
    workers: AtomicUsize,
    /// Whether the rest of the buffer comes in large pages.
    large_pages: AtomicBool,
    /// Where the file ended early, if it did.
    end: AtomicUsize,
    failure: Mutex<Option<Error>>,
}

impl Fill {
    /// A fill of the `file.size()` bytes at `start`, of which the first `done` have been read.
    ///
    /// # Safety
    /// `start` must be valid for writes of `file.size()` bytes for as long as `keep_alive` exists, and nobody may
    /// read or write them until the operation is done or has been cancelled for good.
    pub unsafe fn new(file: LargeFile, start: *mut u8, done: usize, keep_alive: KeepAlive) -> Self {
        let length = file.size();
        platform::expect_large_use(start, length);
        Self {
            file,
            buffer: Buffer::new(start, length, keep_alive),
            next: AtomicUsize::new(done),
            workers: AtomicUsize::new(0),
            large_pages: AtomicBool::new(true),
            end: AtomicUsize::new(length),
            failure: Mutex::new(None),
        }
    }

    /// How many workers it takes; each of them must call [`Fill::run`].
    pub(crate) fn plan(&self, usable_cpus: usize) -> usize {
        let workers = self.buffer.length.div_ceil(PART).clamp(1, usable_cpus.clamp(1, MAX_WORKERS));
        self.workers.store(workers, Ordering::Relaxed);
        workers
    }

    pub(crate) fn lane(&self) -> Lane {
        self.file.lane()
    }

    /// Reads parts until there are none left. The worker that leaves last gets the outcome.
    pub(crate) fn run(&self, ticket: &Ticket) -> Option<Result<Outcome, Error>> {
        while !ticket.is_cancelled() {
            let from = self.next.fetch_add(PART, Ordering::Relaxed);
            if from >= self.end.load(Ordering::Relaxed) {
                break;
            }
            let to = (from + PART).min(self.buffer.length);
            let began = runtime::now();
            let read = self.read(from, to);
            if runtime::elapsed(began) > SLOW_PART && self.large_pages.swap(false, Ordering::Relaxed) {
                self.use_small_pages();
            }
            if let Err(error) = read {
                self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                break;
            }
        }
        (self.workers.fetch_sub(1, Ordering::AcqRel) == 1).then(|| {
            self.buffer.give_back();
            self.outcome()
        })
    }

    fn read(&self, from: usize, to: usize) -> Result<(), Error> {
        let file = self.file.file()?;
        let mut at = from;
        while at < to {
            // SAFETY: `from..to` is within the buffer and was handed to this worker alone.
            let part = unsafe { std::slice::from_raw_parts_mut(self.buffer.start.add(at), to - at) };
            match platform::read_at(file, part, at as u64) {
                Ok(0) => {
                    self.end.fetch_min(at, Ordering::Relaxed);
                    return Ok(());
                }
                Ok(read) => at += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::new(&error, Subject::Nothing)),
            }
        }
        Ok(())
    }

    /// What has not been read yet comes in small pages.
    fn use_small_pages(&self) {
        let from = self.next.load(Ordering::Relaxed).min(self.buffer.length);
        // SAFETY: `from` is within the buffer.
        let start = unsafe { self.buffer.start.add(from) };
        platform::expect_small_use(start, self.buffer.length - from);
    }

    fn outcome(&self) -> Result<Outcome, Error> {
        if let Some(error) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        self.file.has_been_read();
        let length = self.end.load(Ordering::Relaxed);
        let mut tail = Vec::new();
        if length == self.buffer.length {
            platform::read_to_end(self.file.file()?, &mut tail, Some(length as u64))
                .about(Subject::Nothing)?;
        }
        Ok(Outcome::Filled { length, tail })
    }
}

impl fmt::Debug for Fill {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Fill").field("length", &self.buffer.length).finish_non_exhaustive()
    }
}

/// A string to be filled from decoded text.
pub struct TextFill {
    text: Text,
    buffer: Buffer,
}

impl TextFill {
    /// A fill of the `text.chars()` characters at `start`, each `text.width()` bytes wide.
    ///
    /// # Safety
    /// As for [`Fill::new`], for `text.chars() * text.width()` bytes aligned for characters of that width.
    pub unsafe fn new(text: Text, start: *mut u8, keep_alive: KeepAlive) -> Self {
        let length = text.chars() * text.width();
        Self { text, buffer: Buffer::new(start, length, keep_alive) }
    }

    /// The text, which need not be laid out any more.
    pub(crate) fn into_text(self) -> Text {
        self.text
    }

    pub(crate) fn run(&mut self) {
        // SAFETY: the contract of `new`; this is the only worker that has the buffer.
        unsafe { self.text.write_to(self.buffer.start) };
        self.buffer.give_back();
    }
}

impl fmt::Debug for TextFill {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TextFill").field("length", &self.buffer.length).finish_non_exhaustive()
    }
}
