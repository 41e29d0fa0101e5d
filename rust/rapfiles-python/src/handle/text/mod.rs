//! What text files have of Python's: its codecs, strings, and the numbers of `tell()`.

mod characters;
mod codec;
mod cookie;

pub(crate) use characters::{to_be_written, utf8};
pub(crate) use codec::{Parts as PythonCodecParts, PythonCodec};
