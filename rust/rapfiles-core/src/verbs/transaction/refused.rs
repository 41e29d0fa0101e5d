//! The errors of what a transaction refuses.

use crate::error::{Error, Subject};
use crate::platform::{self, NativePath, codes};
use crate::verbs::copy::special;
use crate::verbs::metadata::{FileType, Metadata};

fn refused(code: i32, message: &'static str, subject: Subject) -> Error {
    Error::Refused { code, message, subject, special: false }
}

/// It was used after its end.
pub(super) fn ended() -> Error {
    refused(codes::INVALID, "The transaction has ended", Subject::Nothing)
}

/// The task that waited for it has been cancelled.
pub(super) fn abandoned() -> Error {
    refused(codes::INVALID, "The transaction was cancelled", Subject::Nothing)
}

/// A name that leads out of the directory, or to the log.
pub(super) fn invalid_name() -> Error {
    refused(codes::INVALID, "Not the name of something in the directory of the transaction", Subject::Path)
}

/// A log that others could have changed.
pub(super) fn foreign_log(path: NativePath) -> Error {
    let message =
        "The directory of the transactions' logs belongs to somebody else, or others may write to it";
    refused(platform::codes::NOT_PERMITTED, message, Subject::Other(path))
}

/// A log that is not as it was written.
pub(super) fn damaged(path: NativePath) -> Error {
    refused(platform::EIO, "The log of a committed transaction is damaged", Subject::Other(path))
}

/// A file that was to be extended and has been changed by somebody else since.
pub(super) fn changed(subject: Subject) -> Error {
    let message = "A file that a committed transaction appends to has been changed since: its log is kept";
    refused(codes::BUSY, message, subject)
}

/// Something that is on another file system.
pub(super) fn elsewhere(subject: Subject) -> Error {
    Error::Os { code: codes::OTHER_DEVICE, subject }
}

/// Refuses what is not a regular file. `link`: permit a symbolic link.
pub(super) fn unless_regular(found: &Metadata, subject: Subject, link: bool) -> Result<(), Error> {
    match found.file_type() {
        FileType::REGULAR => Ok(()),
        FileType::SYMLINK if link => Ok(()),
        FileType::SYMLINK => Err(Error::Os { code: codes::LOOP, subject }),
        FileType::DIRECTORY => Err(Error::Os { code: codes::IS_DIRECTORY, subject }),
        _ => Err(special(found, subject)),
    }
}
