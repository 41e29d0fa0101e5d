//! Tier 0: answers from the kernel's caches, by system calls that fail rather than block.

#[cfg(target_os = "linux")]
mod access_time;
mod buffer;
mod file_system;
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
pub use buffer::{BufferProvider, IoVec};
pub use file_system::FileSystem;
#[cfg(target_os = "linux")]
pub(crate) use linux::{Cached, inspect, look};
#[cfg(target_os = "linux")]
pub(crate) use mounts::MountNumber;
#[cfg(not(target_os = "linux"))]
pub(crate) use unsupported::{Cached, InMount, MountNumber, Observation, Times, inspect, look};

/// Something that is open, of which the mount can be asked.
#[cfg(target_os = "linux")]
pub(crate) use std::os::fd::AsFd as InMount;
