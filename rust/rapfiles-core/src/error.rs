//! Why an operation failed, and which of its paths the failure is about.

use std::collections::TryReserveError;
use std::io;

use crate::platform::NativePath;

/// Which path an operating-system error names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The error names no path (reading and writing an open file).
    Nothing,
    /// The path that the operation was asked about.
    Path,
    /// Both paths of an operation that has two, in their order.
    Both,
    /// The second path of an operation that has two.
    Second,
    /// Another path, such as a missing parent directory.
    Other(NativePath),
    /// Two other paths, such as a file in a tree and what it is copied to.
    Others(NativePath, NativePath),
}

/// Why an operation failed.
#[derive(Debug)]
pub enum Error {
    /// An error of the operating system: its code and the paths that it names.
    Os {
        /// `errno` on POSIX, the Windows error code there.
        code: i32,
        /// The path that the error names.
        subject: Subject,
    },
    /// No user or group has this number.
    UnknownId {
        /// Whether the number is a group's.
        group: bool,
        /// The number that was looked up.
        id: u32,
    },
    /// No user or group has this name.
    UnknownName {
        /// Whether the name is a group's.
        group: bool,
        /// The name that was looked up.
        name: String,
    },
    /// Memory could not be allocated.
    OutOfMemory,
    /// A directory that is being removed was moved to another place, where nothing must be removed.
    BeingMoved(Subject),
    /// The library itself refuses an operation that the operating system would perform.
    Refused {
        /// The error code of the operating system that comes closest.
        code: i32,
        /// Why.
        message: &'static str,
        /// The path that the error names.
        subject: Subject,
        /// Whether it is about a FIFO, a socket or a device, whose content must not be copied.
        special: bool,
    },
    /// The content is visible under its name, but may be lost in a crash: the code of the error that says so.
    NotDurable {
        /// `errno` on POSIX, the Windows error code there.
        code: i32,
        /// The path that the error names.
        subject: Subject,
    },
    /// A lock was not to be had in time.
    LockTimeout {
        /// The process that holds it, if that is known.
        holder: Option<u32>,
    },
    /// The task that asks for a lock holds it.
    LockReentry,
    /// An error after which a file could not be restored; its old content is in a file beside it.
    BackupLeft {
        /// `errno` on POSIX, the Windows error code there.
        code: i32,
        /// The path that the error names.
        subject: Subject,
        /// The name of the file with the old content.
        backup: NativePath,
    },
    /// A transaction is committed, but not all of it has been done: the code of the error that says why. Recovery
    /// finishes it.
    Unfinished {
        /// `errno` on POSIX, the Windows error code there.
        code: i32,
        /// The path that the error names.
        subject: Subject,
    },
    /// The system refuses threads, and no existing one will ever do it: it has not been begun.
    NoThread,
    /// The operation was begun by the parent process, before this process was forked.
    Forked,
    /// The worker panicked: a defect of this library.
    Panic(String),
}

impl Error {
    /// The error of a system call, naming `subject`.
    pub fn new(error: &io::Error, subject: Subject) -> Self {
        match error.raw_os_error() {
            // ENOMEM from the system itself is an ordinary OS error, as in Python.
            None if error.kind() == io::ErrorKind::OutOfMemory => Self::OutOfMemory,
            _ => Self::Os { code: code_of(error), subject },
        }
    }

    /// The operating system's error code, if it has one.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Os { code, .. } | Self::Refused { code, .. } => Some(*code),
            Self::NoThread => Some(crate::platform::NO_THREAD),
            _ => None,
        }
    }

    /// Whether it says that no descriptor is left.
    pub fn lacks_descriptors(&self) -> bool {
        self.code().is_some_and(crate::platform::lacks_descriptors)
    }

    /// Whether it says that a descriptor is not open, or not open for this.
    pub fn is_of_descriptor(&self) -> bool {
        self.code() == Some(crate::platform::BAD_DESCRIPTOR)
    }
}

impl From<TryReserveError> for Error {
    fn from(_: TryReserveError) -> Self {
        Self::OutOfMemory
    }
}

/// The operating system's error code.
pub(crate) fn code_of(error: &io::Error) -> i32 {
    // Errors that the standard library creates itself, such as "failed to write whole buffer", have no code
    // (`io::Error::raw_os_error`).
    error.raw_os_error().unwrap_or(crate::platform::EIO)
}

/// A subject, or a closure that makes one if there is an error: in a deep tree, a path is long.
pub(crate) trait ToSubject {
    fn to_subject(self) -> Subject;
}

impl ToSubject for Subject {
    fn to_subject(self) -> Subject {
        self
    }
}

impl<F: FnOnce() -> Subject> ToSubject for F {
    fn to_subject(self) -> Subject {
        self()
    }
}

/// Names the path that an `io::Error` is about.
pub(crate) trait About<T> {
    fn about(self, subject: impl ToSubject) -> Result<T, Error>;

    /// The error names the operation's own path.
    fn about_path(self) -> Result<T, Error>
    where
        Self: Sized,
    {
        self.about(Subject::Path)
    }
}

impl<T> About<T> for io::Result<T> {
    fn about(self, subject: impl ToSubject) -> Result<T, Error> {
        self.map_err(|error| Error::new(&error, subject.to_subject()))
    }
}
