//! How a file is replaced.

/// How a file is replaced at a stroke.
#[derive(Debug, Clone, Copy)]
pub struct AtomicOptions {
    /// When the operation is over, the device has the content under its name.
    pub durable: bool,
    /// A file that exists is replaced.
    pub overwrite: bool,
    /// A symbolic link stands for what it leads to; otherwise it is replaced itself.
    pub follow_symlinks: bool,
    /// A file that nothing can be renamed to, because it is a mount point, is overwritten in place.
    pub in_place: bool,
}
