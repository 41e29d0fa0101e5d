//! The operations on text files.

mod before;
mod feeder;
mod read;
mod read_all;
mod read_line;
mod seek;
mod tell;
mod write;

pub use read::Read;
pub use read_all::ReadAll;
pub use read_line::{ReadLine, ReadLines};
pub use seek::Seek;
pub use tell::Tell;
pub use write::Write;
