//! How much an operation does on the loop before other tasks have their turn.

use std::time::Duration;

/// Other tasks get their turn after so long.
pub(super) const SLICE: Duration = Duration::from_millis(1);
/// Decoded text that is longer is made a string by a worker.
pub(super) const LONG_TEXT: usize = 256 << 10;
/// A request for more characters is left to a worker.
pub(super) const MANY_CHARACTERS: usize = 32 << 10;
/// Characters, or bytes, that go through the caller's codecs at once.
pub(super) const CODEC_SLICE: usize = 64 << 10;
/// How many lines are taken between looks at the clock.
pub(super) const BETWEEN_LOOKS: usize = 256;
