//! The end of a handle that nobody has closed: what is buffered is written, and the file is closed, in the background.

use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::job;
use super::turn::Handle;
use super::writer::Writer;
use crate::engine::Engine;
use crate::error::{About, Subject};
use crate::platform;

/// How many are under way in this process.
static UNDER_WAY: Mutex<usize> = Mutex::new(0);
static NONE_LEFT: Condvar = Condvar::new();

/// What is left of a handle.
pub(super) struct Burial {
    handle: Arc<Handle>,
    file: Option<File>,
    close: bool,
    writer: Writer,
}

impl Burial {
    pub(super) fn new(handle: Arc<Handle>, file: File, close: bool, writer: Writer) -> Self {
        *under_way() += 1;
        Self { handle, file: Some(file), close, writer }
    }

    /// Writes and closes in another thread.
    pub(super) fn begin(self) {
        Engine::current().spawn(move || drop(self));
    }
}

impl Drop for Burial {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            let earlier = self.writer.error.take();
            let written = job::drain(&file, &mut self.writer);
            let closed =
                if self.close { platform::close(file) } else { platform::into_descriptor(file).map(drop) };
            // Whoever closes it once more is told of an error; else there is nobody to be told.
            self.handle.buried(earlier.or(written.and(closed).about(Subject::Nothing).err()));
        }
        *under_way() -= 1;
        NONE_LEFT.notify_all();
    }
}

fn under_way() -> std::sync::MutexGuard<'static, usize> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until all that was left unclosed has been closed, at most for so long. For the end of the process.
pub fn wait_for_burials(most: Duration) {
    let _ = NONE_LEFT.wait_timeout_while(under_way(), most, |left| *left > 0);
}
