"""How a trio task waits for an operation, and how a trio run learns that operations are done.

Imported by the native module, and only from inside a trio task, so that trio is never imported where it is
not used.
"""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from ._native import Completions

if TYPE_CHECKING:
    from ._native import Operation


# Each run has its own; it is forgotten with the run.
_completions: trio.lowlevel.RunVar[Completions] = trio.lowlevel.RunVar("rapfiles completions")


# Ctrl-C is raised where the task suspends. Anywhere else it would leave a call behind that wakes a task which
# does not sleep, and that ends the run.
@trio.lowlevel.enable_ki_protection
async def wait(operation: Operation[Any]) -> Any:
    """Suspend the current task until the operation is done, and return or raise what came of it.

    Always a checkpoint. Cancelling the task cancels the operation.

    Args:
        operation: The operation. It is submitted only here, so that a task that is cancelled already submits
            nothing.
    """
    try:
        await trio.lowlevel.checkpoint_if_cancelled()
    except BaseException:
        operation.refuse()
        raise
    wake = partial(trio.lowlevel.reschedule, trio.lowlevel.current_task())

    def abort(_raise_cancel: object) -> trio.lowlevel.Abort:
        operation.cancel()
        return trio.lowlevel.Abort.SUCCEEDED

    completions = _run_completions()
    suspended = False
    # A large file takes several rounds, because room for its content is made in this thread.
    while operation.submit(completions, wake):
        await trio.lowlevel.wait_task_rescheduled(abort)
        suspended = True
    if not suspended:
        await trio.lowlevel.cancel_shielded_checkpoint()
    return operation.result()


def _run_completions() -> Completions:
    """Return what collects the finished operations of the current run, and begin to when it is the first."""
    try:
        completions = _completions.get()
    except LookupError:
        pass
    else:
        # Not in a forked child: there it is the parent's.
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
        # In a forked child, the descriptor may be gone. An error here would end the whole run.
        if error.errno != errno.EBADF:
            raise
    finally:
        completions.close()
