"""`open`, `wrap` and the standard streams.

`open` and the functions that it calls are in this module, not in one of their own, because tests of
applications patch this module's `sync_open` and `wrap`.
"""

from __future__ import annotations

from asyncio import get_running_loop
from builtins import open as sync_open
from functools import partial
from io import BufferedRandom, BufferedReader, BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, overload

import rapfiles
import rapfiles._native as _native

from .. import _executor, _sync_object
from ..base import AiofilesContextManager as AiofilesContextManager
from . import _wrap
from ._stdio import stderr, stderr_bytes, stdin, stdin_bytes, stdout, stdout_bytes
from ._wrap import wrap as wrap
from .binary import AsyncBufferedIOBase as AsyncBufferedIOBase
from .binary import AsyncBufferedReader as AsyncBufferedReader
from .binary import AsyncFileIO as AsyncFileIO
from .binary import AsyncIndirectBufferedIOBase as AsyncIndirectBufferedIOBase
from .text import AsyncTextIndirectIOWrapper as AsyncTextIndirectIOWrapper
from .text import AsyncTextIOWrapper as AsyncTextIOWrapper

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from concurrent.futures import Executor

    from _typeshed import (
        FileDescriptorOrPath,
        OpenBinaryMode,
        OpenBinaryModeReading,
        OpenBinaryModeUpdating,
        OpenBinaryModeWriting,
        OpenTextMode,
    )

    from .binary import _UnknownAsyncBinaryIO  # pyright: ignore[reportPrivateUsage]

    _Opener: TypeAlias = Callable[[str, int], int]

__all__ = ("open", "stderr", "stderr_bytes", "stdin", "stdin_bytes", "stdout", "stdout_bytes")


@overload
def open(
    file: FileDescriptorOrPath,
    mode: OpenTextMode = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: _Opener | None = None,
    *,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[AsyncTextIOWrapper]: ...


@overload
def open(
    file: FileDescriptorOrPath,
    mode: OpenBinaryMode,
    buffering: Literal[0],
    encoding: None = None,
    errors: None = None,
    newline: None = None,
    closefd: bool = True,
    opener: _Opener | None = None,
    *,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[AsyncFileIO]: ...


@overload
def open(
    file: FileDescriptorOrPath,
    mode: OpenBinaryModeReading | OpenBinaryModeUpdating,
    buffering: Literal[-1, 1] = -1,
    encoding: None = None,
    errors: None = None,
    newline: None = None,
    closefd: bool = True,
    opener: _Opener | None = None,
    *,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[AsyncBufferedReader]: ...


@overload
def open(
    file: FileDescriptorOrPath,
    mode: OpenBinaryModeWriting,
    buffering: Literal[-1, 1] = -1,
    encoding: None = None,
    errors: None = None,
    newline: None = None,
    closefd: bool = True,
    opener: _Opener | None = None,
    *,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[AsyncBufferedIOBase]: ...


@overload
def open(
    file: FileDescriptorOrPath,
    mode: OpenBinaryMode,
    buffering: int = -1,
    encoding: None = None,
    errors: None = None,
    newline: None = None,
    closefd: bool = True,
    opener: _Opener | None = None,
    *,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[_UnknownAsyncBinaryIO]: ...


def open(
    file: FileDescriptorOrPath,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: _Opener | None = None,
    *,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[Any]:
    """Open a file as the builtin `open` does. Nothing happens until the result is awaited or entered.

    The file is a handle of rapfiles. It is a synchronous file object in an executor, as with aiofiles, where
    an executor or another loop is asked for, or where `threadpool.sync_open` is not the builtin `open`.

    Args:
        file: As for the builtin `open`, like all arguments up to `opener`.
        mode: How the file is opened.
        buffering: -1 for the default, 0 for none, 1 for lines, or the size of the buffer.
        encoding: The encoding of a text file.
        errors: How encoding and decoding errors are handled.
        newline: How ends of lines are translated.
        closefd: Whether a descriptor that was given is closed with the file.
        opener: Called in a thread to open the file.
        loop: A loop of asyncio; by default the running one.
        executor: Where everything concerning this file runs.

    Returns:
        An object to be awaited, or entered with `async with`, which closes the file at the end.

    Raises:
        OSError: When awaited: the file cannot be opened.
        ValueError: When awaited: the arguments cannot be combined.

    Cancellation:
        The file may have been created or emptied, or be so a little later; it does not stay open.

    ```python
    import rapfiles.compat as aiofiles

    async with aiofiles.open("notes", "w") as f:
        await f.write("one\\ntwo\\n")
    async with aiofiles.open("notes") as f:
        assert [line async for line in f] == ["one\\n", "two\\n"]
    ```
    """
    return AiofilesContextManager(
        _open(
            file,
            mode=mode,
            buffering=buffering,
            encoding=encoding,
            errors=errors,
            newline=newline,
            closefd=closefd,
            opener=opener,
            loop=loop,
            executor=executor,
        )
    )


async def _open(
    file: FileDescriptorOrPath,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: _Opener | None = None,
    *,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> Any:
    if (
        executor is not None
        or sync_open is not _BUILTIN_OPEN
        or (loop is not None and (_native.in_trio_task() or loop is not get_running_loop()))
    ):
        loop = _executor.chosen_loop(loop, executor)
        call = partial(
            sync_open,
            file,
            mode=mode,
            buffering=buffering,
            encoding=encoding,
            errors=errors,
            newline=newline,
            closefd=closefd,
            opener=opener,
        )
        return wrap(await _executor.run(loop, executor, call), loop=loop, executor=executor)

    handle = await rapfiles.open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    kind, wrapper_class, usual = _WRAPPERS[type(handle)]
    opened = _sync_object.Opened(mode, buffering, encoding, errors, newline, closefd)
    wrapper = wrapper_class._of_handle(handle, opened)
    if wrap is _wrap.wrap and wrap.dispatch(kind) is usual:
        return wrapper
    # A wrapper for files of this kind has been registered.
    return wrap(
        _sync_object.synchronous(wrapper), loop=_executor.chosen_loop(loop, executor), executor=executor
    )


_BUILTIN_OPEN: Final = sync_open
# For each kind of handle: what the builtin `open` returns, its wrapper, and what makes the wrapper.
_WRAPPERS: Final[dict[type[Any], tuple[type[Any], Any, Any]]] = {
    handle: (kind, wrapper, wrap.dispatch(kind))
    for handle, kind, wrapper in (
        (rapfiles.AsyncTextIOWrapper, TextIOWrapper, AsyncTextIOWrapper),
        (rapfiles.AsyncBufferedReader, BufferedReader, AsyncBufferedReader),
        (rapfiles.AsyncBufferedRandom, BufferedRandom, AsyncBufferedReader),
        (rapfiles.AsyncBufferedWriter, BufferedWriter, AsyncBufferedIOBase),
        (rapfiles.AsyncFileIO, FileIO, AsyncFileIO),
    )
}
