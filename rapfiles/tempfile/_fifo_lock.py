"""`FIFOLock`: one operation at a time, in the order in which they were begun, on asyncio and trio."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .._waiter import new_waiter

if TYPE_CHECKING:
    from types import TracebackType

    from .._waiter import Waiter

__all__ = ["FIFOLock"]


class FIFOLock:
    """A lock that passes directly to the task that has waited longest; no other task can take it in
    between."""

    __slots__ = ("_waiting", "taken")

    def __init__(self) -> None:
        self.taken = False
        self._waiting: deque[Waiter] = deque()

    async def __aenter__(self) -> None:
        if not self.taken:
            self.taken = True
            return
        waiter = new_waiter()
        self._waiting.append(waiter)
        try:
            await waiter.wait()
        except BaseException:
            if waiter.woken:  # and cancelled before it could resume
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
            self._waiting.popleft().wake()
        else:
            self.taken = False
