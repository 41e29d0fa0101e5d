//! Opening files for handles.

use std::sync::Arc;

use super::file_info::FileInfo;
use crate::cached;
use crate::engine::Engine;
use crate::error::{About, Error, Subject};
use crate::platform::{self, File, NativePath};

/// A file that has just been opened. If it is dropped, a worker closes it.
#[derive(Debug)]
pub struct OpenedFile {
    engine: Arc<Engine>,
    file: Option<File>,
    /// Whether the descriptor has to be closed with the file.
    close: bool,
    /// Its properties.
    pub info: FileInfo,
}

impl OpenedFile {
    pub(crate) fn new(engine: &Engine, file: File, close: bool, info: FileInfo) -> Self {
        Self { engine: engine.share(), file: Some(file), close, info }
    }

    /// The engine that it was opened in.
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Moves the position to the end, as `io.open` does for appending. If that fails, writes still go there
    /// (`O_APPEND`).
    fn move_to_end(&mut self) {
        if let Some(file) = self.file.as_ref().filter(|_| self.info.seekable) {
            let end = platform::seek(file, 0, platform::FROM_END);
            self.info.at_start = end.is_ok_and(|end| end == 0);
        }
    }

    /// Takes the file, and whether it has to be closed.
    pub(crate) fn take(mut self) -> (Option<File>, bool) {
        (self.file.take(), self.close)
    }
}

impl Drop for OpenedFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            if self.close {
                self.engine.close(file);
            } else {
                let _ = platform::into_descriptor(file);
            }
        }
    }
}

/// Opens a file as `io.open` does; a directory is refused.
pub(crate) fn open(
    engine: &Engine,
    path: &NativePath,
    flags: i32,
    permissions: u32,
) -> Result<OpenedFile, Error> {
    let file = platform::open_file(path, flags, permissions).about_path()?;
    examine(engine, file, true, Some(flags))
}

/// A descriptor that is already open, to adopt.
#[derive(Debug)]
pub struct Adoption {
    /// The engine that closes it if it is not adopted.
    pub engine: Arc<Engine>,
    /// Its number.
    pub descriptor: i32,
    /// Whether it has to be closed with the file.
    pub close: bool,
    /// Whether it has to be closed here even if it cannot be adopted.
    pub owned: bool,
    /// Whether its position is moved to the end, as for appending.
    pub to_end: bool,
}

impl Adoption {
    /// Adopts it.
    pub(crate) fn run(mut self) -> Result<OpenedFile, Error> {
        let file = platform::adopt(self.descriptor).about(Subject::Nothing)?;
        let owned = std::mem::take(&mut self.owned);
        let mut opened = examine(&self.engine, file, owned, None)?;
        opened.close = self.close;
        if self.to_end {
            opened.move_to_end();
        }
        Ok(opened)
    }
}

impl Drop for Adoption {
    fn drop(&mut self) {
        if self.owned
            && let Ok(file) = platform::adopt(self.descriptor)
        {
            self.engine.close(file);
        }
    }
}

/// An open file, with what has to be known of it. `flags`: those with which it was opened here.
pub(crate) fn examine(
    engine: &Engine,
    file: File,
    close: bool,
    flags: Option<i32>,
) -> Result<OpenedFile, Error> {
    // A file whose metadata cannot be read, for example because it was removed on a server, may still be readable.
    let (metadata, mount) = cached::look(&file).unwrap_or_default();
    let info = FileInfo::new(&file, &metadata, mount, flags);
    let mut opened = OpenedFile::new(engine, file, close, info);
    if metadata.is_directory() {
        return Err(Error::Os { code: platform::IS_A_DIRECTORY, subject: Subject::Path });
    }
    if info.append {
        opened.move_to_end();
    }
    Ok(opened)
}
