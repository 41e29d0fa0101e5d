//! Lines in batches, found and measured by a worker, so that only their strings remain to be created.

use std::collections::TryReserveError;

use crate::memory::copied;
use crate::text::{Decoder, Form, Layout};

/// Lines, one after the other.
#[derive(Debug)]
pub struct LineBatch {
    content: Vec<u8>,
    form: Form,
    /// The number of bytes of each line, and its layout.
    lines: Vec<(usize, Layout)>,
    next: usize,
    at: usize,
    /// Whether they are the last of the file.
    pub ended: bool,
}

impl LineBatch {
    /// Takes all lines that the decoder has, and the text after the last one if the file has ended.
    ///
    /// # Errors
    /// Memory cannot be allocated. The decoder still has everything.
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

    /// Takes the next line: its bytes, whether they can be copied unchanged, and its layout.
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
