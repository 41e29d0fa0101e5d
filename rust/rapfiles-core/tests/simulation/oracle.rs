//! What a file has to have, and what an operation on it has to yield.

use std::rc::Rc;
use std::sync::Arc;

use super::files::{Content, overwrite};
use super::text::Place;
use super::world::World;
use crate::handle::{Guard, Handle};

/// Bytes to be written: no two places of it look alike.
pub(super) static PATTERN: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
    (0..(6_u64 << 20) / 8).flat_map(|number| super::world::mix(number).to_le_bytes()).collect()
});

/// What was written last, in the pattern, where it is not known how much of it has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Partial {
    pub(super) at: usize,
    pub(super) bytes: &'static [u8],
}

/// A file, as its user sees it.
#[derive(Debug)]
pub(super) struct Oracle {
    pub(super) node: usize,
    pub(super) content: Content,
    pub(super) position: usize,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) append: bool,
    pub(super) pipe: bool,
    /// It is not known what an operation that failed or was given up has done.
    pub(super) uncertain: bool,
    /// Nor will it be: bytes of a FIFO are gone.
    pub(super) blind: bool,
    pub(super) partial: Option<Partial>,
    /// Writes at an offset that are under way, and whether one was given up.
    pub(super) beside: usize,
    pub(super) beside_given_up: bool,
    /// Of a text file: more may have been decoded than its user has read …
    pub(super) decoded: bool,
    /// … and something was written behind that, perhaps in the middle of a character.
    pub(super) mixed: bool,
    /// What `tell()` has said of it.
    pub(super) places: Vec<Place>,
}

type Result = std::result::Result<(), String>;

impl Oracle {
    /// That of a file at its start, which can be read only.
    pub(super) fn new(node: usize, content: Content) -> Self {
        Self {
            node,
            content,
            position: 0,
            readable: true,
            writable: false,
            append: false,
            pipe: false,
            uncertain: false,
            blind: false,
            partial: None,
            beside: 0,
            beside_given_up: false,
            decoded: false,
            mixed: false,
            places: Vec::new(),
        }
    }

    /// Finds out what an operation has done, as soon as nothing is under way.
    pub(super) fn resolve(&mut self, world: &Rc<World>, handle: &Arc<Handle>, guard: &Guard<'_>) -> Result {
        // One that was given up may be under way still.
        let beside = self.beside > 0 || (self.beside_given_up && guard.has_positional());
        if self.blind || !self.uncertain || beside || !guard.is_written() || guard.is_closed() {
            return Ok(());
        }
        // It has ended since the operation looked, which may have what was there before.
        if self.beside_given_up && handle.is_stale() {
            return Ok(());
        }
        let Ok(Some(descriptor)) = handle.descriptor() else { return Ok(()) };
        let mut files = world.files.borrow_mut();
        let Ok(position) = files.get(descriptor).map(|open| open.position as usize) else { return Ok(()) };
        let content = &files.nodes[self.node].content;
        let position = position.saturating_sub(guard.available().len());
        if let Some(Partial { at, bytes }) = self.partial.take() {
            let end = if self.append { content.len() } else { position };
            let count = end.saturating_sub(at);
            let mut expected = self.content.clone();
            if count > 0 {
                overwrite(&mut expected, at, bytes.get(..count).ok_or("more was written than there was")?);
            }
            if expected != *content {
                return Err("a part of a write is neither all nor a beginning of it".to_owned());
            }
        }
        if self.pipe {
            self.content = [guard.available(), content].concat().into();
            self.position = 0;
        } else {
            self.content.clone_from(content);
            self.position = position;
        }
        self.uncertain = false;
        Ok(())
    }

    /// Something was done to a file of which it is not known what it has or where the user is: how much of an earlier write
    /// has come cannot be told from that any more.
    pub(super) fn done_blindly(&mut self) -> bool {
        if self.uncertain {
            self.partial = None;
        }
        self.uncertain
    }

    /// Bytes were read. `most`: so many were wanted. `all`: fewer come only at the end.
    pub(super) fn read(&mut self, bytes: &[u8], most: usize, all: bool) -> Result {
        if self.done_blindly() {
            return Ok(());
        }
        let rest = self.content.get(self.position..).unwrap_or_default();
        let wanted = most.min(rest.len());
        if bytes.len() > wanted || (all && bytes.len() < wanted && !self.pipe) {
            return Err(format!("{} bytes were read, not {wanted}", bytes.len()));
        }
        if bytes.is_empty() && wanted > 0 && !self.pipe {
            return Err("nothing was read, and there is something".to_owned());
        }
        if bytes != &rest[..bytes.len()] {
            let other = bytes.iter().zip(rest).position(|(one, other)| one != other);
            return Err(format!("other bytes were read at {} + {other:?}", self.position));
        }
        self.position += bytes.len();
        Ok(())
    }

    /// Some bytes were seen, which are still to be read.
    pub(super) fn peeked(&mut self, bytes: &[u8], most: usize) -> Result {
        let position = self.position;
        self.read(bytes, most, false)?;
        self.position = position;
        Ok(())
    }

    /// Lines of a file whose characters have `width` bytes were read, up to more than `hint` characters, or all.
    pub(super) fn read_lines<'a>(
        &mut self,
        lines: impl Iterator<Item = std::borrow::Cow<'a, [u8]>>,
        hint: Option<usize>,
        width: usize,
    ) -> Result {
        let (mut left, mut enough) = (hint, false);
        for line in lines {
            if enough {
                return Err("more lines were read than were wanted".to_owned());
            }
            if line.is_empty() {
                return Err("a line is empty".to_owned());
            }
            self.read_line(&line, None, width)?;
            let length = line.len() / width;
            enough = left.is_some_and(|left| length > left);
            left = left.map(|left| left.saturating_sub(length));
        }
        if !enough && !self.is_at_end() {
            return Err("fewer lines were read than there are".to_owned());
        }
        Ok(())
    }

    /// A line was read, up to `limit` characters of it, of so many bytes each.
    pub(super) fn read_line(&mut self, bytes: &[u8], limit: Option<usize>, width: usize) -> Result {
        if self.done_blindly() {
            return Ok(());
        }
        let rest = self.content.get(self.position..).unwrap_or_default();
        let line = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + width);
        self.read(bytes, line.min(limit.unwrap_or(usize::MAX).saturating_mul(width)), true)
    }

    /// Whether there may be nothing more to be read.
    pub(super) fn is_at_end(&self) -> bool {
        self.uncertain || self.pipe || self.position >= self.content.len()
    }

    /// The user of a text file has moved to this place, or to its end: everything was written before. `decoded`: what comes
    /// before the place had to be decoded.
    pub(super) fn moved(&mut self, world: &World, place: Option<usize>, decoded: bool) {
        self.decoded = decoded;
        if self.uncertain && !self.mixed {
            self.content.clone_from(&world.files.borrow().nodes[self.node].content);
            (self.uncertain, self.blind, self.partial) = (false, false, None);
        }
        self.position = place.unwrap_or(self.content.len());
    }

    /// Nobody but the decoder knows where its user is.
    pub(super) fn lost(&mut self) {
        (self.uncertain, self.blind) = (true, true);
    }

    /// Bytes were accepted.
    pub(super) fn written(&mut self, bytes: &[u8]) {
        if self.done_blindly() {
            return;
        }
        let at = if self.append { self.content.len() } else { self.position };
        if bytes.is_empty() {
            return;
        }
        overwrite(&mut self.content, at, bytes);
        self.position = at + bytes.len();
    }

    /// It is not known whether bytes were written.
    pub(super) fn perhaps_written(&mut self, bytes: &'static [u8]) {
        let at = if self.append { self.content.len() } else { self.position };
        self.partial = (!self.uncertain).then_some(Partial { at, bytes });
        self.uncertain = true;
    }

    /// The kernel has everything. `closed`: that is, all that was ever begun.
    pub(super) fn flushed(&self, world: &World, closed: bool) -> Result {
        // Of an error of a write at an offset it is told where that ends, or where it was given up, by a later call.
        if self.beside == 0 && (closed || !self.beside_given_up) {
            world.faults.acknowledged(self.node)?;
        }
        if !self.uncertain && !self.pipe && world.files.borrow().nodes[self.node].content != self.content {
            let files = world.files.borrow();
            let content = &files.nodes[self.node].content;
            let other = content.iter().zip(&*self.content).position(|(one, other)| one != other);
            return Err(format!(
                "the file has {} bytes, and other ones from {other:?} on than the {} that were acknowledged",
                content.len(),
                self.content.len()
            ));
        }
        Ok(())
    }
}
