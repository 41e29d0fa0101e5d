"""The common part of spooled temporary files in text and binary mode.

In memory it is one of `io`'s own objects, used on the event loop's thread, in slices if it is large. On the
disk it is a `TemporaryFile`. A rollover keeps the content in memory until all of it is on the disk, so that
an error or a cancellation meanwhile loses nothing.
"""

# mypy: disable-error-code="no-any-return"
# The methods are the same in memory and on the disk, but no common type says so.

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import rapfiles._native as _native

from .._arguments import path_text
from ._fifo_lock import FIFOLock
from ._file import Opening, open_persistable, open_temporary
from ._names import AnyPath, naming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    from .._arguments import StrPath
    from .._path import AsyncPath

# What is done in one go on the event loop's thread: some 100 µs of work.
SLICE: Final = 1 << 20
_LINES: Final = 256
# From this size on `BytesIO` is enlarged in slices. It enlarges by `realloc`, which copies the whole content
# at once, unless the allocator can remap its pages: glibc uses mmap, and mremap in `realloc`, for blocks
# larger than its dynamic threshold, which is at most 32 MiB (M_MMAP_THRESHOLD and DEFAULT_MMAP_THRESHOLD_MAX
# in mallopt(3)).
_GROWS_ITSELF: Final = 4 << 20
_EMPTY: Final = io.BytesIO().__sizeof__() + b"".__sizeof__()

Item = TypeVar("Item", str, bytes)


class SpooledFile(Generic[Item]):
    """The common part of text and binary mode. `_memory` is used until the rollover, `_file` afterwards."""

    def __init__(
        self,
        memory: Any,
        max_size: int,
        mode: str,
        opening: Opening,
        names: tuple[str | bytes | None, str | bytes | None, AnyPath | None],
    ) -> None:
        self._memory: Any = memory
        self._rolled = False
        self._file: Any = None
        self._temporary: Any = (
            None  # what `_file` is inside of; there before the rollover if one was cut short
        )
        self._max_size = max_size
        self._mode = mode
        self._opening = opening
        self._names = names
        self._lock = FIFOLock()

    @property
    def _place(self) -> Any:
        return self._file if self._rolled else self._memory

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._place.closed

    @property
    def name(self) -> str | bytes | int | None:
        """None in memory; on the disk the descriptor, and after `persist` the path."""
        return None if not self._rolled else self._temporary.name

    @property
    def mode(self) -> str:
        """In memory the mode that was passed; on the disk that of the file."""
        return self._mode if not self._rolled else self._file.mode

    def readable(self) -> bool:
        """Whether it can be read."""
        return self._place.readable()

    def writable(self) -> bool:
        """Whether it can be written."""
        return self._place.writable()

    def seekable(self) -> bool:
        """Whether its position can be changed."""
        return self._place.seekable()

    def isatty(self) -> bool:
        """Whether it is a terminal, which it is not."""
        return self._place.isatty()

    async def seek(self, offset: int, whence: int = 0, /) -> int:
        """Change the position.

        Args:
            offset: Where to; in text mode, what `tell()` returned, or 0.
            whence: What `offset` counts from: 0 the start, 1 the position, 2 the end.

        Returns:
            The new position.

        Raises:
            ValueError: It is closed, or there is no such position.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile() as file:
            await file.write(b"abc")
            assert await file.seek(1) == 1
            assert await file.read() == b"bc"
        ```
        """
        return await self._do("seek", offset, whence)

    async def tell(self) -> int:
        """The position; in text mode a number that only `seek()` understands.

        Raises:
            ValueError: It is closed.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile() as file:
            await file.write(b"abc")
            assert await file.tell() == 3
        ```
        """
        return await self._do("tell")

    async def flush(self) -> None:
        """Write the buffer to the file; in memory this does nothing.

        Raises:
            OSError: It cannot be written.
            ValueError: It is closed.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile() as file:
            await file.write(b"abc")
            await file.flush()
        ```
        """
        await self._do("flush")

    async def truncate(self, size: int | None = None, /) -> int:
        """Cut it to a size.

        As in the standard library, a size larger than `max_size` moves it to the disk, even if the content is
        smaller; and in memory it can only become smaller.

        Args:
            size: The size in bytes; by default the position.

        Returns:
            The size.

        Raises:
            OSError: There is not enough space on the disk. The content stays in memory.
            ValueError: It is closed.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile(max_size=1000) as file:
            await file.write(b"abc")
            await file.truncate(1)
            await file.seek(0)
            assert await file.read() == b"a"
        ```
        """
        async with self._lock:
            if not self._rolled:
                await _native.checkpoint()
                if size is None:
                    return self._memory.truncate()
                if size <= self._max_size:
                    return self._memory.truncate(size)
                await self._roll()
            return await (self._file.truncate() if size is None else self._file.truncate(size))

    async def rollover(self) -> None:
        """Move it to the disk now, if it is not there yet.

        Raises:
            OSError: The file cannot be created, or there is no room for it. The content is in memory then.
            ValueError: It is closed.

        Cancellation:
            The file is in memory as before, or on the disk.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile() as file:
            assert file.name is None
            await file.rollover()
            assert file.name is not None
        ```
        """
        async with self._lock:
            if not self._rolled:
                await self._roll()

    async def fileno(self) -> int:
        """The descriptor; as in the standard library, this moves it to the disk.

        Raises:
            OSError: The file cannot be created, or there is no room for it. The content is in memory then.
            ValueError: It is closed.

        ```python
        import os

        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile() as file:
            os.fstat(await file.fileno())
        ```
        """
        async with self._lock:
            if not self._rolled:
                await self._roll()
            return self._file.fileno()

    async def persist(self, path: StrPath, *, overwrite: bool = False, mode: int | None = None) -> AsyncPath:
        """Make the file permanent.

        From memory it is written to the file system of `path`, whatever `dir` was. On the disk it is only
        given a name, so `path` must be on the same file system then. Otherwise this is
        [`persist`][rapfiles.tempfile.TemporaryBinaryFile.persist] of `TemporaryFile`.

        Args:
            path: The name.
            overwrite: Whether to replace an existing file.
            mode: The permissions; by default those of any new file: `0o666` reduced by the umask.

        Returns:
            The path as given.

        Raises:
            FileExistsError: The name is taken, and `overwrite` is false.
            OSError: With `errno` EXDEV, it is on the disk, and the path is on another file system. With
                others, the content cannot be written there.
            io.UnsupportedOperation: It is on the disk, on a file system without `O_TMPFILE`.
            ValueError: It is closed, or already permanent.

        Cancellation:
            It may have happened or not, or happen a little later, but never in part; no content is lost.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile(max_size=1_000_000) as upload:
            await upload.write(b"picture")
            path = await upload.persist(directory / "picture.png")
        assert await path.read_bytes() == b"picture"
        ```
        """
        target = path_text("path", path)
        async with self._lock:
            if not self._rolled:
                await self._roll(os.path.dirname(target) or os.curdir)
            return await self._temporary.persist(target, overwrite=overwrite, mode=mode)

    async def detach(self) -> Any:
        """Move it to the disk, if it is not there yet, and return the layer below.

        Returns:
            What the file's `detach()` returns: the binary file under a text file, the raw one under a binary
            file.

        Raises:
            OSError: The file cannot be created, or there is no room for it. The content is in memory then.
            ValueError: It is closed.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        file = await SpooledTemporaryFile(mode="w+", encoding="utf-8")
        await file.write("abc")
        binary = await file.detach()
        await binary.seek(0)
        assert await binary.read() == b"abc"
        await binary.close()
        ```
        """
        async with self._lock:
            if not self._rolled:
                await self._roll()
            return await self._file.detach()

    async def close(self) -> None:
        """Close the file, and drop the content.

        Closing again does nothing.

        Cancellation:
            A file on the disk is closed in the background.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        file = await SpooledTemporaryFile()
        await file.close()
        assert file.closed
        ```
        """
        async with self._lock:
            if self._rolled:
                await self._temporary.close()
            else:
                self._memory.close()
                await self._forget_temporary()

    aclose = close

    async def writelines(self, lines: Iterable[Item]) -> None:
        """Write the lines; line ends are not added.

        Args:
            lines: What to write.

        Raises:
            OSError: There is not enough space on the disk. What has been written until then is not lost.
            ValueError: It is closed.

        Cancellation:
            Only some of them may be written.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile() as file:
            await file.writelines([b"one", b"two"])
            await file.seek(0)
            assert await file.read() == b"onetwo"
        ```
        """
        async with self._lock:
            remaining = iter(lines)
            if not self._rolled:
                # Raises an error if it is closed, even without lines.
                self._memory.writelines(())
                for line in remaining:
                    await self._write(line)
                    if self._rolled:
                        break
            if self._rolled:
                await self._file.writelines(remaining)

    async def _do(self, method: str, *arguments: Any) -> Any:
        """Call a method that both `io`'s object in memory and the file on the disk have."""
        async with self._lock:
            if self._rolled:
                return await getattr(self._file, method)(*arguments)
            await _native.checkpoint()
            return getattr(self._memory, method)(*arguments)

    async def _write(self, data: Any) -> int:
        """Write to memory, or to the disk if the file is there or is moved there by this write."""
        raise NotImplementedError

    @property
    def _buffer(self) -> io.BytesIO:
        """The bytes in memory."""
        raise NotImplementedError

    def _content(self) -> bytes:
        """All that is in memory, not copied."""
        self._memory.flush()
        return self._buffer.getvalue()

    async def _make_room(self, size: int) -> None:
        """Reserve memory for `size` more bytes, in slices if much has to be moved."""
        buffer = self._buffer
        end = buffer.tell() + size
        if end <= _GROWS_ITSELF or end <= buffer.__sizeof__() - _EMPTY:
            return
        self._memory.flush()
        content, position = memoryview(buffer.getvalue()), buffer.tell()
        if end > 2 * len(content):
            return  # far behind the end: zeros are to be filled in
        # As large as it can be without being cut when its end is set. `bytes` of zeros touches no memory.
        buffer.__init__(bytes(2 * len(content)))  # type: ignore[misc]
        at = 0
        try:
            while at < len(content):
                at += buffer.write(content[at : at + SLICE])
                await _native.checkpoint()
        finally:
            buffer.write(content[at:])
            buffer.truncate()
            buffer.seek(position)

    async def _roll(self, directory: str | None = None) -> None:
        """Move the content to the disk; with a directory, into that one, as a file that can be given a
        name."""
        position = self._memory.tell()
        if directory is not None and self._temporary is not None:
            # Left by an attempt that was cut short, but perhaps in another place.
            await self._forget_temporary()
        if self._temporary is None:
            if directory is None:
                self._temporary = await open_temporary(self._opening, await naming(*self._names))
            else:
                names = await naming(None, None, directory)
                self._temporary = await open_persistable(self._opening, names)
        file = self._temporary.file
        try:
            await self._copy_to(file, position)
        except Exception:
            await self._forget_temporary()
            raise
        self._memory.close()
        self._file, self._rolled = file, True

    async def _copy_to(self, file: Any, position: int) -> None:
        binary = getattr(file, "buffer", file)
        # An attempt that was cut short may have left something there.
        await binary.seek(0)
        await binary.truncate()
        rest = memoryview(self._content())
        while rest:
            written = await binary.write(rest)
            rest = rest[written:]
        await binary.flush()
        await file.seek(position)

    async def _forget_temporary(self) -> None:
        """Close the file that a cancelled rollover has left."""
        temporary, self._temporary = self._temporary, None
        if temporary is not None:
            # The content is in memory, so what cannot be written there is not missed.
            with contextlib.suppress(OSError):
                await temporary.close()

    async def _readlines(self, hint: int | None) -> list[Item]:
        async with self._lock:
            if self._rolled:
                return await self._file.readlines(hint)
            await _native.checkpoint()
            # `io`'s own readlines() of text would make the position unknown.
            readline: Callable[[], Item] = self._memory.readline
            enough = self._enough(hint) if hint is not None and hint > 0 else sys.maxsize
            lines: list[Item] = []
            size = 0
            position = self._memory.tell()
            try:
                while size < enough and (line := readline()):
                    lines.append(line)
                    size += len(line)
                    if len(lines) % _LINES == 0:
                        await _native.checkpoint()
            except BaseException:
                self._memory.seek(position)
                raise
            return lines

    def _enough(self, hint: int) -> int:
        """The total size of lines after which no more are read."""
        raise NotImplementedError

    async def _read(self, size: int | None, slice_size: int) -> Item:
        async with self._lock:
            if self._rolled:
                return await self._file.read(size)
            await _native.checkpoint()
            wanted = sys.maxsize if size is None or size < 0 else size
            if wanted <= slice_size or self._remaining() <= slice_size:
                return self._memory.read(size)
            # Not joined at the end, so that at no time much is copied.
            content = self._new_content(min(wanted, self._remaining()))
            position = self._memory.tell()
            try:
                while wanted and (piece := self._memory.read(min(slice_size, wanted))):
                    content.write(piece)
                    wanted -= len(piece)
                    await _native.checkpoint()
            except BaseException:
                self._memory.seek(position)
                raise
            return content.getvalue()

    def _new_content(self, size: int) -> Any:
        """A buffer for what is read in slices: up to this many bytes."""
        raise NotImplementedError

    def _remaining(self) -> int:
        """How many bytes there are in memory from the position on, at most."""
        raise NotImplementedError

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        if line := await self._do("readline"):
            return line
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        if self.closed:
            raise ValueError("Cannot enter context with closed file")
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        # On the disk, the file inside raises its own error.
        if not self._rolled and not self._memory.closed:
            warnings.warn(f"Unclosed file {self!r}", ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        place = "in memory" if not self._rolled else f"on the disk: {self._temporary!r}"
        return f"<{type(self).__name__} {place}>"
