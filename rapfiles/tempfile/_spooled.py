"""`SpooledTemporaryFile`: a temporary file that stays in memory until it is large."""

# ruff: noqa: A002  The standard library has a parameter `dir`.

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, overload

from ._file import Opening
from ._manager import TemporaryContextManager
from ._spooled_binary import AsyncSpooledBinaryFile
from ._spooled_text import AsyncSpooledTextFile

if TYPE_CHECKING:
    from .._open import OpenBinaryMode, OpenTextMode
    from ._names import AnyPath

__all__ = ["SpooledTemporaryFile"]


@overload
def SpooledTemporaryFile(
    max_size: int = 0,
    mode: OpenBinaryMode = "w+b",
    buffering: int = -1,
    encoding: None = None,
    newline: None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    *,
    errors: None = None,
) -> TemporaryContextManager[AsyncSpooledBinaryFile, AsyncSpooledBinaryFile]: ...
@overload
def SpooledTemporaryFile(
    max_size: int,
    mode: OpenTextMode,
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    *,
    errors: str | None = None,
) -> TemporaryContextManager[AsyncSpooledTextFile, AsyncSpooledTextFile]: ...
@overload
def SpooledTemporaryFile(
    max_size: int = 0,
    *,
    mode: OpenTextMode,
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    errors: str | None = None,
) -> TemporaryContextManager[AsyncSpooledTextFile, AsyncSpooledTextFile]: ...
@overload
def SpooledTemporaryFile(
    max_size: int,
    mode: str,
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    *,
    errors: str | None = None,
) -> TemporaryContextManager[Any, Any]: ...
@overload
def SpooledTemporaryFile(
    max_size: int = 0,
    *,
    mode: str,
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    errors: str | None = None,
) -> TemporaryContextManager[Any, Any]: ...
def SpooledTemporaryFile(  # noqa: N802
    max_size: int = 0,
    mode: str = "w+b",
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: AnyPath | None = None,
    *,
    errors: str | None = None,
) -> TemporaryContextManager[Any, Any]:
    """Create a temporary file that stays in memory until it is larger than `max_size` or needs a descriptor.

    Then it is moved to a `TemporaryFile`, never on the event loop's thread. If that fails or is cancelled,
    nothing is lost: the content stays in memory.

    Args:
        max_size: The size in bytes up to which it stays in memory; 0 for no limit.
        mode: As for `open`, but the file is always new.
        buffering: As for `open`, on the disk.
        encoding: As for `open`.
        newline: As for `open`.
        suffix: As for `TemporaryFile`.
        prefix: As for `TemporaryFile`.
        dir: The directory to make a file in; by default `gettempdir()`.
        errors: As for `open`.

    Returns:
        An object to be awaited or entered that gives an `AsyncSpooledBinaryFile` or an
        `AsyncSpooledTextFile`; nothing happens before that.

    Raises:
        LookupError: There is no such text encoding.
        ValueError: `newline` is not one that `open` accepts.

    ```python
    from rapfiles.tempfile import SpooledTemporaryFile

    async with SpooledTemporaryFile(max_size=1000) as file:
        await file.write(b"a" * 1000)  # in memory
        await file.write(b"b" * 1000)  # on the disk
        await file.seek(999)
        assert await file.read(2) == b"ab"
    ```
    """
    return TemporaryContextManager(
        "SpooledTemporaryFile",
        _spooled_file(max_size, mode, buffering, encoding, errors, newline, (suffix, prefix, dir)),
    )


async def _spooled_file(
    max_size: int,
    mode: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
    names: tuple[str | bytes | None, str | bytes | None, AnyPath | None],
) -> Any:
    if "b" in mode:
        opening = Opening(mode, buffering, encoding, errors, newline)
        return AsyncSpooledBinaryFile(io.BytesIO(), max_size, mode, opening, names)
    encoding = io.text_encoding(encoding)
    memory = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors, newline=newline)
    opening = Opening(mode, buffering, encoding, errors, newline)
    return AsyncSpooledTextFile(memory, max_size, mode, opening, names)
