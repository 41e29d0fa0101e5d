//! Lanes: the queues of jobs, one for each thing that they may wait for.

/// The lane of jobs that may wait for the same thing, normally a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Nothing is known of the path.
    Unknown,
    /// Files of the mount or device with this number.
    Mount(u64),
    /// FIFOs, sockets and devices, which may wait for another process.
    Special,
}
