//! The system calls: one file for each platform, all of the same shape.

#[cfg(unix)]
pub(crate) mod calls;
#[cfg(unix)]
mod descriptor;
#[cfg(unix)]
mod directory;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(unix)]
mod locking;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(unix)]
mod realpath;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use calls::File;
#[cfg(target_os = "linux")]
pub(crate) use linux::*;
#[cfg(target_os = "macos")]
pub(crate) use macos::*;
#[cfg(windows)]
pub(crate) use std::fs::File;
#[cfg(unix)]
pub use unix::{EventSignal, NativePath};
#[cfg(windows)]
pub(crate) use windows::*;
#[cfg(windows)]
pub use windows::{EventSignal, NativePath};
#[cfg(unix)]
pub(crate) use {descriptor::*, directory::*, locking::*, realpath::*, signals::*, unix::*};
