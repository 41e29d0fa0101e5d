//! Open files whose locks the tasks ask for, and which may be closed at any time.

use std::sync::Arc;
use std::time::Duration;

use super::super::ground::native;
use super::super::user::User;
use super::{Task, Tasks, Wish};
use crate::handle::Handle;
use crate::outcome::Outcome;
use crate::path_operation::PathOperation;

/// The most that are open at once.
const OPEN: usize = 3;

/// An open file. It keeps its place when it has been closed.
pub(super) struct OpenFile<'a> {
    user: User<'a>,
    pub(super) file: usize,
    /// How often the file had been replaced when it was opened.
    pub(super) version: u64,
    closed: bool,
}

impl OpenFile<'_> {
    pub(super) fn handle(&self) -> Arc<Handle> {
        Arc::clone(&self.user.file.handle)
    }

    /// `None` if it is closed.
    pub(super) fn descriptor(&self) -> Option<i32> {
        if self.closed { None } else { self.user.file.handle.descriptor().ok().flatten() }
    }
}

impl Tasks<'_> {
    /// Those whose locks may be asked for: in a forked child not the inherited ones, which have their parent's.
    fn open_files(&self) -> Vec<usize> {
        let is_open = |index: &usize| !self.open[*index].closed && !self.is_inherited(*index);
        (0..self.open.len()).filter(is_open).collect()
    }

    /// One whose lock is asked for, or none.
    pub(super) fn draw_open_file(&self) -> Option<usize> {
        let open = self.open_files();
        if open.is_empty() || self.draw(2) == 0 { None } else { Some(open[self.draw(open.len())]) }
    }

    /// Whether it was a lock of an open file that has been closed.
    pub(super) fn is_closed(&self, wish: &Wish) -> bool {
        wish.through.is_some_and(|open| self.open[open].closed)
    }

    pub(super) fn open_one(&mut self) {
        if self.open.iter().filter(|open| !open.closed).count() >= OPEN || self.cancelled {
            return;
        }
        let file = self.draw(self.files);
        let (path, flags) = (native(&self.paths[file]), libc::O_RDWR | libc::O_CREAT);
        let operation = PathOperation::Open { path, flags, permissions: 0o666 };
        match self.consumer.run(operation) {
            None => {}
            Some(Ok(Outcome::Opened(opened))) => {
                let number = self.open.len();
                self.note(|| format!("file {file} is opened: {number}"));
                let user = User::of(self.consumer, *opened, true);
                let version = self.versions[file];
                self.open.push(OpenFile { user, file, version, closed: false });
            }
            Some(Ok(_)) => self.wrong("an open file is something else"),
            Some(Err(error)) => self.told(&error),
        }
    }

    /// Those that have not been closed, also inherited ones.
    fn not_closed(&self) -> Vec<usize> {
        (0..self.open.len()).filter(|index| !self.open[*index].closed).collect()
    }

    pub(super) fn close_one(&mut self) {
        let open = self.not_closed();
        if !open.is_empty() {
            self.close(open[self.draw(open.len())]);
        }
    }

    pub(super) fn close_all(&mut self) {
        self.not_closed().into_iter().for_each(|index| self.close(index));
    }

    /// What could not be unlocked is locked until the open file is closed.
    pub(super) fn close_what_is_not_unlocked(&mut self) {
        if matches!(self.consumer.trial().happened.get(), Some("flock" | "fcntl, lock")) {
            self.close_all();
        }
    }

    /// Closes one, or leaves it to be closed in the background. That releases its locks, and whoever waits for one of
    /// them is told.
    fn close(&mut self, index: usize) {
        let in_background = self.draw(3) == 0;
        self.note(|| format!("open file {index} is closed"));
        let Some(descriptor) = self.open[index].descriptor() else {
            // In a forked child: the parent was using it.
            self.open[index].closed = true;
            return self.abandon_descriptor(index);
        };
        // For as long as a forked child has it, it is locked.
        self.children.iter_mut().for_each(|child| child.close(descriptor));
        let handle = self.open[index].handle();
        let trial = self.consumer.trial();
        trial.closing.set(Some(descriptor));
        // Whoever has no thread to close it with still has the lock.
        let ended = trial.ended.replace(true);
        let closed = if in_background { None } else { self.open[index].user.close() };
        if closed.is_none() {
            handle.close_in_background();
            for _ in 0..1_000 {
                if trial.closing.get().is_none() {
                    break;
                }
                self.consumer.world().sleep(Duration::from_millis(1));
            }
        }
        trial.ended.set(ended);
        if trial.closing.get().is_some() && handle.is_usable() {
            self.wrong("a file is not closed");
        }
        self.open[index].closed = true;
        if let Some(Err(error)) = &closed {
            self.told(error);
        }
        for task in &mut self.tasks {
            let is_its = |wish: &Wish| wish.through == Some(index);
            match std::mem::replace(task, Task::Idle) {
                Task::Holding(held, had) if is_its(&had.wish) => {
                    self.freed.push((had.file, had.wish, self.moment));
                    *task = Task::HoldingNothing(held);
                }
                other => *task = other,
            }
        }
    }
}
