//! Folders on a real file system, of whose locks no child has copies.

use std::io;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What there is.
struct Present {
    folders: usize,
    /// Children that are to be started.
    children: usize,
}

static PRESENT: Mutex<Present> = Mutex::new(Present { folders: 0, children: 0 });
static CHANGED: Condvar = Condvar::new();

fn present() -> MutexGuard<'static, Present> {
    PRESENT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn when(
    holds: impl Fn(&Present) -> bool,
    present: MutexGuard<'static, Present>,
) -> MutexGuard<'static, Present> {
    CHANGED.wait_while(present, |present| !holds(present)).unwrap_or_else(PoisonError::into_inner)
}

/// A folder where a simulation finds its files: in memory, where that is possible.
pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn in_memory() -> Self {
        // Who has one already must not wait for a child that waits for its end.
        when(|present| present.children == 0 || present.folders > 0, present()).folders += 1;
        let memory = Path::new("/dev/shm");
        Self(if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap())
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        present().folders -= 1;
        CHANGED.notify_all();
    }
}

/// Starts a child while there is no folder. Between fork(2) and execve(2) it has copies of all descriptors, so that a file
/// that is closed meanwhile stays locked (flock(2)).
pub(crate) fn start_child(command: &mut Command) -> io::Result<Child> {
    let mut present = present();
    present.children += 1;
    let mut present = when(|present| present.folders == 0, present);
    let child = command.spawn();
    present.children -= 1;
    CHANGED.notify_all();
    child
}
