"""Spooled temporary files in binary mode."""

# mypy: disable-error-code="no-any-return"
# The methods are the same in memory and on the disk, but no common type says so.

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import rapfiles._native as _native

from ._spooled_file import SLICE, SpooledFile

if TYPE_CHECKING:
    from typing_extensions import Buffer


class AsyncSpooledBinaryFile(SpooledFile[bytes]):
    """A spooled temporary file in binary mode.

    It has the methods that the standard library's has, awaited, one operation at a time in the order they
    were begun, and `persist`. After the rollover they are those of the file.
    """

    async def read(self, size: int | None = -1, /) -> bytes:
        """Read.

        Args:
            size: The most bytes to read; by default all there are.

        Returns:
            The bytes; fewer than `size` only at the end.

        Raises:
            ValueError: It is closed.

        Cancellation:
            Nothing is read.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile() as file:
            await file.write(b"abc")
            await file.seek(0)
            assert await file.read(2) == b"ab"
        ```
        """
        return await self._read(size, SLICE)

    async def read1(self, size: int = -1, /) -> bytes:
        """Read what is available with one system call at most.

        Args:
            size: The most bytes to read; by default as much as fits in a buffer, in memory all there are.

        Returns:
            The bytes; none at the end.

        Raises:
            ValueError: It is closed.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile() as file:
            await file.write(b"abc")
            await file.seek(0)
            assert await file.read1() == b"abc"
        ```
        """
        return await self._do("read1", size)

    async def readinto(self, buffer: Buffer, /) -> int:
        """Read into a buffer of the caller's.

        Args:
            buffer: Where to put the bytes.

        Returns:
            The number of bytes; less than the size of the buffer only at the end.

        Raises:
            ValueError: It is closed.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile() as file:
            await file.write(b"abc")
            await file.seek(0)
            room = bytearray(2)
            assert await file.readinto(room) == 2 and room == b"ab"
        ```
        """
        return await self._do("readinto", buffer)

    async def readinto1(self, buffer: Buffer, /) -> int:
        """Read into a buffer of the caller's, with one system call at most.

        Args:
            buffer: Where to put the bytes.

        Returns:
            The number of bytes; 0 at the end.

        Raises:
            ValueError: It is closed.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile() as file:
            await file.write(b"abc")
            await file.seek(0)
            room = bytearray(2)
            assert await file.readinto1(room) == 2 and room == b"ab"
        ```
        """
        return await self._do("readinto1", buffer)

    async def readline(self, size: int | None = -1, /) -> bytes:
        """Read to the end of the line.

        Args:
            size: The most bytes to read; by default the whole line.

        Returns:
            The line with its end; nothing at the end.

        Raises:
            ValueError: It is closed.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile() as file:
            await file.write(b"one\\ntwo")
            await file.seek(0)
            assert await file.readline() == b"one\\n"
        ```
        """
        return await self._do("readline", -1 if size is None else size)

    async def readlines(self, hint: int | None = None, /) -> list[bytes]:
        """Read the lines to the end.

        Args:
            hint: Reading stops once the lines have this many bytes together; by default, at the end of the
                file.

        Returns:
            The lines with their ends.

        Raises:
            ValueError: It is closed.

        Cancellation:
            Nothing is read.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile() as file:
            await file.write(b"one\\ntwo")
            await file.seek(0)
            assert await file.readlines() == [b"one\\n", b"two"]
        ```
        """
        return await self._readlines(hint)

    async def write(self, data: Buffer, /) -> int:
        """Write, and move it to the disk if it gets larger than `max_size`.

        `data` must not be changed before this returns.

        Args:
            data: A bytes-like object.

        Returns:
            The number of bytes.

        Raises:
            OSError: The file cannot be created, or there is no room on the disk. What was written before is
                not lost.
            ValueError: It is closed.

        Cancellation:
            In memory, all of `data` is written or nothing; on the disk this is as for a file's `write`.

        ```python
        from rapfiles.tempfile import SpooledTemporaryFile

        async with SpooledTemporaryFile(max_size=10) as file:
            await file.write(b"0123456789")
            assert file.name is None
            await file.write(b"more")
            assert file.name is not None
        ```
        """
        async with self._lock:
            return await self._write(data)

    async def _write(self, data: Buffer) -> int:
        if not self._rolled:
            memory: io.BytesIO = self._memory
            await _native.checkpoint()
            try:
                view = memoryview(data).cast("B")
            except TypeError:
                return memory.write(data)  # has its own opinion of it
            with view:
                if not self._max_size or memory.tell() + len(view) <= self._max_size:
                    return await self._write_slices(memory, view)
            await self._roll()
        return await self._file.write(data)

    async def _write_slices(self, memory: io.BytesIO, view: memoryview) -> int:
        if len(view) <= SLICE:
            await self._make_room(len(view))
            return memory.write(view)
        at = 0
        try:
            while at < len(view):
                await self._make_room(SLICE)
                at += memory.write(view[at : at + SLICE])
                await _native.checkpoint()
        except BaseException:
            # Cancelled: the rest follows at once, so that it is never in part.
            memory.write(view[at:])
            raise
        return at

    def _enough(self, hint: int) -> int:
        return hint

    def _new_content(self, size: int) -> io.BytesIO:
        # Zeros that are overwritten: they have not touched any memory.
        return io.BytesIO(bytes(size))

    @property
    def _buffer(self) -> io.BytesIO:
        return self._memory

    def _remaining(self) -> int:
        return self._memory.getbuffer().nbytes - self._memory.tell()
