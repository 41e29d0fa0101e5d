//! The system calls: the second of the two doors that a simulation can replace.
//!
//! These are re-exports of the C library's functions; in the crate's unit tests, a thread that simulates a world gets
//! those of its model file system (`tests/simulation/`). The other door is [`crate::engine::runtime`]. Functions that
//! are called as `libc::` are called in a simulation, too; where that would keep a fault from a call, `clippy.toml`
//! forbids it.

#[cfg(not(all(test, target_os = "linux", not(loom))))]
pub(crate) use system::*;

#[cfg(all(test, target_os = "linux", not(loom)))]
pub(crate) use crate::simulation::calls::*;

/// The functions of the system.
#[allow(clippy::disallowed_methods, reason = "this is the door")]
pub(crate) mod system {
    #[cfg_attr(
        all(test, target_os = "linux", not(loom)),
        allow(unused_imports, reason = "a simulation has its own")
    )]
    pub(crate) use {std::fs::File, std::os::fd::OwnedFd};

    pub(crate) use libc::{
        close, faccessat, fchmod, fchmodat, fchown, fchownat, fcntl, flock, fstatat, fsync, ftruncate,
        futimens, isatty, linkat, lseek, mkdir, mkdirat, open, openat, poll, pread, pwrite, read, readlinkat,
        rename, renameat, rmdir, symlinkat, truncate, unlink, unlinkat, utimensat, write,
    };
    #[cfg(target_os = "linux")]
    pub(crate) use libc::{
        copy_file_range, eventfd, fallocate, fdatasync, fgetxattr, flistxattr, fremovexattr, fsetxattr,
        fstatfs, getrusage, getxattr, lgetxattr, listxattr, llistxattr, lremovexattr, lsetxattr, mknodat,
        preadv2, removexattr, sendfile64, setxattr, statvfs, statx, sync_file_range,
    };

    #[cfg(not(all(
        target_os = "linux",
        target_pointer_width = "64",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )))]
    pub(crate) use libc::fstat;

    /// `fstat(2)` itself: the function of glibc before 2.39 is `newfstatat(2)` without a path, which takes a sixth
    /// longer. On these architectures the kernel's structure is the C library's.
    ///
    /// # Safety
    /// There is room for the result.
    #[cfg(all(
        target_os = "linux",
        target_pointer_width = "64",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    #[inline]
    pub(crate) unsafe fn fstat(descriptor: libc::c_int, stat: *mut libc::stat) -> libc::c_int {
        // SAFETY: guaranteed by the caller.
        unsafe { libc::syscall(libc::SYS_fstat, descriptor, stat) as libc::c_int }
    }

    /// `fcntl(2)` with a command for locks of ranges.
    ///
    /// # Safety
    /// The lock is a `struct flock`.
    #[inline]
    pub(crate) unsafe fn set_range_lock(
        descriptor: libc::c_int,
        command: libc::c_int,
        lock: *mut libc::flock,
    ) -> libc::c_int {
        // SAFETY: guaranteed by the caller.
        unsafe { libc::fcntl(descriptor, command, lock) }
    }

    /// `ioctl(2)` with `FICLONE`.
    ///
    /// # Safety
    /// None is needed: no memory is involved.
    #[cfg(target_os = "linux")]
    #[inline]
    pub(crate) unsafe fn clone_file(target: libc::c_int, source: libc::c_int) -> libc::c_int {
        // SAFETY: no memory is involved.
        unsafe { libc::ioctl(target, libc::FICLONE, source) }
    }

    /// `renameat2(2)`, for which not every C library has a function.
    ///
    /// # Safety
    /// Both paths are C strings.
    #[cfg(target_os = "linux")]
    #[inline]
    pub(crate) unsafe fn renameat2(
        from: libc::c_int,
        path: *const libc::c_char,
        to: libc::c_int,
        target: *const libc::c_char,
        flags: libc::c_uint,
    ) -> libc::c_long {
        // SAFETY: the caller's promise.
        unsafe { libc::syscall(libc::SYS_renameat2, from, path, to, target, flags) }
    }

    /// `openat2(2)`, for which the C library has no function.
    ///
    /// # Safety
    /// The path is a C string, and `how` has `size` bytes.
    #[cfg(target_os = "linux")]
    #[inline]
    pub(crate) unsafe fn openat2(
        directory: libc::c_int,
        path: *const libc::c_char,
        how: *const libc::open_how,
        size: usize,
    ) -> libc::c_long {
        // SAFETY: guaranteed by the caller.
        unsafe { libc::syscall(libc::SYS_openat2, directory, path, how, size) }
    }

    /// `getdents64(2)`, for which not every C library has a function.
    ///
    /// # Safety
    /// The buffer has room for `size` bytes.
    #[cfg(target_os = "linux")]
    #[inline]
    pub(crate) unsafe fn getdents64<Buffer>(
        directory: libc::c_int,
        buffer: *mut Buffer,
        size: usize,
    ) -> libc::c_long {
        // SAFETY: guaranteed by the caller.
        unsafe { libc::syscall(libc::SYS_getdents64, directory, buffer, size) }
    }

    /// `statmount(2)`, for which the C library has no function.
    ///
    /// # Safety
    /// The request is a `struct mnt_id_req`, and the answer has `size` bytes.
    #[cfg(target_os = "linux")]
    #[inline]
    pub(crate) unsafe fn statmount<Request, Answer>(
        request: *const Request,
        answer: *mut Answer,
        size: usize,
    ) -> libc::c_long {
        const STATMOUNT: libc::c_long = 457;
        // SAFETY: guaranteed by the caller.
        unsafe { libc::syscall(STATMOUNT, request, answer, size, 0) }
    }
}
