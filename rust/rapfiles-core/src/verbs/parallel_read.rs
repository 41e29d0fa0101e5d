//! Reading a large file into memory that the caller has allocated, by several workers at once, without a copy.

use std::fmt;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::engine::keep_alive::{Buffer, KeepAlive};
use crate::engine::lane::Lane;
use crate::engine::runtime;
use crate::engine::ticket::Ticket;
use crate::error::{About, Error, Subject};
use crate::limits::{READ_PART, READ_WORKERS, SLOW_READ_PART};
use crate::platform;
use crate::verbs::read::LargeFile;

/// A buffer to fill from a file, in parts that several workers read at once.
pub struct ParallelRead {
    file: LargeFile,
    buffer: Buffer,
    next: AtomicUsize,
    workers: AtomicUsize,
    /// Whether the rest of the buffer uses huge pages.
    large_pages: AtomicBool,
    /// The early end of the file, if it has shrunk.
    end: AtomicUsize,
    failure: Mutex<Option<Error>>,
}

impl ParallelRead {
    /// A read of the `file.size()` bytes at `start`, of which the first `done` have been read.
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

    /// How many workers it takes; each of them must call [`ParallelRead::run`].
    pub(crate) fn plan(&self, usable_cpus: usize) -> usize {
        let workers = self.buffer.length.div_ceil(READ_PART).clamp(1, usable_cpus.clamp(1, READ_WORKERS));
        self.workers.store(workers, Ordering::Relaxed);
        workers
    }

    pub(crate) fn lane(&self) -> Lane {
        self.file.lane()
    }

    /// Reads parts until none are left. The last worker gets the number of valid bytes in the buffer, and what the file has
    /// after them.
    pub(crate) fn run(&self, ticket: &Ticket) -> Option<Result<(usize, Vec<u8>), Error>> {
        while !ticket.is_cancelled() {
            let from = self.next.fetch_add(READ_PART, Ordering::Relaxed);
            if from >= self.end.load(Ordering::Relaxed) {
                break;
            }
            let to = (from + READ_PART).min(self.buffer.length);
            let began = runtime::now();
            let read = self.read(from, to);
            if runtime::elapsed(began) > SLOW_READ_PART && self.large_pages.swap(false, Ordering::Relaxed) {
                self.use_small_pages();
            }
            if let Err(error) = read {
                runtime::lock(&self.failure).get_or_insert(error);
                break;
            }
        }
        (self.workers.fetch_sub(1, Ordering::AcqRel) == 1).then(|| {
            self.buffer.give_back();
            self.result()
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

    /// Uses small pages for the part that has not been read yet.
    fn use_small_pages(&self) {
        let from = self.next.load(Ordering::Relaxed).min(self.buffer.length);
        // SAFETY: `from` is within the buffer.
        let start = unsafe { self.buffer.start.add(from) };
        platform::expect_small_use(start, self.buffer.length - from);
    }

    fn result(&self) -> Result<(usize, Vec<u8>), Error> {
        if let Some(error) = runtime::lock(&self.failure).take() {
            return Err(error);
        }
        self.file.has_been_read();
        let length = self.end.load(Ordering::Relaxed);
        let mut tail = Vec::new();
        if length == self.buffer.length {
            platform::read_to_end(self.file.file()?, &mut tail, Some(length as u64))
                .about(Subject::Nothing)?;
        }
        Ok((length, tail))
    }
}

impl fmt::Debug for ParallelRead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ParallelRead").field("length", &self.buffer.length).finish_non_exhaustive()
    }
}
