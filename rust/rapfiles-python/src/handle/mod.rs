//! Handles: the native half of the file classes.

pub(crate) mod buffered;
pub(crate) mod complaints;
pub(crate) mod objects;
pub(crate) mod open_file;
pub(crate) mod payload;
pub(crate) mod raw;
pub(crate) mod strings;
pub(crate) mod text;
pub(crate) mod text_file;
pub(crate) mod work;
