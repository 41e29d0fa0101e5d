"""What is left behind once background work has settled: open descriptors, entries of folders, warnings."""

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from support.leaks import descriptors
from support.loops import settle_garbage


def entries(folder: Path) -> list[str]:
    """The names in a folder. What FUSE keeps of a file that is unlinked but open does not count."""
    return sorted(name for name in os.listdir(folder) if not name.startswith(".fuse_hidden"))


async def becomes(holds: Callable[[], bool], wanted: str | Callable[[], str]) -> None:
    """Wait until something is so that background work brings about."""
    deadline = time.monotonic() + 30
    while not holds():
        late = time.monotonic() > deadline
        assert not late, f"never: {wanted if isinstance(wanted, str) else wanted()}"
        await anyio.sleep(0.001)


async def nothing_left(folder: Path) -> None:
    """Wait until a folder is empty."""
    await becomes(lambda: not entries(folder), f"nothing in {folder}")


async def same_descriptors(before: dict[str, str]) -> None:
    """Wait until the open files are those from before."""

    def difference() -> str:
        now = descriptors()
        return f"more: {now.items() - before.items()}, fewer: {before.items() - now.items()}"

    await becomes(lambda: descriptors() == before, difference)


@contextmanager
def no_warnings() -> Iterator[None]:
    """No warning is given, also when the garbage is collected."""
    settle_garbage()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        settle_garbage()
    found = [str(warning.message) for warning in caught]
    assert not found, f"warnings: {found}"
