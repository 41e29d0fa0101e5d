//! The replies of workers' tasks for handles.

use super::batch::LineBatch;
use crate::text::{Text, TextFill};
use crate::verbs::metadata::Metadata;

/// The result of a [`Task`](super::Task).
#[derive(Debug)]
pub enum Reply {
    /// Done, without a value.
    Done,
    /// Whether as much is available as was requested: otherwise the file has ended, or waiting for more was
    /// interrupted.
    Filled(bool),
    /// The file is non-blocking, and has nothing to read, or no room for a write (EAGAIN).
    WouldBlock,
    /// A number of bytes, or a position.
    Count(u64),
    /// The caller's memory has been read into.
    ReadInto {
        /// Valid bytes in it.
        length: usize,
        /// The content of the file beyond it, if that was requested.
        tail: Vec<u8>,
    },
    /// Decoded text.
    Text(Box<Text>),
    /// The caller's string has been filled.
    LaidOut(Box<TextFill>),
    /// Lines of a text file.
    Lines(Box<LineBatch>),
    /// Content that is not valid in the encoding.
    Undecodable(Vec<u8>),
    /// The content, of a positional read.
    Bytes(Vec<u8>),
    /// The result of `fstat(2)`.
    Metadata(Box<Metadata>),
}
