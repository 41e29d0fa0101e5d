"""Creating files and directories that are new and private, and removed again if the task is cancelled."""

# ruff: noqa: A002  The standard library has a parameter `dir`.

from __future__ import annotations

import errno
import os
import sys
from functools import partial
from typing import Any, Final

from .._path import AsyncPath
from ._cleanup import Cleanup
from ._creation import Creation
from ._names import AnyPath, Naming, naming

__all__ = ["BINARY_FLAGS", "FILE_MODE", "collides", "make_directory", "mkdtemp", "mkstemp"]

# Never an existing file, and never what a link leads to.
TEXT_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
BINARY_FLAGS: Final = TEXT_FLAGS | getattr(os, "O_BINARY", 0)
FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700


def collides(error: OSError, directory: str | bytes) -> bool:
    """Whether a name could not be used because it is taken, so that another may work."""
    if isinstance(error, FileExistsError):
        return True
    if sys.platform != "win32":
        return False
    # Windows' error for a name that a directory has.
    return isinstance(error, PermissionError) and os.path.isdir(directory) and os.access(directory, os.W_OK)


def _make_file(names: Naming, flags: int) -> tuple[tuple[int, Any], Cleanup]:
    for path in names.candidates():
        sys.audit("tempfile.mkstemp", path)
        try:
            descriptor = os.open(path, flags, FILE_MODE)
        except OSError as error:
            if not collides(error, names.directory):
                raise
        else:
            return (descriptor, path), Cleanup(partial(_unmake_file, descriptor, path))
    raise FileExistsError(errno.EEXIST, "No usable temporary file name found")


def _unmake_file(descriptor: int, path: str | bytes) -> None:
    try:
        os.close(descriptor)
    finally:
        os.unlink(path)


def _make_directory(names: Naming) -> tuple[Any, Cleanup]:
    path = make_directory(names)
    return path, Cleanup(partial(os.rmdir, path))


def make_directory(names: Naming) -> Any:
    """Make a directory with a new name that only its owner may use, in this thread."""
    for path in names.candidates():
        sys.audit("tempfile.mkdtemp", path)
        try:
            os.mkdir(path, DIRECTORY_MODE)
        except OSError as error:
            if not collides(error, names.directory):
                raise
        else:
            return path
    raise FileExistsError(errno.EEXIST, "No usable temporary directory name found")


async def mkstemp(
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    text: bool = False,
) -> tuple[int, AsyncPath]:
    """Create a new file that only its owner can read and write, and open it.

    The caller closes the descriptor and removes the file; `NamedTemporaryFile` does both. The descriptor is
    not inherited by child processes.

    Args:
        suffix: The end of the name.
        prefix: The start of the name; by default `gettempprefix()`.
        dir: The directory; by default `gettempdir()`. The three may be bytes, but then all of them.
        text: On Windows, whether the descriptor is in text mode. No effect on other platforms.

    Returns:
        The descriptor, as in the standard library, and the absolute path, which is an `AsyncPath` even if
        bytes were passed.

    Raises:
        OSError: The file cannot be created.
        FileExistsError: All of the many names that were tried are taken.
        TypeError: Some of the three are bytes and some are not.

    Cancellation:
        No file is left: one that is created after that is closed and removed.

    ```python
    import os

    from rapfiles.tempfile import mkstemp

    descriptor, path = await mkstemp(suffix=".txt", dir=directory)
    os.close(descriptor)
    await path.write_text("mine")
    await path.unlink()
    ```
    """
    names = await naming(suffix, prefix, dir)
    flags = TEXT_FLAGS if text else BINARY_FLAGS
    (descriptor, path), cleanup = await Creation(partial(_make_file, names, flags)).run()
    cleanup.keep()
    return descriptor, AsyncPath(os.fsdecode(path))


async def mkdtemp(
    suffix: str | bytes | None = None, prefix: str | bytes | None = None, dir: AnyPath | None = None
) -> AsyncPath:
    """Create a new directory that only its owner can use.

    The caller removes it; `TemporaryDirectory` does that automatically.

    Args:
        suffix: The end of the name.
        prefix: The start of the name; by default `gettempprefix()`.
        dir: The directory to make it in; by default `gettempdir()`. The three may be bytes, but then all of
            them.

    Returns:
        The absolute path, even if bytes were passed or `dir` is relative.

    Raises:
        OSError: The directory cannot be created.
        FileExistsError: All of the many names that were tried are taken.
        TypeError: Some of the three are bytes and some are not.

    Cancellation:
        No directory is left: one that is created after that is removed.

    ```python
    from rapfiles.tempfile import mkdtemp

    path = await mkdtemp(prefix="work-", dir=directory)
    assert path.name.startswith("work-")
    await path.rmdir()
    ```
    """
    names = await naming(suffix, prefix, dir)
    path, cleanup = await Creation(partial(_make_directory, names)).run()
    cleanup.keep()
    return AsyncPath(os.fsdecode(path))
