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
pub(crate) fn again_if_stale<T, E: MayBeStale>(mut call: impl FnMut() -> Result<T, E>) -> Result<T, E> {
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

/// Whether an error says that something was removed, or replaced.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.is_stale()
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
        Err(error) => is_gone(&error),
    }
}

/// An error that may be `ESTALE`.
pub(crate) trait MayBeStale {
    fn is_stale(&self) -> bool;
}

impl MayBeStale for io::Error {
    fn is_stale(&self) -> bool {
        self.kind() == io::ErrorKind::StaleNetworkFileHandle
    }
}

impl MayBeStale for Error {
    fn is_stale(&self) -> bool {
        Error::is_stale(self)
    }
}
