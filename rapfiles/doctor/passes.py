"""The passes that are measured: an operation over some files, in turn or all at once, beside a ticker."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

from .ticker import Ticker
from .ways import Operation

SEQUENTIAL = "sequential"
CONCURRENT = "concurrent"


@dataclass
class Pass:
    """What one pass over some files measured."""

    seconds: float = 0.0
    """The time of all operations together."""
    times: list[float] = field(default_factory=list[float])
    """The time of each operation, if they ran one after the other."""
    failed: list[str] = field(default_factory=list[str])
    """The files at which it failed: a file of the user's may vanish at any time, or not be readable."""


async def sequential(operation: Operation, names: Sequence[str], ticker: Ticker, *, blocking: bool) -> Pass:
    """One operation after the other.

    After a blocking one the loop turns once, outside the measured time, so that its lag is that of a single
    call and not that of all of them together. The others have to let the loop turn by themselves.
    """
    result = Pass()
    times, failed = result.times, result.failed
    async with ticker:
        for name in names:
            started = perf_counter()
            try:
                await operation(name)
            except OSError:
                failed.append(name)
            else:
                times.append(perf_counter() - started)
            if blocking:
                await asyncio.sleep(0)
    result.seconds = sum(times)
    return result


async def concurrent(operation: Operation, names: Sequence[str], ticker: Ticker) -> Pass:
    """All operations under one gather."""
    result = Pass()
    async with ticker:
        started = perf_counter()
        outcomes = await asyncio.gather(*[operation(name) for name in names], return_exceptions=True)
        result.seconds = perf_counter() - started
    for name, outcome in zip(names, outcomes, strict=True):
        if isinstance(outcome, OSError):
            result.failed.append(name)
        elif isinstance(outcome, BaseException):
            raise outcome
    return result


async def idle(seconds: float) -> float:
    """The lag of the loop with nothing but the ticker on it: the noise of the machine."""
    async with Ticker() as ticker:
        await asyncio.sleep(seconds)
    return ticker.worst_of_loop
