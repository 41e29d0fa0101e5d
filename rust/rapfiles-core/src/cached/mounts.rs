//! What is known of mounts: whether they are local, and whether tier 0 was ever slow on them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An attempt that takes longer has waited for something, or the thread had to wait for a processor.
const SLOW: Duration = Duration::from_millis(1);
/// After a slow attempt, so many more are watched to see which of the two it is.
const WATCHED: u32 = 64;
/// How long a mount is left to the workers after the first attempt that waited; doubled with each further one.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(30);
/// Without slow attempts for so long, a mount is trusted as at first.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);
/// For how long a mount's number is taken to mean the same mount, where the kernel may give it to another one.
const REUSABLE_NUMBER: Duration = Duration::from_secs(1);
/// Mounts that are remembered.
const REMEMBERED: usize = 64;

/// The number of a mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MountNumber {
    pub(super) number: u64,
    /// Whether the kernel never gives the number to another mount (Linux 6.8).
    pub(super) unique: bool,
}

#[derive(Debug, Clone, Copy)]
struct Mount {
    number: MountNumber,
    /// Not known before it has been looked at.
    local: Option<bool>,
    known_since: Instant,
    watched: u32,
    rest: Duration,
    rests_until: Option<Instant>,
}

/// The mounts that were met.
#[derive(Debug, Default)]
pub(super) struct Mounts(Mutex<Vec<Mount>>);

impl Mounts {
    /// Permission to use tier 0 on a mount; `None` where it is not local, or has to rest.
    pub(super) fn permit(&self, number: MountNumber, now: Instant) -> Option<Permit> {
        self.permit_if(number, now, || is_local(number))
    }

    fn permit_if(
        &self,
        number: MountNumber,
        now: Instant,
        is_local: impl FnOnce() -> bool,
    ) -> Option<Permit> {
        let mut mounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = mounts.iter().position(|mount| mount.number == number).unwrap_or_else(|| {
            if mounts.len() == REMEMBERED {
                mounts.remove(0);
            }
            let mount = Mount {
                number,
                local: None,
                known_since: now,
                watched: 0,
                rest: Duration::ZERO,
                rests_until: None,
            };
            mounts.push(mount);
            mounts.len() - 1
        });
        let mount = &mut mounts[index];
        let stale = !number.unique && now.saturating_duration_since(mount.known_since) > REUSABLE_NUMBER;
        let local = match mount.local {
            Some(local) if !stale => local,
            _ => {
                mount.known_since = now;
                *mount.local.insert(is_local())
            }
        };
        if !local || mount.rests_until.is_some_and(|until| now < until) {
            return None;
        }
        Some(Permit { number, began: now, waits: (mount.watched > 0).then(waits_of_this_thread) })
    }

    /// Ends an attempt, and looks whether it has waited. Returns the time.
    pub(super) fn ended(&self, permit: Permit) -> Instant {
        let now = Instant::now();
        let slow = now.saturating_duration_since(permit.began) > SLOW;
        if slow || permit.waits.is_some() {
            self.judge(&permit, slow, now);
        }
        now
    }

    fn judge(&self, permit: &Permit, slow: bool, now: Instant) {
        let waited = slow && permit.waits.is_some_and(|before| waits_of_this_thread() > before);
        let mut mounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mount) = mounts.iter_mut().find(|mount| mount.number == permit.number) else { return };
        if waited {
            mount.rest_after(now);
        } else if permit.waits.is_none() {
            mount.watched = WATCHED;
        } else {
            mount.watched = mount.watched.saturating_sub(1);
        }
    }
}

/// An attempt that is under way.
#[derive(Debug)]
pub(super) struct Permit {
    number: MountNumber,
    began: Instant,
    /// How often this thread had waited before, where the mount is watched.
    waits: Option<i64>,
}

impl Mount {
    fn rest_after(&mut self, now: Instant) {
        let forgiven =
            self.rests_until.is_none_or(|until| now.saturating_duration_since(until) > FORGIVEN_AFTER);
        self.rest = if forgiven { FIRST_REST } else { (self.rest * 2).min(LONGEST_REST) };
        self.rests_until = Some(now + self.rest);
    }
}

/// How often this thread has given up its processor to wait for something (`getrusage(2)`).
fn waits_of_this_thread() -> i64 {
    // SAFETY: all zeros is a valid `rusage`: it is made of numbers only.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` has room for the result.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    #[allow(clippy::useless_conversion, reason = "the width differs between architectures")]
    i64::from(usage.ru_nvcsw)
}

/// File systems that need neither a network nor another process, by the magic number of `statfs(2)`.
const LOCAL: &[(i64, &str)] = &[
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x0102_1994, "tmpfs"),
    (0x8584_58f6, "ramfs"),
    (0x794c_7630, "overlay"),
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
    "ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "devtmpfs", "ramfs", "overlay", "f2fs", "bcachefs",
    "zfs", "squashfs", "erofs", "vfat", "exfat", "ntfs3", "iso9660", "udf", "jfs", "reiserfs", "nilfs2",
];

/// Others that have a well-known name.
const OTHERS: &[(i64, &str)] = &[
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

/// Whether a mount is known to need neither a network nor another process.
///
/// Not by `statfs(2)`, which asks a network's or FUSE's server, but by what the kernel itself knows of the mount.
pub(super) fn is_local(mount: MountNumber) -> bool {
    if mount.unique {
        magic_of(mount.number).is_some_and(is_local_magic)
    } else {
        let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
        type_of(&table, mount.number).is_some_and(|name| LOCAL_TYPES.contains(&name.as_str()))
    }
}

/// Whether this is the magic number of a file system that needs neither a network nor another process.
pub(super) fn is_local_magic(magic: i64) -> bool {
    LOCAL.iter().any(|(local, _)| *local == magic)
}

/// The magic number of the file system of a mount, by `statmount(2)` (Linux 6.8, `linux/mount.h`).
fn magic_of(unique_number: u64) -> Option<i64> {
    const STATMOUNT: libc::c_long = 457;
    const SUPER_BLOCK_BASICS: u64 = 1;
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
        rest: [u64; 60],
    }
    let request = Request {
        size: size_of::<Request>() as u32,
        spare: 0,
        mount: unique_number,
        wanted: SUPER_BLOCK_BASICS,
    };
    // SAFETY: all zeros is a valid answer: it is made of numbers only.
    let mut answer: Answer = unsafe { std::mem::zeroed() };
    // SAFETY: the request is as large as it says, and so is the room for the answer.
    let result =
        unsafe { libc::syscall(STATMOUNT, &raw const request, &raw mut answer, size_of::<Answer>(), 0) };
    (result == 0 && answer.mask & SUPER_BLOCK_BASICS != 0).then_some(answer.magic as i64)
}

/// The type of the file system of a mount, from `/proc/self/mountinfo` (see `proc_pid_mountinfo(5)`).
fn type_of(table: &[u8], number: u64) -> Option<String> {
    let table = String::from_utf8_lossy(table);
    let line = table
        .lines()
        .find(|line| line.split(' ').next().and_then(|first| first.parse().ok()) == Some(number))?;
    // Optional fields end with a hyphen, and the type follows.
    line.split(" - ").nth(1)?.split(' ').next().map(str::to_owned)
}

/// The usual name of a file system.
pub(super) fn name(magic: i64) -> String {
    let known = LOCAL.iter().chain(OTHERS).find(|(known, _)| *known == magic);
    known.map_or_else(|| format!("{magic:#x}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: MountNumber = MountNumber { number: 7, unique: true };

    #[test]
    fn a_mount_that_waited_rests_longer_and_longer_and_comes_back() {
        let mounts = Mounts::default();
        let start = Instant::now();
        let rest = |at| mounts.0.lock().unwrap()[0].rest_after(at);
        let permitted = |at| mounts.permit_if(NUMBER, at, || true).is_some();
        assert!(permitted(start));
        rest(start);
        assert!(!permitted(start));
        let back = start + FIRST_REST;
        assert!(permitted(back));
        rest(back);
        assert!(!permitted(back + FIRST_REST));
        assert!(permitted(back + FIRST_REST * 2));
    }

    #[test]
    fn a_slow_attempt_is_held_against_a_mount_only_if_it_waited() {
        let mounts = Mounts::default();
        let attempt = |work: &dyn Fn()| {
            let permit = mounts.permit_if(NUMBER, Instant::now(), || true);
            work();
            permit.map(|permit| mounts.ended(permit)).is_some()
        };
        let busy = || {
            let began = Instant::now();
            while began.elapsed() <= SLOW {}
        };
        let waiting = || std::thread::sleep(SLOW * 2);
        // The first slow attempt only makes the mount watched …
        assert!(attempt(&waiting));
        // … a slow one without waiting is a matter of the processor …
        assert!(attempt(&busy));
        assert!(attempt(&waiting));
        // … and one that waited is a matter of the mount.
        assert!(!attempt(&|| {}));
    }

    #[test]
    fn a_number_that_may_be_reused_is_looked_up_again() {
        let mounts = Mounts::default();
        let number = MountNumber { unique: false, ..NUMBER };
        let start = Instant::now();
        assert!(mounts.permit_if(number, start, || true).is_some());
        assert!(mounts.permit_if(number, start, || false).is_some());
        assert!(mounts.permit_if(number, start + REUSABLE_NUMBER * 2, || false).is_none());
    }

    #[test]
    fn the_type_is_found_behind_the_optional_fields() {
        let table = b"22 1 0:21 / /proc rw shared:12 master:1 - proc proc rw\n\
            36 35 98:0 /mnt1 /mnt2 rw,noatime - ext3 /dev/root rw,errors=continue\n";
        assert_eq!(type_of(table, 36).as_deref(), Some("ext3"));
        assert_eq!(type_of(table, 22).as_deref(), Some("proc"));
        assert_eq!(type_of(table, 23), None);
    }

    #[test]
    fn many_mounts_do_not_fill_the_memory() {
        let mounts = Mounts::default();
        for number in 0..1000 {
            mounts.permit_if(MountNumber { number, unique: true }, Instant::now(), || true);
        }
        assert_eq!(mounts.0.lock().unwrap().len(), REMEMBERED);
    }
}
