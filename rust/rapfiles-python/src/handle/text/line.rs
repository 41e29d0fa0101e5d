//! Lines of text files.

use std::collections::TryReserveError;
use std::sync::Arc;
use std::time::Instant;

use pyo3::prelude::*;
use pyo3::types::string::PyStringData;
use pyo3::types::{PyList, PyString};
use rapfiles_core::memory::extend;
use rapfiles_core::{Codec as NativeCodec, Guard, LineBatch, Mark, Reply, Salvage, Task};

use super::codec::{self, Snapshot};
use super::feeder::{Feeder, More, is_filled, take};
use super::request::OpenFile;
use super::request::{Request, Step};
use super::request::{check_written, stop};
use super::state::{BETWEEN_LOOKS, SLICE};
use super::state::{LONG, TextState, check_readable};
use crate::handle::strings::{laid_out, string};
use crate::once::intern;

/// Looks for the end of the next line.
struct Search {
    feeder: Feeder,
    /// The file ended while it was looked for: what was decoded is forgotten when it has been taken.
    ended: bool,
}

impl Search {
    fn new(state: &Arc<TextState>) -> Self {
        Self { feeder: Feeder::new(state), ended: false }
    }

    /// The line has been taken.
    fn taken(&mut self, guard: &mut Guard<'_>) {
        if std::mem::take(&mut self.ended) {
            if let Some(decoder) = guard.decoder() {
                decoder.clear();
            }
            self.feeder.state.set_snapshot(None);
        }
    }
}

enum Found {
    /// After so many bytes; none at the end of the file.
    Line(usize),
    Step(Step),
}

impl Search {
    fn find(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        limit: Option<usize>,
        mut outcome: Option<Reply>,
    ) -> PyResult<Found> {
        check_readable(py, file, guard)?;
        if let Some(step) = check_written(py, guard)? {
            return Ok(Found::Step(step));
        }
        if let Some(step) = self.feeder.note(guard, &mut outcome) {
            return Ok(Found::Step(step));
        }
        // A worker that looked for a line has found one, or the end of the file.
        let searched = matches!(outcome, Some(Reply::Done));
        let mut filled = is_filled(&outcome);
        loop {
            let Some(decoder) = guard.decoder() else { return Ok(Found::Line(0)) };
            let clipped = |decoder: &rapfiles_core::Decoder, bytes: usize| {
                limit.map_or(bytes, |limit| decoder.bytes_of(limit).min(bytes))
            };
            if let Some(end) = decoder.find_line() {
                return Ok(Found::Line(clipped(decoder, end)));
            }
            let there = decoder.len();
            if searched || (there > 0 && limit.is_some_and(|limit| decoder.characters() >= limit)) {
                return Ok(Found::Line(clipped(decoder, there)));
            }
            if there > LONG && decoder.is_native() {
                return Ok(Found::Step(Step::Task(Task::FindLine)));
            }
            match self.feeder.more(file, guard, 0, std::mem::take(&mut filled))? {
                More::Decoded => {}
                More::End => {
                    let there = guard.decoder().map_or(0, |decoder| clipped(decoder, decoder.len()));
                    self.ended = true;
                    if there == 0 {
                        self.taken(guard);
                    }
                    return Ok(Found::Line(there));
                }
                More::Step(step) => return Ok(Found::Step(step)),
            }
        }
    }
}

/// Reads a line.
pub(crate) struct ReadLine {
    limit: Option<usize>,
    iterates: bool,
    search: Search,
}

impl ReadLine {
    pub(crate) fn new(state: &Arc<TextState>, limit: Option<usize>, iterates: bool) -> Self {
        Self { limit, iterates, search: Search::new(state) }
    }
}

impl Request for ReadLine {
    fn name(&self) -> &'static str {
        if self.iterates { "__anext__" } else { "readline" }
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Reply>,
    ) -> PyResult<Step> {
        match self.search.find(py, file, guard, self.limit, outcome)? {
            Found::Step(step) => Ok(step),
            Found::Line(0) if self.iterates => Err(stop()),
            Found::Line(bytes) => {
                let step = take(py, guard, bytes);
                self.search.taken(guard);
                step
            }
        }
    }

    fn call(&mut self, py: Python<'_>, guard: &mut Guard<'_>) -> PyResult<()> {
        self.search.feeder.call(py, guard)
    }
}

/// Reads lines until they have so many characters, or the file ends.
pub(crate) struct ReadLines {
    hint: Option<usize>,
    lines: Option<Py<PyList>>,
    size: usize,
    search: Search,
    /// Lines that a worker has found, and of which there are no strings yet.
    batch: Option<LineBatch>,
    /// Where the file was before, and Python's codec.
    mark: Option<Mark>,
    codec: Option<(Py<PyAny>, Option<Snapshot>)>,
    begun: bool,
}

/// From a file of this size on, a worker finds the lines.
const WORTH_A_WORKER: u64 = 1 << 20;

impl ReadLines {
    pub(crate) fn new(state: &Arc<TextState>, hint: Option<usize>) -> Self {
        let search = Search::new(state);
        Self { hint, lines: None, size: 0, search, batch: None, mark: None, codec: None, begun: false }
    }

    /// Notes where the file is before the first line is taken; `false` where Python's codec is to be asked, too.
    fn begin(&mut self, guard: &mut Guard<'_>) -> bool {
        if !self.begun && guard.is_written() && !guard.is_closed() {
            self.begun = true;
            self.mark = guard.mark();
            return self.mark.is_none() || guard.decoder().is_none_or(|decoder| decoder.is_native());
        }
        true
    }

    /// Notes what Python's codec is like.
    fn note_codec(&mut self, py: Python<'_>) -> PyResult<()> {
        let state = &self.search.feeder.state;
        let Some(decoder) = state.decoder(py) else { return Ok(()) };
        let snapshot = state.snapshot(py)?;
        self.codec = Some((decoder.call_method0(intern!(py, "getstate"))?.unbind(), snapshot));
        Ok(())
    }

    /// Sets Python's codec back to what it was like.
    fn restore_codec(&mut self) {
        let Some((codec, snapshot)) = self.codec.take() else { return };
        Python::attach(|py| {
            let state = &self.search.feeder.state;
            let Some(decoder) = state.decoder(py) else { return };
            if let Err(error) = decoder.call_method1(intern!(py, "setstate"), (codec,)) {
                error.write_unraisable(py, Some(&decoder));
            }
            state.set_snapshot(snapshot);
        });
    }

    /// Makes strings of the lines that a worker has found, while it looks for more.
    fn make_lines(&mut self, py: Python<'_>) -> PyResult<()> {
        let (Some(list), Some(batch)) = (&self.lines, &mut self.batch) else { return Ok(()) };
        let list = list.bind(py);
        while let Some((bytes, plain, layout)) = batch.next_line() {
            list.append(laid_out(py, bytes, plain, layout)?)?;
        }
        Ok(())
    }

    /// Takes the lines that a worker has found, and sends it for more.
    fn take_batch(&mut self, py: Python<'_>, batch: LineBatch) -> PyResult<Step> {
        let ended = batch.ended;
        self.batch = Some(batch);
        if !ended {
            return Ok(Step::Task(Task::ReadLines));
        }
        self.make_lines(py)?;
        self.batch = None;
        let lines = self.lines.take();
        Ok(Step::Done(lines.map_or_else(|| py.None(), Py::into_any)))
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
        mut outcome: Option<Reply>,
    ) -> PyResult<Step> {
        if !self.begin(guard) {
            return Ok(Step::Call);
        }
        let list = self.lines.get_or_insert_with(|| PyList::empty(py).unbind()).clone_ref(py);
        let lines = list.bind(py);
        if let Some(Reply::Lines(batch)) = outcome {
            return self.take_batch(py, batch);
        }
        let native = guard.decoder().is_some_and(|decoder| decoder.is_native());
        let large = file.handle.facts.size >= WORTH_A_WORKER && self.hint.is_none();
        if native && large && outcome.is_none() && guard.is_written() && !guard.is_closed() {
            return Ok(Step::Task(Task::ReadLines));
        }
        let until = Instant::now() + SLICE;
        loop {
            for _ in 0..BETWEEN_LOOKS {
                let bytes = match self.search.find(py, file, guard, None, outcome.take())? {
                    Found::Step(step) => return Ok(step),
                    Found::Line(0) => return Ok(Step::Done(list.into_any())),
                    Found::Line(bytes) => bytes,
                };
                let Some(decoder) = guard.decoder() else { return Ok(Step::Done(list.into_any())) };
                let (content, form) = decoder.peek(bytes);
                let line = string(py, content, form)?;
                decoder.consume(bytes);
                self.search.taken(guard);
                let length = line.len()?;
                lines.append(line)?;
                if self.hint.is_some_and(|hint| length > hint.saturating_sub(self.size)) {
                    return Ok(Step::Done(list.into_any()));
                }
                self.size += length;
            }
            if Instant::now() > until {
                return Ok(Step::Yield);
            }
        }
    }

    fn call(&mut self, py: Python<'_>, guard: &mut Guard<'_>) -> PyResult<()> {
        if self.mark.is_some() && self.lines.is_none() {
            return self.note_codec(py);
        }
        self.search.feeder.call(py, guard)
    }

    fn meanwhile(&mut self, py: Python<'_>) -> PyResult<()> {
        self.make_lines(py)
    }

    fn salvage(&mut self) -> Option<Salvage> {
        let lines = self.lines.take();
        if let Some(mark) = self.mark.take() {
            self.restore_codec();
            return Some(Salvage::Since(mark));
        }
        // What cannot be read again is put back as it is.
        let lines = lines?;
        let latin1 = self.search.feeder.state.settings().native == Some(NativeCodec::Latin1);
        // Without the memory for it, what was read is lost, as with a synchronous file.
        let content: Result<_, TryReserveError> = Python::attach(|py| {
            let mut content = Vec::new();
            for line in lines.bind(py).iter() {
                let Ok(line) = line.cast_into::<PyString>() else { continue };
                // SAFETY: the string is only read.
                match unsafe { line.data() } {
                    Ok(PyStringData::Ucs1(characters)) if latin1 => extend(&mut content, characters)?,
                    _ => extend(&mut content, &codec::utf8(&line).map_or(Vec::new(), |(bytes, _)| bytes))?,
                }
            }
            extend(&mut content, self.batch.take().as_ref().map_or(&[], |batch| batch.rest()))?;
            Ok(content)
        });
        content.ok().map(Salvage::Text)
    }
}
