//! Writing whole files, and truncating them.

use std::fmt;

use crate::engine::keep_alive::KeepAlive;
use crate::error::{About, Error, Subject};
use crate::outcome::Outcome;
use crate::platform::{self, File, NativePath};
use crate::text::{Codec, Newline, TextSource};

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

/// Replaces or extends the content of a file.
pub(crate) fn write(path: &NativePath, data: &Data, append: bool, bom: usize) -> Result<Outcome, Error> {
    let file = open(path, append)?;
    let bytes = data.bytes();
    let skipped =
        if bom > 0 && append && platform::length_of(&file).about(Subject::Nothing)? > 0 { bom } else { 0 };
    write_all(file, &bytes[skipped.min(bytes.len())..])?;
    Ok(Outcome::Count(bytes.len() as u64))
}

/// Replaces or extends the content of a file with encoded text.
pub(crate) fn write_text(
    path: &NativePath,
    text: &TextSource,
    codec: Codec,
    newline: Newline,
    append: bool,
) -> Result<Outcome, Error> {
    let file = open(path, append)?;
    let Some(bytes) = text.encode(codec, newline)? else {
        platform::close(file).about(Subject::Nothing)?;
        return Ok(Outcome::Unencodable);
    };
    write_all(file, &bytes)?;
    Ok(Outcome::Count(text.chars() as u64))
}

/// Truncates a file to a length, or extends it with zeros.
pub(crate) fn truncate(path: &NativePath, length: i64) -> Result<Outcome, Error> {
    platform::truncate(path, length).about_path()?;
    Ok(Outcome::Done)
}
