//! What operations on files make their results of in a simulation: plain bytes and numbers.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::oracle::Oracle;
use super::text::{self, Place, Utf16};
use super::world::World;
use crate::engine::keep_alive::KeepAlive;
use crate::handle::{Fallible, MadeText, Sink, Source, Target, UnmadeText};
use crate::text::{Form, Layout, Text, TextFill};
use crate::verbs::metadata::Metadata;
use crate::verbs::write::Data;

/// Memory of the caller's.
#[derive(Debug)]
pub(super) struct Room(UnsafeCell<Vec<u8>>);

// SAFETY: whoever has been given it uses it alone, and a simulation has one real thread.
unsafe impl Send for Room {}
// SAFETY: as above.
unsafe impl Sync for Room {}

impl Room {
    pub(super) fn new(length: usize) -> Arc<Self> {
        Arc::new(Self(UnsafeCell::new(vec![0; length])))
    }

    pub(super) fn start(&self) -> *mut u8 {
        // SAFETY: nobody changes the vector itself.
        unsafe { (*self.0.get()).as_mut_ptr() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: whoever asks has waited for the end of those that write.
        unsafe { &*self.0.get() }
    }
}

/// What all operations of a loop share.
pub(super) struct Context {
    pub(super) world: Rc<World>,
    /// Each piece of the caller's memory that is kept alive has one.
    pub(super) kept: Arc<()>,
}

impl Context {
    pub(super) fn keep(&self, room: &Arc<Room>) -> KeepAlive {
        KeepAlive::new((Arc::clone(room), Arc::clone(&self.kept)))
    }
}

/// What an operation needs while it advances.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) context: &'a Context,
    pub(super) oracle: &'a RefCell<Oracle>,
    /// It has had its turn.
    pub(super) had_turn: &'a Cell<bool>,
}

/// A result.
#[derive(Debug)]
pub(super) enum Value {
    Nothing,
    Number(u64),
    Bytes(Vec<u8>),
    Lines(Vec<Vec<u8>>),
    /// A place of a text file.
    Place(Place),
    /// Characters that a worker has laid out there.
    Text(Arc<Room>, Range<usize>),
}

/// Bytes to be written.
pub(super) struct Written {
    pub(super) bytes: &'static [u8],
    pub(super) constant: bool,
}

impl Source<Simulated> for Written {
    fn with<T>(&self, _scene: Scene<'_>, work: impl FnOnce(&[u8]) -> T) -> Fallible<Simulated, T> {
        Ok(work(self.bytes))
    }

    fn is_constant(&self) -> bool {
        self.constant
    }

    fn shared(&self, scene: Scene<'_>) -> Fallible<Simulated, Data> {
        let keep = KeepAlive::new(Arc::clone(&scene.context.kept));
        // SAFETY: they stay for ever.
        Ok(unsafe { Data::shared(self.bytes.as_ptr(), self.bytes.len(), keep) })
    }
}

/// Memory to be read into.
pub(super) struct Memory(pub(super) Arc<Room>);

impl Target<Simulated> for Memory {
    fn start(&self) -> *mut u8 {
        self.0.start()
    }

    fn length(&self) -> usize {
        self.0.bytes().len()
    }

    fn keep_alive(&self, scene: Scene<'_>) -> KeepAlive {
        scene.context.keep(&self.0)
    }
}

/// The sink of a simulation.
pub(super) struct Simulated;

// SAFETY: a room's memory stays where it is for as long as somebody has the room. The loop is one thread, and there is no
// other that uses a handle but workers.
unsafe impl Sink for Simulated {
    const ALONE: bool = true;
    type Context<'a> = Scene<'a>;
    /// Something that must not be.
    type Error = String;
    type Value = Value;
    type Bytes = Arc<Room>;
    type Lines = Vec<Vec<u8>>;
    type Source = Written;
    type Target = Memory;
    type Text = text::Written;
    type ForeignCodec = Utf16;

    fn must_yield(scene: Scene<'_>) -> Fallible<Self, bool> {
        Ok(scene.context.world.chance(8))
    }

    fn nothing(_scene: Scene<'_>) -> Value {
        Value::Nothing
    }

    fn number(_scene: Scene<'_>, number: u64) -> Fallible<Self, Value> {
        Ok(Value::Number(number))
    }

    fn bytes(_scene: Scene<'_>, content: &[u8]) -> Fallible<Self, Value> {
        Ok(Value::Bytes(content.to_vec()))
    }

    fn new_bytes(_scene: Scene<'_>, length: usize) -> Fallible<Self, (Arc<Room>, *mut u8)> {
        let room = Room::new(length + 1);
        let start = room.start();
        Ok((room, start))
    }

    unsafe fn finish(
        _scene: Scene<'_>,
        bytes: Arc<Room>,
        length: usize,
        tail: &[u8],
    ) -> Fallible<Self, Value> {
        Ok(Value::Bytes([&bytes.bytes()[..length], tail].concat()))
    }

    unsafe fn content<'a>(_scene: Scene<'_>, bytes: &'a Arc<Room>, length: usize) -> &'a [u8] {
        &bytes.bytes()[..length]
    }

    fn keep_alive(scene: Scene<'_>, bytes: &Arc<Room>) -> KeepAlive {
        scene.context.keep(bytes)
    }

    fn metadata(_scene: Scene<'_>, _metadata: &Metadata) -> Fallible<Self, Value> {
        Ok(Value::Nothing)
    }

    fn string(_scene: Scene<'_>, content: &[u8], _form: Form) -> Fallible<Self, Value> {
        Ok(Value::Bytes(content.to_vec()))
    }

    fn text(scene: Scene<'_>, text: Text) -> Result<MadeText<Self>, UnmadeText<Self>> {
        let length = text.chars() * text.width();
        let room = Room::new(length + 8);
        let start = room.start();
        let offset = start.align_offset(4);
        let start = start.wrapping_add(offset);
        if text.chars() > 1_000 {
            let value = Value::Text(Arc::clone(&room), offset..offset + length);
            // SAFETY: the room is kept alive, and nobody looks at it before it is filled.
            return Ok(MadeText::ToLayOut(
                unsafe { TextFill::new(text, start, scene.context.keep(&room)) },
                value,
            ));
        }
        // SAFETY: the room is as long.
        unsafe { text.write_to(start) };
        Ok(MadeText::Value(Value::Bytes(room.bytes()[offset..offset + length].to_vec())))
    }

    fn no_lines(_scene: Scene<'_>) -> Vec<Vec<u8>> {
        Vec::new()
    }

    fn add_line(_scene: Scene<'_>, lines: &mut Vec<Vec<u8>>, line: &[u8]) -> Fallible<Self, ()> {
        lines.push(line.to_vec());
        Ok(())
    }

    fn add_text_line(
        _scene: Scene<'_>,
        lines: &mut Vec<Vec<u8>>,
        line: &[u8],
        _form: Form,
    ) -> Fallible<Self, usize> {
        lines.push(line.to_vec());
        Ok(line.len())
    }

    fn add_measured_line(
        _scene: Scene<'_>,
        lines: &mut Vec<Vec<u8>>,
        line: &[u8],
        _plain: bool,
        _layout: Layout,
    ) -> Fallible<Self, ()> {
        lines.push(line.to_vec());
        Ok(())
    }

    fn lines(_scene: Scene<'_>, lines: Vec<Vec<u8>>) -> Value {
        Value::Lines(lines)
    }

    fn lines_content(lines: Vec<Vec<u8>>) -> Option<Vec<u8>> {
        Some(lines.concat())
    }

    fn text_lines_content(lines: Vec<Vec<u8>>, _latin1: bool) -> Option<Vec<u8>> {
        Some(lines.concat())
    }
}
