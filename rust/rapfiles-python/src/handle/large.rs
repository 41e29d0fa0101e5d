//! Reading much at once: straight into the result, so that it is never copied.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rapfiles_core::{Fetched, Guard, Outcome, Task, TaskRoom};

use super::binary::{check_open, check_written, stop};
use super::open_file::OpenFile;
use super::strings::new_bytes;
use super::work::{Request, Step};
use crate::errors::unsupported;
use crate::results;

/// A file that has no more than this is read at once, if the kernel has it at hand.
const SMALL: usize = 32 << 10;

/// Reads so many bytes, or everything.
pub(crate) struct ReadLarge {
    size: Option<usize>,
    iterates: bool,
    /// The result, and how much of it was buffered.
    room: Option<(Py<PyAny>, usize)>,
}

impl ReadLarge {
    pub(crate) fn new(size: Option<usize>, iterates: bool) -> Self {
        Self { size, iterates, room: None }
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
        let bytes = PyBytes::new(py, &guard.available()[..count]).into_any().unbind();
        guard.consume(count);
        Ok(Step::Done(bytes))
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
            Some(Outcome::Count(size)) => {
                let (bytes, start) = new_bytes(py, size as usize)?;
                let have = guard.available().len().min(size as usize);
                // SAFETY: the bytes object has room for that much.
                unsafe { std::ptr::copy_nonoverlapping(guard.available().as_ptr(), start, have) };
                // The buffered part is used up only when there is a result.
                let keep_alive = Box::new(bytes.clone().unbind());
                // SAFETY: the object is shown to nobody before the task is done, and is kept alive for as long.
                let room = unsafe { TaskRoom::new(start, size as usize, keep_alive) };
                self.room = Some((bytes.into_any().unbind(), have));
                Ok(Step::Task(Task::FillRoom { room, have, to_end: self.size.is_none() }))
            }
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
            None => {
                if guard.fetch(SMALL) == Fetched::End {
                    return self.take(py, guard, false);
                }
                Ok(Step::Task(Task::Measure { size: self.size.unwrap_or(usize::MAX) }))
            }
        }
    }

    fn give_up(&mut self, guard: &mut Guard<'_>, outcome: Outcome) {
        if let (Some((room, have)), Outcome::Filled { length, tail }) = (self.room.take(), outcome) {
            Python::attach(|py| {
                if let Ok(bytes) = room.bind(py).cast::<PyBytes>() {
                    guard.append(&bytes.as_bytes()[have..length]);
                }
            });
            guard.append(&tail);
        }
    }
}
