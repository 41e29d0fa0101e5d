//! What is asked for.

use crate::lock::{Extent, Mode};

/// What somebody asks for, or has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) file: usize,
    pub(super) mode: Mode,
    pub(super) extent: Extent,
    /// The open file whose lock it is.
    pub(super) through: Option<usize>,
}

impl Wish {
    pub(super) fn conflicts(&self, other: &Self) -> bool {
        let end = |start: u64, length: u64| if length == 0 { u64::MAX } else { start + length };
        let meets = match (self.extent, other.extent) {
            (Extent::Whole, Extent::Whole) => true,
            (Extent::Range { start, length }, Extent::Range { start: other, length: other_length }) => {
                start < end(other, other_length) && other < end(start, length)
            }
            _ => false,
        };
        let exclusive = self.mode == Mode::Exclusive || other.mode == Mode::Exclusive;
        // An open file has one lock for the kernel.
        let same = self.through.is_some() && self.through == other.through;
        self.file == other.file && meets && (exclusive || same)
    }
}
