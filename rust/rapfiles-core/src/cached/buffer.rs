//! The buffers that are read into.

use std::ptr::NonNull;

/// A buffer for a part of a read, laid out as POSIX's `iovec`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct IoVec {
    /// Where it begins.
    pub start: *mut u8,
    /// Its size in bytes.
    pub length: usize,
}

/// Provides the buffer into which the content of a small file is read, so that it need not be copied.
///
/// # Safety
/// What `make` returns must be valid for writes of `size` bytes and of one more until the attempt has ended.
pub unsafe trait BufferProvider {
    /// Allocates a buffer for `size` bytes and one more; `None` if the caller prefers a vector.
    fn make(&mut self, size: usize) -> Option<NonNull<u8>>;
}
