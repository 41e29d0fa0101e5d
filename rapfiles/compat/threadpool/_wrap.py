"""`wrap`: the awaitable wrapper of a synchronous file object, chosen by the object's class."""

from __future__ import annotations

from functools import singledispatch
from io import BufferedIOBase, BufferedRandom, BufferedReader, BufferedWriter, FileIO, TextIOBase
from typing import TYPE_CHECKING, Any

from .binary import AsyncBufferedIOBase, AsyncBufferedReader, AsyncFileIO
from .text import AsyncTextIOWrapper

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from concurrent.futures import Executor


@singledispatch
def wrap(file: Any, *, loop: AbstractEventLoop | None = None, executor: Executor | None = None) -> Any:
    """Wrap a synchronous file object: the methods of the result are awaited, and run in an executor.

    `wrap.register(SomeClass)` adds a kind of object, as with every function of `functools.singledispatch`.

    Args:
        file: An object of one of io's classes for text, buffered binary or raw files.
        loop: A loop of asyncio; by default the one that runs when a method is awaited.
        executor: Where the methods run; by default the loop's own executor.

    Raises:
        TypeError: There is no wrapper for such an object.

    ```python
    import io

    from rapfiles.compat.threadpool import wrap

    assert await wrap(io.StringIO("a\\nb\\n")).readline() == "a\\n"
    ```
    """
    raise TypeError(f"Unsupported io type: {file}.")


@wrap.register(TextIOBase)
def _wrap_text(
    file: Any, *, loop: AbstractEventLoop | None = None, executor: Executor | None = None
) -> AsyncTextIOWrapper:
    return AsyncTextIOWrapper(file, loop=loop, executor=executor)


@wrap.register(BufferedWriter)
@wrap.register(BufferedIOBase)
def _wrap_buffered(
    file: Any, *, loop: AbstractEventLoop | None = None, executor: Executor | None = None
) -> AsyncBufferedIOBase:
    return AsyncBufferedIOBase(file, loop=loop, executor=executor)


@wrap.register(BufferedReader)
@wrap.register(BufferedRandom)
def _wrap_reader(
    file: Any, *, loop: AbstractEventLoop | None = None, executor: Executor | None = None
) -> AsyncBufferedReader:
    return AsyncBufferedReader(file, loop=loop, executor=executor)


@wrap.register(FileIO)
def _wrap_raw(
    file: Any, *, loop: AbstractEventLoop | None = None, executor: Executor | None = None
) -> AsyncFileIO:
    return AsyncFileIO(file, loop=loop, executor=executor)
