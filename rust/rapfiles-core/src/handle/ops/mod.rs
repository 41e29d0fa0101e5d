//! The operations on handles. Each advances as far as it can in its turn, and returns what it needs next.

mod checks;
mod close;
mod detach;
mod flush;
mod next_line;
mod positional;
mod raw;
mod read;
mod read_into;
mod read_large;
mod read_line;
mod read_some;
mod seek;
mod sequence;
mod synchronise;
mod tell;
pub mod text;
mod truncate;
mod write;

pub use close::Close;
pub use detach::detach;
pub use flush::Flush;
pub use next_line::{next_line, next_text_line};
pub use positional::{ReadAt, Stat, WriteAt};
pub use raw::{ReadOnce, ReadOnceInto, WriteOnce};
pub use read::{Read, read};
pub use read_into::ReadInto;
pub use read_large::ReadLarge;
pub use read_line::{ReadLine, ReadLines};
pub use read_some::ReadSome;
pub use seek::Seek;
pub use sequence::Sequence;
pub use synchronise::Synchronise;
pub use tell::Tell;
pub use truncate::Truncate;
pub use write::Write;
