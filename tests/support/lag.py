"""Measures the worst lag of an event loop: how late a one-millisecond ticker ran beside a piece of work."""

import contextlib
import gc
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import anyio

TICK = 0.001
# What the library promises at most, in seconds.
ALLOWED = 0.020


@dataclass
class Lag:
    """What a ticker saw: `worst` in seconds, and the number of its ticks."""

    worst: float = 0.0
    ticks: int = 0


@dataclass
class _RunQueue:
    """How long this thread was ready to run while every CPU was taken by others, in seconds.

    On a busy machine that is most of what a ticker sees, and it says nothing about the loop.
    """

    handle: int = field(default=-1)

    def __enter__(self) -> "_RunQueue":
        with contextlib.suppress(FileNotFoundError):  # a kernel built without scheduler statistics
            self.handle = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        return self

    def __exit__(self, *_: object) -> None:
        if self.handle >= 0:
            os.close(self.handle)

    def waited(self) -> float:
        if self.handle < 0:
            return 0.0
        return int(os.pread(self.handle, 80, 0).split()[1]) / 1e9


@contextlib.asynccontextmanager
async def ticking() -> AsyncIterator[Lag]:
    """Tick every millisecond on the running loop while the block runs; `worst` is final when it has ended."""
    lag = Lag()

    async def tick() -> None:
        with _RunQueue() as queue:
            before, waited = time.perf_counter(), queue.waited()
            while True:
                await anyio.sleep(TICK)
                now, waited_now = time.perf_counter(), queue.waited()
                lag.worst = max(lag.worst, now - before - TICK - (waited_now - waited))
                lag.ticks += 1
                before, waited = now, waited_now

    gc.collect()
    gc.disable()  # a collection of everything that pytest has loaded would be counted as the work's
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(tick)
            while lag.ticks < 3:
                await anyio.sleep(TICK)
            lag.worst = 0.0
            yield lag
            # The tick that a stall delayed comes after the stall.
            seen = lag.ticks
            while lag.ticks < seen + 2:
                await anyio.sleep(TICK)
            group.cancel_scope.cancel()
    finally:
        gc.enable()


async def worst_beside(work: Callable[[], Awaitable[object]], attempts: int = 3) -> float:
    """The worst lag beside `work`, in seconds; when it is too much, the least of several attempts.

    A stall that the work causes is there each time; one that the machine causes is not.
    """
    least = float("inf")
    for _ in range(attempts):
        async with ticking() as lag:
            await work()
        least = min(least, lag.worst)
        if least < ALLOWED:
            break
    return least
