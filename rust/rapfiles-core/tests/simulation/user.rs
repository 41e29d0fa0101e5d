//! An open file on the real file system, and whoever uses it.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::consumer::Consumer;
use super::files::Content;
use super::oracle::Oracle;
use super::sink::{Context, Scene, Simulated};
use crate::error::Error;
use crate::handle::{Driver, Failure, FileOperation, Handle, HandleFile, OpenedFile, ops};

/// An oracle that nobody asks.
fn nobody() -> Oracle {
    let nothing = Oracle::new(usize::MAX, Content::default());
    Oracle { readable: false, writable: true, blind: true, ..nothing }
}

/// An open file, and whoever uses it.
pub(super) struct User<'a> {
    pub(super) consumer: &'a Consumer,
    context: Context,
    oracle: RefCell<Oracle>,
    pub(super) file: HandleFile<Simulated>,
}

impl<'a> User<'a> {
    pub(super) fn of(consumer: &'a Consumer, opened: OpenedFile, readable: bool) -> Self {
        Self {
            consumer,
            context: Context { world: consumer.world(), kept: Arc::new(()) },
            oracle: RefCell::new(nobody()),
            file: HandleFile::new(Handle::new(opened, None), readable, true),
        }
    }

    /// Does something with the file; `None` if that is given up.
    pub(super) fn run(&self, operation: Box<dyn FileOperation<Simulated>>) -> Option<Result<(), Error>> {
        let mut driver = Driver::new(operation);
        let had_turn = Cell::new(false);
        let scene = Scene { context: &self.context, oracle: &self.oracle, had_turn: &had_turn };
        let done = self.consumer.next(|| driver.advance(scene, &self.file));
        if done.is_none() {
            driver.abandon(&self.file);
        }
        done.map(|done| match done {
            Ok(_) => Ok(()),
            Err(Failure::Error(error)) => Err(error),
            Err(_) => self.consumer.wrong("an operation on the file is refused"),
        })
    }

    pub(super) fn close(&self) -> Option<Result<(), Error>> {
        self.run(Box::new(ops::Close::default()))
    }
}
