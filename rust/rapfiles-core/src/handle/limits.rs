//! How much an operation does on the loop before other tasks have their turn.

use std::time::Duration;

/// Other tasks get their turn after so long.
pub(super) const SLICE: Duration = Duration::from_millis(1);
/// How many lines are taken between looks at the clock.
pub(super) const BETWEEN_LOOKS: usize = 256;
