"""Spooled temporary files in text mode."""

# mypy: disable-error-code="no-any-return"
# The methods are the same in memory and on the disk, but no common type says so.

from __future__ import annotations

import io
from typing import Final

import rapfiles._native as _native

from ._spooled_file import SpooledFile

# What is done in one go on the event loop's thread: some 100 µs of work.
_SLICE: Final = 1 << 16
_MOST_BYTES: Final = 4  # of a character, in most encodings


class AsyncSpooledTextFile(SpooledFile[str]):
    """A spooled temporary file in text mode.

    It has the methods that the standard library's has, awaited, one operation at a time in the order they
    were begun, and `persist`. After the rollover they are those of the file.
    """

    @property
    def encoding(self) -> str:
        """The encoding."""
        return self._place.encoding

    @property
    def errors(self) -> str | None:
        """The error handler."""
        return self._place.errors

    @property
    def newlines(self) -> str | tuple[str, ...] | None:
        """The line ends that have been read, if they are translated."""
        return self._place.newlines

    async def read(self, size: int | None = -1, /) -> str:
        """Read.

        Args:
            size: The most characters to read; by default all there are.

        Returns:
            The text; shorter than `size` only at the end.

        Raises:
            UnicodeDecodeError: The content is not valid in the encoding.
            ValueError: It is closed.

        Cancellation:
            Nothing is read.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile(mode="w+", encoding="utf-8") as file:
            await file.write("abc")
            await file.seek(0)
            assert await file.read(2) == "ab"
        ```
        """
        return await self._read(size, _SLICE)

    async def readline(self, size: int = -1, /) -> str:
        """Read to the end of the line.

        Args:
            size: The most characters to read; by default the whole line.

        Returns:
            The line with its end; nothing at the end.

        Raises:
            UnicodeDecodeError: The content is not valid in the encoding.
            ValueError: It is closed.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile(mode="w+", encoding="utf-8") as file:
            await file.write("one\\ntwo")
            await file.seek(0)
            assert await file.readline() == "one\\n"
        ```
        """
        return await self._do("readline", size)

    async def readlines(self, hint: int | None = None, /) -> list[str]:
        """Read the lines to the end.

        Args:
            hint: Reading stops once the lines have this many characters together; by default, at the end
                of the file.

        Returns:
            The lines with their ends.

        Raises:
            UnicodeDecodeError: The content is not valid in the encoding.
            ValueError: It is closed.

        Cancellation:
            Nothing is read.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile(mode="w+", encoding="utf-8") as file:
            await file.write("one\\ntwo")
            await file.seek(0)
            assert await file.readlines() == ["one\\n", "two"]
        ```
        """
        return await self._readlines(hint)

    async def write(self, text: str, /) -> int:
        """Write, and move it to the disk if it gets larger than `max_size`.

        Args:
            text: The text.

        Returns:
            The number of characters.

        Raises:
            UnicodeEncodeError: The encoding cannot represent some character.
            OSError: The file cannot be created, or there is no room on the disk. What was written before is
                not lost, and the text may be written, but in memory.
            ValueError: It is closed.

        Cancellation:
            In memory, all of the text is written or nothing; on the disk this is as for a file's `write`.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile(max_size=10, mode="w+", encoding="utf-8") as file:
            await file.write("0123456789")
            assert file.name is None
            await file.write("more")
            assert file.name is not None
        ```
        """
        async with self._lock:
            return await self._write(text)

    async def _write(self, data: str) -> int:
        if self._rolled:
            return await self._file.write(data)
        memory: io.TextIOWrapper = self._memory
        await _native.checkpoint()
        if isinstance(data, str) and len(data) > _SLICE:  # pyright: ignore[reportUnnecessaryIsInstance]
            # A character takes a byte at least, unless it is left out.
            if self._max_size and memory.tell() + len(data) > self._max_size:
                await self._roll()
                return await self._file.write(data)
            await self._write_slices(memory, data)
        else:
            if isinstance(data, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                await self._make_room(_MOST_BYTES * len(data))
            memory.write(data)
        if self._max_size and memory.tell() > self._max_size:
            await self._roll()
        return len(data)

    async def _write_slices(self, memory: io.TextIOWrapper, text: str) -> None:
        slices = range(0, len(text), _SLICE)
        try:
            for start in slices:
                text[start : start + _SLICE].encode(memory.encoding, memory.errors or "strict")
                await _native.checkpoint()
        except UnicodeError:
            memory.write(text)  # says where in the whole text it is
        at = 0
        try:
            for start in slices:
                await self._make_room(_MOST_BYTES * _SLICE)
                memory.write(text[start : start + _SLICE])
                at = start + _SLICE
                await _native.checkpoint()
        except BaseException:
            # Cancelled: the rest follows at once, so that it is never in part.
            memory.write(text[at:])
            raise

    def _enough(self, hint: int) -> int:
        # Where `io` stops depends on the class.
        return hint + 1

    def _new_content(self, size: int) -> io.StringIO:
        return io.StringIO(newline="")

    @property
    def _buffer(self) -> io.BytesIO:
        return self._memory.buffer

    def _remaining(self) -> int:
        # What the text layer has read ahead is small, but not in the position.
        buffer: io.BytesIO = self._memory.buffer
        return buffer.getbuffer().nbytes - buffer.tell() + _SLICE // 2
