//! What is known of a file system.

/// Whether and how tier 0 works on the file system of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// The file system's usual name.
    pub name: String,
    /// Whether it is known to depend on neither a network nor another process.
    pub local: bool,
    /// Why tier 0 is not used there, or `None` if it is.
    pub obstacle: Option<String>,
    /// How access times are updated there, in words.
    pub access_times: String,
}
