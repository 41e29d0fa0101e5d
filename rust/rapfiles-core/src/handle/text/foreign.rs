//! The caller's codecs. Each call is a step of an operation that the caller performs, in the operation's turn.

use std::ops::Range;

use super::state::Snapshot;
use crate::handle::complaint::Failure;
use crate::handle::sink::{Fallible, Sink};
use crate::text::{Form, TextSource};
use crate::verbs::write::Data;

/// A chunk that has been decoded.
pub struct Decoded<S: Sink> {
    /// The characters as UTF-8. Surrogates are encoded like other characters.
    pub content: Vec<u8>,
    /// The number of characters.
    pub characters: usize,
    /// The point from which the decoder can get to its present state.
    pub snapshot: Snapshot<S>,
}

/// The target of a seek in a text file.
pub struct Target<S: Sink> {
    /// The position of the file; `None`: at its end.
    pub offset: Option<i64>,
    /// The state of the decoder there.
    pub state: <S::ForeignCodec as ForeignCodec<S>>::State,
    /// How many bytes to feed to it.
    pub feed: usize,
    /// Whether these are the last of the file.
    pub end: bool,
    /// How many of the decoded characters to skip.
    pub skip: usize,
}

/// The codec of a text file, if the engine has none, and other work with its encoding that only the caller can do.
pub trait ForeignCodec<S: Sink>: Send + Sync {
    /// A state that the decoder can be set to.
    type State: Send + Sync;
    /// A saved state of the decoder, and the text that it has decoded since.
    type Saved: Send + Sync;

    /// Decodes a chunk. `end`: whether it is the last.
    ///
    /// # Errors
    /// Those of the decoder.
    fn decode(&self, context: S::Context<'_>, input: &[u8], end: bool) -> Fallible<S, Decoded<S>>;

    /// The decoder's error for bytes that the engine's cannot decode.
    fn undecodable(&self, context: S::Context<'_>, bytes: &[u8]) -> Failure<S::Error>;

    /// Saves the decoder's state.
    ///
    /// # Errors
    /// Those of the decoder.
    fn save(&self, context: S::Context<'_>) -> Fallible<S, Self::Saved>;

    /// Restores that state.
    fn restore(&self, saved: Self::Saved);

    /// Decodes the next part of the rest of the file, which began where the state was saved. An error describes the
    /// whole rest, as if it had been decoded in one go.
    ///
    /// # Errors
    /// Those of the decoder.
    fn decode_part(
        &self,
        context: S::Context<'_>,
        saved: &mut Self::Saved,
        content: &[u8],
        part: Range<usize>,
    ) -> Fallible<S, ()>;

    /// The text that has been decoded so far, after the text before it.
    ///
    /// # Errors
    /// Memory cannot be allocated.
    fn join(
        &self,
        context: S::Context<'_>,
        before: (&[u8], Form),
        saved: Self::Saved,
    ) -> Fallible<S, S::Value>;

    /// Encodes these characters of a text. `newline`: the replacement of a line feed. An error describes the whole
    /// text.
    ///
    /// # Errors
    /// Those of the encoder.
    fn encode(
        &self,
        context: S::Context<'_>,
        text: &S::Text,
        part: Range<usize>,
        newline: Option<&'static str>,
    ) -> Fallible<S, Vec<u8>>;

    /// The state of the encoder, if it has one that can be restored.
    fn save_encoder(&self, context: S::Context<'_>) -> Option<Self::State>;

    /// Restores that state.
    fn restore_encoder(&self, saved: Self::State);

    /// The encoder's error for a text that the engine's cannot encode.
    fn unencodable(
        &self,
        context: S::Context<'_>,
        text: &S::Text,
        newline: Option<&'static str>,
    ) -> Failure<S::Error>;

    /// Resets the decoder after text has been written. Returns whether there is one.
    ///
    /// # Errors
    /// Those of the decoder.
    fn forget(&self, context: S::Context<'_>) -> Fallible<S, bool>;

    /// The state of a new decoder, with or without a pending carriage return.
    fn plain_state(&self, context: S::Context<'_>, pending: bool) -> Self::State;

    /// Another reference to a state.
    fn same_state(&self, context: S::Context<'_>, state: &Self::State) -> Self::State;

    /// The cookie for the place that is reached by decoding `snapshot` from `position` on, and using this many
    /// characters.
    ///
    /// # Errors
    /// Those of the decoder.
    fn find(
        &self,
        context: S::Context<'_>,
        position: u64,
        snapshot: Snapshot<S>,
        used: usize,
        ratio: f64,
    ) -> Fallible<S, S::Value>;

    /// The target of a cookie; `None`: the file's position.
    ///
    /// # Errors
    /// The cookie is invalid.
    fn target(
        &self,
        context: S::Context<'_>,
        place: &S::Value,
        whence: i32,
    ) -> Fallible<S, Option<Target<S>>>;

    /// Another reference to a cookie.
    fn same_value(&self, context: S::Context<'_>, value: &S::Value) -> S::Value;

    /// Sets up the codec for a new place. `at_start`: whether the file's position is at the start. Returns whether that
    /// is the beginning of the text, and whether a carriage return is pending.
    ///
    /// # Errors
    /// Those of the codec.
    fn move_to(
        &self,
        context: S::Context<'_>,
        target: &Target<S>,
        at_start: bool,
    ) -> Fallible<S, (bool, bool)>;
}

/// Characters to write, as the caller passed them.
pub trait Characters<S: Sink>: Send + Sync {
    /// The number of characters.
    fn length(&self, context: S::Context<'_>) -> usize;

    /// The characters, if each of them is one byte.
    fn narrow(&self, context: S::Context<'_>) -> Option<&[u8]>;

    /// The same bytes, for a worker.
    fn shared(&self, context: S::Context<'_>) -> Data;

    /// Whether they contain a line end.
    fn has_line_end(&self, context: S::Context<'_>) -> bool;

    /// Some of the characters, to encode.
    ///
    /// # Errors
    /// Memory cannot be allocated.
    fn part(&self, context: S::Context<'_>, part: Range<usize>) -> Fallible<S, TextSource>;
}
