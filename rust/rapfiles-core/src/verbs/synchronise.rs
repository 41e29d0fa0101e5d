//! Waiting until the device has a file, or the entries of a directory.

use crate::error::{About, Error};
use crate::platform::{Directory, NativePath};

/// Waits until the device has a file, or the entries of a directory.
pub(crate) fn synchronise(path: &NativePath) -> Result<(), Error> {
    Directory::synchronise_entry(path, None, true).about_path()
}
