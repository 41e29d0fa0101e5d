//! Codecs that are the caller's. Each call is a step of an operation that the caller performs, in the operation's turn.

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
    /// How many they are.
    pub characters: usize,
    /// From where the decoder can go on to where it is now.
    pub snapshot: Snapshot<S>,
}

/// Where to move in a text file.
pub struct Target<S: Sink> {
    /// The position of the file; `None`: at its end.
    pub offset: Option<i64>,
    /// The state of the decoder there.
    pub state: <S::ForeignCodec as ForeignCodec<S>>::State,
    /// How many bytes it is given then.
    pub feed: usize,
    /// Whether they are the last of the file.
    pub end: bool,
    /// How many characters of them are skipped.
    pub skip: usize,
}

/// The codec of a text file where the engine has none, and what else only the caller can do with its encoding.
pub trait ForeignCodec<S: Sink>: Send + Sync {
    /// A state that the decoder can be set to.
    type State: Send + Sync;
    /// What the decoder was like, and what it has decoded of everything since.
    type Saved: Send + Sync;

    /// Decodes a chunk. `end`: it is the last.
    ///
    /// # Errors
    /// Those of the decoder.
    fn decode(&self, context: S::Context<'_>, input: &[u8], end: bool) -> Fallible<S, Decoded<S>>;

    /// What the decoder says of bytes that the engine's does not decode.
    fn undecodable(&self, context: S::Context<'_>, bytes: &[u8]) -> Failure<S::Error>;

    /// Notes what the decoder is like.
    ///
    /// # Errors
    /// Those of the decoder.
    fn save(&self, context: S::Context<'_>) -> Fallible<S, Self::Saved>;

    /// Has the decoder go back to that.
    fn restore(&self, saved: Self::Saved);

    /// Goes on with a part of everything, which began where the decoder was saved. An error is about everything, as if that
    /// had been decoded in one go.
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

    /// What has been decoded of everything, behind what had been before.
    ///
    /// # Errors
    /// When there is no memory.
    fn join(
        &self,
        context: S::Context<'_>,
        before: (&[u8], Form),
        saved: Self::Saved,
    ) -> Fallible<S, S::Value>;

    /// Encodes these characters of a text. `newline`: what is written for a line feed. An error is about the whole text.
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

    /// What the encoder says of a text that the engine's does not encode.
    fn unencodable(
        &self,
        context: S::Context<'_>,
        text: &S::Text,
        newline: Option<&'static str>,
    ) -> Failure<S::Error>;

    /// Text has been written: what was read before is no place to go on from. Whether there is a decoder to know.
    ///
    /// # Errors
    /// Those of the decoder.
    fn forget(&self, context: S::Context<'_>) -> Fallible<S, bool>;

    /// The state of a decoder before which a carriage return was pending, or not.
    fn plain_state(&self, context: S::Context<'_>, pending: bool) -> Self::State;

    /// Another reference to a state.
    fn same_state(&self, context: S::Context<'_>, state: &Self::State) -> Self::State;

    /// The number by which a place can be found again that is known by decoding `snapshot` from `position` on, and using
    /// so many characters.
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

    /// What such a number says; for `None`, the file is asked where it is.
    ///
    /// # Errors
    /// When it says nothing.
    fn target(
        &self,
        context: S::Context<'_>,
        place: &S::Value,
        whence: i32,
    ) -> Fallible<S, Option<Target<S>>>;

    /// Another reference to a number.
    fn same_value(&self, context: S::Context<'_>, value: &S::Value) -> S::Value;

    /// Sets the codec up for a new place. `at_start`: the file's position is at the start. Whether that is the beginning of
    /// the text, and whether a carriage return is pending.
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

/// Characters to be written, as the caller gave them.
pub trait Characters<S: Sink>: Send + Sync {
    /// How many they are.
    fn length(&self, context: S::Context<'_>) -> usize;

    /// The characters, where each of them lies in one byte.
    fn narrow(&self, context: S::Context<'_>) -> Option<&[u8]>;

    /// The same bytes, for a worker.
    fn shared(&self, context: S::Context<'_>) -> Data;

    /// Whether there is the end of a line among them.
    fn has_line_end(&self, context: S::Context<'_>) -> bool;

    /// Some of the characters, to be encoded.
    ///
    /// # Errors
    /// When there is no memory.
    fn part(&self, context: S::Context<'_>, part: Range<usize>) -> Fallible<S, TextSource>;
}
