//! Who holds a lock: this process, or another one.

use std::io;

use super::claim::{Claim, Extent, Mode};
use super::lock_file::{Identity, LockFile};
use super::locks::Locks;
use super::request::LockTarget;
use crate::engine::{Engine, runtime};
use crate::error::{About, Error};
use crate::platform;

impl Locks {
    /// The process that has a lock which would be in the way of another one. Runs in a worker.
    pub(super) fn find_holder(
        &self,
        engine: &Engine,
        target: &LockTarget,
        mode: Mode,
        extent: Extent,
    ) -> Result<Option<u32>, Error> {
        let claim = Claim { mode, extent, owner: 0, description: 0 };
        let file = match target {
            LockTarget::Path(path) => {
                let identity = match platform::metadata(path, false) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    metadata => Identity::from(&metadata.about_path()?),
                };
                if self.holds(identity, &claim) {
                    return Ok(Some(std::process::id()));
                }
                if extent == Extent::Whole {
                    return Ok(platform::file_lock_holder(identity.device, identity.inode));
                }
                LockFile::open(engine, path, false)?
            }
            LockTarget::Handle(handle) => LockFile::of_handle(engine, handle, runtime::now())?,
        };
        if self.holds(file.identity, &claim) {
            return Ok(Some(std::process::id()));
        }
        Ok(file.holder(&claim))
    }

    fn holds(&self, identity: Identity, claim: &Claim) -> bool {
        self.lock().queues.get(identity).is_some_and(|queue| queue.is_locked(claim))
    }

    /// Whether this process holds any lock.
    pub(crate) fn is_any_held(&self) -> bool {
        !self.lock().queues.is_empty()
    }

    /// Whether this process holds a lock of the file, or of a range of it.
    pub(crate) fn is_held(&self, device: u64, inode: u128) -> bool {
        let held = |extent| {
            let claim = Claim { mode: Mode::Exclusive, extent, owner: 0, description: 0 };
            self.holds(Identity { device, inode }, &claim)
        };
        held(Extent::Whole) || held(Extent::Range { start: 0, length: 0 })
    }
}
