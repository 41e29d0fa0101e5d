"""The lag of an event loop: how much later than it should a task that wakes every millisecond runs."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from types import TracebackType
from typing import Self

from .clock import ThreadClock

INTERVAL = 0.001
"""Seconds between two ticks."""


class Ticker:
    """Ticks on the running loop while its block runs, and keeps the worst lag.

    A call in the block that holds up the loop shows as a lag of that length, even if it is the last one. The
    block needs asyncio; elsewhere a task of its own calls `run`, which `stop` ends.

    Example:
        ```python
        async with Ticker() as ticker:
            await something()
        print(ticker.worst)
        ```
    """

    def __init__(self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self.worst: float = 0.0
        """The worst lag so far, in seconds."""
        self.worst_of_loop: float = 0.0
        """The same by a `ThreadClock`: without the time in which others had the processors.

        Equal to `worst` where the system does not tell.
        """
        self.ticks: int = 0
        """How often it ticked."""
        self._sleep = sleep
        self._last = perf_counter()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    @property
    def silence(self) -> float:
        """Seconds since the last tick. May be read from another thread, of a loop that does not turn."""
        return perf_counter() - self._last

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.run())
        # The task's first step, so that the clock runs before the work begins.
        await asyncio.sleep(0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        if self._task is not None:
            await self._task

    def stop(self) -> None:
        """End `run` with its next tick, which sees the lag of the last call before this one."""
        self._stopping = True

    async def run(self) -> None:
        """Tick until `stop` is called."""
        with ThreadClock() as clock:
            while True:
                self._last = perf_counter()
                before = clock.read()
                self.ticks += 1
                if self._stopping:
                    return
                await self._sleep(INTERVAL)
                self.worst_of_loop = max(self.worst_of_loop, clock.read() - before - INTERVAL)
                self.worst = max(self.worst, perf_counter() - self._last - INTERVAL)
