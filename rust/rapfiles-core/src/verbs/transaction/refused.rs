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

/// The directory has been exchanged, or another one has its name.
pub(super) fn replaced() -> Error {
    let message = "The directory of the transaction has been replaced since it began";
    refused(codes::BUSY, message, Subject::Path)
}

/// Somebody else has changed what was copied.
pub(super) fn disturbed(subject: Subject) -> Error {
    refused(codes::BUSY, "Changed by somebody else while the directory was copied", subject)
}

/// A directory that something is mounted on.
pub(super) fn mount_point() -> Error {
    refused(codes::BUSY, "The directory is a mount point, which cannot be exchanged", Subject::Path)
}

/// A directory that this process is in.
pub(super) fn working_directory() -> Error {
    let message = "The working directory of this process is in the directory, which would be removed";
    refused(codes::BUSY, message, Subject::Path)
}

/// A directory that belongs to somebody whom this process cannot give it to.
pub(super) fn foreign(subject: Subject) -> Error {
    let message = "The owner cannot be kept, so the directory cannot be exchanged for a copy";
    refused(codes::NOT_PERMITTED, message, subject)
}

/// A directory that has transactions of its own.
pub(super) fn inner_log(subject: Subject) -> Error {
    let message =
        "It has the logs of transactions: they must be over, or recovered, before its directory is exchanged";
    refused(codes::BUSY, message, subject)
}

/// A file system, or a system, without such a call.
pub(super) fn cannot_exchange(code: i32) -> Error {
    refused(code, "The file system cannot exchange directories", Subject::Path)
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
