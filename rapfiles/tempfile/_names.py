"""The directory and the names of temporary files, chosen as the standard library does.

The default directory is the standard library's own, which caches it and lets an application set it
(`tempfile.tempdir`). Finding it for the first time writes a file in each candidate (`_get_default_tempdir` in
CPython's Lib/tempfile.py), so that is done in a thread.
"""

# ruff: noqa: A002  The standard library has a parameter `dir`.

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from .._path import AsyncPath
from .._threads import run_sync

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["AnyPath", "Naming", "gettempdir", "gettempdirb", "gettempprefix", "gettempprefixb", "random_name"]

AnyPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789_"
_LENGTH = 8


async def gettempdir() -> AsyncPath:
    """The default directory for temporary files.

    It is that of the standard library: `tempfile.tempdir` if the application has set it; otherwise the first
    of the environment's `TMPDIR`, `TEMP` and `TMP`, the platform's usual places and the current directory in
    which a file can be written. That is tried in a thread, once per process.

    Returns:
        The directory.

    Raises:
        FileNotFoundError: None of them can be written to.

    Cancellation:
        The search continues in the background, and the next call returns its result.

    ```python
    from rapfiles.tempfile import gettempdir

    assert await (await gettempdir()).is_dir()
    ```
    """
    directory: str = await _default_directory(str)
    return AsyncPath(directory)


async def gettempdirb() -> bytes:
    """The default directory for temporary files, as bytes.

    Returns:
        What `gettempdir` returns, in the encoding of the file system.

    Raises:
        FileNotFoundError: None of the candidates can be written to.

    ```python
    from rapfiles.tempfile import gettempdir, gettempdirb

    assert await gettempdirb() == bytes(await gettempdir())
    ```
    """
    directory: bytes = await _default_directory(bytes)
    return directory


def gettempprefix() -> str:
    """The default prefix of the names of temporary files. This does no input or output.

    Returns:
        The prefix of the standard library, which is `"tmp"`.

    ```python
    from rapfiles.tempfile import gettempprefix

    assert gettempprefix() == "tmp"
    ```
    """
    return tempfile.gettempprefix()


def gettempprefixb() -> bytes:
    """The default prefix of the names of temporary files, as bytes. This does no input or output.

    Returns:
        What `gettempprefix` returns, in the encoding of the file system.

    ```python
    from rapfiles.tempfile import gettempprefixb

    assert gettempprefixb() == b"tmp"
    ```
    """
    return tempfile.gettempprefixb()


async def _default_directory(kind: type[str] | type[bytes]) -> Any:
    find = tempfile.gettempdir if kind is str else tempfile.gettempdirb
    # What is known needs no thread.
    return find() if tempfile.tempdir is not None else await run_sync(find)


def random_name() -> str:
    """An unpredictable part of a file name, valid on every file system."""
    number = int.from_bytes(os.urandom(_LENGTH), "little")
    name = ""
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_CHARACTERS))
        name += _CHARACTERS[digit]
    return name


def _kind(*parts: AnyPath | None) -> type[str] | type[bytes]:
    """The type that all parts of a name have: bytes if one is given as bytes, then all must be."""
    found: type[str] | type[bytes] | None = None
    for part in parts:
        if part is None:
            continue
        kind = bytes if isinstance(os.fspath(part) if isinstance(part, os.PathLike) else part, bytes) else str
        if found is not None and found is not kind:
            raise TypeError("Can't mix bytes and non-bytes in path components.")
        found = kind
    if found is None:
        # As if the application's choice had been given as `dir`.
        return bytes if isinstance(cast("object", tempfile.tempdir), bytes) else str
    return found


@dataclass(frozen=True)
class Naming:
    """The directory and the fixed parts of the names of temporary files: all of them str, or all bytes."""

    directory: Any
    prefix: Any
    suffix: Any

    def candidates(self) -> Iterator[Any]:
        """Absolute paths to try, as many as the standard library tries."""
        for _ in range(tempfile.TMP_MAX):
            name = random_name()
            middle = os.fsencode(name) if isinstance(self.directory, bytes) else name
            yield os.path.join(self.directory, self.prefix + middle + self.suffix)

    @property
    def text(self) -> str:
        """The directory as text."""
        return os.fsdecode(self.directory)


async def naming(suffix: str | bytes | None, prefix: str | bytes | None, dir: AnyPath | None) -> Naming:
    """Fill in defaults for the parts of the names that the caller did not give."""
    kind = _kind(prefix, suffix, dir)
    if suffix is None:
        suffix = kind()
    if prefix is None:
        prefix = gettempprefix() if kind is str else gettempprefixb()
    directory: Any = await _default_directory(kind) if dir is None else os.fspath(dir)
    # For a relative path this gets the current directory, which may ask a network file system.
    if os.name == "nt" or os.path.isabs(directory):
        directory = os.path.abspath(directory)  # noqa: ASYNC240
    else:
        directory = await run_sync(os.path.abspath, directory)
    return Naming(directory, prefix, suffix)
