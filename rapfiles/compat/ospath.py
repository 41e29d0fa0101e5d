"""Functions of `os.path` that look at the disk, awaitable.

Each has the parameters, results and errors of the function of the same name, and `loop` and `executor`. They
run as those of `rapfiles.compat.os` do.
"""

from __future__ import annotations

from os import path
from stat import S_IFDIR, S_IFLNK, S_IFREG
from typing import TYPE_CHECKING, Any, Final

import rapfiles._native as _native

from . import _functions
from .base import wrap as wrap

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Executor
    from os import PathLike
    from typing import AnyStr, TypeAlias

    from _typeshed import FileDescriptorOrPath

    # Arguments that the engine does not accept are found when it is called with them.
    _Path: TypeAlias = Any

__all__ = [
    "abspath",
    "exists",
    "getatime",
    "getctime",
    "getmtime",
    "getsize",
    "isdir",
    "isfile",
    "islink",
    "ismount",
    "samefile",
    "sameopenfile",
]

_ANY_TYPE: Final = 0


def _abspath(path: _Path) -> Awaitable[Any]:
    return _absolute(path)


async def _absolute(of: _Path) -> Any:
    await _native.checkpoint()
    # The working directory is in the kernel's memory (getcwd(2)), or on Windows in the process.
    return path.abspath(of)  # noqa: ASYNC240


def _exists(path: _Path) -> Awaitable[bool]:
    return _native.is_type(path, _ANY_TYPE, True, True)


def _isfile(path: _Path) -> Awaitable[bool]:
    return _native.is_type(path, S_IFREG, True, True)


def _isdir(s: _Path) -> Awaitable[bool]:
    return _native.is_type(s, S_IFDIR, True, True)


def _islink(path: _Path) -> Awaitable[bool]:
    return _native.is_type(path, S_IFLNK, False, True)


def _ismount(path: _Path) -> Awaitable[bool]:
    return _native.is_mount(path, True)


def _samefile(f1: _Path, f2: _Path) -> Awaitable[bool]:
    return _native.samefile(f1, f2)


def _part_of_stat(part: str) -> Callable[..., Awaitable[Any]]:
    def plan(filename: _Path) -> Awaitable[Any]:
        return _part(_native.stat(filename, True))

    async def _part(asking: Awaitable[Any]) -> Any:
        return getattr(await asking, part)

    return plan


if TYPE_CHECKING:
    # For type checkers: the signatures of types-aiofiles.

    async def exists(
        path: FileDescriptorOrPath, *, loop: AbstractEventLoop | None = ..., executor: Executor | None = ...
    ) -> bool: ...
    async def isfile(
        path: FileDescriptorOrPath, *, loop: AbstractEventLoop | None = ..., executor: Executor | None = ...
    ) -> bool: ...
    async def isdir(
        s: FileDescriptorOrPath, *, loop: AbstractEventLoop | None = ..., executor: Executor | None = ...
    ) -> bool: ...
    async def islink(
        path: FileDescriptorOrPath, *, loop: AbstractEventLoop | None = ..., executor: Executor | None = ...
    ) -> bool: ...
    async def ismount(
        path: FileDescriptorOrPath, *, loop: AbstractEventLoop | None = ..., executor: Executor | None = ...
    ) -> bool: ...
    async def getsize(
        filename: FileDescriptorOrPath,
        *,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> int: ...
    async def getmtime(
        filename: FileDescriptorOrPath,
        *,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> float: ...
    async def getatime(
        filename: FileDescriptorOrPath,
        *,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> float: ...
    async def getctime(
        filename: FileDescriptorOrPath,
        *,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> float: ...
    async def samefile(
        f1: FileDescriptorOrPath,
        f2: FileDescriptorOrPath,
        *,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> bool: ...
    async def sameopenfile(
        fp1: int, fp2: int, *, loop: AbstractEventLoop | None = ..., executor: Executor | None = ...
    ) -> bool: ...
    async def abspath(
        path: PathLike[AnyStr] | AnyStr,
        *,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> AnyStr: ...

else:
    abspath = _functions.native(path.abspath, _abspath)
    exists = _functions.native(path.exists, _exists)
    getatime = _functions.native(path.getatime, _part_of_stat("st_atime"))
    getctime = _functions.native(path.getctime, _part_of_stat("st_ctime"))
    getmtime = _functions.native(path.getmtime, _part_of_stat("st_mtime"))
    getsize = _functions.native(path.getsize, _part_of_stat("st_size"))
    isdir = _functions.native(path.isdir, _isdir)
    isfile = _functions.native(path.isfile, _isfile)
    islink = _functions.native(path.islink, _islink)
    ismount = _functions.native(path.ismount, _ismount)
    samefile = _functions.native(path.samefile, _samefile)
    sameopenfile = wrap(path.sameopenfile)
