//! Closing a handle in the background after its owner dropped it: the buffer is written, and the file is closed.

use std::sync::Arc;
use std::time::Duration;

use super::file_io;
use super::handle::Handle;
use super::writer::Writer;
use crate::engine::Engine;
use crate::engine::queue::Detached;
use crate::engine::runtime::sync::{Mutex, MutexGuard};
use crate::engine::runtime::{self, Condition};
use crate::error::{About, Subject};
use crate::platform::File;

/// The number of running background closes. It belongs to the engine, so that a forked child, which gets a new engine,
/// does not wait for files that its parent is closing.
#[derive(Debug, Default)]
pub(crate) struct BackgroundCloses {
    under_way: Mutex<usize>,
    none_left: Condition,
}

impl BackgroundCloses {
    fn under_way(&self) -> MutexGuard<'_, usize> {
        runtime::lock(&self.under_way)
    }

    /// Waits until there are none, for at most this long.
    pub(crate) fn wait(&self, most: Duration) {
        let until = runtime::now() + most;
        let mut under_way = self.under_way();
        while *under_way > 0 {
            let left = until.saturating_duration_since(runtime::now());
            if left.is_zero() {
                return;
            }
            under_way = self.none_left.wait(&self.under_way, under_way, left).0;
        }
    }
}

/// The remains of a handle: what has to be written and closed.
pub(super) struct BackgroundClose {
    engine: Arc<Engine>,
    handle: Arc<Handle>,
    file: Option<Arc<File>>,
    writer: Writer,
}

impl BackgroundClose {
    pub(super) fn new(handle: Arc<Handle>, file: Arc<File>, writer: Writer) -> Self {
        let engine = handle.engine().share();
        *engine.background_closes.under_way() += 1;
        Self { engine, handle, file: Some(file), writer }
    }

    /// Writes and closes in another thread.
    pub(super) fn begin(self: Box<Self>) {
        let (engine, lane) = (Arc::clone(&self.engine), self.handle.info.lane);
        let closes = Some(Arc::clone(&self.handle));
        let work = Box::new(move || drop(self));
        engine.pool().spawn(lane, Detached { work, closes });
    }
}

impl Drop for BackgroundClose {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            let earlier = self.writer.error.take();
            let written = file_io::drain(&file, &mut self.writer);
            debug_assert_eq!(Arc::strong_count(&file), 1, "somebody uses a file that is being closed");
            let closed = self.handle.close_file(Arc::into_inner(file));
            // An error is raised if the file is closed once more; otherwise there is nobody to report it to.
            self.handle.closed_in_background(earlier.or(written.and(closed).about(Subject::Nothing).err()));
        }
        *self.engine.background_closes.under_way() -= 1;
        self.engine.background_closes.none_left.notify_all();
    }
}
