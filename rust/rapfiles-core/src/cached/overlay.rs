//! Whether all layers of an overlay are on one local file system. Containers run on such overlays.
//!
//! The paths of the layers (`lowerdir=` and so on in `/proc/self/mountinfo`) do not help: they belong to the mount
//! namespace in which it was mounted, and may name other files in this one. So a regular file in the overlay is
//! examined, with two guarantees of the kernel:
//!
//! - "All layers on same fs" means that files have the device number of the overlay itself; with "layers not on same
//!   fs, xino=off" they have another one (`Documentation/filesystems/overlayfs.rst`, "Inode properties"). With `xino`
//!   they have that of the overlay in any case, and nothing can be concluded.
//! - The file handle that `name_to_handle_at(2)` gives with `AT_HANDLE_FID` (Linux 6.6; needs no privilege) has inside
//!   the one of the layer's own file system, with its type and its UUID. It is what overlayfs keeps on disk in
//!   `trusted.overlay.origin`, so its form is fixed (`struct ovl_fb` of `fs/overlayfs/overlayfs.h`). File systems on a
//!   device have a UUID (`super_set_uuid`). FUSE, NFS, SMB, Ceph, 9p have none, and neither has an overlay on an
//!   overlay a handle of one of these types.
//!
//! The layers of an overlay do not change, and the kernel does not reuse unique mount numbers (Linux 6.8, `statx(2)`).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use super::linux::statx;
use super::mount::{self, Description};
use super::mounts::MountNumber;
use crate::limits::OVERLAYS;

/// The results: the number of the mount, and in the lowest bit whether all layers are local.
static FOUND: [AtomicU64; OVERLAYS] = [const { AtomicU64::new(0) }; OVERLAYS];

/// Why an overlay is not known to be local.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The kernel does not tell which file system a layer is on.
    Silent,
    /// No regular file of it has been examined.
    NoFile,
    SeveralFileSystems,
    Xino,
    NotLocal,
}

impl Doubt {
    /// The reason, as the end of a sentence.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Silent => {
                "the kernel does not tell what the layers of this overlay are on (Linux 6.8 does)"
            }
            Self::NoFile => "what the layers of this overlay are on is told by its files, and here is none",
            Self::SeveralFileSystems => "the layers of this overlay are on more than one file system",
            Self::Xino => {
                "with xino the kernel does not tell whether the layers of this overlay are on one file system"
            }
            Self::NotLocal => "the layers of this overlay are on a file system that is not known to be local",
        }
    }
}

fn place(number: u64) -> &'static AtomicU64 {
    &FOUND[number as usize % OVERLAYS]
}

/// Whether all layers are known to be local; `None` if nobody has looked yet.
pub(super) fn known(mount: MountNumber) -> Option<bool> {
    let found = place(mount.number).load(Ordering::Relaxed);
    (mount.unique && found >> 1 == mount.number).then_some(found & 1 == 1)
}

/// Examines a file of an overlay, and caches the result. Runs in a worker.
pub(super) fn examine(file: BorrowedFd<'_>, mount: MountNumber) -> Result<(), Doubt> {
    let result = look(file, mount);
    if mount.unique && result != Err(Doubt::NoFile) {
        place(mount.number).store(mount.number << 1 | u64::from(result.is_ok()), Ordering::Relaxed);
    }
    result
}

fn look(file: BorrowedFd<'_>, mount: MountNumber) -> Result<(), Doubt> {
    if !mount.unique {
        return Err(Doubt::Silent);
    }
    let Description { device, old_number, .. } = mount::describe(mount).ok_or(Doubt::Silent)?;
    let (metadata, found) = statx(file).ok_or(Doubt::Silent)?;
    if !metadata.is_regular_file() || found != mount {
        return Err(Doubt::NoFile);
    }
    if metadata.device != device {
        return Err(Doubt::SeveralFileSystems);
    }
    if has_xino(old_number).ok_or(Doubt::Silent)? {
        return Err(Doubt::Xino);
    }
    let (handle, length) = handle_of(file).ok_or(Doubt::Silent)?;
    if is_local_handle(&handle[..length]) { Ok(()) } else { Err(Doubt::NotLocal) }
}

/// Whether inode numbers may have been made unique. The table has the option where it is not the default.
#[allow(
    clippy::disallowed_methods,
    reason = "a parameter of the kernel's; without it, overlays are not known to be local"
)]
fn has_xino(old_number: u64) -> Option<bool> {
    let table = mount::table()?;
    let table = String::from_utf8_lossy(&table);
    let options = mount::line(&table, old_number)?.super_options;
    match options.split(',').find_map(|option| option.strip_prefix("xino=")) {
        Some(mode) => Some(mode != "off"),
        None => Some(std::fs::read("/sys/module/overlay/parameters/xino_auto").ok()?.first()? != &b'N'),
    }
}

/// The largest file handle (`MAX_HANDLE_SZ`, `open_by_handle_at(2)`).
const LONGEST_HANDLE: usize = 128;

/// The file handle of an open file, and its length.
#[allow(
    clippy::disallowed_methods,
    reason = "it reaches no file; without it, overlays are not known to be local"
)]
fn handle_of(file: BorrowedFd<'_>) -> Option<([u8; LONGEST_HANDLE], usize)> {
    /// `AT_HANDLE_FID` of `linux/fcntl.h`: a handle that identifies, and need not be one to open.
    const IDENTIFIER: libc::c_int = 0x200;
    #[repr(C)]
    struct Handle {
        length: u32,
        kind: i32,
        bytes: [u8; LONGEST_HANDLE],
    }
    let mut handle = Handle { length: LONGEST_HANDLE as u32, kind: 0, bytes: [0; LONGEST_HANDLE] };
    let mut mount = 0_i32;
    // SAFETY: the path is an empty C string, and the handle has as much room as it says.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            file.as_raw_fd(),
            c"".as_ptr(),
            &raw mut handle,
            &raw mut mount,
            libc::AT_EMPTY_PATH | IDENTIFIER,
        )
    };
    (result == 0).then_some((handle.bytes, (handle.length as usize).min(LONGEST_HANDLE)))
}

/// Whether the handle of an overlay's file has one inside that only a local file system gives.
///
/// `struct ovl_fh`: three bytes of padding, then the version, a magic number, the length without the padding, flags,
/// the type of the handle inside, the UUID of its file system, and that handle.
fn is_local_handle(handle: &[u8]) -> bool {
    const MAGIC: u8 = 0xfb;
    let [_, _, _, 0, MAGIC, length, _, kind, rest @ ..] = handle else { return false };
    let Some((uuid, inner)) = rest.split_at_checked(16) else { return false };
    // The bytes after that length are padding.
    let Some(inner) = usize::from(*length).checked_sub(21).filter(|length| *length <= inner.len()) else {
        return false;
    };
    // The types of handles (`enum fid_type` in the kernel's `include/linux/exportfs.h`, `XFS_FILEID_TYPE_64FLAG` in
    // `fs/xfs/xfs_export.h`): inode and generation, of ext4, f2fs and EROFS; XFS's with 64 bits; btrfs's. (tmpfs's look
    // like those of OCFS2, a cluster file system.)
    uuid.iter().any(|byte| *byte != 0) && matches!((*kind, inner), (0x01, 8) | (0x81, 12) | (0x4d, 20))
}

/// Whether a mount is known to be local, if it is an overlay that has this file. Runs in a worker.
pub(super) fn is_local(file: impl AsFd, mount: MountNumber) -> bool {
    known(mount).unwrap_or_else(|| examine(file.as_fd(), mount).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of real files: an overlay on ext4, on FUSE, and on tmpfs.
    fn handle(kind: u8, uuid: u8, inner: usize) -> Vec<u8> {
        let mut handle = vec![0, 0, 0, 0, 0xfb, 21 + inner as u8, 1, kind];
        handle.extend([uuid; 16]);
        handle.extend(std::iter::repeat_n(7, inner));
        handle
    }

    #[test]
    fn handles_tell_the_file_system() {
        for (kind, length) in [(0x01, 8), (0x81, 12), (0x4d, 20)] {
            assert!(is_local_handle(&handle(kind, 5, length)));
            assert!(!is_local_handle(&handle(kind, 0, length)), "FUSE and networks have no UUID");
            assert!(!is_local_handle(&handle(kind, 5, length + 4)));
            assert!(!is_local_handle(&handle(0xf8, 5, length)), "an overlay on an overlay");
            let whole = handle(kind, 5, length);
            for cut in 0..whole.len() {
                assert!(!is_local_handle(&whole[..cut]));
            }
        }
        let mut other = handle(0x01, 5, 8);
        other[4] = 0xfc;
        assert!(!is_local_handle(&other));
    }

    #[test]
    fn what_was_found_is_remembered_of_one_mount() {
        let mount = MountNumber { number: (1 << 40) + 3, unique: true };
        assert_eq!(known(mount), None);
        place(mount.number).store(mount.number << 1 | 1, Ordering::Relaxed);
        assert_eq!(known(mount), Some(true));
        assert_eq!(known(MountNumber { number: mount.number + OVERLAYS as u64, ..mount }), None);
        assert_eq!(known(MountNumber { unique: false, ..mount }), None);
    }
}
