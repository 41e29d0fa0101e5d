//! The signal that a loop watches: on Windows there is none.

use std::io;

/// A descriptor that becomes readable when it is signalled. Windows' loops watch nothing but sockets, so there is no
/// value of this type; `call_soon_threadsafe` has to do.
#[derive(Debug)]
pub enum EventSignal {}

impl EventSignal {
    /// Always fails.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`].
    pub fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The descriptor for the loop to watch.
    pub fn fd(&self) -> i32 {
        match *self {}
    }

    /// Makes the descriptor readable.
    pub fn raise(&self) {
        match *self {}
    }

    /// Makes the descriptor unreadable.
    pub fn clear(&self) {
        match *self {}
    }
}
