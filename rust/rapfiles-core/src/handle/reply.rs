//! What a worker's task for a handle replies.

use super::batch::LineBatch;
use crate::outcome::Outcome;
use crate::text::{Text, TextFill};
use crate::verbs::metadata::Metadata;

/// What a [`Task`](super::Task) has come to.
#[derive(Debug)]
pub enum Reply {
    /// It was done, and there is nothing to tell.
    Done,
    /// Whether as much is available as was asked for: else the file has ended, or waiting for more was interrupted.
    Filled(bool),
    /// The file does not wait, and has nothing to read, or no room to write.
    WouldBlock,
    /// How many bytes, or at which of them.
    Count(u64),
    /// The caller's memory has been read into.
    ReadInto {
        /// Valid bytes in it.
        length: usize,
        /// What the file has beyond it, where that was asked for.
        tail: Vec<u8>,
    },
    /// Decoded text.
    Text(Box<Text>),
    /// The caller's string has been filled.
    LaidOut(Box<TextFill>),
    /// Lines of a text file.
    Lines(Box<LineBatch>),
    /// Content that the decoder does not decode.
    Undecodable(Vec<u8>),
    /// Content, of a positional read.
    Bytes(Vec<u8>),
    /// What `fstat(2)` tells.
    Metadata(Box<Metadata>),
}

impl From<Outcome> for Reply {
    /// The outcome of a positional task, which has no turn to leave its reply in.
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Bytes(bytes) => Self::Bytes(bytes),
            Outcome::Count(count) => Self::Count(count),
            Outcome::Metadata(metadata) => Self::Metadata(metadata),
            _ => Self::Done,
        }
    }
}
