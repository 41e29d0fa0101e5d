"""The file classes: those of `io`, with awaitable methods.

Methods whose speed matters are inherited from native classes; the others are here.
"""

# pyright: reportUnnecessaryIsInstance=false
# The argument checks test at run time what the annotations promise.

from __future__ import annotations

import codecs
import io
from typing import TYPE_CHECKING, Any, Final, Generic, Self, SupportsIndex, TypeVar

import rapfiles._native as _native

from ._lock import FileLock, checked_range
from ._text import ENCODED_WHOLE, HANDLERS_OF_PYTHON, check, incremental, native_codec_of, resolved, universal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from types import TracebackType

    from typing_extensions import Buffer

    from ._text import Codec

__all__ = [
    "AsyncBufferedRandom",
    "AsyncBufferedReader",
    "AsyncBufferedWriter",
    "AsyncFileIO",
    "AsyncTextIOWrapper",
]

_CHUNK: Final = 256 << 10
_BATCH: Final = 64 << 10
_NEWLINES: Final = (
    None,
    "\r",
    "\n",
    ("\r", "\n"),
    "\r\n",
    ("\r", "\r\n"),
    ("\n", "\r\n"),
    ("\r", "\n", "\r\n"),
)
_UNSET: Final[Any] = object()


class Chunks:
    """The chunks of a binary file, from its position on."""

    __module__ = "rapfiles"
    __slots__ = ("_next_chunk", "_size")

    def __init__(self, next_chunk: Callable[[int], Awaitable[bytes]], size: int) -> None:
        self._next_chunk = next_chunk
        self._size = size

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[bytes]:
        return self._next_chunk(self._size)


Line = TypeVar("Line")


class Batches(Generic[Line]):
    """The lines of a file from its position on, in lists."""

    __module__ = "rapfiles"
    __slots__ = ("_file", "_hint")

    def __init__(self, file: Any, hint: int) -> None:
        self._file = file
        self._hint = hint

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Line]:
        lines: list[Line] = await self._file.readlines(self._hint)
        if not lines:
            raise StopAsyncIteration
        return lines


class _Common:
    """The methods of all files."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def _file(self) -> _native.OpenFile: ...
        @property
        def closed(self) -> bool: ...

        def close(self) -> _native.Operation[None]: ...

    async def aclose(self) -> None:
        """Close the file: an alias of `close()`, as `contextlib.aclosing` and anyio expect it."""
        await self.close()

    async def __aenter__(self) -> Self:
        """Return the file, which is open already."""
        if self._file.closed:
            raise ValueError("I/O operation on closed file.")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        await self.close()

    def lock(
        self,
        *,
        shared: bool = False,
        timeout: float | None = None,
        blocking: bool = True,
        range: tuple[SupportsIndex, SupportsIndex] | None = None,  # noqa: A002 - the name of what is locked
    ) -> FileLock:
        """A lock of this open file, with the parameters of `AsyncPath.lock`; closing the file releases it.

        It says nothing of the buffers: what was read ahead before the lock was acquired may be old, and what
        was written is in the file after `flush()`.

        A forked child inherits the file, and with it the lock: it does not release it for its parent, but
        keeps it held until it closes the file or ends, even if its parent ends before.
        """
        extent = None if range is None else checked_range(range)
        return FileLock(self._file, shared, timeout, blocking, extent)

    def isatty(self) -> bool:
        """Whether the file is a terminal."""
        return self._open_file().terminal

    def readable(self) -> bool:
        """Whether the file can be read."""
        return self._open_file().readable

    def writable(self) -> bool:
        """Whether the file can be written."""
        return self._open_file().writable

    def seekable(self) -> bool:
        """Whether the file has a position that can be moved."""
        return self._open_file().seekable

    def _open_file(self, complaint: str = "I/O operation on closed file") -> _native.OpenFile:
        if self.closed:
            raise ValueError(complaint)
        return self._file


class _Binary(_Common):
    """The methods of all binary files."""

    __slots__ = ()

    if TYPE_CHECKING:

        def _next_chunk(self, size: int, /) -> Awaitable[bytes]: ...

    def chunks(self, size: int = _CHUNK) -> Chunks:
        """Iterate over the rest of the file in chunks of `size` bytes; the last may be smaller."""
        return Chunks(self._next_chunk, _positive(size))

    def lines(self, hint: int = _BATCH) -> Batches[bytes]:
        """Iterate over the remaining lines, in lists of about `hint` bytes."""
        return Batches(self, _positive(hint))


class AsyncFileIO(_Binary, _native.RawFile):
    """A binary file without a buffer: `io.FileIO`, awaited. `open(…, buffering=0)` makes it.

    Each operation is one system call, so `read` and `write` may transfer less than requested. Otherwise it
    behaves like `AsyncBufferedReader`.

    ```python
    async with open(directory / "data", "wb", buffering=0) as file:
        assert await file.write(b"abc") == 3
    ```
    """

    __slots__ = ()

    @property
    def closed(self) -> bool:
        """Whether the file has been closed."""
        return self._file.closed

    @property
    def name(self) -> Any:
        """What the file was opened by: a path as it was given, or the number of a descriptor."""
        return self._file.name

    @property
    def mode(self) -> str:
        """The mode, as `io.FileIO` has it: `rb`, `wb`, `rb+` and so on."""
        return self._file.raw_mode

    @property
    def closefd(self) -> bool:
        """Whether the descriptor is closed with the file."""
        return self._file.closefd

    async def writelines(self, lines: Iterable[Buffer], /) -> None:
        """Write the chunks, each with one system call. Line ends are not added."""
        self._open_file("I/O operation on closed file.")
        for line in lines:
            await self.write(line)

    def __repr__(self) -> str:
        if self.closed:
            return f"<rapfiles.{type(self).__name__} [closed]>"
        return (
            f"<rapfiles.{type(self).__name__} name={self.name!r} mode={self.mode!r} closefd={self.closefd}>"
        )


class _Buffered(_Binary, _native.BufferedFile):
    """The methods of the buffered files."""

    __slots__ = ("_raw",)

    _raw: AsyncFileIO

    @property
    def raw(self) -> AsyncFileIO:
        """The file without its buffer: each of its operations is one system call.

        It returns what has been read ahead first, so that both files always have the same position.
        """
        if self._detached:
            raise ValueError("raw stream has been detached")
        if not hasattr(self, "_raw"):
            self._raw = AsyncFileIO(self._file)
        return self._raw

    @property
    def name(self) -> Any:
        """What the file was opened by: a path as it was given, or the number of a descriptor."""
        return self.raw.name

    @property
    def mode(self) -> str:
        """The mode, as `io.FileIO` has it: `rb`, `wb`, `rb+` and so on."""
        return self.raw.mode

    def readable(self) -> bool:
        """Whether the file can be read."""
        # For a class that cannot read, the handle need not be asked.
        return self._file.readable and super().readable()

    def writable(self) -> bool:
        """Whether the file can be written."""
        return self._file.writable and super().writable()

    async def detach(self) -> AsyncFileIO:
        """Flush, and return the file without its buffer. This object cannot be used afterwards."""
        raw = self.raw
        await self.flush()
        self._detach()
        return raw

    async def writelines(self, lines: Iterable[Buffer], /) -> None:
        """Write one after the other, as one operation. Line ends are not added."""
        self._open_file("I/O operation on closed file.")
        batches: list[list[Buffer]] = [[]]
        try:
            await _collect(lines, batches, _checked_bytes)
        except Exception:
            # What came before an error has been written, as with a synchronous file.
            await self._write_batches(batches)
            raise
        await self._write_batches(batches)

    async def _write_batches(self, batches: list[list[Buffer]]) -> None:
        if batches[0]:
            await self._write_all([b"".join(batch) for batch in batches])

    def __repr__(self) -> str:
        if self._detached:
            return f"<rapfiles.{type(self).__name__}>"
        return f"<rapfiles.{type(self).__name__} name={self.name!r}>"


class AsyncBufferedReader(_Buffered):
    """A binary file for reading: `io.BufferedReader`, awaited. `open(…, "rb")` makes it.

    Operations run one at a time, in the order in which they were begun, by whichever task; `pread`, `pwrite`
    and `stat` run concurrently with them. **Cancelling** one ends the wait at once: what it has read is
    returned by the next one, what it has accepted is written, and closing continues in the background. Use
    after closing raises ValueError, as in `io`.

    ```python
    async with open(directory / "data", "wb") as file:
        await file.write(b"one\\ntwo\\n")
    async with open(directory / "data", "rb") as file:
        assert await file.read(2) == b"on"
        assert [line async for line in file] == [b"e\\n", b"two\\n"]
        assert await file.pread(3, 4) == b"two"
    ```
    """

    __slots__ = ()


class AsyncBufferedWriter(_Buffered):
    """A binary file for writing: `io.BufferedWriter`, awaited. `open(…, "wb")` makes it.

    Written data is collected in a buffer until there is enough of it to hand to a worker. Others see it after
    `flush()`, and after `close()`; the device has it after `sync()`. An error of a write in the background is
    raised by the next `write`, `flush` or `close`. For order and cancelling see `AsyncBufferedReader`.

    ```python
    async with open(directory / "data", "wb") as file:
        assert await file.write(b"abc") == 3
        await file.flush()
        assert await (directory / "data").read_bytes() == b"abc"
    ```
    """

    __slots__ = ()


class AsyncBufferedRandom(_Buffered):
    """A binary file for reading and writing: `io.BufferedRandom`, awaited. `open(…, "r+b")` makes it.

    ```python
    async with open(directory / "data", "w+b") as file:
        await file.write(b"abc")
        await file.seek(0)
        assert await file.read() == b"abc"
    ```
    """

    __slots__ = ()


class AsyncTextIOWrapper(_Common, _native.TextFile):
    """A text file: `io.TextIOWrapper`, awaited. `open(…)` makes it.

    UTF-8, ASCII and Latin-1 are decoded natively, other encodings and error handlers by Python's own codecs.
    For order and cancelling see `AsyncBufferedReader`, for buffering `AsyncBufferedWriter`. Unlike with a
    synchronous file, `tell()` works while the file is iterated over.

    ```python
    async with open(directory / "menu", "w+", encoding="utf-8") as file:
        await file.write("crème\\nbrûlée\\n")
        await file.seek(0)
        assert await file.readline() == "crème\\n"
        assert await file.read() == "brûlée\\n"
    ```
    """

    __slots__ = ("_decoder", "_encoder", "mode")

    mode: str
    """The mode with which the file was opened."""
    _decoder: Any
    _encoder: Any

    @property
    def name(self) -> Any:
        """What the file was opened by: a path as it was given, or the number of a descriptor."""
        return self.buffer.name  # type: ignore[attr-defined]  # pyright: ignore

    @property
    def newlines(self) -> str | tuple[str, ...] | None:
        """The line ends that have been read so far, if `newline` is `None` or `""`."""
        seen = self._seen
        if seen is not None:
            return _NEWLINES[seen]
        return getattr(self._decoder, "newlines", None)

    def readable(self) -> bool:
        """Whether the file can be read."""
        return bool(self.buffer.readable())  # type: ignore[attr-defined]  # pyright: ignore

    def writable(self) -> bool:
        """Whether the file can be written."""
        return bool(self.buffer.writable())  # type: ignore[attr-defined]  # pyright: ignore

    async def detach(self) -> AsyncBufferedReader | AsyncBufferedWriter | AsyncBufferedRandom:
        """Flush, and return the underlying binary file. This object cannot be used afterwards."""
        buffer: Any = self.buffer
        await self.flush()
        self._detach()
        return buffer  # type: ignore[no-any-return]

    async def reconfigure(
        self,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = _UNSET,
        line_buffering: bool | None = None,
        write_through: bool | None = None,
    ) -> None:
        """Change how text is encoded, and when it is flushed.

        Args:
            encoding: The new encoding.
            errors: The new error handler; `"strict"` if only the encoding is given.
            newline: How lines end from now on, as for `open`.
            line_buffering: Whether a write that contains a line end flushes.
            write_through: Whether text is passed to the binary file at once.

        Raises:
            io.UnsupportedOperation: There is decoded text that has not been read.
            LookupError: There is no such encoding.
        """
        changes = encoding is not None or errors is not None or newline is not _UNSET
        if changes and self._has_read:
            raise io.UnsupportedOperation(
                "It is not possible to set the encoding or newline of stream after the first read"
            )
        await self.flush()
        if changes:
            if encoding is None:
                encoding = self.encoding
                errors = self.errors if errors is None else errors
            elif errors is None:
                errors = "strict"
            line_end = self._newline if newline is _UNSET else newline
            encoding = resolved(encoding)
            begun = self._file.writable and self._file.seekable and await self.buffer.tell() != 0
            check(encoding, errors, line_end)
            self._set_codec(native_codec_of(encoding, errors), encoding, errors or "strict", line_end)
            if begun:
                self._encode_within()
        if line_buffering is not None or write_through is not None:
            self._set_buffering(
                self.line_buffering if line_buffering is None else bool(line_buffering),
                self.write_through if write_through is None else bool(write_through),
            )

    async def writelines(self, lines: Iterable[str], /) -> None:
        """Write one after the other, as one operation. Line ends are not added."""
        self._open_file("I/O operation on closed file.")
        batches: list[list[str]] = [[]]
        try:
            await _collect(lines, batches, _checked_text)
        except Exception:
            # What came before an error has been written, as with a synchronous file.
            await self._write_batches(batches)
            raise
        await self._write_batches(batches)

    async def _write_batches(self, batches: list[list[str]]) -> None:
        if not batches[0]:
            return
        written = _native.Counter()
        if self._encoder is not None:
            # The output of Python's encoder may depend on where a text begins and ends.
            await self._write_all([line for batch in batches for line in batch], written)
            return
        try:
            await self._write_all(["".join(batch) for batch in batches], written)
        except UnicodeEncodeError:
            # One after the other, up to the one that cannot be encoded.
            await self._write_all(batches[written.value], _native.Counter())

    def lines(self, hint: int = _BATCH) -> Batches[str]:
        """Iterate over the remaining lines, in lists of about `hint` characters."""
        return Batches(self, _positive(hint))

    def _set_codec(self, codec: Codec | None, encoding: str, errors: str, newline: str | None) -> None:
        """Set the codec and the line ends: a native codec, or one of Python's."""
        decoder: Any = None
        encoder: Any = None
        sliced = True
        if codec is None:
            information = codecs.lookup(encoding)
            if self._file.readable:
                decoder = incremental(information.incrementaldecoder)(errors)
                if not newline:
                    decoder = universal(decoder, newline is None)
            if self._file.writable:
                encoder = incremental(information.incrementalencoder)(errors)
            sliced = information.name not in ENCODED_WHOLE and errors in HANDLERS_OF_PYTHON
        self._decoder, self._encoder = decoder, encoder
        self._set_encoding(encoding, errors, newline, codec, decoder, encoder, sliced)

    def _encode_within(self) -> None:
        """The text that is written follows other content, so it begins with no byte order mark."""
        if self._encoder is not None:
            self._encoder.setstate(0)

    def __repr__(self) -> str:
        if self._detached:
            return f"<rapfiles.{type(self).__name__} encoding={self.encoding!r}>"
        return (
            f"<rapfiles.{type(self).__name__} name={self.name!r} mode={self.mode!r}"
            f" encoding={self.encoding!r}>"
        )


async def _collect(lines: Iterable[Line], batches: list[list[Line]], length: Callable[[Line], int]) -> None:
    """Collect lines in batches, between which other tasks run."""
    batch, size = batches[-1], 0
    for line in lines:
        size += length(line)
        if size > _BATCH and batch:
            await _native.checkpoint()
            batches.append([])
            batch, size = batches[-1], 0
        batch.append(line)


def _checked_bytes(line: Buffer) -> int:
    if isinstance(line, bytes):
        return len(line)
    if isinstance(line, str):
        raise TypeError("a bytes-like object is required, not 'str'")
    return memoryview(line).nbytes


def _checked_text(line: str) -> int:
    if not isinstance(line, str):
        raise TypeError(f"write() argument must be str, not {type(line).__name__}")
    return len(line)


def _positive(size: int) -> int:
    if size < 1:
        raise ValueError(f"size must be at least 1, not {size}")
    return size


_with_lines = (AsyncBufferedReader, AsyncBufferedWriter, AsyncBufferedRandom, AsyncTextIOWrapper)
for _class in _with_lines:
    _native.set_next_slot(_class)
