//! Memory whose size is the caller's or the file's: where there is none, that is an error and not the end of the
//! process.

use std::collections::TryReserveError;

/// A copy of bytes.
///
/// # Errors
/// Memory cannot be allocated.
pub fn copied(bytes: &[u8]) -> Result<Vec<u8>, TryReserveError> {
    joined(&[bytes])
}

/// Bytes one behind the other.
///
/// # Errors
/// Memory cannot be allocated.
pub fn joined(parts: &[&[u8]]) -> Result<Vec<u8>, TryReserveError> {
    let mut whole = Vec::new();
    whole.try_reserve_exact(parts.iter().map(|part| part.len()).sum())?;
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    Ok(whole)
}

/// Adds bytes.
///
/// # Errors
/// When there is no memory; nothing is added then.
pub fn extend(whole: &mut Vec<u8>, bytes: &[u8]) -> Result<(), TryReserveError> {
    if whole.try_reserve(bytes.len()).is_err() {
        // `try_reserve` asks for twice as much as there was. This much alone may be available.
        whole.try_reserve_exact(bytes.len())?;
    }
    whole.extend_from_slice(bytes);
    Ok(())
}
