//! Lines of binary files.

use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use rapfiles_core::memory::extend;
use rapfiles_core::{Fetched, Guard, Outcome, Salvage, Task};

use super::binary::{check_open, check_written, stop};
use super::open_file::OpenFile;
use super::work::{Request, Step};
use crate::errors::unsupported;
use crate::handle::strings::bytes_of;

/// A line that is longer is looked for by a worker.
const LONG: usize = 1 << 20;
/// Other tasks get their turn after so long.
pub(crate) const SLICE: Duration = Duration::from_millis(1);
/// How many lines are taken between looks at the clock.
pub(crate) const BETWEEN_LOOKS: usize = 256;

/// Where the next line ends.
enum Found {
    /// After so many bytes; none at the end of the file.
    Line(usize),
    Step(Step),
}

/// Looks for the end of the next line.
#[derive(Default)]
struct Search {
    /// So many of the available bytes were searched before.
    scanned: usize,
}

impl Search {
    fn find(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        limit: Option<usize>,
        outcome: Option<Outcome>,
    ) -> PyResult<Found> {
        if !file.readable {
            return Err(unsupported(py, "read"));
        }
        check_open(guard, "readline of closed file")?;
        if let Some(step) = check_written(py, guard)? {
            return Ok(Found::Step(step));
        }
        let limit = limit.unwrap_or(usize::MAX);
        let mut ended = matches!(outcome, Some(Outcome::Flag(false) | Outcome::WouldBlock));
        loop {
            let available = guard.available().len();
            let line = guard.find_line(self.scanned);
            if let Some(length) = line.or_else(|| (available >= limit || ended).then_some(available)) {
                self.scanned = 0;
                return Ok(Found::Line(length.min(limit)));
            }
            self.scanned = available;
            let fetched = if available > LONG { Fetched::Missing } else { guard.fetch(available + 1) };
            match fetched {
                Fetched::Enough => {}
                Fetched::End => ended = true,
                Fetched::Missing => {
                    return Ok(Found::Step(Step::Task(Task::Fill { at_least: available + 1, once: true })));
                }
            }
        }
    }
}

/// Reads a line.
#[derive(Default)]
pub(crate) struct ReadLine {
    pub(crate) limit: Option<usize>,
    /// It is the next item of an iteration, which ends with the file.
    pub(crate) iterates: bool,
    search: Search,
}

impl ReadLine {
    pub(crate) fn new(limit: Option<usize>, iterates: bool) -> Self {
        Self { limit, iterates, search: Search::default() }
    }
}

impl Request for ReadLine {
    fn name(&self) -> &'static str {
        if self.iterates { "__anext__" } else { "readline" }
    }

    fn asks_for_nothing(&self) -> bool {
        self.limit == Some(0)
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        if self.asks_for_nothing() && !file.readable {
            return Ok(Step::Done(PyBytes::new(py, b"").into_any().unbind()));
        }
        match self.search.find(py, file, guard, self.limit, outcome)? {
            Found::Step(step) => Ok(step),
            Found::Line(0) if self.iterates => Err(stop()),
            Found::Line(length) => {
                let line = bytes_of(py, &guard.available()[..length])?.into_any().unbind();
                guard.consume(length);
                Ok(Step::Done(line))
            }
        }
    }
}

/// Reads lines until they have so many bytes, or the file ends.
pub(crate) struct ReadLines {
    pub(crate) hint: Option<usize>,
    lines: Option<Py<PyList>>,
    size: usize,
    search: Search,
}

impl ReadLines {
    pub(crate) fn new(hint: Option<usize>) -> Self {
        Self { hint, lines: None, size: 0, search: Search::default() }
    }
}

impl Request for ReadLines {
    fn name(&self) -> &'static str {
        "readlines"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        mut outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        check_open(guard, "I/O operation on closed file.")?;
        let list = self.lines.get_or_insert_with(|| PyList::empty(py).unbind()).clone_ref(py);
        let lines = list.bind(py);
        let until = Instant::now() + SLICE;
        loop {
            for _ in 0..BETWEEN_LOOKS {
                match self.search.find(py, file, guard, None, outcome.take())? {
                    Found::Step(step) => return Ok(step),
                    Found::Line(0) => return Ok(Step::Done(list.into_any())),
                    Found::Line(length) => {
                        lines.append(bytes_of(py, &guard.available()[..length])?)?;
                        guard.consume(length);
                        if self.hint.is_some_and(|hint| length > hint.saturating_sub(self.size)) {
                            return Ok(Step::Done(list.into_any()));
                        }
                        self.size += length;
                    }
                }
            }
            if Instant::now() > until {
                return Ok(Step::Yield);
            }
        }
    }

    fn salvage(&mut self) -> Option<Salvage> {
        let lines = self.lines.take()?;
        Python::attach(|py| {
            let mut content = Vec::new();
            for line in lines.bind(py).iter().filter_map(|line| line.cast_into::<PyBytes>().ok()) {
                // Without the memory for it, what was read is lost, as with a synchronous file.
                extend(&mut content, line.as_bytes()).ok()?;
            }
            Some(Salvage::Bytes(content))
        })
    }
}
