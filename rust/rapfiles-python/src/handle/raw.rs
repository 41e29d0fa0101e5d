//! Files without a buffer: each operation is one system call.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rapfiles_core::{Guard, IoVec, KeepAlive, MOST_NOW, Outcome, Salvage, Task, TaskRoom};

use super::binary::{self, check_open, number};
use super::buffered::length;
use super::closing::Close;
use super::large::ReadLarge;
use super::lines::{ReadLine, ReadLines};
use super::open_file::OpenFile;
use super::payload::{Payload, Target};
use super::positional::{self, ReadAt, Stat, WriteAt};
use super::strings::{new_bytes, shortened};
use super::work::{Request, Step};
use crate::errors::unsupported;
use crate::operation::{Operation, file_operation, item_operation};

const CLOSED: &str = "I/O operation on closed file";

/// Reads once.
struct ReadOnce {
    size: usize,
    bytes: Option<Py<PyBytes>>,
}

fn check_readable(py: Python<'_>, file: &OpenFile, guard: &Guard<'_>) -> PyResult<()> {
    check_open(guard, CLOSED)?;
    if file.readable { Ok(()) } else { Err(unsupported(py, "File not open for reading")) }
}

/// Reads once, if that needs no waiting, and is little.
///
/// # Safety
/// `start` must be valid for writes of `length` bytes.
unsafe fn read_now(guard: &mut Guard<'_>, start: *mut u8, length: usize) -> Option<usize> {
    if length > MOST_NOW {
        return None;
    }
    // SAFETY: the caller's promise.
    unsafe { guard.read_past(&[IoVec { start, length }]) }
}

impl Request for ReadOnce {
    fn name(&self) -> &'static str {
        "read"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        check_readable(py, file, guard)?;
        match (outcome, self.bytes.take()) {
            (Some(Outcome::Count(read)), Some(bytes)) => {
                return Ok(Step::Done(shortened(bytes.into_bound(py), read as usize)?));
            }
            (Some(_), _) => return Ok(Step::Done(py.None())),
            (None, _) => {}
        }
        // What was read ahead on the way to a whole line comes first.
        if let Some(step) = binary::take_available(py, guard, self.size) {
            return Ok(step);
        }
        let (bytes, start) = new_bytes(py, self.size)?;
        // SAFETY: the bytes object has room for that much.
        if let Some(read) = unsafe { read_now(guard, start, self.size) } {
            return Ok(Step::Done(shortened(bytes, read)?));
        }
        let keep_alive = KeepAlive::new(bytes.clone().unbind());
        self.bytes = Some(bytes.unbind());
        // SAFETY: the object is shown to nobody before the task is done, and is kept alive for as long.
        let room = unsafe { TaskRoom::new(start, self.size, keep_alive) };
        Ok(Step::Task(Task::ReadOnce { room }))
    }
}

/// Reads once into the caller's memory.
struct ReadOnceInto {
    target: Target,
}

impl Request for ReadOnceInto {
    fn name(&self) -> &'static str {
        "readinto"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        check_readable(py, file, guard)?;
        match outcome {
            Some(Outcome::Count(read)) => return Ok(number(py, read)),
            Some(_) => return Ok(Step::Done(py.None())),
            None => {}
        }
        let (start, length) = (self.target.start(), self.target.len());
        let ahead = guard.available().len().min(length);
        if ahead > 0 {
            self.target.put(0, &guard.available()[..ahead]);
            guard.consume(ahead);
            return Ok(number(py, ahead as u64));
        }
        // SAFETY: the view holds on to the memory.
        if let Some(read) = unsafe { read_now(guard, start, length) } {
            return Ok(number(py, read as u64));
        }
        // SAFETY: the view holds on to the memory, which is the caller's to leave alone meanwhile.
        let room = unsafe { TaskRoom::new(start, length, KeepAlive::new(self.target.keep_alive(py))) };
        Ok(Step::Task(Task::ReadOnce { room }))
    }
}

/// Writes once.
struct WriteOnce {
    payload: Payload,
}

impl Request for WriteOnce {
    fn name(&self) -> &'static str {
        "write"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        check_open(guard, CLOSED)?;
        if !file.writable {
            return Err(unsupported(py, "File not open for writing"));
        }
        match outcome {
            Some(Outcome::Count(written)) => Ok(number(py, written)),
            Some(_) => Ok(Step::Done(py.None())),
            None => Ok(Step::Task(Task::WriteOnce(self.payload.shared(py)?))),
        }
    }
}

/// The native half of `AsyncFileIO`.
#[pyclass(frozen, subclass, weakref, module = "rapfiles._native")]
pub(crate) struct RawFile {
    file: Py<OpenFile>,
}

impl RawFile {
    fn submit(&self, py: Python<'_>, request: impl Request + 'static) -> Operation {
        file_operation(py, &self.file, Box::new(request))
    }
}

#[pymethods]
impl RawFile {
    #[new]
    #[pyo3(signature = (file, /))]
    fn new(file: Py<OpenFile>) -> Self {
        Self { file }
    }

    /// The open file, for the other layers.
    #[getter]
    fn _file(&self, py: Python<'_>) -> Py<OpenFile> {
        self.file.clone_ref(py)
    }

    /// Reads up to size bytes with one system call; everything up to the end where size is negative. Returns None where
    /// the file does not wait and has nothing.
    #[pyo3(signature = (size=-1, /), text_signature = "($self, size=-1, /)")]
    fn read(&self, py: Python<'_>, size: Option<isize>) -> Operation {
        match usize::try_from(size.unwrap_or(-1)) {
            Ok(size) => self.submit(py, ReadOnce { size, bytes: None }),
            Err(_) if !self.file.get().readable => self.submit(py, ReadOnce { size: 0, bytes: None }),
            Err(_) => self.readall(py),
        }
    }

    /// Reads everything up to the end of the file.
    fn readall(&self, py: Python<'_>) -> Operation {
        self.submit(py, RawReadAll(ReadLarge::new(None, false)))
    }

    /// Reads into a buffer with one system call. Returns how many bytes.
    #[pyo3(signature = (buffer, /))]
    fn readinto(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<Operation> {
        Ok(self.submit(py, ReadOnceInto { target: Target::new(buffer, "readinto")? }))
    }

    /// Reads a line, of up to limit bytes.
    #[pyo3(signature = (limit=-1, /), text_signature = "($self, limit=-1, /)")]
    fn readline(&self, py: Python<'_>, limit: Option<isize>) -> Operation {
        self.submit(py, RawLines(ReadLine::new(usize::try_from(limit.unwrap_or(-1)).ok(), false)))
    }

    /// Reads lines until they have hint bytes.
    #[pyo3(signature = (hint=-1, /), text_signature = "($self, hint=-1, /)")]
    fn readlines(&self, py: Python<'_>, hint: Option<isize>) -> Operation {
        self.submit(
            py,
            RawLines(ReadLines::new(hint.and_then(|hint| usize::try_from(hint).ok()).filter(|h| *h > 0))),
        )
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        item_operation(py, &self.file, Box::new(RawLines(ReadLine::new(None, true))))
    }

    /// Reads the next chunk of an iteration over chunks.
    #[pyo3(signature = (size, /))]
    fn _next_chunk<'py>(&self, py: Python<'py>, size: usize) -> PyResult<Bound<'py, PyAny>> {
        item_operation(py, &self.file, binary::read(Some(size), true))
    }

    /// Writes bytes with one system call. Returns how many were written, which may be fewer than there are, or None where
    /// the file does not wait and has no room.
    #[pyo3(signature = (data, /))]
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Operation> {
        Ok(self.submit(py, WriteOnce { payload: Payload::new(data)? }))
    }

    /// Does nothing: there is no buffer.
    fn flush(&self, py: Python<'_>) -> Operation {
        self.submit(py, binary::Flush { closed: "I/O operation on closed file." })
    }

    /// Moves the position, and returns it.
    #[pyo3(signature = (offset, whence=0, /))]
    fn seek(&self, py: Python<'_>, offset: i64, whence: i32) -> Operation {
        self.submit(py, binary::Seek { offset, whence, raw: true })
    }

    /// Tells the position.
    fn tell(&self, py: Python<'_>) -> Operation {
        self.submit(py, binary::Tell)
    }

    /// Cuts the file to a length, by default to where the position is, or extends it with zeros. Returns the length.
    #[pyo3(signature = (size=None, /))]
    fn truncate(&self, py: Python<'_>, size: Option<&Bound<'_, PyAny>>) -> PyResult<Operation> {
        Ok(self.submit(
            py,
            binary::Truncate {
                length: length(self.file.get(), size)?,
                refusal: "File not open for writing",
                closed: CLOSED,
            },
        ))
    }

    /// Waits until the device has the content and the metadata.
    fn sync(&self, py: Python<'_>) -> Operation {
        self.submit(py, binary::Synchronise { data_only: false })
    }

    /// Waits until the device has the content.
    fn datasync(&self, py: Python<'_>) -> Operation {
        self.submit(py, binary::Synchronise { data_only: true })
    }

    /// What os.fstat tells.
    fn stat(&self, py: Python<'_>) -> Operation {
        self.submit(py, Stat)
    }

    /// Reads up to size bytes at an offset.
    #[pyo3(signature = (size, offset, /))]
    fn pread(&self, py: Python<'_>, size: usize, offset: i64) -> PyResult<Operation> {
        Ok(self.submit(py, ReadAt { size, offset: positional::offset(offset)? }))
    }

    /// Writes all of the bytes at an offset.
    #[pyo3(signature = (data, offset, /))]
    fn pwrite(&self, py: Python<'_>, data: &Bound<'_, PyAny>, offset: i64) -> PyResult<Operation> {
        let (payload, offset) = (Payload::new(data)?, positional::offset(offset)?);
        Ok(self.submit(py, WriteAt { payload, offset }))
    }

    /// Closes the file.
    fn close(&self, py: Python<'_>) -> Operation {
        self.submit(py, Close::default())
    }

    /// The descriptor.
    fn fileno(&self) -> PyResult<i32> {
        self.file.get().fileno(CLOSED)
    }
}

/// Reading everything, with a raw file's complaints.
struct RawReadAll(ReadLarge);

impl Request for RawReadAll {
    fn name(&self) -> &'static str {
        "readall"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        check_open(guard, CLOSED)?;
        if !file.readable {
            // What the system call would say.
            return Err(binary::bad_descriptor(py));
        }
        self.0.advance(py, file, guard, outcome)
    }

    fn salvage(&mut self) -> Option<Salvage> {
        self.0.salvage()
    }
}

/// Reading lines, with a raw file's complaints.
struct RawLines<R>(R);

impl<R: Request> Request for RawLines<R> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        if self.0.asks_for_nothing() {
            return Ok(Step::Done(PyBytes::new(py, b"").into_any().unbind()));
        }
        // The words of io for what it leaves to its base class.
        check_open(
            guard,
            if self.0.name() == "readlines" { "I/O operation on closed file." } else { CLOSED },
        )?;
        check_readable(py, file, guard)?;
        self.0.advance(py, file, guard, outcome)
    }

    fn salvage(&mut self) -> Option<Salvage> {
        self.0.salvage()
    }
}
