"""`FIFOLock`: one operation at a time, in the order in which they were begun, on asyncio and trio."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["FIFOLock"]


class _Waiter(Protocol):
    """A task that waits for its turn."""

    called: bool

    def call(self) -> None:
        """It is this task's turn."""

    async def wait(self) -> None:
        """Suspend the task until it is called."""


class _AsyncioWaiter:
    def __init__(self) -> None:
        self.called = False
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def call(self) -> None:
        self.called = True
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> None:
        await self._future


class _TrioWaiter:
    def __init__(self, trio: Any) -> None:
        self.called = False
        self._event: Any = trio.Event()

    def call(self) -> None:
        self.called = True
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()


def _new_waiter() -> _Waiter:
    # Where trio was never imported, no task is one of trio's.
    if (trio := sys.modules.get("trio")) is not None:
        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            pass
        else:
            return _TrioWaiter(trio)
    return _AsyncioWaiter()


class FIFOLock:
    """A lock that passes directly to the task that has waited longest; no other task can take it in
    between."""

    __slots__ = ("_waiting", "taken")

    def __init__(self) -> None:
        self.taken = False
        self._waiting: deque[_Waiter] = deque()

    async def __aenter__(self) -> None:
        if not self.taken:
            self.taken = True
            return
        waiter = _new_waiter()
        self._waiting.append(waiter)
        try:
            await waiter.wait()
        except BaseException:
            if waiter.called:  # and cancelled before it could go on
                self._next()
            else:
                self._waiting.remove(waiter)
            raise

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._next()

    def _next(self) -> None:
        if self._waiting:
            self._waiting.popleft().call()
        else:
            self.taken = False
