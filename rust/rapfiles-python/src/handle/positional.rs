//! Reading and writing at an offset: beside everything else, and past the buffers.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rapfiles_core::{Guard, IoVec, MOST_NOW, Outcome, Task};

use super::binary::{check_open, number};
use super::open_file::OpenFile;
use super::payload::Payload;
use super::strings::{new_bytes, shortened};
use super::work::{Request, Step};
use crate::errors::unsupported;
use crate::handle::strings::bytes_of;

const CLOSED: &str = "I/O operation on closed file";

/// Reads at an offset.
pub(crate) struct ReadAt {
    pub(crate) size: usize,
    pub(crate) offset: u64,
}

impl Request for ReadAt {
    fn name(&self) -> &'static str {
        "pread"
    }

    fn is_positional(&self) -> bool {
        true
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        _guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        self.advance_beside(py, file, outcome)
    }

    fn advance_beside(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        if let Some(Outcome::Bytes(bytes)) = outcome {
            return Ok(Step::Done(bytes_of(py, &bytes)?.into_any().unbind()));
        }
        check_open(&file.handle, CLOSED)?;
        if !file.readable {
            return Err(unsupported(py, "File not open for reading"));
        }
        if self.size <= MOST_NOW && file.handle.facts.regular {
            let (bytes, start) = new_bytes(py, self.size)?;
            // SAFETY: the bytes object has room for that much.
            let read = unsafe { file.handle.read_at(IoVec { start, length: self.size }, self.offset) };
            // Less may be the end of the file, or of what is in the cache.
            if read == Some(self.size) || read == Some(0) {
                return Ok(Step::Done(shortened(bytes, read.unwrap_or_default())?));
            }
        }
        Ok(Step::Positional(Task::ReadAt { size: self.size, offset: self.offset }))
    }
}

/// Writes at an offset.
pub(crate) struct WriteAt {
    pub(crate) payload: Payload,
    pub(crate) offset: u64,
}

impl Request for WriteAt {
    fn name(&self) -> &'static str {
        "pwrite"
    }

    fn is_positional(&self) -> bool {
        true
    }

    fn writes_at(&self) -> bool {
        true
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        _guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        self.advance_beside(py, file, outcome)
    }

    fn advance_beside(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        if let Some(Outcome::Count(count)) = outcome {
            return Ok(number(py, count));
        }
        check_open(&file.handle, CLOSED)?;
        if !file.writable {
            return Err(unsupported(py, "File not open for writing"));
        }
        Ok(Step::Positional(Task::WriteAt { data: self.payload.shared(py)?, offset: self.offset }))
    }
}

/// What `fstat(2)` tells.
pub(crate) struct Stat;

impl Request for Stat {
    fn name(&self) -> &'static str {
        "stat"
    }

    fn is_positional(&self) -> bool {
        true
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        _guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        self.advance_beside(py, file, outcome)
    }

    fn advance_beside(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        if let Some(Outcome::Metadata(metadata)) = outcome {
            return Ok(Step::Done(crate::stat_result::build(py, &metadata)?));
        }
        check_open(&file.handle, CLOSED)?;
        Ok(Step::Positional(Task::Stat))
    }
}

/// An offset within a file.
pub(crate) fn offset(offset: i64) -> PyResult<u64> {
    u64::try_from(offset).map_err(|_| PyValueError::new_err("offset must not be negative"))
}
