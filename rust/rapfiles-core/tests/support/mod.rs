//! A caller of operations on handles that is not Python: what they make are vectors and strings.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::os::fd::IntoRawFd;
use std::path::Path;
use std::sync::Arc;

use rapfiles_core::handle::{
    self, Complaint, Driver, Failure, Fallible, FileOperation, Form, Handle, HandleFile, Made, Progress,
    Sink, Unmade,
};
use rapfiles_core::{
    Adoption, Answer, Data, Engine, KeepAlive, Lane, Layout, Metadata, Operation, Outcome, Text, Ticket,
};

/// Memory that operations read into.
pub struct Memory(Box<[u8]>);

impl Memory {
    fn start(this: &Arc<Self>) -> *mut u8 {
        this.0.as_ptr().cast_mut()
    }
}

/// What an operation has come to.
#[derive(Debug, PartialEq, Eq)]
pub enum Value {
    Nothing,
    Number(u64),
    Bytes(Vec<u8>),
    Text(String),
    Lines(Vec<Vec<u8>>),
    Length(u64),
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

    fn text((): (), text: Text) -> Result<Made<Self>, Unmade<Self>> {
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
        Ok(Made::Value(Value::Text(text)))
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
    let adopted = match engine.submit(Operation::Adopt(adoption), Lane::Unknown, &ticket) {
        Answer::Ready(outcome) => outcome,
        Answer::Pending => {
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
