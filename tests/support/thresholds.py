"""The sizes at which the engine does something else, from its table, so that new ones are tried, too."""

import re
from pathlib import Path
from typing import Final

_TABLE: Final = Path(__file__).parents[2] / "rust/rapfiles-core/src/limits.rs"
_SIZE: Final = re.compile(
    r"^pub(?:\(crate\))? const \w+: (?:usize|u64) = (\d+)(?: << (\d+))?;$", re.MULTILINE
)
# A writing task waits until half of what may wait is written, which is no number of its own in the table.
_HALF_OF_WHAT_WAITS: Final = 512 << 10


def _read() -> list[int]:
    sizes = {int(number) << int(shift or 0) for number, shift in _SIZE.findall(_TABLE.read_text("utf-8"))}
    return sorted(size for size in sizes | {_HALF_OF_WHAT_WAITS} if 8 << 10 <= size <= 8 << 20)


THRESHOLDS: Final = _read()
"""From that of a buffer of `io` to those of several megabytes."""
SMALLER: Final = [size for size in THRESHOLDS if size <= 256 << 10]
LARGER: Final = [size for size in THRESHOLDS if size > 256 << 10]


def around(sizes: list[int]) -> list[int]:
    """Each of the sizes, and its neighbours."""
    return [size + beside for size in sizes for beside in (-1, 0, 1)]
