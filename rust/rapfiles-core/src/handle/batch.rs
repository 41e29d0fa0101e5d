//! Lines in batches, found and measured by a worker so that nothing is left to be done but to make strings of them.

use std::collections::TryReserveError;

use crate::memory::copied;
use crate::text::{Decoder, Form, Layout};

/// Lines, one behind the other.
#[derive(Debug)]
pub struct LineBatch {
    content: Vec<u8>,
    form: Form,
    /// How many bytes each line has, and how it is laid out.
    lines: Vec<(usize, Layout)>,
    next: usize,
    at: usize,
    /// Whether they are the last of the file.
    pub ended: bool,
}

impl LineBatch {
    /// All lines that the decoder has; what is left behind the last one too where the file has ended.
    ///
    /// # Errors
    /// When there is no memory. The decoder has everything still.
    pub(super) fn take(decoder: &mut Decoder, ended: bool) -> Result<Self, TryReserveError> {
        let mut lengths = Vec::new();
        let mut whole = 0;
        while let Some(length) = decoder.find_line_from(whole) {
            lengths.try_reserve(1)?;
            lengths.push(length);
            whole += length;
        }
        if ended && decoder.len() > whole {
            lengths.push(decoder.len() - whole);
            whole = decoder.len();
        }
        let (content, form) = decoder.peek(whole);
        let content = copied(content)?;
        let mut lines = Vec::new();
        lines.try_reserve_exact(lengths.len())?;
        decoder.consume(whole);
        let mut at = 0;
        let measured = lengths.into_iter().map(|length| {
            let line = &content[at..at + length];
            at += length;
            (length, if form == Form::Utf8 { Layout::of(line) } else { Layout::of_single_bytes(line) })
        });
        lines.extend(measured);
        Ok(Self { content, form, lines, next: 0, at: 0, ended })
    }

    /// Takes the next line: its bytes, whether they are to be copied as they are, and its layout.
    pub fn next_line(&mut self) -> Option<(&[u8], bool, Layout)> {
        let (length, layout) = *self.lines.get(self.next)?;
        let line = &self.content[self.at..self.at + length];
        self.next += 1;
        self.at += length;
        Some((line, self.form != Form::Utf8, layout))
    }

    /// What has not been taken.
    pub fn rest(&self) -> &[u8] {
        &self.content[self.at..]
    }
}
