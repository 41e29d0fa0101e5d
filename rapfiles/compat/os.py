"""Functions of `os` that look at the disk, awaitable.

Each has the parameters, results and errors of the function of the same name, and `loop` and `executor`. It
runs on rapfiles' engine if paths are str. With bytes paths, with descriptors, or if a loop or an executor is
passed, it runs in an executor, as with aiofiles.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import rapfiles._native as _native

from . import _executor, _functions
from . import ospath as path
from .base import wrap

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Sequence
    from concurrent.futures import Executor
    from os import _ScandirIterator, stat_result  # pyright: ignore[reportPrivateUsage]
    from typing import AnyStr, TypeAlias, overload

    from _typeshed import (
        BytesPath,
        FileDescriptorOrPath,
        GenericPath,
        ReadableBuffer,
        StrOrBytesPath,
        StrPath,
    )

    # Arguments that the engine does not accept are found when it is called with them.
    _Path: TypeAlias = Any

__all__ = [
    "access",
    "getcwd",
    "listdir",
    "makedirs",
    "mkdir",
    "path",
    "readlink",
    "remove",
    "removedirs",
    "rename",
    "renames",
    "replace",
    "rmdir",
    "scandir",
    "stat",
    "symlink",
    "unlink",
    "wrap",
]
if hasattr(os, "link"):
    __all__ += ["link"]
if sys.platform != "win32":
    __all__ += ["sendfile", "statvfs"]

_PERMISSIONS: Final = 0o7777
# Whether `os.link` by default follows a symbolic link.
_FOLLOWS: Final = sys.platform == "darwin" or (sys.version_info >= (3, 14) and sys.platform != "win32")


def _stat(
    path: _Path, *, dir_fd: int | None = None, follow_symlinks: bool = True
) -> Awaitable[stat_result] | None:
    return None if dir_fd is not None else _native.stat(path, bool(follow_symlinks))


def _statvfs(path: _Path) -> Awaitable[Any]:
    return _native.statvfs(path)


def _access(
    path: _Path,
    mode: int,
    *,
    dir_fd: int | None = None,
    effective_ids: bool = False,
    follow_symlinks: bool = True,
) -> Awaitable[bool] | None:
    if dir_fd is not None or (sys.platform == "win32" and (effective_ids or not follow_symlinks)):
        return None
    return _native.access(path, mode, bool(effective_ids), bool(follow_symlinks))


def _rename(
    src: _Path, dst: _Path, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
) -> Awaitable[None] | None:
    return None if src_dir_fd is not None or dst_dir_fd is not None else _native.rename(src, dst)


def _replace(
    src: _Path, dst: _Path, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
) -> Awaitable[None] | None:
    return None if src_dir_fd is not None or dst_dir_fd is not None else _native.replace(src, dst)


def _unlink(path: _Path, *, dir_fd: int | None = None) -> Awaitable[None] | None:
    return None if dir_fd is not None else _native.unlink(path, False)


def _rmdir(path: _Path, *, dir_fd: int | None = None) -> Awaitable[None] | None:
    return None if dir_fd is not None else _native.rmdir(path)


def _mkdir(path: _Path, mode: int = 0o777, *, dir_fd: int | None = None) -> Awaitable[None] | None:
    if dir_fd is not None or not 0 <= mode <= _PERMISSIONS:
        return None
    return _native.mkdir(path, mode, False, False, None, True)


def _makedirs(name: _Path, mode: int = 0o777, exist_ok: bool = False) -> Awaitable[None] | None:
    text: object = os.fspath(name)  # pyright: ignore[reportUnknownVariableType]
    # With components that are empty, `.` or `..`, `os.makedirs` (Lib/os.py) behaves differently.
    if not 0 <= mode <= _PERMISSIONS or not isinstance(text, str) or os.path.normpath(text) != text:
        return None
    return _make_with_parents(text, mode, bool(exist_ok))


async def _make_with_parents(name: str, mode: int, exist_ok: bool) -> None:
    try:
        await _native.mkdir(name, mode, True, exist_ok, None, True)
    except OSError:
        # It may fail at another of the directories, so let it raise the error.
        await _executor.run(None, None, partial(os.makedirs, name, mode, exist_ok))


def _link(
    src: _Path,
    dst: _Path,
    *,
    src_dir_fd: int | None = None,
    dst_dir_fd: int | None = None,
    **follow_symlinks: bool,
) -> Awaitable[None] | None:
    # Whether the default is the same as `True` depends on the platform.
    if src_dir_fd is not None or dst_dir_fd is not None or follow_symlinks:
        return None
    return _native.link(src, dst, _FOLLOWS)


def _symlink(
    src: _Path, dst: _Path, target_is_directory: bool = False, *, dir_fd: int | None = None
) -> Awaitable[None] | None:
    return None if dir_fd is not None else _native.symlink(src, dst, bool(target_is_directory))


def _readlink(path: _Path, *, dir_fd: int | None = None) -> Awaitable[str] | None:
    return None if dir_fd is not None else _native.readlink(path)


def _listdir(path: _Path = None) -> Awaitable[list[str]] | None:
    return None if path is None else _native.list_directory(path)


def _getcwd() -> Awaitable[str]:
    return _working_directory()


async def _working_directory() -> str:
    await _native.checkpoint()
    # From the kernel's memory (getcwd(2)), or on Windows from the process: this waits for no disk.
    return os.getcwd()


if TYPE_CHECKING:
    # For type checkers: the signatures of types-aiofiles.

    async def stat(
        path: FileDescriptorOrPath,
        *,
        dir_fd: int | None = None,
        follow_symlinks: bool = True,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> stat_result: ...
    async def rename(
        src: StrOrBytesPath,
        dst: StrOrBytesPath,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> None: ...
    async def renames(
        old: StrOrBytesPath,
        new: StrOrBytesPath,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> None: ...
    async def replace(
        src: StrOrBytesPath,
        dst: StrOrBytesPath,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> None: ...
    async def remove(
        path: StrOrBytesPath,
        *,
        dir_fd: int | None = None,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> None: ...
    async def unlink(
        path: StrOrBytesPath,
        *,
        dir_fd: int | None = None,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> None: ...
    async def mkdir(
        path: StrOrBytesPath,
        mode: int = 511,
        *,
        dir_fd: int | None = None,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> None: ...
    async def makedirs(
        name: StrOrBytesPath,
        mode: int = 511,
        exist_ok: bool = False,
        *,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> None: ...
    async def link(
        src: StrOrBytesPath,
        dst: StrOrBytesPath,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
        follow_symlinks: bool = True,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> None: ...
    async def symlink(
        src: StrOrBytesPath,
        dst: StrOrBytesPath,
        target_is_directory: bool = False,
        *,
        dir_fd: int | None = None,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> None: ...
    async def readlink(
        path: AnyStr,
        *,
        dir_fd: int | None = None,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> AnyStr: ...
    async def rmdir(
        path: StrOrBytesPath,
        *,
        dir_fd: int | None = None,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> None: ...
    async def removedirs(
        name: StrOrBytesPath, *, loop: AbstractEventLoop | None = ..., executor: Executor | None = ...
    ) -> None: ...
    @overload
    async def scandir(
        path: None = None, *, loop: AbstractEventLoop | None = ..., executor: Executor | None = ...
    ) -> _ScandirIterator[str]: ...
    @overload
    async def scandir(
        path: int, *, loop: AbstractEventLoop | None = ..., executor: Executor | None = ...
    ) -> _ScandirIterator[str]: ...
    @overload
    async def scandir(
        path: GenericPath[AnyStr],
        *,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> _ScandirIterator[AnyStr]: ...
    async def scandir(
        path: Any = None, *, loop: AbstractEventLoop | None = ..., executor: Executor | None = ...
    ) -> Any: ...
    @overload
    async def listdir(
        path: StrPath | None,
        *,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> list[str]: ...
    @overload
    async def listdir(
        path: BytesPath, *, loop: AbstractEventLoop | None = ..., executor: Executor | None = ...
    ) -> list[bytes]: ...
    @overload
    async def listdir(
        path: int, *, loop: AbstractEventLoop | None = ..., executor: Executor | None = ...
    ) -> list[str]: ...
    async def listdir(
        path: Any = None, *, loop: AbstractEventLoop | None = ..., executor: Executor | None = ...
    ) -> Any: ...
    async def access(
        path: FileDescriptorOrPath,
        mode: int,
        *,
        dir_fd: int | None = None,
        effective_ids: bool = False,
        follow_symlinks: bool = True,
        loop: AbstractEventLoop | None = ...,
        executor: Executor | None = ...,
    ) -> bool: ...
    async def getcwd(*, loop: AbstractEventLoop | None = ..., executor: Executor | None = ...) -> str: ...

    if sys.platform != "win32":
        from os import statvfs_result

        @overload
        async def sendfile(
            out_fd: int,
            in_fd: int,
            offset: int | None,
            count: int,
            *,
            loop: AbstractEventLoop | None = ...,
            executor: Executor | None = ...,
        ) -> int: ...
        @overload
        async def sendfile(
            out_fd: int,
            in_fd: int,
            offset: int,
            count: int,
            headers: Sequence[ReadableBuffer] = (),
            trailers: Sequence[ReadableBuffer] = (),
            flags: int = 0,
            *,
            loop: AbstractEventLoop | None = ...,
            executor: Executor | None = ...,
        ) -> int: ...
        async def sendfile(*args: Any, **kwargs: Any) -> int: ...
        async def statvfs(
            path: FileDescriptorOrPath,
            *,
            loop: AbstractEventLoop | None = ...,
            executor: Executor | None = ...,
        ) -> statvfs_result: ...

else:
    access = _functions.native(os.access, _access)
    getcwd = _functions.native(os.getcwd, _getcwd)
    listdir = _functions.native(os.listdir, _listdir)
    makedirs = _functions.native(os.makedirs, _makedirs)
    mkdir = _functions.native(os.mkdir, _mkdir)
    readlink = _functions.native(os.readlink, _readlink)
    remove = _functions.native(os.remove, _unlink)
    removedirs = wrap(os.removedirs)
    rename = _functions.native(os.rename, _rename)
    renames = wrap(os.renames)
    replace = _functions.native(os.replace, _replace)
    rmdir = _functions.native(os.rmdir, _rmdir)
    scandir = wrap(os.scandir)
    stat = _functions.native(os.stat, _stat)
    symlink = _functions.native(os.symlink, _symlink)
    unlink = _functions.native(os.unlink, _unlink)
    if hasattr(os, "link"):
        link = _functions.native(os.link, _link)
    if sys.platform != "win32":
        sendfile = wrap(os.sendfile)
        statvfs = _functions.native(os.statvfs, _statvfs)
