"""Temporary files and directories, with the standard library's functions run in an executor."""

# ruff: noqa: A002, N802

from __future__ import annotations

import sys
from functools import partial, singledispatch
from io import BufferedRandom, BufferedReader, BufferedWriter, FileIO, TextIOBase
from tempfile import NamedTemporaryFile as syncNamedTemporaryFile
from tempfile import SpooledTemporaryFile as syncSpooledTemporaryFile
from tempfile import TemporaryDirectory as syncTemporaryDirectory
from tempfile import TemporaryFile as syncTemporaryFile
from tempfile import _TemporaryFileWrapper as syncTemporaryFileWrapper  # pyright: ignore[reportPrivateUsage]
from typing import TYPE_CHECKING, Any, AnyStr, Literal, overload

from .. import _executor
from ..base import AiofilesContextManager as AiofilesContextManager
from ..threadpool.binary import AsyncBufferedIOBase as AsyncBufferedIOBase
from ..threadpool.binary import AsyncBufferedReader as AsyncBufferedReader
from ..threadpool.binary import AsyncFileIO as AsyncFileIO
from ..threadpool.text import AsyncTextIOWrapper as AsyncTextIOWrapper
from .temptypes import AsyncSpooledTemporaryFile as AsyncSpooledTemporaryFile
from .temptypes import AsyncTemporaryDirectory as AsyncTemporaryDirectory

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from concurrent.futures import Executor

    from _typeshed import (
        BytesPath,
        OpenBinaryMode,
        OpenBinaryModeReading,
        OpenBinaryModeUpdating,
        OpenBinaryModeWriting,
        OpenTextMode,
        StrOrBytesPath,
        StrPath,
    )

__all__ = ["NamedTemporaryFile", "SpooledTemporaryFile", "TemporaryDirectory", "TemporaryFile"]


@overload
def TemporaryFile(
    mode: OpenTextMode,
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: AnyStr | None = None,
    prefix: AnyStr | None = None,
    dir: StrOrBytesPath | None = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[AsyncTextIOWrapper]: ...


@overload
def TemporaryFile(
    mode: OpenBinaryMode,
    buffering: Literal[0],
    encoding: None = None,
    newline: None = None,
    suffix: AnyStr | None = None,
    prefix: AnyStr | None = None,
    dir: StrOrBytesPath | None = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[AsyncFileIO]: ...


@overload
def TemporaryFile(
    mode: OpenBinaryModeReading | OpenBinaryModeUpdating = "w+b",
    buffering: Literal[-1, 1] = -1,
    encoding: None = None,
    newline: None = None,
    suffix: AnyStr | None = None,
    prefix: AnyStr | None = None,
    dir: StrOrBytesPath | None = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[AsyncBufferedReader]: ...


@overload
def TemporaryFile(
    mode: OpenBinaryModeWriting,
    buffering: Literal[-1, 1] = -1,
    encoding: None = None,
    newline: None = None,
    suffix: AnyStr | None = None,
    prefix: AnyStr | None = None,
    dir: StrOrBytesPath | None = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[AsyncBufferedIOBase]: ...


def TemporaryFile(
    mode: str = "w+b",
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: AnyStr | None = None,
    prefix: AnyStr | None = None,
    dir: StrOrBytesPath | None = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[Any]:
    """Create a temporary file without a name, which is gone when it is closed.

    Nothing happens until the result is awaited or entered. Parameters, results and errors are those of
    `tempfile.TemporaryFile`; everything runs in an executor, as with aiofiles.

    Args:
        mode: How the file is opened.
        buffering: As for `open`.
        encoding: As for `open`.
        newline: As for `open`.
        suffix: The end of its name.
        prefix: The start of its name.
        dir: Where it is created; by default where the platform keeps temporary files.
        loop: A loop of asyncio; by default the running one.
        executor: By default the loop's own.

    Returns:
        An object to be awaited, or entered with `async with`, which closes the file at the end.

    Raises:
        OSError: When awaited: the file cannot be created.
        ValueError: When awaited: the arguments cannot be combined.

    Cancellation:
        The file may still be created; it is then removed again.

    ```python
    from rapfiles.compat import tempfile

    async with tempfile.TemporaryFile() as f:
        await f.write(b"abc")
        await f.seek(0)
        assert await f.read() == b"abc"
    ```
    """
    return AiofilesContextManager(
        _temporary_file(
            named=False,
            mode=mode,
            buffering=buffering,
            encoding=encoding,
            newline=newline,
            suffix=suffix,
            prefix=prefix,
            dir=dir,
            loop=loop,
            executor=executor,
        )
    )


if sys.version_info >= (3, 12):

    @overload
    def NamedTemporaryFile(
        mode: OpenTextMode,
        buffering: int = -1,
        encoding: str | None = None,
        newline: str | None = None,
        suffix: AnyStr | None = None,
        prefix: AnyStr | None = None,
        dir: StrOrBytesPath | None = None,
        delete: bool = True,
        delete_on_close: bool = True,
        loop: AbstractEventLoop | None = None,
        executor: Executor | None = None,
    ) -> AiofilesContextManager[AsyncTextIOWrapper]: ...

    @overload
    def NamedTemporaryFile(
        mode: OpenBinaryMode,
        buffering: Literal[0],
        encoding: None = None,
        newline: None = None,
        suffix: AnyStr | None = None,
        prefix: AnyStr | None = None,
        dir: StrOrBytesPath | None = None,
        delete: bool = True,
        delete_on_close: bool = True,
        loop: AbstractEventLoop | None = None,
        executor: Executor | None = None,
    ) -> AiofilesContextManager[AsyncFileIO]: ...

    @overload
    def NamedTemporaryFile(
        mode: OpenBinaryModeReading | OpenBinaryModeUpdating = "w+b",
        buffering: Literal[-1, 1] = -1,
        encoding: None = None,
        newline: None = None,
        suffix: AnyStr | None = None,
        prefix: AnyStr | None = None,
        dir: StrOrBytesPath | None = None,
        delete: bool = True,
        delete_on_close: bool = True,
        loop: AbstractEventLoop | None = None,
        executor: Executor | None = None,
    ) -> AiofilesContextManager[AsyncBufferedReader]: ...

    @overload
    def NamedTemporaryFile(
        mode: OpenBinaryModeWriting,
        buffering: Literal[-1, 1] = -1,
        encoding: None = None,
        newline: None = None,
        suffix: AnyStr | None = None,
        prefix: AnyStr | None = None,
        dir: StrOrBytesPath | None = None,
        delete: bool = True,
        delete_on_close: bool = True,
        loop: AbstractEventLoop | None = None,
        executor: Executor | None = None,
    ) -> AiofilesContextManager[AsyncBufferedIOBase]: ...

    def NamedTemporaryFile(
        mode: str = "w+b",
        buffering: int = -1,
        encoding: str | None = None,
        newline: str | None = None,
        suffix: AnyStr | None = None,
        prefix: AnyStr | None = None,
        dir: StrOrBytesPath | None = None,
        delete: bool = True,
        delete_on_close: bool = True,
        loop: AbstractEventLoop | None = None,
        executor: Executor | None = None,
    ) -> AiofilesContextManager[Any]:
        """Create a temporary file with a name.

        Nothing happens until the result is awaited or entered. Parameters, results and errors are those of
        `tempfile.NamedTemporaryFile`; everything runs in an executor, as with aiofiles.

        Args:
            mode: How the file is opened.
            buffering: As for `open`.
            encoding: As for `open`.
            newline: As for `open`.
            suffix: The end of its name.
            prefix: The start of its name.
            dir: Where it is created; by default where the platform keeps temporary files.
            delete: Whether the file is removed in the end.
            delete_on_close: Whether that happens when it is closed already.
            loop: A loop of asyncio; by default the running one.
            executor: By default the loop's own.

        Returns:
            An object to be awaited, or entered with `async with`, which closes the file at the end.

        Raises:
            OSError: When awaited: the file cannot be created.
            ValueError: When awaited: the arguments cannot be combined.

        Cancellation:
            The file may be created a little later; it is removed then if `delete` is true.

        ```python
        from rapfiles.compat import tempfile

        async with tempfile.NamedTemporaryFile() as f:
            await f.write(b"abc")
            await f.seek(0)
            assert await f.read() == b"abc"
        ```
        """
        return AiofilesContextManager(
            _temporary_file(
                named=True,
                mode=mode,
                buffering=buffering,
                encoding=encoding,
                newline=newline,
                suffix=suffix,
                prefix=prefix,
                dir=dir,
                delete=delete,
                delete_on_close=delete_on_close,
                loop=loop,
                executor=executor,
            )
        )


else:

    @overload
    def NamedTemporaryFile(
        mode: OpenTextMode,
        buffering: int = -1,
        encoding: str | None = None,
        newline: str | None = None,
        suffix: AnyStr | None = None,
        prefix: AnyStr | None = None,
        dir: StrOrBytesPath | None = None,
        delete: bool = True,
        loop: AbstractEventLoop | None = None,
        executor: Executor | None = None,
    ) -> AiofilesContextManager[AsyncTextIOWrapper]: ...

    @overload
    def NamedTemporaryFile(
        mode: OpenBinaryMode,
        buffering: Literal[0],
        encoding: None = None,
        newline: None = None,
        suffix: AnyStr | None = None,
        prefix: AnyStr | None = None,
        dir: StrOrBytesPath | None = None,
        delete: bool = True,
        loop: AbstractEventLoop | None = None,
        executor: Executor | None = None,
    ) -> AiofilesContextManager[AsyncFileIO]: ...

    @overload
    def NamedTemporaryFile(
        mode: OpenBinaryModeReading | OpenBinaryModeUpdating = "w+b",
        buffering: Literal[-1, 1] = -1,
        encoding: None = None,
        newline: None = None,
        suffix: AnyStr | None = None,
        prefix: AnyStr | None = None,
        dir: StrOrBytesPath | None = None,
        delete: bool = True,
        loop: AbstractEventLoop | None = None,
        executor: Executor | None = None,
    ) -> AiofilesContextManager[AsyncBufferedReader]: ...

    @overload
    def NamedTemporaryFile(
        mode: OpenBinaryModeWriting,
        buffering: Literal[-1, 1] = -1,
        encoding: None = None,
        newline: None = None,
        suffix: AnyStr | None = None,
        prefix: AnyStr | None = None,
        dir: StrOrBytesPath | None = None,
        delete: bool = True,
        loop: AbstractEventLoop | None = None,
        executor: Executor | None = None,
    ) -> AiofilesContextManager[AsyncBufferedIOBase]: ...

    def NamedTemporaryFile(
        mode: str = "w+b",
        buffering: int = -1,
        encoding: str | None = None,
        newline: str | None = None,
        suffix: AnyStr | None = None,
        prefix: AnyStr | None = None,
        dir: StrOrBytesPath | None = None,
        delete: bool = True,
        loop: AbstractEventLoop | None = None,
        executor: Executor | None = None,
    ) -> AiofilesContextManager[Any]:
        """Create a temporary file with a name.

        Nothing happens until the result is awaited or entered. Parameters, results and errors are those of
        `tempfile.NamedTemporaryFile`; everything runs in an executor, as with aiofiles.

        Args:
            mode: How the file is opened.
            buffering: As for `open`.
            encoding: As for `open`.
            newline: As for `open`.
            suffix: The end of its name.
            prefix: The start of its name.
            dir: Where it is created; by default where the platform keeps temporary files.
            delete: Whether the file is removed in the end.
            loop: A loop of asyncio; by default the running one.
            executor: By default the loop's own.

        Returns:
            An object to be awaited, or entered with `async with`, which closes the file at the end.

        Raises:
            OSError: When awaited: the file cannot be created.
            ValueError: When awaited: the arguments cannot be combined.

        Cancellation:
            The file may be created a little later; it is removed then if `delete` is true.

        ```python
        from rapfiles.compat import tempfile

        async with tempfile.NamedTemporaryFile() as f:
            await f.write(b"abc")
            await f.seek(0)
            assert await f.read() == b"abc"
        ```
        """
        return AiofilesContextManager(
            _temporary_file(
                named=True,
                mode=mode,
                buffering=buffering,
                encoding=encoding,
                newline=newline,
                suffix=suffix,
                prefix=prefix,
                dir=dir,
                delete=delete,
                loop=loop,
                executor=executor,
            )
        )


@overload
def SpooledTemporaryFile(
    max_size: int = 0,
    *,
    mode: OpenTextMode,
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: AnyStr | None = None,
    prefix: AnyStr | None = None,
    dir: StrOrBytesPath | None = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[AsyncTextIOWrapper]: ...


@overload
def SpooledTemporaryFile(
    max_size: int,
    mode: OpenTextMode,
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: AnyStr | None = None,
    prefix: AnyStr | None = None,
    dir: StrOrBytesPath | None = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[AsyncTextIOWrapper]: ...


@overload
def SpooledTemporaryFile(
    max_size: int = 0,
    mode: OpenBinaryMode = "w+b",
    *,
    buffering: Literal[0],
    encoding: None = None,
    newline: None = None,
    suffix: AnyStr | None = None,
    prefix: AnyStr | None = None,
    dir: StrOrBytesPath | None = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[AsyncFileIO]: ...


@overload
def SpooledTemporaryFile(
    max_size: int,
    mode: OpenBinaryMode,
    buffering: Literal[0],
    encoding: None = None,
    newline: None = None,
    suffix: AnyStr | None = None,
    prefix: AnyStr | None = None,
    dir: StrOrBytesPath | None = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[AsyncFileIO]: ...


@overload
def SpooledTemporaryFile(
    max_size: int = 0,
    mode: OpenBinaryModeReading | OpenBinaryModeUpdating = "w+b",
    buffering: Literal[-1, 1] = -1,
    encoding: None = None,
    newline: None = None,
    suffix: AnyStr | None = None,
    prefix: AnyStr | None = None,
    dir: StrOrBytesPath | None = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[AsyncBufferedReader]: ...


@overload
def SpooledTemporaryFile(
    max_size: int = 0,
    *,
    mode: OpenBinaryModeWriting,
    buffering: Literal[-1, 1] = -1,
    encoding: None = None,
    newline: None = None,
    suffix: AnyStr | None = None,
    prefix: AnyStr | None = None,
    dir: StrOrBytesPath | None = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[AsyncBufferedIOBase]: ...


@overload
def SpooledTemporaryFile(
    max_size: int,
    mode: OpenBinaryModeWriting,
    buffering: Literal[-1, 1] = -1,
    encoding: None = None,
    newline: None = None,
    suffix: AnyStr | None = None,
    prefix: AnyStr | None = None,
    dir: StrOrBytesPath | None = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[AsyncBufferedIOBase]: ...


def SpooledTemporaryFile(
    max_size: int = 0,
    mode: str = "w+b",
    buffering: int = -1,
    encoding: str | None = None,
    newline: str | None = None,
    suffix: AnyStr | None = None,
    prefix: AnyStr | None = None,
    dir: StrOrBytesPath | None = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManager[Any]:
    """Create a temporary file that is in memory until it is larger than `max_size`.

    Nothing happens until the result is awaited or entered. Parameters, results and errors are those of
    `tempfile.SpooledTemporaryFile`; everything runs in an executor, as with aiofiles.

    Args:
        max_size: From which size on the file is on the disk; 0 for never.
        mode: How the file is opened.
        buffering: As for `open`.
        encoding: As for `open`.
        newline: As for `open`.
        suffix: The end of its name.
        prefix: The start of its name.
        dir: Where it is created; by default where the platform keeps temporary files.
        loop: A loop of asyncio; by default the running one.
        executor: By default the loop's own.

    Returns:
        An object to be awaited, or entered with `async with`, which closes the file at the end.

    Raises:
        OSError: When awaited: the file cannot be created.
        ValueError: When awaited: the arguments cannot be combined.

    Cancellation:
        The file may still be created; it is then removed again.

    ```python
    from rapfiles.compat import tempfile

    async with tempfile.SpooledTemporaryFile(max_size=1000) as f:
        await f.write(b"abc")
        await f.seek(0)
        assert await f.read() == b"abc"
    ```
    """
    return AiofilesContextManager(
        _spooled_temporary_file(
            max_size=max_size,
            mode=mode,
            buffering=buffering,
            encoding=encoding,
            newline=newline,
            suffix=suffix,
            prefix=prefix,
            dir=dir,
            loop=loop,
            executor=executor,
        )
    )


@overload
def TemporaryDirectory(
    suffix: str | None = None,
    prefix: str | None = None,
    dir: StrPath | None = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManagerTempDir: ...


@overload
def TemporaryDirectory(
    suffix: bytes | None = None,
    prefix: bytes | None = None,
    dir: BytesPath | None = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManagerTempDir: ...


def TemporaryDirectory(
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: StrOrBytesPath | None = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AiofilesContextManagerTempDir:
    """Create a temporary directory. Nothing happens until the result is awaited or entered.

    Args:
        suffix: The end of its name.
        prefix: The start of its name.
        dir: Where it is created; by default where the platform keeps temporary files.
        loop: A loop of asyncio; by default the running one.
        executor: By default the loop's own.

    Returns:
        Something to be entered with `async with`, which gives the directory's name and removes it in the end;
        or to be awaited, for an object with `name` and `cleanup()`.

    Raises:
        OSError: When awaited: the directory cannot be created.

    Cancellation:
        The directory may still be created; it is then removed again.

    ```python
    from rapfiles.compat import os, tempfile

    async with tempfile.TemporaryDirectory() as name:
        assert await os.listdir(name) == []
    ```
    """
    create: Any = _temporary_directory(suffix=suffix, prefix=prefix, dir=dir, loop=loop, executor=executor)
    return AiofilesContextManagerTempDir(create)


async def _temporary_file(
    named: bool = True, *, loop: AbstractEventLoop | None = None, executor: Executor | None = None, **how: Any
) -> Any:
    loop = _executor.chosen_loop(loop, executor)
    create: Any = syncNamedTemporaryFile if named else syncTemporaryFile
    file: Any = await _executor.run(loop, executor, partial(create, **how))
    named_class: Any = syncTemporaryFileWrapper
    if type(file) is not named_class:
        return wrap(file, file, loop=loop, executor=executor)
    result = wrap(file.file, file, loop=loop, executor=executor)
    if sys.version_info >= (3, 12):
        result._closer = file._closer
    else:
        result.delete = file.delete
    return result


async def _spooled_temporary_file(
    *, loop: AbstractEventLoop | None = None, executor: Executor | None = None, **how: Any
) -> AsyncSpooledTemporaryFile[Any]:
    loop = _executor.chosen_loop(loop, executor)
    create: Any = syncSpooledTemporaryFile
    file = await _executor.run(loop, executor, partial(create, **how))
    return AsyncSpooledTemporaryFile(file, loop=loop, executor=executor)


async def _temporary_directory(
    suffix: str | bytes | None = None,
    prefix: str | bytes | None = None,
    dir: StrOrBytesPath | None = None,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> AsyncTemporaryDirectory:
    loop = _executor.chosen_loop(loop, executor)
    create: Any = syncTemporaryDirectory
    directory = await _executor.run(loop, executor, create, suffix, prefix, dir)
    return AsyncTemporaryDirectory(directory, loop=loop, executor=executor)


class AiofilesContextManagerTempDir(AiofilesContextManager[str]):
    """What `TemporaryDirectory` returns: `async with` gives the directory's name, `await` the object."""

    async def __aenter__(self) -> str:
        self._obj = await self._coro
        name: str = self._obj.name
        return name


@singledispatch
def wrap(
    base_io_obj: Any,
    file: Any,
    *,
    loop: AbstractEventLoop | None = None,
    executor: Executor | None = None,
) -> Any:
    """Wrap a file with the wrapper for the kind of `base_io_obj`, which may be what the file itself wraps.

    Args:
        base_io_obj: An object of one of io's classes, whose class chooses the wrapper.
        file: What is wrapped.
        loop: A loop of asyncio; by default the one that runs when a method is awaited.
        executor: Where the methods run; by default the loop's own executor.

    Raises:
        TypeError: There is no wrapper for such an object.
    """
    raise TypeError(f"Unsupported IO type: {base_io_obj}")


@wrap.register(TextIOBase)
def _wrap_text(
    base_io_obj: Any, file: Any, *, loop: AbstractEventLoop | None = None, executor: Executor | None = None
) -> AsyncTextIOWrapper:
    return AsyncTextIOWrapper(file, loop=loop, executor=executor)


@wrap.register(BufferedWriter)
def _wrap_writer(
    base_io_obj: Any, file: Any, *, loop: AbstractEventLoop | None = None, executor: Executor | None = None
) -> AsyncBufferedIOBase:
    return AsyncBufferedIOBase(file, loop=loop, executor=executor)


@wrap.register(BufferedReader)
@wrap.register(BufferedRandom)
def _wrap_reader(
    base_io_obj: Any, file: Any, *, loop: AbstractEventLoop | None = None, executor: Executor | None = None
) -> AsyncBufferedReader:
    return AsyncBufferedReader(file, loop=loop, executor=executor)


@wrap.register(FileIO)
def _wrap_raw(
    base_io_obj: Any, file: Any, *, loop: AbstractEventLoop | None = None, executor: Executor | None = None
) -> AsyncFileIO:
    return AsyncFileIO(file, loop=loop, executor=executor)
