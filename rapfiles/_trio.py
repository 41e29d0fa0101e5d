"""How a trio task waits for an operation, and how a trio run learns that operations are done.

Imported by the native module, and only from inside a trio task, so that trio is never imported where it is
not used.
"""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._native import Operation


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

    suspended = False
    # A large file takes several rounds, because room for its content is made in this thread.
    while operation.submit(wake):
        await trio.lowlevel.wait_task_rescheduled(abort)
        suspended = True
    if not suspended:
        await trio.lowlevel.cancel_shielded_checkpoint()
    return operation.result()


def start(descriptor: int, drain: Callable[[], object]) -> None:
    """Begin to collect finished operations for the trio run of the current task.

    Args:
        descriptor: Becomes readable when operations are done. It must stay open until the run ends.
        drain: Collects them and wakes their tasks.
    """
    trio.lowlevel.spawn_system_task(watch, descriptor, drain, name="rapfiles completions")


async def watch(descriptor: int, drain: Callable[[], object]) -> None:
    """Collect finished operations whenever there are any, until the trio run ends."""
    while True:
        try:
            await trio.lowlevel.wait_readable(descriptor)
        except trio.ClosedResourceError:
            return
        except OSError as error:
            # In a forked child, the descriptor may be gone. An error here would end the whole run.
            if error.errno == errno.EBADF:
                return
            raise
        drain()
