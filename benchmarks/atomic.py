"""The command `python -m benchmarks.atomic`: 4 KiB written atomically, durably, appended and renamed.

The base of each row is the synchronous program that a careful author writes with the standard library: a
temporary file beside the target, written, synchronised, renamed; durably with `fsync` of the directory as
well. Beside it stands what is usually written instead. Only a directory on a disk says something: give it
with `--directory`.
"""

import argparse
import asyncio
import os
import secrets
import stat
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rapfiles import AsyncPath, transaction

from .report import table
from .works import CONTENT

Write = Callable[[str], Awaitable[object]]


class Together(NamedTuple):
    """What writes all files of a turn at once."""

    write: Callable[[Sequence[str]], Awaitable[object]]


def replace_carefully(path: str, *, durable: bool) -> None:
    """Others see the old content or the new one, also after a crash; with `durable` the new one."""
    directory = os.path.dirname(path)
    temporary = os.path.join(directory, f".{secrets.token_hex(12)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            with suppress(FileNotFoundError):
                os.fchmod(descriptor, stat.S_IMODE(os.stat(path).st_mode))
            os.write(descriptor, CONTENT)
            (os.fsync if durable else os.fdatasync)(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    if durable:
        synchronise(directory)


def replace_carelessly(path: str) -> None:
    """The same without synchronising: after a crash the file may be empty."""
    temporary = f"{path}.tmp"
    Path(temporary).write_bytes(CONTENT)
    os.replace(temporary, path)


def append_carefully(path: str) -> None:
    """Append so that the device has it."""
    with open(path, "ab", buffering=0) as file:
        file.write(CONTENT)
        os.fdatasync(file.fileno())
    synchronise(os.path.dirname(path))


def synchronise(directory: str) -> None:
    """Wait until the device has the entries of a directory."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _synchronous(write: Callable[[str], object]) -> Write:
    async def run(path: str) -> None:
        write(path)

    return run


async def _open(path: str) -> None:
    async with AsyncPath(path).open_atomic("wb") as file:
        await file.write(CONTENT)


def _in_one_transaction(*, swap: bool = False) -> Together:
    async def write(paths: Sequence[str]) -> None:
        async with transaction(os.path.dirname(paths[0]), swap=swap) as t:
            for path in paths:
                await t.write_bytes(path, CONTENT)

    return Together(write)


_CAREFUL = _synchronous(lambda path: replace_carefully(path, durable=False))
_ATOMIC: dict[str, Write] = {
    "the careful program: temporary, fdatasync, rename": _CAREFUL,
    "write_bytes(atomic=True)": lambda path: AsyncPath(path).write_bytes(CONTENT, atomic=True),
    "open_atomic(), write()": _open,
    "temporary, rename: may be empty after a crash": _synchronous(replace_carelessly),
    "pathlib's write_bytes: neither": _synchronous(lambda path: Path(path).write_bytes(CONTENT)),
}
_DURABLE: dict[str, Write | Together] = {
    "the careful program: with fsync, and fsync of the directory": _synchronous(
        lambda path: replace_carefully(path, durable=True)
    ),
    "write_bytes(atomic=True, durable=True)": lambda path: AsyncPath(path).write_bytes(
        CONTENT, atomic=True, durable=True
    ),
    "write_bytes() of all files in one transaction()": _in_one_transaction(),
    "the same with swap=True: the directory is exchanged": _in_one_transaction(swap=True),
}
_APPENDED: dict[str, Write] = {
    "the careful program: write, fdatasync, fsync of the directory": _synchronous(append_carefully),
    "append_bytes(durable=True)": lambda path: AsyncPath(path).append_bytes(CONTENT, durable=True),
}
GROUPS: dict[str, tuple[Mapping[str, Write | Together], bool]] = {
    "a new file": (_ATOMIC, False),
    "an existing file": (_ATOMIC, True),
    "a new file, durably": (_DURABLE, False),
    "an existing file, durably": (_DURABLE, True),
    "appending durably": (_APPENDED, True),
}
"""What is measured together, and whether the target exists."""


async def measure(
    folder: str, ways: Mapping[str, Write | Together], exists: bool, rounds: int, count: int
) -> list[tuple[str, ...]]:
    """One row for each way: the time, and its ratio to the first way in the same round."""
    took: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        order = list(ways) if number % 2 else list(ways)[::-1]
        for way in order:
            paths = [os.path.join(folder, f"{index:04}") for index in range(count)]
            _prepare(paths, exists)
            started = time.perf_counter()
            write = ways[way]
            if isinstance(write, Together):
                await write.write(paths)
            else:
                for path in paths:
                    await write(path)
            if number > 0:  # the first one warms up
                took[way].append((time.perf_counter() - started) / count)
            _check_and_remove(paths)
    base = next(iter(took.values()))
    return [
        (
            way,
            f"{median(times) * 1e6:,.0f}",
            f"{median(own / its for own, its in zip(times, base, strict=True)):.2f}",
        )
        for way, times in took.items()
    ]


def _prepare(paths: Sequence[str], exists: bool) -> None:
    if exists:
        for path in paths:
            with open(path, "wb") as file:
                file.write(CONTENT)
                file.flush()
                os.fsync(file.fileno())


def _check_and_remove(paths: Sequence[str]) -> None:
    for path in paths:
        if not Path(path).read_bytes().endswith(CONTENT):
            raise AssertionError(f"{path} was not written")
        os.unlink(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table for each group."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.atomic", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="interleaved rounds")
    parser.add_argument("--count", type=int, default=20, metavar="N", help="files of one turn")
    parser.add_argument("--directory", metavar="PATH", help="where the files are made")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        for title, (ways, exists) in GROUPS.items():
            rows = asyncio.run(measure(folder, ways, exists, max(1, options.rounds), max(1, options.count)))
            print(table((title, "µs", "ratio"), rows), end="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
