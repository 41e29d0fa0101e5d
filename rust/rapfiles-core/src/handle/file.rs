//! A handle with its access mode, and the results that have been read ahead.

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
    /// Results that have been read ahead.
    pub ahead: Ahead<S>,
}

impl<S: Sink> HandleFile<S> {
    /// A handle for operations.
    pub fn new(handle: Arc<Handle>, readable: bool, writable: bool) -> Self {
        Self { handle, readable, writable, ahead: Ahead::default() }
    }
}
