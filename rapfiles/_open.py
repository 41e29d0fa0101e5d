"""`open()`: what `builtins.open` does, awaited."""

# pyright: reportUnnecessaryIsInstance=false, reportUnnecessaryComparison=false
# The argument checks test at run time what the annotations promise.
# pyright: reportPrivateUsage=false
# A file is not finished before it has its codec.

from __future__ import annotations

import io
import os
import sys
import warnings
from functools import partial
from locale import getencoding
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, TypeVar, overload

import rapfiles._native as _native

from ._arguments import c_integer
from ._file import (
    AsyncBufferedRandom,
    AsyncBufferedReader,
    AsyncBufferedWriter,
    AsyncFileIO,
    AsyncTextIOWrapper,
)
from ._text import checked_codec
from ._undoable import Undoable, close_descriptor

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from _typeshed import (
        FileDescriptorOrPath,
        OpenBinaryModeUpdating,
        OpenBinaryModeWriting,
        OpenTextModeUpdating,
        OpenTextModeWriting,
    )

    from ._text import Codec

    Opener: TypeAlias = Callable[[str, int], int]
    # Without the modes with `U`, which typeshed still has: Python 3.11 has removed them from `open`.
    OpenTextMode: TypeAlias = OpenTextModeUpdating | OpenTextModeWriting | Literal["r", "rt", "tr"]
    OpenBinaryModeReading: TypeAlias = Literal["rb", "br"]
    OpenBinaryMode: TypeAlias = OpenBinaryModeUpdating | OpenBinaryModeWriting | OpenBinaryModeReading

__all__ = ["AnyFile", "FileContextManager", "open"]

AnyFile: TypeAlias = (
    AsyncTextIOWrapper | AsyncBufferedReader | AsyncBufferedWriter | AsyncBufferedRandom | AsyncFileIO
)
"""Whatever `open()` returns."""

FileT = TypeVar("FileT", bound=AnyFile, covariant=True)

_DEFAULT_PERMISSIONS: Final = 0o666
_EMPTIED_AND_READ: Final = "wb+" if sys.version_info >= (3, 15) else "rb+"
"""The `mode` of a raw file that was opened with `w+`, as `io.FileIO` reports it."""
_DEFAULT_BUFFERING: Final = -1
_CALLER: Final = 3
_PLATFORM_FLAGS: Final = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)
_TO_READ: Final = os.O_RDONLY | _PLATFORM_FLAGS


class FileContextManager(_native.Opening[FileT]):
    """The result of `open()`: awaiting or entering it, once, opens the file.

    ```python
    file = await open(directory / "log", "w")
    await file.close()

    async with open(directory / "log") as file:
        assert await file.read() == ""
    ```
    """

    __slots__ = ()

    if TYPE_CHECKING:

        async def __aenter__(self) -> FileT:
            """Open the file."""
            ...

        async def __aexit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            traceback: TracebackType | None,
        ) -> None:
            """Close the file."""


class Mode(NamedTuple):
    """A parsed mode."""

    flags: int
    readable: bool
    writable: bool
    append: bool
    binary: bool
    raw_mode: str


_modes: dict[str, Mode] = {}


def _parse(mode: str) -> Mode:
    """Parse a mode, with the errors of `io.open`."""
    if not isinstance(mode, str):
        raise TypeError(f"open() argument 'mode' must be str, not {type(mode).__name__}")
    letters = set(mode)
    if letters - set("axrwb+t") or len(mode) > len(letters):
        raise ValueError(f"invalid mode: {mode!r}")
    if {"t", "b"} <= letters:
        raise ValueError("can't have text and binary mode at once")
    if len(letters & set("axrw")) > 1:
        raise ValueError("must have exactly one of create/read/write/append mode")
    if not letters & set("axrw"):
        raise ValueError("Must have exactly one of create/read/write/append mode and at most one plus")
    updating = "+" in letters
    readable = "r" in letters or updating
    writable = "r" not in letters or updating
    flags = os.O_RDWR if readable and writable else os.O_WRONLY if writable else os.O_RDONLY
    if "w" in letters:
        flags |= os.O_CREAT | os.O_TRUNC
        raw_mode = _EMPTIED_AND_READ if updating else "wb"
    elif "x" in letters:
        flags |= os.O_CREAT | os.O_EXCL
        raw_mode = "xb+" if updating else "xb"
    elif "a" in letters:
        flags |= os.O_CREAT | os.O_APPEND
        raw_mode = "ab+" if updating else "ab"
    else:
        raw_mode = "rb+" if updating else "rb"
    parsed = Mode(flags | _PLATFORM_FLAGS, readable, writable, "a" in letters, "b" in letters, raw_mode)
    _modes[mode] = parsed
    return parsed


@overload
def open(
    file: FileDescriptorOrPath,
    mode: OpenTextMode = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Opener | None = None,
) -> FileContextManager[AsyncTextIOWrapper]: ...
@overload
def open(
    file: FileDescriptorOrPath,
    mode: OpenBinaryMode,
    buffering: Literal[0],
    encoding: None = None,
    errors: None = None,
    newline: None = None,
    closefd: bool = True,
    opener: Opener | None = None,
) -> FileContextManager[AsyncFileIO]: ...
@overload
def open(
    file: FileDescriptorOrPath,
    mode: OpenBinaryModeUpdating,
    buffering: Literal[-1, 1] = -1,
    encoding: None = None,
    errors: None = None,
    newline: None = None,
    closefd: bool = True,
    opener: Opener | None = None,
) -> FileContextManager[AsyncBufferedRandom]: ...
@overload
def open(
    file: FileDescriptorOrPath,
    mode: OpenBinaryModeWriting,
    buffering: Literal[-1, 1] = -1,
    encoding: None = None,
    errors: None = None,
    newline: None = None,
    closefd: bool = True,
    opener: Opener | None = None,
) -> FileContextManager[AsyncBufferedWriter]: ...
@overload
def open(
    file: FileDescriptorOrPath,
    mode: OpenBinaryModeReading,
    buffering: Literal[-1, 1] = -1,
    encoding: None = None,
    errors: None = None,
    newline: None = None,
    closefd: bool = True,
    opener: Opener | None = None,
) -> FileContextManager[AsyncBufferedReader]: ...
@overload
def open(
    file: FileDescriptorOrPath,
    mode: OpenBinaryMode,
    buffering: int = -1,
    encoding: None = None,
    errors: None = None,
    newline: None = None,
    closefd: bool = True,
    opener: Opener | None = None,
) -> FileContextManager[AsyncBufferedReader | AsyncBufferedWriter | AsyncBufferedRandom | AsyncFileIO]: ...
@overload
def open(
    file: FileDescriptorOrPath,
    mode: str,
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Opener | None = None,
) -> FileContextManager[Any]: ...
def open(
    file: FileDescriptorOrPath,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Opener | None = None,
) -> FileContextManager[Any]:
    """Open a file, as the built-in `open` does.

    Nothing happens until the result is awaited, `file = await open(…)`, or entered, `async with open(…) as
    file`. The caller has to close a file that was awaited.

    Args:
        file: A path, or the number of a descriptor that is open already.
        mode: As for the built-in `open`: one of `r`, `w`, `a`, `x`, with `+`, `b` or `t`.
        buffering: 0 for none (binary files only), 1 to flush text after each line. Another number is the size
            in bytes from which the buffer is written; by default the library decides.
        encoding: Of text; by default the locale's, or UTF-8 in UTF-8 mode. UTF-8, ASCII and Latin-1 are
            fastest; others use Python's codecs.
        errors: How encoding and decoding errors are handled; by default `"strict"`.
        newline: How lines end: as for the built-in `open`.
        closefd: Whether a descriptor that was given is closed with the file.
        opener: Called in a thread with the path and flags, to open a descriptor.

    Returns:
        An awaitable context manager, for an `AsyncTextIOWrapper`, or in binary mode for an
        `AsyncBufferedReader` (`r`), `AsyncBufferedWriter` (`w`, `a`, `x`), `AsyncBufferedRandom` (`+`) or,
        without a buffer, an `AsyncFileIO`.

    Raises:
        OSError: The file cannot be opened.
        ValueError: The arguments cannot be combined.
        LookupError: There is no such encoding. The file is not touched.

    Cancellation:
        If the mode creates or truncates the file, that may have happened, or happen a little later; the file
        is closed again.

    ```python
    async with open(directory / "menu", "w", encoding="utf-8") as file:
        await file.write("crème\\nbrûlée\\n")
    async with open(directory / "menu", encoding="utf-8") as file:
        assert [line async for line in file] == ["crème\\n", "brûlée\\n"]
    ```
    """
    if (
        mode == "rb"
        and buffering is _DEFAULT_BUFFERING
        and encoding is errors is newline is None
        and opener is None
        and closefd is True
        and not isinstance(file, int)
    ):
        return FileContextManager(file, AsyncBufferedReader, _TO_READ)
    # Warnings name the caller's line, so they are given here and not in the coroutine.
    if isinstance(file, bool) and sys.version_info >= (3, 13):
        warnings.warn("bool is used as a file descriptor", RuntimeWarning, stacklevel=2)
    encoding = announced(mode, buffering, encoding)
    opened: list[Any] = []
    opening = _open(opened, file, mode, buffering, encoding, errors, newline, closefd, opener)
    return FileContextManager(opening, opened)


async def _open(
    result: list[Any],
    file: FileDescriptorOrPath,
    mode: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
    closefd: bool,
    opener: Opener | None,
) -> Any:
    buffering = integral(buffering)
    name: Any = file if isinstance(file, int) else os.fspath(file)
    kind = FileKind.of(mode, buffering, encoding, errors, newline)
    flags, append = kind.mode.flags, kind.mode.append
    opened: _native.Opened
    if isinstance(name, int):
        if name < 0:
            raise ValueError("negative file descriptor")
        opened = await _native.adopt_descriptor(name, bool(closefd), False, append, name)
    elif not closefd:
        raise ValueError("Cannot use closefd=False with file name")
    elif opener is not None:
        opened = await _adopt(opener, name, flags, append)
    else:
        opened = await _native.open_file(name, flags, _DEFAULT_PERMISSIONS)
    made = kind.file(opened, name)
    result.append(made)
    return made


_open.__name__ = _open.__qualname__ = "open"  # for the warning, and for debuggers


def integral(buffering: int) -> int:
    """The argument as an integer of C, with the errors of `io.open`."""
    return buffering if buffering is _DEFAULT_BUFFERING else c_integer("buffering", buffering)


def announced(mode: str, buffering: int, encoding: str | None) -> str | None:
    """Give the warnings of `io.open`, about the line that called the caller; returns the encoding."""
    if isinstance(mode, str):
        if "b" not in mode:
            return io.text_encoding(encoding, _CALLER)
        if buffering == 1 and isinstance(buffering, int):
            warnings.warn(
                "line buffering (buffering=1) isn't supported in binary mode, "
                "the default buffer size will be used",
                RuntimeWarning,
                stacklevel=_CALLER,
            )
    return encoding


class FileKind(NamedTuple):
    """What a file becomes that is opened with these arguments, which have been checked."""

    mode: Mode
    text: str
    buffering: int
    codec: Codec | None
    encoding: str | None
    errors: str | None
    newline: str | None

    @classmethod
    def of(
        cls, mode: str, buffering: int, encoding: str | None, errors: str | None, newline: str | None
    ) -> FileKind:
        """Check the arguments, with the errors of `io.open`."""
        parsed = _modes.get(mode) if isinstance(mode, str) else None
        if parsed is None:
            parsed = _parse(mode)
        codec = None
        if parsed.binary:
            if encoding is not None:
                raise ValueError("binary mode doesn't take an encoding argument")
            if errors is not None:
                raise ValueError("binary mode doesn't take an errors argument")
            if newline is not None:
                raise ValueError("binary mode doesn't take a newline argument")
        else:
            if buffering == 0:
                raise ValueError("can't have unbuffered text I/O")
            assert encoding is not None, "text files have one"
            codec = checked_codec(encoding, errors, newline)
        return cls(parsed, mode, buffering, codec, encoding, errors, newline)

    def file(self, opened: _native.Opened, name: Any) -> Any:
        """The object for a file that has been opened."""
        _, readable, writable, _, binary, raw_mode = self.mode
        buffering = self.buffering
        if buffering == 0:
            file_class: Any = AsyncFileIO
        elif readable and writable:
            if not opened.seekable:
                raise io.UnsupportedOperation("File or stream is not seekable.")
            file_class = AsyncBufferedRandom
        else:
            file_class = AsyncBufferedReader if readable else AsyncBufferedWriter
        line_buffering = behind_start = False
        if not binary:
            line_buffering = buffering == 1 or (buffering < 0 and opened.terminal)
            behind_start = opened.seekable and not opened.at_start
        shared = _native.new_handle(
            opened,
            buffering if buffering > 1 else None,
            readable,
            writable,
            name,
            raw_mode,
            file_class.__name__ if binary else "AsyncTextIOWrapper",
        )
        buffered = file_class(shared)
        if binary:
            return buffered
        text = AsyncTextIOWrapper(buffered, line_buffering)
        text.mode = self.text
        encoding, codec = self.encoding, self.codec
        assert encoding is not None, "text files have one"
        if encoding == "locale":
            encoding = getencoding()
        text._set_codec(codec, encoding, "strict" if self.errors is None else self.errors, self.newline)
        if codec is None and writable and behind_start:
            text._encode_within()
        return text


async def _adopt(opener: Opener, name: Any, flags: int, append: bool) -> _native.Opened:
    """Call the caller's opener in a thread, and adopt the descriptor."""
    flags |= getattr(os, "O_CLOEXEC", 0)
    descriptor = await Undoable(partial(_call_opener, opener, name, flags), close_descriptor).run()
    # From here on it is the engine's to close.
    return await _native.adopt_descriptor(descriptor, True, True, append, name)


def _call_opener(opener: Opener, name: Any, flags: int) -> int:
    descriptor = opener(name, flags)
    if not isinstance(descriptor, int):
        raise TypeError("expected integer from opener")
    if descriptor < 0:
        raise ValueError(f"opener returned {descriptor}")
    os.set_inheritable(descriptor, False)
    return descriptor
