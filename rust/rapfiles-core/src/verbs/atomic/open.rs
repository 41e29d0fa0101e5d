//! Files that are written through a handle and take the place of another one when they are complete.

use std::sync::Arc;

use super::options::AtomicOptions;
use super::staged::Staged;
use crate::engine::lane::Lane;
use crate::engine::{Engine, runtime};
use crate::error::{About, Error};
use crate::handle::{self, OpenedFile};
use crate::platform::{self, NativePath};

/// A file that is to take the place of another one, between the operations on it. If it is dropped, a worker discards
/// it.
#[derive(Debug)]
pub struct StagedFile {
    engine: Arc<Engine>,
    path: NativePath,
    staged: Option<Staged>,
}

impl StagedFile {
    /// The path of the file that it replaces, as the operation was asked for it.
    pub(crate) fn path(&self) -> &NativePath {
        &self.path
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if let Some(staged) = self.staged.take()
            && !runtime::in_worker()
        {
            // Removing and closing a file may wait.
            self.engine.here().spawn(Lane::Unknown, move || drop(staged));
        }
    }
}

/// Creates the file, and opens it for a handle. Both have the same open file, so that an error that is reported to one of
/// them is known to the other (`fsync(2)`: errors are kept for each open file description).
pub(crate) fn open(
    engine: &Engine,
    path: &NativePath,
    options: AtomicOptions,
) -> Result<(OpenedFile, StagedFile), Error> {
    let staged = Staged::begin(path, options)?;
    let file = platform::duplicate(staged.file().about_path()?).about_path()?;
    let mut opened = handle::examine(engine, file, true, None)?;
    opened.info.of_parent = true;
    let staged = StagedFile { engine: engine.share(), path: path.clone(), staged: Some(staged) };
    Ok((opened, staged))
}

/// Completes the file, which is not written to any more, and gives it its name.
pub(crate) fn commit(mut file: StagedFile) -> Result<(), Error> {
    file.staged.take().map_or(Ok(()), |staged| staged.finish(None))
}
