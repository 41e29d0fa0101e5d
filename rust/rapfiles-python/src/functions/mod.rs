//! The functions of the native module: one for each operation, in files by noun.

pub(crate) mod access;
pub(crate) mod atomic;
pub(crate) mod copy;
pub(crate) mod directory;
pub(crate) mod entry;
pub(crate) mod home;
pub(crate) mod link;
pub(crate) mod metadata;
pub(crate) mod open;
pub(crate) mod opening;
pub(crate) mod ownership;
pub(crate) mod read;
pub(crate) mod remove_tree;
pub(crate) mod rename;
pub(crate) mod resolve;
pub(crate) mod transaction;
pub(crate) mod write;
pub(crate) mod xattr;
