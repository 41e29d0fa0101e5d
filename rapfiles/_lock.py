"""Locks of files: `FileLock`, and the errors of its acquisition."""

from __future__ import annotations

import errno
from typing import Any

import rapfiles._native as _native

__all__ = ["FileLock", "LockReentryError", "LockTimeout"]


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
    """A lock of a file, made by `AsyncPath.lock`.

    Enter it with `async with`, or await `acquire()` and `release()`. One object may be used again and again,
    and by several tasks, each of which waits for its turn.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        state = "locked" if self.locked else "unlocked"
        return f"<rapfiles.FileLock path={self.path!r} {state}>"


def timed_out(path: str, holder: int | None) -> LockTimeout:
    """The error of a lock that was not released in time; called by the native module."""
    by = "" if holder is None else f" by process {holder}"
    error = LockTimeout(errno.ETIMEDOUT, f"The file is locked{by}", path)
    error.holder = holder
    return error


def reentered(path: str) -> LockReentryError:
    """The error of a task that asks for what it has; called by the native module."""
    return LockReentryError(f"this task holds the lock of {path!r} already")
