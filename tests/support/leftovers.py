"""What is left behind: open descriptors, entries of folders, warnings, once background work has settled."""

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from support.loops import settle_garbage


def descriptors() -> dict[str, str]:
    """The open files of this process: what each descriptor is."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the descriptor with which this folder was listed
            continue
    return found


def entries(folder: Path) -> list[str]:
    """The names in a folder. What FUSE keeps of a file that is unlinked but open does not count."""
    return sorted(name for name in os.listdir(folder) if not name.startswith(".fuse_hidden"))


async def becomes(holds: Callable[[], bool], wanted: str) -> None:
    """Wait until something is so that background work brings about."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, f"never: {wanted}"
        await anyio.sleep(0.001)


async def nothing_left(folder: Path) -> None:
    """Wait until a folder is empty."""
    await becomes(lambda: not entries(folder), f"nothing in {folder}")


async def same_descriptors(before: dict[str, str]) -> None:
    """Wait until the open files are those from before."""
    await becomes(lambda: descriptors() == before, f"the descriptors {before}")


@contextmanager
def no_warnings() -> Iterator[None]:
    """No warning is given, also when the garbage is collected."""
    settle_garbage()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        settle_garbage()
    assert [str(warning.message) for warning in caught] == []
