"""Running blocking Python calls: in the loop's executor, or on trio in a thread."""

from __future__ import annotations

from asyncio import get_running_loop
from typing import TYPE_CHECKING, Any, TypeVar

import rapfiles._native as _native
from rapfiles import _threads

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from concurrent.futures import Executor

T = TypeVar("T")


def chosen_loop(loop: AbstractEventLoop | None, executor: Executor | None) -> AbstractEventLoop | None:
    """The loop whose executor is to be used, or `None` for a task of trio that did not ask for asyncio's.

    Raises:
        RuntimeError: There is no running loop of asyncio, and one is needed.
    """
    if loop is not None:
        return loop
    if executor is None and _native.in_trio_task():
        return None
    return get_running_loop()


async def run(
    loop: AbstractEventLoop | None, executor: Executor | None, call: Callable[..., T], *args: Any
) -> T:
    """Run `call(*args)` off the event loop's thread.

    If cancelled, the wait ends at once, and the call still finishes in its thread.

    Args:
        loop: A loop of asyncio; by default the running one.
        executor: By default the loop's own.
        call: What to run.
        *args: What it is given.
    """
    loop = chosen_loop(loop, executor)
    if loop is None:
        return await _threads.run_sync(call, *args)
    return await loop.run_in_executor(executor, call, *args)


async def run_for(wrapper: Any, call: Callable[[], Any]) -> Any:
    """Run a call where a wrapper's calls run: in its executor, or on trio in a thread of trio's."""
    if wrapper._executor is None and _native.in_trio_task():
        attributes: dict[str, Any] = wrapper.__dict__
        asked = attributes.get("_ref_loop") or attributes.get("_loop")
        if asked is None:
            return await _threads.run_sync(call)
    return await wrapper._loop.run_in_executor(wrapper._executor, call)
