"""What a piece of work leaves open: the descriptors of this process, and the warnings that garbage gives."""

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from support.loops import settle_garbage


def descriptors() -> dict[str, str]:
    """The open files of this process: what each descriptor is.

    But for eventfds: a loop has one from the first operation that suspends until it is closed, and
    `test_loops.py` counts them.
    """
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the descriptor with which this folder was listed
            continue
    return {name: what for name, what in found.items() if what != "anon_inode:[eventfd]"}


@contextmanager
def nothing_leaks() -> Iterator[None]:
    """No descriptor stays open, and no warning is given, also when the garbage is collected."""
    settle_garbage()
    before = descriptors()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        settle_garbage()
    said = [str(warning.message) for warning in caught]
    assert said == [], said
    # A worker may have told what came of its work just before it closes what it had open. One of an earlier
    # test may have had something open at first that the test has removed.
    until = time.monotonic() + 10
    while (changed := _changed(before, descriptors())) and time.monotonic() < until:
        time.sleep(0.001)
    assert not changed, f"{changed} of {before}"


def _changed(before: dict[str, str], now: dict[str, str]) -> set[tuple[str, str]]:
    """What is open and was not, and what is not and was; a file that was removed may have been closed."""
    closed = before.items() - now.items()
    return (now.items() - before.items()) | {file for file in closed if not file[1].endswith(" (deleted)")}
