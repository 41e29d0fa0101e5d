//! The kernel's table of file locks, `/proc/locks` (`proc_locks(5)`).

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::limits::{LOCK_DESCRIPTORS, LOCK_TABLE_READINGS};

/// The process that holds a `flock(2)` lock of a file, as this process's PID namespace numbers it.
///
/// The table names the device of the file system (`lock_get_status` in the kernel's `fs/locks.c` prints
/// `inode->i_sb->s_dev`). A btrfs subvolume and a layer of an overlay have another one for `stat(2)` (`btrfs_getattr`,
/// `ovl_map_dev_ino`), and two subvolumes have the same inode numbers; there, the process must have the file open. Its
/// descriptors are only visible to the same user and to root (`PTRACE_MODE_READ_FSCREDS` in `proc_pid_fd(5)`).
pub(crate) fn file_lock_holder(device: u64, inode: u128) -> Option<u32> {
    for _ in 0..LOCK_TABLE_READINGS {
        let (table, at_once) = read_table().ok()?;
        let found = holder_in(&table, device, inode);
        if found.is_some() || at_once {
            return found;
        }
    }
    None
}

/// The table, and whether it is that of one moment. A `read(2)` returns a page of it, and the next one counts the lines
/// from the start (`seq_read_iter` in the kernel's `fs/seq_file.c`): if a lock before them was released meanwhile, a line
/// is missing.
fn read_table() -> io::Result<(String, bool)> {
    let mut file = File::open("/proc/locks")?;
    let mut table = Vec::new();
    let mut page = [0; 4096];
    let mut reads = 0;
    loop {
        let length = file.read(&mut page)?;
        if length == 0 {
            return Ok((String::from_utf8_lossy(&table).into_owned(), reads <= 1));
        }
        table.extend_from_slice(&page[..length]);
        reads += 1;
    }
}

fn holder_in(table: &str, device: u64, inode: u128) -> Option<u32> {
    let (major, minor) = (libc::major(device), libc::minor(device));
    let file = format!("{major:02x}:{minor:02x}:{inode}");
    let same_number = format!(":{inode}");
    let mut candidates = Vec::new();
    for (pid, locked) in table.lines().filter_map(held) {
        if locked == file {
            return Some(pid);
        }
        if locked.ends_with(&same_number) && !candidates.contains(&pid) {
            candidates.push(pid);
        }
    }
    candidates.into_iter().find(|pid| has_locked(*pid, &same_number, device, inode))
}

/// Who holds a lock, and of which file: `1: FLOCK  ADVISORY  WRITE 1234 fd:01:56789 0 EOF`. Lines with `->` are of those
/// who wait.
fn held(line: &str) -> Option<(u32, &str)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    if fields.next()? != "FLOCK" {
        return None;
    }
    let pid = fields.nth(2)?.parse().ok().filter(|pid| *pid > 0)?;
    Some((pid, fields.next()?))
}

/// Whether a process has this file open, and a lock of a file with the same inode number through that descriptor.
///
/// Only such a file is looked at: others may be on file systems that do not answer.
fn has_locked(pid: u32, same_number: &str, device: u64, inode: u128) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let Ok(descriptors) = fs::read_dir(process.join("fdinfo")) else { return false };
    descriptors.flatten().take(LOCK_DESCRIPTORS).any(|descriptor| {
        // `lock:\t1: FLOCK  ADVISORY  WRITE 1234 fd:01:56789 0 EOF` (proc_pid_fdinfo(5)).
        let locks = fs::read_to_string(descriptor.path()).unwrap_or_default();
        let locked = locks
            .lines()
            .filter_map(|line| held(line.strip_prefix("lock:")?))
            .any(|(_, locked)| locked.ends_with(same_number));
        let path = process.join("fd").join(descriptor.file_name());
        let found = if locked { fs::metadata(path).ok() } else { None };
        found.is_some_and(|found| found.dev() == device && u128::from(found.ino()) == inode)
    })
}
