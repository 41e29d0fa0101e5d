//! Sequences: several operations in one turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::handle::driver::{Advance, FileOperation};
use crate::handle::file::HandleFile;
use crate::handle::guard::Guard;
use crate::handle::reply::Reply;
use crate::handle::sink::{Fallible, Sink};
use crate::handle::trace::Unread;

/// Several operations in one turn: no other operation runs between them.
pub struct Sequence<S: Sink> {
    name: &'static str,
    operations: std::vec::IntoIter<Box<dyn FileOperation<S>>>,
    current: Option<Box<dyn FileOperation<S>>>,
    /// The number of completed ones, to find out which has failed.
    done: Arc<AtomicUsize>,
}

impl<S: Sink> Sequence<S> {
    /// A sequence of these. `done`: incremented with each that completes.
    pub fn new(
        name: &'static str,
        operations: Vec<Box<dyn FileOperation<S>>>,
        done: Arc<AtomicUsize>,
    ) -> Self {
        let mut operations = operations.into_iter();
        let current = operations.next();
        Self { name, operations, current, done }
    }
}

impl<S: Sink> FileOperation<S> for Sequence<S> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn advance(
        &mut self,
        context: S::Context<'_>,
        file: &HandleFile<S>,
        guard: &mut Guard<'_>,
        reply: Option<Reply>,
    ) -> Fallible<S, Advance<S>> {
        let Some(current) = &mut self.current else { return Ok(Advance::Done(S::nothing(context))) };
        match current.advance(context, file, guard, reply)? {
            Advance::Done(_) => {
                self.done.fetch_add(1, Ordering::Relaxed);
                self.current = self.operations.next();
                Ok(if self.current.is_none() { Advance::Done(S::nothing(context)) } else { Advance::Next })
            }
            step => Ok(step),
        }
    }

    fn unread(&mut self) -> Option<Unread> {
        self.current.as_mut()?.unread()
    }

    fn call(&mut self, context: S::Context<'_>, guard: &mut Guard<'_>) -> Fallible<S, ()> {
        self.current.as_mut().map_or(Ok(()), |current| current.call(context, guard))
    }
}
