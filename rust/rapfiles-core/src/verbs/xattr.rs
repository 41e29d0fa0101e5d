//! Extended attributes.

use std::ffi::OsString;

use crate::error::{About, Error};
use crate::platform::{self, NativePath};
use crate::verbs::write::Data;

/// The name of an extended attribute.
pub type AttributeName = NativePath;

/// The value of an attribute.
pub(crate) fn get(path: &NativePath, name: &AttributeName, follow: bool) -> Result<Vec<u8>, Error> {
    platform::get_attribute(path, name, follow).about_path()
}

/// Sets an attribute.
pub(crate) fn set(
    path: &NativePath,
    name: &AttributeName,
    value: &Data,
    flags: i32,
    follow: bool,
) -> Result<(), Error> {
    platform::set_attribute(path, name, value.bytes(), flags, follow).about_path()
}

/// The names of the attributes.
pub(crate) fn list(path: &NativePath, follow: bool) -> Result<Vec<OsString>, Error> {
    platform::list_attributes(path, follow).about_path()
}

/// Removes an attribute.
pub(crate) fn remove(path: &NativePath, name: &AttributeName, follow: bool) -> Result<(), Error> {
    platform::remove_attribute(path, name, follow).about_path()
}
