//! An open lock file.

use std::sync::Arc;
use std::time::Instant;
use std::{io, mem};

use super::claim::{Claim, Extent, Mode};
use super::inherited;
use super::own_file::OwnFile;
use super::request::LockTarget;
use crate::cached;
use crate::engine::lane::Lane;
use crate::engine::{Engine, Process, runtime};
use crate::error::{About, Error, Subject};
use crate::handle::Handle;
use crate::platform::{self, File, NativePath, codes};
use crate::verbs::metadata::Metadata;
use crate::verbs::temporary::CLAIMED_BYTE;

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

/// The open file description that is locked.
#[derive(Debug)]
enum Description {
    /// One that was opened for the lock, or for that of others who share it.
    Own(Arc<OwnFile>),
    /// That of somebody's open file.
    Handle(Arc<Handle>),
    Closed,
}

/// An open file to be locked. Dropping it unlocks it, and closes it if it was opened for the lock.
#[derive(Debug)]
pub(crate) struct LockFile {
    process: Process,
    description: Description,
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
    pub(crate) fn new(file: File, metadata: &Metadata, local: bool, forks: Option<u32>) -> Option<Self> {
        let identity = Identity::from(metadata);
        Some(Self {
            process: Process::current(),
            description: Description::Own(Arc::new(OwnFile::new(file, identity, forks)?)),
            identity,
            local,
            lane: Lane::Mount(metadata.device),
            locked: None,
        })
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
            if let Some(file) = Self::new(file, &metadata, local, forks) {
                return Ok(file);
            }
            // The process is being forked, which takes milliseconds.
            std::thread::yield_now();
        }
    }

    /// That of an open file.
    pub(super) fn of_handle(engine: &Engine, handle: &Arc<Handle>, now: Instant) -> Result<Self, Error> {
        let identity = handle.identity()?;
        let info = &handle.info;
        Ok(Self {
            process: Process::current(),
            description: Description::Handle(Arc::clone(handle)),
            identity,
            local: info.mount.is_some_and(|mount| engine.permits(mount, now)),
            lane: info.lane,
            locked: None,
        })
    }

    /// Does something with the file.
    fn with<T>(&self, work: impl FnOnce(&File) -> Result<T, Error>) -> Result<T, Error> {
        let file = match &self.description {
            Description::Own(own) => own.get(),
            Description::Handle(handle) if self.local => return handle.with_file_at_once(work),
            Description::Handle(handle) => return handle.with_file(work),
            Description::Closed => None,
        };
        file.map_or(Err(closed()), work)
    }

    /// What others may share, if it was opened for the lock.
    pub(super) fn own(&self) -> Option<&Arc<OwnFile>> {
        match &self.description {
            Description::Own(own) => Some(own),
            _ => None,
        }
    }

    /// Shares what another one has opened and locked, instead of what it has opened itself.
    pub(super) fn share(&mut self, locked: Arc<OwnFile>) {
        self.close();
        self.description = Description::Own(locked);
        self.locked = Some(Extent::Whole);
    }

    /// Locks it, unless another process is in the way; whether it is locked now.
    pub(super) fn try_lock(&mut self, claim: &Claim) -> Result<bool, Error> {
        if self.locked.is_some() {
            return Ok(true);
        }
        let extent = self.covered(claim.extent);
        let locked = self.with(|file| explained(platform::try_lock(file, claim.mode, extent), claim.mode))?;
        self.locked = locked.then_some(extent);
        Ok(locked)
    }

    /// What is locked for a claim. An unfinished file has a lock through the same open file description, which says that
    /// somebody is going to complete it: that must be neither replaced nor released.
    fn covered(&self, extent: Extent) -> Extent {
        match (&self.description, extent) {
            (Description::Handle(handle), Extent::Range { start, length }) if handle.info.of_parent => {
                let most = CLAIMED_BYTE.saturating_sub(start).max(1);
                Extent::Range { start, length: if length == 0 { most } else { length.min(most) } }
            }
            _ => extent,
        }
    }

    /// Whether a thread may wait in the kernel for its lock. Not for that of somebody's open file: closing it would not
    /// release its other locks before the thread has ended, and what the thread gets after the request was given up would
    /// replace a lock that another request has got through the same file.
    pub(super) fn may_wait(&self) -> bool {
        self.local && self.own().is_some()
    }

    /// Locks it, and waits for as long as that takes.
    pub(super) fn wait(&mut self, claim: &Claim) -> Result<(), Error> {
        self.with(|file| explained(platform::wait_for_lock(file, claim.mode, claim.extent), claim.mode))?;
        self.locked = Some(claim.extent);
        Ok(())
    }

    /// Makes a shared lock exclusive, or an exclusive one shared; whether that was possible at once.
    pub(super) fn convert(&mut self, mode: Mode) -> Result<bool, Error> {
        let Some(extent) = self.locked else { return Ok(false) };
        let converted = self.with(|file| explained(platform::convert_lock(file, mode, extent), mode))?;
        if !converted && platform::is_lost_by_converting(extent) {
            self.locked = None;
        }
        Ok(converted)
    }

    /// Whether some of its bytes are locked.
    pub(super) fn is_of_range(&self) -> bool {
        matches!(self.locked, Some(Extent::Range { .. }))
    }

    /// Whether it is locked, as far as this process knows.
    pub(super) fn is_locked(&self) -> bool {
        self.locked.is_some()
            && match &self.description {
                Description::Own(..) => true,
                // Closing a file releases its locks.
                Description::Handle(handle) => !handle.is_closed(),
                Description::Closed => false,
            }
    }

    /// Whether the path still leads to it. Without `may_block`, only if the kernel knows without waiting.
    pub(super) fn standing(
        &self,
        engine: &Engine,
        target: &LockTarget,
        may_block: bool,
    ) -> Result<Standing, Error> {
        let LockTarget::Path(path) = target else { return Ok(Standing::Current) };
        let found = if may_block {
            match platform::metadata(path, false) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                metadata => Some(Identity::from(&metadata.about_path()?)),
            }
        } else {
            match engine.identity_now(path) {
                Some(found) => found,
                None => return Ok(Standing::Unknown),
            }
        };
        Ok(if found == Some(self.identity) { Standing::Current } else { Standing::Replaced })
    }

    /// The process that is in the way, if that is known.
    pub(super) fn holder(&self, claim: &Claim) -> Option<u32> {
        match claim.extent {
            Extent::Whole => platform::file_lock_holder(self.identity.device, self.identity.inode),
            Extent::Range { .. } => {
                self.with(|file| Ok(platform::range_holder(file, claim.mode, claim.extent))).ok()?
            }
        }
    }

    /// Whether it was opened in the process that this one was forked from.
    pub(super) fn is_inherited(&self) -> bool {
        self.process != Process::current()
    }

    /// Unlocks and closes it, which may take as long as the file system does.
    fn close(&mut self) {
        let locked = self.locked.take();
        match mem::replace(&mut self.description, Description::Closed) {
            // Only the last one of those who share it.
            Description::Own(own) => {
                if let Some(mut own) = Arc::into_inner(own) {
                    own.close(locked);
                }
            }
            Description::Handle(_) if self.is_inherited() => {}
            Description::Handle(handle) => {
                if let Some(extent) = locked {
                    // If it has been closed, the lock is gone.
                    let unlock = |file: &File| platform::unlock(file, extent).about_path();
                    let _ =
                        if self.local { handle.with_file_at_once(unlock) } else { handle.with_file(unlock) };
                }
            }
            Description::Closed => {}
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        self.close();
    }
}

/// The result of locking a file that is open. A lock of a range needs one that is open in the right way (`EBADF` in
/// fcntl(2)).
fn explained<T>(locked: io::Result<T>, mode: Mode) -> Result<T, Error> {
    locked.map_err(|error| match error.raw_os_error() {
        Some(code) if code == platform::BAD_DESCRIPTOR => Error::Refused {
            code,
            message: match mode {
                Mode::Exclusive => {
                    "The file is not open for writing, as an exclusive lock of a range requires"
                }
                Mode::Shared => "The file is not open for reading, as a shared lock of a range requires",
            },
            subject: Subject::Path,
            special: false,
        },
        _ => Error::new(&error, Subject::Path),
    })
}

/// It has been closed.
pub(super) fn closed() -> Error {
    Error::Os { code: platform::BAD_DESCRIPTOR, subject: Subject::Path }
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
