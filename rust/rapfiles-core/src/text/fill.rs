//! Laying out decoded text in a string that the caller has allocated.

use std::fmt;

use super::Text;
use crate::engine::keep_alive::{Buffer, KeepAlive};

/// A string to fill from decoded text.
pub struct TextFill {
    text: Text,
    buffer: Buffer,
}

impl TextFill {
    /// A fill of the `text.chars()` characters at `start`, each `text.width()` bytes wide.
    ///
    /// # Safety
    /// As for [`crate::ParallelRead::new`], for `text.chars() * text.width()` bytes aligned for characters of that
    /// width.
    pub unsafe fn new(text: Text, start: *mut u8, keep_alive: KeepAlive) -> Self {
        let length = text.chars() * text.width();
        Self { text, buffer: Buffer::new(start, length, keep_alive) }
    }

    /// The text, which need not be laid out any more.
    pub(crate) fn into_text(self) -> Text {
        self.text
    }

    pub(crate) fn run(&mut self) {
        // SAFETY: the contract of `new`; this is the only worker that has the buffer.
        unsafe { self.text.write_to(self.buffer.start) };
        self.buffer.give_back();
    }
}

impl fmt::Debug for TextFill {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TextFill").field("length", &self.buffer.length).finish_non_exhaustive()
    }
}
