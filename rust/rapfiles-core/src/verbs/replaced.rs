//! Looking at names that others may give to something else meanwhile.
//!
//! Network and FUSE file systems say `ESTALE` of a name whose file was replaced during the call. Linux then tries once more
//! (`retry_estale()` of `include/linux/namei.h`), which does not suffice for a file that is replaced again and again.

use std::io;

use crate::error::Error;
use crate::limits::STALE_TRIED;
use crate::platform::{self, Directory, NativePath};
use crate::verbs::metadata::Metadata;

/// Does something with a name, again if what had it was replaced meanwhile.
pub(crate) fn again_if_stale<T, E: MayBeGone>(mut call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    for _ in 0..STALE_TRIED {
        match call() {
            Err(error) if error.is_stale() => {}
            done => return done,
        }
    }
    call()
}

/// What has a name, if anything.
pub(crate) fn found(directory: &Directory, name: &NativePath, follow: bool) -> io::Result<Option<Metadata>> {
    match again_if_stale(|| directory.metadata_of(name, follow)) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.raw_os_error().is_some_and(platform::is_not_found) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a name is no longer that of `old`; where that is not known, whether nothing has it.
pub(crate) fn no_longer_names(directory: &Directory, name: &NativePath, old: Option<&Metadata>) -> bool {
    let is_another = |now: Metadata| old.is_some_and(|old| !now.is_same_file(old));
    found(directory, name, false).is_ok_and(|now| now.is_none_or(is_another))
}

/// Whether a path leads to something else than it did.
pub(crate) fn leads_elsewhere(path: &NativePath, before: &Metadata) -> bool {
    again_if_stale(|| platform::metadata(path, true)).is_ok_and(|now| !now.is_same_file(before))
}

/// Whether an open directory was removed, or something else has its path.
pub(crate) fn is_replaced(directory: &Directory, path: &NativePath) -> bool {
    match directory.metadata() {
        Ok(found) => found.links == 0 || leads_elsewhere(path, &found),
        // What network and FUSE file systems say of a directory that was removed.
        Err(error) => error.is_gone(),
    }
}

/// An error that may say that something was removed or replaced by somebody else.
pub(crate) trait MayBeGone {
    fn error_kind(&self) -> Option<io::ErrorKind>;

    /// Whether it says so as network and FUSE file systems do of what is open, or being looked at.
    fn is_stale(&self) -> bool {
        self.error_kind() == Some(io::ErrorKind::StaleNetworkFileHandle)
    }

    /// Whether it says that, or that something does not exist.
    fn is_gone(&self) -> bool {
        self.is_stale() || self.error_kind() == Some(io::ErrorKind::NotFound)
    }
}

impl MayBeGone for io::Error {
    fn error_kind(&self) -> Option<io::ErrorKind> {
        Some(self.kind())
    }
}

impl MayBeGone for Error {
    fn error_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Os { code, .. } => Some(io::Error::from_raw_os_error(*code).kind()),
            _ => None,
        }
    }
}
