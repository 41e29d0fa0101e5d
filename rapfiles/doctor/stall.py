"""Distinguishes a stall that AsyncPath causes from one that a busy machine causes."""

from collections.abc import Awaitable, Callable

from . import passes

ALLOWED = 0.020
"""The lag of the loop, in seconds, above which an operation is suspected."""
ATTEMPTS = 3
"""How often a suspected operation has to hold up the loop again before it is accused."""
_ABOVE_NOISE = 1.5
"""How many times the worst lag of an idle loop a lag must be."""


def suspicious(lag: float, control_lag: float) -> bool:
    """Whether a lag is too long, and clearly longer than that of a loop with nothing to do."""
    return lag > ALLOWED and lag > _ABOVE_NOISE * control_lag


async def confirm(lag: float, again: Callable[[int], Awaitable[float]]) -> float | None:
    """Repeat what was beside a suspicious lag, each time after the loop was watched with nothing to do.

    A stall that the operation causes comes back each time; a hiccup of the machine does not, or shows in the
    idle loop too.

    Args:
        lag: The suspicious lag, in seconds.
        again: Does it again, given the number of the attempt, and returns the new lag.

    Returns:
        The least lag of all, in seconds, if each of them was suspicious; None if it was noise.
    """
    least = lag
    for attempt in range(ATTEMPTS):
        control = await passes.idle(min(max(2 * lag, 0.05), 0.5))
        repeated = await again(attempt)
        if not suspicious(repeated, control):
            return None
        least = min(least, repeated)
    return least
