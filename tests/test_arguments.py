"""Bad input is refused with an error that names the argument, before anything touches the disk."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from rapfiles import AsyncPath, configuration, configure, stats
from support import ground, oracle

Refused = tuple[str, Callable[[Any], Awaitable[object]]]

NOT_PATHS = [None, 3, b"bytes", object(), ["list"]]

# The name of the argument, and a call of a method with a bad one.
REFUSED: list[Refused] = [
    *(("target", lambda path, bad=bad: path.rename(bad)) for bad in NOT_PATHS),
    *(("target", lambda path, bad=bad: path.replace(bad)) for bad in NOT_PATHS),
    *(("target", lambda path, bad=bad: path.symlink_to(bad)) for bad in NOT_PATHS),
    *(("target", lambda path, bad=bad: path.hardlink_to(bad)) for bad in NOT_PATHS),
    *(("other_path", lambda path, bad=bad: path.samefile(bad)) for bad in NOT_PATHS),
    ("mode", lambda path: path.chmod("x")),
    ("mode", lambda path: path.chmod(1.5)),
    ("mode", lambda path: path.chmod(2**40)),
    ("mode", lambda path: path.lchmod(None)),
    ("mode", lambda path: path.touch("x")),
    ("mode", lambda path: path.with_name("new").mkdir("x")),
    ("mode", lambda path: path.with_name("new").mkdir(2**40)),
    ("parent_mode", lambda path: path.with_name("new").mkdir(parents=True, parent_mode="x")),
    ("encoding", lambda path: path.read_text(3)),
    ("encoding", lambda path: path.write_text("x", 3)),
    ("encoding", lambda path: path.append_text("x", 3)),
    ("errors", lambda path: path.read_text("utf-8", 3)),
    ("errors", lambda path: path.write_text("x", "utf-8", 3)),
    ("newline", lambda path: path.read_text("utf-8", newline=3)),
    ("newline", lambda path: path.write_text("x", "utf-8", newline=3)),
    ("newline", lambda path: path.append_text("x", "utf-8", newline=3)),
    ("data", lambda path: path.write_text(b"x")),
    ("data", lambda path: path.write_text(None)),
    ("data", lambda path: path.append_text(3)),
    ("bytes-like", lambda path: path.write_bytes("text")),
    ("bytes-like", lambda path: path.write_bytes(3)),
    ("bytes-like", lambda path: path.append_bytes(None)),
    ("mode", lambda path: path.access("r")),
    ("length", lambda path: path.truncate("x")),
    ("length", lambda path: path.truncate(1.5)),
    ("length", lambda path: path.truncate(2**64)),
    ("user", lambda path: path.chown(1.5, 1)),
    ("user", lambda path: path.chown(-2, 1)),
    ("user", lambda path: path.chown(2**32, 1)),
    ("group", lambda path: path.chown(1, None)),
    ("group", lambda path: path.chown(1, 2**40)),
    ("times", lambda path: path.utime("now")),
    ("times", lambda path: path.utime((1, 2, 3))),
    ("times", lambda path: path.utime(5)),
    ("ns", lambda path: path.utime(ns=5)),
    ("ns", lambda path: path.utime(ns=(1.5, 2))),
    ("times", lambda path: path.utime((1, 2), ns=(3, 4))),
    ("attribute", lambda path: path.getxattr(3)),
    ("attribute", lambda path: path.setxattr(None, b"")),
    ("attribute", lambda path: path.removexattr(1.5)),
    ("bytes-like", lambda path: path.setxattr("user.x", "text")),
    ("flags", lambda path: path.setxattr("user.x", b"", "x")),
]


@pytest.mark.one_loop
@pytest.mark.parametrize(
    ("name", "refused"), REFUSED, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_a_bad_argument_is_named(name: str, refused: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    os.utime(tmp_path / "file", (1, 1))
    os.utime(tmp_path, (1, 1))
    before = stats()
    with pytest.raises((TypeError, ValueError, OverflowError)) as caught:
        await refused(AsyncPath(tmp_path, "file"))
    after = stats()
    assert name in str(caught.value)
    assert (after.cached, after.submitted) == (before.cached, before.submitted)
    status = (tmp_path / "file").stat()
    assert (status.st_mtime, status.st_size, status.st_mode) == (1, 7, (tmp_path / "file").stat().st_mode)
    assert ground.snapshot(tmp_path).keys() == {"", "file", "hard links"}


@pytest.mark.parametrize(
    "arguments",
    [
        {"encoding": "no-such-encoding"},
        {"encoding": "nul\0"},
        {"encoding": "hex"},
        {"newline": "x"},
        {"encoding": "utf-8", "newline": "\n\r"},
        {"encoding": "latin-1", "newline": "\n\n"},
    ],
    ids=str,
)
async def test_what_open_refuses(arguments: dict[str, str], tmp_path: Path) -> None:
    """The error is that of pathlib, which by then has emptied the file that it should write."""
    (tmp_path / "theirs").write_bytes(b"content")
    expected = oracle.of_call(lambda: (tmp_path / "theirs").open("w", **arguments))
    (tmp_path / "ours").write_bytes(b"content")
    path = AsyncPath(tmp_path, "ours")
    missing = AsyncPath(tmp_path, "missing")
    before = stats()
    for refused in (path, missing):
        assert await oracle.of_await(lambda at=refused: at.read_text(**arguments)) == expected
        assert await oracle.of_await(lambda at=refused: at.write_text("x", **arguments)) == expected
        assert await oracle.of_await(lambda at=refused: at.append_text("x", **arguments)) == expected
    after = stats()
    assert (after.cached, after.submitted) == (before.cached, before.submitted)
    assert (tmp_path / "ours").read_bytes() == b"content"
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize("bad", [None, 3, b"bytes", object(), 1.5])
def test_a_path_is_made_of_text(bad: Any) -> None:
    for make in (lambda: AsyncPath(bad), lambda: AsyncPath("x", bad), lambda: AsyncPath("x") / bad):
        with pytest.raises(TypeError):
            make()


CALLS: dict[str, Callable[[AsyncPath], Awaitable[object]]] = {
    "stat": lambda path: path.stat(),
    "read_bytes": lambda path: path.read_bytes(),
    "read_text": lambda path: path.read_text("utf-8"),
    "write_bytes": lambda path: path.write_bytes(b"x"),
    "write_text": lambda path: path.write_text("x", "utf-8"),
    "append_bytes": lambda path: path.append_bytes(b"x"),
    "append_text": lambda path: path.append_text("x", "utf-8"),
    "mkdir": lambda path: path.mkdir(),
    "touch": lambda path: path.touch(),
    "rename": lambda path: path.rename("x"),
    "rename to": lambda path: AsyncPath("x").rename(path),
    "truncate": lambda path: path.truncate(0),
    "getxattr": lambda path: path.getxattr("user.x"),
    "iterdir": lambda path: anext(path.iterdir()),
}


@pytest.mark.one_loop
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("bad", ["nul\0character", "lone\ud800surrogate"])
async def test_a_path_that_no_system_takes(bad: str, name: str, tmp_path: Path) -> None:
    before = stats()
    with pytest.raises(ValueError, match=r"null|surrogates not allowed"):
        await CALLS[name](AsyncPath(tmp_path, bad))
    after = stats()
    assert (after.cached, after.submitted) == (before.cached, before.submitted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [0, -1, 2**70, 1.5, "5", None, True])
def test_configure(bad: Any) -> None:
    before = configuration()
    with pytest.raises((TypeError, ValueError), match="max_workers"):
        configure(max_workers=bad)
    assert configuration() == before
    with pytest.raises(TypeError):
        configure(5)  # type: ignore[misc]
