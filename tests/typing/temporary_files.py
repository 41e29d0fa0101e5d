"""What type checkers infer about rapfiles.tempfile. Nothing is run."""

import os
from pathlib import Path
from typing import Any, assert_type

from rapfiles import AsyncPath, AsyncTextIOWrapper
from rapfiles.tempfile import (
    AsyncSpooledBinaryFile,
    AsyncSpooledTextFile,
    AsyncTemporaryDirectory,
    NamedTemporaryFile,
    SpooledTemporaryFile,
    TemporaryBinaryFile,
    TemporaryContextManager,
    TemporaryDirectory,
    TemporaryFile,
    TemporaryRawFile,
    TemporaryTextFile,
    gettempdir,
    gettempdirb,
    gettempprefix,
    gettempprefixb,
    mkdtemp,
    mkstemp,
)


async def nameless(mode: str, path: Path) -> None:
    assert_type(TemporaryFile(), TemporaryContextManager[TemporaryBinaryFile, TemporaryBinaryFile])
    assert_type(await TemporaryFile(), TemporaryBinaryFile)
    assert_type(await TemporaryFile("rb", dir=path), TemporaryBinaryFile)
    assert_type(await TemporaryFile("w+b", 0), TemporaryRawFile)
    assert_type(await TemporaryFile(buffering=0), TemporaryRawFile)
    assert_type(await TemporaryFile("w+", encoding="utf-8", dir=b"a"), TemporaryTextFile)
    assert_type(await TemporaryFile(buffering=8192), TemporaryBinaryFile | TemporaryRawFile)
    assert_type(await TemporaryFile(mode), Any)
    async with TemporaryFile("w+") as text:
        assert_type(text, TemporaryTextFile)
        assert_type(await text.read(), str)
        assert_type(await text.persist("a"), AsyncPath)
        assert_type(text.path, AsyncPath | None)
        async for line in text:
            assert_type(line, str)
        takes_text(text)
    async with TemporaryFile() as binary:
        assert_type(await binary.read(), bytes)


def takes_text(file: AsyncTextIOWrapper) -> None:
    """Temporary files in code that works with files."""


async def named(mode: str) -> None:
    assert_type(await NamedTemporaryFile(), TemporaryBinaryFile)
    assert_type(await NamedTemporaryFile("w+b", buffering=0, delete=False), TemporaryRawFile)
    assert_type(await NamedTemporaryFile(buffering=0, delete_on_close=False), TemporaryRawFile)
    assert_type(await NamedTemporaryFile("w", suffix=".txt"), TemporaryTextFile)
    assert_type(await NamedTemporaryFile(mode), Any)
    async with NamedTemporaryFile() as file:
        assert_type(file.name, str | bytes | int)
        assert_type(await file.persist("a", overwrite=True, mode=0o600), AsyncPath)


async def spooled(mode: str) -> None:
    assert_type(await SpooledTemporaryFile(), AsyncSpooledBinaryFile)
    assert_type(await SpooledTemporaryFile(1000, "w+b"), AsyncSpooledBinaryFile)
    assert_type(await SpooledTemporaryFile(1000, "w+"), AsyncSpooledTextFile)
    assert_type(await SpooledTemporaryFile(mode="w+", encoding="utf-8"), AsyncSpooledTextFile)
    assert_type(await SpooledTemporaryFile(1000, mode), Any)
    assert_type(await SpooledTemporaryFile(mode=mode), Any)
    async with SpooledTemporaryFile() as binary:
        assert_type(await binary.read(), bytes)
        assert_type(await binary.readlines(), list[bytes])
        assert_type(await binary.write(b"a"), int)
        assert_type(await binary.readinto(bytearray(1)), int)
        assert_type(await binary.fileno(), int)
        assert_type(await binary.persist("a"), AsyncPath)
        async for line in binary:
            assert_type(line, bytes)
    async with SpooledTemporaryFile(mode="w+") as text:
        assert_type(await text.read(), str)
        assert_type(await text.readlines(), list[str])
        assert_type(text.encoding, str)


async def directories(path: Path) -> None:
    assert_type(await TemporaryDirectory(), AsyncTemporaryDirectory[str])
    assert_type(await TemporaryDirectory("a", "b", path, delete=False), AsyncTemporaryDirectory[str])
    assert_type(await TemporaryDirectory(b"a"), AsyncTemporaryDirectory[bytes])
    assert_type((await TemporaryDirectory(b"a")).name, bytes)
    assert_type((await TemporaryDirectory()).path, AsyncPath)
    async with TemporaryDirectory(ignore_cleanup_errors=True) as entered:
        assert_type(entered, AsyncPath)
    async with await TemporaryDirectory() as entered:
        assert_type(entered, AsyncPath)


async def functions() -> None:
    assert_type(await mkstemp(text=True), tuple[int, AsyncPath])
    assert_type(await mkdtemp(dir=AsyncPath("a")), AsyncPath)
    assert_type(await gettempdir(), AsyncPath)
    assert_type(await gettempdirb(), bytes)
    assert_type(gettempprefix(), str)
    assert_type(gettempprefixb(), bytes)
    assert_type(os.fspath(await gettempdir()), str)
