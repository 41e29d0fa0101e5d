//! The parts of text files that use Python objects: codecs, strings, and the cookies of `tell()`.

mod characters;
mod codec;
mod cookie;

pub(crate) use characters::{to_be_written, utf8};
pub(crate) use codec::{Parts as PythonCodecParts, PythonCodec};
