//! What Windows does not have, or has in another form than POSIX.

use std::ffi::OsString;
use std::fs::File;
use std::io;

use windows_sys::Win32::Foundation::ERROR_CALL_NOT_IMPLEMENTED;

use super::NativePath;
use super::errors::error;
use crate::verbs::metadata::StatVfs;

/// An error whose kind is [`io::ErrorKind::Unsupported`].
fn unsupported<T>() -> io::Result<T> {
    Err(error(ERROR_CALL_NOT_IMPLEMENTED))
}

pub(crate) fn statvfs(_path: &NativePath) -> io::Result<StatVfs> {
    unsupported()
}

pub(crate) fn change_owner(_path: &NativePath, _user: u32, _group: u32, _follow: bool) -> io::Result<()> {
    unsupported()
}

/// Owners have no numbers.
pub(crate) fn account_name(_id: u32, _group: bool) -> Option<OsString> {
    None
}

/// Owners have no numbers.
pub(crate) fn account_id(_name: &str, _group: bool) -> Option<u32> {
    None
}

/// There is no database of home directories: they are found through the environment.
pub(crate) fn home_directory(_user: Option<OsString>) -> Option<OsString> {
    None
}

pub(crate) fn get_attribute(_path: &NativePath, _name: &NativePath, _follow: bool) -> io::Result<Vec<u8>> {
    unsupported()
}

pub(crate) fn set_attribute(
    _path: &NativePath,
    _name: &NativePath,
    _value: &[u8],
    _flags: i32,
    _follow: bool,
) -> io::Result<()> {
    unsupported()
}

pub(crate) fn list_attributes(_path: &NativePath, _follow: bool) -> io::Result<Vec<OsString>> {
    unsupported()
}

pub(crate) fn remove_attribute(_path: &NativePath, _name: &NativePath, _follow: bool) -> io::Result<()> {
    unsupported()
}

/// Windows has no signals that a thread could take from another.
pub(crate) fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Windows has no fork.
pub(crate) fn at_fork(_before: fn(), _parent: fn(), _child: fn()) {}

/// As above.
pub(crate) fn inheritable_descriptor(_file: &File) -> Option<i32> {
    None
}

/// As above.
pub(crate) fn close_inherited(_descriptor: i32, _device: u64, _inode: u64) {}

/// The C library has no such setting.
pub(crate) fn keep_freed_memory() {}

/// Nothing.
pub(crate) fn expect_large_use(_start: *mut u8, _length: usize) {}

/// Nothing.
pub(crate) fn expect_small_use(_start: *mut u8, _length: usize) {}
