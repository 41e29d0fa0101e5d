"""What is durable: appending, renaming and exchanging with `durable=True`, and `AsyncPath.sync()`."""

import errno
import os
import shutil
import sys
from pathlib import Path

import pytest

from rapfiles import AsyncPath
from support import mounts, strace

_EXCHANGES = sys.platform in ("linux", "darwin")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
async def test_appending(encoding: str, tmp_path: Path) -> None:
    ours = AsyncPath(tmp_path, "ours")
    for text in ("gr\u00fcn\n", "", "blau\n" * 50_000):
        assert await ours.append_text(text, encoding, newline="\r\n", durable=True) == len(text)
        with open(tmp_path / "theirs", "a", encoding=encoding, newline="\r\n") as theirs:
            theirs.write(text)
    assert await ours.append_bytes(b"abc", durable=True) == 3
    with open(tmp_path / "theirs", "ab") as more:
        more.write(b"abc")
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


@pytest.mark.skipif(os.name != "posix", reason="there are no such files")
@pytest.mark.one_loop
async def test_appending_to_what_keeps_nothing(tmp_path: Path) -> None:
    """It is refused before anything is written, and before a FIFO would wait for a reader."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    (tmp_path / "null").symlink_to("/dev/null")
    for path in ("/dev/null", str(tmp_path / "fifo"), str(tmp_path / "link"), str(tmp_path / "null")):
        with pytest.raises(shutil.SpecialFileError) as caught:
            await AsyncPath(path).append_bytes(b"abc", durable=True)
        assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, path)
        with pytest.raises(shutil.SpecialFileError):
            await AsyncPath(path).append_text("abc", "utf-8", durable=True)
    assert await AsyncPath("/dev/null").append_bytes(b"abc") == 3


@pytest.mark.one_loop
async def test_appending_to_what_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    for name, expected in (
        ("directory", IsADirectoryError),
        ("missing/file", FileNotFoundError),
        ("loop", OSError),
    ):
        with pytest.raises(expected) as caught:
            await AsyncPath(tmp_path, name).append_bytes(b"abc", durable=True)
        assert caught.value.filename == str(tmp_path / name)
    for encoding in ("ascii", "cp1252"):
        with pytest.raises(UnicodeEncodeError):
            await AsyncPath(tmp_path, "new").append_text("\u65e5", encoding, durable=True)
    assert (tmp_path / "new").read_bytes() == b""
    (tmp_path / "link").symlink_to("directory/linked")
    await AsyncPath(tmp_path, "link").append_bytes(b"abc", durable=True)
    assert (tmp_path / "directory" / "linked").read_bytes() == b"abc"


@pytest.mark.parametrize("verb", ["rename", "replace"])
async def test_renaming(verb: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "old").write_bytes(b"abc")
    (tmp_path / "other" / "new").write_bytes(b"replaced")
    target = AsyncPath(tmp_path, "other", "new")
    assert await getattr(AsyncPath(tmp_path, "old"), verb)(target, durable=True) == target
    assert (await target.read_bytes(), os.listdir(tmp_path)) == (b"abc", ["other"])
    # A directory, a link, and what has no content.
    await getattr(AsyncPath(tmp_path, "other"), verb)(str(tmp_path / "folder") + "/", durable=True)
    (tmp_path / "link").symlink_to("missing")
    await getattr(AsyncPath(tmp_path, "link"), verb)(tmp_path / "folder" / "link", durable=True)
    os.mkfifo(tmp_path / "fifo")
    await getattr(AsyncPath(tmp_path, "fifo"), verb)(tmp_path / "folder" / "fifo", durable=True)
    assert sorted(os.listdir(tmp_path / "folder")) == ["fifo", "link", "new"]


@pytest.mark.one_loop
async def test_renaming_fails_as_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "entry").touch()
    for old, new in (
        ("missing", "new"),
        ("file", "missing/new"),
        ("file", "folder"),
        ("folder", "file"),
        ("folder", "folder/inside"),
        ("file/old", "new"),
        ("file", "n" * 300),
    ):
        with pytest.raises(OSError, match="Errno") as theirs:
            os.replace(tmp_path / old, tmp_path / new)
        with pytest.raises(OSError, match="Errno") as ours:
            await AsyncPath(tmp_path, old).replace(tmp_path / new, durable=True)
        assert (type(ours.value), ours.value.errno) == (type(theirs.value), theirs.value.errno)
        assert ours.value.filename == str(tmp_path / old)
        assert ours.value.filename2 == str(tmp_path / new)
    with pytest.raises(TypeError):
        await AsyncPath(tmp_path, "file").rename(3, durable=True)  # type: ignore[arg-type]


@pytest.mark.skipif(not _EXCHANGES, reason="this system does not exchange entries")
@pytest.mark.parametrize("durable", [False, True])
async def test_exchanging(durable: bool, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "other").write_bytes(b"def")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to("missing")
    await AsyncPath(tmp_path, "file").exchange(tmp_path / "other", durable=durable)
    assert ((tmp_path / "file").read_bytes(), (tmp_path / "other").read_bytes()) == (b"def", b"abc")
    await AsyncPath(tmp_path, "file").exchange(str(tmp_path / "folder" / "link"), durable=durable)
    assert ((tmp_path / "file").is_symlink(), (tmp_path / "folder" / "link").read_bytes()) == (True, b"def")
    await AsyncPath(tmp_path, "folder").exchange(tmp_path / "other", durable=durable)
    assert ((tmp_path / "folder").read_bytes(), (tmp_path / "other" / "link").read_bytes()) == (
        b"abc",
        b"def",
    )
    for one, two, code in (
        ("missing", "file", errno.ENOENT),
        ("file", "missing", errno.ENOENT),
        ("other", "other/link", errno.EINVAL),
    ):
        with pytest.raises(OSError, match="Errno") as caught:
            await AsyncPath(tmp_path, one).exchange(tmp_path / two, durable=durable)
        assert caught.value.errno == code
        assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / one), str(tmp_path / two))


@pytest.mark.skipif(mounts.can_mount() is not None, reason=str(mounts.can_mount()))
@pytest.mark.one_loop
async def test_not_to_another_file_system(tmp_path: Path) -> None:
    with mounts.mounted("tmpfs", tmp_path, size=1 << 20) as disk:
        (disk / "file").touch()
        (tmp_path / "file").touch()
        for operation in (
            AsyncPath(disk, "file").exchange(tmp_path / "file", durable=True),
            AsyncPath(disk, "file").rename(tmp_path / "new", durable=True),
        ):
            with pytest.raises(OSError, match="cross-device"):
                await operation


async def test_sync(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path, "file")
    await path.write_bytes(b"abc")
    assert await path.sync() is None
    assert await AsyncPath(tmp_path).sync() is None
    (tmp_path / "link").symlink_to("file")
    await AsyncPath(tmp_path, "link").sync()
    (tmp_path / "broken").symlink_to("missing")
    for name in ("missing", "broken", "file/inside"):
        with pytest.raises(OSError, match="Errno") as caught:
            await AsyncPath(tmp_path, name).sync()
        assert caught.value.filename == str(tmp_path / name)


_RUNS = """
import asyncio, os, sys
from rapfiles import AsyncPath, DurabilityError

async def main():
    folder = AsyncPath(sys.argv[1])
    await folder.exists()
    print("ready", flush=True)
    try:
        await eval(sys.argv[2])
    except DurabilityError as error:
        print("visible", error.errno, os.path.basename(error.path))
    except OSError as error:
        print("failed", error.errno)
    else:
        print("done")

asyncio.run(main())
"""
_RENAME = "(folder / 'a').rename(folder / 'b' / 'c', durable=True)"
_EXCHANGE = "(folder / 'a').exchange(folder / 'b', durable=True)"
_APPEND = "(folder / 'a').append_bytes(b'more', durable=True)"


@strace.needs_strace
@pytest.mark.parametrize(
    ("operation", "fails", "order", "expected"),
    [
        (_RENAME, 0, "fsync renameat fsync fsync", "done"),
        (_RENAME, 1, "fsync", "failed 5"),
        (_RENAME, 2, "fsync renameat fsync", "visible 5 c"),
        (_EXCHANGE, 3, "fsync fsync renameat2 fsync", "visible 5 b"),
        (_APPEND, 1, "write fdatasync fsync", "visible 5 a"),
        ("(folder / 'a').sync()", 1, "fsync", "failed 5"),
        ("folder.sync()", 0, "fsync", "done"),
    ],
)
def test_order_and_errors(operation: str, fails: int, order: str, expected: str, tmp_path: Path) -> None:
    """The content first, then the name, then the directories; what fails before the name changes nothing."""
    folder = tmp_path / "folder"
    (folder / "b").mkdir(parents=True)
    (folder / "a").write_bytes(b"abc")
    log = tmp_path / "log"
    calls = "fsync,fdatasync,rename,renameat,renameat2"
    if operation == _APPEND:
        calls += ",write"
    options = ["-y", "-e", f"trace={calls}"]
    if fails:
        options += ["-e", f"inject=fsync:error=EIO:when={fails}"]
    done = strace.run(_RUNS, folder, operation, options=options, log=log)
    assert done.stdout.split("\n")[1:] == [expected, ""], done.stderr
    seen = [line.split()[1].partition("(")[0] for line in log.read_text().splitlines() if str(folder) in line]
    assert " ".join(seen) == order
    if expected.startswith("failed"):
        assert (folder / "a").read_bytes() == b"abc"
