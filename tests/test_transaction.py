"""Transactions: of the changes of several files all are made or none, whatever happens."""

import asyncio
import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

import rapfiles
from rapfiles import AsyncPath, TransactionError, recover, transaction
from support import kill_points, mounts, strace, transacts
from support.engine import idle

root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may give files away")
mountable = pytest.mark.skipif(mounts.can_mount() is not None, reason=str(mounts.can_mount()))


def _content(folder: Path) -> dict[str, bytes]:
    """All files in a folder, by their paths; logs included."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    for name in ("replaced", "log", "moved", "removed", "sub/inner"):
        (folder / name).write_text(f"old {name}")
    return folder


_OLD = {name: f"old {name}".encode() for name in ("replaced", "log", "moved", "removed", "sub/inner")}


@pytest.mark.parametrize("durable", [True, False])
async def test_all_changes_are_made_at_the_end(durable: bool, folder: Path) -> None:
    (folder / "replaced").chmod(0o640)
    inode = (folder / "log").stat().st_ino
    async with transaction(folder, durable=durable) as t:
        assert await t.write_bytes("replaced", b"new") == 3
        assert await t.write_text("sub/created", "gr\u00fcn\n", encoding="utf-8") == 5
        assert await t.append_bytes("log", b" and") == 4
        assert await t.append_text("log", " more", encoding="utf-16-le") == 5
        await t.append_bytes("sub/new", b"first")
        await t.rename("moved", "sub/moved")
        await t.append_bytes("sub/moved", b" on")
        await t.copy("log", "copy")
        await t.copy("sub/moved", "sub/copy")
        await t.remove("removed")
        await t.remove("missing", missing_ok=True)
        await t.mkdir("new")
        await t.mkdir("new/deeper")
        await t.write_bytes("new/deeper/file", b"x" * 100_000)
        there = {name: content for name, content in _content(folder).items() if ".rapfiles" not in name}
        assert there == _OLD
        assert not t.committed
    assert t.committed
    log = b"old log and" + " more".encode("utf-16-le")
    assert _content(folder) == {
        "replaced": b"new",
        "sub/created": "gr\u00fcn\n".encode(),
        "log": log,
        "sub/new": b"first",
        "sub/moved": b"old moved on",
        "sub/copy": b"old moved on",
        "sub/inner": b"old sub/inner",
        "copy": log,
        "new/deeper/file": b"x" * 100_000,
    }
    assert stat.S_IMODE((folder / "replaced").stat().st_mode) == 0o640
    assert (folder / "log").stat().st_ino == inode
    assert not (folder / ".rapfiles").exists()


class _StopError(Exception):
    pass


async def test_none_after_an_exception(folder: Path) -> None:
    with pytest.raises(_StopError):  # noqa: PT012
        async with transaction(folder) as t:
            await t.write_bytes("replaced", b"new")
            await t.append_bytes("log", b"more")
            await t.rename("moved", "elsewhere")
            await t.remove("removed")
            await t.mkdir("new")
            raise _StopError
    assert not t.committed
    assert _content(folder) == _OLD
    assert sorted(os.listdir(folder)) == ["log", "moved", "removed", "replaced", "sub"]


async def test_none_when_cancelled(folder: Path) -> None:
    """At each of the places where a task waits."""
    for place in range(5):
        t = transaction(folder)
        with anyio.CancelScope() as scope:

            def pass_by(number: int, place: int = place, scope: anyio.CancelScope = scope) -> None:
                if number == place:
                    scope.cancel()

            pass_by(0)
            async with t:
                pass_by(1)
                await t.write_bytes("replaced", b"n" * 100_000)
                pass_by(2)
                await t.append_bytes("log", b"more")
                pass_by(3)
                await t.rename("moved", "elsewhere")
                pass_by(4)
                await anyio.sleep(0)
        await idle()
        while (folder / ".rapfiles").exists():  # what was under way is undone in the background
            await anyio.sleep(0.001)
        assert scope.cancelled_caught
        assert not t.committed
        assert _content(folder) == _OLD


async def test_cancelled_while_it_is_committed(folder: Path) -> None:
    new = {**_OLD, "replaced": b"n" * 100_000, "elsewhere": _OLD["moved"]}
    del new["moved"]
    for delay in [0.0004 * n for n in range(10)]:
        t = transaction(folder)
        with anyio.CancelScope() as scope:
            async with t:
                await t.write_bytes("replaced", b"n" * 100_000)
                await t.rename("moved", "elsewhere")
                scope.deadline = anyio.current_time() + delay
        await idle()
        while (folder / ".rapfiles").exists():
            await anyio.sleep(0.001)
        assert _content(folder) == (new if t.committed else _OLD)
        for name in ("replaced", "moved"):
            (folder / name).write_bytes(_OLD[name])
        (folder / "elsewhere").unlink(missing_ok=True)


async def test_what_was_staged_is_seen_by_what_follows(folder: Path) -> None:
    async with transaction(folder) as t:
        await t.write_bytes("a", b"1")
        await t.append_bytes("a", b"2")
        await t.rename("a", "b")
        with pytest.raises(FileNotFoundError) as caught:
            await t.rename("a", "c")
        assert caught.value.filename == str(folder / "a")
        await t.append_bytes("b", b"3")
        await t.copy("b", "c")
        await t.remove("b")
        with pytest.raises(FileNotFoundError):
            await t.remove("b")
        with pytest.raises(FileNotFoundError):
            await t.copy("b", "d")
        await t.append_bytes("b", b"new")
        # Two names are exchanged.
        await t.rename("log", "between")
        await t.rename("moved", "log")
        await t.rename("between", "moved")
        await t.rename("moved", "moved")
        await t.remove("removed")
        await t.write_bytes("removed", b"again")
    expected = {
        **_OLD,
        "b": b"new",
        "c": b"123",
        "log": b"old moved",
        "moved": b"old log",
        "removed": b"again",
    }
    assert _content(folder) == expected


@pytest.mark.one_loop
async def test_what_no_transaction_does(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    (folder / "link").symlink_to("log")
    before = sorted(os.listdir(folder))
    async with transaction(folder) as t:
        for name, expected in [("sub", IsADirectoryError), ("link", OSError), ("fifo", OSError)]:
            for stage in (t.write_bytes, t.append_bytes):
                with pytest.raises(expected) as caught:
                    await stage(name, b"")
                assert caught.value.filename == str(folder / name)
        with pytest.raises(IsADirectoryError):
            await t.rename("sub", "sub2")
        with pytest.raises(IsADirectoryError):
            await t.rename("log", "sub")
        with pytest.raises(IsADirectoryError):
            await t.remove("sub")
        with pytest.raises(FileExistsError):
            await t.mkdir("sub")
        with pytest.raises(FileNotFoundError):
            await t.write_bytes("missing/file", b"")
        await t.write_bytes("file", b"")
        with pytest.raises(NotADirectoryError) as caught:
            await t.write_bytes("file/in/it", b"")
        assert caught.value.filename == str(folder / "file/in/it")
        await t.remove("file")
        with pytest.raises(FileExistsError):
            await t.mkdir("file")
        with pytest.raises(NotADirectoryError):
            await t.write_bytes("log/file", b"")
        with pytest.raises(UnicodeEncodeError):
            await t.write_text("text", "\u65e5", encoding="latin-1")
        with pytest.raises(TypeError):
            await t.write_text("text", b"bytes")  # type: ignore[arg-type]
        with pytest.raises(LookupError):
            await t.write_text("text", "text", encoding="none")
    assert sorted(os.listdir(folder)) == before


@pytest.mark.one_loop
async def test_names_do_not_lead_out(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"untouched")
    (folder / "way").symlink_to(outside)
    async with transaction(folder) as t:
        for name in (
            "../outside/file",
            "sub/../../x",
            "/etc/passwd",
            str(outside / "file"),
            "",
            ".",
            ".rapfiles/x",
        ):
            for stage in (t.write_bytes, t.append_bytes):
                with pytest.raises(ValueError, match="name"):
                    await stage(name, b"")
        with pytest.raises(ValueError, match="target"):
            await t.rename("log", "../log")
        for attempt in (
            t.write_bytes("way/file", b"x"),
            t.append_bytes("way/file", b"x"),
            t.remove("way/file"),
        ):
            with pytest.raises(OSError, match="Errno"):
                await attempt
        await t.write_bytes(folder / "absolute", b"is the same")
    assert (folder / "absolute").read_bytes() == b"is the same"
    assert _content(outside) == {"file": b"untouched"}


@pytest.mark.one_loop
@pytest.mark.parametrize("spelling", ["absolute", "absolute, with a slash", "relative", "here"])
async def test_spellings_of_names(spelling: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".hidden").mkdir()
    monkeypatch.chdir(folder if spelling == "here" else folder.parent)
    directory = {"relative": folder.name, "here": "."}.get(spelling, str(folder))
    directory += "/" if spelling.endswith("slash") else ""
    expected = _content(folder)
    absolute = spelling.startswith("absolute")
    async with transaction(directory) as t:
        names = {
            "plain": "plain",
            "sub/plain": "sub/plain",
            "./dot": "dot",
            "sub/./dot": "sub/dot",
            "sub//twice": "sub/twice",
            "sub/slash/": "sub/slash",
            ".file": ".file",
            "sub/.file": "sub/.file",
            ".hidden/file": ".hidden/file",
            "two..dots": "two..dots",
            **({f"{folder}/whole": "whole", f"{folder}//sub/whole": "sub/whole"} if absolute else {}),
        }
        for name, meant in names.items():
            await t.write_bytes(name, name.encode())
            expected[meant] = name.encode()
        for name in (
            str(folder),
            f"{folder}/",
            f"{folder}/..",
            f"{folder}x/file",
            "/",
            "..",
            "sub/../file",
            ".",
        ):
            with pytest.raises(ValueError, match="name"):
                await t.write_bytes(name, b"")
        with pytest.raises(FileNotFoundError) as caught:
            await t.remove("sub/missing")
        assert caught.value.filename == os.path.join(directory, "sub", "missing")
    assert _content(folder) == expected


async def test_a_directory_that_becomes_a_link_meanwhile(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "inner").write_bytes(b"untouched")
    with pytest.raises(OSError, match="Errno"):  # noqa: PT012
        async with transaction(folder) as t:
            await t.write_bytes("sub/inner", b"new")
            await t.append_bytes("sub/inner", b"new")
            await t.write_bytes("replaced", b"new")
            (folder / "sub").rename(folder / "was")
            (folder / "sub").symlink_to(outside)
    assert _content(outside) == {"inner": b"untouched"}
    assert (folder / "replaced").read_bytes() == _OLD["replaced"]
    # A file: the link is replaced, or refused, but not followed.
    async with transaction(folder) as t:
        await t.write_bytes("replaced", b"new")
        (folder / "replaced").unlink()
        (folder / "replaced").symlink_to(outside / "inner")
    assert not (folder / "replaced").is_symlink()
    with pytest.raises(OSError, match="Errno"):  # noqa: PT012
        async with transaction(folder) as t:
            await t.append_bytes("log", b"new")
            (folder / "log").unlink()
            (folder / "log").symlink_to(outside / "inner")
    assert _content(outside) == {"inner": b"untouched"}
    assert not (folder / ".rapfiles").exists()


@pytest.mark.one_loop
async def test_a_planted_log(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    logs = folder / ".rapfiles"
    for plant in (lambda: logs.symlink_to(outside), logs.touch, lambda: os.mkfifo(logs)):
        plant()
        with pytest.raises(OSError, match="Errno"):
            async with transaction(folder):
                pass
        with pytest.raises(OSError, match="Errno"):
            await recover(folder)
        logs.unlink()
    logs.mkdir(mode=0o700)
    (logs / "lock").symlink_to(outside / "lock")
    with pytest.raises(OSError, match="Errno"):
        await recover(folder)
    (logs / "lock").unlink()
    logs.chmod(0o777)
    with pytest.raises(PermissionError, match="others may write"):
        async with transaction(folder):
            pass
    logs.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(logs, 12345, -1)
        with pytest.raises(PermissionError, match="belongs to somebody else"):
            await recover(folder)
        os.chown(logs, 0, -1)
    # What is foreign stays.
    (logs / "foreign").touch()
    (logs / ("0" * 24)).touch()
    (logs / ("1" * 24)).symlink_to(outside)
    with pytest.raises(OSError, match="Errno"):
        await recover(folder)
    assert sorted(os.listdir(logs))[:3] == ["0" * 24, "1" * 24, "foreign"]
    assert os.listdir(outside) == []


async def test_use_before_and_after(folder: Path) -> None:
    t = transaction(folder)
    with pytest.raises(RuntimeError, match="not begun"):
        await t.write_bytes("log", b"")
    async with t:
        with pytest.raises(RuntimeError, match="twice"):
            async with t:
                pass
    with pytest.raises(RuntimeError, match="has ended"):
        await t.write_bytes("log", b"")
    with pytest.raises(RuntimeError, match="twice"):
        async with t:
            pass
    with pytest.raises(FileNotFoundError) as caught:
        async with transaction(folder / "missing"):
            pass
    assert caught.value.filename == str(folder / "missing")


async def test_many_stage_at_once(folder: Path) -> None:
    async with transaction(folder, durable=False) as t, anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(t.write_bytes, f"file{number}", b"%d" % number * 1000)
            tasks.start_soon(t.append_bytes, "log", b".")
    for number in range(50):
        assert (folder / f"file{number}").read_bytes() == b"%d" % number * 1000
    assert (folder / "log").read_bytes() == b"old log" + b"." * 50


async def test_two_transactions_commit_one_after_the_other(folder: Path) -> None:
    """The later one extends what the earlier one has left."""
    async with transaction(folder) as outer:
        await outer.append_bytes("log", b" outer")
        await outer.append_bytes("both", b"outer")
        await outer.rename("moved", "elsewhere")
        async with transaction(folder) as inner:
            await inner.append_bytes("log", b" inner")
            await inner.append_bytes("both", b"inner ")
            await inner.write_bytes("moved", b"newer")
        assert (folder / "log").read_bytes() == b"old log inner"
        # It is alive.
        assert (await recover(folder)).skipped
    assert (folder / "log").read_bytes() == b"old log inner outer"
    assert (folder / "both").read_bytes() == b"inner outer"
    assert (folder / "elsewhere").read_bytes() == b"newer"
    # What is gone meanwhile is an error, and nothing happens.
    with pytest.raises(FileNotFoundError) as caught:  # noqa: PT012
        async with transaction(folder) as outer:
            await outer.write_bytes("replaced", b"new")
            await outer.rename("elsewhere", "moved")
            async with transaction(folder) as inner:
                await inner.remove("elsewhere")
    assert caught.value.filename == str(folder / "elsewhere")
    assert (folder / "replaced").read_bytes() == _OLD["replaced"]
    assert not (folder / ".rapfiles").exists()


async def test_many_transactions_at_once(folder: Path) -> None:
    async def one(number: int) -> None:
        async with transaction(folder, durable=False) as t:
            await t.append_bytes("log", b"%d\n" % number)
            await t.write_bytes("replaced", b"%d" % number)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(one, number)
    lines = (folder / "log").read_bytes().removeprefix(b"old log").split()
    assert sorted(lines, key=int) == [b"%d" % number for number in range(20)]
    assert lines[-1] == (folder / "replaced").read_bytes()
    assert not (folder / ".rapfiles").exists()


@pytest.mark.one_loop
async def test_names_that_are_not_unicode(folder: Path) -> None:
    name = os.fsdecode(b"\xff %\n\x01")
    (folder / name).write_bytes(b"old")
    async with transaction(folder) as t:
        await t.rename(name, name * 2)
        await t.write_bytes(name, b"new")
    assert (folder / name).read_bytes() == b"new"
    assert (folder / (name * 2)).read_bytes() == b"old"


@root
@pytest.mark.one_loop
async def test_what_a_file_keeps(folder: Path) -> None:
    file = folder / "replaced"
    os.chown(file, 12345, 23456)
    file.chmod(0o400)
    os.setxattr(file, "user.colour", b"blue")
    (folder / "hard link").hardlink_to(folder / "log")
    async with transaction(folder) as t:
        await t.write_bytes("replaced", b"new")
        await t.append_bytes("log", b" more")
        await t.rename("hard link", "moved")
    found = file.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12345, 23456, 0o400)
    assert os.getxattr(file, "user.colour") == b"blue"
    assert (folder / "moved").read_bytes() == b"old log more"
    assert (folder / "moved").samefile(folder / "log")
    # Renamed over another name of the same file.
    async with transaction(folder) as t:
        await t.rename("moved", "log")
    assert not (folder / "moved").exists()
    assert (folder / "log").read_bytes() == b"old log more"


@mountable
@pytest.mark.one_loop
async def test_other_file_systems(folder: Path, tmp_path: Path) -> None:
    with mounts.mounted("tmpfs", tmp_path / "disk", size=1 << 20) as disk:
        (folder / "bound").touch()
        (folder / "mounted").mkdir()
        subprocess.run(["mount", "--bind", disk, folder / "mounted"], check=True)
        subprocess.run(["mount", "--bind", folder / "log", folder / "bound"], check=True)
        try:
            async with transaction(folder) as t:
                for name in ("mounted/file", "bound"):
                    with pytest.raises(OSError, match="Errno") as caught:
                        await t.write_bytes(name, b"")
                    assert caught.value.errno == errno.EXDEV
        finally:
            subprocess.run(["umount", folder / "mounted", folder / "bound"], check=True)


@mountable
@pytest.mark.one_loop
async def test_a_full_disk(tmp_path: Path) -> None:
    with mounts.mounted("tmpfs", tmp_path, size=1 << 20) as disk:
        (disk / "file").write_bytes(b"old")
        for size in (1 << 20, 4 << 20):
            with pytest.raises(OSError, match="Errno") as caught:  # noqa: PT012
                async with transaction(disk) as t:
                    await t.write_bytes("file", b"new")
                    await t.append_bytes("other", bytes(size))
            assert caught.value.errno == errno.ENOSPC
            assert _content(disk) == {"file": b"old"}
            assert not (disk / ".rapfiles").exists()
        # There is room for the data, but not twice.
        with pytest.raises(OSError, match="Errno") as caught:
            async with transaction(disk) as t:
                await t.append_bytes("file", bytes(600 << 10))
        assert caught.value.errno == errno.ENOSPC
        assert _content(disk) == {"file": b"old"}
        # A part that could not be staged leaves nothing of itself.
        async with transaction(disk) as t:
            await t.append_bytes("file", b" and")
            with pytest.raises(OSError, match="Errno"):
                await t.append_bytes("file", bytes(2 << 20))
            await t.append_bytes("file", b" new")
        assert _content(disk) == {"file": b"old and new"}


_TRANSACTS = """
from rapfiles import transaction, recover

async def main(folder):
    async with transaction(folder) as t:
        await t.write_bytes("replaced", b"new")
        await t.append_bytes("log", b" more")
        await t.rename("moved", "elsewhere")
        await t.remove("removed")
"""
_NEW = {**_OLD, "replaced": b"new", "log": b"old log more", "elsewhere": b"old moved"}
del _NEW["moved"], _NEW["removed"]


def _make(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "sub").mkdir(parents=True)
    for name, content in _OLD.items():
        (folder / name).write_bytes(content)


def _is_committed(folder: Path) -> bool:
    return any((folder / ".rapfiles").glob("*/commit"))


@pytest.mark.watchdog(300)
@pytest.mark.slow
def test_killed_at_each_step(folder: Path) -> None:
    """The engine's own tests do so, too, with all kinds of changes, and with recovery."""
    seen = []
    for point in kill_points.each(_TRANSACTS, folder, lambda: _make(folder)):
        committed = point.call is None or _is_committed(folder)
        asyncio.run(recover(folder))
        seen.append(_content(folder))
        assert seen[-1] in (_OLD, _NEW), point
        assert seen[-1] == _NEW or not committed, point
        assert not (folder / ".rapfiles").exists(), point
    assert len(seen) > 40
    assert (seen[0], seen[-1]) == (_OLD, _NEW)


def _interrupted(folder: Path) -> None:
    """A transaction that was killed just after its commit point."""
    first, last = 1, 200

    def is_committed_at(number: int) -> bool:
        _make(folder)
        over = kill_points.until(_TRANSACTS, folder, number).call is None
        return over or _is_committed(folder) or (folder / "replaced").read_bytes() == b"new"

    while first < last:
        if is_committed_at(middle := (first + last) // 2):
            last = middle
        else:
            first = middle + 1
    # Not every run makes the same calls: which thread answers something is a matter of time.
    assert any(
        is_committed_at(number) and _is_committed(folder) and _OLD.items() <= _content(folder).items()
        for number in range(max(first - 5, 1), first + 20)
    )


def test_an_interrupted_transaction_is_finished(folder: Path) -> None:
    _interrupted(folder)
    saved = folder.parent / "saved"
    shutil.copytree(folder, saved)
    [log] = (folder / ".rapfiles").glob("*/")
    assert asyncio.run(recover(folder)) == ([log.name], [], [], [])
    assert _content(folder) == _NEW

    def again() -> Path:
        shutil.rmtree(folder)
        shutil.copytree(saved, folder)
        return folder / ".rapfiles" / log.name

    # By the next transaction.
    again()

    async def next_one() -> None:
        async with transaction(folder) as t:
            await t.append_bytes("log", b" and on")

    asyncio.run(next_one())
    assert _content(folder) == {**_NEW, "log": b"old log more and on"}

    # A damaged one is kept, and nothing is done.
    for name in os.listdir(again()):
        content = (folder / ".rapfiles" / log.name / name).read_bytes()
        # Not the lock, and not the file that is to be renamed, whose content nobody knows.
        for damaged in (content[:-1], content[:-1] + b"?") if content not in (b"", _OLD["moved"]) else ():
            file = again() / name
            file.write_bytes(damaged)
            for finish in (recover(folder), next_one()):
                with pytest.raises(OSError, match="damaged") as caught:
                    asyncio.run(finish)
                assert caught.value.filename == str(file.parent)
            assert {name: (folder / name).read_bytes() for name in _OLD} == _OLD
            assert file.exists()

    # A file that somebody else has extended since.
    again()
    with open(folder / "log", "ab") as file:
        file.write(b"?")
    with pytest.raises(OSError, match="has been changed since"):
        asyncio.run(recover(folder))
    assert _is_committed(folder)
    os.truncate(folder / "log", len(_OLD["log"]) + 2)  # as after a power cut: only the length has changed
    with open(folder / "log", "r+b") as file:
        file.seek(len(_OLD["log"]))
        file.write(b" \0")
    assert asyncio.run(recover(folder)).finished
    assert _content(folder) == _NEW


@strace.needs_strace
@pytest.mark.parametrize(
    ("injection", "expected"),
    [
        # What is staged is synchronised by one or the other.
        ("fsync,sync_file_range:error=EIO", ["failed", "EIO"]),
        ("linkat:error=EDQUOT", ["failed", "EDQUOT"]),
        ("fallocate:error=ENOSPC", ["failed", "ENOSPC"]),
        ("mkdirat:error=EROFS", ["failed", "EROFS"]),
        # Only of the file that is extended, which is after the commit point.
        ("fsync:error=EIO -P log", ["committed", "EIO"]),
        ("pwrite64:error=ENOSPC", ["committed", "ENOSPC"]),
        ("renameat:error=EIO:when=2", ["committed", "EIO"]),
    ],
)
def test_errors_at_each_step(injection: str, expected: list[str], folder: Path) -> None:
    fault, *limit = injection.split(" -P ")
    options = ["-e", f"inject={fault}", *(part for name in limit for part in ("-P", str(folder / name)))]
    done = strace.run(transacts.program(_TRANSACTS), folder, options=options)
    assert done.stdout.split() == expected, done.stderr
    committed = expected[0] == "committed"
    assert (folder / ".rapfiles").exists() is committed
    recovery = asyncio.run(recover(folder))
    assert len(recovery.finished) == committed
    assert _content(folder) == (_NEW if committed else _OLD)


_FORKS = """
import asyncio, os, signal, sys
from rapfiles import transaction

async def main(folder):
    async with transaction(folder) as t:
        await t.write_bytes("replaced", b"new")
        if os.fork() == 0:
            try:
                asyncio.run(t.write_bytes("log", b"new"))
            except RuntimeError as error:
                print(error, flush=True)
            sys.stdin.read()  # it outlives its parent
            os._exit(0)
        os.wait() if sys.argv[2] == "waits" else signal.pause()

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_keep_it_alive(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(rapfiles.__file__).parents[1])}
    command = [sys.executable, "-W", "ignore", "-c", _FORKS, str(folder)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, "pauses"], env=environment, **pipes) as parent:
        assert "before the process was forked" in parent.stdout.readline()  # type: ignore[union-attr]
        assert asyncio.run(recover(folder)).skipped
        parent.kill()
        parent.wait()
        recovery = asyncio.run(recover(folder))
        assert (len(recovery.undone), recovery.skipped) == (1, [])
        parent.communicate()
    assert _content(folder) == _OLD
    # Nor does it end what its parent goes on with.
    with subprocess.Popen([*command, "waits"], env=environment, **pipes) as parent:
        parent.communicate()
    assert parent.returncode == 0
    assert _content(folder) == {**_OLD, "replaced": b"new"}


def test_the_process_exits_in_the_middle(folder: Path) -> None:
    program = f"import asyncio, os, sys\n{_TRANSACTS}        os._exit(0)\nasyncio.run(main(sys.argv[1]))\n"
    environment = {**os.environ, "PYTHONPATH": str(Path(rapfiles.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", program, str(folder)], check=True, timeout=60, env=environment)
    assert len(asyncio.run(recover(folder)).undone) == 1
    assert _content(folder) == _OLD


def test_the_error_of_what_is_not_finished() -> None:
    error = TransactionError(errno.EIO, "Input/output error", "file")
    assert (error.committed, error.errno, error.filename) == (True, errno.EIO, "file")
    assert isinstance(error, OSError)
    assert repr(type(error)) == "<class 'rapfiles.TransactionError'>"


async def test_nothing_is_left_open(folder: Path) -> None:
    async def one() -> None:
        async with transaction(folder, durable=False) as t:
            await t.write_bytes("replaced", b"new")

    await one()
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    for _ in range(10):
        await one()
        with pytest.raises(_StopError):  # noqa: PT012
            async with transaction(folder) as t:
                await t.write_bytes("log", b"new")
                raise _StopError
    assert sys.platform != "linux" or len(os.listdir("/proc/self/fd")) <= before
    assert await AsyncPath(folder, "log").read_bytes() == _OLD["log"]
