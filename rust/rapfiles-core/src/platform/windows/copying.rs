//! Copying content and metadata between files, with Windows' functions.

use std::fs::File;
use std::io;
use std::os::windows::io::AsRawHandle;
use std::ptr;

use windows_sys::Win32::Foundation::{ERROR_CALL_NOT_IMPLEMENTED, FILETIME};
use windows_sys::Win32::Storage::FileSystem::{
    COPY_FILE_FAIL_IF_EXISTS, COPYFILE2_EXTENDED_PARAMETERS, CopyFile2, SetFileTime,
};

use super::access::file_time;
use super::errors::{checked, checked_result, error};
use super::{Directory, NativePath};
use crate::verbs::metadata::{Attributes, Metadata, Ownership, Timestamp};

/// Larger files are copied a piece at a time, so that a step does not take long; without their other streams.
const LARGEST_WHOLE: u64 = 64 << 20;

/// ReFS clones in `CopyFile`: see [`copy_whole`].
pub(crate) fn clone_content(_source: &File, _target: &File) -> io::Result<()> {
    Err(error(ERROR_CALL_NOT_IMPLEMENTED))
}

/// Creates a file of this name with `CopyFile2`, which also copies the attributes, the times and the other streams, as
/// CPython does.
pub(crate) fn copy_whole(
    source: &File,
    (path, inside): (&NativePath, Option<&Directory>),
    (directory, name): (&Directory, &NativePath),
    _with_metadata: bool,
) -> io::Result<bool> {
    if super::length_of(source)? > LARGEST_WHOLE {
        return Ok(false);
    }
    let path = inside.map_or_else(|| Ok(path.clone()), |inside| inside.path_of(path))?;
    let target = directory.path_of(name)?;
    let parameters = COPYFILE2_EXTENDED_PARAMETERS {
        dwSize: size_of::<COPYFILE2_EXTENDED_PARAMETERS>() as u32,
        dwCopyFlags: COPY_FILE_FAIL_IF_EXISTS,
        pfCancel: ptr::null_mut(),
        pProgressRoutine: None,
        pvCallbackContext: ptr::null_mut(),
    };
    // SAFETY: both paths end with a NUL, the structure is complete, and there is nobody to call back.
    checked_result(unsafe { CopyFile2(path.as_ptr(), target.as_ptr(), &raw const parameters) }).map(|()| true)
}

/// Windows copies whole files only.
pub(crate) fn copy_range(_source: &File, _target: &File, _offset: u64, _length: usize) -> io::Result<usize> {
    Err(error(ERROR_CALL_NOT_IMPLEMENTED))
}

/// Windows copies whole files only.
pub(crate) fn send(_source: &File, _target: &File, _offset: u64, _length: usize) -> io::Result<usize> {
    Err(error(ERROR_CALL_NOT_IMPLEMENTED))
}

/// Files are assumed to have no holes.
pub(crate) fn next_data(_file: &File, _from: u64) -> io::Result<Option<(u64, u64)>> {
    Err(error(ERROR_CALL_NOT_IMPLEMENTED))
}

/// Python has no extended attributes on Windows.
pub(crate) fn copy_attributes(_source: &File, _target: &File) -> io::Result<Attributes> {
    Ok(Attributes::NONE)
}

/// A new file has the access list that its directory gives it.
pub(crate) fn copy_access_list_of(
    _name: &NativePath,
    _directory: &Directory,
    _target: &File,
) -> io::Result<Attributes> {
    Ok(Attributes::NONE)
}

/// A new file has the access list that its directory gives it.
pub(crate) fn remove_access_lists(_file: &File) -> io::Result<bool> {
    Ok(false)
}

/// The only permission that Python has on Windows is an attribute, which `CopyFile2` copies.
pub(crate) fn set_file_mode(_file: &File, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// Sets the times of an open file.
pub(crate) fn set_file_times(file: &File, (accessed, modified): (Timestamp, Timestamp)) -> io::Result<()> {
    let (accessed, modified): (FILETIME, FILETIME) = (file_time(accessed)?, file_time(modified)?);
    // SAFETY: the handle is open, and the times are there to be read.
    checked(unsafe {
        SetFileTime(file.as_raw_handle(), ptr::null(), &raw const accessed, &raw const modified)
    })
}

/// Windows has no such flags.
pub(crate) fn copy_flags(_like: &Metadata, _target: &File) -> io::Result<()> {
    Ok(())
}

/// The first write finds a full disk.
pub(crate) fn reserve(_file: &File, _length: u64) -> io::Result<()> {
    Ok(())
}

/// A new file has the owner and the access list that its directory gives it.
pub(crate) fn set_file_owner(_file: &File, _own: &Metadata, _like: &Metadata) -> io::Result<Ownership> {
    Ok(Ownership::BOTH)
}

/// The journal of NTFS has the names in a directory; there is no call for one.
pub(crate) fn synchronise_directory(_directory: &File) -> io::Result<()> {
    Ok(())
}

/// The first write finds a full disk.
pub(crate) fn reserve_after(_file: &File, _end: u64, _length: u64) -> io::Result<()> {
    Ok(())
}

/// There is no such hint.
pub(crate) fn begin_to_write_back(_file: &File) {}

/// Nothing is known of the order in which changes reach the device.
pub(crate) fn keeps_order(_file: &File) -> bool {
    false
}

/// Waits until the device has the content of a file.
pub(crate) fn write_back(file: &File) -> io::Result<()> {
    crate::platform::synchronise(file, true)
}

impl Directory {
    /// There is no call that tells; trying does.
    pub(crate) fn may_replace(&self, _name: &NativePath) -> io::Result<()> {
        Ok(())
    }

    /// As above.
    pub(crate) fn may_rename(&self) -> io::Result<()> {
        Ok(())
    }

    /// Not known here: devices are compared instead.
    pub(crate) fn mount_of(&self, _name: Option<&NativePath>) -> Option<u64> {
        None
    }
}
