"""write_bytes and write_text: what they return, what is on the disk then, and what a refusal leaves."""

import array
import os
import threading
from pathlib import Path

import anyio
import pytest

from rapfiles import AsyncPath
from support import oracle

SIZES = [0, 1, 4096, (64 << 10) + 1, (256 << 10) + 1, (1 << 20) + 17, (9 << 20) + 3]


@pytest.mark.parametrize("size", SIZES)
async def test_write_bytes(size: int, tmp_path: Path) -> None:
    content = (os.urandom(1009) * (size // 1009 + 1))[:size]
    path = AsyncPath(tmp_path, "file")
    assert await path.write_bytes(content) == size
    assert (tmp_path / "file").read_bytes() == content
    # Shorter than before: the rest of the old content is gone.
    assert await path.write_bytes(content[: size // 2]) == size // 2
    assert (tmp_path / "file").read_bytes() == content[: size // 2]


@pytest.mark.one_loop
@pytest.mark.parametrize(
    "data",
    [
        bytearray(b"bytearray"),
        memoryview(b"memoryview")[2:6],
        array.array("i", [1, 2, 3]),
        memoryview(array.array("d", [1.5, 2.5])),
        bytearray(b"large" * 100_000),
        memoryview(bytearray(b"large" * 100_000)),
        memoryview(bytearray(12)).cast("B", (3, 4)),
        b"",
        bytearray(),
    ],
    ids=lambda data: f"{type(data).__name__}-{memoryview(data).nbytes}",
)
async def test_write_anything_like_bytes(data: bytes, tmp_path: Path) -> None:
    assert await AsyncPath(tmp_path, "ours").write_bytes(data) == (tmp_path / "theirs").write_bytes(data)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


async def test_a_buffer_is_let_go(tmp_path: Path) -> None:
    """A bytearray can be resized only while nobody looks at its buffer."""
    for size in (10, 1_000_000):
        data = bytearray(size)
        await AsyncPath(tmp_path, "file").write_bytes(data)
        data.extend(b"more")
        assert len(data) == size + 4


@pytest.mark.one_loop
@pytest.mark.parametrize("size", [0, 10, 100_000, 3_000_000])
@pytest.mark.parametrize("letters", ["plain\n", "gr\u00fc\u00df\r\n", "\u65e5\u672c\n", "\U0001f980\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252", "latin-1", "ascii", "utf-8-sig"])
async def test_write_text(encoding: str, letters: str, size: int, tmp_path: Path) -> None:
    text = letters * (size // len(letters))
    expected = oracle.of_call(lambda: (tmp_path / "theirs").write_text(text, encoding))
    assert await oracle.of_await(lambda: AsyncPath(tmp_path, "ours").write_text(text, encoding)) == expected
    # Text that cannot be encoded leaves what pathlib leaves: an empty file, or the beginning in some codecs.
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.one_loop
@pytest.mark.parametrize("newline", [None, "", "\n", "\r", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
async def test_write_text_with_line_ends(encoding: str, newline: str | None, tmp_path: Path) -> None:
    text = "one\ntwo\r\nthree\rfour\n\n" * 10_000
    path = AsyncPath(tmp_path, "ours")
    assert await path.write_text(text, encoding, newline=newline) == len(text)
    (tmp_path / "theirs").write_text(text, encoding, newline=newline)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


async def test_a_new_file_has_the_umask_s_mode(tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        await AsyncPath(tmp_path, "file").write_bytes(b"")
    finally:
        os.umask(previous)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


async def test_the_file_stays_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "file").chmod(0o600)
    (tmp_path / "link").symlink_to("file")
    before = (tmp_path / "file").stat()
    await AsyncPath(tmp_path, "link").write_bytes(b"new")
    after = (tmp_path / "file").stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert (tmp_path / "file").read_bytes() == b"new"


async def test_write_through_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    await AsyncPath(tmp_path, "link").write_text("made", "utf-8")
    assert (tmp_path / "target").read_text() == "made"


async def test_write_to_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "fifo").read_bytes()))
    reader.start()
    assert await AsyncPath(tmp_path, "fifo").write_bytes(b"x" * 500_000) == 500_000
    reader.join()
    assert read == [b"x" * 500_000]


async def test_what_is_acknowledged_is_there(tmp_path: Path) -> None:
    """When the call returns, every reader sees the bytes: there is no buffer of ours in between."""
    path = AsyncPath(tmp_path, "file")
    for number in range(300):
        content = b"%d" % number * (number * 37 % 1000)
        await path.write_bytes(content)
        assert (tmp_path / "file").read_bytes() == content


async def test_many_writers_at_once(tmp_path: Path) -> None:
    async def write(number: int) -> None:
        assert await AsyncPath(tmp_path, str(number)).write_bytes(b"%d" % number) == len(str(number))

    async with anyio.create_task_group() as group:
        for number in range(500):
            group.start_soon(write, number)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        str(number): b"%d" % number for number in range(500)
    }


async def test_write_on_every_file_system(directory: Path) -> None:
    path = AsyncPath(directory, "file")
    for size in (1000, 0, 1 << 20):
        assert await path.write_bytes(b"y" * size) == size
        assert (directory / "file").read_bytes() == b"y" * size
        assert await path.write_text("\u00fc" * size, "utf-8") == size
        assert (directory / "file").read_text("utf-8") == "\u00fc" * size
