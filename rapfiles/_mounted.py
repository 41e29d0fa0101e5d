"""What is said of errors at mount points, which look like any other file."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["NAMES", "STAGED", "WRITTEN", "explained"]

T = TypeVar("T")

WRITTEN: Final = (
    errno.EBUSY,
    "The file is a mount point, such as a single file that is mounted into a container, so no other file can "
    "take its place: mount the directory instead, or write with fallback='inplace'.",
)
NAMES: Final = (
    errno.EBUSY,
    "One of them is a mount point, such as a single file that is mounted into a container, which can be "
    "neither replaced nor renamed: mount the directory instead.",
)
STAGED: Final = (
    errno.EXDEV,
    "It is on another mount than the directory of the transaction, such as a single file that is mounted "
    "into a container, so no other file can take its place in one step: mount the directory instead.",
)


async def explained(operation: Awaitable[T], note: tuple[int, str]) -> T:
    """The result of an operation, whose error says more where that helps."""
    try:
        return await operation
    except OSError as error:
        code, text = note
        # Where the engine itself refuses something, it says why.
        if error.errno == code and error.strerror == os.strerror(code):
            error.add_note(text)
        raise
