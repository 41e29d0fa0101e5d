//! Lines that are available at once, taken without an operation: this is done for each line of an iteration.

use crate::handle::driver::begin_briefly;
use crate::handle::file::HandleFile;
use crate::handle::sink::Sink;
use crate::text::Form;

/// Takes the next line of a binary file, if it is in the buffer and nothing else has to be done first. `make`: converts
/// it; if that returns nothing, the line is not taken.
///
/// # Safety
/// `make` runs no code of the caller's that could use the handle, or let others do so.
#[inline]
pub unsafe fn next_line<S: Sink, T>(
    file: &HandleFile<S>,
    make: impl FnOnce(&[u8]) -> Option<T>,
) -> Option<T> {
    if !file.readable {
        return None;
    }
    // SAFETY: guaranteed by the caller.
    let mut guard = unsafe { begin_briefly::<S>(&file.handle) }?;
    if !guard.is_settled() || !file.ahead.is_empty() {
        return None;
    }
    let length = guard.find_line(0)?;
    let line = make(&guard.available()[..length])?;
    guard.consume(length);
    Some(line)
}

/// The same for a text file, whose line has been decoded.
///
/// # Safety
/// That of [`next_line`].
#[inline]
pub unsafe fn next_text_line<S: Sink, T>(
    file: &HandleFile<S>,
    make: impl FnOnce(&[u8], Form) -> Option<T>,
) -> Option<T> {
    // SAFETY: guaranteed by the caller.
    let mut guard = unsafe { begin_briefly::<S>(&file.handle) }?;
    if !guard.is_settled() {
        return None;
    }
    let decoder = guard.decoder()?;
    let length = decoder.find_line()?;
    let (content, form) = decoder.peek(length);
    let line = make(content, form)?;
    decoder.consume(length);
    Some(line)
}
