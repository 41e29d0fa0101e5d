//! Operations on open files: the crate's own, each watched from within its turn.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::oracle::{Oracle, PATTERN};
use super::sink::{Context, Memory, Room, Scene, Simulated, Value, Written};
use super::text::{self, Place, TEXT, TextFile};
use crate::engine::progress::Progress as Driven;
use crate::engine::ticket::Ticket;
use crate::error::Error;
use crate::handle::ops;
use crate::handle::{
    Advance, AdvancePositional, Complaint, Driver, Failure, Fallible, FileOperation, Guard, HandleFile,
    PositionalOperation, Reply, Source, Task, TextState, Unread, WriterState,
};
use crate::limits::IO_BUFFER;

/// What an operation does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Request {
    Read {
        size: usize,
    },
    ReadSome {
        size: usize,
    },
    ReadLarge {
        size: Option<usize>,
    },
    ReadInto {
        size: usize,
    },
    /// Once at most.
    ReadIntoOnce {
        size: usize,
    },
    Peek {
        size: usize,
    },
    ReadLine {
        limit: Option<usize>,
    },
    ReadLines {
        hint: Option<usize>,
    },
    /// The next item of an iteration.
    NextLine,
    /// So many pieces, in one turn.
    WriteLines {
        bytes: &'static [u8],
        pieces: usize,
        shared: bool,
    },
    Write {
        bytes: &'static [u8],
        shared: bool,
    },
    WriteThrough {
        bytes: &'static [u8],
    },
    Flush,
    Seek {
        offset: i64,
        whence: i32,
    },
    Tell,
    Truncate {
        length: Option<i64>,
    },
    Synchronise,
    Stat,
    /// Characters of a text file; all of them.
    ReadText {
        size: Option<usize>,
    },
    ReadTextLine {
        limit: Option<usize>,
    },
    ReadTextLines {
        hint: Option<usize>,
    },
    NextTextLine,
    WriteText {
        characters: &'static [u8],
    },
    WriteTextLines {
        characters: &'static [u8],
        pieces: usize,
    },
    SeekText {
        place: Place,
        whence: i32,
    },
    TellText,
    ReadAt {
        size: usize,
        offset: u64,
    },
    WriteAt {
        bytes: &'static [u8],
        offset: u64,
    },
    Close,
}

type AnyOperation = Box<dyn FileOperation<Simulated>>;

/// Several writes in one turn.
fn sequence(
    bytes: &'static [u8],
    pieces: usize,
    write: impl Fn(&'static [u8]) -> AnyOperation,
) -> AnyOperation {
    let parts = bytes.chunks((bytes.len() / pieces).max(1)).map(write).collect();
    Box::new(ops::Sequence::new("writelines", parts, Arc::default()))
}

impl Request {
    /// The operation, and the memory that it reads into. `raw`: on a file without a buffer.
    fn operation(self, raw: bool, text: Option<&TextFile>) -> (AnyOperation, Option<Arc<Room>>) {
        if let Some(TextFile { state, .. }) = text
            && let Some(operation) = self.on_text(state)
        {
            return (operation, None);
        }
        let source = |bytes, constant| Written { bytes, constant };
        let operation: AnyOperation = match self {
            Self::Read { size } | Self::ReadSome { size } if raw => Box::new(ops::ReadOnce::new(size)),
            Self::ReadLarge { size: Some(size) } if raw => Box::new(ops::ReadOnce::new(size)),
            Self::Write { bytes, .. } | Self::WriteThrough { bytes } if raw => {
                Box::new(ops::WriteOnce { source: source(bytes, true) })
            }
            Self::ReadInto { size } | Self::ReadIntoOnce { size } => {
                let room = Room::new(size);
                let target = Memory(Arc::clone(&room));
                let operation: AnyOperation = if raw {
                    Box::new(ops::ReadOnceInto { target })
                } else {
                    Box::new(ops::ReadInto::new(target, matches!(self, Self::ReadIntoOnce { .. })))
                };
                return (operation, Some(room));
            }
            Self::Read { size } => ops::read(Some(size), false),
            Self::ReadSome { size } => Box::new(ops::ReadSome { size, peek: false }),
            Self::Peek { size } => Box::new(ops::ReadSome { size, peek: true }),
            Self::ReadLarge { size: None } if raw => Box::new(ops::ReadLarge::raw()),
            Self::ReadLarge { size } => Box::new(ops::ReadLarge::new(size, false)),
            Self::ReadLine { limit } => Box::new(ops::ReadLine::new(limit, false, raw)),
            Self::ReadLines { hint } => Box::new(ops::ReadLines::new(hint, raw)),
            Self::NextLine => Box::new(ops::ReadLine::new(None, true, raw)),
            Self::WriteLines { bytes, pieces, shared } => {
                sequence(bytes, pieces, |part| Box::new(ops::Write { source: source(part, shared) }))
            }
            Self::Write { bytes, shared } => Box::new(ops::Write { source: source(bytes, shared) }),
            Self::WriteThrough { bytes } => Box::new(Through(source(bytes, false))),
            Self::Flush => Box::new(ops::Flush { closed: Complaint::FlushOfClosedFile }),
            Self::Seek { offset, whence } => Box::new(ops::Seek { offset, whence, raw }),
            Self::Tell => Box::new(ops::Tell),
            Self::Truncate { length } => Box::new(ops::Truncate {
                length,
                refusal: Complaint::CannotTruncate,
                closed: Complaint::TruncateOfClosedFile,
            }),
            Self::Synchronise => Box::new(ops::Synchronise { data_only: false }),
            // Only text files are asked for text, and what needs no turn is not asked for here.
            Self::Close
            | Self::ReadText { .. }
            | Self::ReadTextLine { .. }
            | Self::ReadTextLines { .. }
            | Self::NextTextLine
            | Self::WriteText { .. }
            | Self::WriteTextLines { .. }
            | Self::SeekText { .. }
            | Self::TellText
            | Self::Stat
            | Self::ReadAt { .. }
            | Self::WriteAt { .. } => Box::new(ops::Close::default()),
        };
        (operation, None)
    }

    /// The operation, if it needs no turn.
    fn positional(self) -> Option<Box<dyn PositionalOperation<Simulated>>> {
        Some(match self {
            Self::Stat => Box::new(ops::Stat),
            Self::ReadAt { size, offset } => Box::new(ops::ReadAt { size, offset }),
            Self::WriteAt { bytes, offset } => {
                Box::new(ops::WriteAt { source: Written { bytes, constant: true }, offset })
            }
            _ => return None,
        })
    }

    fn on_text(self, state: &Arc<TextState<Simulated>>) -> Option<AnyOperation> {
        Some(match self {
            Self::ReadText { size: Some(size) } => Box::new(ops::text::Read::new(state, size)),
            Self::ReadText { size: None } => Box::new(ops::text::ReadAll::new(state)),
            Self::ReadTextLine { limit } => Box::new(ops::text::ReadLine::new(state, limit, false)),
            Self::WriteText { characters } => {
                Box::new(ops::text::Write::new(state, text::Written(characters)))
            }
            Self::ReadTextLines { hint } => Box::new(ops::text::ReadLines::new(state, hint)),
            Self::NextTextLine => Box::new(ops::text::ReadLine::new(state, None, true)),
            Self::WriteTextLines { characters, pieces } => sequence(characters, pieces, |part| {
                Box::new(ops::text::Write::new(state, text::Written(part)))
            }),
            Self::SeekText { place, whence } => {
                Box::new(ops::text::Seek::new(state, Value::Place(place), whence))
            }
            Self::TellText => Box::new(ops::text::Tell::new(state)),
            _ => return None,
        })
    }

    /// Whether it decodes text, of which some may be left.
    fn decodes(self) -> bool {
        matches!(
            self,
            Self::ReadText { .. }
                | Self::ReadTextLine { .. }
                | Self::ReadTextLines { .. }
                | Self::NextTextLine
        )
    }

    /// What it is of a file without a buffer; `None` where there is no such thing.
    pub(super) fn of_raw(self) -> Option<Self> {
        Some(match self {
            Self::Peek { .. } | Self::WriteLines { .. } => return None,
            other => other,
        })
    }

    /// What it is of a text file whose characters have so many bytes, and of which `tell()` has named these places; `None`
    /// where there is no such thing.
    pub(super) fn of_text(self, width: usize, places: &[Place]) -> Option<Self> {
        let characters = |bytes: &'static [u8]| {
            let from = bytes.as_ptr() as usize - PATTERN.as_ptr() as usize;
            &TEXT[from..from + bytes.len()]
        };
        Some(match self {
            Self::Read { size } | Self::ReadSome { size } => Self::ReadText { size: Some(size) },
            Self::ReadLarge { size } => Self::ReadText { size },
            Self::ReadLine { limit } => Self::ReadTextLine { limit },
            Self::ReadInto { .. } => Self::ReadTextLine { limit: None },
            Self::ReadLines { hint } => Self::ReadTextLines { hint },
            Self::NextLine => Self::NextTextLine,
            Self::WriteLines { bytes, pieces, .. } => {
                Self::WriteTextLines { characters: characters(bytes), pieces }
            }
            Self::Seek { offset, whence } => {
                let known = usize::try_from(offset).ok().filter(|_| whence == 0 && !places.is_empty());
                let place = known.map_or(Place::at(0), |offset| places[offset % places.len()]);
                Self::SeekText { place, whence }
            }
            Self::Tell => Self::TellText,
            // No character is cut in two.
            Self::Truncate { length } => {
                Self::Truncate { length: length.map(|length| length / width as i64 * width as i64) }
            }
            Self::Write { bytes, .. } | Self::WriteThrough { bytes } => {
                Self::WriteText { characters: characters(bytes) }
            }
            Self::Flush | Self::Synchronise | Self::Stat | Self::Close => self,
            _ => return None,
        })
    }
}

/// Writes bytes of any size past the buffer, as is done with much that may change.
struct Through(Written);

impl FileOperation<Simulated> for Through {
    fn name(&self) -> &'static str {
        "write through"
    }

    fn advance(
        &mut self,
        scene: Scene<'_>,
        file: &HandleFile<Simulated>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<Simulated, Advance<Simulated>> {
        if let Some(Reply::Count(count)) = reply {
            return Ok(Advance::Done(Value::Number(count)));
        }
        if !file.writable || guard.is_closed() {
            return Err(Complaint::CannotWrite.into());
        }
        if let Some(error) = guard.take_error() {
            return Err(error.into());
        }
        Ok(if guard.is_written() {
            Advance::Task(Task::WriteThrough(self.0.shared(scene)?))
        } else {
            Advance::AwaitWriter(WriterState::Written)
        })
    }
}

/// What is known of an operation from outside.
#[derive(Default)]
struct Marks {
    /// A worker was given a task of it, or a part of it is done.
    begun: AtomicBool,
    /// Text of it becomes a string, which nobody has looked at.
    makes_text: AtomicBool,
}

/// An operation whose results are compared with what they should be.
struct Watched {
    inner: AnyOperation,
    request: Request,
    raw: bool,
    memory: Option<Arc<Room>>,
    marks: Arc<Marks>,
    started: bool,
    text: Option<Arc<TextFile>>,
}

impl Watched {
    /// It has its turn for the first time.
    fn start(
        &mut self,
        scene: Scene<'_>,
        file: &HandleFile<Simulated>,
        guard: &Guard<'_>,
    ) -> Result<(), String> {
        if !std::mem::replace(&mut self.started, true) {
            scene.had_turn.set(true);
            let oracle = &mut *scene.oracle.borrow_mut();
            // Where the user is, only the decoder would know.
            oracle.blind |= oracle.uncertain && self.text.is_some();
            oracle.decoded |= self.request.decodes();
            if file.ahead.is_empty() {
                oracle.resolve(&scene.context.world, &file.handle, guard)?;
            }
        }
        Ok(())
    }

    /// Its result.
    fn done(&self, scene: Scene<'_>, value: &Value) -> Result<(), String> {
        let oracle = &mut *scene.oracle.borrow_mut();
        let world = &scene.context.world;
        match (self.request, value) {
            // There was nothing in the FIFO.
            (_, Value::Nothing) if oracle.pipe => Ok(()),
            (Request::ReadInto { size }, Value::Number(count)) => {
                let memory = self.memory.as_ref().map_or(&[][..], |room| room.bytes());
                let bytes = memory.get(..*count as usize).ok_or("more was read than there is room for")?;
                oracle.read(bytes, size, !self.raw)
            }
            (Request::ReadIntoOnce { size }, Value::Number(count)) => {
                let memory = self.memory.as_ref().map_or(&[][..], |room| room.bytes());
                let bytes = memory.get(..*count as usize).ok_or("more was read than there is room for")?;
                oracle.read(bytes, size, false)
            }
            (Request::Peek { size }, Value::Bytes(bytes)) => oracle.peeked(bytes, size.max(IO_BUFFER)),
            (Request::ReadLines { hint }, Value::Lines(lines)) => {
                oracle.read_lines(lines.iter().map(Cow::from), hint, 1)
            }
            (Request::NextLine, Value::Bytes(bytes)) => oracle.read_line(bytes, None, 1),
            (Request::ReadTextLines { hint }, Value::Lines(lines)) => {
                let Some(text) = self.text.as_deref() else { return Err("no text".to_owned()) };
                let lines = lines.iter().map(|line| Cow::from(text.encoded(line)));
                oracle.read_lines(lines, hint, text.width())
            }
            (Request::Read { size }, Value::Bytes(bytes)) => oracle.read(bytes, size, !self.raw),
            (Request::ReadSome { size }, Value::Bytes(bytes)) => oracle.read(bytes, size, false),
            (Request::ReadLarge { size }, Value::Bytes(bytes)) => {
                oracle.read(bytes, size.unwrap_or(usize::MAX), !self.raw || size.is_none())
            }
            (Request::ReadLine { limit }, Value::Bytes(bytes)) => oracle.read_line(bytes, limit, 1),
            // To be looked at when a worker has laid it out.
            (
                Request::ReadText { .. } | Request::ReadTextLine { .. } | Request::NextTextLine,
                Value::Text(..),
            ) => Ok(()),
            (
                Request::ReadText { .. } | Request::ReadTextLine { .. } | Request::NextTextLine,
                Value::Bytes(characters),
            ) => read_text(self.request, self.text.as_deref(), oracle, characters),
            (Request::WriteText { characters }, Value::Number(count)) => {
                if *count as usize != characters.len() {
                    return Err(format!("{count} characters were written, not {}", characters.len()));
                }
                self.text_written(oracle, characters);
                Ok(())
            }
            (Request::WriteTextLines { characters, .. }, Value::Nothing) => {
                self.text_written(oracle, characters);
                Ok(())
            }
            (Request::WriteLines { bytes, .. }, Value::Nothing) => {
                oracle.written(bytes);
                Ok(())
            }
            (Request::SeekText { place, whence }, Value::Number(_) | Value::Place(_)) => {
                let width = self.width();
                let at = match value {
                    Value::Place(place) => *place,
                    Value::Number(at) => Place::at(*at),
                    _ => Place::at(0),
                };
                let decoded = at.is_within();
                let at = at.byte(width);
                match whence {
                    0 => oracle.moved(world, Some(place.byte(width)), decoded),
                    1 if oracle.uncertain => oracle.decoded = decoded,
                    1 => oracle.moved(world, Some(oracle.position), decoded),
                    _ => oracle.moved(world, None, decoded),
                }
                if !oracle.uncertain && at != oracle.position {
                    return Err(format!("seek came to {at}, not {}", oracle.position));
                }
                Ok(())
            }
            (Request::TellText, Value::Number(_) | Value::Place(_)) => {
                let width = self.width();
                let place = match value {
                    Value::Place(place) => *place,
                    Value::Number(at) => Place::at(*at),
                    _ => Place::at(0),
                };
                if oracle.uncertain {
                    return Ok(());
                }
                if place.byte(width) != oracle.position {
                    return Err(format!("tell says {}, not {}", place.byte(width), oracle.position));
                }
                oracle.places.push(place);
                Ok(())
            }
            (Request::Write { bytes, .. } | Request::WriteThrough { bytes }, Value::Number(count)) => {
                let count = *count as usize;
                if count > bytes.len() || (count < bytes.len() && !self.raw) {
                    return Err(format!("{count} bytes were written, not {}", bytes.len()));
                }
                oracle.written(&bytes[..count]);
                Ok(())
            }
            (Request::Flush | Request::Synchronise, _) => oracle.flushed(world, false),
            (Request::Close, _) => oracle.flushed(world, true),
            (Request::Seek { offset, whence }, Value::Number(position)) => {
                let from = match whence {
                    0 => 0,
                    1 => oracle.position as i64,
                    _ => oracle.content.len() as i64,
                };
                if !oracle.done_blindly() && *position as i64 != from + offset {
                    return Err(format!("seek came to {position}, not {}", from + offset));
                }
                oracle.position = *position as usize;
                Ok(())
            }
            (Request::Tell, Value::Number(position)) => {
                if !oracle.uncertain && !oracle.append && *position as usize != oracle.position {
                    return Err(format!("tell says {position}, not {}", oracle.position));
                }
                Ok(())
            }
            (Request::Truncate { length }, Value::Number(count)) => {
                if oracle.decoded {
                    // What was decoded before it can still be read, and is where it is cut without a length.
                    oracle.mixed |= length.is_none();
                    oracle.lost();
                }
                if oracle.done_blindly() {
                    return Ok(());
                }
                let expected = length.unwrap_or(oracle.position as i64) as u64;
                if *count != expected && !oracle.append {
                    return Err(format!("cut to {count}, not to {expected}"));
                }
                oracle.content.to_mut().resize(*count as usize, 0);
                oracle.places.retain(|place| place.byte(self.width()) <= *count as usize);
                Ok(())
            }
            (request, value) => Err(format!("{request:?} yields {value:?}")),
        }
    }

    /// How many bytes a character has.
    fn width(&self) -> usize {
        self.text.as_ref().map_or(1, |text| text.width())
    }

    /// Text was accepted.
    fn text_written(&self, oracle: &mut Oracle, characters: &[u8]) {
        if std::mem::replace(&mut oracle.decoded, false) {
            oracle.mixed = true;
            oracle.lost();
        }
        let encoded = self.text.as_ref().map(|text| text.encoded(characters));
        oracle.written(&encoded.unwrap_or_default());
    }

    fn look(&self, scene: Scene<'_>, step: &Advance<Simulated>) -> Fallible<Simulated, ()> {
        match step {
            Advance::Done(value) => self.done(scene, value).map_err(Failure::Caller),
            Advance::Task(_) | Advance::Next => {
                self.marks.begun.store(true, Ordering::Relaxed);
                Ok(())
            }
            Advance::Text(_) => {
                self.marks.makes_text.store(true, Ordering::Relaxed);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl FileOperation<Simulated> for Watched {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn advance(
        &mut self,
        scene: Scene<'_>,
        file: &HandleFile<Simulated>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<Simulated, Advance<Simulated>> {
        self.start(scene, file, guard).map_err(Failure::Caller)?;
        let step = self.inner.advance(scene, file, guard, reply)?;
        self.look(scene, &step)?;
        Ok(step)
    }

    fn at_hand(
        &mut self,
        scene: Scene<'_>,
        file: &HandleFile<Simulated>,
        guard: &mut Guard<'_>,
    ) -> Option<Fallible<Simulated, Value>> {
        if scene.oracle.borrow().uncertain {
            // First it has to be found out what there is.
            return None;
        }
        let answer = self.inner.at_hand(scene, file, guard)?;
        scene.had_turn.set(true);
        Some(answer.and_then(|value| {
            self.done(scene, &value).map_err(Failure::Caller)?;
            Ok(value)
        }))
    }

    fn call(&mut self, scene: Scene<'_>, guard: &mut Guard<'_>) -> Fallible<Simulated, ()> {
        self.inner.call(scene, guard)
    }

    fn failed(&mut self, error: Error) -> Result<(), Error> {
        self.inner.failed(error)
    }

    fn takes_ahead(&self) -> usize {
        self.inner.takes_ahead()
    }

    fn meanwhile(&mut self, scene: Scene<'_>) -> Fallible<Simulated, ()> {
        self.inner.meanwhile(scene)
    }

    fn unread(&mut self) -> Option<Unread> {
        self.inner.unread()
    }

    fn closes(&self) -> bool {
        self.inner.closes()
    }
}

/// An operation that needs no turn, whose result is compared with what it should be.
struct WatchedBeside {
    inner: Box<dyn PositionalOperation<Simulated>>,
    request: Request,
}

impl PositionalOperation<Simulated> for WatchedBeside {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn advance(
        &mut self,
        scene: Scene<'_>,
        file: &HandleFile<Simulated>,
        reply: Option<Reply>,
    ) -> Fallible<Simulated, AdvancePositional<Simulated>> {
        let step = self.inner.advance(scene, file, reply)?;
        if let (Request::ReadAt { size, offset }, AdvancePositional::Done(Value::Bytes(bytes))) =
            (self.request, &step)
        {
            let oracle = &*scene.oracle.borrow();
            let rest = oracle.content.get(offset as usize..).unwrap_or_default();
            let right = bytes.len() <= size && rest.starts_with(bytes);
            let missing = bytes.is_empty() && size > 0 && !rest.is_empty();
            if !oracle.writable && (!right || missing) {
                return Err(Failure::Caller(format!("other bytes were read at {offset}")));
            }
        }
        Ok(step)
    }

    fn writes(&self) -> bool {
        self.inner.writes()
    }
}

/// Compares characters that were read with what the file has.
pub(super) fn read_text(
    request: Request,
    text: Option<&TextFile>,
    oracle: &mut Oracle,
    characters: &[u8],
) -> Result<(), String> {
    let Some(text) = text else { return Err("a file without text yields some".to_owned()) };
    let (bytes, width) = (text.encoded(characters), text.width());
    match request {
        Request::ReadText { size } => {
            oracle.read(&bytes, size.unwrap_or(usize::MAX).saturating_mul(width), true)
        }
        Request::ReadTextLine { limit } => oracle.read_line(&bytes, limit, width),
        Request::NextTextLine => oracle.read_line(&bytes, None, width),
        _ => Err("no text was asked for".to_owned()),
    }
}

/// Why an operation has ended without a result.
#[derive(Debug)]
pub(super) enum End {
    /// What its caller is told.
    Error(Error),
    /// It is closed, or is not for that.
    Refused,
    /// The iteration is over.
    NoMoreItems,
    /// Something that must not be.
    Wrong(String),
}

/// What it waits for.
pub(super) enum Progress {
    Done(Result<(), End>),
    Pending(Arc<Ticket>),
    Yield,
}

/// An operation on a file, under way.
pub(super) struct Driving {
    driver: Driver<Simulated>,
    request: Request,
    marks: Arc<Marks>,
    /// It has had its turn.
    pub(super) had_turn: Cell<bool>,
    text: Option<Arc<TextFile>>,
}

impl Driving {
    pub(super) fn new(request: Request, raw: bool, text: Option<&Arc<TextFile>>) -> Self {
        let marks = Arc::new(Marks::default());
        let driver = match request.positional() {
            Some(inner) => Driver::positional(Box::new(WatchedBeside { inner, request })),
            None => {
                let (inner, memory) = request.operation(raw, text.map(|text| &**text));
                Driver::new(Box::new(Watched {
                    inner,
                    request,
                    raw,
                    memory,
                    marks: Arc::clone(&marks),
                    started: false,
                    text: text.map(Arc::clone),
                }))
            }
        };
        Self { driver, request, marks, had_turn: Cell::new(false), text: text.map(Arc::clone) }
    }

    pub(super) fn has_begun(&self) -> bool {
        !self.driver.is_untouched()
    }

    pub(super) fn is_positional(&self) -> bool {
        matches!(self.request, Request::Stat | Request::ReadAt { .. } | Request::WriteAt { .. })
    }

    pub(super) fn closes(&self) -> bool {
        matches!(self.request, Request::Close)
    }

    fn writes_at(&self) -> bool {
        matches!(self.request, Request::WriteAt { .. })
    }

    pub(super) fn advance(
        &mut self,
        context: &Context,
        oracle: &RefCell<Oracle>,
        file: &HandleFile<Simulated>,
    ) -> Progress {
        let scene = Scene { context, oracle, had_turn: &self.had_turn };
        let progress = if context.world.chance(128) {
            self.driver.advance_fairly(scene, file)
        } else {
            self.driver.advance(scene, file)
        };
        let end = match progress {
            Driven::Pending(ticket) => return Progress::Pending(ticket),
            Driven::Yield => return Progress::Yield,
            Driven::Done(Ok(Value::Text(room, part))) => {
                let oracle = &mut *oracle.borrow_mut();
                let text = self.text.as_deref();
                read_text(self.request, text, oracle, &room.bytes()[part]).map_err(End::Wrong)
            }
            Driven::Done(Ok(Value::Bytes(characters))) if self.marks.makes_text.load(Ordering::Relaxed) => {
                let oracle = &mut *oracle.borrow_mut();
                read_text(self.request, self.text.as_deref(), oracle, &characters).map_err(End::Wrong)
            }
            Driven::Done(Ok(_)) => Ok(()),
            Driven::Done(Err(failure)) => Err(match failure {
                Failure::Error(error) => End::Error(error),
                Failure::Caller(why) => End::Wrong(why),
                Failure::Complaint(
                    complaint @ (Complaint::Misplaced | Complaint::Reused | Complaint::Cancelled),
                ) => End::Wrong(format!("{complaint:?}")),
                Failure::NoMoreItems if oracle.borrow().is_at_end() => End::NoMoreItems,
                Failure::NoMoreItems => End::Wrong("an iteration ends before the end of the file".to_owned()),
                Failure::Complaint(_) => End::Refused,
            }),
        };
        let oracle = &mut *oracle.borrow_mut();
        oracle.beside -= usize::from(self.writes_at());
        if let Err(End::Error(error)) = &end
            && let Err(why) = error.code().map_or(Ok(()), |code| context.world.faults.told(code))
        {
            return Progress::Done(Err(End::Wrong(why)));
        }
        if matches!(end, Err(End::Error(_) | End::Refused)) {
            self.has_failed(oracle);
            // What it had read before it failed is in the caller's memory, as after one of `io`.
            let partly_read = matches!(
                self.request,
                Request::ReadInto { .. }
                    | Request::ReadIntoOnce { .. }
                    | Request::ReadLines { .. }
                    | Request::ReadTextLines { .. }
            );
            if partly_read {
                oracle.uncertain = true;
                oracle.blind |= self.text.is_some();
                oracle.done_blindly();
            }
            if matches!(self.request, Request::SeekText { .. }) {
                oracle.lost();
            }
            oracle.blind |= partly_read && oracle.pipe;
        }
        Progress::Done(end)
    }

    /// What it may have done all the same.
    fn has_failed(&self, oracle: &mut Oracle) {
        let begun = self.marks.begun.load(Ordering::Relaxed);
        match self.request {
            Request::WriteThrough { bytes }
            | Request::Write { bytes, .. }
            | Request::WriteLines { bytes, .. }
                if begun =>
            {
                oracle.perhaps_written(bytes)
            }
            // Nor is it known where the user is: that is told by the decoder only.
            Request::WriteText { .. } | Request::WriteTextLines { .. } => {
                oracle.mixed |= oracle.decoded;
                oracle.lost();
            }
            Request::Truncate { length } if begun => {
                oracle.mixed |= oracle.decoded && length.is_none();
                oracle.uncertain = true;
            }
            Request::Close => oracle.uncertain = true,
            _ => {}
        }
    }

    /// Nobody waits for it any more.
    pub(super) fn abandon(&mut self, oracle: &RefCell<Oracle>, file: &HandleFile<Simulated>) {
        {
            let oracle = &mut *oracle.borrow_mut();
            if self.writes_at() {
                oracle.beside -= 1;
                oracle.beside_given_up = true;
            }
            if self.has_begun() {
                self.has_failed(oracle);
            }
        }
        self.driver.abandon(file);
    }
}
