//! The owner and the group of files.

use std::ffi::OsString;

use crate::error::{About, Error};
use crate::platform::{self, NativePath};

/// A user or a group, by number or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// Its number; the highest one means no change (-1 of `chown(2)`).
    Id(u32),
    /// Its name.
    Name(String),
}

impl Account {
    /// Its number, which may have to be requested from a server.
    pub(crate) fn id(&self, group: bool) -> Result<u32, Error> {
        match self {
            Self::Id(id) => Ok(*id),
            Self::Name(name) => platform::account_id(name, group)
                .ok_or_else(|| Error::UnknownName { group, name: name.clone() }),
        }
    }
}

/// The name of the user that a file belongs to.
pub(crate) fn owner(path: &NativePath, follow: bool) -> Result<OsString, Error> {
    let metadata = platform::metadata(path, follow).about_path()?;
    name(metadata.user, false)
}

/// The name of the group that a file belongs to.
pub(crate) fn group(path: &NativePath, follow: bool) -> Result<OsString, Error> {
    let metadata = platform::metadata(path, follow).about_path()?;
    name(metadata.group, true)
}

fn name(id: u32, group: bool) -> Result<OsString, Error> {
    platform::account_name(id, group).ok_or(Error::UnknownId { group, id })
}

/// Changes the owner and the group.
pub(crate) fn change_owner(
    path: &NativePath,
    user: Account,
    group: Account,
    follow: bool,
) -> Result<(), Error> {
    let (user, group) = (user.id(false)?, group.id(true)?);
    platform::change_owner(path, user, group, follow).about_path()
}
