//! What may go wrong in a world, and how often. Each program has its own mixture, in which most of it is switched off.

use std::cell::{Cell, RefCell};

use super::world::World;

/// Codes from this one on are errors that were put in, each with a code of its own.
pub(super) const FIRST_CODE: i32 = 1000;

/// An error that was put in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Injected {
    pub(super) node: usize,
    /// It was a call that writes.
    pub(super) writes: bool,
    pub(super) told: u32,
    /// Somebody has been told of it, or of one before it.
    pub(super) settled: bool,
}

/// How often each fault happens, of 256 calls.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Reads and writes do only a part.
    pub(super) short: u8,
    /// `EINTR`.
    pub(super) interrupted: u8,
    /// A call takes microseconds, milliseconds or more than half a second.
    pub(super) slow: u8,
    pub(super) stuck: u8,
    /// Errors of reading, writing, and the rest.
    pub(super) read: u8,
    pub(super) write: u8,
    pub(super) seek: u8,
    pub(super) close: u8,
    pub(super) open: u8,
    /// The page cache has it not.
    pub(super) uncached: u8,
    /// The system has no thread to give: by chance, or altogether.
    pub(super) thread: u8,
    pub(super) no_thread: Cell<bool>,
    /// Descriptors at once.
    pub(super) descriptors: usize,
    /// Bytes that fit on the device.
    pub(super) space: usize,
    pub(super) spurious: bool,
    /// A thread was refused.
    pub(super) has_refused: Cell<bool>,
    /// At the end of a process the loop's thread may wait for the files that it closes.
    pub(super) loop_may_wait: Cell<bool>,
    pub(super) injected: RefCell<Vec<Injected>>,
}

impl Faults {
    /// A mixture.
    pub(super) fn new(mut mixture: u64) -> Self {
        let mut draw = |most: u64, of: u64| {
            let number = mixture % of;
            mixture /= of;
            if number < 2 { ((number + 1) * most / 2) as u8 } else { 0 }
        };
        Self {
            short: draw(128, 4),
            interrupted: draw(64, 4),
            slow: draw(64, 4),
            stuck: draw(6, 8),
            read: draw(20, 5),
            write: draw(48, 4),
            seek: draw(32, 6),
            close: draw(64, 6),
            open: draw(32, 6),
            uncached: draw(128, 3),
            thread: draw(128, 5),
            descriptors: if draw(1, 8) > 0 { 6 } else { 200 },
            space: if draw(1, 8) > 0 { 300_000 } else { usize::MAX },
            spurious: draw(2, 3) > 0,
            ..Self::default()
        }
    }

    pub(super) fn refuses_thread(&self, world: &World) -> bool {
        let refuses = self.no_thread.get() || world.chance(self.thread);
        self.has_refused.set(self.has_refused.get() || refuses);
        refuses
    }

    /// The code of a new error.
    pub(super) fn inject(&self, node: usize, writes: bool) -> i32 {
        let mut injected = self.injected.borrow_mut();
        injected.push(Injected { node, writes, told: 0, settled: false });
        if let Some(world) = super::world::world() {
            world.note(|| format!("error {}", FIRST_CODE + injected.len() as i32 - 1));
        }
        FIRST_CODE + injected.len() as i32 - 1
    }

    /// Somebody was told of an error.
    pub(super) fn told(&self, code: i32) -> Result<(), String> {
        let Ok(index) = usize::try_from(code - FIRST_CODE) else { return Ok(()) };
        let mut injected = self.injected.borrow_mut();
        let Some(error) = injected.get_mut(index) else {
            return Err(format!("an error {code} that nobody made"));
        };
        error.told += 1;
        if error.told > 1 {
            return Err(format!("the error {code} was told twice"));
        }
        // Where several went wrong before anybody could be told, it is told of the first.
        let node = error.node;
        for error in injected.iter_mut().filter(|error| error.node == node) {
            error.settled = true;
        }
        Ok(())
    }

    /// Everything that was written of a file is said to be with the kernel.
    pub(super) fn acknowledged(&self, node: usize) -> Result<(), String> {
        let injected = self.injected.borrow();
        let lost = injected.iter().position(|error| error.node == node && error.writes && !error.settled);
        lost.map_or(Ok(()), |index| {
            Err(format!("nobody was told of the error {}", FIRST_CODE + index as i32))
        })
    }
}
