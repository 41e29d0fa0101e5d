//! Opening files for handles.

use std::sync::Arc;

use super::file_info::FileInfo;
use crate::cached;
use crate::engine::Engine;
use crate::error::{About, Error, Subject};
use crate::outcome::Outcome;
use crate::platform::{self, File, NativePath};

/// A file that has just been opened. Dropped, it is closed where that may wait.
#[derive(Debug)]
pub struct OpenedFile {
    engine: Arc<Engine>,
    file: Option<File>,
    /// Whether the descriptor is to be closed with the file.
    close: bool,
    /// What is known of it.
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

    /// Moves the position to the end, as io.open does for appending. Where that fails, writes go there all the same.
    fn move_to_end(&mut self) {
        if let Some(file) = self.file.as_ref().filter(|_| self.info.seekable) {
            let end = platform::seek(file, 0, platform::FROM_END);
            self.info.at_start = end.is_ok_and(|end| end == 0);
        }
    }

    /// Takes the file, and whether it is to be closed in the end.
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
) -> Result<Outcome, Error> {
    let file = platform::open_file(path, flags, permissions).about_path()?;
    examine(engine, file, true, Some(flags))
}

/// A descriptor that is open already, to be taken over.
#[derive(Debug)]
pub struct Adoption {
    /// By which it is closed where nobody takes it over.
    pub engine: Arc<Engine>,
    /// Its number.
    pub descriptor: i32,
    /// Whether it is to be closed with the file.
    pub close: bool,
    /// Whether nobody else is going to close it, even if it is not fit to be used.
    pub owned: bool,
    /// Whether its position is moved to the end, as for appending.
    pub to_end: bool,
}

impl Adoption {
    /// Takes it over.
    pub(crate) fn run(mut self) -> Result<Outcome, Error> {
        let file = platform::adopt(self.descriptor).about(Subject::Nothing)?;
        let owned = std::mem::take(&mut self.owned);
        match examine(&self.engine, file, owned, None)? {
            Outcome::Opened(mut opened) => {
                opened.close = self.close;
                if self.to_end {
                    opened.move_to_end();
                }
                Ok(Outcome::Opened(opened))
            }
            other => Ok(other),
        }
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

/// `flags`: with which it was opened here.
fn examine(engine: &Engine, file: File, close: bool, flags: Option<i32>) -> Result<Outcome, Error> {
    // What cannot be looked at, such as a file that was removed on some server, may still be read.
    let (metadata, mount) = cached::look(&file).unwrap_or_default();
    let info = FileInfo::new(&file, &metadata, mount, flags);
    let mut opened = OpenedFile::new(engine, file, close, info);
    if metadata.is_directory() {
        return Err(Error::Os { code: platform::IS_A_DIRECTORY, subject: Subject::Path });
    }
    if info.append {
        opened.move_to_end();
    }
    Ok(Outcome::Opened(Box::new(opened)))
}
