//! A caller of operations on handles that is not Python: what they make are vectors and strings.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::os::fd::IntoRawFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rapfiles_core::handle::{
    self, Characters, Complaint, Decoded, Driver, Failure, Fallible, FileOperation, ForeignCodec, Handle,
    HandleFile, MadeText, PositionalOperation, Sink, Snapshot, TextTarget, UnmadeText,
};
use rapfiles_core::{
    Adoption, Data, Engine, Form, KeepAlive, Lane, Layout, Metadata, Outcome, PathOperation, Progress,
    Submitted, Text, TextSource, Ticket,
};

/// Memory that operations read into.
pub struct Memory(Box<[u8]>);

impl Memory {
    fn start(this: &Arc<Self>) -> *mut u8 {
        this.0.as_ptr().cast_mut()
    }
}

/// What an operation has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Nothing,
    Number(u64),
    Bytes(Vec<u8>),
    Text(String),
    Lines(Vec<Vec<u8>>),
    Length(u64),
    /// A place in a text: where the decoder is to begin, and how much it is to be given and to skip there.
    Place {
        position: u64,
        pending: bool,
        feed: usize,
        skip: usize,
    },
}

/// Makes vectors and strings.
pub struct Values;

// SAFETY: the memory stays where it is for as long as there are references to it, and has room for one byte more.
unsafe impl Sink for Values {
    const ALONE: bool = false;
    type Context<'a> = ();
    type Error = String;
    type Value = Value;
    type Bytes = Arc<Memory>;
    type Lines = Vec<Vec<u8>>;
    type Source = Source;
    type Target = Target;
    type Text = String;
    type ForeignCodec = Utf16;

    fn must_yield((): ()) -> Fallible<Self, bool> {
        Ok(false)
    }

    fn nothing((): ()) -> Value {
        Value::Nothing
    }

    fn number((): (), number: u64) -> Fallible<Self, Value> {
        Ok(Value::Number(number))
    }

    fn bytes((): (), content: &[u8]) -> Fallible<Self, Value> {
        Ok(Value::Bytes(content.to_vec()))
    }

    fn new_bytes((): (), length: usize) -> Fallible<Self, (Arc<Memory>, *mut u8)> {
        let memory = Arc::new(Memory(vec![0xaa; length + 1].into_boxed_slice()));
        let start = Memory::start(&memory);
        Ok((memory, start))
    }

    unsafe fn finish((): (), bytes: Arc<Memory>, length: usize, tail: &[u8]) -> Fallible<Self, Value> {
        Ok(Value::Bytes([&bytes.0[..length], tail].concat()))
    }

    unsafe fn content((): (), bytes: &Arc<Memory>, length: usize) -> &[u8] {
        &bytes.0[..length]
    }

    fn keep_alive((): (), bytes: &Arc<Memory>) -> KeepAlive {
        KeepAlive::new(Arc::clone(bytes))
    }

    fn metadata((): (), metadata: &Metadata) -> Fallible<Self, Value> {
        Ok(Value::Length(metadata.size))
    }

    fn string((): (), content: &[u8], form: Form) -> Fallible<Self, Value> {
        Ok(Value::Text(text(content, form)))
    }

    fn text((): (), text: Text) -> Result<MadeText<Self>, UnmadeText<Self>> {
        let mut room = vec![0_u32; text.chars() * text.width() / 4 + 1].into_boxed_slice();
        let (chars, width) = (text.chars(), text.width());
        // SAFETY: there is room for so many characters of that width, at an address for such.
        unsafe { text.write_to(room.as_mut_ptr().cast()) };
        let start = room.as_ptr();
        // SAFETY: so many characters have been written there.
        let character = |at: usize| unsafe {
            match width {
                1 => u32::from(start.cast::<u8>().add(at).read()),
                2 => u32::from(start.cast::<u16>().add(at).read()),
                _ => start.add(at).read(),
            }
        };
        let text = (0..chars).map(|at| char::from_u32(character(at)).unwrap()).collect();
        Ok(MadeText::Value(Value::Text(text)))
    }

    fn no_lines((): ()) -> Vec<Vec<u8>> {
        Vec::new()
    }

    fn add_line((): (), lines: &mut Vec<Vec<u8>>, line: &[u8]) -> Fallible<Self, ()> {
        lines.push(line.to_vec());
        Ok(())
    }

    fn add_text_line((): (), lines: &mut Vec<Vec<u8>>, line: &[u8], form: Form) -> Fallible<Self, usize> {
        let line = text(line, form);
        let length = line.chars().count();
        lines.push(line.into_bytes());
        Ok(length)
    }

    fn add_measured_line(
        (): (),
        lines: &mut Vec<Vec<u8>>,
        line: &[u8],
        plain: bool,
        _layout: Layout,
    ) -> Fallible<Self, ()> {
        let form = if plain { Form::Latin1 } else { Form::Utf8 };
        Self::add_text_line((), lines, line, form).map(drop)
    }

    fn lines((): (), lines: Vec<Vec<u8>>) -> Value {
        Value::Lines(lines)
    }

    fn lines_content(lines: Vec<Vec<u8>>) -> Option<Vec<u8>> {
        Some(lines.concat())
    }

    fn text_lines_content(lines: Vec<Vec<u8>>, latin1: bool) -> Option<Vec<u8>> {
        let content = lines.concat();
        if !latin1 {
            return Some(content);
        }
        String::from_utf8(content).unwrap().chars().map(|character| u8::try_from(character).ok()).collect()
    }
}

fn text(content: &[u8], form: Form) -> String {
    match form {
        Form::Latin1 => content.iter().map(|byte| char::from(*byte)).collect(),
        Form::Ascii | Form::Utf8 => String::from_utf8(content.to_vec()).unwrap(),
    }
}

/// Bytes to be written. `constant`: they never change.
#[derive(Debug)]
pub struct Source {
    pub content: Arc<Vec<u8>>,
    pub constant: bool,
}

impl handle::Source<Values> for Source {
    fn with<T>(&self, (): (), work: impl FnOnce(&[u8]) -> T) -> Fallible<Values, T> {
        Ok(work(&self.content))
    }

    fn is_constant(&self) -> bool {
        self.constant
    }

    fn shared(&self, (): ()) -> Fallible<Values, Data> {
        let keep_alive = KeepAlive::new(Arc::clone(&self.content));
        // SAFETY: the reference keeps the bytes where they are, and nobody changes them.
        Ok(unsafe { Data::shared(self.content.as_ptr(), self.content.len(), keep_alive) })
    }
}

/// Memory to be read into.
pub struct Target(pub Arc<Memory>);

impl Target {
    pub fn new(length: usize) -> Self {
        Self(Arc::new(Memory(vec![0xaa; length].into_boxed_slice())))
    }

    /// What is there now. Not while a worker is at it.
    pub fn content(&self) -> &[u8] {
        &self.0.0
    }
}

impl handle::Target<Values> for Target {
    fn start(&self) -> *mut u8 {
        Memory::start(&self.0)
    }

    fn length(&self) -> usize {
        self.0.0.len()
    }

    fn keep_alive(&self, (): ()) -> KeepAlive {
        KeepAlive::new(Arc::clone(&self.0))
    }
}

pub type File = HandleFile<Values>;
pub type Answered = Result<Value, Failure<String>>;

/// A file that is opened as it says: read, write, append.
pub fn open(path: &Path, (read, write, append): (bool, bool, bool)) -> File {
    let mut options = std::fs::OpenOptions::new();
    options.read(read).write(write).append(append).create(write || append);
    adopt(options.open(path).unwrap(), read, write || append)
}

/// An open file, with a handle.
pub fn adopt(file: impl IntoRawFd, readable: bool, writable: bool) -> File {
    let engine = Engine::current().share();
    let descriptor = file.into_raw_fd();
    let adoption = Adoption { engine: engine.share(), descriptor, close: true, owned: true, to_end: false };
    let ticket = Ticket::unique();
    let adopted = match engine.submit(PathOperation::Adopt(adoption), Lane::Unknown, &ticket) {
        Submitted::Ready(outcome) => outcome,
        Submitted::Pending => {
            wait(&ticket);
            ticket.take().unwrap()
        }
    };
    match adopted {
        Ok(Outcome::Opened(opened)) => HandleFile::new(Handle::new(*opened, None), readable, writable),
        other => panic!("{other:?}"),
    }
}

/// Waits as a loop would that has nothing else to do.
pub fn wait(ticket: &Ticket) {
    while !ticket.is_done() {
        std::thread::yield_now();
    }
}

/// An operation that nobody has driven yet.
pub fn begin(operation: impl FileOperation<Values> + 'static) -> Driver<Values> {
    Driver::new(Box::new(operation))
}

/// Drives an operation to its end.
pub fn finish(mut driver: Driver<Values>, file: &File) -> Answered {
    loop {
        match driver.advance((), file) {
            Progress::Done(answer) => return answer,
            Progress::Pending(ticket) => wait(&ticket),
            Progress::Yield => {}
        }
    }
}

/// Does an operation.
pub fn run(file: &File, operation: impl FileOperation<Values> + 'static) -> Answered {
    finish(begin(operation), file)
}

/// Does an operation that needs no turn.
pub fn run_beside(file: &File, operation: impl PositionalOperation<Values> + 'static) -> Answered {
    finish(Driver::positional(Box::new(operation)), file)
}

/// Drives an operation for so many steps at most, and gives it up then; what it has come to, if it was quicker.
pub fn cancel_after(
    file: &File,
    steps: usize,
    operation: impl FileOperation<Values> + 'static,
) -> Option<Answered> {
    let mut driver = begin(operation);
    for _ in 0..steps {
        match driver.advance((), file) {
            Progress::Done(answer) => return Some(answer),
            Progress::Pending(ticket) => wait(&ticket),
            Progress::Yield => {}
        }
    }
    match driver.advance((), file) {
        Progress::Done(answer) => Some(answer),
        _ => {
            driver.abandon(file);
            None
        }
    }
}

/// The complaint of an operation that is refused.
pub fn complaint(answer: Answered) -> Complaint {
    match answer {
        Err(Failure::Complaint(complaint)) => complaint,
        other => panic!("{other:?}"),
    }
}

/// The bytes of an answer.
pub fn bytes(answer: Answered) -> Vec<u8> {
    match answer {
        Ok(Value::Bytes(bytes)) => bytes,
        other => panic!("{other:?}"),
    }
}

/// The number of an answer.
pub fn number(answer: Answered) -> u64 {
    match answer {
        Ok(Value::Number(number)) => number,
        other => panic!("{other:?}"),
    }
}

/// Bytes to be written.
pub fn source(content: &[u8], constant: bool) -> Source {
    Source { content: Arc::new(content.to_vec()), constant }
}

/// A folder of this test's own.
pub fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("rapfiles-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A codec of the caller's: UTF-16, the lower byte first.
#[derive(Default)]
pub struct Utf16 {
    /// A byte whose other half is to come.
    pending: Mutex<Vec<u8>>,
}

impl Utf16 {
    fn pending(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.pending.lock().unwrap()
    }

    fn take(&self, input: &[u8], end: bool) -> Result<String, Failure<String>> {
        let mut pending = self.pending();
        let whole = [&pending[..], input].concat();
        let (units, rest) = whole.as_chunks::<2>();
        if end && !rest.is_empty() {
            return Err(Failure::Caller("half a character".to_owned()));
        }
        let text =
            String::from_utf16(&units.iter().map(|unit| u16::from_le_bytes(*unit)).collect::<Vec<_>>());
        *pending = rest.to_vec();
        text.map_err(|error| Failure::Caller(error.to_string()))
    }
}

/// What a decoder was like, and what it has decoded since.
pub struct Saved(Vec<u8>, String);

impl ForeignCodec<Values> for Utf16 {
    type State = bool;
    type Saved = Saved;

    fn decode(&self, (): (), input: &[u8], end: bool) -> Fallible<Values, Decoded<Values>> {
        let input_since = [&self.pending()[..], input].concat();
        let content = self.take(input, end)?;
        let characters = content.chars().count();
        let snapshot = Snapshot::new(false, input_since);
        Ok(Decoded { content: content.into_bytes(), characters, snapshot })
    }

    fn undecodable(&self, (): (), bytes: &[u8]) -> Failure<String> {
        Failure::Caller(format!("undecodable: {bytes:?}"))
    }

    fn save(&self, (): ()) -> Fallible<Values, Saved> {
        Ok(Saved(self.pending().clone(), String::new()))
    }

    fn restore(&self, saved: Saved) {
        *self.pending() = saved.0;
    }

    fn decode_part(
        &self,
        (): (),
        saved: &mut Saved,
        content: &[u8],
        part: std::ops::Range<usize>,
    ) -> Fallible<Values, ()> {
        let end = part.end == content.len();
        saved.1.push_str(&self.take(&content[part], end)?);
        Ok(())
    }

    fn join(&self, (): (), before: (&[u8], Form), saved: Saved) -> Fallible<Values, Value> {
        Ok(Value::Text(text(before.0, before.1) + &saved.1))
    }

    fn encode(
        &self,
        (): (),
        text: &String,
        part: std::ops::Range<usize>,
        newline: Option<&'static str>,
    ) -> Fallible<Values, Vec<u8>> {
        let part: String = text.chars().skip(part.start).take(part.len()).collect();
        let part = newline.map_or(part.clone(), |newline| part.replace('\n', newline));
        Ok(part.encode_utf16().flat_map(u16::to_le_bytes).collect())
    }

    fn save_encoder(&self, (): ()) -> Option<bool> {
        None
    }

    fn restore_encoder(&self, _saved: bool) {}

    fn unencodable(&self, (): (), text: &String, _newline: Option<&'static str>) -> Failure<String> {
        Failure::Caller(format!("unencodable: {text}"))
    }

    fn forget(&self, (): ()) -> Fallible<Values, bool> {
        self.pending().clear();
        Ok(true)
    }

    fn plain_state(&self, (): (), pending: bool) -> bool {
        pending
    }

    fn same_state(&self, (): (), state: &bool) -> bool {
        *state
    }

    fn find(
        &self,
        (): (),
        position: u64,
        snapshot: Snapshot<Values>,
        used: usize,
        _ratio: f64,
    ) -> Fallible<Values, Value> {
        Ok(Value::Place { position, pending: *snapshot.state, feed: snapshot.input.len(), skip: used })
    }

    fn target(&self, (): (), place: &Value, whence: i32) -> Fallible<Values, Option<TextTarget<Values>>> {
        let plain = TextTarget { offset: None, state: false, feed: 0, end: false, skip: 0 };
        match (whence, place) {
            (0, Value::Number(number)) => Ok(Some(TextTarget { offset: Some(*number as i64), ..plain })),
            (0, Value::Place { position, pending, feed, skip }) => Ok(Some(TextTarget {
                offset: Some(*position as i64),
                state: *pending,
                feed: *feed,
                skip: *skip,
                ..plain
            })),
            (1, Value::Number(0)) => Ok(None),
            (2, Value::Number(0)) => Ok(Some(plain)),
            (whence, _) => Err(Complaint::InvalidWhence(whence).into()),
        }
    }

    fn same_value(&self, (): (), value: &Value) -> Value {
        value.clone()
    }

    fn move_to(&self, (): (), target: &TextTarget<Values>, at_start: bool) -> Fallible<Values, (bool, bool)> {
        self.pending().clear();
        Ok((at_start && !target.state, target.state))
    }
}

impl Characters<Values> for String {
    fn length(&self, (): ()) -> usize {
        self.chars().count()
    }

    fn narrow(&self, (): ()) -> Option<&[u8]> {
        self.is_ascii().then_some(self.as_bytes())
    }

    fn shared(&self, (): ()) -> Data {
        Data::Owned(self.as_bytes().to_vec())
    }

    fn has_line_end(&self, (): ()) -> bool {
        self.contains(['\n', '\r'])
    }

    fn part(&self, (): (), part: std::ops::Range<usize>) -> Fallible<Values, TextSource> {
        let codes = self.chars().skip(part.start).take(part.len()).map(u32::from);
        Ok(TextSource::new(Data::Owned(codes.flat_map(u32::to_ne_bytes).collect()), 4, false))
    }
}
