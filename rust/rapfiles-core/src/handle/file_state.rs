//! The life of a handle's file, from open to closed. The states are left by one method each, under the handle's lock; the
//! table in `docs/explanation/design.md` shows who calls it.

use std::sync::Arc;

use crate::engine::ticket::Ticket;
use crate::platform::File;

/// The state of a handle's file. Each owns what may be used in it.
#[derive(Default)]
pub(super) enum FileState {
    /// It is open, and has an owner.
    Open(UsableFile),
    /// Its owner has dropped it. The turn's holder finishes first: otherwise its operation would fail with a closed file.
    Left(UsableFile),
    /// The turn's holder, or its worker, is closing it, and nobody else uses it. `left`: its owner has dropped it, which
    /// matters if it is not closed after all.
    Closing { file: Arc<File>, left: bool },
    /// It counts as closed, and is closed in the background as soon as nobody uses it.
    Due(UsableFile, CloseWaiters),
    /// It is being closed in the background.
    InBackground(CloseWaiters),
    /// It has been closed, or the caller has taken the descriptor, or a worker has taken the file to close it.
    #[default]
    Closed,
}

/// A file that positional operations may be using.
pub(super) struct UsableFile {
    file: Arc<File>,
    /// The number of running positional operations.
    positional: usize,
    /// The operation that waits for their end.
    waiter: Option<Arc<Ticket>>,
}

/// The operations that wait for the background close.
#[derive(Default)]
pub(super) struct CloseWaiters {
    tickets: Vec<Arc<Ticket>>,
    /// Whether the turn's holder is one of them, and does not use the file.
    has_turn: bool,
}

impl FileState {
    /// Open; closed without a file.
    pub(super) fn new(file: Option<Arc<File>>) -> Self {
        file.map_or(Self::Closed, |file| Self::Open(UsableFile::new(file)))
    }

    /// Whether operations fail because it is closed, or will be.
    pub(super) fn is_closed(&self) -> bool {
        !matches!(self, Self::Open(_) | Self::Left(_))
    }

    /// Whether its owner need not close it any more.
    pub(super) fn is_left(&self) -> bool {
        !matches!(self, Self::Open(_))
    }

    /// Whether it is being closed in the background, or will be.
    pub(super) fn awaits_background(&self) -> bool {
        matches!(self, Self::Due(..) | Self::InBackground(_))
    }

    /// Whether it is being closed in the background.
    pub(super) fn is_in_background(&self) -> bool {
        matches!(self, Self::InBackground(_))
    }

    /// Whether it is to be closed in the background, and no positional operation uses it.
    pub(super) fn is_due(&self) -> bool {
        matches!(self, Self::Due(usable, _) if usable.positional == 0)
    }

    /// The file, as long as there is one.
    pub(super) fn file(&self) -> Option<&Arc<File>> {
        match self {
            Self::Open(usable) | Self::Left(usable) | Self::Due(usable, _) => Some(&usable.file),
            Self::Closing { file, .. } => Some(file),
            Self::InBackground(_) | Self::Closed => None,
        }
    }

    /// The file, when the handle is dropped.
    pub(super) fn into_file(self) -> Option<Arc<File>> {
        match self {
            Self::Open(usable) | Self::Left(usable) | Self::Due(usable, _) => Some(usable.file),
            Self::Closing { file, .. } => Some(file),
            Self::InBackground(_) | Self::Closed => None,
        }
    }

    /// The file, for those who begin to use it.
    pub(super) fn open_file(&self) -> Option<&Arc<File>> {
        self.file().filter(|_| !self.is_closed())
    }

    // Positional operations.

    fn usable(&self) -> Option<&UsableFile> {
        match self {
            Self::Open(usable) | Self::Left(usable) | Self::Due(usable, _) => Some(usable),
            Self::Closing { .. } | Self::InBackground(_) | Self::Closed => None,
        }
    }

    fn usable_mut(&mut self) -> Option<&mut UsableFile> {
        match self {
            Self::Open(usable) | Self::Left(usable) | Self::Due(usable, _) => Some(usable),
            Self::Closing { .. } | Self::InBackground(_) | Self::Closed => None,
        }
    }

    /// Whether positional operations are running.
    pub(super) fn is_in_use(&self) -> bool {
        self.usable().is_some_and(|usable| usable.positional > 0)
    }

    /// The file for a positional operation, which has to call `end_use`; `None` if it is closed.
    pub(super) fn begin_use(&mut self) -> Option<Arc<File>> {
        match self {
            Self::Open(usable) | Self::Left(usable) => {
                usable.positional += 1;
                Some(Arc::clone(&usable.file))
            }
            _ => None,
        }
    }

    /// Ends what `begin_use` has begun; if it was the last one, returns who waits for that.
    pub(super) fn end_use(&mut self) -> Option<Arc<Ticket>> {
        let usable = self.usable_mut();
        debug_assert!(usable.is_some(), "it was closed while a positional operation was using it");
        let usable = usable?;
        usable.positional -= 1;
        if usable.positional == 0 { usable.waiter.take() } else { None }
    }

    /// Lets the turn's holder wait for the end of the positional operations; `false` if there are none.
    pub(super) fn await_end_of_use(&mut self, ticket: &Arc<Ticket>) -> bool {
        match self.usable_mut().filter(|usable| usable.positional > 0) {
            Some(usable) => {
                usable.waiter = Some(Arc::clone(ticket));
                true
            }
            None => false,
        }
    }

    /// The turn's holder does not wait any more.
    pub(super) fn stop_waiting(&mut self) {
        if let Some(usable) = self.usable_mut() {
            usable.waiter = None;
        }
    }

    // Closing in the turn.

    /// Open or left → closing, by the turn's holder; `false`, and no change, while positional operations are running or if
    /// it is closed.
    pub(super) fn begin_closing(&mut self) -> bool {
        match std::mem::take(self) {
            Self::Open(UsableFile { file, positional: 0, .. }) => {
                *self = Self::Closing { file, left: false };
            }
            Self::Left(UsableFile { file, positional: 0, .. }) => {
                *self = Self::Closing { file, left: true };
            }
            other => {
                *self = other;
                return false;
            }
        }
        true
    }

    /// Closing → open or left, if it has not been closed: the worker's task was never begun. Otherwise no change.
    pub(super) fn give_up_closing(&mut self) {
        *self = match std::mem::take(self) {
            Self::Closing { file, left: false } => Self::Open(UsableFile::new(file)),
            Self::Closing { file, left: true } => Self::Left(UsableFile::new(file)),
            other => other,
        };
    }

    /// Open, left or closing → closed, by the turn's holder or its worker, who gets the file. `None`, and no change, while
    /// positional operations are running or if it is closed.
    pub(super) fn take(&mut self) -> Option<Arc<File>> {
        match std::mem::take(self) {
            Self::Open(UsableFile { file, positional: 0, .. })
            | Self::Left(UsableFile { file, positional: 0, .. })
            | Self::Closing { file, .. } => Some(file),
            other => {
                *self = other;
                None
            }
        }
    }

    // Closing in the background.

    /// Open → left or, `at_once`, → due, because its owner has dropped it. Returns whether it has to be closed for that;
    /// `false`, and no change, if it has been dropped or closed before.
    pub(super) fn leave(&mut self, at_once: bool) -> bool {
        *self = match std::mem::take(self) {
            Self::Open(usable) if at_once => Self::Due(usable, CloseWaiters::default()),
            Self::Open(usable) => Self::Left(usable),
            Self::Closing { file, left: false } => Self::Closing { file, left: true },
            other => {
                *self = other;
                return false;
            }
        };
        true
    }

    /// Left → due: the turn is passed on. Nor does the one who had it wait for the background close in a turn any more.
    pub(super) fn pass_on(&mut self) {
        *self = match std::mem::take(self) {
            Self::Left(usable) => Self::Due(usable, CloseWaiters::default()),
            Self::Due(usable, waiters) => Self::Due(usable, waiters.without_turn()),
            Self::InBackground(waiters) => Self::InBackground(waiters.without_turn()),
            other => other,
        };
    }

    /// Lets the turn's holder, which does not use the file any more, wait for the background close; `false` if there is
    /// none to wait for.
    pub(super) fn await_background(&mut self, ticket: &Arc<Ticket>) -> bool {
        let (Self::Due(_, waiters) | Self::InBackground(waiters)) = self else { return false };
        waiters.tickets.push(Arc::clone(ticket));
        waiters.has_turn = true;
        true
    }

    /// Whether the turn's holder waits for the background close.
    pub(super) fn is_awaited_in_turn(&self) -> bool {
        matches!(self, Self::Due(_, waiters) | Self::InBackground(waiters) if waiters.has_turn)
    }

    /// Due → being closed in the background, by the caller, who gets the file. `None`, and no change, in another state.
    pub(super) fn begin_background(&mut self) -> Option<Arc<File>> {
        match std::mem::take(self) {
            Self::Due(UsableFile { file, positional: 0, .. }, waiters) => {
                *self = Self::InBackground(waiters);
                Some(file)
            }
            other => {
                *self = other;
                None
            }
        }
    }

    /// Being closed in the background → closed. Returns who waits for that.
    pub(super) fn end_background(&mut self) -> Vec<Arc<Ticket>> {
        let before = std::mem::take(self);
        debug_assert!(before.is_in_background(), "it was not being closed in the background");
        if let Self::InBackground(waiters) = before { waiters.tickets } else { Vec::new() }
    }

    /// Takes the tickets that wait for the background close: there is no thread for it.
    pub(super) fn take_close_waiters(&mut self) -> Vec<Arc<Ticket>> {
        match self {
            Self::Due(_, waiters) | Self::InBackground(waiters) => std::mem::take(&mut waiters.tickets),
            _ => Vec::new(),
        }
    }
}

impl UsableFile {
    fn new(file: Arc<File>) -> Self {
        Self { file, positional: 0, waiter: None }
    }
}

impl CloseWaiters {
    fn without_turn(self) -> Self {
        Self { has_turn: false, ..self }
    }
}

#[cfg(all(test, target_os = "linux", not(loom)))]
impl FileState {
    /// Why the state cannot be, if nobody has the lock. `wanted`, `has_turn`: whether passing the turn on takes a look at it,
    /// and whether anybody has the turn.
    pub(super) fn broken(&self, has_turn: bool, wanted: bool, writing: bool) -> Option<&'static str> {
        match self {
            Self::Open(usable) | Self::Left(usable) | Self::Due(usable, _)
                if usable.waiter.is_some() && usable.positional == 0 =>
            {
                Some("somebody waits for positional operations that are over")
            }
            Self::Left(_) if !wanted => Some("nobody will close a file that its owner has dropped"),
            Self::Due(usable, _) if usable.positional == 0 && !writing && !wanted => {
                Some("nobody will close a file that nobody uses")
            }
            Self::Closing { .. } if !has_turn => Some("a file is being closed, and nobody has the turn"),
            Self::Closing { .. } | Self::InBackground(_) | Self::Closed if writing => {
                Some("a writer is at work on a file that is being closed")
            }
            Self::Due(_, waiters) | Self::InBackground(waiters) if waiters.has_turn && !wanted => {
                Some("who waits for the background close passes the turn on without a word")
            }
            _ => None,
        }
    }
}
