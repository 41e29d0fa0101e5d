//! No kernel but Linux's makes the promise that tier 0 is built on, so everything is handed to a worker.

use super::{Attempt, Room};
use crate::error::{About, Error};
use crate::operation::Operation;
use crate::outcome::{FileSystem, Outcome};
use crate::platform::{self, NativePath};
use crate::queue::Lane;

#[derive(Debug)]
pub(crate) struct Cached;

impl Cached {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn attempt(&self, _operation: &Operation, _room: &mut dyn Room) -> Attempt {
        Attempt::HandOff(Lane::Unknown)
    }
}

/// What the engine can use on the file system of a path.
pub(crate) fn inspect(path: &NativePath) -> Result<Outcome, Error> {
    platform::metadata(path, true).about_path()?;
    Ok(Outcome::FileSystem(Box::new(FileSystem {
        name: "unknown".to_owned(),
        local: false,
        obstacle: Some("this operating system has no calls that promise not to wait".to_owned()),
    })))
}
