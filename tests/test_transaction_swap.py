"""Transactions that exchange the whole directory: others see all changes at once, or none."""

import asyncio
import errno
import inspect
import os
import random
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

import rapfiles
from rapfiles import recover, transaction
from support import effort, kill_points, mounts, strace, transacts
from support.engine import idle
from support.process import limited

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot exchange directories")
root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may give files away")
mountable = pytest.mark.skipif(mounts.can_mount() is not None, reason=str(mounts.can_mount()))
_OLD = {name: f"old {name}".encode() for name in ("changed", "log", "moved", "removed", "sub/inner")}
_NEW = {
    "changed": b"new",
    "log": b"old log more",
    "elsewhere": b"old moved on",
    "sub/inner": b"old sub/inner",
    "sub/new": b"new",
}


def _content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def _make(folder: Path) -> None:
    shutil.rmtree(folder.parent, ignore_errors=True)
    (folder / "sub").mkdir(parents=True)
    for name, content in _OLD.items():
        (folder / name).write_bytes(content)


def _is_tidy(folder: Path) -> bool:
    """Whether there is nothing beside it, and no log."""
    return os.listdir(folder.parent) == [folder.name] and not (folder / ".rapfiles").exists()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "above" / "folder"
    _make(folder)
    return folder


async def _change(t: rapfiles.Transaction) -> None:
    await t.write_bytes("changed", b"new")
    await t.append_bytes("log", b" more")
    await t.rename("moved", "elsewhere")
    await t.append_bytes("elsewhere", b" on")
    await t.remove("removed")
    await t.write_bytes("sub/new", b"new")


@pytest.mark.parametrize("durable", [True, False])
async def test_all_changes_are_made_at_once(durable: bool, folder: Path) -> None:
    (folder / "changed").chmod(0o640)
    kept = (folder / "sub" / "inner").stat().st_ino
    async with transaction(folder, durable=durable, swap=True) as t:
        await _change(t)
        assert {name: text for name, text in _content(folder).items() if ".rapfiles" not in name} == _OLD
        assert not t.committed
    assert t.committed
    assert _content(folder) == _NEW
    assert _is_tidy(folder)
    assert stat.S_IMODE((folder / "changed").stat().st_mode) == 0o640
    assert (folder / "sub" / "inner").stat().st_ino == kept
    assert await recover(folder) == ([], [], [], [])


async def test_without_changes_it_stays(folder: Path) -> None:
    before = folder.stat().st_ino
    async with transaction(folder, swap=True):
        pass
    assert folder.stat().st_ino == before
    assert _is_tidy(folder)


class _StopError(Exception):
    pass


async def test_none_after_an_exception_or_a_cancel(folder: Path) -> None:
    with pytest.raises(_StopError):  # noqa: PT012
        async with transaction(folder, swap=True) as t:
            await _change(t)
            raise _StopError
    assert _content(folder) == _OLD
    assert _is_tidy(folder)
    for place in range(4):
        with anyio.CancelScope() as scope:
            t = transaction(folder, swap=True)
            if place == 0:
                scope.cancel()
            async with t:
                if place == 1:
                    scope.cancel()
                await t.write_bytes("changed", b"n" * 100_000)
                if place == 2:
                    scope.cancel()
                await t.append_bytes("log", b"more")
                scope.cancel()
                await anyio.sleep(0)
        await idle()
        while not _is_tidy(folder):  # what was under way is undone in the background
            await anyio.sleep(0.001)
        assert scope.cancelled_caught
        assert not t.committed
        assert _content(folder) == _OLD


async def test_cancelled_while_it_is_committed(folder: Path) -> None:
    for delay in [0.0005 * n for n in range(10)]:
        _make(folder)
        t = transaction(folder, swap=True)
        with anyio.CancelScope() as scope:
            async with t:
                await _change(t)
                scope.deadline = anyio.current_time() + delay
        await idle()
        while not _is_tidy(folder):
            await anyio.sleep(0.001)
        assert _content(folder) == (_NEW if t.committed else _OLD)


def _program(rng: random.Random) -> list[tuple[str, ...]]:
    """Changes of any kind, some of which are refused."""
    names = ["a", "b", "c", "sub/a", "sub/b", "new", "new/a", "sub/deep/a", "link", "missing/a"]
    kinds = ["write_bytes", "append_bytes", "rename", "copy", "remove", "mkdir"]
    program: list[tuple[str, ...]] = []
    for _ in range(rng.randrange(1, 12)):
        kind = rng.choice(kinds)
        names_taken = 2 if kind in ("rename", "copy") else 1
        program.append((kind, *(rng.choice(names) for _ in range(names_taken))))
    return program


def _ground(folder: Path) -> None:
    _make(folder)
    (folder / "sub" / "deep").mkdir()
    for name in ("a", "b", "sub/a", "sub/deep/a"):
        (folder / name).write_text(name * 100)
        (folder / name).chmod(0o600 + len(name))
    (folder / "again").hardlink_to(folder / "sub" / "a")
    (folder / "link").symlink_to("a")


def _seen(folder: Path) -> dict[str, tuple[int, object]]:
    found: dict[str, tuple[int, object]] = {}
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        content: object = os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        found[str(path.relative_to(folder))] = (mode, content)
    return found


async def _run(folder: Path, program: list[tuple[str, ...]], swap: bool) -> list[object]:
    """What comes of each change."""
    outcomes: list[object] = []
    try:
        async with transaction(folder, durable=False, swap=swap) as t:
            for number, (kind, *names) in enumerate(program):
                data = (b"%d" % number * 50,) if kind.endswith("bytes") else ()
                try:
                    outcomes.append(await getattr(t, kind)(*names, *data))
                except OSError as error:
                    outcomes.append((type(error), error.errno))
    except OSError as error:
        outcomes.append((type(error), error.errno))
    return outcomes


@pytest.mark.one_loop
async def test_it_does_the_same_as_without_the_exchange(tmp_path: Path) -> None:
    for seed in range(effort.times(10, 400)):
        program = _program(random.Random(seed))
        results = []
        for swap in (False, True):
            folder = tmp_path / str(swap) / "folder"
            _ground(folder)
            outcomes = await _run(folder, program, swap)
            found = _seen(folder)
            if swap:
                # A file that is extended is a new one, so that its other names keep the old content.
                found.pop("again")
                results[0][1].pop("again")
                assert _is_tidy(folder), seed
            results.append((outcomes, found))
        assert results[0] == results[1], (seed, program)


@contextmanager
def _reading(folder: Path) -> Iterator[list[str]]:
    """Meanwhile a thread reads two files of the directory again and again, which it opens each time."""
    problems: list[str] = []
    stop = threading.Event()
    begun = threading.Event()

    def read() -> None:
        while not stop.is_set():
            directory = os.open(folder, os.O_RDONLY)
            try:
                texts = []
                for name in ("one", "two"):
                    file = os.open(name, os.O_RDONLY, dir_fd=directory)
                    with open(file, "rb") as opened:
                        texts.append(opened.read())
                if texts[0] != texts[1]:
                    problems.append(f"a mixture: {texts}")
            except FileNotFoundError:
                # The directory that was opened is not the directory any more.
                if os.fstat(directory).st_ino == os.stat(folder).st_ino:
                    problems.append("a file was missing")
            finally:
                os.close(directory)
            begun.set()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        begun.wait()
        yield problems
    finally:
        stop.set()
        thread.join()


@pytest.mark.one_loop
async def test_a_reader_never_sees_a_part(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / name).write_bytes(b"0")
    with _reading(folder) as problems:
        for number in range(1, 13):
            async with transaction(folder, durable=False, swap=True) as t:
                await t.write_bytes("two", b"%d" % number)
                await t.write_bytes("one", b"%d" % number)
    assert problems == []
    assert (folder / "two").read_bytes() == b"12"


@pytest.mark.one_loop
async def test_what_is_open_stays_open(folder: Path) -> None:
    directory = os.open(folder, os.O_RDONLY)
    with open(folder / "log", "rb") as log, open(folder / "sub/inner", "r+b") as inner:
        async with transaction(folder, swap=True) as t:
            await t.append_bytes("log", b" more")
            inner.write(b"OLD")
            inner.flush()
        # The old directory is gone; a file that was extended is a new one, and others are the same.
        assert os.listdir(directory) == []
        assert log.read() == b"old log"
        assert (folder / "log").read_bytes() == b"old log more"
        assert (folder / "sub/inner").read_bytes() == b"OLD sub/inner"
        inner.write(b"!")
        inner.flush()
        assert (folder / "sub/inner").read_bytes() == b"OLD!sub/inner"
    os.close(directory)


@pytest.mark.one_loop
async def test_any_path_of_the_directory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(folder.parent)
    paths = ["folder", "./folder", "folder/", "folder/.", "folder/sub/..", tmp_path / "link", folder]
    for number, path in enumerate(paths):
        async with transaction(path, durable=False, swap=True) as t:
            await t.write_bytes("changed", b"%d" % number)
        assert (folder / "changed").read_bytes() == b"%d" % number
        assert await recover(path) == ([], [], [], [])
        assert _is_tidy(folder)


@pytest.mark.one_loop
async def test_a_directory_that_the_process_is_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for inside in (folder, folder / "sub"):
        monkeypatch.chdir(inside)
        with pytest.raises(OSError, match="working directory") as caught:
            async with transaction(folder, swap=True):
                pass
        assert caught.value.errno == errno.EBUSY
    monkeypatch.chdir(folder.parent)
    with pytest.raises(OSError, match="working directory"):  # noqa: PT012
        async with transaction(folder, swap=True) as t:
            await t.write_bytes("changed", b"new")
            monkeypatch.chdir(folder)
    monkeypatch.chdir(folder.parent)
    assert _content(folder) == _OLD
    assert _is_tidy(folder)


async def test_another_transaction_has_exchanged_it(folder: Path) -> None:
    for swap in (True, False):
        _make(folder)
        with pytest.raises(OSError, match="has been replaced") as caught:  # noqa: PT012
            async with transaction(folder, swap=swap) as outer:
                await outer.write_bytes("changed", b"outer")
                async with transaction(folder, swap=True) as inner:
                    await inner.append_bytes("log", b" inner")
                with pytest.raises(OSError, match="has been replaced"):
                    await outer.append_bytes("log", b" outer")
        assert caught.value.errno == errno.EBUSY
        assert not outer.committed
        assert _content(folder) == {**_OLD, "log": b"old log inner"}
        assert _is_tidy(folder)
        # One that begins later, or that ends before, is none of its business.
        async with transaction(folder, swap=True) as outer:
            await outer.append_bytes("log", b" outer")
            async with transaction(folder) as inner:
                await inner.append_bytes("log", b" again")
            assert (await recover(folder)).skipped
        assert _content(folder) == {**_OLD, "log": b"old log inner again outer"}
        assert _is_tidy(folder)


_IS_KILLED = """
import asyncio, sys
from rapfiles import transaction

async def main():
    async with transaction(sys.argv[1], swap=True) as t:
        await t.write_bytes("sub/new", b"killed")
        print("begun", flush=True)
        sys.stdin.read()

asyncio.run(main())
"""


@pytest.mark.one_loop
async def test_it_is_exchanged_under_another_one_that_is_killed(folder: Path) -> None:
    """Nobody finds any more what that has left, unless this one looks for it."""
    with limited(
        subprocess.Popen(
            [sys.executable, "-c", _IS_KILLED, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"begun\n"
        async with transaction(folder, swap=True) as t:
            await t.write_bytes("changed", b"new")
        other.kill()
        other.communicate()
    assert _content(folder) == {**_OLD, "changed": b"new"}
    assert _is_tidy(folder)


@pytest.mark.one_loop
async def test_many_at_once(folder: Path) -> None:
    """Whoever is too late tries again."""

    async def one(number: int) -> None:
        while True:
            try:
                async with transaction(folder, durable=False, swap=number % 2 == 0) as t:
                    await t.append_bytes("log", b" %d" % number)
                    await t.write_bytes("changed", b"%d" % number)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
            else:
                return

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(one, number)
    numbers = (folder / "log").read_bytes().removeprefix(b"old log ").split()
    assert sorted(numbers, key=int) == [b"%d" % number for number in range(8)]
    assert numbers[-1] == (folder / "changed").read_bytes()
    assert _is_tidy(folder)


@pytest.mark.one_loop
async def test_another_directory_has_its_name(folder: Path) -> None:
    with pytest.raises(OSError, match="has been replaced"):  # noqa: PT012
        async with transaction(folder, swap=True) as t:
            await t.write_bytes("changed", b"new")
            folder.rename(folder.parent / "away")
            folder.mkdir()
            (folder / "innocent").touch()
    assert _content(folder) == {"innocent": b""}
    assert _content(folder.parent / "away") == _OLD
    assert sorted(os.listdir(folder.parent)) == ["away", "folder"]


@pytest.mark.one_loop
async def test_logs_in_a_subdirectory(folder: Path) -> None:
    async with transaction(folder / "sub"):
        with pytest.raises(OSError, match="logs of transactions") as caught:
            async with transaction(folder, swap=True) as t:
                await t.write_bytes("changed", b"new")
        assert (caught.value.errno, caught.value.filename) == (errno.EBUSY, str(folder / "sub"))
    assert _content(folder) == _OLD


@root
@pytest.mark.one_loop
async def test_what_the_directories_keep(folder: Path) -> None:
    # With permissions for one more user, in the form of `linux/posix_acl_xattr.h`.
    acl = bytes.fromhex(
        "02000000 01000700ffffffff 02000500d2040000 04000500ffffffff 10000500ffffffff 20000000ffffffff"
    )
    inner = folder / "sub" / "deeper"
    inner.mkdir()
    (folder / "fifo").parent.mkdir(exist_ok=True)
    os.mkfifo(folder / "fifo")
    (folder / "link").symlink_to("nowhere")
    (folder / "hard").hardlink_to(folder / "log")
    expected: dict[Path, object] = {}
    for path, mode in ((folder, 0o2751), (folder / "sub", 0o1711), (inner, 0o500)):
        os.chown(path, 12345, 23456)
        os.setxattr(path, "user.colour", str(path).encode())
        path.chmod(mode)
    os.setxattr(folder / "sub", "system.posix_acl_default", acl)
    os.setxattr(folder, "system.posix_acl_access", acl)
    # What is made beside it would inherit this.
    os.setxattr(folder.parent, "system.posix_acl_default", acl)
    os.utime(inner, ns=(10**18, 10**18 + 5))
    os.utime(folder / "link", ns=(10**18, 10**18 + 6), follow_symlinks=False)

    def seen(path: Path) -> object:
        found = path.lstat()
        names = os.listxattr(path, follow_symlinks=False)
        attributes = {name: os.getxattr(path, name, follow_symlinks=False) for name in sorted(names)}
        return found.st_mode, found.st_uid, found.st_gid, attributes

    paths = [folder, folder / "sub", inner, folder / "fifo", folder / "link", folder / "log"]
    expected.update((path, seen(path)) for path in paths)
    async with transaction(folder, swap=True) as t:
        await t.append_bytes("log", b" more")
        await t.append_bytes("sub/inner", b" more")
        await t.write_bytes("sub/new", b"new")
        await t.mkdir("made")
    assert {path: seen(path) for path in paths} == expected
    assert inner.stat().st_mtime_ns == 10**18 + 5
    assert (folder / "link").lstat().st_mtime_ns == 10**18 + 6
    assert (folder / "sub").stat().st_mtime_ns > 10**18 + 5
    assert os.listxattr(folder / "made") == []
    assert (folder / "log").read_bytes() == b"old log more"
    assert (folder / "hard").read_bytes() == b"old log"
    os.removexattr(folder.parent, "system.posix_acl_default")


@root
@pytest.mark.one_loop
async def test_what_is_planted_beside_it(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    log = folder / ".rapfiles" / ("0" * 24)
    beside = folder.parent / f".rapfiles-swap-{log.name}"
    # A link is not followed.
    log.mkdir(parents=True, mode=0o700)
    beside.symlink_to(outside)
    with pytest.raises(OSError, match="Errno"):
        await recover(folder)
    beside.unlink()
    # Nor is something removed that belongs to somebody else.
    beside.mkdir()
    (beside / "file").touch()
    os.chown(beside, 12345, 12345)
    with pytest.raises(PermissionError):
        await recover(folder)
    assert os.listdir(beside) == ["file"]
    os.chown(beside, 0, 0)
    (beside / "link").symlink_to(outside)
    assert len((await recover(folder)).undone) == 1
    assert os.listdir(outside) == ["file"]
    assert _is_tidy(folder)


@root
@pytest.mark.one_loop
@pytest.mark.parametrize("flag", ["i", "a"])
async def test_flags_that_keep_entries(flag: str, folder: Path) -> None:
    """What must not be removed from a directory could not be removed from the old one."""
    for flagged in (folder / "sub", folder.parent):
        if subprocess.run(["chattr", f"+{flag}", flagged], capture_output=True, check=False).returncode:
            pytest.skip("the file system has no such flags")
        try:
            with pytest.raises(PermissionError):
                async with transaction(folder, swap=True) as t:
                    await t.write_bytes("changed", b"new")
        finally:
            subprocess.run(["chattr", f"-{flag}", flagged], check=True)
        assert _content(folder) == _OLD
        assert _is_tidy(folder)


@mountable
@pytest.mark.one_loop
async def test_mounts(tmp_path: Path) -> None:
    with mounts.mounted("tmpfs", tmp_path / "disk", size=1 << 20) as disk:
        with pytest.raises(OSError, match="mount") as caught:
            async with transaction(disk, swap=True):
                pass
        assert (caught.value.errno, caught.value.filename) == (errno.EBUSY, str(disk))
        assert os.listdir(disk) == []
        folder = disk / "above" / "folder"
        _make(folder)
        for bound, on in ((disk / "above", folder / "sub"), (folder / "log", folder / "changed")):
            subprocess.run(["mount", "--bind", bound, on], check=True)
            try:
                with pytest.raises(OSError, match="Errno") as caught:
                    async with transaction(folder, swap=True) as t:
                        await t.write_bytes("removed", b"new")
                assert (caught.value.errno, caught.value.filename) == (errno.EXDEV, str(on))
            finally:
                subprocess.run(["umount", on], check=True)
            assert _content(folder) == _OLD
            assert _is_tidy(folder)


@mountable
@pytest.mark.one_loop
async def test_a_directory_of_a_lower_layer(tmp_path: Path) -> None:
    """The exchange itself is refused: overlayfs does not rename such a directory (EXDEV)."""
    folder = tmp_path / "lower" / "folder"
    with mounts.mounted("tmpfs", tmp_path / "disk", size=1 << 20) as disk:
        _make(folder)
        for name in ("upper", "work", "merged"):
            (disk / name).mkdir()
        layers = f"lowerdir={folder.parent},upperdir={disk}/upper,workdir={disk}/work,redirect_dir=off"
        merged = disk / "merged"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, merged], check=True)
        try:
            with pytest.raises(OSError, match="Errno") as caught:
                async with transaction(merged / "folder", swap=True) as t:
                    await _change(t)
            assert caught.value.errno == errno.EXDEV
            assert _content(merged / "folder") == _OLD
            assert _is_tidy(merged / "folder")
        finally:
            subprocess.run(["umount", merged], check=True)


@mountable
@pytest.mark.one_loop
async def test_a_full_disk(tmp_path: Path) -> None:
    with mounts.mounted("tmpfs", tmp_path / "disk", size=1 << 20) as disk:
        folder = disk / "above" / "folder"
        _make(folder)
        (folder / "log").write_bytes(bytes(600 << 10))
        before = _content(folder)
        with pytest.raises(OSError, match="Errno") as caught:
            async with transaction(folder, swap=True) as t:
                await t.append_bytes("log", b"there is no room for a copy")
        assert caught.value.errno == errno.ENOSPC
        assert _content(folder) == before
        assert _is_tidy(folder)


# Of the system calls at which a transaction is killed: each takes a twentieth of a second.
_PARTS = 4
_TRANSACTS = f"""
from pathlib import Path
import rapfiles

{inspect.getsource(_change)}

async def main(above):
    async with rapfiles.transaction(Path(above, "folder"), swap=True) as t:
        await _change(t)
"""


@pytest.mark.watchdog(300)
@pytest.mark.slow
@pytest.mark.parametrize("part", range(_PARTS))
def test_killed_at_each_step(part: int, folder: Path) -> None:
    """The engine's own tests do so, too, and with recovery. The parts run side by side."""
    killed = 0
    for number in range(part + 1, 1000, _PARTS):
        _make(folder)
        over = kill_points.until(_TRANSACTS, folder.parent, number).call is None
        before = {name: text for name, text in _content(folder).items() if ".rapfiles" not in name}
        assert before in (_OLD, _NEW), number
        asyncio.run(recover(folder))
        assert _content(folder) == before, number
        assert _is_tidy(folder), number
        if over:
            break
        killed += 1
    else:
        raise AssertionError("it makes more calls than that")
    assert killed > 40


@strace.needs_strace
@pytest.mark.parametrize(
    ("injection", "expected"),
    [
        ("renameat2:error=EINVAL", ["failed", "EINVAL", "exchange"]),
        ("linkat:error=EMLINK", ["failed", "EMLINK"]),
    ],
)
def test_file_systems_without_such_a_call(injection: str, expected: list[str], folder: Path) -> None:
    done = strace.run(transacts.program(_TRANSACTS), folder.parent, options=["-e", f"inject={injection}"])
    assert done.stdout.split() == expected, done.stderr
    assert _content(folder) == _OLD
    assert _is_tidy(folder)


async def test_nothing_is_left_open(folder: Path) -> None:
    async def one() -> None:
        async with transaction(folder, durable=False, swap=True) as t:
            await t.append_bytes("log", b"new")

    await one()
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    for _ in range(5):
        await one()
        with pytest.raises(_StopError):  # noqa: PT012
            async with transaction(folder, swap=True) as t:
                await t.append_bytes("log", b"new")
                raise _StopError
    assert sys.platform != "linux" or len(os.listdir("/proc/self/fd")) <= before
