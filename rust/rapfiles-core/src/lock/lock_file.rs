//! An open lock file.

use std::sync::Arc;

use super::claim::{Claim, Extent};
use super::inherited::{self, Place};
use crate::cached;
use crate::engine::queue::Lane;
use crate::engine::{Engine, Process, runtime};
use crate::error::{About, Error, Subject};
use crate::platform::{self, File, NativePath, codes};
use crate::verbs::metadata::Metadata;

/// Which file it is, under whatever name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u128,
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self { device: metadata.device, inode: metadata.inode }
    }
}

/// Whether the path of a lock file still leads to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Current,
    Replaced,
    /// A worker has to look.
    Unknown,
}

/// An open file to be locked. Dropping it unlocks and closes it.
#[derive(Debug)]
pub(crate) struct LockFile {
    engine: Arc<Engine>,
    process: Process,
    file: Option<File>,
    /// Where a forked child finds it.
    place: Option<&'static Place>,
    pub(super) identity: Identity,
    /// Whether the loop's thread may call the kernel for it.
    pub(super) local: bool,
    pub(super) lane: Lane,
    /// What is locked now.
    locked: Option<Extent>,
}

impl LockFile {
    /// The file, unless a fork has come between, whose child has it too and does not know of it. `forks`: those before it
    /// was opened.
    pub(crate) fn new(
        engine: &Engine,
        file: File,
        metadata: &Metadata,
        local: bool,
        forks: Option<u32>,
    ) -> Option<Self> {
        let identity = Identity::from(metadata);
        let place = platform::inheritable_descriptor(&file).map(|descriptor| Place::of(descriptor, identity));
        let lock_file = Self {
            engine: engine.share(),
            process: Process::current(),
            file: Some(file),
            place,
            identity,
            local,
            lane: Lane::Mount(metadata.device),
            locked: None,
        };
        (forks.is_some() && inherited::forks() == forks).then_some(lock_file)
    }

    /// Opens the file with this path, and creates it if there is none. Runs in a worker.
    pub(super) fn open(engine: &Engine, path: &NativePath, writable: bool) -> Result<Self, Error> {
        loop {
            let forks = inherited::forks();
            let file = match platform::open_lock_file(path, writable) {
                Err(error) if error.raw_os_error() == Some(codes::LOOP) => return Err(link()),
                opened => opened.about_path()?,
            };
            let (metadata, mount) = cached::look(&file).about_path()?;
            if !metadata.is_regular_file() {
                return Err(special(&metadata));
            }
            let local = mount.is_some_and(|mount| engine.permits(mount, runtime::now()));
            if let Some(file) = Self::new(engine, file, &metadata, local, forks) {
                return Ok(file);
            }
            // The process is being forked, which takes milliseconds.
            std::thread::yield_now();
        }
    }

    /// Locks it, unless another process is in the way; whether it is locked now.
    pub(super) fn try_lock(&mut self, claim: &Claim) -> Result<bool, Error> {
        if self.locked.is_some() {
            return Ok(true);
        }
        let locked = platform::try_lock(self.file()?, claim.mode, claim.extent).about_path()?;
        self.locked = locked.then_some(claim.extent);
        Ok(locked)
    }

    /// Locks it, and waits for as long as that takes.
    pub(super) fn wait(&mut self, claim: &Claim) -> Result<(), Error> {
        platform::wait_for_lock(self.file()?, claim.mode, claim.extent).about_path()?;
        self.locked = Some(claim.extent);
        Ok(())
    }

    /// Whether the path still leads to it. Without `may_block`, only if the kernel knows without waiting.
    pub(super) fn standing(&self, path: &NativePath, may_block: bool) -> Standing {
        let found = if may_block {
            platform::metadata(path, false).ok().map(|found| Identity::from(&found))
        } else {
            match self.engine.identity_now(path) {
                Some(found) => found,
                None => return Standing::Unknown,
            }
        };
        if found == Some(self.identity) { Standing::Current } else { Standing::Replaced }
    }

    /// The process that is in the way, if that is known.
    pub(super) fn holder(&self, claim: &Claim) -> Option<u32> {
        match claim.extent {
            Extent::Whole => platform::file_lock_holder(self.identity.device, self.identity.inode),
            Extent::Range { .. } => platform::range_holder(self.file.as_ref()?, claim.mode, claim.extent),
        }
    }

    fn file(&self) -> Result<&File, Error> {
        self.file.as_ref().ok_or(Error::Os { code: platform::BAD_DESCRIPTOR, subject: Subject::Path })
    }

    /// Whether it was opened in the process that this one was forked from.
    pub(super) fn is_inherited(&self) -> bool {
        self.process != Process::current()
    }

    /// Unlocks and closes it, which may take as long as the file system does.
    pub(super) fn close(&mut self) {
        let Some(file) = self.file.take() else { return };
        if self.is_inherited() {
            // It has been closed already, and its number may be another file's.
            std::mem::forget(file);
            return;
        }
        if let Some(extent) = self.locked.take() {
            // Closing releases it as well, unless a child process has the description.
            let _ = platform::unlock(&file, extent);
        }
        // Before it is closed, because its number may be another file's afterwards.
        if let Some(place) = self.place.take() {
            place.release();
        }
        drop(file);
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        self.close();
    }
}

fn link() -> Error {
    Error::Refused {
        code: codes::LOOP,
        message: "The lock file is a symbolic link, which is not followed",
        subject: Subject::Path,
        special: false,
    }
}

fn special(metadata: &Metadata) -> Error {
    if metadata.is_directory() {
        return Error::Os { code: platform::IS_A_DIRECTORY, subject: Subject::Path };
    }
    Error::Refused {
        code: codes::INVALID,
        message: "The lock file is not a regular file",
        subject: Subject::Path,
        special: false,
    }
}
