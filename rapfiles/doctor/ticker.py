"""The lag of an event loop: how much later than it should a task that wakes every millisecond runs."""

import asyncio
import os
from time import perf_counter
from types import TracebackType
from typing import Self

INTERVAL = 0.001
"""Seconds between two ticks."""


class Ticker:
    """Ticks on the running loop while its block runs, and keeps the worst lag.

    A call in the block that holds up the loop shows as a lag of that length, even if it is the last one.

    Example:
        ```python
        async with Ticker() as ticker:
            await something()
        print(ticker.worst)
        ```
    """

    def __init__(self) -> None:
        self.worst: float = 0.0
        """The worst lag so far, in seconds."""
        self.worst_of_loop: float = 0.0
        """The same without the time in which this thread could run, but other processes had the processors.

        Equal to `worst` where the system does not tell.
        """
        self.ticks: int = 0
        """How often it ticked."""
        self._last = perf_counter()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._schedule = -1

    @property
    def silence(self) -> float:
        """Seconds since the last tick. May be read from another thread, of a loop that does not turn."""
        return perf_counter() - self._last

    async def __aenter__(self) -> Self:
        try:
            self._schedule = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._schedule = -1  # not Linux, or a kernel without these statistics
        self._task = asyncio.create_task(self._tick())
        # The task's first step, so that the clock runs before the work begins.
        await asyncio.sleep(0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The task ends with its next tick, which sees the lag of the last call in the block.
        self._stopping = True
        try:
            if self._task is not None:
                await self._task
        finally:
            if self._schedule >= 0:
                os.close(self._schedule)

    async def _tick(self) -> None:
        waited = self._waited_for_processor()
        while True:
            self._last = perf_counter()
            self.ticks += 1
            if self._stopping:
                return
            await asyncio.sleep(INTERVAL)
            lag = perf_counter() - self._last - INTERVAL
            before, waited = waited, self._waited_for_processor()
            self.worst = max(self.worst, lag)
            self.worst_of_loop = max(self.worst_of_loop, lag - (waited - before))

    def _waited_for_processor(self) -> float:
        """Seconds that this thread has spent ready to run, but not running."""
        if self._schedule < 0:
            return 0.0
        return int(os.pread(self._schedule, 80, 0).split()[1]) / 1e9
