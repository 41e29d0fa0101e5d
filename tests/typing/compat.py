"""What type checkers infer about rapfiles.compat: as much as types-aiofiles let them infer about aiofiles."""

import io
import os
from pathlib import Path
from typing import Any, BinaryIO, assert_type

import rapfiles.compat as aiofiles
from rapfiles.compat import base, install, ospath, stdin, stdin_bytes, tempfile, threadpool, uninstall
from rapfiles.compat.base import AiofilesContextManager, AsyncBase
from rapfiles.compat.tempfile.temptypes import AsyncSpooledTemporaryFile, AsyncTemporaryDirectory
from rapfiles.compat.threadpool.binary import (
    AsyncBufferedIOBase,
    AsyncBufferedReader,
    AsyncFileIO,
    AsyncIndirectBufferedIOBase,
)
from rapfiles.compat.threadpool.text import AsyncTextIndirectIOWrapper, AsyncTextIOWrapper


async def opening(number: int, path: Path) -> None:
    assert_type(aiofiles.open("a"), AiofilesContextManager[AsyncTextIOWrapper])
    assert_type(aiofiles.open(path, "w"), AiofilesContextManager[AsyncTextIOWrapper])
    assert_type(aiofiles.open(b"a", "a+", encoding="utf-8"), AiofilesContextManager[AsyncTextIOWrapper])
    assert_type(aiofiles.open(0, "rt", number), AiofilesContextManager[AsyncTextIOWrapper])
    assert_type(aiofiles.open("a", "rb"), AiofilesContextManager[AsyncBufferedReader])
    assert_type(aiofiles.open("a", "rb+"), AiofilesContextManager[AsyncBufferedReader])
    assert_type(aiofiles.open("a", "w+b", -1), AiofilesContextManager[AsyncBufferedReader])
    assert_type(aiofiles.open("a", "wb"), AiofilesContextManager[AsyncBufferedIOBase])
    assert_type(aiofiles.open("a", "ab", 1), AiofilesContextManager[AsyncBufferedIOBase])
    assert_type(aiofiles.open("a", mode="xb"), AiofilesContextManager[AsyncBufferedIOBase])
    assert_type(aiofiles.open("a", "rb", 0), AiofilesContextManager[AsyncFileIO])
    assert_type(aiofiles.open("a", mode="wb", buffering=0), AiofilesContextManager[AsyncFileIO])
    assert_type(await aiofiles.open("a"), AsyncTextIOWrapper)
    async with aiofiles.open("a", "rb", loop=None, executor=None) as f:
        assert_type(f, AsyncBufferedReader)
    async with aiofiles.open("a", "rb", number) as unknown:
        assert_type(await unknown.read(), bytes)
        assert_type(await unknown.readinto(bytearray(3)), int | None)


async def text(f: AsyncTextIOWrapper) -> None:
    assert_type(await f.read(), str)
    assert_type(await f.readline(), str)
    assert_type(await f.readlines(), list[str])
    assert_type([line async for line in f], list[str])
    assert_type(await f.write("a"), int)
    await f.writelines(["a"])
    assert_type(await f.seek(0), int)
    assert_type(await f.isatty(), bool)
    assert_type(f.buffer, BinaryIO)
    assert_type(f.detach(), BinaryIO)
    assert_type(f.encoding, str)
    assert_type(f.closed, bool)
    assert_type(f.newlines, str | tuple[str, ...] | None)
    base_class: AsyncBase[str] = f
    del base_class


async def binary(f: AsyncBufferedReader, writer: AsyncBufferedIOBase, raw: AsyncFileIO) -> None:
    assert_type(await f.peek(), bytes)
    assert_type(await f.read1(), bytes)
    assert_type([line async for line in f], list[bytes])
    assert_type(f.raw, io.FileIO)
    assert_type(f.detach(), io.FileIO)
    assert_type(f.readable(), bool)
    assert_type(f.fileno(), int)
    assert_type(await writer.write(memoryview(b"a")), int)
    assert_type(await raw.readall(), bytes)
    base_class: AsyncBufferedIOBase = f
    del base_class


async def functions(path: Path) -> None:
    assert_type(await aiofiles.os.stat(path, follow_symlinks=False), os.stat_result)
    assert_type(await aiofiles.os.listdir("a"), list[str])
    assert_type(await aiofiles.os.listdir(b"a"), list[bytes])
    assert_type(await aiofiles.os.readlink("a"), str)
    assert_type(await aiofiles.os.readlink(b"a"), bytes)
    assert_type(await aiofiles.os.access(path, os.R_OK, executor=None), bool)
    assert_type(await aiofiles.os.getcwd(), str)
    await aiofiles.os.makedirs(path, exist_ok=True)
    with await aiofiles.os.scandir(path) as entries:
        assert_type(next(entries), os.DirEntry[str])
    assert_type(await aiofiles.os.path.exists(path), bool)
    assert_type(await ospath.getsize(path), int)
    assert_type(await ospath.getmtime(path), float)
    assert_type(await ospath.abspath("a"), str)
    assert_type(await aiofiles.os.wrap(len)("a"), int)
    assert_type(await base.wrap(len)("a"), int)


async def temporary(number: int) -> None:
    assert_type(tempfile.TemporaryFile(), AiofilesContextManager[AsyncBufferedReader])
    assert_type(tempfile.TemporaryFile("w"), AiofilesContextManager[AsyncTextIOWrapper])
    assert_type(tempfile.TemporaryFile("wb"), AiofilesContextManager[AsyncBufferedIOBase])
    assert_type(tempfile.TemporaryFile("w+b", 0), AiofilesContextManager[AsyncFileIO])
    assert_type(tempfile.NamedTemporaryFile("r+"), AiofilesContextManager[AsyncTextIOWrapper])
    assert_type(tempfile.NamedTemporaryFile(delete=False), AiofilesContextManager[AsyncBufferedReader])
    assert_type(tempfile.SpooledTemporaryFile(number), AiofilesContextManager[AsyncBufferedReader])
    async with tempfile.TemporaryDirectory() as name:
        assert_type(name, str)


async def temporary_objects(spooled: AsyncSpooledTemporaryFile[Any], folder: AsyncTemporaryDirectory) -> None:
    assert_type(await spooled.read(), str | bytes)
    assert_type(await spooled.fileno(), int)
    assert_type(folder.name, str | bytes)
    await folder.cleanup()


def streams() -> None:
    assert_type(stdin, AsyncTextIndirectIOWrapper)
    assert_type(aiofiles.stdout, AsyncTextIndirectIOWrapper)
    assert_type(stdin_bytes, AsyncIndirectBufferedIOBase)
    assert_type(threadpool.stderr_bytes, AsyncIndirectBufferedIOBase)
    assert_type(threadpool.wrap(io.StringIO()), Any)
    threadpool.wrap.register(io.StringIO)


def installing() -> None:
    install()
    install(force=True)
    uninstall()
