//! Tier 0: answers from the kernel's caches, by system calls that fail rather than block.

#[cfg(target_os = "linux")]
mod access_time;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod mount;
#[cfg(target_os = "linux")]
mod mounts;
#[cfg(target_os = "linux")]
mod overlay;
#[cfg(target_os = "linux")]
mod recent;
#[cfg(not(target_os = "linux"))]
mod unsupported;
#[cfg(target_os = "linux")]
mod waits;

#[cfg(target_os = "linux")]
pub(crate) use access_time::{Observation, Times};
#[cfg(target_os = "linux")]
pub(crate) use linux::{Cached, inspect, look};
#[cfg(target_os = "linux")]
pub(crate) use mounts::MountNumber;
#[cfg(not(target_os = "linux"))]
pub(crate) use unsupported::{Cached, InMount, MountNumber, Observation, Times, inspect, look};

/// Something that is open, of which the mount can be asked.
#[cfg(target_os = "linux")]
pub(crate) use std::os::fd::AsFd as InMount;
use std::ptr::NonNull;
use std::time::Instant;

use crate::engine::queue::Lane;
use crate::error::Error;
use crate::outcome::Outcome;

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

/// Whether and how tier 0 works on the file system of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// The file system's usual name.
    pub name: String,
    /// Whether it is known to depend on neither a network nor another process.
    pub local: bool,
    /// Why tier 0 is not used there, or `None` if it is.
    pub obstacle: Option<String>,
    /// How access times are updated there, in words.
    pub access_times: String,
}

/// The result of an attempt to answer without blocking: the answer, and when it was there; otherwise the lane in which a
/// worker has to do it.
pub(crate) type Attempted = Result<(Result<Outcome, Error>, Instant), Lane>;
