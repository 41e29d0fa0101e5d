//! The options of an atomic write.

/// The options of an atomic write.
#[derive(Debug, Clone, Copy)]
pub struct AtomicOptions {
    /// When the operation completes, the device has the content under its name.
    pub durable: bool,
    /// A file that exists is replaced.
    pub overwrite: bool,
    /// A symbolic link is followed; otherwise the link itself is replaced.
    pub follow_symlinks: bool,
    /// A file that cannot be replaced by a rename, because it is a mount point, is overwritten in place.
    pub in_place: bool,
}
