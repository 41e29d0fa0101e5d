"""The command `python -m benchmarks.locks`: locks of files, uncontended, between processes and under a crowd.

The base of an uncontended lock is synchronous code, `os.open`, `fcntl.flock` and `os.close`, and for an
open file the two calls of `fcntl.flock`, in interleaved rounds. A careful program also makes sure that the
file was not replaced before it was locked, as rapfiles does: that is a row of its own. Two processes that
both wait hand a lock over, and tell how long after its release the other had it; filelock does the same. At
last a file is read while a thousand tasks wait for a lock, and while none does.
"""

import argparse
import asyncio
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import rapfiles

from .processes import ROOT
from .report import table

OPEN_FILE = "rapfiles, an open file"
LIBRARIES = ("rapfiles", OPEN_FILE, "filelock")
HELD = 0.003
"""Seconds for which a lock is held before it is handed over, unless `--held` says something else."""
WAITING = 1_000
_BATCH = 500
"""Operations of one turn."""
_PATIENCE = 120.0

Turn = Callable[[int], Awaitable[None]]


def _synchronous(path: str) -> Turn:
    async def turn(count: int) -> None:
        for _ in range(count):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.close(descriptor)

    return turn


def _checked(path: str) -> Turn:
    async def turn(count: int) -> None:
        for _ in range(count):
            while True:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False)):
                        break
                os.close(descriptor)
            os.close(descriptor)

    return turn


def _ours(path: str) -> Turn:
    where = rapfiles.AsyncPath(path)

    async def turn(count: int) -> None:
        for _ in range(count):
            async with where.lock():
                pass

    return turn


def _kept(path: str) -> Turn:
    lock = rapfiles.AsyncPath(path).lock()

    async def turn(count: int) -> None:
        for _ in range(count):
            async with lock:
                pass

    return turn


def _filelock(path: str) -> Turn:
    from filelock import AsyncFileLock

    lock = AsyncFileLock(path)

    async def turn(count: int) -> None:
        for _ in range(count):
            async with lock:
                pass

    return turn


def _pairs(descriptor: int) -> Turn:
    async def turn(count: int) -> None:
        for _ in range(count):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    return turn


def _of_open_file(file: rapfiles.AsyncBufferedReader, *, kept: bool) -> Turn:
    lock = file.lock()

    async def turn(count: int) -> None:
        for _ in range(count):
            async with lock if kept else file.lock():
                pass

    return turn


async def _uncontended(folder: str, rounds: int) -> list[tuple[str, ...]]:
    """Rows for locks of paths and of open files."""
    ways = {
        "open + flock + close, synchronously": _synchronous(f"{folder}/a.lock"),
        "the same, and the file is not replaced": _checked(f"{folder}/f.lock"),
        "rapfiles: async with path.lock()": _ours(f"{folder}/b.lock"),
        "rapfiles: one object kept": _kept(f"{folder}/c.lock"),
    }
    with suppress(ImportError):
        ways["filelock: AsyncFileLock"] = _filelock(f"{folder}/d.lock")
    rows = await _compared(ways, rounds)
    descriptor = os.open(f"{folder}/e.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        async with rapfiles.open(f"{folder}/e.lock", "rb") as file:
            ways = {
                "flock and unlock of an open file, synchronously": _pairs(descriptor),
                "rapfiles: async with file.lock()": _of_open_file(file, kept=False),
                "rapfiles: one object of an open file kept": _of_open_file(file, kept=True),
            }
            return rows + await _compared(ways, rounds)
    finally:
        os.close(descriptor)


async def _compared(ways: dict[str, Turn], rounds: int) -> list[tuple[str, ...]]:
    """One row for each way: the time, and its ratio to that of the first in the same round."""
    took: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        order = list(ways) if number % 2 else list(ways)[::-1]
        for way in order:
            count = _BATCH if not way.startswith("filelock") else _BATCH // 20
            started = time.perf_counter()
            await ways[way](count)
            if number > 0:  # the first one warms up
                took[way].append((time.perf_counter() - started) / count)
    base = next(iter(took.values()))
    return [
        (
            way,
            f"{median(times) * 1e6:,.2f}",
            f"{median(own / its for own, its in zip(times, base, strict=True)):.2f}",
        )
        for way, times in took.items()
    ]


def take_turns(library: str, path: str, count: int, held: float) -> None:
    """Hold the lock `count` times, and print when it was acquired and released: a child process."""
    events: list[tuple[float, float]] = []

    async def lock(stack: AsyncExitStack) -> Any:
        if library == "rapfiles":
            return rapfiles.AsyncPath(path).lock()
        if library == OPEN_FILE:
            return (await stack.enter_async_context(rapfiles.open(path, "ab"))).lock()
        from filelock import AsyncFileLock

        return AsyncFileLock(path)

    async def main() -> None:
        async with AsyncExitStack() as stack:
            mine = await lock(stack)
            print("ready", flush=True)
            sys.stdin.readline()
            for _ in range(count):
                async with mine:
                    acquired = time.monotonic()
                    while time.monotonic() < acquired + held:
                        pass
                    released = time.monotonic()
                events.append((acquired, released))
                # So that it is the other one's turn, who is waiting.
                await asyncio.sleep(held / 2)

    asyncio.run(main())
    print(json.dumps(events))


def _handed_over(library: str, path: str, count: int, held: float) -> list[float]:
    """From a release to the acquisition by the other process, in seconds."""
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.locks", "--take-turns", library, path, str(count), str(held)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    events: list[tuple[float, float, int]] = []
    try:
        for child in children:
            assert child.stdout is not None
            if child.stdout.readline() != "ready\n":
                return []
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        answers = [child.communicate(timeout=_PATIENCE)[0] for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    for number, answer in enumerate(answers):
        events += [(acquired, released, number) for acquired, released in json.loads(answer)]
    events.sort()
    # While both are there: at its end one is alone.
    return [
        acquired - released
        for (_, released, former), (acquired, _, owner) in pairwise(events)
        if former != owner
    ]


async def _read_beside(folder: str, rounds: int) -> list[tuple[str, ...]]:
    """How long a file takes to be read while nobody waits for a lock, and while many tasks do."""
    file = rapfiles.AsyncPath(folder, "file")
    await file.write_bytes(b"x" * 4096)
    path = rapfiles.AsyncPath(folder, "crowd.lock")

    async def reads() -> list[float]:
        took = []
        for _ in range(_BATCH):
            started = time.perf_counter()
            await file.read_bytes()
            took.append(time.perf_counter() - started)
            await asyncio.sleep(0)
        return took

    async def wait() -> None:
        async with path.lock():
            pass

    # Held by somebody else, so that the first of the waiting tasks has to ask the kernel, too.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    alone: list[float] = []
    beside: list[float] = []
    try:
        for _ in range(rounds):
            alone += await reads()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            async with asyncio.TaskGroup() as tasks:
                for _ in range(WAITING):
                    tasks.create_task(wait())
                await asyncio.sleep(0.5)  # all of them wait, and the first one does it in the kernel
                beside += await reads()
                fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)
    return [
        (
            title,
            f"{median(took) * 1e6:,.1f}",
            f"{quantiles(took, n=100)[98] * 1e6:,.1f}",
            f"{max(took) * 1e6:,.0f}",
        )
        for title, took in (("nobody", alone), (f"{WAITING:,} tasks", beside))
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print three tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.locks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="interleaved rounds")
    parser.add_argument("--turns", type=int, default=200, metavar="N", help="of each of the two processes")
    parser.add_argument("--held", type=float, default=HELD * 1e3, metavar="MS", help="how long each turn is")
    parser.add_argument("--take-turns", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.take_turns:
        library, path, count, held = options.take_turns
        take_turns(library, path, int(count), float(held))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        uncontended = asyncio.run(_uncontended(folder, max(1, options.rounds)))
        print(table(("lock and unlock", "µs", "ratio"), uncontended), end="\n\n")
        handed = []
        for library in LIBRARIES:
            path = str(Path(folder, f"{library}.lock"))
            delays = _handed_over(library, path, max(2, options.turns), options.held / 1e3)
            if delays:
                worst = f"{max(delays) * 1e3:.2f}"
                handed.append((library, f"{median(delays) * 1e3:.2f}", worst, f"{len(delays)}"))
            else:
                handed.append((library, "not installed", "", ""))
        header = ("handing over between two processes", "median, ms", "worst, ms", "times")
        print(table(header, handed), end="\n\n")
        beside = asyncio.run(_read_beside(folder, max(1, options.rounds // 5)))
        header = ("a read of 4 KiB beside a lock for which waits", "median, µs", "99 %, µs", "worst, µs")
        print(table(header, beside))
    return 0


if __name__ == "__main__":
    sys.exit(main())
