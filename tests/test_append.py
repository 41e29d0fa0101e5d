"""append_bytes and append_text: open(..., "a") in one operation."""

import os
from pathlib import Path

import anyio
import pytest

from rapfiles import AsyncPath
from support import oracle


async def test_append_bytes(directory: Path) -> None:
    path = AsyncPath(directory, "file")
    assert await path.append_bytes(b"one") == 3
    assert await path.append_bytes(bytearray(b"two")) == 3
    assert await path.append_bytes(b"") == 0
    assert await path.append_bytes(b"x" * 1_000_000) == 1_000_000
    assert (directory / "file").read_bytes() == b"onetwo" + b"x" * 1_000_000


@pytest.mark.one_loop
@pytest.mark.parametrize(
    "encoding", ["utf-8", "ascii", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-8-sig", None]
)
@pytest.mark.parametrize("newline", [None, "", "\r\n", "\r"])
async def test_append_text(encoding: str | None, newline: str | None, tmp_path: Path) -> None:
    """As `open` in mode "a" does it: a byte order mark only at the beginning of the file."""
    for text in ("first\n", "", "second\r\nthird\n", "x\n" * 200_000):
        with open(tmp_path / "theirs", "a", encoding=encoding, newline=newline) as file:
            written = file.write(text)
        assert await AsyncPath(tmp_path, "ours").append_text(text, encoding, newline=newline) == written
        assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.one_loop
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp1252"])
@pytest.mark.parametrize("errors", ["strict", "ignore", "replace", "xmlcharrefreplace", "surrogateescape"])
async def test_append_text_that_cannot_be_encoded(encoding: str, errors: str, tmp_path: Path) -> None:
    text = "ok \u65e5 \udcff"
    for name in ("ours", "theirs"):
        (tmp_path / name).write_bytes(b"before ")

    def append() -> int:
        with open(tmp_path / "theirs", "a", encoding=encoding, errors=errors) as file:
            return file.write(text)

    expected = oracle.of_call(append)
    path = AsyncPath(tmp_path, "ours")
    assert await oracle.of_await(lambda: path.append_text(text, encoding, errors)) == expected
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize(
    "name", ["missing/file", "dir", "file/inside", "loop", "nul\0", "lone\ud800", "n" * 256]
)
async def test_errors(name: str, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")

    def append() -> None:
        with open(f"{tmp_path}/{name}", "ab") as file:
            file.write(b"x")

    expected = oracle.of_call(append)
    for work in (
        lambda: AsyncPath(f"{tmp_path}/{name}").append_bytes(b"x"),
        lambda: AsyncPath(f"{tmp_path}/{name}").append_text("x", "utf-8"),
        lambda: AsyncPath(f"{tmp_path}/{name}").append_text("x", "cp1252"),
    ):
        assert await oracle.of_await(work) == expected


async def test_appends_at_once_do_not_overwrite_each_other(tmp_path: Path) -> None:
    lines = [b"%04d\n" % number for number in range(500)]
    async with anyio.create_task_group() as group:
        for line in lines:
            group.start_soon(AsyncPath(tmp_path, "log").append_bytes, line)
    assert sorted((tmp_path / "log").read_bytes().splitlines(keepends=True)) == lines


async def test_append_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    await AsyncPath(tmp_path, "link").append_bytes(b"x")
    os.chmod(tmp_path / "file", 0o600)
    await AsyncPath(tmp_path, "link").append_bytes(b"y")
    assert (tmp_path / "file").read_bytes() == b"xy"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
