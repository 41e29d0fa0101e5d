"""`AsyncPath.open_atomic()`: a file that takes the place of another one when the block ends well."""

# pyright: reportPrivateUsage=false
# The file's layers know the open file.

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias

import rapfiles._native as _native

from ._atomic import atomic_options, warn
from ._file import AsyncFileIO
from ._mounted import WRITTEN, explained
from ._open import FileKind, FileT, integral

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import TracebackType

    from ._arguments import StrPath
    from ._atomic import AtomicOptions, Fallback

    # fmt: off
    AtomicTextMode: TypeAlias = Literal[
        "w", "wt", "tw", "x", "xt", "tx",
        "w+", "+w", "wt+", "w+t", "+wt", "tw+", "t+w", "+tw",
        "x+", "+x", "xt+", "x+t", "+xt", "tx+", "t+x", "+tx",
    ]
    AtomicBinaryModeWriting: TypeAlias = Literal["wb", "bw", "xb", "bx"]
    AtomicBinaryModeUpdating: TypeAlias = Literal[
        "wb+", "w+b", "+wb", "bw+", "b+w", "+bw",
        "xb+", "x+b", "+xb", "bx+", "b+x", "+bx",
    ]
    # fmt: on
    AtomicBinaryMode: TypeAlias = AtomicBinaryModeWriting | AtomicBinaryModeUpdating

__all__ = ["AtomicFileContextManager", "open_atomic"]


class AtomicFileContextManager(Generic[FileT]):
    """The result of `AsyncPath.open_atomic()`: entering it, once, opens the file.

    It cannot be awaited, unlike the result of `open()`: only a block has an end that says whether the file is
    complete.

    ```python
    async with (directory / "state").open_atomic("w") as file:
        await file.write("complete\\n")
    ```
    """

    __slots__ = ("__weakref__", "_file", "_kind", "_open_file", "_options", "_path", "_process", "_staged")

    def __init__(self, path: StrPath, kind: FileKind, options: AtomicOptions) -> None:
        self._path = path
        self._kind = kind
        self._options: AtomicOptions | None = options
        self._file: Any = None
        self._open_file: _native.OpenFile | None = None
        self._staged: _native.Staged | None = None
        self._process = 0

    async def __aenter__(self) -> FileT:
        """Open the file."""
        options, self._options = self._options, None
        if options is None:
            raise RuntimeError("cannot reuse already entered open_atomic()")
        name = os.fspath(self._path)
        await warn(name, options)
        opened, self._staged = await _native.open_atomically(name, options)
        file: Any = self._kind.file(opened, name)
        self._process = os.getpid()
        self._file, self._open_file = file, file._file
        return file  # type: ignore[no-any-return]

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file, and give it its name; or discard it, if the block did not end well."""
        staged, self._staged = self._staged, None
        if staged is None:
            return
        if os.getpid() != self._process:
            # The file is the parent's, and what is in its buffer is the parent's to write.
            if kind is None:
                raise RuntimeError("this process was forked within the block, and the file is its parent's")
            return
        if kind is None:
            try:
                await self._closing()
                if self._open_file is not None and self._open_file.incomplete:
                    # It was closed earlier, and the error was not passed on.
                    message = "Not all of the file was written when it was closed"
                    raise OSError(errno.EIO, message, os.fspath(self._path))
            except Exception:
                await _native.discard(staged)
                raise
            except BaseException:
                # The traceback must not keep it.
                del staged
                raise
            await explained(_native.commit(self._path, staged), WRITTEN)
        elif issubclass(kind, GeneratorExit):
            # Nothing can be awaited.
            if self._open_file is not None:
                self._open_file.close_in_background()
        else:
            try:
                await _native.discard(staged)
            finally:
                with suppress(Exception):
                    # The error of the block is the one that counts.
                    await self._closing()

    def _closing(self) -> Awaitable[None]:
        try:
            closing: Awaitable[None] = self._file.close()
        except ValueError:
            # Its layers were detached from each other.
            assert self._open_file is not None, "it was opened"
            closing = AsyncFileIO(self._open_file).close()
        return closing


def open_atomic(
    path: StrPath,
    mode: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
    options: tuple[bool, bool, bool, Fallback],
) -> AtomicFileContextManager[Any]:
    """Check the arguments; `encoding` is what `announced` returned."""
    durable, overwrite, follow_symlinks, fallback = options
    kind = FileKind.of(mode, integral(buffering), encoding, errors, newline)
    if kind.mode.append or not kind.mode.flags & os.O_CREAT:
        raise ValueError(f"open_atomic() writes a new file: the mode must have 'w' or 'x', not {mode!r}")
    exclusive = bool(kind.mode.flags & os.O_EXCL)
    checked = atomic_options(True, durable, bool(overwrite) and not exclusive, follow_symlinks, fallback)
    assert checked is not None, "it is atomic"
    return AtomicFileContextManager(path, kind, checked)
