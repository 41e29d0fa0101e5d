//! The properties of a mount, as the kernel knows them: from `statmount(2)`, or `/proc/self/mountinfo` where it is
//! missing.
//!
//! Not from `statfs(2)`, which asks the server of a network file system or of FUSE (`FUSE_STATFS`).

use std::sync::atomic::{AtomicBool, Ordering};

use super::access_time::Updates;
use super::mounts::MountNumber;
use crate::platform::calls;

/// File systems that depend on neither a network nor another process, by the magic number of their super block
/// (`linux/magic.h`).
const LOCAL: &[(i64, &str)] = &[
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x0102_1994, "tmpfs"),
    (0x8584_58f6, "ramfs"),
    (0xf2f5_2010, "f2fs"),
    (0xca45_1a4e, "bcachefs"),
    (0x2fc1_2fc1, "zfs"),
    (0x7371_7368, "squashfs"),
    (0xe0f5_e1e2, "erofs"),
    (0x4d44, "vfat"),
    (0x2011_bab0, "exfat"),
    (0x7366_746e, "ntfs3"),
    (0x9660, "isofs"),
    (0x1501_3346, "udf"),
    (0x3153_464a, "jfs"),
    (0x5265_4973, "reiserfs"),
    (0x3434, "nilfs2"),
];

/// The same file systems, by the names of `/proc/self/mountinfo`.
const LOCAL_TYPES: &[&str] = &[
    "ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "devtmpfs", "ramfs", "f2fs", "bcachefs", "zfs",
    "squashfs", "erofs", "vfat", "exfat", "ntfs3", "iso9660", "udf", "jfs", "reiserfs", "nilfs2",
];

/// Others that have a well-known name.
const OTHERS: &[(i64, &str)] = &[
    (OVERLAY, "overlay"),
    (0x6573_5546, "fuse"),
    (0x6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x517b, "smb"),
    (0x00c3_6400, "ceph"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "afs"),
    (0x0bd0_0bd0, "lustre"),
    (0x4750_4653, "gpfs"),
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x2727_0e0c, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x1cd1, "devpts"),
];

/// The magic number of overlayfs, whose layers decide.
const OVERLAY: i64 = 0x794c_7630;
/// File systems whose inodes exist only in memory, so that changing one does not block.
const IN_MEMORY: &[&str] = &["tmpfs", "ramfs", "devtmpfs"];
/// Where `lazytime` keeps new access times in memory: `generic_update_time` of `fs/inode.c` marks the inode
/// `I_DIRTY_TIME`, for which `__mark_inode_dirty` does not call the file system, and `xfs_vn_update_time` does as much.
/// btrfs starts a transaction all the same.
const HEEDS_LAZYTIME: &[&str] = &["ext4", "xfs"];

/// Whether a mount is known to depend on neither a network nor another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Locality {
    Local,
    /// An overlay: its layers decide.
    Overlay,
    Elsewhere,
}

/// The properties of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) locality: Locality,
    pub(super) updates: Updates,
    /// The usual name of its file system.
    pub(super) name: String,
    /// The number of the device that the file system is on, or stands for.
    pub(super) device: u64,
    /// The number in `/proc/self/mountinfo`.
    pub(super) old_number: u64,
}

/// The properties of a mount, which do not change while it exists; `None` if the kernel does not tell.
pub(super) fn describe(mount: MountNumber) -> Option<Description> {
    if mount.unique { by_statmount(mount.number) } else { by_table(&table()?, mount.number) }
}

/// `/proc/self/mountinfo`.
#[allow(clippy::disallowed_methods, reason = "a table of the kernel's; without it, no mount is known")]
pub(super) fn table() -> Option<Vec<u8>> {
    std::fs::read("/proc/self/mountinfo").ok()
}

/// Whether `statmount(2)` is missing, or forbidden by a sandbox. Then mounts are looked up in the table.
static NO_STATMOUNT: AtomicBool = AtomicBool::new(false);

/// Whether to use unique mount numbers.
pub(super) fn has_statmount() -> bool {
    !NO_STATMOUNT.load(Ordering::Relaxed)
}

/// By `statmount(2)` (Linux 6.8, `linux/mount.h`).
fn by_statmount(unique_number: u64) -> Option<Description> {
    const SUPER_BLOCK_BASICS: u64 = 1;
    const MOUNT_BASICS: u64 = 2;
    const READ_ONLY: u64 = 1;
    const LAZYTIME: u32 = 1 << 25;
    #[repr(C)]
    struct Request {
        size: u32,
        spare: u32,
        mount: u64,
        wanted: u64,
    }
    #[repr(C)]
    struct Answer {
        size: u32,
        options: u32,
        mask: u64,
        device_major: u32,
        device_minor: u32,
        magic: u64,
        flags: u32,
        type_name: u32,
        number: u64,
        parent: u64,
        old_number: u32,
        old_parent: u32,
        attributes: u64,
        rest: [u64; 56],
    }
    let wanted = SUPER_BLOCK_BASICS | MOUNT_BASICS;
    let request = Request { size: size_of::<Request>() as u32, spare: 0, mount: unique_number, wanted };
    // SAFETY: all zeros is a valid answer: it is made of numbers only.
    let mut answer: Answer = unsafe { std::mem::zeroed() };
    // SAFETY: the request is as large as it says, and so is the room for the answer.
    let result = unsafe { calls::statmount(&raw const request, &raw mut answer, size_of::<Answer>()) };
    if result != 0 {
        let error = std::io::Error::last_os_error().raw_os_error();
        if matches!(error, Some(libc::EPERM | libc::ENOSYS)) {
            NO_STATMOUNT.store(true, Ordering::Relaxed);
        }
        return None;
    }
    if answer.mask & wanted != wanted {
        return None;
    }
    let magic = answer.magic as i64;
    let name = name(magic);
    let read_only = answer.attributes & READ_ONLY != 0 || u64::from(answer.flags) & READ_ONLY != 0;
    let times = match answer.attributes & libc::MOUNT_ATTR__ATIME {
        libc::MOUNT_ATTR_RELATIME => Updates::Relative,
        libc::MOUNT_ATTR_NOATIME => Updates::Never,
        _ => Updates::Always,
    };
    Some(Description {
        locality: if magic == OVERLAY {
            Locality::Overlay
        } else if LOCAL.iter().any(|(local, _)| *local == magic) {
            Locality::Local
        } else {
            Locality::Elsewhere
        },
        updates: updates(&name, read_only, times, answer.flags & LAZYTIME != 0),
        name,
        device: libc::makedev(answer.device_major, answer.device_minor),
        old_number: answer.old_number.into(),
    })
}

/// A line of `/proc/self/mountinfo` (see `proc_pid_mountinfo(5)`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    device: &'a str,
    options: &'a str,
    type_name: &'a str,
    /// The options of the file system.
    pub(super) super_options: &'a str,
}

/// The line of a mount in the table.
pub(super) fn line(table: &str, number: u64) -> Option<Line<'_>> {
    let line = table
        .lines()
        .find(|line| line.split(' ').next().and_then(|first| first.parse().ok()) == Some(number))?;
    // Optional fields end with a hyphen. Blanks in paths are escaped.
    let (first, second) = line.split_once(" - ")?;
    let (mut first, mut second) = (first.split(' ').skip(2), second.split(' '));
    Some(Line {
        device: first.next()?,
        options: first.nth(2)?,
        type_name: second.next()?,
        super_options: second.nth(1)?,
    })
}

fn by_table(table: &[u8], number: u64) -> Option<Description> {
    let table = String::from_utf8_lossy(table);
    let Line { device, options, type_name, super_options } = line(&table, number)?;
    let has = |options: &str, option| options.split(',').any(|one| one == option);
    let (major, minor) = device.split_once(':')?;
    let read_only = has(options, "ro") || has(super_options, "ro");
    let times = if has(options, "noatime") {
        Updates::Never
    } else if has(options, "relatime") {
        Updates::Relative
    } else {
        Updates::Always
    };
    Some(Description {
        locality: match type_name {
            "overlay" => Locality::Overlay,
            name if LOCAL_TYPES.contains(&name) => Locality::Local,
            _ => Locality::Elsewhere,
        },
        updates: updates(type_name, read_only, times, has(super_options, "lazytime")),
        name: type_name.to_owned(),
        device: libc::makedev(major.parse().ok()?, minor.parse().ok()?),
        old_number: number,
    })
}

fn updates(name: &str, read_only: bool, times: Updates, lazytime: bool) -> Updates {
    if read_only {
        Updates::Never
    } else if times != Updates::Never
        && (IN_MEMORY.contains(&name) || lazytime && HEEDS_LAZYTIME.contains(&name))
    {
        Updates::InMemory
    } else {
        times
    }
}

/// The usual name of a file system.
pub(super) fn name(magic: i64) -> String {
    let known = LOCAL.iter().chain(OTHERS).find(|(known, _)| *known == magic);
    known.map_or_else(|| format!("{magic:#x}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "it looks at the real file system")]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_table_is_understood() {
        let table = b"22 1 0:21 / /proc rw shared:12 master:1 - proc proc rw\n\
            36 35 98:0 /mnt1 /mnt2 rw,noatime - ext3 /dev/root rw,errors=continue\n\
            37 35 98:1 / /a\\040b rw,relatime - ext4 /dev/sda rw,lazytime\n\
            38 35 98:2 / /c rw,nosuid - ext4 /dev/sdb rw\n\
            39 35 98:2 / /d rw,relatime - ext4 /dev/sdb rw\n\
            40 35 98:3 / /e rw,relatime - btrfs /dev/sdc rw,lazytime\n\
            41 35 0:30 / /f rw - tmpfs tmpfs rw\n\
            42 35 0:31 / /g rw,relatime - overlay overlay ro,lowerdir=/x\n\
            43 35 0:32 / /h ro,relatime - fuse.sshfs host: rw\n";
        let found = |number| {
            let found = by_table(table, number)?;
            Some((found.locality, found.updates))
        };
        assert_eq!(found(22), Some((Locality::Elsewhere, Updates::Always)));
        assert_eq!(found(36), Some((Locality::Local, Updates::Never)));
        assert_eq!(found(37), Some((Locality::Local, Updates::InMemory)));
        assert_eq!(found(38), Some((Locality::Local, Updates::Always)));
        assert_eq!(found(39), Some((Locality::Local, Updates::Relative)));
        assert_eq!(found(40), Some((Locality::Local, Updates::Relative)));
        assert_eq!(found(41), Some((Locality::Local, Updates::InMemory)));
        assert_eq!(found(42), Some((Locality::Overlay, Updates::Never)));
        assert_eq!(found(43), Some((Locality::Elsewhere, Updates::Never)));
        assert_eq!(found(44), None);
        assert_eq!(by_table(table, 36).map(|found| found.device), Some(libc::makedev(98, 0)));
    }

    #[test]
    fn both_sources_say_the_same_of_every_mount() {
        let table = table().unwrap();
        for line in String::from_utf8_lossy(&table).lines() {
            let path = line.split(' ').nth(4).unwrap();
            let Some((_, mount)) =
                std::fs::File::open(path).ok().and_then(|file| crate::cached::linux::statx(file.as_fd()))
            else {
                continue;
            };
            let (true, Some(said)) = (mount.unique, by_statmount(mount.number)) else { continue };
            let Some(listed) = by_table(&table, said.old_number) else { continue };
            let same = |one: &Description| (one.locality, one.updates, one.device);
            assert_eq!(same(&said), same(&listed), "{line}");
        }
    }
}
