//! The errors of copies that are refused.

use crate::error::{Error, Subject};
use crate::platform::codes;
use crate::verbs::metadata::{FileType, Metadata};

/// Both paths lead to the same file.
pub(crate) fn same_file() -> Error {
    refused(codes::INVALID, "Source and target are the same file", Subject::Both)
}

/// The same below the paths of the request.
pub(crate) fn same_file_as(subject: Subject) -> Error {
    refused(codes::INVALID, "Source and target are the same file", subject)
}

/// The target is inside the source.
pub(crate) fn inside_itself() -> Error {
    refused(codes::INVALID, "Source path is a parent of target path", Subject::Both)
}

/// The source was written to while it was moved.
pub(crate) fn changed(subject: Subject) -> Error {
    refused(codes::BUSY, "Source was changed while it was being moved", subject)
}

/// A directory has been moved since it was entered: there is no way back from it.
pub(crate) fn moved(subject: Subject) -> Error {
    refused(codes::BUSY, "Directory was moved while it was being copied", subject)
}

/// Something is in the source that was not copied, or not as it is now.
pub(crate) fn not_moved(subject: Subject) -> Error {
    refused(codes::BUSY, "Source holds what was not moved", subject)
}

/// A FIFO, a socket or a device, whose content cannot be copied.
pub(crate) fn special(metadata: &Metadata, subject: Subject) -> Error {
    let message = match metadata.file_type() {
        FileType::FIFO => "Is a named pipe",
        FileType::SOCKET => "Is a socket",
        FileType::CHARACTER_DEVICE => "Is a character device",
        FileType::BLOCK_DEVICE => "Is a block device",
        _ => "Is a special file",
    };
    Error::Refused { code: codes::INVALID, message, subject, special: true }
}

fn refused(code: i32, message: &'static str, subject: Subject) -> Error {
    Error::Refused { code, message, subject, special: false }
}
