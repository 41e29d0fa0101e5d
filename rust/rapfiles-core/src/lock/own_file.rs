//! A file that is open for the sake of its lock alone.

use std::mem;

use super::claim::Extent;
use super::inherited::{self, Place};
use super::lock_file::Identity;
use crate::engine::Process;
use crate::platform::{self, File};

/// A file that is open for the sake of its lock alone. A forked child closes it, and cannot release its parent's lock.
#[derive(Debug)]
pub(crate) struct OwnFile {
    /// `None` once it has been closed.
    file: Option<File>,
    process: Process,
    /// Where a forked child finds it.
    place: Option<&'static Place>,
}

impl OwnFile {
    /// The file, unless a fork has come between, whose child has it too and does not know of it. `forks`: those before it
    /// was opened.
    pub(crate) fn new(file: File, identity: Identity, forks: Option<u32>) -> Option<Self> {
        let place = platform::inheritable_descriptor(&file).map(|descriptor| Place::of(descriptor, identity));
        let own = Self { file: Some(file), process: Process::current(), place };
        (forks.is_some() && inherited::forks() == forks).then_some(own)
    }

    /// The open file.
    pub(crate) fn get(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// Whether it was opened in the process that this one was forked from.
    fn is_inherited(&self) -> bool {
        self.process != Process::current()
    }

    /// Unlocks and closes it, which may take as long as the file system does.
    pub(crate) fn close(&mut self, locked: Option<Extent>) {
        let Some(file) = self.file.take() else { return };
        if self.is_inherited() {
            // It was closed when the process was forked (`inherited::in_child`), and its number may be another file's.
            mem::forget(file);
            return;
        }
        if let Some(extent) = locked {
            // Closing releases it as well, unless a child process has the description.
            let _ = platform::unlock(&file, extent);
        }
        // Before it is closed, because its number may be another file's afterwards.
        if let Some(place) = self.place.take() {
            place.release();
        }
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        self.close(None);
    }
}
