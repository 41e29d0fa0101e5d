//! The system calls on directories, by descriptor, that all POSIX platforms share.

use std::io;
use std::os::fd::FromRawFd;

use super::calls::{self, OwnedFd};
use super::{DirectoryReader, NativePath, checked};
use crate::metadata::FileType;

impl DirectoryReader {
    /// Opens a directory, as `opendir(3)` does.
    pub(crate) fn open(path: &NativePath) -> io::Result<Self> {
        // Without O_DIRECTORY a FIFO would be waited for.
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NONBLOCK | libc::O_CLOEXEC;
        // SAFETY: the path is a C string.
        let fd = checked(|| unsafe { calls::open(path.as_ptr(), flags) })?;
        // SAFETY: the descriptor is new and nobody else's.
        Self::new(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// The type that a `d_type` stands for, if it says one: the bits that a mode has for it, as `DTTOIF` of `<dirent.h>` has it.
pub(crate) fn file_type_of(d_type: u8) -> Option<FileType> {
    (d_type != libc::DT_UNKNOWN).then(|| FileType(u32::from(d_type) << 12))
}
