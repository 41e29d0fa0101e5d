"""Locks of files: `FileLock`, and the errors of its acquisition."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Iterable
from operator import index
from typing import Any, Final, SupportsIndex

import rapfiles._native as _native

__all__ = ["FileLock", "LockReentryError", "LockTimeout"]

_END: Final = 2**63 - 1
_PACKAGE: Final = os.path.dirname(__file__) + os.sep


class LockTimeout(TimeoutError):  # noqa: N818 - as in filelock and in TimeoutError itself
    """A lock was not released in time, or somebody else had it and the caller did not want to wait.

    `errno` is ETIMEDOUT and `filename` the path of the lock file.

    ```python
    from rapfiles import LockTimeout

    async def is_free(path):
        try:
            async with path.lock(blocking=False):
                return True
        except LockTimeout:
            return False

    assert await is_free(directory / "settings.lock")
    ```
    """

    holder: int | None = None
    """The number of the process that had the lock, if the system told."""

    @property
    def path(self) -> Any:
        """The path of the lock file."""
        return self.filename


class LockReentryError(RuntimeError):
    """A task asked for a lock that it holds already, through this or another object, and would wait for ever.

    Also if both would be shared: between them another task may wait that wants the lock alone.
    """


class FileLock(_native.Lock):
    """A lock of a file, made by `AsyncPath.lock` or by the method `lock` of an open file.

    Enter it with `async with`, or await `acquire()` and `release()`. One object may be used again and again,
    and by several tasks, each of which waits for its turn.

    ```python
    lock = (directory / "settings.lock").lock(shared=True)
    async with lock:
        assert lock.locked
        await lock.upgrade()  # others may have had it in between
        await lock.downgrade()
    assert await lock.holder() is None
    ```
    """

    __slots__ = ()

    def __repr__(self) -> str:
        state = "locked" if self.locked else "unlocked"
        return f"<rapfiles.FileLock path={self.path!r} {state}>"


def checked_range(bytes_: Iterable[SupportsIndex]) -> tuple[int, int]:
    """The first byte and the number of bytes of a range that can be locked."""
    try:
        # Its second number is an end, not a length.
        if isinstance(bytes_, range):
            raise TypeError
        start, length = map(index, bytes_)
    except (TypeError, ValueError) as error:
        raise type(error)(f"range must be a first byte and a number of bytes, not {bytes_!r}") from None
    if start < 0 or length < 0 or start + length > _END:
        raise ValueError(f"range must be a first byte and a number of bytes, not {bytes_!r}")
    return start, length


async def warn_of_lock(path: Any, follow_symlinks: bool = False) -> None:
    """Warn if this process holds a lock of the file that is about to be replaced."""
    if not _native.holds_locks():
        return
    try:
        status = await _native.stat(path, follow_symlinks)
    except OSError:
        return
    if _native.holds_lock(status.st_dev, status.st_ino):
        warnings.warn(
            f"this process holds the lock of {os.fspath(path)!r}, which stays with the old file when "
            "another one takes its place: lock a file beside it",
            RuntimeWarning,
            stacklevel=_level_of_program(),
        )


def _level_of_program() -> int:
    """The `stacklevel` of the first code that is not this package's, for a warning that the caller gives."""
    level, frame = 1, sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_code.co_filename.startswith(_PACKAGE) and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    return level


def timed_out(path: str, holder: int | None) -> LockTimeout:
    """The error of a lock that was not released in time; called by the native module."""
    by = "" if holder is None else f" by process {holder}"
    error = LockTimeout(errno.ETIMEDOUT, f"The file is locked{by}", path)
    error.holder = holder
    return error


def reentered(path: str) -> LockReentryError:
    """The error of a task that asks for what it has; called by the native module."""
    return LockReentryError(f"this task holds the lock of {path!r} already")
