"""What io does not have: positional reads and writes, sync, stat, chunks and batches of lines."""

import array
import os
from pathlib import Path
from typing import Any

import pytest

import rapfiles
from support.handles import filling, of_await, of_call

CONTENT = filling(600_000)
BINARY = {
    "raw": {"mode": "rb+", "buffering": 0},
    "reader": {"mode": "rb"},
    "random": {"mode": "rb+"},
}
EVERY_BINARY = pytest.mark.parametrize("kind", BINARY)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(CONTENT)
    return tmp_path / "file"


@pytest.mark.skipif(os.name == "nt", reason="descriptors have no such flag there")
async def test_a_descriptor_waits_however_the_file_was_opened(path: Path) -> None:
    await rapfiles.AsyncPath(path).read_bytes()
    async with rapfiles.open(path, "rb") as file:
        assert len(await file.read(10)) == 10
        assert os.get_blocking(file.fileno())
    file = await rapfiles.open(path, "rb")
    raw = await file.detach()
    assert os.get_blocking(raw.fileno())
    await raw.close()


@EVERY_BINARY
async def test_pread(kind: str, path: Path) -> None:
    async with rapfiles.open(path, **BINARY[kind]) as file:
        for size, place in [
            *((0, 0), (1, 0), (100, 16), (5000, 599_990), (10, 600_000), (10, 1 << 40), (600_000, 0)),
            *((1 << 20, 1), (10, -1), (-1, 0), (-5, 10), (10, 1 << 63), (1 << 70, 0)),
        ]:
            expected = of_call(lambda: os.pread(file.fileno(), size, place))  # noqa: B023
            actual = await of_await(lambda: file.pread(size, place))  # noqa: B023
            if expected[0] == "raises":
                assert actual[0] == "raises", (size, place)
            else:
                assert actual == expected, (size, place)
        assert await file.tell() == 0
        assert await file.read(10) == CONTENT[:10]


async def test_pwrite(path: Path) -> None:
    for keywords in ({"mode": "rb+"}, {"mode": "rb+", "buffering": 0}, {"mode": "wb"}):
        reference = bytearray(CONTENT if keywords["mode"] == "rb+" else b"")
        path.write_bytes(CONTENT)
        async with rapfiles.open(path, **keywords) as file:
            for data, place in [(b"x", 0), (b"", 5), (bytearray(b"yy"), 100), (memoryview(b"zzz"), 700_000)]:
                assert await file.pwrite(data, place) == len(data)
                reference.extend(bytes(max(0, place + len(data) - len(reference))) if data else b"")
                reference[place : place + len(data)] = data
            assert await file.tell() == 0
            for data, place in [(b"x", -1), ("text", 0), (None, 0), (b"x", "0")]:
                with pytest.raises((TypeError, ValueError, OSError)):
                    await file.pwrite(data, place)
        assert path.read_bytes() == reference


async def test_positional_where_it_is_not_possible(path: Path) -> None:
    async with rapfiles.open(path, "rb") as file:
        with pytest.raises(OSError, match=r"Bad file descriptor|not open for writing"):
            await file.pwrite(b"x", 0)
    async with rapfiles.open(path, "ab") as file:
        with pytest.raises(OSError, match=r"Bad file descriptor|not open for reading"):
            await file.pread(1, 0)
    reader, writer = os.pipe()
    try:
        async with rapfiles.open(reader, "rb") as file:
            with pytest.raises(OSError, match="Illegal seek"):
                await file.pread(1, 0)
    finally:
        os.close(writer)


@pytest.mark.parametrize("mode", ["wb", "w", "ab", "rb+", "w+"])
async def test_sync_and_datasync(mode: str, path: Path) -> None:
    """What is buffered goes to the device too."""
    async with rapfiles.open(path, mode) as file:
        await file.seek(0, 2)
        for number, name in enumerate(("sync", "datasync"), 1):
            await file.write(b"<end>" if "b" in mode else "<end>")
            assert await getattr(file, name)() is None
            assert path.read_bytes().endswith(b"<end>" * number)


async def test_sync_of_what_cannot_be_synced() -> None:
    reader, writer = os.pipe()
    try:
        async with rapfiles.open(writer, "wb") as file:
            for name in ("sync", "datasync"):
                with pytest.raises(OSError, match="Invalid argument"):
                    await getattr(file, name)()
    finally:
        os.close(reader)


async def test_stat(path: Path) -> None:
    async with rapfiles.open(path, "rb") as file:
        assert await file.stat() == os.stat(path)
        # Of the open file, whatever is at its name now.
        inode = os.stat(path).st_ino
        path.unlink()
        path.write_bytes(b"another")
        found = await file.stat()
        assert (found.st_ino, found.st_size, found.st_nlink) == (inode, len(CONTENT), 0)
    async with rapfiles.open(path, encoding="utf-8") as text:
        assert (await text.stat()).st_size == 7


@EVERY_BINARY
async def test_chunks(kind: str, path: Path) -> None:
    for size in (1000, 8192, 65536, 262_144, 1 << 20):
        async with rapfiles.open(path, **BINARY[kind]) as file:
            await file.seek(16)
            chunks = [chunk async for chunk in file.chunks(size)]
            assert b"".join(chunks) == CONTENT[16:]
            assert all(0 < len(chunk) <= size for chunk in chunks)
            if kind != "raw":
                assert all(len(chunk) == size for chunk in chunks[:-1])
            assert await file.read() == b""
    async with rapfiles.open(path, **BINARY[kind]) as file:
        # Ended early, the handle is where the next chunk begins.
        async for chunk in file.chunks(4096):
            assert chunk == CONTENT[:4096]
            break
        assert await file.tell() == 4096
        assert await file.read(16) == CONTENT[4096:4112]
        by_default = [chunk async for chunk in file.chunks()]
        assert b"".join(by_default) == CONTENT[4112:]
        for wrong in (0, -1):
            with pytest.raises(ValueError, match=r"."):
                [chunk async for chunk in file.chunks(wrong)]


@pytest.mark.parametrize("keywords", [{"mode": "rb"}, {"encoding": "utf-8"}, {"encoding": "cp1252"}], ids=str)
async def test_lines_in_batches(keywords: dict[str, Any], path: Path) -> None:
    expected = CONTENT.splitlines(True) if "mode" in keywords else CONTENT.decode().splitlines(True)
    async with rapfiles.open(path, **keywords) as file:
        batches = [batch async for batch in file.lines()]
        assert all(isinstance(batch, list) and batch for batch in batches)
        assert [line for batch in batches for line in batch] == expected
        assert len(batches) < 100
        await file.seek(0)
        small = [batch async for batch in file.lines(100)]
        assert [line for batch in small for line in batch] == expected
        assert max(map(len, small)) <= 8
        # Ended early: the handle is behind the batch.
        await file.seek(0)
        async for batch in file.lines(100):
            assert await file.readline() == expected[len(batch)]
            break


async def test_empty_files(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with rapfiles.open(tmp_path / "file", "rb") as file:
        assert [chunk async for chunk in file.chunks()] == []
        assert [batch async for batch in file.lines()] == []
        assert [line async for line in file] == []
        assert await file.pread(10, 0) == b""


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, 5 << 20])
async def test_long_lines(size: int, tmp_path: Path) -> None:
    """Longer than anything that is read at once, with and without an end."""
    data = b"a" * size + b"\n" + b"b" * size
    (tmp_path / "file").write_bytes(data)
    kinds: list[dict[str, Any]] = [{"mode": "rb"}, {"encoding": "utf-8"}, {"encoding": "cp1252"}]
    for keywords in (*kinds, {"mode": "rb", "buffering": 0}):
        async with rapfiles.open(tmp_path / "file", **keywords) as file:
            lines = [line async for line in file]
        assert [line if isinstance(line, bytes) else line.encode() for line in lines] == data.splitlines(True)
    async with rapfiles.open(tmp_path / "file", "rb") as file:
        assert await file.readline(1000) == b"a" * 1000


async def test_large_files_whole(tmp_path: Path) -> None:
    """64 MiB, in one read and in pieces, as bytes and as text with every width of character."""
    text = "line \u00fc\n" * 100_000 + "\u20ac\n" * 100_000 + "\U0001f600\n" * 100_000
    (tmp_path / "text").write_text(text, encoding="utf-8")
    async with rapfiles.open(tmp_path / "text", encoding="utf-8") as file:
        assert await file.read() == text
        await file.seek(0)
        assert "".join([line async for line in file]) == text
        await file.seek(0)
        assert await file.readlines() == text.splitlines(True)
    data = os.urandom(1 << 20) * 64
    async with rapfiles.open(tmp_path / "data", "wb") as binary:
        assert await binary.write(data) == len(data)
    async with rapfiles.open(tmp_path / "data", "rb") as binary:
        assert await binary.read() == data
        await binary.seek(0)
        target = bytearray(len(data))
        assert await binary.readinto(target) == len(data)
        assert target == data


async def test_what_is_written_is_taken_at_once(tmp_path: Path) -> None:
    """The caller may change a buffer as soon as the write has returned."""
    for keywords in ({}, {"buffering": 0}):
        async with rapfiles.open(tmp_path / "file", "wb", **keywords) as file:
            data = bytearray(100)
            for number in range(200):
                data[:] = bytes([number]) * 100
                assert await file.write(data) == 100
            data.extend(b"resized")
        assert (tmp_path / "file").read_bytes() == b"".join(bytes([number]) * 100 for number in range(200))


async def test_kinds_of_buffers(tmp_path: Path) -> None:
    values = array.array("i", range(1000))
    async with rapfiles.open(tmp_path / "file", "wb+") as file:
        for data in (values, memoryview(values), memoryview(values).cast("B"), memoryview(values)[::2]):
            with open(tmp_path / "plain", "wb") as plain:
                expected = of_call(lambda: plain.write(data))  # noqa: B023
            assert await of_await(lambda: file.write(data)) == expected  # noqa: B023
        await file.seek(0)
        target = array.array("i", bytes(4000))
        assert await file.readinto(target) == 4000
        assert target == values
        with pytest.raises((TypeError, BufferError, ValueError)):
            await file.readinto(b"constant")
