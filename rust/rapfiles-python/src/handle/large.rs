//! Reading much at once: straight into the result, so that it is never copied.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rapfiles_core::{Fetched, Guard, KeepAlive, MOST_SLICED, Outcome, Sliced, Slices, Task, TaskRoom};

use super::binary::{check_open, check_written, stop};
use super::open_file::OpenFile;
use super::strings::{new_bytes, shortened};
use super::work::{Request, Step};
use crate::errors::unsupported;
use crate::handle::strings::bytes_of;
use crate::{large_read, results};

/// Reads so many bytes, or everything.
pub(crate) struct ReadLarge {
    size: Option<usize>,
    iterates: bool,
    /// The result, and how much of it was buffered.
    room: Option<(Py<PyAny>, usize)>,
    /// What is being read on the loop: the result, how much of it was buffered, and the rest.
    slices: Option<(Py<PyBytes>, usize, Slices)>,
}

impl ReadLarge {
    pub(crate) fn new(size: Option<usize>, iterates: bool) -> Self {
        Self { size, iterates, room: None, slices: None }
    }

    /// Everything that is available, within what is wanted.
    fn take(&self, py: Python<'_>, guard: &mut Guard<'_>, would_block: bool) -> PyResult<Step> {
        let count = guard.available().len().min(self.size.unwrap_or(usize::MAX));
        if count == 0 && self.iterates {
            return Err(stop());
        }
        if count == 0 && would_block {
            return Ok(Step::Done(py.None()));
        }
        let bytes = bytes_of(py, &guard.available()[..count])?.into_any().unbind();
        guard.consume(count);
        Ok(Step::Done(bytes))
    }
}

/// A bytes object of so many bytes that begins with those of the buffer, how many these are, and where it begins.
fn begun<'py>(
    py: Python<'py>,
    guard: &Guard<'_>,
    size: usize,
) -> PyResult<(Bound<'py, PyBytes>, usize, *mut u8)> {
    let (bytes, start) = new_bytes(py, size)?;
    let have = guard.available().len().min(size);
    // SAFETY: the bytes object has room for that much.
    unsafe { std::ptr::copy_nonoverlapping(guard.available().as_ptr(), start, have) };
    Ok((bytes, have, start))
}

impl ReadLarge {
    /// Begins: on the loop, if the kernel may have it at hand and it is not too much for that, else in a worker.
    fn begin(&mut self, py: Python<'_>, guard: &mut Guard<'_>) -> PyResult<Step> {
        let measure = Task::Measure { size: self.size.unwrap_or(usize::MAX) };
        let Some(left) = guard.left() else { return Ok(Step::Task(measure)) };
        let available = guard.available().len();
        if self.size.is_some_and(|size| size <= available) {
            return self.take(py, guard, false);
        }
        let size = self.size.unwrap_or(usize::MAX).min(available.saturating_add(left));
        if size <= available {
            // At the end, as far as one knows.
            return Ok(match guard.fetch(available + 1) {
                Fetched::End => self.take(py, guard, false)?,
                Fetched::Enough | Fetched::Missing => Step::Task(measure),
            });
        }
        if size - available > MOST_SLICED {
            return self.fill(py, guard, size);
        }
        let (bytes, have, _) = begun(py, guard, size)?;
        match guard.slices(size - have, size - available == left) {
            Some(slices) => self.slice(py, guard, (bytes.unbind(), have, slices)),
            None => Ok(Step::Task(measure)),
        }
    }

    /// Has a worker read so much.
    fn fill(&mut self, py: Python<'_>, guard: &Guard<'_>, size: usize) -> PyResult<Step> {
        let (bytes, have, start) = begun(py, guard, size)?;
        // The buffered part is used up only when there is a result.
        let keep_alive = KeepAlive::new(bytes.clone().unbind());
        // SAFETY: the object is shown to nobody before the task is done, and is kept alive for as long.
        let room = unsafe { TaskRoom::new(start, size, keep_alive) };
        self.room = Some((bytes.into_any().unbind(), have));
        Ok(Step::Task(Task::FillRoom { room, have, to_end: self.size.is_none() }))
    }

    /// Reads on here, as long as the loop may be held.
    fn slice(
        &mut self,
        py: Python<'_>,
        guard: &mut Guard<'_>,
        (bytes, have, mut slices): (Py<PyBytes>, usize, Slices),
    ) -> PyResult<Step> {
        let size = bytes.as_bytes(py).len();
        // SAFETY: a bytes object has room for its size and for a NUL behind that, and nobody has seen this one.
        let sliced = unsafe {
            let start = ffi::PyBytes_AsString(bytes.as_ptr()).cast::<u8>();
            guard.read_slices(&mut slices, start.add(have))
        };
        large_read::terminate(bytes.bind(py));
        match sliced {
            Sliced::Complete => Ok(Step::Done(bytes.into_any())),
            Sliced::End(length) if have + length == 0 && self.iterates => Err(stop()),
            Sliced::End(length) => Ok(Step::Done(shortened(bytes.into_bound(py), have + length)?)),
            Sliced::Pause => {
                self.slices = Some((bytes, have, slices));
                Ok(Step::Yield)
            }
            Sliced::Missing => self.fill(py, guard, size),
        }
    }
}

impl Request for ReadLarge {
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
        if self.iterates {
            check_open(guard, "read of closed file")?;
        }
        if !file.readable {
            return Err(unsupported(py, "read"));
        }
        check_open(guard, "read of closed file")?;
        if let Some(step) = check_written(py, guard)? {
            return Ok(step);
        }
        match outcome {
            Some(Outcome::Count(size)) => self.fill(py, guard, size as usize),
            Some(Outcome::Filled { length, tail }) => {
                let (room, have) = self.room.take().unwrap_or_else(|| (py.None(), 0));
                guard.consume(have);
                guard.pass_by();
                if length == 0 && tail.is_empty() && self.iterates {
                    return Err(stop());
                }
                Ok(Step::Done(results::filled(py, Some(room), length, &tail)?))
            }
            Some(outcome) => self.take(py, guard, matches!(outcome, Outcome::WouldBlock)),
            None => match self.slices.take() {
                Some(slices) => self.slice(py, guard, slices),
                None => self.begin(py, guard),
            },
        }
    }
}
