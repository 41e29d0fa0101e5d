"""How far long work has come: what snapshots say, what callbacks may do, and the bars that show it."""

import contextlib
import errno
import io
import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

import rapfiles
from rapfiles import AsyncPath, Progress, Stream
from rapfiles.progress import rich_progress, tqdm_progress
from support import fuse, mounts
from support.engine import idle
from support.leaks import nothing_leaks
from support.leftovers import becomes

Told = list[Progress]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two directories with one of everything: 3 directories, 7 files."""
    top = tmp_path / "tree"
    (top / "in" / "below").mkdir(parents=True)
    (top / "one").write_bytes(b"1" * 1000)
    (top / "in" / "again").hardlink_to(top / "one")
    (top / "in" / "empty").touch()
    with (top / "sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(3 << 20)
        file.write(b"middle")
        file.truncate(5 << 20)
    (top / "in" / "below" / "link").symlink_to("../../one")
    (top / "to a directory").symlink_to("in/below")
    os.mkfifo(top / "in" / "fifo")
    return top


SPARSE = 5 << 20


def _at_the_end(told: Told) -> Progress:
    """The last snapshot, which tells that everything was done and was known before."""
    last = told[-1]
    assert (last.files, last.directories, last.bytes) == (
        last.total_files,
        last.total_directories,
        last.total_bytes,
    )
    assert (last.current, last.counted, last.errors) == (None, None, 0)
    for known in (snapshot for snapshot in told if snapshot.total_files is not None):
        assert known[3:6] == last[3:6]
        assert (known.files, known.bytes) <= (last.files, last.bytes)
    return last


@pytest.mark.parametrize("hardlinks", ["copy", "preserve"])
@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.one_loop
async def test_totals_are_what_is_copied(follow: bool, hardlinks: Any, tree: Path, tmp_path: Path) -> None:
    told: Told = []
    await AsyncPath(tree).copy(
        tmp_path / "copy",
        follow_symlinks=follow,
        hardlinks=hardlinks,
        special_files="recreate",
        progress=told.append,
        totals=True,
    )
    last = _at_the_end(told)
    if follow:
        # The link to a directory is one, and what is in it is a file of 1000 bytes.
        contents = 1 if hardlinks == "preserve" else 4
        assert last[:3] == (7, 4, SPARSE + contents * 1000)
    else:
        contents = 1 if hardlinks == "preserve" else 2
        assert last[:3] == (7, 3, SPARSE + contents * 1000)


@pytest.mark.one_loop
async def test_totals_of_what_is_removed(tree: Path) -> None:
    told: Told = []
    await AsyncPath(tree).rmtree(progress=told.append, totals=True)
    assert _at_the_end(told)[:3] == (7, 3, 0)


@pytest.mark.one_loop
async def test_totals_of_what_is_moved(tree: Path, tmp_path: Path) -> None:
    """At a stroke, or as it is copied to another file system."""
    told: Told = []
    moved = await AsyncPath(tree).move(tmp_path / "moved", progress=told.append, totals=True)
    assert _at_the_end(told)[:3] == (1, 0, 0)
    if (reason := mounts.missing("tmpfs")) is not None:
        pytest.skip(reason)
    with mounts.mounted("tmpfs", tmp_path / "elsewhere", size=64 << 20) as root:
        told.clear()
        target = await moved.move_into(root, progress=told.append, totals=True)
        assert _at_the_end(told)[:3] == (7, 3, SPARSE + 1000)
        assert await target.exists()
        assert not await moved.exists()


@pytest.mark.parametrize("what", ["file", "empty file", "empty directory", "link to a directory"])
@pytest.mark.one_loop
async def test_totals_of_little(what: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    expected = {"file": (1, 0, 3), "empty directory": (0, 1, 0)}.get(what, (1, 0, 0))
    if what == "empty directory":
        source.mkdir()
    elif what == "link to a directory":
        (tmp_path / "directory" / "in").mkdir(parents=True)
        source.symlink_to("directory")
    else:
        source.write_bytes(b"abc" if what == "file" else b"")
    told: Told = []
    copy = AsyncPath(source).copy(tmp_path / "copy", follow_symlinks=False, progress=told.append, totals=True)
    await copy
    assert _at_the_end(told)[:3] == expected


@pytest.mark.one_loop
async def test_what_fails_is_counted(tree: Path, tmp_path: Path) -> None:
    """What cannot be counted is no error before it cannot be copied."""
    (tree / "broken").symlink_to("missing")
    told: Told = []
    errors: list[OSError] = []
    await AsyncPath(tree).copy(tmp_path / "copy", on_error=errors.append, progress=told.append, totals=True)
    last = told[-1]
    # The broken link, and the FIFO.
    assert last.errors == len(errors) == 2
    assert last.total_files == last.files + last.errors
    assert last.bytes == last.total_bytes
    told.clear()
    with pytest.raises(FileNotFoundError):
        await AsyncPath(tmp_path, "missing").copy(tmp_path / "other", progress=told.append, totals=True)
    with pytest.raises(FileNotFoundError):
        await AsyncPath(tmp_path, "missing").rmtree(progress=told.append, totals=True)


@pytest.mark.one_loop
@pytest.mark.parametrize("fault", ["eio-opendir", "eio-readdir", "eio-getattr"])
async def test_an_error_while_counting_is_told_once(
    fault: str, prompt_disk: fuse.SlowDisk, tmp_path: Path
) -> None:
    """Each directory in turn fails with EIO: it is told when it would be copied, and the rest is copied."""
    tree = ["a", "a/b", "a/b/c", "d"]
    for number, at in enumerate(tree):
        top = prompt_disk.backing / f"totals-{fault}" / str(number)
        broken = os.path.join(os.path.dirname(at), fault)
        for name in tree:
            folder = top / (name.replace(at, broken, 1) if f"{name}/".startswith(f"{at}/") else name)
            folder.mkdir(parents=True)
            (folder / "file").write_bytes(b"x" * 100)
        whole = {str(path.relative_to(top)) for path in top.rglob("*")}
        seen = prompt_disk.root / top.relative_to(prompt_disk.backing)
        told: Told = []
        errors: list[OSError] = []
        copy = tmp_path / str(number)
        await AsyncPath(seen).copy(copy, on_error=errors.append, progress=told.append, totals=True)
        assert [(error.errno, error.filename) for error in errors] == [(errno.EIO, str(seen / broken))]
        copied = {str(path.relative_to(copy)) for path in copy.rglob("*")}
        assert copied - {broken} == {name for name in whole if not f"{name}/".startswith(f"{broken}/")}
        last = told[-1]
        assert (last.errors, last.bytes) == (1, last.total_bytes)


@pytest.mark.one_loop
async def test_a_loop_of_links_is_counted_once(tmp_path: Path) -> None:
    (tmp_path / "tree" / "in").mkdir(parents=True)
    (tmp_path / "tree" / "in" / "up").symlink_to("..")
    told: Told = []
    errors: list[OSError] = []
    await AsyncPath(tmp_path, "tree").copy(
        tmp_path / "copy", on_error=errors.append, progress=told.append, totals=True
    )
    assert [error.filename for error in errors] == [str(tmp_path / "tree" / "in" / "up")]
    assert told[-1][:6] == (0, 2, 0, 0, 3, 0)


@pytest.mark.one_loop
async def test_totals_of_nobody(tree: Path, tmp_path: Path) -> None:
    """Where nobody wants to know, nothing is counted."""
    await AsyncPath(tree).copy(tmp_path / "copy", special_files="recreate", totals=True)
    await AsyncPath(tree).rmtree(totals=True)


@pytest.mark.one_loop
async def test_sums_and_searches(tree: Path) -> None:
    told: Told = []
    usage = await AsyncPath(tree).du(progress=told.append)
    assert usage == await AsyncPath(tree).du()
    # A file with two names counts once in the sums, but is come upon twice.
    assert usage.files + usage.symlinks + usage.others == 6
    assert told[-1][:3] == (7, 3, usage.apparent)
    told.clear()
    async with AsyncPath(tree).find(include="nothing is called so", progress=told.append) as found:
        assert [entry async for entry in found] == []
    assert told[-1][:3] == (7, 3, 0)
    told.clear()
    everything = AsyncPath(tree).find(progress=told.append, limit=3)
    assert len([entry async for entry in everything]) == 3
    assert told[-1].current is None
    told.clear()
    assert await AsyncPath(tree).tree(progress=told.append) == await AsyncPath(tree).tree()
    assert told[-1][:3] == (7, 3, 0)


WAYS: list[dict[str, Any]] = [
    {},
    {"exclude": ["b*", "**/d/a"]},
    {"prune": "c", "min_depth": 2, "kind": "file", "size": (1, None)},
    {"hidden": False, "include": "a"},
    {"hidden": True, "max_depth": 2, "empty": True},
    {"max_depth": 1},
    {"gitignore": True, "sort": True},
    {"follow_symlinks": True, "with_stat": True},
    {"follow_symlinks": True, "same_file_system": True, "workers": 1},
]
OF_TREE = {"max_depth", "include", "exclude", "hidden", "gitignore", "follow_symlinks", "same_file_system"}
OF_DU = {"exclude", "gitignore", "same_file_system"}


def _grow(random: Random, top: Path) -> None:
    """A tree of anything: links to whatever, also above, two names of a file, rules of git."""
    top.mkdir()
    (top / "up").symlink_to(".")
    names = ["a", "b", "c", "d", ".e", "bb"]
    directories = [top]
    for _ in range(40):
        path = random.choice(directories) / random.choice(names)
        if os.path.lexists(path):
            continue
        what = random.randrange(8)
        if what < 3:
            path.mkdir()
            directories.append(path)
        elif what < 5:
            path.write_bytes(b"a" * random.choice([0, 5, 5000]))
        elif what < 7:
            path.symlink_to(random.choice(["..", ".", "a", "../b", "c/d", "missing"]))
        else:
            path.hardlink_to(top / "twice")
        if path == top / "twice":
            continue
        if not (top / "twice").exists():
            (top / "twice").write_bytes(b"twice")
        if random.random() < 0.2:
            (path.parent / ".gitignore").write_text(random.choice(["b\n", "/c/\n", "*\n!a\n"]))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.one_loop
async def test_totals_of_what_is_read(seed: int, tmp_path: Path) -> None:
    """They are what is told in the end, whatever is left out or entered; all else is as without them."""
    random = Random(f"totals {seed}")
    _grow(random, tmp_path / "tree")
    (tmp_path / "link").symlink_to("tree")
    for way in WAYS:
        for top in (tmp_path / "tree", tmp_path / "link"):
            told: Told = []
            errors: list[list[tuple[str, int | None]]] = [[], []]

            def note(
                place: int, errors: list[list[tuple[str, int | None]]] = errors
            ) -> Callable[[OSError], None]:
                return lambda error: errors[place].append((str(error.filename), error.errno))

            counted = AsyncPath(top).find(**way, on_error=note(0), progress=told.append, totals=True)
            plain = AsyncPath(top).find(**way, on_error=note(1))
            found = [[os.fspath(entry) async for entry in stream] for stream in (counted, plain)]
            assert sorted(found[0]) == sorted(found[1])
            assert bool(errors[0]) == ("follow_symlinks" in way)
            _is_told(told, errors)

            of_tree = {name: value for name, value in way.items() if name in OF_TREE}
            drawn = await AsyncPath(top).tree(**of_tree, on_error=note(0), progress=told.append, totals=True)
            assert drawn == await AsyncPath(top).tree(**of_tree, on_error=note(1))
            _is_told(told, errors)

            of_du = {name: value for name, value in way.items() if name in OF_DU}
            usage = await AsyncPath(top).du(**of_du, on_error=note(0), progress=told.append, totals=True)
            assert usage == await AsyncPath(top).du(**of_du, on_error=note(1))
            assert told[-1].bytes == usage.apparent
            _is_told(told, errors, None)


def _is_told(told: Told, errors: list[list[Any]], total_bytes: int | None = 0) -> None:
    """The last snapshot has the totals, and as many errors as were reported, those without totals."""
    last = told[-1]
    assert last[3:6] == (last.files, last.directories, total_bytes)
    assert last.errors == len(errors[0])
    assert sorted(errors[0]) == sorted(errors[1])
    for known in errors:
        known.clear()
    told.clear()


@pytest.mark.one_loop
async def test_totals_of_no_directory(tmp_path: Path) -> None:
    """A file, a link to it, nothing: `du` measures them, and for the others they are errors."""
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    for name, files in (("file", 1), ("link", 1), ("missing", 0)):
        path = AsyncPath(tmp_path, name)
        told: Told = []
        errors: list[OSError] = []
        usage = await path.du(on_error=errors.append, progress=told.append, totals=True)
        assert usage.files == files
        assert told[-1][:6] == (files, 0, files * 3, files, 0, None)
        assert told[-1].errors == len(errors) == 1 - files
        for reading in (path.find, path.tree):
            told.clear()
            errors.clear()
            result = reading(on_error=errors.append, progress=told.append, totals=True)
            if isinstance(result, Stream):
                assert [entry async for entry in result] == []
            else:
                await result
            # What fails is in the totals, if it is there.
            assert told[-1][:6] == (0, 0, 0, files, 0, 0)
            assert told[-1].errors == len(errors) == 1


@pytest.mark.one_loop
async def test_totals_and_conditions_that_cannot_be_met(tree: Path) -> None:
    """Such as an owner who does not exist: no error of the counting, but of the search."""
    told: Told = []
    with pytest.raises(LookupError):
        [entry async for entry in AsyncPath(tree).find(owner="no such", progress=told.append, totals=True)]
    # With a limit, there is more than is looked at.
    everything = AsyncPath(tree).find(progress=told.append, totals=True, limit=1)
    assert len([entry async for entry in everything]) == 1
    assert told[-1][3:6] == (7, 3, 0)
    for nothing in ({"limit": 0}, {"max_depth": 0}):
        told.clear()
        assert [
            entry async for entry in AsyncPath(tree).find(**nothing, progress=told.append, totals=True)
        ] == []
        assert [snapshot[:6] for snapshot in told] == [(0, 0, 0, None, None, None)]


LISTINGS: dict[str, Callable[[AsyncPath, Callable[[Progress], object]], Stream[Any]]] = {
    "walk": lambda top, progress: top.walk(progress=progress),
    "walk upwards": lambda top, progress: top.walk(top_down=False, progress=progress),
    "walk where nothing is": lambda top, progress: top.walk(min_depth=9, progress=progress),
    "glob": lambda top, progress: top.glob("**/nothing*", progress=progress),
    "glob back": lambda top, progress: top.glob("*/../**/nothing*", progress=progress),
    "rglob": lambda top, progress: top.rglob("*", progress=progress),
    "scandir": lambda top, progress: top.scandir(progress=progress),
    "scandir with stat": lambda top, progress: top.scandir(with_stat=True, progress=progress),
}


@pytest.mark.parametrize("name", LISTINGS)
async def test_listings(name: str, tree: Path) -> None:
    """They yield the same as without, and tell how much was read, in the end too."""

    def text(item: Any) -> str:
        return f"{item[0]} {sorted(item[1])} {sorted(item[2])}" if "walk" in name else os.fspath(item)

    told: Told = []

    async def later(progress: Progress) -> None:
        await anyio.sleep(0)
        told.append(progress)

    without = getattr(AsyncPath(tree), name.split()[0])
    arguments = {"glob": ["**/nothing*"], "rglob": ["*"]}.get(name.split()[0], [])
    named = {"walk upwards": {"top_down": False}, "walk where nothing is": {"min_depth": 9}}.get(name, {})
    wanted = sorted([text(item) async for item in without(*arguments, **named)])
    for callback in (told.append, later):
        told.clear()
        async with LISTINGS[name](AsyncPath(tree), callback) as stream:
            assert sorted([text(item) async for item in stream]) == wanted
        last = told[-1]
        # Going back, some are read again.
        assert last[:3] == ((3, 1, 0) if "scandir" in name else (7, 3, 0)) or "back" in name
        assert last[3:9] == (None, None, None, None, 0, None)
        assert len(told) <= 20 * last.elapsed + 1


@pytest.mark.parametrize("name", LISTINGS)
@pytest.mark.one_loop
async def test_listings_that_are_left(name: str, sluggish_disk: fuse.SlowDisk) -> None:
    """In the middle of the work, and after the last snapshot."""
    source, _ = _long(sluggish_disk)
    told: Told = []
    await idle()  # of the test before
    with nothing_leaks():
        async with LISTINGS[name](source, told.append) as stream:
            async for _ in stream:
                break
        told.clear()
        async with LISTINGS[name](source, told.append) as stream:
            async for _ in stream:
                pass
            assert await anext(stream, None) is None
        assert told[-1].current is None
        assert sum(snapshot.current is None for snapshot in told) == 1
        # Slow enough to be told of on the way, except where it is one directory.
        assert len(told) > 1 or "scandir" in name
        assert all((snapshot.current or str(source)).startswith(str(source)) for snapshot in told)


@pytest.mark.one_loop
async def test_a_walk_is_pruned_beside_its_progress(sluggish_disk: fuse.SlowDisk) -> None:
    """Snapshots come between a directory and what its consumer decides about it."""
    source, _ = _long(sluggish_disk)
    told: Told = []
    walked = []
    async for path, directories, _ in source.walk(workers=1, progress=told.append):
        walked.append(path.name)
        if path == source:
            directories[:] = ["c", "a"]
    assert walked == [source.name, "c", "a"]
    assert len(told) > 1


@pytest.mark.one_loop
async def test_errors_of_sums_and_searches(tmp_path: Path) -> None:
    """They are counted, and told of before they are raised."""
    told: Told = []
    with pytest.raises(ExceptionGroup) as caught:
        await AsyncPath(tmp_path, "missing").du(progress=told.append)
    assert isinstance(caught.value.exceptions[0], FileNotFoundError)
    assert told[-1].errors == 1
    told.clear()
    with pytest.raises(ExceptionGroup):
        [entry async for entry in AsyncPath(tmp_path, "missing").find(progress=told.append)]
    assert told[-1].errors == 1


def _long(disk: fuse.SlowDisk) -> tuple[AsyncPath, AsyncPath]:
    """A tree that takes some time to be read, and where to copy it."""
    source = disk.backing / uuid.uuid4().hex
    for name in ("a", "b", "c"):
        (source / name).mkdir(parents=True)
        (source / name / "file").write_bytes(b"content")
    return AsyncPath(disk.root, source.name), AsyncPath(disk.root, source.name + "-copy")


async def _found(source: AsyncPath, progress: Callable[[Progress], object]) -> None:
    async with source.find(include="nothing", progress=progress, totals=True) as found:
        assert [entry async for entry in found] == []


COUNTED: dict[str, Callable[[AsyncPath, Callable[[Progress], object]], Awaitable[object]]] = {
    "count, then find": _found,
    "count, then du": lambda top, progress: top.du(progress=progress, totals=True),
    "count, then tree": lambda top, progress: top.tree(progress=progress, totals=True),
}


@pytest.mark.one_loop
@pytest.mark.parametrize("what", ["copy", *COUNTED])
async def test_counting_is_told_of(what: str, sluggish_disk: fuse.SlowDisk) -> None:
    source, target = _long(sluggish_disk)
    told: Told = []
    if what == "copy":
        await source.copy(target, progress=told.append, totals=True)
        assert _at_the_end(told)[:3] == (3, 4, 21)
    else:
        await COUNTED[what](source, told.append)
        assert told[-1][:2] == told[-1][3:5] == (3, 4)
    counted = [snapshot.counted for snapshot in told if snapshot.counted is not None]
    assert counted
    assert counted == sorted(counted)
    assert all(snapshot[:6] == (0, 0, 0, None, None, None) for snapshot in told[: len(counted)])
    # The clock begins again with the work.
    assert told[len(counted)].elapsed < told[-1].elapsed


class StopError(Exception):
    pass


async def _operations(disk: fuse.SlowDisk, progress: Callable[[Progress], object], what: str) -> None:
    source, target = _long(disk)
    if what == "find":
        async with source.find(include="nothing", progress=progress) as found:
            assert [entry async for entry in found] == []
    elif what in LISTINGS:
        async with LISTINGS[what](source, progress) as stream:
            async for _ in stream:
                pass
    elif what in COUNTED:
        await COUNTED[what](source, progress)
    elif what == "du":
        await source.du(progress=progress)
    elif what == "tree":
        await source.tree(progress=progress)
    elif what == "rmtree":
        await source.rmtree(progress=progress)
    else:
        try:
            await source.copy(target, progress=progress, totals=what == "count")
        finally:
            backing = disk.backing / target.name
            # Nothing of it, or in the end all.
            assert not backing.exists() or len(list(backing.glob("*/file"))) == 3


@pytest.mark.parametrize("what", ["copy", "count", "rmtree", "du", "find", "tree", *LISTINGS, *COUNTED])
@pytest.mark.parametrize("awaits", [False, True])
@pytest.mark.one_loop
async def test_what_a_callback_raises(what: str, awaits: bool, sluggish_disk: fuse.SlowDisk) -> None:
    calls = 0

    def raises(progress: Progress) -> None:
        nonlocal calls
        calls += 1
        raise StopError(progress)

    async def raises_later(progress: Progress) -> None:
        await anyio.sleep(0)
        raises(progress)

    await idle()  # of the test before
    with nothing_leaks():
        with pytest.raises(StopError):
            await _operations(sluggish_disk, raises_later if awaits else raises, what)
        assert calls == 1
        left = [path for path in sluggish_disk.backing.iterdir() if path.name.startswith(".rapfiles-")]
        await becomes(lambda: not any(path.exists() for path in left), "nothing of it is left")


@pytest.mark.parametrize("what", ["copy", "count", "rmtree", "du", "find", "tree", *LISTINGS, *COUNTED])
@pytest.mark.one_loop
async def test_cancelled_by_a_callback(what: str, sluggish_disk: fuse.SlowDisk) -> None:
    calls = 0
    await idle()  # of the test before
    with nothing_leaks():
        with anyio.CancelScope() as scope:

            async def cancels(progress: Progress) -> None:
                nonlocal calls
                calls += 1
                scope.cancel()
                await anyio.sleep(0)

            await _operations(sluggish_disk, cancels, what)
        assert scope.cancelled_caught
        assert calls == 1


@pytest.mark.one_loop
async def test_the_work_goes_on_beside_a_slow_callback(sluggish_disk: fuse.SlowDisk) -> None:
    """It is not called again before it is done."""
    source, target = _long(sluggish_disk)
    under_way = 0
    told: Told = []

    async def slow(progress: Progress) -> None:
        nonlocal under_way
        assert under_way == 0
        under_way += 1
        if not told:
            # Everything is there, although nothing has been asked for meanwhile.
            await becomes((sluggish_disk.backing / target.name).exists, "the copy is complete")
        told.append(progress)
        under_way -= 1

    await source.copy(target, progress=slow)
    assert told[-1][:3] == (3, 4, 21)


async def test_callbacks_that_start_operations(tree: Path, tmp_path: Path) -> None:
    """Two at once, each of whose callbacks copies and removes on its own."""
    told: dict[str, Told] = {"one": [], "other": []}

    async def copy(name: str) -> None:
        async def inner(progress: Progress) -> None:
            copied = await AsyncPath(tree / "in").copy(
                tmp_path / f"inner {name}", special_files="recreate", progress=told[name].append
            )
            await copied.rmtree(progress=told[name].append, totals=True)
            told[name].append(progress)

        await AsyncPath(tree).copy(tmp_path / name, special_files="recreate", progress=inner, totals=True)

    async with anyio.create_task_group() as group:
        for name in told:
            group.start_soon(copy, name)
    for snapshots in told.values():
        assert snapshots[-1][:6] == (7, 4, SPARSE + 4000, 7, 4, SPARSE + 4000)


# Bars.


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.one_loop
async def test_rich(tree: Path, tmp_path: Path) -> None:
    from rich.console import Console

    shown = Terminal()
    console = Console(file=shown, width=120, force_terminal=True)
    with rich_progress("Copying", console=console) as report:
        await AsyncPath(tree).copy(tmp_path / "copy", special_files="recreate", progress=report, totals=True)
    last = shown.getvalue().rpartition("Copying")[2]
    assert "100%" in last
    assert "7/7 files, 5.0M/5.0M" in last
    # Without totals it ends full, too; a removal counts entries.
    for totals in (False, True):
        await AsyncPath(tree).copy(tmp_path / f"copy {totals}", special_files="recreate")
        with rich_progress("Removing", console=console) as report:
            await AsyncPath(tmp_path, f"copy {totals}").rmtree(progress=report, totals=totals)
        last = shown.getvalue().rpartition("Removing")[2]
        assert "100%" in last
        assert ("7/7 files" if totals else "7 files") in last


@pytest.mark.one_loop
async def test_rich_with_bars_of_its_user(tree: Path, tmp_path: Path) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    console = Console(file=Terminal(), width=120, force_terminal=True)
    with Bars(TextColumn("{task.description}"), BarColumn(), console=console) as bars:

        async def copy(name: str) -> None:
            with rich_progress(name, bars=bars) as report:
                await AsyncPath(tree).copy(
                    tmp_path / name, special_files="recreate", progress=report, totals=True
                )

        async with anyio.create_task_group() as group:
            group.start_soon(copy, "one")
            group.start_soon(copy, "other")
        with pytest.raises(FileNotFoundError), rich_progress("missing", bars=bars) as report:
            await AsyncPath(tmp_path, "missing").copy(tmp_path / "no", progress=report, totals=True)
        assert [(task.completed, task.total) for task in bars.tasks[:2]] == [(SPARSE + 4000,) * 2] * 2
        assert not bars.tasks[2].finished


@pytest.mark.one_loop
async def test_tqdm(tree: Path, tmp_path: Path) -> None:
    shown = Terminal()
    with tqdm_progress("Copying", file=shown) as report:
        await AsyncPath(tree).copy(tmp_path / "copy", special_files="recreate", progress=report, totals=True)
    last = shown.getvalue().rstrip().rpartition("\r")[2]
    assert last.startswith("Copying: 100%|")
    assert "5.00M/5.00M" in last
    assert "7/7 files" in last
    shown = Terminal()
    with tqdm_progress("Removing", file=shown) as report:
        await AsyncPath(tmp_path, "copy").rmtree(progress=report, totals=True)
    assert "11.0/11.0" in shown.getvalue()
    assert "entries/s" in shown.getvalue()
    shown = Terminal()
    with tqdm_progress(file=shown) as report:
        await AsyncPath(tree).du(progress=report)
    assert "5.0" in shown.getvalue()
    # The bar is closed in any case, and is for terminals.
    shown = Terminal()
    with pytest.raises(FileNotFoundError), tqdm_progress(file=shown, leave=False) as report:
        await AsyncPath(tmp_path, "missing").copy(tmp_path / "no", progress=report, totals=True)
    silent = io.StringIO()
    with tqdm_progress(file=silent) as report:
        await AsyncPath(tree).rmtree(progress=report, totals=True)
    assert silent.getvalue() == ""


def _snapshot(**figures: Any) -> Progress:
    return Progress(0, 0, 0, None, None, None, None, 0, "path", 1.0)._replace(**figures)


def test_bars_while_it_is_counted() -> None:
    from rich.console import Console

    shown, counted = Terminal(), _snapshot(counted=1234)
    with tqdm_progress(file=shown) as report:
        report(counted)
        report(_snapshot(files=1, total_files=2, total_directories=0, total_bytes=0, errors=1))
    assert "1,234 counted" in shown.getvalue()
    assert "1.00/2.00" in shown.getvalue()
    assert "1 failed" in shown.getvalue()
    shown = Terminal()
    with rich_progress(console=Console(file=shown, width=120, force_terminal=True)) as report:
        report(counted)
    assert "1,234 counted" in shown.getvalue()


@pytest.mark.parametrize("bar", [rich_progress, tqdm_progress])
def test_what_is_not_installed(bar: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    name = bar.__name__.partition("_")[0]
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    # That is how an import is told that there is nothing: the documentation of `sys.modules`.
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        ModuleNotFoundError, match=rf"needs {name}.*pip install 'rapfiles\[{name}\]'"
    ) as caught:
        bar()
    assert caught.value.name is not None


IN_TERMINAL = """
import asyncio, sys
from rapfiles import AsyncPath
from rapfiles.progress import rich_progress, tqdm_progress

async def main(bar, top, copy):
    with bar("Copying") as report:
        await AsyncPath(top).copy(copy, special_files="recreate", progress=report, totals=True)
    with bar("Removing") as report:
        await AsyncPath(copy).rmtree(progress=report, totals=True)

asyncio.run(main(globals()[sys.argv[1]], *sys.argv[2:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudoterminals")
@pytest.mark.parametrize("bar", [rich_progress, tqdm_progress])
def test_bars_in_a_terminal(bar: Any, tree: Path, tmp_path: Path) -> None:
    """In a real one, whose size they have to find out: each in a line, and all as it was afterwards."""
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    before = termios.tcgetattr(theirs)
    command = [sys.executable, "-c", IN_TERMINAL, bar.__name__, str(tree), str(tmp_path / "copy")]
    environment = {
        key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")
    }
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": str(Path(rapfiles.__file__).parents[1])}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as child:
        written = bytearray()
        reader = threading.Thread(target=_read_all, args=(ours, written))
        reader.start()
        code = child.wait(60)
        after = termios.tcgetattr(theirs)
        # The last that has it open: now the end is read.
        os.close(theirs)
        reader.join()
        os.close(ours)
    screen = written.decode()
    assert code == 0, screen
    assert after == before
    # Without what hides the cursor, and the like.
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
    lines = [line for line in re.split(r"[\r\n]+", shown) if line.strip()]
    assert len(lines[-1]) > 60
    assert max(map(len, lines)) <= 100
    for verb in ("Copying", "Removing"):
        last = [line for line in lines if line.startswith(verb)][-1]
        assert "100%" in last
        assert "7/7 files" in last
    if bar is rich_progress:
        assert screen.count("\x1b[?25l") == screen.count("\x1b[?25h") > 0, "the cursor is shown again"


def _read_all(terminal: int, written: bytearray) -> None:
    """Read what is written to a terminal, until nobody has it open: on Linux, that is an error."""
    with contextlib.suppress(OSError):
        while read := os.read(terminal, 1 << 16):
            written += read
