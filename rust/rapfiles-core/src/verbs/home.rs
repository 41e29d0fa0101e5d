//! Home directories, from the user database, which may be on a network.

use std::ffi::OsString;

use crate::platform;

/// The home directory of a user, by default of the user who runs this process.
pub(crate) fn home(user: Option<OsString>) -> Option<OsString> {
    platform::home_directory(user)
}
