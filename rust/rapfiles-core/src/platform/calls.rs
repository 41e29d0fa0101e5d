//! The system calls themselves: the second of the two doors behind which a simulation can stand.
//!
//! These are the C library's own functions, by another name. The other door is [`crate::runtime`].

pub(crate) use system::*;

/// What the system has.
pub(crate) mod system {
    pub(crate) use std::fs::File;
    pub(crate) use std::os::fd::OwnedFd;

    pub(crate) use libc::{
        close, fcntl, fstat, fstatat, fsync, ftruncate, isatty, lseek, mkdir, open, poll, pread, pwrite,
        read, rename, rmdir, truncate, unlink, write,
    };
    #[cfg(target_os = "linux")]
    pub(crate) use libc::{eventfd, fdatasync, getrusage, preadv2, statx};

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
        // SAFETY: the caller's promise.
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
        // SAFETY: the caller's promise.
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
        // SAFETY: the caller's promise.
        unsafe { libc::syscall(STATMOUNT, request, answer, size, 0) }
    }
}
