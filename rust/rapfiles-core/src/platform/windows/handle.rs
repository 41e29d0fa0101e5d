//! Handles of open files and directories, and their information.

use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, HandleOrInvalid, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Storage::FileSystem::{
    CreateFileW, FILE_ATTRIBUTE_TAG_INFO, FILE_BASIC_INFO, FILE_FLAG_BACKUP_SEMANTICS,
    FILE_FLAG_OPEN_REPARSE_POINT, FILE_ID_INFO, FileAttributeTagInfo, FileBasicInfo, FileIdInfo,
    GetFileInformationByHandleEx, OPEN_EXISTING,
};

use super::NativePath;
use super::errors::checked;

/// Opens a file or a device.
pub(super) fn open(
    path: &NativePath,
    access: u32,
    share: u32,
    disposition: u32,
    flags: u32,
) -> io::Result<OwnedHandle> {
    let (security, template) = (ptr::null(), ptr::null_mut());
    // SAFETY: the path ends with a NUL, and the other pointers may be null.
    let handle = unsafe { CreateFileW(path.as_ptr(), access, share, security, disposition, flags, template) };
    // SAFETY: the handle is invalid, or new and nobody else's.
    let handle = unsafe { HandleOrInvalid::from_raw_handle(handle) };
    OwnedHandle::try_from(handle).map_err(|_| io::Error::last_os_error())
}

/// Opens an existing file or directory, for everything but its content. `follow`: whether to follow a link.
pub(super) fn open_to_look(
    path: &NativePath,
    access: u32,
    share: u32,
    follow: bool,
) -> io::Result<OwnedHandle> {
    let link = if follow { 0 } else { FILE_FLAG_OPEN_REPARSE_POINT };
    open(path, access, share, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | link)
}

/// A structure of `GetFileInformationByHandleEx`.
///
/// # Safety
/// The class must be the one whose structure this is, and any bytes must be a valid value of it.
pub(super) unsafe trait Information: Default {
    const CLASS: i32;
}

// SAFETY: class and structure belong together, and the structure is made of numbers.
unsafe impl Information for FILE_ATTRIBUTE_TAG_INFO {
    const CLASS: i32 = FileAttributeTagInfo;
}

// SAFETY: as above.
unsafe impl Information for FILE_BASIC_INFO {
    const CLASS: i32 = FileBasicInfo;
}

// SAFETY: as above.
unsafe impl Information for FILE_ID_INFO {
    const CLASS: i32 = FileIdInfo;
}

/// Information about an open file.
pub(super) fn information<T: Information>(handle: BorrowedHandle<'_>) -> io::Result<T> {
    let mut information = T::default();
    let (room, size) = ((&raw mut information).cast(), size_of::<T>() as u32);
    // SAFETY: the handle is open, and there is room for what this class fills.
    checked(unsafe { GetFileInformationByHandleEx(handle.as_raw_handle(), T::CLASS, room, size) })?;
    Ok(information)
}

/// Calls with more and more room until it is enough for a text. The call gives the text's length, without a NUL, or the
/// room that it needs, or zero on failure.
pub(super) fn text(mut call: impl FnMut(*mut u16, u32) -> u32) -> io::Result<Vec<u16>> {
    /// Enough for all but few paths.
    const ROOM: usize = 512;
    let mut room = vec![0; ROOM];
    loop {
        let length = call(room.as_mut_ptr(), room.len() as u32) as usize;
        if length == 0 {
            return Err(io::Error::last_os_error());
        }
        if length < room.len() {
            room.truncate(length);
            return Ok(room);
        }
        room.resize(length + 1, 0);
    }
}
