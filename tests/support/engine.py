"""What the engine is doing: waits until its counters say that the work is where a test wants it."""

import time
from collections.abc import Callable

import anyio

import rapfiles


async def under_way(count: int) -> None:
    """Wait until workers have, or the queue holds, at least `count` jobs."""
    await _until(lambda: _jobs() >= count, f"{count} jobs under way")


async def queue_empty() -> None:
    """Wait until no job waits for a worker; those that workers have may still be stuck."""
    await _until(lambda: rapfiles.stats().queued == 0, "empty queue")


async def idle() -> None:
    """Wait until there is no job left: what a cancelled operation still does has happened."""
    await _until(lambda: _jobs() == 0, "an idle engine")


def _jobs() -> int:
    now = rapfiles.stats()
    return now.queued + now.in_flight


async def _until(holds: Callable[[], bool], wanted: str) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, f"no {wanted}: {rapfiles.stats()}"
        await anyio.sleep(0.001)
