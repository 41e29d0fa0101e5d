//! A handle with what its user may do with it, and what has been read for that user already.

use std::sync::Arc;

use super::ahead::Ahead;
use super::handle::Handle;
use super::sink::Sink;

/// A handle as operations use it.
pub struct HandleFile<S: Sink> {
    /// The handle.
    pub handle: Arc<Handle>,
    /// Whether it was opened for reading.
    pub readable: bool,
    /// Whether it was opened for writing.
    pub writable: bool,
    /// What has been read for reads to come.
    pub ahead: Ahead<S>,
}

impl<S: Sink> HandleFile<S> {
    /// A handle for operations.
    pub fn new(handle: Arc<Handle>, readable: bool, writable: bool) -> Self {
        Self { handle, readable, writable, ahead: Ahead::default() }
    }
}
