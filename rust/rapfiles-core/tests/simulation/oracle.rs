//! What a file has to have, and what an operation on it has to yield.

use std::rc::Rc;
use std::sync::Arc;

use super::files::{Content, overwrite};
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
}

type Result = std::result::Result<(), String>;

impl Oracle {
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

    /// A line was read, up to `limit` bytes of it.
    pub(super) fn read_line(&mut self, bytes: &[u8], limit: Option<usize>) -> Result {
        if self.done_blindly() {
            return Ok(());
        }
        let rest = self.content.get(self.position..).unwrap_or_default();
        let line = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        let wanted = line.min(limit.unwrap_or(usize::MAX));
        self.read(bytes, wanted, true)
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
