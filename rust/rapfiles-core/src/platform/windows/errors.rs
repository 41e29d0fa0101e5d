//! Windows error codes, and what they mean.

use std::io;

use windows_sys::Win32::Foundation as codes;
use windows_sys::core::{BOOL, HRESULT};

/// For failures that have no code of their own.
pub(crate) const EIO: i32 = codes::ERROR_IO_DEVICE.cast_signed();
/// The error of reading from a descriptor that is only for writing.
pub(crate) const BAD_DESCRIPTOR: i32 = codes::ERROR_INVALID_HANDLE.cast_signed();
/// The error of opening a directory as a file.
pub(crate) const IS_A_DIRECTORY: i32 = codes::ERROR_ACCESS_DENIED.cast_signed();
/// The error of `CreateThread`.
pub(crate) const NO_THREAD: i32 = codes::ERROR_NOT_ENOUGH_MEMORY.cast_signed();

/// Whether an error code is one that Python raises as `FileNotFoundError`.
pub(crate) fn is_not_found(code: i32) -> bool {
    matches!(
        code.cast_unsigned(),
        codes::ERROR_FILE_NOT_FOUND
            | codes::ERROR_PATH_NOT_FOUND
            | codes::ERROR_INVALID_DRIVE
            | codes::ERROR_NO_MORE_FILES
            | codes::ERROR_BAD_NETPATH
            | codes::ERROR_BAD_NET_NAME
            | codes::ERROR_BAD_PATHNAME
            | codes::ERROR_FILENAME_EXCED_RANGE
    )
}

/// Whether an error code means to a predicate that there is nothing: what pathlib ignores.
pub(crate) fn means_missing(code: i32) -> bool {
    is_not_found(code)
        || matches!(
            code.cast_unsigned(),
            codes::ERROR_INVALID_HANDLE
                | codes::ERROR_NOT_READY
                | codes::ERROR_INVALID_TARGET_HANDLE
                | codes::ERROR_INVALID_NAME
                | codes::ERROR_DIRECT_ACCESS_HANDLE
                | codes::ERROR_DIRECTORY
                | codes::ERROR_CANT_RESOLVE_FILENAME
        )
}

/// The error with this code.
pub(super) fn error(code: u32) -> io::Error {
    io::Error::from_raw_os_error(code.cast_signed())
}

/// The code of an error.
pub(super) fn code(error: &io::Error) -> u32 {
    error.raw_os_error().unwrap_or(EIO).cast_unsigned()
}

/// The result of a call that gives an `HRESULT`. Those of the system's errors have their codes in the lower 16 bits
/// (`HRESULT_FROM_WIN32` of winerror.h).
pub(super) fn checked_result(result: HRESULT) -> io::Result<()> {
    match result.cast_unsigned() {
        _ if result >= 0 => Ok(()),
        system if system >> 16 == 0x8007 => Err(error(system & 0xffff)),
        other => Err(error(other)),
    }
}

/// The result of a call that gives zero on failure.
pub(super) fn checked(succeeded: BOOL) -> io::Result<()> {
    if succeeded == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_parent_is_not_found_either() {
        assert!(is_not_found(2) && is_not_found(3));
        assert!(!is_not_found(5) && !is_not_found(123));
        assert!(means_missing(3) && means_missing(123) && means_missing(1921) && means_missing(267));
        assert!(!means_missing(5) && !means_missing(32));
    }
}
