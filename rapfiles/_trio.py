"""Suspending trio tasks until an operation is done, and waking them when it is.

Imported by the native module, and only from inside a trio task, so that trio is never imported where it is
not used.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from ._native import Completions

if TYPE_CHECKING:
    from ._native import Operation


# One for each run: the value of a RunVar is dropped with its run (trio's reference, "Low-level I/O
# primitives").
_completions: trio.lowlevel.RunVar[Completions] = trio.lowlevel.RunVar("rapfiles completions")


def waker() -> Callable[[], None]:
    """Return a function that wakes the current task."""
    return partial(trio.lowlevel.reschedule, trio.lowlevel.current_task())


async def park(operation: Operation[Any]) -> None:
    """Suspend the current task until it is woken. Cancelling the task cancels the operation."""

    def abort(_raise_cancel: object) -> trio.lowlevel.Abort:
        operation._abort()
        return trio.lowlevel.Abort.SUCCEEDED

    await trio.lowlevel.wait_task_rescheduled(abort)


@trio.lowlevel.enable_ki_protection
def without_interrupt(function: Callable[..., object], /, *args: object) -> None:
    """Call a function in which KeyboardInterrupt would leave a lock locked; the next checkpoint raises it."""
    function(*args)


# A KeyboardInterrupt in between would leave completions that nobody collects.
@trio.lowlevel.enable_ki_protection
def run_completions() -> Completions:
    """Return the completions of the current run; the first call starts to collect them."""
    try:
        completions = _completions.get()
    except LookupError:
        pass
    else:
        # In a forked child they are the parent's, and not usable.
        if completions.usable:
            return completions
    completions = Completions(trio.lowlevel.current_trio_token().run_sync_soon)
    _completions.set(completions)
    if completions.descriptor is not None:
        trio.lowlevel.spawn_system_task(_collect, completions, name="rapfiles completions")
    return completions


async def _collect(completions: Completions) -> None:
    """Collect finished operations whenever there are any, until the run ends."""
    assert completions.descriptor is not None
    try:
        while True:
            await trio.lowlevel.wait_readable(completions.descriptor)
            completions.drain()
    except trio.ClosedResourceError:
        pass
    except OSError as error:
        # In a forked child, the descriptor may be closed. An exception of a system task would crash the whole
        # run with TrioInternalError (`trio.lowlevel.spawn_system_task`).
        if error.errno != errno.EBADF:
            raise
    finally:
        completions.close()
