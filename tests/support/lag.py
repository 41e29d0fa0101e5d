"""Measures the worst lag of an event loop: how late a one-millisecond ticker ran beside a piece of work.

It is the doctor's ticker, by the doctor's clock: time in which other processes had the processors is not
counted, a wait is, whatever the thread waited for (`rapfiles.doctor.clock`).
"""

import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio

from rapfiles.doctor.stall import ALLOWED
from rapfiles.doctor.ticker import INTERVAL, Ticker

__all__ = ["ALLOWED", "ticking", "worst_beside"]


@contextlib.asynccontextmanager
async def ticking() -> AsyncIterator[Ticker]:
    """Tick on the running loop while the block runs; `worst_of_loop` is final when it has ended."""
    ticker = Ticker(anyio.sleep)
    gc.collect()
    gc.disable()  # a collection of everything that pytest has loaded would be counted as the work's
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(ticker.run)
            while ticker.ticks < 3:
                await anyio.sleep(INTERVAL)
            ticker.worst = ticker.worst_of_loop = 0.0
            yield ticker
            # The tick that a stall delayed comes after the stall.
            ticker.stop()
    finally:
        gc.enable()


async def worst_beside(work: Callable[[], Awaitable[object]], attempts: int = 12) -> float:
    """The worst lag beside `work`, in seconds; when it is too much, the least of several attempts.

    A stall that the work causes is there each time; one that the machine causes is not.
    """
    least = float("inf")
    for _ in range(attempts):
        async with ticking() as ticker:
            await work()
        least = min(least, ticker.worst_of_loop)
        if least < ALLOWED:
            break
    return least
