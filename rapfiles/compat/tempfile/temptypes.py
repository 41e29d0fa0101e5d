"""The wrappers of spooled temporary files and of temporary directories."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .. import _executor
from ..base import AsyncBase
from ..threadpool.utils import (
    cond_delegate_to_executor,
    delegate_to_executor,
    proxy_property_directly,
)

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Iterable
    from concurrent.futures import Executor
    from tempfile import TemporaryDirectory

    from _typeshed import OpenBinaryMode, ReadableBuffer

_T = TypeVar("_T")

if TYPE_CHECKING:
    # What the decorators add, for type checkers: the signatures of types-aiofiles.
    class _Spooled(AsyncBase[_T], Generic[_T]):
        async def fileno(self) -> int: ...
        async def rollover(self) -> None: ...
        async def close(self) -> None: ...
        async def flush(self) -> None: ...
        async def isatty(self) -> bool: ...
        async def read(self, n: int = ..., /) -> str | bytes: ...
        async def readline(self, limit: int | None = ..., /) -> str | bytes: ...
        async def readlines(self, hint: int = ..., /) -> list[str | bytes]: ...
        async def seek(self, offset: int, whence: int = ...) -> int: ...
        async def tell(self) -> int: ...
        async def truncate(self, size: int | None = ...) -> None: ...
        @property
        def closed(self) -> bool: ...
        @property
        def encoding(self) -> str: ...
        @property
        def mode(self) -> OpenBinaryMode: ...
        @property
        def name(self) -> str | bytes: ...
        @property
        def newlines(self) -> str: ...

    class _Directory:
        async def cleanup(self) -> None: ...
        @property
        def name(self) -> str | bytes: ...

else:
    _Spooled = AsyncBase
    _Directory = object


@delegate_to_executor("fileno", "rollover")
@cond_delegate_to_executor(
    "close", "flush", "isatty", "read", "readline", "readlines", "seek", "tell", "truncate"
)
@proxy_property_directly("closed", "encoding", "mode", "name", "newlines")
class AsyncSpooledTemporaryFile(_Spooled[_T]):
    """A file that is in memory until it grows too large, whose methods are awaited."""

    async def _check(self) -> None:
        """Move the file to the disk if it is larger than `max_size`."""
        if self._file._rolled:
            return
        max_size = self._file._max_size
        if max_size and self._file.tell() > max_size:
            await self.rollover()

    async def write(self, s: str | bytes | ReadableBuffer) -> int:
        """Write, and move the file to the disk, in the executor, if it has become too large."""
        if self._file._rolled:
            written: int = await _executor.run_for(self, partial(self._file.write, s))
            return written
        # To the file in memory itself: the spooled file would move to the disk on the event loop's thread.
        written = self._file._file.write(s)
        await self._check()
        return written

    async def writelines(self, iterable: Iterable[str | bytes | ReadableBuffer]) -> None:
        """Write several pieces, and move the file to the disk, in the executor, if it is too large now."""
        if self._file._rolled:
            await _executor.run_for(self, partial(self._file.writelines, iterable))
            return
        self._file._file.writelines(iterable)
        await self._check()


@delegate_to_executor("cleanup")
@proxy_property_directly("name")
class AsyncTemporaryDirectory(_Directory):
    """A temporary directory whose removal is awaited."""

    def __init__(
        self,
        file: TemporaryDirectory[Any],
        loop: AbstractEventLoop | None,
        executor: Executor | None,
    ) -> None:
        """Wrap the standard library's object.

        Args:
            file: The object.
            loop: A loop of asyncio.
            executor: An executor, or `None` for the loop's own.
        """
        self._file = file
        self._loop = loop
        self._executor = executor

    async def close(self) -> None:
        """Remove the directory and all that is in it."""
        await self.cleanup()
