"""The wrappers of binary files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _members
from ..base import AsyncBase, AsyncIndirectBase
from .utils import delegate_to_executor as delegate_to_executor
from .utils import proxy_method_directly as proxy_method_directly
from .utils import proxy_property_directly as proxy_property_directly

if TYPE_CHECKING:
    from collections.abc import Iterable
    from io import FileIO

    from _typeshed import FileDescriptorOrPath, ReadableBuffer, WriteableBuffer

    # What the decorators add, for type checkers: the signatures of types-aiofiles.
    class _UnknownAsyncBinaryIO(AsyncBase[bytes]):
        async def close(self) -> None: ...
        async def flush(self) -> None: ...
        async def isatty(self) -> bool: ...
        async def read(self, size: int = ..., /) -> bytes: ...
        async def readinto(self, buffer: WriteableBuffer, /) -> int | None: ...
        async def readline(self, size: int | None = ..., /) -> bytes: ...
        async def readlines(self, hint: int = ..., /) -> list[bytes]: ...
        async def seek(self, offset: int, whence: int = ..., /) -> int: ...
        async def seekable(self) -> bool: ...
        async def tell(self) -> int: ...
        async def truncate(self, size: int | None = ..., /) -> int: ...
        async def writable(self) -> bool: ...
        async def write(self, b: ReadableBuffer, /) -> int: ...
        async def writelines(self, lines: Iterable[ReadableBuffer], /) -> None: ...
        def fileno(self) -> int: ...
        def readable(self) -> bool: ...
        @property
        def closed(self) -> bool: ...
        @property
        def mode(self) -> str: ...
        @property
        def name(self) -> FileDescriptorOrPath: ...

    class _UnknownAsyncBufferedIO(_UnknownAsyncBinaryIO):
        async def read1(self, size: int = ..., /) -> bytes: ...
        def detach(self) -> FileIO: ...
        @property
        def raw(self) -> FileIO: ...

    class _UnknownAsyncIndirectBinaryIO(AsyncIndirectBase[bytes], _UnknownAsyncBinaryIO): ...

    class _UnknownAsyncIndirectBufferedIO(AsyncIndirectBase[bytes], _UnknownAsyncBufferedIO): ...

else:
    _UnknownAsyncBinaryIO = _UnknownAsyncBufferedIO = AsyncBase
    _UnknownAsyncIndirectBinaryIO = _UnknownAsyncIndirectBufferedIO = AsyncIndirectBase

_binary = (
    _members.awaited(
        "close",
        "flush",
        "isatty",
        "read",
        "readinto",
        "readline",
        "readlines",
        "seek",
        "seekable",
        "tell",
        "truncate",
        "writable",
        "write",
        "writelines",
    ),
    _members.direct("fileno", "readable"),
    _members.properties("closed", "mode", "name"),
)
_buffered = (*_binary, _members.awaited("read1"), _members.detach, _members.sync_object_properties("raw"))
_raw = (*_binary, _members.awaited("readall"))


@_members.all_of(_buffered)
class AsyncBufferedIOBase(_UnknownAsyncBufferedIO):
    """A buffered binary file whose methods are awaited, named as those of `io.BufferedWriter`."""


@_members.awaited("peek")
class AsyncBufferedReader(AsyncBufferedIOBase):
    """A buffered binary file that is open for reading, with methods named as in `io.BufferedReader`."""

    if TYPE_CHECKING:

        async def peek(self, size: int = ..., /) -> bytes: ...


@_members.all_of(_raw)
class AsyncFileIO(_UnknownAsyncBinaryIO):
    """An unbuffered binary file whose methods are awaited, with the names and the meaning of `io.FileIO`."""

    if TYPE_CHECKING:

        async def readall(self) -> bytes: ...


@_members.all_of(_buffered)
class AsyncIndirectBufferedIOBase(_UnknownAsyncIndirectBufferedIO):
    """A buffered binary file that is looked up anew each time, as those of standard input and output are."""


@_members.awaited("peek")
class AsyncIndirectBufferedReader(AsyncIndirectBufferedIOBase):
    """A buffered binary file that is open for reading and is looked up anew each time."""

    if TYPE_CHECKING:

        async def peek(self, size: int = ..., /) -> bytes: ...


@_members.all_of(_raw)
class AsyncIndirectFileIO(_UnknownAsyncIndirectBinaryIO):
    """An unbuffered binary file that is looked up anew each time."""

    if TYPE_CHECKING:

        async def readall(self) -> bytes: ...
