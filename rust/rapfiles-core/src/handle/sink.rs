//! Where results are made: what a caller of operations on handles, such as a Python binding, has to bring along.

use super::complaint::Failure;
use super::text::{Characters, ForeignCodec};
use crate::engine::keep_alive::KeepAlive;
use crate::text::{Form, Layout, Text, TextFill};
use crate::verbs::metadata::Metadata;
use crate::verbs::write::Data;

/// What comes of something that the caller may fail at.
pub type Fallible<S, T> = Result<T, Failure<<S as Sink>::Error>>;

/// Why a text has become nothing, and the text.
pub type UnmadeText<S> = (Failure<<S as Sink>::Error>, Box<Text>);

/// What a text has become.
pub enum MadeText<S: Sink> {
    /// A value.
    Value(S::Value),
    /// A value that a worker has to lay the text out in before it may be shown to anybody.
    Room(TextFill, S::Value),
}

/// Makes the results of operations.
///
/// # Safety
/// The place that [`Sink::new_bytes`] gives must be valid for writes as that says, wherever the `Bytes` are moved, until
/// they and every [`KeepAlive`] of them have been dropped. Where [`Sink::ALONE`] is set, that must be so.
pub unsafe trait Sink: Sized + 'static {
    /// Whether nobody but a worker in somebody's turn can use a handle while an operation on it advances, unless that runs
    /// code of the caller's.
    const ALONE: bool;
    /// What is needed to make anything, for as long as an operation advances.
    type Context<'a>: Copy;
    /// What may go wrong then.
    type Error;
    /// A result.
    type Value: Send + Sync;
    /// Bytes that are being read.
    type Bytes: Send + Sync;
    /// Lines that have been read.
    type Lines: Send + Sync;
    /// Bytes to be written.
    type Source: Source<Self>;
    /// Memory to be read into.
    type Target: Target<Self>;
    /// Characters to be written.
    type Text: Characters<Self>;
    /// What encodes and decodes text for which the engine has no codec.
    type ForeignCodec: ForeignCodec<Self>;

    /// Whether other tasks of the caller's should have a turn now.
    fn must_yield(context: Self::Context<'_>) -> Fallible<Self, bool>;

    /// There is nothing to tell, or nothing to be had without waiting.
    fn nothing(context: Self::Context<'_>) -> Self::Value;

    /// A number.
    fn number(context: Self::Context<'_>, number: u64) -> Fallible<Self, Self::Value>;

    /// Bytes.
    fn bytes(context: Self::Context<'_>, content: &[u8]) -> Fallible<Self, Self::Value>;

    /// Room for so many bytes that nobody has set yet, and where that begins. One more may be written behind it.
    fn new_bytes(context: Self::Context<'_>, length: usize) -> Fallible<Self, (Self::Bytes, *mut u8)>;

    /// The first bytes of a room, and what follows them.
    ///
    /// # Safety
    /// So many have been set.
    unsafe fn finish(
        context: Self::Context<'_>,
        bytes: Self::Bytes,
        length: usize,
        tail: &[u8],
    ) -> Fallible<Self, Self::Value>;

    /// The first bytes of a room.
    ///
    /// # Safety
    /// So many have been set.
    unsafe fn content<'a>(context: Self::Context<'_>, bytes: &'a Self::Bytes, length: usize) -> &'a [u8];

    /// What keeps a room where it is while a worker uses it.
    fn keep_alive(context: Self::Context<'_>, bytes: &Self::Bytes) -> KeepAlive;

    /// What `fstat(2)` tells.
    fn metadata(context: Self::Context<'_>, metadata: &Metadata) -> Fallible<Self, Self::Value>;

    /// Characters, which are valid.
    fn string(context: Self::Context<'_>, content: &[u8], form: Form) -> Fallible<Self, Self::Value>;

    /// A whole text.
    ///
    /// # Errors
    /// When there is no memory: what has failed, and the text.
    fn text(context: Self::Context<'_>, text: Text) -> Result<MadeText<Self>, UnmadeText<Self>>;

    /// No lines yet.
    fn no_lines(context: Self::Context<'_>) -> Self::Lines;

    /// Another line of bytes.
    fn add_line(context: Self::Context<'_>, lines: &mut Self::Lines, line: &[u8]) -> Fallible<Self, ()>;

    /// Another line of characters: how many they are.
    fn add_text_line(
        context: Self::Context<'_>,
        lines: &mut Self::Lines,
        line: &[u8],
        form: Form,
    ) -> Fallible<Self, usize>;

    /// Another line of characters, which have been measured. `plain`: they are copied as they are.
    fn add_measured_line(
        context: Self::Context<'_>,
        lines: &mut Self::Lines,
        line: &[u8],
        plain: bool,
        layout: Layout,
    ) -> Fallible<Self, ()>;

    /// The lines.
    fn lines(context: Self::Context<'_>, lines: Self::Lines) -> Self::Value;

    /// What lines of bytes were made of, to be read once more; `None` where there is no memory for that.
    fn lines_content(lines: Self::Lines) -> Option<Vec<u8>>;

    /// What lines of characters were made of, to be read once more; `None` where there is no memory for that. `latin1`: that
    /// was Latin-1, and else UTF-8.
    fn text_lines_content(lines: Self::Lines, latin1: bool) -> Option<Vec<u8>>;
}

/// Bytes to be written, as the caller gave them.
pub trait Source<S: Sink>: Send + Sync {
    /// Looks at the bytes. Runs no code of the caller's that could use the handle.
    fn with<T>(&self, context: S::Context<'_>, work: impl FnOnce(&[u8]) -> T) -> Fallible<S, T>;

    /// Whether they never change, and so may be kept after the operation is over.
    fn is_constant(&self) -> bool;

    /// The bytes where they are, for a worker.
    fn shared(&self, context: S::Context<'_>) -> Fallible<S, Data>;
}

/// The caller's memory, to be read into. It is valid for writes for as long as this exists, or what keeps it alive.
pub trait Target<S: Sink>: Send + Sync {
    /// Where it begins.
    fn start(&self) -> *mut u8;

    /// How many bytes it has.
    fn length(&self) -> usize;

    /// What keeps it where it is while a worker uses it.
    fn keep_alive(&self, context: S::Context<'_>) -> KeepAlive;
}
