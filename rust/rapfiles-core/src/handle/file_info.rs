//! The properties of a file that are read when it is opened.

use std::time::Instant;

use crate::cached::MountNumber;
use crate::engine::lane::Lane;
use crate::platform::{self, File};
use crate::verbs::metadata::Metadata;

/// The properties of a file that are read when it is opened and do not change.
#[derive(Debug, Clone, Copy)]
pub struct FileInfo {
    /// Whether it is a regular file. Others may wait for another process.
    pub regular: bool,
    /// Whether it is a terminal.
    pub terminal: bool,
    /// Whether its position can be moved.
    pub seekable: bool,
    /// Whether each write goes to the end (`O_APPEND`).
    pub append: bool,
    /// Whether it was opened here, and for reading only.
    pub(crate) only_read: bool,
    /// The size in bytes.
    pub size: u64,
    /// Whether the position is known to be at the start.
    pub at_start: bool,
    /// The mount, if tier 0 may be used on it.
    pub(crate) mount: Option<MountNumber>,
    /// When its times were last seen to be such that a read does not update the access time.
    pub(crate) settled_at: Option<Instant>,
    /// Whether opening it without waiting has left `O_NONBLOCK` set, which has no effect on a regular file (`open(2)`).
    /// It is cleared when the caller asks for the descriptor.
    pub(crate) non_blocking: bool,
    /// Whether a forked child must leave it alone, because what was written is complete only in the parent.
    pub(crate) of_parent: bool,
    pub(crate) lane: Lane,
}

impl FileInfo {
    /// The info of an open file. It may make system calls on the file, so on the loop only for regular files.
    pub(crate) fn new(
        file: &File,
        metadata: &Metadata,
        mount: Option<MountNumber>,
        flags: Option<i32>,
    ) -> Self {
        let regular = metadata.is_regular_file();
        let only_read = flags.is_some_and(platform::only_reads);
        // A file that was opened here for reading is at its start; others may have been used before.
        let position =
            if only_read && regular { Ok(0) } else { platform::seek(file, 0, platform::FROM_HERE) };
        Self {
            regular,
            terminal: !regular && platform::is_terminal(file),
            seekable: regular || position.is_ok(),
            at_start: position.is_ok_and(|position| position == 0),
            append: flags.is_some_and(platform::appends),
            only_read,
            size: metadata.size,
            mount: mount.filter(|_| regular),
            settled_at: None,
            non_blocking: false,
            of_parent: false,
            lane: if regular { Lane::Mount(metadata.device) } else { Lane::Special },
        }
    }
}
