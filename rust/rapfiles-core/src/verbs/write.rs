//! Writing whole files, and truncating them.

use std::fmt;

use crate::engine::keep_alive::KeepAlive;
use crate::error::{About, Error, Subject, code_of};
use crate::platform::{self, File, NativePath};
use crate::text::{Codec, Newline, TextSource};
use crate::verbs::atomic;
use crate::verbs::copy::special;
use crate::verbs::metadata::{FileType, Metadata};

/// Bytes to write.
pub enum Data {
    /// Bytes of the engine.
    Owned(Vec<u8>),
    /// Bytes of the caller's, which are not copied.
    Shared(SharedBytes),
}

/// Bytes that belong to the caller and are kept alive by a value of the caller's.
pub struct SharedBytes {
    start: *const u8,
    length: usize,
    _keep_alive: KeepAlive,
}

// SAFETY: `_keep_alive` keeps the bytes in place (the contract of `Data::shared`), and they are only read.
unsafe impl Send for SharedBytes {}
// SAFETY: as above.
unsafe impl Sync for SharedBytes {}

impl SharedBytes {
    /// Skips the first bytes.
    pub(crate) fn skip(&mut self, count: usize) {
        let count = count.min(self.length);
        // SAFETY: within the bytes.
        self.start = unsafe { self.start.add(count) };
        self.length -= count;
    }
}

impl Data {
    /// The `length` bytes at `start`.
    ///
    /// # Safety
    /// They must stay readable for as long as `keep_alive` exists.
    pub unsafe fn shared(start: *const u8, length: usize, keep_alive: KeepAlive) -> Self {
        Self::Shared(SharedBytes { start, length, _keep_alive: keep_alive.of(length) })
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            // SAFETY: the contract of `shared`. If the caller's object is mutable and is changed meanwhile, only the
            // kernel sees a mixture: nothing here depends on the content.
            Self::Shared(bytes) => unsafe { std::slice::from_raw_parts(bytes.start, bytes.length) },
        }
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Data").field(&self.bytes().len()).finish()
    }
}

/// Opens a file to replace or extend its content. The position of the file is its former length.
fn open(path: &NativePath, append: bool) -> Result<File, Error> {
    if append { platform::open_to_append(path) } else { platform::open_to_replace(path) }.about_path()
}

fn write_all(file: File, bytes: &[u8]) -> Result<(), Error> {
    platform::write_all(&file, bytes).about(Subject::Nothing)?;
    // Network file systems and quotas report a failed write when the file is closed (`close(2)`, "Dealing with error
    // returns from close()").
    platform::close(file).about(Subject::Nothing)
}

/// Replaces or extends the content of a file. How many bytes there were.
pub(crate) fn write(path: &NativePath, data: &Data, append: bool, bom: usize) -> Result<u64, Error> {
    let file = open(path, append)?;
    let bytes = data.bytes();
    let skipped =
        if bom > 0 && append && platform::length_of(&file).about(Subject::Nothing)? > 0 { bom } else { 0 };
    write_all(file, &bytes[skipped.min(bytes.len())..])?;
    Ok(bytes.len() as u64)
}

/// Replaces or extends the content of a file with encoded text. How many characters there were, or `None` if the codec
/// does not encode them all: then the file was opened, and nothing written.
pub(crate) fn write_text(
    path: &NativePath,
    text: &TextSource,
    codec: Codec,
    newline: Newline,
    append: bool,
) -> Result<Option<u64>, Error> {
    let file = open(path, append)?;
    let write = |bytes: &[u8]| platform::write_all(&file, bytes).about(Subject::Nothing);
    let written = match text.encode(codec, newline) {
        Ok(Some(bytes)) => write(&bytes).map(|()| true),
        Ok(None) => Ok(false),
        // There is no memory for all of it. Otherwise one write is better: others may append at the same time.
        Err(_) => text.encode_in_slices(codec, newline, write),
    }?;
    platform::close(file).about(Subject::Nothing)?;
    Ok(written.then_some(text.chars() as u64))
}

/// Extends the content of a file, and waits until the device has it under its name.
pub(crate) fn append_durably(path: &NativePath, data: &Data, bom: usize) -> Result<u64, Error> {
    let bytes = data.bytes();
    Extension::begin(path)?.write(bytes, bom)?;
    Ok(bytes.len() as u64)
}

/// The same with encoded text.
pub(crate) fn append_text_durably(
    path: &NativePath,
    text: &TextSource,
    codec: Codec,
    newline: Newline,
) -> Result<Option<u64>, Error> {
    let extension = Extension::begin(path)?;
    let Some(bytes) = text.encode(codec, newline)? else { return Ok(None) };
    extension.write(&bytes, 0)?;
    Ok(Some(text.chars() as u64))
}

/// A file that is extended, and its directory.
struct Extension {
    file: File,
    directory: File,
}

impl Extension {
    fn begin(path: &NativePath) -> Result<Self, Error> {
        let (directory, name, found) = atomic::find(path, true)?;
        // No device keeps what is written to them: fsync(2), EINVAL.
        let keeps_nothing = |found: &Metadata| {
            matches!(found.file_type(), FileType::FIFO | FileType::SOCKET | FileType::CHARACTER_DEVICE)
        };
        if let Some(found) = found.filter(keeps_nothing) {
            return Err(special(&found, Subject::Path));
        }
        // Before anything is written, because opening it must not fail afterwards.
        let parent = directory.to_synchronise().about_path()?;
        Ok(Self { file: directory.open_to_append(&name).about_path()?, directory: parent })
    }

    /// Writes bytes without the first `bom` ones if there is something already, and synchronises.
    fn write(self, bytes: &[u8], bom: usize) -> Result<(), Error> {
        let within = bom > 0 && platform::length_of(&self.file).about(Subject::Nothing)? > 0;
        let bytes = if within { &bytes[bom.min(bytes.len())..] } else { bytes };
        platform::write_all(&self.file, bytes).about(Subject::Nothing)?;
        // The call that created the file, perhaps this one, need not have synchronised its name. The content comes first.
        let synchronised = platform::synchronise(&self.file, true)
            .and_then(|()| platform::synchronise_directory(&self.directory));
        let closed = platform::close(self.file);
        synchronised.map_err(|error| Error::NotDurable { code: code_of(&error), subject: Subject::Path })?;
        closed.about(Subject::Nothing)
    }
}

/// Truncates a file to a length, or extends it with zeros.
pub(crate) fn truncate(path: &NativePath, length: i64) -> Result<(), Error> {
    platform::truncate(path, length).about_path()
}
