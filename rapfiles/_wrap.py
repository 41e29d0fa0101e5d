"""`wrap_file`: synchronous file objects of other libraries, whose methods run in a thread."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, Any, AnyStr, Final, Generic, Self, cast, overload

from ._threads import Strand

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable
    from types import TracebackType

    from typing_extensions import Buffer

__all__ = ["WrappedFile", "wrap_file"]

_CHUNK: Final = 256 << 10
_BATCH: Final = 64 << 10


class WrappedFile(Generic[AnyStr]):
    """A synchronous file object whose methods are awaited. `wrap_file` makes it.

    Each call runs in a thread, one at a time and in the order in which they were begun. If cancelled, a call
    that has begun continues in its thread, and what it reads is lost: the object cannot be interrupted.
    Attributes that are not methods of `io` are those of the wrapped object.

    ```python
    import gzip

    async with wrap_file(gzip.open(directory / "data.gz", "wb")) as file:
        await file.write(b"abc")
    ```
    """

    def __init__(self, file: IO[AnyStr]) -> None:
        self._wrapped: IO[AnyStr] = file
        self._strand = Strand()

    @property
    def wrapped(self) -> IO[AnyStr]:
        """The synchronous file object."""
        return self._wrapped

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.wrapped, name)

    async def run_sync(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Call a function with the synchronous file object, in a thread, as an operation on this file.

        ```python
        import csv, io

        file = wrap_file(io.StringIO("a,b\\n1,2\\n"))
        assert await file.run_sync(lambda f: list(csv.reader(f))) == [["a", "b"], ["1", "2"]]
        ```
        """
        return await self._strand.run(function, self.wrapped, *args)

    async def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return await self._strand.run(getattr(self.wrapped, name), *args, **kwargs)

    async def read(self, size: int | None = -1, /) -> AnyStr:
        """Read `size` bytes or characters, or everything."""
        return cast("AnyStr", await self._call("read", size))

    async def read1(self, size: int = -1, /) -> bytes:
        """Read some bytes, with one system call at most."""
        return cast("bytes", await self._call("read1", size))

    async def readall(self) -> bytes:
        """Read everything."""
        return cast("bytes", await self._call("readall"))

    async def readinto(self, buffer: Buffer, /) -> int:
        """Read into a buffer."""
        return cast("int", await self._call("readinto", buffer))

    async def readinto1(self, buffer: Buffer, /) -> int:
        """Read into a buffer, with one system call at most."""
        return cast("int", await self._call("readinto1", buffer))

    async def peek(self, size: int = 0, /) -> bytes:
        """Show what is buffered."""
        return cast("bytes", await self._call("peek", size))

    async def readline(self, size: int = -1, /) -> AnyStr:
        """Read a line."""
        return cast("AnyStr", await self._call("readline", size))

    async def readlines(self, hint: int = -1, /) -> list[AnyStr]:
        """Read lines until they have `hint` bytes or characters, or all of them."""
        return cast("list[AnyStr]", await self._call("readlines", hint))

    @overload
    async def write(self: WrappedFile[bytes], data: Buffer, /) -> int: ...
    @overload
    async def write(self: WrappedFile[str], data: str, /) -> int: ...
    async def write(self, data: Buffer | str, /) -> int:
        """Write bytes or text."""
        return cast("int", await self._call("write", data))

    @overload
    async def writelines(self: WrappedFile[bytes], lines: Iterable[Buffer], /) -> None: ...
    @overload
    async def writelines(self: WrappedFile[str], lines: Iterable[str], /) -> None: ...
    async def writelines(self, lines: Iterable[Buffer] | Iterable[str], /) -> None:
        """Write one after the other."""
        await self._call("writelines", lines)

    async def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move the position."""
        return cast("int", await self._call("seek", offset, whence))

    async def tell(self) -> int:
        """Tell the position."""
        return cast("int", await self._call("tell"))

    async def truncate(self, size: int | None = None, /) -> int:
        """Cut the file to a length."""
        return cast("int", await self._call("truncate", size))

    async def flush(self) -> None:
        """Flush the object's own buffers."""
        await self._call("flush")

    async def detach(self) -> Any:
        """Take the synchronous object underneath away."""
        return await self._call("detach")

    async def reconfigure(self, **changes: Any) -> None:
        """Change a text file's settings."""
        await self._call("reconfigure", **changes)

    async def close(self) -> None:
        """Close the file."""
        await self._call("close")

    async def aclose(self) -> None:
        """Close the file: another name of `close()`."""
        await self.close()

    async def __aenter__(self) -> Self:
        """Return the file, which is open already."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnyStr:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    async def chunks(self, size: int = _CHUNK) -> AsyncGenerator[AnyStr, None]:
        """Iterate over the rest of the file in chunks of `size` bytes or characters."""
        while chunk := await self.read(size):
            yield chunk

    async def lines(self, hint: int = _BATCH) -> AsyncGenerator[list[AnyStr], None]:
        """Iterate over the remaining lines, in lists of about `hint` bytes or characters."""
        while lines := await self.readlines(hint):
            yield lines

    def __repr__(self) -> str:
        return f"<rapfiles.{type(self).__name__} of {self.wrapped!r}>"


def wrap_file(file: IO[AnyStr]) -> WrappedFile[AnyStr]:
    """Make the methods of an existing synchronous file object awaitable.

    Args:
        file: Any object with the methods of `io`: a compressed file, a `StringIO`, a pipe of `subprocess`.
            It must not be used directly while a call is running.

    Returns:
        The same file, awaited.

    Raises:
        TypeError: It is not a file object.

    ```python
    import io

    file = wrap_file(io.StringIO("one\\ntwo\\n"))
    assert [line async for line in file] == ["one\\n", "two\\n"]
    ```
    """
    if isinstance(file, type) or not (hasattr(file, "read") or hasattr(file, "write")):
        raise TypeError(f"a file object is required, not {type(file).__name__}")
    return WrappedFile(file)
