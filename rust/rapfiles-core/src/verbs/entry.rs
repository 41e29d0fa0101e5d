//! Entries of directories: touching and unlinking them.

use crate::error::{About, Error, Subject};
use crate::platform::{self, NativePath};
use crate::verbs::metadata::Timestamp;

/// Creates a file, or sets the times of one that exists to now.
pub(crate) fn touch(path: &NativePath, mode: u32, exist_ok: bool) -> Result<(), Error> {
    // First the times, as pathlib does it: that works on a directory too, and needs no permission to open.
    if exist_ok && platform::set_times(path, None, true).is_ok() {
        return Ok(());
    }
    let file = platform::create(path, mode, !exist_ok).about_path()?;
    platform::close(file).about(Subject::Nothing)
}

/// Sets the access and modification time; `None` for now.
pub(crate) fn set_times(
    path: &NativePath,
    times: Option<(Timestamp, Timestamp)>,
    follow: bool,
) -> Result<(), Error> {
    platform::set_times(path, times, follow).about_path()
}

/// Removes a file or a link.
pub(crate) fn unlink(path: &NativePath, missing_ok: bool) -> Result<(), Error> {
    match platform::unlink(path).about_path() {
        Err(error) if missing_ok && error.code().is_some_and(platform::is_not_found) => Ok(()),
        Err(error) => Err(error),
        Ok(()) => Ok(()),
    }
}
