//! Operations on paths: one noun per file, with everything that its operations need.

pub(crate) mod access;
pub(crate) mod atomic;
pub(crate) mod copy;
pub(crate) mod directory;
pub(crate) mod entry;
pub(crate) mod glob;
pub(crate) mod home;
pub(crate) mod link;
pub(crate) mod listing;
pub(crate) mod metadata;
pub(crate) mod ownership;
pub(crate) mod parallel_read;
pub(crate) mod post_order;
pub(crate) mod read;
pub(crate) mod remove_tree;
pub(crate) mod rename;
pub(crate) mod report;
pub(crate) mod resolve;
pub(crate) mod scandir;
pub(crate) mod selection;
pub(crate) mod slices;
pub(crate) mod synchronise;
pub(crate) mod temporary;
pub(crate) mod tree;
pub(crate) mod write;
pub(crate) mod xattr;
