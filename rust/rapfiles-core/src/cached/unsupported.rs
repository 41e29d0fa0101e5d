//! Tier 0 on other systems than Linux, which have no calls that fail rather than block: everything is handed to a
//! worker.

use std::io;
use std::time::Instant;

use super::{BufferProvider, FileSystem, IoVec};
use crate::engine::Engine;
use crate::engine::lane::Lane;
use crate::error::{About, Error};
use crate::lock::{Identity, LockFile};
use crate::outcome::Attempted;
use crate::path_operation::PathOperation;
use crate::platform::{self, File, NativePath};
use crate::verbs::metadata::Metadata;
use crate::verbs::slices::{Sliced, Slices};

#[derive(Debug)]
pub(crate) struct Cached;

impl Cached {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn attempt(
        &self,
        _engine: &Engine,
        _operation: &PathOperation,
        _room: &mut dyn BufferProvider,
    ) -> Attempted {
        Err(Lane::Unknown)
    }

    pub(crate) fn lane_of(&self, _path: &NativePath) -> Lane {
        Lane::Unknown
    }

    pub(crate) fn open_to_lock(&self, _path: &NativePath, _now: Instant) -> Result<LockFile, Lane> {
        Err(Lane::Unknown)
    }

    pub(crate) fn identity(&self, _path: &NativePath) -> Option<Option<Identity>> {
        None
    }

    /// Nothing is known of mounts.
    pub(crate) fn may_wait_for_others(&self, _directory: &impl InMount) -> bool {
        false
    }

    pub(crate) fn permits(&self, _mount: MountNumber, _now: Instant) -> bool {
        false
    }

    /// # Safety
    /// None of it is touched.
    pub(crate) unsafe fn read_now(
        &self,
        _file: &File,
        _mount: MountNumber,
        _times: &Times,
        _rooms: &[IoVec],
        _offset: i64,
    ) -> Option<usize> {
        None
    }

    /// # Safety
    /// None of it is touched.
    pub(crate) unsafe fn read_slices(
        &self,
        _file: &File,
        _mount: MountNumber,
        _times: &Times,
        _slices: &mut Slices,
        _start: *mut u8,
    ) -> Sliced {
        Sliced::Missing
    }
}

/// The times of an open file, which matter to nobody here.
#[derive(Debug, Default)]
pub(crate) struct Times {}

impl Times {
    pub(crate) fn settled(_at: Option<Instant>) -> Self {
        Self {}
    }

    pub(crate) fn begin(&self) -> Option<Observation> {
        None
    }

    pub(crate) fn end(&self, _observed: Option<(Observation, &File)>) {}
}

/// There is nothing to be seen of a read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Observation {}

impl Observation {
    pub(crate) fn begin(_metadata: &Metadata) -> Option<Self> {
        None
    }

    pub(crate) fn end(self, _file: &File) {
        match self {}
    }
}

/// Something that is open.
pub(crate) trait InMount {}

impl<Open> InMount for Open {}

/// No mount is known to be fit for tier 0.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MountNumber {}

/// The metadata of an open file.
pub(crate) fn look(file: &File) -> io::Result<(Metadata, Option<MountNumber>)> {
    Ok((platform::metadata_of(file)?, None))
}

/// What the engine can use on the file system of a path.
pub(crate) fn inspect(_engine: &Engine, path: &NativePath) -> Result<FileSystem, Error> {
    platform::metadata(path, true).about_path()?;
    Ok(FileSystem {
        name: "unknown".to_owned(),
        local: false,
        obstacle: Some("this operating system has no calls that promise not to wait".to_owned()),
        access_times: "unknown".to_owned(),
    })
}
