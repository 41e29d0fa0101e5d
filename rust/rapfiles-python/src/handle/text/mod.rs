//! What text files do.

mod codec;
mod cookie;
mod feeder;
mod line;
mod read;
mod request;
mod seek;
mod state;
mod tell;
mod write;

pub(crate) use codec::{Codec, utf8};
pub(crate) use line::{ReadLine, ReadLines};
pub(crate) use read::{Read, ReadAll};
pub(crate) use request::Adapted;
pub(crate) use seek::Seek;
pub(crate) use state::{Settings, TextState};
pub(crate) use tell::Tell;
pub(crate) use write::Write;
