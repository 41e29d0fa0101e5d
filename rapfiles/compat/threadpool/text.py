"""The wrappers of text files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _members
from ..base import AsyncBase, AsyncIndirectBase
from .utils import delegate_to_executor as delegate_to_executor
from .utils import proxy_method_directly as proxy_method_directly
from .utils import proxy_property_directly as proxy_property_directly

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

    from _typeshed import FileDescriptorOrPath

    # What the decorators add, for type checkers: the signatures of types-aiofiles.
    class _UnknownAsyncTextIO(AsyncBase[str]):
        async def close(self) -> None: ...
        async def flush(self) -> None: ...
        async def isatty(self) -> bool: ...
        async def read(self, size: int | None = ..., /) -> str: ...
        async def readline(self, size: int = ..., /) -> str: ...
        async def readlines(self, hint: int = ..., /) -> list[str]: ...
        async def seek(self, offset: int, whence: int = ..., /) -> int: ...
        async def seekable(self) -> bool: ...
        async def tell(self) -> int: ...
        async def truncate(self, size: int | None = ..., /) -> int: ...
        async def writable(self) -> bool: ...
        async def write(self, b: str, /) -> int: ...
        async def writelines(self, lines: Iterable[str], /) -> None: ...
        def detach(self) -> BinaryIO: ...
        def fileno(self) -> int: ...
        def readable(self) -> bool: ...
        @property
        def buffer(self) -> BinaryIO: ...
        @property
        def closed(self) -> bool: ...
        @property
        def encoding(self) -> str: ...
        @property
        def errors(self) -> str | None: ...
        @property
        def line_buffering(self) -> bool: ...
        @property
        def newlines(self) -> str | tuple[str, ...] | None: ...
        @property
        def name(self) -> FileDescriptorOrPath: ...
        @property
        def mode(self) -> str: ...

    class _UnknownAsyncIndirectTextIO(AsyncIndirectBase[str], _UnknownAsyncTextIO): ...

else:
    _UnknownAsyncTextIO = AsyncBase
    _UnknownAsyncIndirectTextIO = AsyncIndirectBase

_text = (
    _members.awaited(
        "close",
        "flush",
        "isatty",
        "read",
        "readable",
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
    _members.direct("fileno"),
    _members.detach,
    _members.properties("closed", "encoding", "errors", "line_buffering", "mode", "name", "newlines"),
    _members.sync_object_properties("buffer"),
)


@_members.all_of(_text)
class AsyncTextIOWrapper(_UnknownAsyncTextIO):
    """A text file whose methods are awaited, with the names and the meaning of `io.TextIOWrapper`."""


@_members.all_of(_text)
class AsyncTextIndirectIOWrapper(_UnknownAsyncIndirectTextIO):
    """A text file that is looked up anew each time, as standard input and output are."""
