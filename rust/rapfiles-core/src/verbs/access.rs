//! Permissions of files: `access(2)` and `chmod(2)`.

use crate::error::{About, Error};
use crate::platform::{self, NativePath};

/// `F_OK`, or a combination of `R_OK`, `W_OK` and `X_OK`.
pub(crate) type AccessMode = i32;

/// Whether the file may be accessed in this mode. As in `os.access`, every error means no.
pub(crate) fn access(path: &NativePath, mode: AccessMode, effective_ids: bool, follow: bool) -> bool {
    platform::access(path, mode, effective_ids, follow).is_ok()
}

/// Changes the mode.
pub(crate) fn change_mode(path: &NativePath, mode: u32, follow: bool) -> Result<(), Error> {
    platform::change_mode(path, mode, follow).about_path()
}
