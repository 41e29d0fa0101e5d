//! The sink: how results are created, as the caller of operations on handles, such as a Python binding, defines it.

use super::complaint::Failure;
use super::text::{Characters, ForeignCodec};
use crate::engine::keep_alive::KeepAlive;
use crate::error::Error;
use crate::text::{Form, Layout, Text, TextFill};
use crate::verbs::metadata::Metadata;
use crate::verbs::write::Data;

/// The result of something at which the caller may fail.
pub type Fallible<S, T> = Result<T, Failure<<S as Sink>::Error>>;

/// Why no value could be created from a text, and the text.
pub type UnmadeText<S> = (Failure<<S as Sink>::Error>, Box<Text>);

/// The value of a text.
pub enum MadeText<S: Sink> {
    /// A value.
    Value(S::Value),
    /// A value in which a worker has to lay out the text before it may be used.
    ToLayOut(TextFill, S::Value),
}

/// Creates the results of operations.
///
/// # Safety
/// The pointer that [`Sink::new_bytes`] returns must be valid for writes as documented there, wherever the `Bytes` are
/// moved, until they and every [`KeepAlive`] of them have been dropped. If [`Sink::ALONE`] is set, its statement must
/// hold.
pub unsafe trait Sink: Sized + 'static {
    /// Whether, while an operation advances, only a worker that performs a task of the turn's holder can use the
    /// handle, unless the operation runs code of the caller's.
    const ALONE: bool;
    /// What is needed to create results, for as long as an operation advances.
    type Context<'a>: Copy;
    /// The error of that.
    type Error;
    /// A result.
    type Value: Send + Sync;
    /// Bytes that are being read.
    type Bytes: Send + Sync;
    /// Lines that have been read.
    type Lines: Send + Sync;
    /// Bytes to write.
    type Source: Source<Self>;
    /// Memory to read into.
    type Target: Target<Self>;
    /// Characters to write.
    type Text: Characters<Self>;
    /// The caller's codec, for encodings that the engine does not have.
    type ForeignCodec: ForeignCodec<Self>;

    /// Whether it failed because memory could not be allocated.
    fn is_memory_short(_context: Self::Context<'_>, failure: &Failure<Self::Error>) -> bool {
        matches!(failure, Failure::Error(Error::OutOfMemory))
    }

    /// Whether other tasks of the caller's should run now.
    fn must_yield(context: Self::Context<'_>) -> Fallible<Self, bool>;

    /// The value for no result, or for no data without blocking.
    fn nothing(context: Self::Context<'_>) -> Self::Value;

    /// A number.
    fn number(context: Self::Context<'_>, number: u64) -> Fallible<Self, Self::Value>;

    /// Bytes.
    fn bytes(context: Self::Context<'_>, content: &[u8]) -> Fallible<Self, Self::Value>;

    /// A buffer for `length` uninitialised bytes, and a pointer to it. One more byte may be written after them.
    fn new_bytes(context: Self::Context<'_>, length: usize) -> Fallible<Self, (Self::Bytes, *mut u8)>;

    /// The value of the first bytes of a buffer, and of what follows them.
    ///
    /// # Safety
    /// The first `length` bytes have been set.
    unsafe fn finish(
        context: Self::Context<'_>,
        bytes: Self::Bytes,
        length: usize,
        tail: &[u8],
    ) -> Fallible<Self, Self::Value>;

    /// The first bytes of a buffer.
    ///
    /// # Safety
    /// The first `length` bytes have been set.
    unsafe fn content<'a>(context: Self::Context<'_>, bytes: &'a Self::Bytes, length: usize) -> &'a [u8];

    /// Keeps a buffer in place while a worker uses it.
    fn keep_alive(context: Self::Context<'_>, bytes: &Self::Bytes) -> KeepAlive;

    /// The result of `fstat(2)`.
    fn metadata(context: Self::Context<'_>, metadata: &Metadata) -> Fallible<Self, Self::Value>;

    /// Characters, which are valid.
    fn string(context: Self::Context<'_>, content: &[u8], form: Form) -> Fallible<Self, Self::Value>;

    /// A whole text.
    ///
    /// # Errors
    /// Memory cannot be allocated: the error, and the text.
    fn text(context: Self::Context<'_>, text: Text) -> Result<MadeText<Self>, UnmadeText<Self>>;

    /// No lines yet.
    fn no_lines(context: Self::Context<'_>) -> Self::Lines;

    /// Adds a line of bytes.
    fn add_line(context: Self::Context<'_>, lines: &mut Self::Lines, line: &[u8]) -> Fallible<Self, ()>;

    /// Adds a line of characters; returns their number.
    fn add_text_line(
        context: Self::Context<'_>,
        lines: &mut Self::Lines,
        line: &[u8],
        form: Form,
    ) -> Fallible<Self, usize>;

    /// Adds a line of characters that have been measured. `plain`: they are copied unchanged.
    fn add_measured_line(
        context: Self::Context<'_>,
        lines: &mut Self::Lines,
        line: &[u8],
        plain: bool,
        layout: Layout,
    ) -> Fallible<Self, ()>;

    /// The lines.
    fn lines(context: Self::Context<'_>, lines: Self::Lines) -> Self::Value;

    /// The content of lines of bytes, to be read again; `None` if memory cannot be allocated.
    fn lines_content(lines: Self::Lines) -> Option<Vec<u8>>;

    /// The content of lines of characters, to be read again; `None` if memory cannot be allocated. `latin1`: it was
    /// Latin-1, otherwise UTF-8.
    fn text_lines_content(lines: Self::Lines, latin1: bool) -> Option<Vec<u8>>;
}

/// Bytes to write, as the caller passed them.
pub trait Source<S: Sink>: Send + Sync {
    /// Runs `work` with the bytes. It runs no code of the caller's that could use the handle.
    fn with<T>(&self, context: S::Context<'_>, work: impl FnOnce(&[u8]) -> T) -> Fallible<S, T>;

    /// Whether they are immutable, and so may be kept after the operation is complete.
    fn is_constant(&self) -> bool;

    /// The bytes in place, for a worker.
    fn shared(&self, context: S::Context<'_>) -> Fallible<S, Data>;
}

/// The caller's memory, to read into. It is valid for writes for as long as this or its keep-alive exists.
pub trait Target<S: Sink>: Send + Sync {
    /// A pointer to its first byte.
    fn start(&self) -> *mut u8;

    /// Its number of bytes.
    fn length(&self) -> usize;

    /// Keeps it in place while a worker uses it.
    fn keep_alive(&self, context: S::Context<'_>) -> KeepAlive;
}
