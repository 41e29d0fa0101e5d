"""`stdin`, `stdout` and `stderr`, awaited."""

from __future__ import annotations

import atexit
import sys
from typing import IO, TYPE_CHECKING, Any, Final, Literal, Self, cast

import rapfiles._native as _native

from ._open import open
from ._wrap import WrappedFile

if TYPE_CHECKING:
    from ._file import AsyncTextIOWrapper

__all__ = ["StandardInput", "StandardOutput", "stderr", "stdin", "stdout"]


class StandardOutput(WrappedFile[str]):
    """The current `sys.stdout` or `sys.stderr`, awaited.

    Everything is written through the object in `sys`, in a thread, so it stays in order with the output of
    `print`, and redirection works.

    ```python
    import rapfiles

    await rapfiles.stdout.write("hello\\n")
    ```
    """

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self._name = name
        super().__init__(cast("IO[str]", None))
        # As after a `print`: what the caller has begun to write is written, however long the reader takes.
        # CPython aborts the process when it flushes a file in which a thread still is at the end: "could not
        # acquire lock for ... at interpreter shutdown, possibly due to daemon threads" (_enter_buffered_busy
        # in Modules/_io/bufferedio.c).
        atexit.register(self._strand.finish)

    @property
    def wrapped(self) -> IO[str]:
        """The object in `sys`."""
        file: IO[str] | None = getattr(sys, self._name)
        if file is None:
            raise RuntimeError(f"lost sys.{self._name}")
        return file


class StandardInput:
    """Standard input, awaited: text, with the encoding of `sys.stdin`.

    Waiting for input uses no Python thread, can be cancelled, and does not delay the exit of the process.
    `sys.stdin` does not see what has been read ahead, so use only one of them. If `sys.stdin` has been
    replaced, its replacement is read, in a thread.
    """

    def __init__(self) -> None:
        self._native: dict[bool, AsyncTextIOWrapper] = {}
        self._replaced: WrappedFile[str] | None = None

    async def _file(self) -> Any:
        file: Any = _stdin()
        replaced = file is not sys.__stdin__
        if replaced or file.closed:
            if self._replaced is None or self._replaced.wrapped is not file:
                self._replaced = WrappedFile(file)
            return self._replaced
        trio = _native.in_trio_task()
        if trio not in self._native:
            number = file.fileno()
            self._native[trio] = await open(number, encoding=file.encoding, errors=file.errors, closefd=False)
        return self._native[trio]

    async def read(self, size: int | None = -1, /) -> str:
        """Read `size` characters, or everything."""
        return cast("str", await (await self._file()).read(size))

    async def readline(self, size: int = -1, /) -> str:
        """Read a line."""
        return cast("str", await (await self._file()).readline(size))

    async def readlines(self, hint: int = -1, /) -> list[str]:
        """Read lines until they have `hint` characters in total, or all of them."""
        return cast("list[str]", await (await self._file()).readlines(hint))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    def fileno(self) -> int:
        """The descriptor."""
        return cast("int", _stdin().fileno())

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return cast("bool", _stdin().isatty())

    @property
    def encoding(self) -> str:
        """The name of the encoding."""
        return cast("str", _stdin().encoding)

    @property
    def errors(self) -> str | None:
        """The name of the error handler."""
        return cast("str | None", _stdin().errors)


def _stdin() -> Any:
    if sys.stdin is None:
        raise RuntimeError("lost sys.stdin")
    return sys.stdin


stdin: Final = StandardInput()
"""Standard input."""
stdout: Final = StandardOutput("stdout")
"""Standard output."""
stderr: Final = StandardOutput("stderr")
"""Standard error."""
