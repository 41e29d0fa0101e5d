"""The times that `utime` sets, in nanoseconds, exactly as `os.utime` computes them."""

# pyright: reportUnnecessaryIsInstance=false, reportUnnecessaryComparison=false
# The argument checks test at run time what the annotations promise.

from __future__ import annotations

import math
from typing import SupportsIndex

from ._arguments import integer

_SECOND = 1_000_000_000
_SECONDS_BITS = 63


def nanoseconds(times: tuple[float, float] | None, ns: tuple[int, int] | None) -> tuple[int, int] | None:
    """Access and modification time in nanoseconds since 1970, or `None` for now."""
    if times is not None and ns is not None:
        raise ValueError("utime: you may specify either 'times' or 'ns' but not both")
    if times is not None:
        if not isinstance(times, tuple) or len(times) != 2:
            raise TypeError("utime: 'times' must be either a tuple of two ints or None")
        return _from_seconds(times[0]), _from_seconds(times[1])
    if ns is not None:
        if not isinstance(ns, tuple) or len(ns) != 2:
            raise TypeError("utime: 'ns' must be a tuple of two ints")
        return _in_range(integer("ns", ns[0])), _in_range(integer("ns", ns[1]))
    return None


def _from_seconds(value: float | SupportsIndex) -> int:
    if not isinstance(value, float):
        return _in_range(integer("times", value) * _SECOND)
    if math.isnan(value):
        raise ValueError("Invalid value NaN (not a number)")
    if math.isinf(value):
        raise OverflowError("timestamp out of range for platform time_t")
    fraction, whole = math.modf(value)
    # The fraction is scaled as a float and then rounded down, as CPython does (`pytime_double_to_denominator`
    # in its Python/pytime.c), which shows in the last digits. A product that rounds up to a whole second
    # carries over.
    return _in_range(int(whole) * _SECOND + math.floor(fraction * 1e9))


def _in_range(time: int) -> int:
    if not -(1 << _SECONDS_BITS) <= time // _SECOND < 1 << _SECONDS_BITS:
        raise OverflowError("timestamp out of range for platform time_t")
    return time
