"""The base classes of aiofiles' wrappers, and the context manager that `open` returns."""

# pyright: reportPrivateUsage=false
# The context manager and the wrappers know each other.

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import _executor
from ._sync_object import SyncObject

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Generator
    from concurrent.futures import Executor
    from types import TracebackType
    from typing import BinaryIO, Self, TextIO

    from ._sync_object import Handle, Opened

_T = TypeVar("_T")
_V_co = TypeVar("_V_co", covariant=True)


def wrap(func: Callable[..., _T]) -> Callable[..., Awaitable[_T]]:
    """Make a coroutine function of a function that blocks: it runs in an executor.

    Args:
        func: The function.

    Returns:
        A coroutine function with the name and the documentation of `func`. It takes the arguments of `func`,
        and `loop` and `executor`, by default the running loop and its executor.

    ```python
    import os

    from rapfiles.compat.base import wrap

    assert await wrap(os.path.basename)("a/b") == "b"
    ```
    """

    @wraps(func)
    async def run(
        *args: Any, loop: AbstractEventLoop | None = None, executor: Executor | None = None, **kwargs: Any
    ) -> _T:
        return await _executor.run(loop, executor, partial(func, *args, **kwargs))

    return run


class AsyncBase(Generic[_T]):
    """A file whose methods are awaited: a wrapper of a synchronous file object, or of a handle of rapfiles.

    `_file` is the synchronous object. Where a handle of rapfiles is wrapped, there is none yet, and `_file`
    stands in for it until something is asked of it that only the object itself can do.
    """

    _file: Any = SyncObject()
    # A handle of rapfiles, and what it was opened with: only in wrappers that `open` made of one.
    _handle: Handle | None = None
    _opened: Opened

    def __init__(
        self, file: TextIO | BinaryIO | None, loop: AbstractEventLoop | None, executor: Executor | None
    ) -> None:
        """Wrap a synchronous file object, whose methods run in an executor.

        Args:
            file: The object.
            loop: A loop of asyncio, or `None` for the one that runs at the time.
            executor: An executor, or `None` for the loop's own.
        """
        self._file = file
        self._executor = executor
        self._ref_loop = loop

    @classmethod
    def _of_handle(cls, handle: Handle, opened: Opened) -> Self:
        """Wrap a handle of rapfiles."""
        self = cls.__new__(cls)
        self._handle = handle
        self._opened = opened
        self._executor = None
        self._ref_loop = None
        return self

    @property
    def _loop(self) -> AbstractEventLoop:
        return self._ref_loop or get_running_loop()

    def __aiter__(self) -> Self:
        """The lines of the file."""
        # A handle iterates without a frame of Python for each line.
        lines: Any = self if self._handle is None else self._handle
        return lines  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return super().__repr__() + " wrapping " + repr(self._file)

    async def __anext__(self) -> _T:
        """The next line."""
        me: Any = self
        line: _T = await me.readline()
        if line:
            return line
        raise StopAsyncIteration


class AsyncIndirectBase(AsyncBase[_T]):
    """A file whose methods are awaited, and which is looked up anew each time."""

    def __init__(
        self,
        name: str,
        loop: AbstractEventLoop | None,
        executor: Executor | None,
        indirect: Callable[[], TextIO | BinaryIO],
    ) -> None:
        """Wrap the synchronous file object that a function returns.

        Args:
            name: What it is called.
            loop: A loop of asyncio, or `None` for the one that runs at the time.
            executor: An executor, or `None` for the loop's own.
            indirect: Returns the object.
        """
        self._indirect = indirect
        self._name = name
        super().__init__(None, loop, executor)

    @property
    def _file(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._indirect()

    @_file.setter
    def _file(self, v: object) -> None:
        pass  # the base class sets it


class AiofilesContextManager(Awaitable[_V_co], AbstractAsyncContextManager[_V_co]):
    """What `open` returns: awaited, or entered with `async with`, it opens the file.

    Awaiting it again returns the same file. Leaving the `async with` closes the file, and ends the use of
    this object.
    """

    __slots__ = ("_coro", "_obj")

    def __init__(self, coro: Awaitable[_V_co]) -> None:
        """Wait with a coroutine until the file is wanted.

        Args:
            coro: Opens the file and returns it.
        """
        self._coro = coro
        self._obj: Any = None

    def __await__(self) -> Generator[Any, Any, _V_co]:
        if self._obj is None:
            self._obj = yield from self._coro.__await__()
        obj: _V_co = self._obj
        return obj

    async def __aenter__(self) -> _V_co:
        return await self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        obj = self._obj
        if isinstance(obj, AsyncBase) and obj._handle is not None:
            await obj._handle.close()
        else:
            # In the default executor, whatever the file was opened with.
            await _executor.run(None, None, obj._file.__exit__, exc_type, exc_val, exc_tb)
        self._obj = None
