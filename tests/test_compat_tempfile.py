"""`rapfiles.compat.tempfile`: the standard library's temporary files, awaited as with aiofiles."""

import asyncio
import io
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rapfiles.compat import base
from rapfiles.compat import tempfile as aiotempfile
from rapfiles.compat.tempfile import temptypes
from rapfiles.compat.threadpool.binary import AsyncBufferedIOBase, AsyncBufferedReader, AsyncFileIO
from rapfiles.compat.threadpool.text import AsyncTextIOWrapper
from support.names import shown

# What io calls the mode of the file that a spooled one becomes.
MODE_ON_DISK = "wb+" if sys.version_info >= (3, 15) else "rb+"
KINDS: list[tuple[dict[str, Any], type[Any]]] = [
    ({}, AsyncBufferedReader),
    ({"mode": "w"}, AsyncTextIOWrapper),
    ({"mode": "r+", "encoding": "utf-8"}, AsyncTextIOWrapper),
    ({"mode": "wb"}, AsyncBufferedIOBase),
    ({"mode": "w+b", "buffering": 0}, AsyncFileIO),
]


@pytest.mark.parametrize(("how", "kind"), KINDS, ids=str)
async def test_named(how: dict[str, Any], kind: type[Any], tmp_path: Path) -> None:
    manager = aiotempfile.NamedTemporaryFile(dir=tmp_path, prefix="a-", suffix="-z", **how)
    assert type(manager) is base.AiofilesContextManager
    assert os.listdir(tmp_path) == []
    async with manager as f:
        assert type(f) is kind
        assert type(f._file) is tempfile._TemporaryFileWrapper
        name = Path(f.name)
        assert (name.parent, name.name[:2], name.name[-2:]) == (tmp_path, "a-", "-z")
        assert name.exists()
        assert hasattr(f, "delete") == (sys.version_info < (3, 12))
        assert hasattr(f, "_closer") == (sys.version_info >= (3, 12))
        data: Any = "abc" if kind is AsyncTextIOWrapper else b"abc"
        assert await f.write(data) == 3
        await f.flush()
        assert name.read_bytes() == b"abc"
    assert not name.exists()
    assert f.name == str(name)


async def test_named_and_kept(tmp_path: Path) -> None:
    async with aiotempfile.NamedTemporaryFile(dir=tmp_path, delete=False) as f:
        await f.write(b"abc")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"abc"]


@pytest.mark.parametrize(("how", "kind"), KINDS, ids=str)
async def test_without_a_name(how: dict[str, Any], kind: type[Any], tmp_path: Path) -> None:
    async with aiotempfile.TemporaryFile(dir=tmp_path, **how) as f:
        assert type(f) is kind
        if sys.platform != "win32":
            assert isinstance(f._file, io.IOBase)
            assert os.listdir(tmp_path) == []


async def test_spooled() -> None:
    f = await aiotempfile.SpooledTemporaryFile(max_size=5)
    assert type(f) is temptypes.AsyncSpooledTemporaryFile
    assert await f.write(b"abc") == 3
    assert type(f._file._file) is io.BytesIO  # type: ignore[attr-defined]
    assert (f.name, f.mode, f.closed) == (None, "w+b", False)
    with pytest.raises(AttributeError):
        _ = f.encoding
    await f.writelines([b"defg"])
    assert type(f._file._file) is not io.BytesIO  # type: ignore[attr-defined]
    assert (f.mode, f.name) == (MODE_ON_DISK, f._file.name)
    await f.seek(0)
    assert [line async for line in f] == [b"abcdefg"]
    assert await f.fileno() == f._file.fileno()
    for absent in ("readable", "seekable", "readinto", "read1", "detach", "errors", "raw", "buffer", "peek"):
        assert not hasattr(f, absent)
    await f.close()
    assert f.closed


async def test_spooled_that_never_rolls_by_itself() -> None:
    async with aiotempfile.SpooledTemporaryFile() as f:
        await f.write(b"x" * 100_000)
        assert not f._file._rolled
        await f.rollover()
        assert f._file._rolled


async def test_directory(tmp_path: Path) -> None:
    async with aiotempfile.TemporaryDirectory(prefix="a-", dir=tmp_path) as name:
        assert type(name) is str
        assert Path(name).parent == tmp_path
        (Path(name) / "file").touch()
    assert os.listdir(tmp_path) == []
    directory = await aiotempfile.TemporaryDirectory(dir=tmp_path)
    assert type(directory) is temptypes.AsyncTemporaryDirectory
    assert os.listdir(tmp_path) == [Path(directory.name).name]
    await directory.close()
    assert os.listdir(tmp_path) == []


@pytest.mark.loops("asyncio")
async def test_an_executor_is_honoured(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        loop = asyncio.get_running_loop()
        async with aiotempfile.NamedTemporaryFile("w+b", -1, dir=tmp_path, loop=loop, executor=executor) as f:
            assert (f._loop, f._executor) == (loop, executor)
            await f.write(b"a")
        directory = await aiotempfile.TemporaryDirectory(None, None, tmp_path, None, executor)
        await directory.cleanup()
    with pytest.raises(RuntimeError, match="after shutdown"):
        await aiotempfile.TemporaryFile(executor=executor)


@pytest.mark.parametrize("what", [io.BytesIO(), int, None], ids=shown)
def test_what_cannot_be_wrapped(what: object) -> None:
    with pytest.raises(TypeError, match="Unsupported IO type"):
        aiotempfile.wrap(what, what)


async def test_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await aiotempfile.NamedTemporaryFile(dir=tmp_path / "missing")
    with pytest.raises(ValueError, match="mode"):
        await aiotempfile.TemporaryFile("nonsense")
    with pytest.raises(FileNotFoundError):
        await aiotempfile.TemporaryDirectory(dir=tmp_path / "missing")
