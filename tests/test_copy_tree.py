"""copy of directories with everything in them."""

import errno
import os
import resource
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import pytest

from rapfiles import AsyncPath, Progress
from support import mounts, pathlib_copy
from support.exchanges import exchanging, rounds
from support.generated import description, generate
from support.leaks import nothing_leaks


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("preserve", [True, False])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.one_loop
async def test_what_pathlib_copies(seed: int, preserve: bool, follow: bool, tmp_path: Path) -> None:
    source = tmp_path / "source"
    generate(source, seed)
    if follow:
        # One that leads nowhere is an error, and one that leads up has no end.
        for path in [
            Path(folder, name) for folder, names, files in os.walk(source) for name in names + files
        ]:
            if path.is_symlink() and (not path.exists() or path.is_dir()):
                path.unlink()
    pathlib_copy.copy(source, tmp_path / "theirs", follow_symlinks=follow, preserve_metadata=preserve)
    expected = description(tmp_path / "theirs", metadata=preserve)
    copied = await AsyncPath(source).copy(
        tmp_path / "ours", follow_symlinks=follow, preserve_metadata=preserve
    )
    assert copied == AsyncPath(tmp_path, "ours")
    assert description(tmp_path / "ours", metadata=preserve) == expected
    assert sorted(os.listdir(tmp_path)) == ["ours", "source", "theirs"]


async def test_links_to_directories_are_followed(tmp_path: Path) -> None:
    (tmp_path / "outside" / "in").mkdir(parents=True)
    (tmp_path / "outside" / "in" / "file").write_bytes(b"content")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "link").symlink_to("../outside")
    for number in range(20):  # what is beside is found again
        (tmp_path / "source" / f"folder-{number}" / "a" / "b").mkdir(parents=True)
    await AsyncPath(tmp_path, "source").copy(tmp_path / "copy")
    assert (tmp_path / "copy" / "link" / "in" / "file").read_bytes() == b"content"
    assert not (tmp_path / "copy" / "link").is_symlink()
    assert len(list((tmp_path / "copy").glob("*/a/b"))) == 20
    (tmp_path / "source" / "folder-3" / "up").symlink_to("..")
    with pytest.raises(OSError, match="Too many levels of symbolic links") as caught:
        await AsyncPath(tmp_path, "source").copy(tmp_path / "second")
    assert caught.value.filename == str(tmp_path / "source" / "folder-3" / "up")
    assert not (tmp_path / "second").exists()


async def test_a_directory_is_not_copied_into_itself(tmp_path: Path) -> None:
    (tmp_path / "source" / "in").mkdir(parents=True)
    (tmp_path / "link").symlink_to("source")
    before = description(tmp_path)
    for target in ("link/in/new", "source/../source/new", "link/new"):
        with pytest.raises(OSError, match="Source path is a parent of target path") as caught:
            await AsyncPath(tmp_path, "source").copy(tmp_path / target)
        assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, str(tmp_path / "source"))
    assert description(tmp_path) == before


async def test_errors_name_what_they_are_about(tmp_path: Path) -> None:
    (tmp_path / "source" / "a").mkdir(parents=True)
    (tmp_path / "source" / "a" / "dangling").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError) as caught:
        await AsyncPath(tmp_path, "source").copy(tmp_path / "copy")
    assert caught.value.filename == str(tmp_path / "source" / "a" / "dangling")
    assert os.listdir(tmp_path) == ["source"]


async def test_errors_can_be_passed_over(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number in range(5):
        (source / str(number)).mkdir(parents=True)
        (source / str(number) / "file").write_bytes(b"content")
        (source / str(number) / "dangling").symlink_to("nowhere")
    os.mkfifo(source / "fifo")
    errors: list[OSError] = []

    async def asynchronous(error: OSError) -> None:
        await anyio.sleep(0)
        errors.append(error)

    for on_error in (errors.append, asynchronous):
        errors.clear()
        await AsyncPath(source).copy(tmp_path / "copy", on_error=on_error)
        assert sorted(str(error.filename) for error in errors) == sorted(
            [*(str(source / str(number) / "dangling") for number in range(5)), str(source / "fifo")]
        )
        assert len(list((tmp_path / "copy").glob("*/file"))) == 5
        assert len(list((tmp_path / "copy").rglob("*"))) == 10
        shutil.rmtree(tmp_path / "copy")

    def refuse(error: OSError) -> None:
        raise RuntimeError("enough") from error

    with pytest.raises(RuntimeError, match="enough"):
        await AsyncPath(source).copy(tmp_path / "copy", on_error=refuse)
    with pytest.raises(FileNotFoundError):  # there is nothing to go on with
        await AsyncPath(tmp_path, "missing").copy(tmp_path / "other", on_error=errors.append)


async def test_merging(tmp_path: Path) -> None:
    source, target, outside = tmp_path / "source", tmp_path / "target", tmp_path / "outside"
    generate(source, 1)
    target.mkdir()
    outside.mkdir()
    (target / "own").write_bytes(b"stays")
    (source / "both").mkdir()
    (source / "both" / "file").write_bytes(b"new")
    (target / "both").mkdir()
    (target / "both" / "file").write_bytes(b"old")
    (target / "both" / "other").write_bytes(b"stays")
    inode = (target / "both" / "file").stat().st_ino
    with pytest.raises(FileExistsError):
        await AsyncPath(source).copy(target)
    await AsyncPath(source).copy(target, merge=True, follow_symlinks=False)
    assert (target / "both" / "file").read_bytes() == b"new"
    assert (target / "both" / "file").stat().st_ino == inode
    (target / "own").unlink()
    (target / "both" / "other").unlink()
    assert {*description(source)} == {*description(target)}
    # Links in the target lead out of it.
    shutil.rmtree(target / "both")
    for link in ("both", "both/file"):
        (target / link).symlink_to(outside)
        with pytest.raises(FileExistsError):
            await AsyncPath(source, "both").copy(target / "both", merge=link != "both")
        (target / link).unlink()
        (target / "both").mkdir(exist_ok=True)
    assert os.listdir(outside) == []


async def test_hard_links(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "a" / "b").mkdir(parents=True)
    (source / "first").write_bytes(b"content")
    for name in ("a/second", "a/b/third"):
        os.link(source / "first", source / name)
    await AsyncPath(source).copy(tmp_path / "copied")
    assert (tmp_path / "copied" / "first").stat().st_nlink == 1
    await AsyncPath(source).copy(tmp_path / "preserved", hardlinks="preserve")
    inodes = {(tmp_path / "preserved" / name).stat().st_ino for name in ("first", "a/second", "a/b/third")}
    assert len(inodes) == 1
    assert (tmp_path / "preserved" / "first").read_bytes() == b"content"


@pytest.mark.one_loop
async def test_deep_and_with_few_descriptors(tmp_path: Path) -> None:
    """Deeper than a path may be long, with fewer descriptors than levels."""
    levels = 1000
    here = os.open(tmp_path, os.O_RDONLY)
    for name in ["source", *["level"] * levels]:
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
        os.close(os.open("file", os.O_CREAT, dir_fd=here))
    os.close(here)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 50, hard))
    try:
        await AsyncPath(tmp_path, "source").copy(tmp_path / "copy", preserve_metadata=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    here = os.open(tmp_path / "copy", os.O_RDONLY)
    for _ in range(levels):
        below = os.open("level", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
        assert "file" in os.listdir(here)
    os.close(here)
    for name in ("source", "copy"):
        subprocess.run(["rm", "-rf", str(tmp_path / name)], check=True, timeout=60)


@pytest.mark.one_loop
async def test_a_large_flat_directory(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    for number in range(1500):
        (tmp_path / "source" / f"{number}").write_bytes(b"%d" % number)
    with nothing_leaks():
        await AsyncPath(tmp_path, "source").copy(tmp_path / "copy")
    assert {int(path.name): path.read_bytes() for path in (tmp_path / "copy").iterdir()} == {
        number: b"%d" % number for number in range(1500)
    }


async def test_progress(tmp_path: Path) -> None:
    (tmp_path / "source" / "in").mkdir(parents=True)
    for number in range(10):
        (tmp_path / "source" / f"{number}").write_bytes(b"x" * 1000)
    told: list[Progress] = []

    async def asynchronous(progress: Progress) -> None:
        await anyio.sleep(0)
        told.append(progress)

    for callback in (told.append, asynchronous):
        told.clear()
        await AsyncPath(tmp_path, "source").copy(tmp_path / "copy", progress=callback)
        last = told[-1]
        assert (last.files, last.directories, last.bytes, last.errors) == (10, 2, 10_000, 0)
        assert (last.current, last.total_files) == (None, None)
        assert last.rate > 0
        shutil.rmtree(tmp_path / "copy")


@pytest.mark.one_loop
async def test_no_space_leaves_nothing(tmp_path: Path) -> None:
    if (reason := mounts.missing("tmpfs")) is not None:
        pytest.skip(reason)
    source = tmp_path / "source"
    source.mkdir()
    for number in range(100):
        (source / f"{number}").write_bytes(os.urandom(100_000))
    before = description(source)
    with mounts.mounted("tmpfs", tmp_path / "small", size=2 << 20) as root:
        for act in ("copy", "move"):
            with nothing_leaks(), pytest.raises(OSError, match="No space left"):
                await getattr(AsyncPath(source), act)(root / "target")
            assert os.listdir(root) == []
            assert description(source) == before


@pytest.mark.one_loop
@pytest.mark.parametrize("after", [0, 0.001, 0.003, 0.01, 0.03])
async def test_cancelled_at_any_moment(after: float, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    generate(source, 2, directories=30, files=300)
    before = description(source)
    with anyio.move_on_after(after):
        await AsyncPath(source).copy(target, follow_symlinks=False)
    assert description(source) == before
    if target.exists():
        assert description(target).keys() == before.keys()
    # What is unfinished goes in the background.
    while set(os.listdir(tmp_path)) - {"source", "target"}:
        await anyio.sleep(0.005)
    assert (not target.exists()) or description(target).keys() == before.keys()


KILLED = """
import asyncio, os, sys
from rapfiles import AsyncPath
print("ready", flush=True)
asyncio.run(getattr(AsyncPath(sys.argv[1]), sys.argv[3])(sys.argv[2]))
"""


@pytest.mark.one_loop
@pytest.mark.parametrize("act", ["copy", "move"])
async def test_killed_at_any_moment(act: str, tmp_path: Path) -> None:
    if (reason := mounts.missing("tmpfs")) is not None:
        pytest.skip(reason)
    with mounts.mounted("tmpfs", tmp_path / "elsewhere", size=64 << 20) as root:
        for attempt in range(6):
            source, target = tmp_path / f"source-{attempt}", root / f"target-{attempt}"
            generate(source, 3, directories=20, files=200)
            for path in [*source.rglob("*")]:
                if path.is_symlink():
                    path.unlink()
            before = description(source, modes=False)
            command = [sys.executable, "-c", KILLED, str(source), str(target), act]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                process.stdout.readline()
                threading.Event().wait(attempt * 0.004)
                process.kill()
            if target.exists():
                assert description(target, modes=False) == before
            else:
                assert description(source, modes=False) == before
            for left in os.listdir(root):
                assert left.startswith((".rapfiles-", "target-"))


async def test_the_loop_is_not_held(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    for number in range(500):
        (tmp_path / "source" / f"{number}").write_bytes(b"x" * 1000)
    (tmp_path / "source" / "large").write_bytes(b"x" * (32 << 20))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await anyio.sleep(0)
            turns += 1

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        await AsyncPath(tmp_path, "source").copy(tmp_path / "copy")
        group.cancel_scope.cancel()
    assert turns > 10


@pytest.mark.one_loop
async def test_nothing_outside_is_copied(tmp_path: Path) -> None:
    """A directory and a file of the source are exchanged for links out of it, again and again."""
    canary, source, target = tmp_path / "canary", tmp_path / "source", tmp_path / "copy"
    canary.mkdir()
    (canary / "secret").write_bytes(b"secret")
    for number in range(30):
        (source / "a" / f"{number}").mkdir(parents=True)
        (source / "a" / f"{number}" / "secret").write_bytes(b"public")
    (source / "file").write_bytes(b"public")
    (source / "a" / "way-out").symlink_to(canary)
    (source / "link").symlink_to(canary / "secret")
    with exchanging(source / "a", "3", "way-out"), exchanging(source, "file", "link"):
        for _ in rounds(least=30):
            await AsyncPath(source).copy(target, follow_symlinks=False, on_error=lambda _: None)
            for folder, _, files in os.walk(target):
                for name in files:
                    path = os.path.join(folder, name)
                    if not os.path.islink(path):
                        assert Path(path).read_bytes() in {b"public", b""}, path
            shutil.rmtree(target)
    assert os.listdir(canary) == ["secret"]


@pytest.mark.one_loop
async def test_nothing_is_written_outside(tmp_path: Path) -> None:
    """A directory of the target is exchanged for a link out of it while a copy is merged into it."""
    canary, source, target = tmp_path / "canary", tmp_path / "source", tmp_path / "target"
    for number in range(30):
        (source / "a" / f"{number}").mkdir(parents=True)
        (source / "a" / f"{number}" / "file").write_bytes(b"content")
    canary.mkdir()
    (target / "a" / "3").mkdir(parents=True)
    (target / "a" / "way-out").symlink_to(canary)
    with exchanging(target / "a", "3", "way-out"):
        for _ in rounds(least=40):
            await AsyncPath(source).copy(target, merge=True, on_error=lambda _: None)
    assert os.listdir(canary) == []
