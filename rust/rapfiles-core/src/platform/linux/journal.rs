//! The order in which the journal of ext4 keeps changes, which spares some of the waits for the device.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

use crate::platform::calls::{self, File};
use crate::platform::{checked, statx_in_memory};

/// The inode of a journal on the same device (`EXT4_JOURNAL_INO` of `fs/ext4/ext4.h`).
const JOURNAL: &str = "8";
/// No name of a block device is longer: `BDEVNAME_SIZE` of `linux/blkdev.h`.
const LONGEST: usize = 64;

/// Whether the file system of an open file keeps changes of metadata in their order: a power cut that takes one takes all
/// later ones, and a wait until the device has one (`fsync(2)`) has waited for all earlier ones, and for all
/// that the device had been given to write.
///
/// That is so on ext4 with a journal on its own device. Changes are committed in transactions, in their order, those of
/// all files together, and before the block that commits one the device is told to write its cache
/// (<https://docs.kernel.org/filesystems/ext4/journal.html>, `jbd2_journal_commit_transaction`).
pub(crate) fn keeps_order(file: &File) -> bool {
    // In this order: only the second question may be one for a server, or for the process behind a FUSE mount.
    block_device_of(file)
        .is_some_and(|(major, minor)| is_ext4(file) && has_journal(major, minor).unwrap_or(false))
}

/// The device that a file is on, as the kernel has it in memory; `None` if that is not known, or no block device: that of
/// network file systems, FUSE and others that have no device has a number of its own, which begins with zero
/// (`get_anon_bdev` of `fs/super.c`).
fn block_device_of(file: &File) -> Option<(u32, u32)> {
    // The device is always given.
    let found = statx_in_memory(file.as_fd(), 0).ok()?;
    (found.stx_dev_major != 0).then_some((found.stx_dev_major, found.stx_dev_minor))
}

/// Waits until the device has been given the content of a file, for which the file system has found its place; it may
/// be in the device's cache. `sync_file_range(2)` with these three flags writes all pages and reports errors as
/// `fsync(2)` does.
pub(crate) fn write_back(file: &File) -> io::Result<()> {
    let all =
        libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: no memory is involved.
    checked(|| unsafe { calls::sync_file_range(file.as_raw_fd(), 0, 0, all) }).map(drop)
}

#[allow(clippy::unnecessary_cast, reason = "the types are not the same in all C libraries")]
fn is_ext4(file: &File) -> bool {
    let mut found = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: `found` has room for what is written to it.
    let asked = checked(|| unsafe { calls::fstatfs(file.as_raw_fd(), found.as_mut_ptr()) });
    // SAFETY: all zeros are valid, too.
    asked.is_ok() && unsafe { found.assume_init() }.f_type as i64 == libc::EXT4_SUPER_MAGIC as i64
}

/// Whether a journal on this device is in use, which the kernel names by the device and its inode. File
/// systems without one, and those whose journal is on another device, have no such entry.
fn has_journal(major: u32, minor: u32) -> io::Result<bool> {
    // Without the null byte, which CString adds.
    let link = CString::new(format!("/sys/dev/block/{major}:{minor}"))?;
    let mut target = [0_u8; libc::PATH_MAX as usize];
    // SAFETY: the path is terminated, and there is room for what is written.
    let length = checked(|| unsafe {
        calls::readlinkat(libc::AT_FDCWD, link.as_ptr(), target.as_mut_ptr().cast(), target.len())
    })?;
    let name = target[..length as usize].rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if name.is_empty() || name.len() > LONGEST {
        return Ok(false);
    }
    let entry = CString::new([b"/proc/fs/jbd2/", name, b"-", JOURNAL.as_bytes()].concat())?;
    // SAFETY: the path is terminated.
    checked(|| unsafe { calls::faccessat(libc::AT_FDCWD, entry.as_ptr(), libc::F_OK, 0) }).map(|_| true)
}
