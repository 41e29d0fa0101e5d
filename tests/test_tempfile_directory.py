"""Temporary directories go with everything in them, and with nothing else."""

import contextlib
import errno
import os
import stat
import subprocess
import sys
import tempfile as stdlib
import threading
from pathlib import Path

import anyio
import pytest

from rapfiles import AsyncPath, _native
from rapfiles.tempfile import AsyncTemporaryDirectory, TemporaryDirectory
from support import ground, process
from support.leftovers import entries, no_warnings, nothing_left
from support.loops import settle_garbage


async def test_it_is_a_path_inside_the_block(directory: Path) -> None:
    async with TemporaryDirectory(dir=directory) as path:
        assert isinstance(path, AsyncPath)
        assert path.parent == AsyncPath(directory)
        await (path / "sub").mkdir()
        await (path / "sub" / "file").write_bytes(b"content")
    assert entries(directory) == []


async def test_awaited_it_is_an_object(directory: Path) -> None:
    temporary = await TemporaryDirectory("suffix", "prefix", directory)
    assert isinstance(temporary, AsyncTemporaryDirectory)
    assert [temporary.name] == [str(directory / name) for name in entries(directory)]
    assert temporary.path == AsyncPath(temporary.name)
    await (temporary.path / "file").touch()
    await temporary.cleanup()
    assert entries(directory) == []
    await temporary.cleanup()
    # As in the standard library, a directory that was created again can be removed again.
    os.mkdir(temporary.name)
    await temporary.cleanup()
    assert entries(directory) == []


async def test_the_object_can_be_entered(tmp_path: Path) -> None:
    async with await TemporaryDirectory(dir=tmp_path) as path:
        assert await path.is_dir()
    assert entries(tmp_path) == []
    temporary = await TemporaryDirectory(dir=tmp_path)
    async with temporary as path:
        await temporary.cleanup()
    assert entries(tmp_path) == []


async def test_an_exception_passes_through(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with TemporaryDirectory(dir=tmp_path):
            raise ZeroDivisionError
    assert entries(tmp_path) == []


async def test_without_delete(tmp_path: Path) -> None:
    with no_warnings():
        async with TemporaryDirectory(dir=tmp_path, delete=False) as path:
            pass
        assert await path.is_dir()
        await path.rmdir()
        temporary = await TemporaryDirectory(dir=tmp_path, delete=False)
        await temporary.cleanup()
        assert entries(tmp_path) == []
        temporary = await TemporaryDirectory(dir=tmp_path, delete=False)
        del temporary
        await anyio.sleep(0)
        settle_garbage()
    assert len(entries(tmp_path)) == 1


async def test_dropped(tmp_path: Path) -> None:
    async def drop() -> None:
        temporary = await TemporaryDirectory(dir=tmp_path)
        await (temporary.path / "file").touch()
        del temporary
        await anyio.sleep(0)  # asyncio itself holds on to what it has just delivered
        settle_garbage()

    with pytest.warns(ResourceWarning, match=r"Implicitly cleaning up <TemporaryDirectory '.*'>"):
        await drop()
    await nothing_left(tmp_path)


async def test_cleaned_up_and_dropped_is_silent(tmp_path: Path) -> None:
    with no_warnings():
        temporary = await TemporaryDirectory(dir=tmp_path)
        await temporary.cleanup()
        del temporary
        await anyio.sleep(0)


async def test_a_tree_of_everything(tmp_path: Path) -> None:
    async with TemporaryDirectory(dir=tmp_path) as path:
        ground.build_varied(Path(path))
    assert entries(tmp_path) == []


async def test_a_deep_tree(tmp_path: Path) -> None:
    """Deeper than there are descriptors or levels of recursion."""
    async with TemporaryDirectory(dir=tmp_path) as path:
        with contextlib.chdir(path):
            for _ in range(5000):
                os.mkdir("d")
                os.chdir("d")
            Path("file").touch()
    assert entries(tmp_path) == []


async def test_it_vanished(tmp_path: Path) -> None:
    async with TemporaryDirectory(dir=tmp_path) as path:
        await path.rmdir()
    async with TemporaryDirectory(dir=tmp_path) as path:
        await path.rename(tmp_path / "elsewhere")
    assert entries(tmp_path) == ["elsewhere"]


async def test_a_file_in_its_place(tmp_path: Path) -> None:
    temporary = await TemporaryDirectory(dir=tmp_path)
    await temporary.path.rmdir()
    await temporary.path.write_bytes(b"not ours")
    with pytest.raises(NotADirectoryError) as caught:
        await temporary.cleanup()
    assert caught.value.filename == temporary.name
    assert await temporary.path.read_bytes() == b"not ours"


@pytest.mark.parametrize("ignore_errors", [False, True])
async def test_a_link_in_its_place(tmp_path: Path, ignore_errors: bool) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(0o750)
    (victim / "file").write_bytes(b"precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    temporary = await TemporaryDirectory(dir=folder, ignore_cleanup_errors=ignore_errors)
    await temporary.path.rmdir()
    await temporary.path.symlink_to(victim)
    if ignore_errors:
        await temporary.cleanup()
    else:
        with pytest.raises(OSError, match=r".") as caught:
            await temporary.cleanup()
        assert caught.value.errno in (errno.ENOTDIR, errno.ELOOP)
        assert caught.value.filename == temporary.name
    assert (victim / "file").read_bytes() == b"precious"
    assert stat.S_IMODE(victim.stat().st_mode) == 0o750


async def test_links_inside_are_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_bytes(b"precious")
    (victim / "file").chmod(0o400)
    victim.chmod(0o500)
    async with TemporaryDirectory(dir=tmp_path) as path:
        for name, target in {"dir": victim, "file": victim / "file", "up": "..", "loop": "loop"}.items():
            await (path / name).symlink_to(target)
        await (path / "locked").mkdir()
        await (path / "locked" / "dir").symlink_to(victim)
        await (path / "locked").chmod(0o500)
    assert entries(tmp_path) == ["victim"]
    assert (victim / "file").read_bytes() == b"precious"
    assert stat.S_IMODE((victim / "file").stat().st_mode) == 0o400
    assert stat.S_IMODE(victim.stat().st_mode) == 0o500


@pytest.mark.skipif(sys.platform != "linux", reason="exchanges two names at one stroke")
def test_directories_exchanged_for_links_meanwhile(tmp_path: Path) -> None:
    """While directories and links to a victim change places all the time, the victim is never touched."""
    victim = tmp_path / "victim"
    for number in range(20):
        (victim / str(number)).mkdir(parents=True)
        (victim / str(number) / "file").write_bytes(b"precious")
    stop = threading.Event()

    def exchange(folder: Path) -> None:
        while not stop.is_set():
            for number in range(20):
                with contextlib.suppress(OSError):
                    os.rename(folder / str(number), folder / "aside")
                    os.symlink(victim / str(number), folder / str(number))
                    os.unlink(folder / str(number))
                    os.rename(folder / "aside", folder / str(number))

    for round_ in range(30):
        folder = tmp_path / f"folder-{round_}"
        for number in range(20):
            (folder / str(number)).mkdir(parents=True)
            (folder / str(number) / "file").write_bytes(b"not precious")
        stop.clear()
        attacker = threading.Thread(target=exchange, args=(folder,))
        attacker.start()
        try:
            _native.remove_tree_here(str(folder), True)
        finally:
            stop.set()
            attacker.join()
        _native.remove_tree_here(str(folder), False)
        assert not folder.exists()
        for number in range(20):
            assert (victim / str(number) / "file").read_bytes() == b"precious"


_AS_NOBODY = """
import os, shutil, sys
sys.path[:0] = sys.argv[3:]
# What is imported later may be where this user cannot read.
import asyncio, concurrent.futures.thread, encodings.idna, traceback, trio
from pathlib import Path
from rapfiles import tempfile
from rapfiles.tempfile import TemporaryDirectory

folder, uid = sys.argv[1], int(sys.argv[2])
os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)

def build(path):
    path = Path(path)
    for name, mode in {"none": 0, "read": 0o400, "write": 0o200, "enter": 0o100, "look": 0o500}.items():
        for inside in ("file", "dir/file", "dir/dir/file"):
            target = path / name / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
            target.chmod(0)
        (path / name / "empty").mkdir()
        (path / name / "link").symlink_to(folder)
        for inside in ("empty", "dir/dir", "dir", "."):
            (path / name / inside).chmod(mode)
    path.chmod(0o500)

async def main():
    async with TemporaryDirectory(dir=folder) as path:
        build(path)
    assert os.listdir(folder) == ["of-root"], os.listdir(folder)
    # What belongs to another cannot be removed: that is said, unless it is to be ignored.
    for ignore in (False, True):
        temporary = await TemporaryDirectory(dir=folder, ignore_cleanup_errors=ignore)
        Path(temporary.name, "a").mkdir()
        Path(temporary.name, "a", "file").touch()
        os.rename(Path(folder, "of-root"), Path(temporary.name, "of-root"))
        try:
            await temporary.cleanup()
        except PermissionError as error:
            assert not ignore
            assert error.filename == os.path.join(temporary.name, "of-root", "file"), error
        else:
            assert ignore
            assert os.listdir(temporary.name) == ["of-root"]
        os.rename(Path(temporary.name, "of-root"), Path(folder, "of-root"))
        shutil.rmtree(temporary.name)
    print("done")

asyncio.run(main())
trio.run(main)
"""


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user")
def test_what_lacks_permissions_is_removed(tmp_path: Path) -> None:
    """Root needs no permissions, hence another user."""
    for parent in (tmp_path, *tmp_path.parents[:-2]):
        parent.chmod(parent.stat().st_mode | 0o755)
    folder = tmp_path / "everyones"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "of-root").mkdir()
    # Everybody can move it, but only its owner can remove what is in it.
    (folder / "of-root").chmod(0o1777)
    (folder / "of-root" / "file").touch()
    done = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, str(folder), "65534", *sys.path],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "done\n" * 2), done.stderr


async def test_cleaned_up_by_several_at_once(tmp_path: Path) -> None:
    temporary = await TemporaryDirectory(dir=tmp_path)
    for number in range(300):
        (Path(temporary.name) / f"{number % 20}" / f"{number}").mkdir(parents=True)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(temporary.cleanup)
    assert entries(tmp_path) == []


async def test_a_removal_is_awaited_once(tmp_path: Path) -> None:
    (tmp_path / "top" / "a" / "b").mkdir(parents=True)
    removing = _native.remove_tree(str(tmp_path / "top"), False)
    assert await removing is None
    with pytest.raises(RuntimeError, match="already awaited"):
        await removing
    with pytest.warns(RuntimeWarning, match="coroutine 'remove_tree' was never awaited"):
        _native.remove_tree(str(tmp_path), False)
    assert entries(tmp_path) == []


async def test_descriptors_do_not_run_out(tmp_path: Path) -> None:
    """Many at once, each removed in a thread."""
    async with anyio.create_task_group() as group:

        async def use() -> None:
            async with TemporaryDirectory(dir=tmp_path) as path:
                await (path / "file").touch()

        for _ in range(300):
            group.start_soon(use)
    assert entries(tmp_path) == []


def test_the_standard_library_says_the_same(tmp_path: Path) -> None:
    """The text by which others look for it."""
    temporary = stdlib.TemporaryDirectory(dir=tmp_path)
    assert repr(temporary) == f"<TemporaryDirectory {temporary.name!r}>"
    temporary.cleanup()


_UNEXPECTED = """
import asyncio, sys, warnings
from rapfiles.tempfile import TemporaryDirectory

async def main():
    global held
    held = await TemporaryDirectory(dir=sys.argv[1])
    print("ready", flush=True)

warnings.simplefilter("always")
asyncio.run(main())
"""


def test_held_until_the_end(tmp_path: Path) -> None:
    ended = process.run(_UNEXPECTED, str(tmp_path))
    assert ended.code == 0
    assert "ResourceWarning: Implicitly cleaning up <TemporaryDirectory" in ended.errors
    assert "Traceback" not in ended.errors
    assert entries(tmp_path) == []
