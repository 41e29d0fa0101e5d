//! What text files do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::exceptions::{PyOSError, PyTypeError, PyUnicodeDecodeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::string::PyStringData;
use pyo3::types::{PyBytes, PyInt, PyList, PyString};
use rapfiles_core::{
    Codec as NativeCodec, Data, Fetched, Guard, LineBatch, LineEnds, Newline, Outcome, Position, Salvage,
    Task, Written,
};

use super::binary::{check_open, check_written, exception, number, stop};
use super::codec::{self, Codec, Snapshot};
use super::cookie::{self, Cookie};
use super::lines::{BETWEEN_LOOKS, SLICE};
use super::open_file::OpenFile;
use super::strings::{laid_out, string};
use super::work::{Request, Step, lock};
use crate::arguments::text_source;
use crate::errors::unsupported;

pub(crate) const CLOSED: &str = "I/O operation on closed file.";
/// Decoded text that is longer is made a string by a worker.
const LONG: usize = 256 << 10;
/// A request for more characters is left to a worker.
const MANY: usize = 32 << 10;
/// Characters, or bytes, that go through Python's codecs at once.
const CODEC_SLICE: usize = 64 << 10;

/// How a text file treats its text.
pub(crate) struct Settings {
    pub(crate) native: Option<NativeCodec>,
    pub(crate) encoding: String,
    pub(crate) errors: String,
    /// As it was given to `open()`.
    pub(crate) newline: Option<&'static str>,
    pub(crate) line_buffering: bool,
    pub(crate) write_through: bool,
    /// Whether long text may go through the encoder in slices.
    pub(crate) sliced: bool,
}

impl Settings {
    /// What ends a line when reading.
    pub(crate) fn line_ends(&self) -> LineEnds {
        match self.newline {
            None => LineEnds::Universal { translate: true },
            Some("") => LineEnds::Universal { translate: false },
            Some(newline) => LineEnds::Fixed(newline.as_bytes()),
        }
    }

    /// What is written for a line feed, where that is something else.
    fn written_newline(&self) -> Option<&'static str> {
        match self.newline {
            None if cfg!(windows) => Some("\r\n"),
            Some(newline @ ("\r" | "\r\n")) => Some(newline),
            _ => None,
        }
    }

    fn native_newline(&self) -> Newline {
        match self.written_newline() {
            Some("\r") => Newline::CarriageReturn,
            Some(_) => Newline::CarriageReturnLineFeed,
            None => Newline::Untouched,
        }
    }
}

/// What a text file has beside its handle.
pub(crate) struct TextState {
    settings: Mutex<Settings>,
    codec: Mutex<Codec>,
}

impl TextState {
    pub(crate) fn new(settings: Settings, codec: Codec) -> Arc<Self> {
        Arc::new(Self { settings: Mutex::new(settings), codec: Mutex::new(codec) })
    }

    /// Held only while no Python code runs.
    pub(crate) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held only while no Python code runs.
    pub(crate) fn codec(&self) -> MutexGuard<'_, Codec> {
        self.codec.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decoder<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.codec().decoder.as_ref().map(|decoder| decoder.bind(py).clone())
    }

    fn encoder<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.codec().encoder.as_ref().map(|encoder| encoder.bind(py).clone())
    }

    /// What the native decoder says of bytes that it does not decode: the error of Python's codec.
    fn decode_error(&self, py: Python<'_>, bytes: &[u8]) -> PyErr {
        let (encoding, errors) = {
            let settings = self.settings();
            (settings.encoding.clone(), settings.errors.clone())
        };
        let decoded =
            PyBytes::new(py, bytes).call_method1(intern!(py, "decode"), (native_name(&encoding), errors));
        match decoded {
            Err(error) => error,
            Ok(_) => PyUnicodeDecodeError::new_err("the engine and Python's codec do not agree"),
        }
    }
}

/// By its usual name a codec is found without a search.
fn native_name(encoding: &str) -> &str {
    if encoding.eq_ignore_ascii_case("utf-8") { "utf-8" } else { encoding }
}

fn check_readable(py: Python<'_>, file: &OpenFile, guard: &Guard<'_>) -> PyResult<()> {
    check_open(guard, CLOSED)?;
    if file.readable { Ok(()) } else { Err(unsupported(py, "not readable")) }
}

/// Decodes chunk by chunk.
struct Feeder {
    state: Arc<TextState>,
    /// Bytes for Python's codec, and whether they are the last.
    input: Option<(Vec<u8>, bool)>,
    undecodable: Option<Vec<u8>>,
    /// The file has ended, and the decoder knows.
    ended: bool,
    /// What Python's codec was like then.
    at_the_end: Option<Snapshot>,
    /// Everything is asked for, at once.
    whole: bool,
}

enum More {
    Decoded,
    End,
    Step(Step),
}

impl Feeder {
    fn new(state: &Arc<TextState>) -> Self {
        Self {
            state: Arc::clone(state),
            input: None,
            undecodable: None,
            ended: false,
            at_the_end: None,
            whole: false,
        }
    }

    /// Decodes the next chunk, on the way to so many characters. `filled`: a worker has got all that there is.
    fn more(&mut self, file: &OpenFile, guard: &mut Guard<'_>, characters: usize, filled: bool) -> More {
        if std::mem::take(&mut self.ended) {
            return More::End;
        }
        let Some((wanted, native)) = guard.decoder().map(|d| (d.next_input(characters), d.is_native()))
        else {
            return More::End;
        };
        if !filled {
            let at_least = if file.handle.facts.regular { wanted } else { 1 };
            if guard.fetch(at_least) == Fetched::Missing {
                return More::Step(Step::Task(Task::Fill { at_least, once: false }));
            }
        }
        let count = guard.available().len().min(wanted);
        let end = count == 0;
        if !native {
            self.input = Some((guard.available()[..count].to_vec(), end));
            guard.consume(count);
            return More::Step(Step::Unlock);
        }
        let before = guard.decoder().map(|decoder| decoder.len());
        if let Err(undecodable) = guard.decode(count, end) {
            self.undecodable = Some(undecodable.0);
            self.forget(guard);
            return More::Step(Step::Unlock);
        }
        // At the end, a pending carriage return may still come.
        if end && guard.decoder().map(|decoder| decoder.len()) == before { More::End } else { More::Decoded }
    }

    /// As with a synchronous file, what was decoded on the way to an error is lost, unless everything was asked for.
    fn forget(&self, guard: &mut Guard<'_>) {
        if !self.whole
            && let Some(decoder) = guard.decoder()
        {
            decoder.clear();
        }
    }

    /// What a worker found to be undecodable.
    fn note(&mut self, guard: &mut Guard<'_>, outcome: &mut Option<Outcome>) -> Option<Step> {
        match outcome.take() {
            Some(Outcome::Undecodable(bytes)) => {
                self.undecodable = Some(bytes);
                self.forget(guard);
                Some(Step::Unlock)
            }
            other => {
                *outcome = other;
                None
            }
        }
    }

    fn unlocked(&mut self, py: Python<'_>, file: &OpenFile) -> PyResult<()> {
        if let Some(bytes) = self.undecodable.take() {
            return Err(self.state.decode_error(py, &bytes));
        }
        let Some((input, end)) = self.input.take() else { return Ok(()) };
        let Some(decoder) = self.state.decoder(py) else { return Ok(()) };
        let (text, snapshot) = match codec::decode(&decoder, &input, end) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.forget(&mut lock(&file.handle)?);
                return Err(error);
            }
        };
        let (bytes, characters) = codec::utf8(&text)?;
        let mut guard = lock(&file.handle)?;
        let Some(native) = guard.decoder() else { return Ok(()) };
        let mut codec = self.state.codec();
        self.ended = end && characters == 0;
        match &mut codec.snapshot {
            _ if self.ended && !native.is_empty() => self.at_the_end = Some(snapshot),
            // The chunk goes on behind what is left of the one before.
            Some(before) if !native.is_empty() => before.input.extend_from_slice(&input),
            place => *place = Some(snapshot),
        }
        native.add(&bytes, characters, input.len());
        Ok(())
    }
}

fn is_filled(outcome: &Option<Outcome>) -> bool {
    matches!(outcome, Some(Outcome::Flag(false) | Outcome::WouldBlock))
}

/// Takes the first bytes of what is decoded as a string.
fn take(py: Python<'_>, guard: &mut Guard<'_>, bytes: usize) -> PyResult<Step> {
    let Some(decoder) = guard.decoder() else { return Ok(Step::Done(py.None())) };
    if bytes > LONG && decoder.is_native() {
        return Ok(Step::Text(decoder.take_text(bytes)));
    }
    let (content, form) = decoder.peek(bytes);
    let text = string(py, content, form)?.into_any().unbind();
    decoder.consume(bytes);
    Ok(Step::Done(text))
}

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
            self.feeder.state.codec().snapshot = None;
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
        mut outcome: Option<Outcome>,
    ) -> PyResult<Found> {
        check_readable(py, file, guard)?;
        if let Some(step) = check_written(py, guard)? {
            return Ok(Found::Step(step));
        }
        if let Some(step) = self.feeder.note(guard, &mut outcome) {
            return Ok(Found::Step(step));
        }
        // A worker that looked for a line has found one, or the end of the file.
        let searched = matches!(outcome, Some(Outcome::Done));
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
            match self.feeder.more(file, guard, 0, std::mem::take(&mut filled)) {
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
        outcome: Option<Outcome>,
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

    fn unlocked(&mut self, py: Python<'_>, file: &OpenFile) -> PyResult<()> {
        self.search.feeder.unlocked(py, file)
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
}

/// From a file of this size on, a worker finds the lines.
const WORTH_A_WORKER: u64 = 1 << 20;

impl ReadLines {
    pub(crate) fn new(state: &Arc<TextState>, hint: Option<usize>) -> Self {
        Self { hint, lines: None, size: 0, search: Search::new(state), batch: None }
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
        mut outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        let list = self.lines.get_or_insert_with(|| PyList::empty(py).unbind()).clone_ref(py);
        let lines = list.bind(py);
        if let Some(Outcome::Lines(batch)) = outcome {
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

    fn unlocked(&mut self, py: Python<'_>, file: &OpenFile) -> PyResult<()> {
        self.search.feeder.unlocked(py, file)
    }

    fn meanwhile(&mut self, py: Python<'_>) -> PyResult<()> {
        self.make_lines(py)
    }

    fn give_up(&mut self, guard: &mut Guard<'_>, outcome: Outcome) {
        if let Outcome::Lines(batch) = outcome {
            guard.restore(Salvage::Text(batch.rest().to_vec()));
        }
    }

    fn salvage(&mut self) -> Option<Salvage> {
        let lines = self.lines.take()?;
        let latin1 = self.search.feeder.state.settings().native == Some(NativeCodec::Latin1);
        let mut content = Python::attach(|py| {
            let mut content = Vec::new();
            for line in lines.bind(py).iter() {
                let Ok(line) = line.cast_into::<PyString>() else { continue };
                // SAFETY: the string is only read.
                match unsafe { line.data() } {
                    Ok(PyStringData::Ucs1(characters)) if latin1 => content.extend_from_slice(characters),
                    _ => content.extend(codec::utf8(&line).map(|(bytes, _)| bytes).unwrap_or_default()),
                }
            }
            content
        });
        content.extend_from_slice(self.batch.take().as_ref().map_or(&[], |batch| batch.rest()));
        Some(Salvage::Text(content))
    }
}

/// Reads so many characters.
pub(crate) struct Read {
    characters: usize,
    feeder: Feeder,
}

impl Read {
    pub(crate) fn new(state: &Arc<TextState>, characters: usize) -> Self {
        Self { characters, feeder: Feeder::new(state) }
    }
}

impl Request for Read {
    fn name(&self) -> &'static str {
        "read"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        mut outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        check_readable(py, file, guard)?;
        if let Some(step) = check_written(py, guard)? {
            return Ok(step);
        }
        if let Some(step) = self.feeder.note(guard, &mut outcome) {
            return Ok(step);
        }
        let mut filled = is_filled(&outcome);
        if let Some(Outcome::Text(text)) = outcome {
            return Ok(Step::Text(text));
        }
        loop {
            let Some(decoder) = guard.decoder() else { return Ok(Step::Done(py.None())) };
            let missing = self.characters.saturating_sub(decoder.characters());
            if missing == 0 {
                let bytes = decoder.bytes_of(self.characters);
                return take(py, guard, bytes);
            }
            if missing > MANY && decoder.is_native() {
                return Ok(Step::Task(Task::ReadText { characters: Some(self.characters) }));
            }
            match self.feeder.more(file, guard, missing, std::mem::take(&mut filled)) {
                More::Decoded => {}
                More::End => {
                    let bytes = guard.decoder().map_or(0, |decoder| decoder.len());
                    let rest = take(py, guard, bytes)?;
                    if let Some(decoder) = guard.decoder() {
                        decoder.exhaust();
                    }
                    if let Some(snapshot) = self.feeder.at_the_end.take() {
                        self.feeder.state.codec().snapshot = Some(snapshot);
                    }
                    return Ok(rest);
                }
                More::Step(step) => return Ok(step),
            }
        }
    }

    fn unlocked(&mut self, py: Python<'_>, file: &OpenFile) -> PyResult<()> {
        self.feeder.unlocked(py, file)
    }

    fn give_up(&mut self, guard: &mut Guard<'_>, outcome: Outcome) {
        if let Outcome::Text(text) = outcome {
            guard.put_text_back(text);
        }
    }
}

/// Reads everything.
pub(crate) struct ReadAll {
    feeder: Feeder,
    /// What Python's codec has decoded, and of what.
    parts: Vec<Py<PyString>>,
    content: Vec<u8>,
    decoded: usize,
    complete: bool,
    begun: Option<Py<PyAny>>,
    result: Option<Py<PyString>>,
}

impl ReadAll {
    pub(crate) fn new(state: &Arc<TextState>) -> Self {
        Self {
            feeder: Feeder { whole: true, ..Feeder::new(state) },
            parts: Vec::new(),
            content: Vec::new(),
            decoded: 0,
            complete: false,
            begun: None,
            result: None,
        }
    }

    /// Collects the rest of the file for Python's codec.
    fn collect(&mut self, guard: &mut Guard<'_>, filled: bool) -> Step {
        let ended = filled || guard.fetch(CODEC_SLICE) == Fetched::End;
        let available = guard.available().len();
        if available < CODEC_SLICE && !ended {
            return Step::Task(Task::Fill { at_least: CODEC_SLICE, once: false });
        }
        self.content.extend_from_slice(guard.available());
        guard.consume(available);
        self.complete = ended;
        if ended { Step::Unlock } else { Step::Yield }
    }

    /// Decodes the next slice; the first and only one where there is little.
    fn decode(&mut self, py: Python<'_>) -> PyResult<bool> {
        let Some(decoder) = self.feeder.state.decoder(py) else { return Ok(true) };
        if self.begun.is_none() {
            self.begun = Some(decoder.call_method0(intern!(py, "getstate"))?.unbind());
        }
        let to = (self.decoded + CODEC_SLICE).min(self.content.len());
        let last = to == self.content.len();
        let part = PyBytes::new(py, &self.content[self.decoded..to]);
        let text = match decoder.call_method1(intern!(py, "decode"), (part, last)) {
            Ok(text) => text,
            Err(error) if self.content.len() <= CODEC_SLICE => return Err(error),
            Err(error) => {
                // The error is to be about everything, as if it had been decoded in one go.
                decoder.call_method1(intern!(py, "setstate"), (self.begun.take(),))?;
                let whole = PyBytes::new(py, &self.content);
                return Err(decoder
                    .call_method1(intern!(py, "decode"), (whole, true))
                    .err()
                    .unwrap_or(error));
            }
        };
        self.parts.push(text.cast_into::<PyString>()?.unbind());
        self.decoded = to;
        Ok(last)
    }
}

impl Request for ReadAll {
    fn name(&self) -> &'static str {
        "read"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        mut outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        check_readable(py, file, guard)?;
        if let Some(result) = self.result.take() {
            return Ok(Step::Done(result.into_any()));
        }
        if self.complete {
            return Ok(Step::Unlock);
        }
        if let Some(step) = check_written(py, guard)? {
            return Ok(step);
        }
        if let Some(step) = self.feeder.note(guard, &mut outcome) {
            return Ok(step);
        }
        let Some(decoder) = guard.decoder() else { return Ok(Step::Done(py.None())) };
        if !decoder.is_native() {
            return Ok(self.collect(guard, is_filled(&outcome)));
        }
        if let Some(Outcome::Text(text)) = outcome {
            return Ok(Step::Text(text));
        }
        if guard.fetch(MANY) == Fetched::End
            && let Some(decoded) = guard.decode_rest()
        {
            return Ok(match decoded {
                Ok(text) => Step::Text(text),
                Err(undecodable) => {
                    self.feeder.undecodable = Some(undecodable.0);
                    Step::Unlock
                }
            });
        }
        Ok(Step::Task(Task::ReadText { characters: None }))
    }

    fn unlocked(&mut self, py: Python<'_>, file: &OpenFile) -> PyResult<()> {
        if !self.complete {
            return self.feeder.unlocked(py, file);
        }
        let until = Instant::now() + SLICE;
        loop {
            if self.decode(py)? {
                break;
            }
            if Instant::now() > until {
                return Ok(());
            }
        }
        // What was decoded before comes first, and nothing is left.
        let mut guard = lock(&file.handle)?;
        let before = match guard.decoder() {
            Some(decoder) => {
                let (content, form) = decoder.peek(decoder.len());
                let before = string(py, content, form)?.unbind();
                decoder.clear();
                before
            }
            None => PyString::new(py, "").unbind(),
        };
        drop(guard);
        self.feeder.state.codec().snapshot = None;
        let parts = PyList::new(py, std::iter::once(before).chain(self.parts.drain(..)))?;
        let whole = intern!(py, "").call_method1(intern!(py, "join"), (parts,))?;
        self.result = Some(whole.cast_into::<PyString>()?.unbind());
        Ok(())
    }

    fn give_up(&mut self, guard: &mut Guard<'_>, outcome: Outcome) {
        if let Outcome::Text(text) = outcome {
            guard.put_text_back(text);
        }
    }

    fn salvage(&mut self) -> Option<Salvage> {
        // The codec goes back to where it was before.
        if let Some(begun) = self.begun.take() {
            Python::attach(|py| {
                let decoder = self.feeder.state.decoder(py)?;
                decoder.call_method1(intern!(py, "setstate"), (begun,)).ok().map(drop)
            });
        }
        Some(Salvage::Bytes(std::mem::take(&mut self.content)))
    }
}

/// Writes text.
pub(crate) struct Write {
    state: Arc<TextState>,
    text: Py<PyString>,
    /// The encoded text, so far, and of how many characters.
    encoded: Vec<u8>,
    encoded_characters: usize,
    complete: bool,
    accepted: bool,
    flush: bool,
}

impl Write {
    pub(crate) fn new(state: &Arc<TextState>, text: &Bound<'_, PyAny>) -> PyResult<Self> {
        let text = text.cast::<PyString>().map_err(|_| {
            let kind = text.get_type().name().map_or_else(|_| String::new(), |name| name.to_string());
            PyTypeError::new_err(format!("write() argument must be str, not {kind}"))
        })?;
        Ok(Self {
            state: Arc::clone(state),
            text: text.clone().unbind(),
            encoded: Vec::new(),
            encoded_characters: 0,
            complete: false,
            accepted: false,
            flush: false,
        })
    }

    /// The characters, where they are their own encoding.
    fn plain<'a>(&self, text: &'a Bound<'_, PyString>, settings: &Settings) -> Option<&'a [u8]> {
        // SAFETY: the characters are only read, and strings do not change.
        let Ok(PyStringData::Ucs1(characters)) = (unsafe { text.data() }) else { return None };
        let native = settings.native?;
        let its_own = native == NativeCodec::Latin1 || characters.is_ascii();
        let translated = settings.written_newline().is_some() && memchr::memchr(b'\n', characters).is_some();
        (its_own && !translated).then_some(characters)
    }

    /// Encodes the next characters.
    fn encode(&mut self, py: Python<'_>) -> PyResult<()> {
        let text = self.text.bind(py).clone();
        let characters = text.len()?;
        let (native, newline, written, encoding, errors, sliced) = {
            let settings = self.state.settings();
            (
                settings.native,
                settings.native_newline(),
                settings.written_newline(),
                settings.encoding.clone(),
                settings.errors.clone(),
                settings.sliced,
            )
        };
        let until = Instant::now() + SLICE;
        while !self.complete {
            let from = self.encoded_characters;
            let slice = if native.is_some() || sliced { CODEC_SLICE } else { usize::MAX };
            let to = characters.min(from.saturating_add(slice));
            let whole = from == 0 && to == characters;
            let part = if whole { text.clone() } else { substring(&text, from, to)? };
            let translated = || match written {
                Some(written) => part.call_method1(intern!(py, "replace"), ("\n", written)),
                None => Ok(part.clone().into_any()),
            };
            // The error is to be about the whole text, as if it had been encoded in one go.
            let refused = || -> PyResult<PyErr> {
                let whole = match written {
                    Some(written) => text.call_method1(intern!(py, "replace"), ("\n", written))?,
                    None => text.clone().into_any(),
                };
                let encoded = whole.call_method1(intern!(py, "encode"), (native_name(&encoding), &errors));
                Ok(encoded.err().unwrap_or_else(|| PyValueError::new_err("the text cannot be encoded")))
            };
            match native {
                Some(native) => match text_source(&part)?.encode_owned(native, newline) {
                    Some(bytes) if whole => self.encoded = bytes,
                    Some(bytes) => self.encoded.extend_from_slice(&bytes),
                    None => return Err(refused()?),
                },
                None => {
                    let Some(encoder) = self.state.encoder(py) else { return Ok(()) };
                    match encoder.call_method1(intern!(py, "encode"), (translated()?,)) {
                        Ok(bytes) => self.encoded.extend_from_slice(bytes.cast::<PyBytes>()?.as_bytes()),
                        Err(error) if whole => return Err(error),
                        Err(_) => return Err(refused()?),
                    }
                }
            }
            self.encoded_characters = to;
            self.complete = to == characters;
            if Instant::now() > until {
                break;
            }
        }
        if self.complete
            && let Some(decoder) = self.state.decoder(py)
        {
            decoder.call_method0(intern!(py, "reset"))?;
            self.state.codec().snapshot = None;
        }
        Ok(())
    }

    fn done(&self, py: Python<'_>) -> PyResult<Step> {
        Ok(number(py, self.text.bind(py).len()? as u64))
    }
}

impl Request for Write {
    fn name(&self) -> &'static str {
        "write"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        _outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        check_open(guard, CLOSED)?;
        if !file.writable {
            return Err(unsupported(py, "not writable"));
        }
        if self.accepted {
            if let Some(step) = check_written(py, guard)? {
                return Ok(step);
            }
            return self.done(py);
        }
        if let Some(error) = guard.take_error() {
            return Err(exception(py, error));
        }
        let text = self.text.bind(py).clone();
        if !self.complete {
            let settings = self.state.settings();
            let Some(plain) = self.plain(&text, &settings) else {
                drop(settings);
                let begun = self.encoded_characters > 0;
                // One slice after the other, with turns for other tasks between them.
                return Ok(if begun && !self.yielded() { Step::Yield } else { Step::Unlock });
            };
            let ends_line = || memchr::memchr2(b'\n', b'\r', plain).is_some();
            self.flush = settings.line_buffering && ends_line();
            drop(settings);
            let length = plain.len();
            self.accepted = if length > LONG {
                // SAFETY: a string never changes, and the reference keeps it alive.
                let data = unsafe { Data::shared(plain.as_ptr(), length, Box::new(text.clone().unbind())) };
                guard.write_shared(data).is_ok()
            } else {
                guard.write(plain) == Written::Accepted
            };
            if !self.accepted {
                return Ok(Step::AwaitRoom(length));
            }
        } else {
            let length = self.encoded.len();
            let encoded = std::mem::take(&mut self.encoded);
            let refused = if length > LONG {
                guard.write_shared(Data::Owned(encoded)).err()
            } else if guard.write(&encoded) == Written::Full {
                Some(Data::Owned(encoded))
            } else {
                None
            };
            if let Some(Data::Owned(encoded)) = refused {
                self.encoded = encoded;
                return Ok(Step::AwaitRoom(length));
            }
            self.accepted = true;
            self.flush = self.state.settings().line_buffering && has_line_end(&text);
        }
        // What was read before is no place to go on from.
        if let Some(decoder) = guard.decoder() {
            decoder.restart();
        }
        if self.flush
            && let Some(step) = check_written(py, guard)?
        {
            return Ok(step);
        }
        self.done(py)
    }

    fn unlocked(&mut self, py: Python<'_>, _file: &OpenFile) -> PyResult<()> {
        self.encode(py)
    }
}

impl Write {
    /// Whether other tasks have had a turn since the last slice. Every other time they have.
    fn yielded(&mut self) -> bool {
        self.flush = !self.flush;
        !self.flush
    }
}

fn has_line_end(text: &Bound<'_, PyString>) -> bool {
    // SAFETY: the characters are only read.
    match unsafe { text.data() } {
        Ok(PyStringData::Ucs1(characters)) => memchr::memchr2(b'\n', b'\r', characters).is_some(),
        Ok(PyStringData::Ucs2(characters)) => characters.iter().any(|code| matches!(code, 10 | 13)),
        Ok(PyStringData::Ucs4(characters)) => characters.iter().any(|code| matches!(code, 10 | 13)),
        Err(_) => true,
    }
}

fn substring<'py>(text: &Bound<'py, PyString>, from: usize, to: usize) -> PyResult<Bound<'py, PyString>> {
    let py = text.py();
    let slice = pyo3::types::PySlice::new(py, from as isize, to as isize, 1);
    Ok(text.as_any().get_item(slice)?.cast_into()?)
}

/// Tells where the user is.
pub(crate) struct Tell {
    state: Arc<TextState>,
    /// What the place has to be found by.
    place: Option<Place>,
    cookie: Option<Py<PyAny>>,
}

struct Place {
    position: u64,
    flags: Py<PyAny>,
    input: Vec<u8>,
    used: usize,
    ratio: f64,
}

impl Tell {
    pub(crate) fn new(state: &Arc<TextState>) -> Self {
        Self { state: Arc::clone(state), place: None, cookie: None }
    }

    fn tell(&mut self, py: Python<'_>, guard: &mut Guard<'_>, position: u64) -> PyResult<Step> {
        let Some(decoder) = guard.decoder() else { return Ok(number(py, position)) };
        if !decoder.is_native() {
            let codec = self.state.codec();
            let Some(Snapshot { flags, input }) = &codec.snapshot else { return Ok(number(py, position)) };
            self.place = Some(Place {
                position: position.saturating_sub(input.len() as u64),
                flags: flags.clone_ref(py),
                input: input.clone(),
                used: decoder.used_characters(),
                ratio: decoder.ratio(),
            });
            return Ok(Step::Unlock);
        }
        match decoder.position() {
            Position::Before(bytes) => Ok(number(py, position.saturating_sub(bytes as u64))),
            Position::Decode { input, pending, used, ratio } => {
                self.place = Some(Place {
                    position: position.saturating_sub(input.len() as u64),
                    flags: PyInt::new(py, u8::from(pending)).into_any().unbind(),
                    input: input.to_vec(),
                    used,
                    ratio,
                });
                Ok(Step::Unlock)
            }
        }
    }
}

impl Request for Tell {
    fn name(&self) -> &'static str {
        "tell"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        if let Some(cookie) = self.cookie.take() {
            return Ok(Step::Done(cookie));
        }
        check_open(guard, CLOSED)?;
        if !file.handle.facts.seekable {
            return Err(unsupported(py, "underlying stream is not seekable"));
        }
        if let Some(step) = check_written(py, guard)? {
            return Ok(step);
        }
        if let Some(Outcome::Count(position)) = outcome {
            return self.tell(py, guard, position);
        }
        match guard.position() {
            Some(position) => {
                let position = position.map_err(|error| exception(py, error))?;
                self.tell(py, guard, position)
            }
            None => Ok(Step::Task(Task::Position)),
        }
    }

    fn unlocked(&mut self, py: Python<'_>, _file: &OpenFile) -> PyResult<()> {
        let Some(place) = self.place.take() else { return Ok(()) };
        let decoder = match self.state.decoder(py) {
            Some(decoder) => decoder,
            None => {
                let (encoding, newline) = {
                    let settings = self.state.settings();
                    (settings.encoding.clone(), settings.newline)
                };
                let cookies = py.import(intern!(py, "rapfiles._cookie"))?;
                cookies.call_method1(intern!(py, "new_decoder"), (encoding, newline))?
            }
        };
        let flags = place.flags.bind(py);
        self.cookie =
            Some(cookie::find(&decoder, place.position, flags, &place.input, place.used, place.ratio)?);
        Ok(())
    }
}

/// Moves to where a cookie says.
pub(crate) struct Seek {
    state: Arc<TextState>,
    cookie: Py<PyAny>,
    whence: i32,
    stage: Stage,
}

enum Stage {
    Begin,
    /// Finding out where it is.
    Telling(Box<Tell>),
    /// A new place is known: position, decoder flags, bytes to feed, whether they end the file, characters to skip.
    Moving(Target),
    /// The file is there, the codec is not.
    Moved(Target, u64),
    /// The decoder is to be fed.
    Feeding(Target),
    /// The decoder has been fed.
    Skipping(usize),
    Over,
}

struct Target {
    offset: i64,
    from_end: bool,
    flags: Py<PyAny>,
    feed: usize,
    end: bool,
    skip: usize,
    input: Option<Vec<u8>>,
}

impl Seek {
    pub(crate) fn new(state: &Arc<TextState>, cookie: Py<PyAny>, whence: i32) -> Self {
        Self { state: Arc::clone(state), cookie, whence, stage: Stage::Begin }
    }

    fn check(&self, py: Python<'_>, file: &OpenFile, guard: &Guard<'_>) -> PyResult<()> {
        check_open(guard, CLOSED)?;
        if file.handle.facts.seekable {
            return Ok(());
        }
        Err(unsupported(py, "underlying stream is not seekable"))
    }

    /// Looks at what was asked for.
    fn parse(&mut self, py: Python<'_>) -> PyResult<()> {
        let cookie = self.cookie.bind(py);
        let target = |offset: i64, from_end: bool| Target {
            offset,
            from_end,
            flags: PyInt::new(py, 0).into_any().unbind(),
            feed: 0,
            end: false,
            skip: 0,
            input: None,
        };
        let zero = cookie.eq(0)?;
        self.stage = match self.whence {
            1 if !zero => return Err(unsupported(py, "can't do nonzero cur-relative seeks")),
            1 => Stage::Telling(Box::new(Tell::new(&self.state))),
            2 if !zero => return Err(unsupported(py, "can't do nonzero end-relative seeks")),
            2 => Stage::Moving(target(0, true)),
            0 if cookie.lt(0)? => {
                return Err(PyValueError::new_err(format!("negative seek position {}", cookie.repr()?)));
            }
            0 => match cookie.extract::<i64>() {
                Ok(offset) => Stage::Moving(target(offset, false)),
                Err(_) => {
                    let Cookie(offset, flags, feed, end, skip) = Cookie::parse(cookie.cast::<PyInt>()?)?;
                    let flags = flags.unbind();
                    Stage::Moving(Target { flags, feed, end, skip, ..target(offset, false) })
                }
            },
            whence => {
                return Err(PyValueError::new_err(format!("invalid whence ({whence}, should be 0, 1 or 2)")));
            }
        };
        Ok(())
    }

    /// Sets the codecs up for the new place.
    fn set_up(&self, py: Python<'_>, file: &OpenFile, target: &Target, position: u64) -> PyResult<()> {
        let flags = target.flags.bind(py);
        let begin = position == 0 && flags.eq(0)?;
        if let Some(decoder) = self.state.decoder(py) {
            if begin || target.from_end {
                decoder.call_method0(intern!(py, "reset"))?;
            } else {
                decoder.call_method1(intern!(py, "setstate"), ((PyBytes::new(py, b""), flags),))?;
            }
            let snapshot = Snapshot { flags: target.flags.clone_ref(py), input: Vec::new() };
            self.state.codec().snapshot = if target.from_end { None } else { Some(snapshot) };
        }
        if let Some(encoder) = self.state.encoder(py) {
            if begin {
                encoder.call_method0(intern!(py, "reset"))?;
            } else {
                encoder.call_method1(intern!(py, "setstate"), (0,))?;
            }
        }
        let pending = flags.extract::<u64>().is_ok_and(|flags| flags & 1 == 1);
        if let Some(decoder) = lock(&file.handle)?.decoder() {
            if begin || target.from_end {
                decoder.restart();
            } else {
                decoder.reset(pending && decoder.is_native());
            }
        }
        Ok(())
    }

    fn feed(&self, py: Python<'_>, file: &OpenFile, input: &[u8], end: bool) -> PyResult<()> {
        let mut feeder = Feeder::new(&self.state);
        if self.state.decoder(py).is_some() {
            feeder.input = Some((input.to_vec(), end));
            return feeder.unlocked(py, file);
        }
        let mut guard = lock(&file.handle)?;
        let decoded = guard.decoder().map(|decoder| decoder.decode(input, end));
        drop(guard);
        match decoded {
            Some(Err(undecodable)) => Err(self.state.decode_error(py, &undecodable.0)),
            _ => Ok(()),
        }
    }
}

impl Request for Seek {
    fn name(&self) -> &'static str {
        "seek"
    }

    fn advance(
        &mut self,
        py: Python<'_>,
        file: &OpenFile,
        guard: &mut Guard<'_>,
        outcome: Option<Outcome>,
    ) -> PyResult<Step> {
        self.check(py, file, guard)?;
        if let Some(step) = check_written(py, guard)? {
            return Ok(step);
        }
        match &mut self.stage {
            Stage::Begin => Ok(Step::Unlock),
            Stage::Telling(tell) => match tell.advance(py, file, guard, outcome)? {
                Step::Done(cookie) => {
                    (self.cookie, self.whence, self.stage) = (cookie, 0, Stage::Begin);
                    Ok(Step::Unlock)
                }
                step => Ok(step),
            },
            Stage::Moving(target) => {
                let whence = if target.from_end { 2 } else { 0 };
                let position = match outcome {
                    Some(Outcome::Count(position)) => position,
                    _ => match guard.seek(target.offset, whence) {
                        Some(position) => position.map_err(|error| exception(py, error))?,
                        None => return Ok(Step::Task(Task::Seek { offset: target.offset, whence })),
                    },
                };
                if let Stage::Moving(target) = std::mem::replace(&mut self.stage, Stage::Over) {
                    if target.from_end {
                        self.cookie = PyInt::new(py, position).into_any().unbind();
                    }
                    self.stage = Stage::Moved(target, position);
                }
                Ok(Step::Unlock)
            }
            Stage::Feeding(target) => {
                if outcome.is_none() && guard.fetch(target.feed) == Fetched::Missing {
                    return Ok(Step::Task(Task::Fill { at_least: target.feed, once: false }));
                }
                let count = target.feed.min(guard.available().len());
                target.input = Some(guard.available()[..count].to_vec());
                guard.consume(count);
                Ok(Step::Unlock)
            }
            Stage::Skipping(skip) => {
                if let Some(decoder) = guard.decoder() {
                    if decoder.characters() < *skip {
                        return Err(PyOSError::new_err("can't restore logical file position"));
                    }
                    decoder.consume(decoder.bytes_of(*skip));
                }
                Ok(Step::Done(self.cookie.clone_ref(py)))
            }
            Stage::Moved(..) => Ok(Step::Unlock),
            Stage::Over => Ok(Step::Done(self.cookie.clone_ref(py))),
        }
    }

    fn unlocked(&mut self, py: Python<'_>, file: &OpenFile) -> PyResult<()> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Begin => self.parse(py)?,
            Stage::Telling(mut tell) => {
                tell.unlocked(py, file)?;
                self.stage = Stage::Telling(tell);
            }
            Stage::Moved(target, position) => {
                self.set_up(py, file, &target, position)?;
                if target.skip > 0 {
                    self.stage = Stage::Feeding(target);
                }
            }
            Stage::Feeding(Target { input: Some(input), end, skip, .. }) => {
                self.feed(py, file, &input, end)?;
                self.stage = Stage::Skipping(skip);
            }
            stage => self.stage = stage,
        }
        Ok(())
    }
}
