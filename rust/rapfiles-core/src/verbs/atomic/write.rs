//! Writing whole files atomically.

use super::options::AtomicOptions;
use super::staged::Staged;
use crate::error::{About, Error};
use crate::limits::RESERVED_FROM;
use crate::platform::{self, NativePath};
use crate::text::{Codec, Newline, TextSource};
use crate::verbs::write::Data;

/// Replaces the content of a file, or creates it.
pub(crate) fn write(path: &NativePath, data: &Data, options: AtomicOptions) -> Result<u64, Error> {
    let bytes = data.bytes();
    replace(path, bytes, options)?;
    Ok(bytes.len() as u64)
}

/// Replaces the content of a file by encoded text, or creates it. Text that cannot be encoded changes nothing.
pub(crate) fn write_text(
    path: &NativePath,
    text: &TextSource,
    codec: Codec,
    newline: Newline,
    options: AtomicOptions,
) -> Result<Option<u64>, Error> {
    let Some(bytes) = text.encode(codec, newline)? else { return Ok(None) };
    replace(path, &bytes, options)?;
    Ok(Some(text.chars() as u64))
}

fn replace(path: &NativePath, content: &[u8], options: AtomicOptions) -> Result<(), Error> {
    let staged = Staged::begin(path, options)?;
    let file = staged.file().about_path()?;
    if content.len() >= RESERVED_FROM {
        platform::reserve(file, content.len() as u64).about_path()?;
    }
    platform::write_all(file, content).about_path()?;
    staged.finish(Some(content))
}
