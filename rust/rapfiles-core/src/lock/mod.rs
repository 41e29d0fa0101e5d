//! Locks of files, between the tasks of this process and between processes.
//!
//! Within the process they are granted in order by a queue for each file ([`locks`]); only its head asks the kernel.

mod attempt;
mod candidate;
mod claim;
mod conversion;
mod holder;
mod inherited;
#[cfg(all(test, target_os = "linux", not(loom)))]
mod invariants;
mod job;
mod lock_file;
mod locks;
mod own_file;
mod patience;
mod poller;
mod queue;
mod queues;
mod request;
mod times;
mod turn;
mod waiting_thread;

pub use candidate::Held as HeldLock;
pub use claim::{Extent, Mode};
pub use conversion::Conversion;
pub(crate) use inherited::{after_fork, before_fork, forks, in_child};
#[cfg(all(test, target_os = "linux", not(loom)))]
pub(crate) use inherited::{in_simulated_child, known as known_to_children};
pub(crate) use job::LockJob;
pub(crate) use lock_file::{Identity, LockFile};
pub(crate) use locks::Locks;
pub(crate) use own_file::OwnFile;
pub use request::{Acquisition, LockRequest, LockTarget};
