//! Handles: the native half of the file classes.

pub(crate) mod ahead;
pub(crate) mod binary;
pub(crate) mod buffered;
pub(crate) mod closing;
pub(crate) mod large;
pub(crate) mod lines;
pub(crate) mod open_file;
pub(crate) mod payload;
pub(crate) mod positional;
pub(crate) mod raw;
pub(crate) mod strings;
pub(crate) mod text;
pub(crate) mod text_file;
pub(crate) mod work;
