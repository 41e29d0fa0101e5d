"""read_bytes and read_text: whole files of every size and encoding."""

import codecs
import locale
import os
import threading
from pathlib import Path

import anyio
import pytest

from rapfiles import AsyncPath
from support import oracle

# Around the sizes at which the engine changes its ways: a page, what is read on the loop, what is filled in
# place, what several workers read at once.
SIZES = [
    *(0, 1, 4095, 4096, 4097, 32 << 10, (64 << 10) + 1, (128 << 10) - 1, 128 << 10, (128 << 10) + 1),
    *((256 << 10) - 1, 256 << 10, (256 << 10) + 1, (1 << 20) + 17, (4 << 20) + 1, (9 << 20) + 3),
]
LETTERS = {
    "ascii": "plain text\n",
    "latin": "gr\u00fc\u00df gott\u00a0\n",
    "mixed": "gr\u00fc\u00df \u65e5\u672c\u8a9e \u05d0\u05d1 \u20ac\n",
    "astral": "\U0001f980 crab, \u65e5\u672c, plain\n",
}


@pytest.mark.one_loop
@pytest.mark.parametrize("size", SIZES)
async def test_read_bytes(size: int, tmp_path: Path) -> None:
    content = (os.urandom(1009) * (size // 1009 + 1))[:size]
    (tmp_path / "file").write_bytes(content)
    result = await AsyncPath(tmp_path, "file").read_bytes()
    assert type(result) is bytes
    assert result == content


@pytest.mark.one_loop
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("letters", LETTERS)
async def test_read_text(letters: str, size: int, tmp_path: Path) -> None:
    text = LETTERS[letters] * (size // len(LETTERS[letters].encode()) + 1)
    (tmp_path / "file").write_text(text, "utf-8")
    assert await AsyncPath(tmp_path, "file").read_text("utf-8") == text


@pytest.mark.one_loop
@pytest.mark.parametrize("size", [100, 40 << 10, 300 << 10, 3 << 20])
@pytest.mark.parametrize("letters", LETTERS)
async def test_read_text_with_every_line_end(letters: str, size: int, tmp_path: Path) -> None:
    line = LETTERS[letters].rstrip("\n")
    text = (f"{line}\n{line}\r\n{line}\r{line}\r\r\n\n") * (size // len(line.encode()) // 4 + 1) + "end\r"
    (tmp_path / "file").write_bytes(text.encode())
    result = await AsyncPath(tmp_path, "file").read_text("utf-8")
    assert result == text.replace("\r\n", "\n").replace("\r", "\n")
    for newline in ("", "\n", "\r", "\r\n"):
        with open(tmp_path / "file", encoding="utf-8", newline=newline) as file:
            assert await AsyncPath(tmp_path, "file").read_text("utf-8", newline=newline) == file.read()


@pytest.mark.one_loop
@pytest.mark.parametrize("size", [10, 40 << 10, 200 << 10, 1 << 20, 5 << 20])
@pytest.mark.parametrize(
    "broken", [b"\xff", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"]
)
@pytest.mark.parametrize("errors", ["strict", "replace", "surrogateescape"])
async def test_read_text_that_is_broken(broken: bytes, errors: str, size: int, tmp_path: Path) -> None:
    """Wherever the first bad byte is, the result or the error is that of Python's own codec."""
    good = "gr\u00fc\u00df\r\n".encode()
    content = good * (size // len(good)) + broken + good
    (tmp_path / "file").write_bytes(content)
    path = tmp_path / "file"
    expected = oracle.of_call(lambda: path.read_text("utf-8", errors))
    assert await oracle.of_await(lambda: AsyncPath(path).read_text("utf-8", errors)) == expected


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-32-le", "cp1252", "shift_jis", "utf-7", "utf-8-sig", "mbcs-no"]
)
async def test_read_text_in_other_encodings(encoding: str, tmp_path: Path) -> None:
    text = "plain \u20ac\r\n" if encoding != "shift_jis" else "\u65e5\u672c\r\n"
    try:
        content = text.encode(encoding)
    except LookupError:
        content = b""
    (tmp_path / "file").write_bytes(content * 5000)
    path = tmp_path / "file"
    expected = oracle.of_call(lambda: path.read_text(encoding))
    assert await oracle.of_await(lambda: AsyncPath(path).read_text(encoding)) == expected


async def test_read_text_in_the_locale_encoding(tmp_path: Path) -> None:
    text = "plain\r\ntext"
    (tmp_path / "file").write_bytes(text.encode(locale.getencoding()))
    assert await AsyncPath(tmp_path, "file").read_text() == "plain\ntext"
    assert await AsyncPath(tmp_path, "file").read_text("locale") == "plain\ntext"


async def test_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(codecs.BOM_UTF8 + b"text")
    assert await AsyncPath(tmp_path, "file").read_text("utf-8") == "\ufefftext"
    assert await AsyncPath(tmp_path, "file").read_text("utf-8-sig") == "text"


async def test_read_a_fifo(tmp_path: Path) -> None:
    """What a writer writes until it closes."""
    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(target=(tmp_path / "fifo").write_bytes, args=(b"x" * 500_000,))
    writer.start()
    try:
        assert await AsyncPath(tmp_path, "fifo").read_bytes() == b"x" * 500_000
    finally:
        writer.join()


async def test_read_a_device() -> None:
    assert await AsyncPath("/dev/null").read_bytes() == b""
    assert await AsyncPath("/dev/null").read_text("utf-8") == ""


async def test_read_what_an_open_descriptor_shows(tmp_path: Path) -> None:
    """A file without a name, and the reading end of a pipe."""
    with open(tmp_path / "file", "w+b") as file:
        file.write(b"content")
        file.flush()
        (tmp_path / "file").unlink()
        assert await AsyncPath(f"/proc/self/fd/{file.fileno()}").read_bytes() == b"content"
    reader, writer = os.pipe()
    os.write(writer, b"through a pipe")
    os.close(writer)
    try:
        assert await AsyncPath(f"/dev/fd/{reader}").read_bytes() == b"through a pipe"
    finally:
        os.close(reader)


async def test_read_many_files_at_once(tmp_path: Path) -> None:
    results: dict[int, bytes] = {}
    for number in range(500):
        (tmp_path / str(number)).write_bytes(b"%d" % number * 1000)

    async def read(number: int) -> None:
        results[number] = await AsyncPath(tmp_path, str(number)).read_bytes()

    async with anyio.create_task_group() as group:
        for number in range(500):
            group.start_soon(read, number)
    assert results == {number: b"%d" % number * 1000 for number in range(500)}


async def test_read_on_every_file_system(directory: Path) -> None:
    for size in (0, 1000, 100_000, 1 << 20):
        (directory / "file").write_bytes(b"y" * size)
        path = AsyncPath(directory, "file")
        assert await path.read_bytes() == b"y" * size
        assert await path.read_text("utf-8") == "y" * size
        assert await path.read_bytes() == b"y" * size


async def test_a_replaced_file_is_seen(tmp_path: Path) -> None:
    """Nothing is remembered between calls: not the inode, not the size, not the content."""
    path = AsyncPath(tmp_path, "file")
    for number in range(200):
        content = b"%d" % number * (number + 1)
        if number % 3:
            (tmp_path / "new").write_bytes(content)
            (tmp_path / "new").replace(path)
        else:
            (tmp_path / "file").write_bytes(content)
        assert await path.read_bytes() == content
        assert (await path.stat()).st_size == len(content)
