//! The options of a tree.

use super::filter::Filter;

/// What is read of the entries of a directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Their names and types. Of a directory that cannot be read to its end, nothing.
    #[default]
    Names,
    /// The properties of each; `with_stat`: including the results of `stat(2)`.
    Entries {
        /// Whether `stat(2)` is called for each.
        with_stat: bool,
    },
    /// The space that they take in total.
    Usage,
    /// How many there are, before something is done with all of them.
    Totals {
        /// Whether the sizes of files are wanted, which takes a call for each.
        sizes: bool,
        /// Whether the content of a file with several names counts once.
        hard_links_once: bool,
        /// Whether the first of all, if it is a link, stands for what it leads to.
        follows_top: bool,
    },
}

/// The options of a tree.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct Options {
    /// What is read of the entries.
    pub purpose: Purpose,
    /// Whether a directory is handed out before its subdirectories. These may be changed then
    /// ([`super::Tree::descend`]).
    pub top_down: bool,
    /// Whether links to directories are treated as directories.
    pub follow_symlinks: bool,
    /// How many directories deep it goes; the first one is 0.
    pub max_depth: Option<u32>,
    /// Entries above this depth are not handed out; those of the first directory are at 1.
    pub min_depth: u32,
    /// Whether directories of other file systems are not entered.
    pub same_file_system: bool,
    /// Whether a followed link to a directory above it is an error.
    pub detect_loops: bool,
    /// Whether the entries of a directory are sorted by name.
    pub sort: bool,
    /// Whether to leave out what git would ignore.
    pub gitignore: bool,
    /// Which entries are wanted.
    pub filter: Filter,
    /// Whether directories are handed out of which the name does not match what is to be included.
    pub all_directories: bool,
    /// The most directories that are read at once; 0 for as many as there are processors. With 1, none is read before
    /// its turn has come.
    pub workers: usize,
    /// Whether directories whose paths are too long for a system call are read all the same.
    pub beyond_longest_path: bool,
}

impl Options {
    /// Whether nothing is asked of an entry but its name and its type.
    pub(super) fn wants_names_alone(&self) -> bool {
        self.purpose == Purpose::Names
            && !self.follow_symlinks
            && !self.gitignore
            && self.filter.takes_all_names()
    }
}
