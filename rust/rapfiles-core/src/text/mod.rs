//! Text: encodings, line ends, and Python's string layouts.

pub(crate) mod codec;
pub(crate) mod decoded;
pub(crate) mod decoder;
pub(crate) mod fill;
pub(crate) mod layout;
pub(crate) mod line_feed;
pub(crate) mod mark;
pub(crate) mod parallel;
pub(crate) mod source;

pub use codec::{Codec, Newline};
pub use decoded::Text;
pub(crate) use decoded::decode;
pub use decoder::{Decoder, Form, LineEnds, Position, Undecoded};
pub use fill::TextFill;
pub use layout::Layout;
pub use mark::Mark;
pub use source::TextSource;
