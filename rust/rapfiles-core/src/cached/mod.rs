//! Tier 0: answers that the kernel has in its caches, got by calls that it promises not to wait in.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod known;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod mounts;

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{Cached, inspect};
#[cfg(target_os = "linux")]
pub(crate) use linux::{Cached, inspect};

use crate::error::Error;
use crate::outcome::Outcome;
use crate::pool::Lane;

/// What came of the attempt to answer at once.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// The answer.
    Answered(Result<Outcome, Error>),
    /// A worker has to do it, in this lane.
    HandOff(Lane),
}
