//! Home directories, from the user database, which may be on a network.

use std::ffi::OsString;

use crate::error::Error;
use crate::outcome::Outcome;
use crate::platform;

/// The home directory of a user, by default of the user who runs this process.
pub(crate) fn home(user: Option<OsString>) -> Result<Outcome, Error> {
    Ok(Outcome::MaybePath(platform::home_directory(user)))
}
