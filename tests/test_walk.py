"""Walking a tree: equal to pathlib's walk, and what it has beyond."""

import errno
import os
import pathlib
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

import rapfiles
from rapfiles import AsyncPath
from support import process, trees
from support.fuse import SlowDisk
from support.leaks import descriptors

HAS_WALK = sys.version_info >= (3, 12)


async def collect(walk: Any) -> list[trees.Triple]:
    return [(str(path), directories, files) async for path, directories, files in walk]


def expected(top: Path, **options: Any) -> list[trees.Triple]:
    """What the running pathlib says, or what the newest would."""
    if HAS_WALK:
        walk = pathlib.Path(top).walk(**options)
        return [(str(path), directories, files) for path, directories, files in walk]
    return list(trees.walk(top, **options))


@pytest.mark.one_loop
@pytest.mark.parametrize("top_down", [True, False])
@pytest.mark.parametrize("seed", range(6))
async def test_it_is_pathlib_s(seed: int, top_down: bool, tmp_path: Path) -> None:
    top = trees.build(tmp_path / "top", seed)
    found = await collect(AsyncPath(top).walk(top_down))
    wanted = expected(top, top_down=top_down)
    if HAS_WALK:
        assert found == wanted
    else:
        # In the emulation, links come behind the files.
        assert [(path, names) for path, names, _ in found] == [(path, names) for path, names, _ in wanted]
        assert trees.sorted_triples(found) == trees.sorted_triples(wanted)


@pytest.mark.one_loop
@pytest.mark.parametrize("top_down", [True, False])
@pytest.mark.parametrize("seed", range(3))
async def test_links_are_followed_as_pathlib_does(seed: int, top_down: bool, tmp_path: Path) -> None:
    """Loops as well: they end where the kernel follows no more links."""
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "up").symlink_to("..", target_is_directory=True)
    (top / "other").symlink_to("a", target_is_directory=True)
    trees.build(top / f"more{seed}", seed, directories=3) if seed == 0 else None
    found = await collect(AsyncPath(top).walk(top_down, follow_symlinks=True))
    wanted = expected(top, top_down=top_down, follow_symlinks=True)
    assert found == wanted


async def test_the_root_is_the_path_itself(tmp_path: Path) -> None:
    path = AsyncPath(tmp_path)
    async for root, directories, files in path.walk():
        assert root == path
        assert (directories, files) == ([], [])


@pytest.mark.one_loop
@pytest.mark.parametrize("top", [".", "sub", "sub/deeper", "..", "/", "./sub/../sub"])
async def test_paths_are_spelt_as_pathlib_does(
    top: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "sub" / "deeper" / "deepest").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    found = [path async for path, _, _ in AsyncPath(top).walk(max_depth=1)]
    assert found[0] == AsyncPath(top)
    assert sorted(map(str, found[1:])) == sorted(
        str(child) for child in Path(top).iterdir() if child.is_dir() and not child.is_symlink()
    )


async def test_what_is_removed_from_the_list_is_not_entered(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name / "inside" / "deeper").mkdir(parents=True)
    found = []
    async for path, directories, _ in AsyncPath(tmp_path).walk(sort=True):
        found.append(str(path.relative_to(tmp_path)))
        if path == AsyncPath(tmp_path):
            directories[:] = ["d", "b"]
        elif path.name == "b":
            directories.clear()
    assert found == [".", "d", "d/inside", "d/inside/deeper", "b"]


@pytest.mark.one_loop
@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_done_to_the_lists_it_is_pathlib_s(seed: int, tmp_path: Path) -> None:
    """Removing, turning round, doubling and adding, chosen by what a directory's path is."""
    top = trees.build(tmp_path / "top", seed, directories=120)
    outside = tmp_path / "outside"
    (outside / "in it").mkdir(parents=True)
    (top / "link").symlink_to(outside, target_is_directory=True)

    def change(path: str, directories: list[str]) -> None:
        what = (len(path) + len(directories) + seed) % 5
        if what == 0:
            directories[:] = sorted(directories)[::2]
        elif what == 1:
            directories.reverse()
        elif what == 2 and path == str(top):
            directories.append("link")
            directories.insert(0, "missing")
        elif what == 3:
            directories += sorted(directories)[:1]
        elif what == 4 and len(directories) > 2:
            del directories[0]

    wanted_errors: list[str | None] = []
    wanted = []
    for path, directories, files in os.walk(
        top, followlinks=True, onerror=lambda e: wanted_errors.append(e.filename)
    ):
        links = [name for name in directories if os.path.islink(os.path.join(path, name))]
        directories[:] = [name for name in directories if name not in links]
        wanted.append((path, list(directories), sorted(files + links)))
        change(path, directories)
    errors: list[str | None] = []
    found = []
    async for directory, directories, files in AsyncPath(top).walk(
        on_error=lambda e: errors.append(e.filename)
    ):
        found.append((str(directory), list(directories), sorted(files)))
        change(str(directory), directories)
    assert found == wanted
    assert errors == wanted_errors


async def test_errors_are_told_and_the_rest_is_delivered(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b" / "inside").mkdir(parents=True)
    errors: list[OSError] = []
    found = []
    async for path, directories, _ in AsyncPath(tmp_path).walk(on_error=errors.append, sort=True, workers=1):
        found.append(path.name)
        if path == AsyncPath(tmp_path):
            (tmp_path / "a").rmdir()
            directories.append("missing")
    assert found[1:] == ["b", "inside"]
    assert [(type(error), error.errno, error.filename) for error in errors] == [
        (FileNotFoundError, errno.ENOENT, str(tmp_path / name)) for name in ("a", "missing")
    ]


@pytest.mark.parametrize("kind", ["missing", "file"])
async def test_a_root_that_is_no_directory(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert await collect(AsyncPath(tmp_path, kind).walk()) == []
    errors: list[OSError] = []
    oracle: list[OSError] = []
    assert await collect(AsyncPath(tmp_path, kind).walk(on_error=errors.append)) == []
    assert list(os.walk(tmp_path / kind, onerror=oracle.append)) == []
    assert [error.args for error in errors] == [error.args for error in oracle]
    assert [error.filename for error in errors] == [error.filename for error in oracle]


async def test_an_exception_of_the_callback_ends_the_walk(tmp_path: Path) -> None:
    def fail(error: OSError) -> None:
        raise error

    walk = AsyncPath(tmp_path, "missing").walk(on_error=fail)
    with pytest.raises(FileNotFoundError):
        await anext(walk)
    with pytest.raises(StopAsyncIteration):
        await anext(walk)


def test_arguments_are_checked_at_once() -> None:
    async def callback(_error: OSError) -> None: ...

    for wrong in (
        lambda: AsyncPath().walk(on_error=callback),
        lambda: AsyncPath().walk(max_depth="1"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError):
            wrong()
    for wrong in (
        lambda: AsyncPath().walk(max_depth=-1),
        lambda: AsyncPath().walk(min_depth=-1),
        lambda: AsyncPath().walk(workers=0),
    ):
        with pytest.raises(ValueError, match=r"must|at least"):
            wrong()


@pytest.mark.one_loop
@pytest.mark.parametrize("top_down", [True, False])
async def test_depths(top_down: bool, tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)

    async def depths(**options: Any) -> list[str]:
        walk = AsyncPath(tmp_path).walk(top_down, **options)
        return sorted([str(path.relative_to(tmp_path)) async for path, _, _ in walk])

    assert await depths(max_depth=0) == ["."]
    assert await depths(max_depth=2) == [".", "a", "a/b"]
    assert await depths(min_depth=1, max_depth=2) == ["a", "a/b"]
    assert await depths(min_depth=3) == ["a/b/c"]
    assert await depths(min_depth=9) == []
    (tmp_path / "more").mkdir()
    async for _, directories, _ in AsyncPath(tmp_path).walk(max_depth=0):
        assert sorted(directories) == ["a", "more"]
        directories.append("a/b")


async def test_loops_are_detected_on_request(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "up").symlink_to("..", target_is_directory=True)
    errors: list[OSError] = []
    walk = AsyncPath(tmp_path).walk(follow_symlinks=True, detect_loops=True, on_error=errors.append)
    assert [path.name async for path, _, _ in walk][1:] == ["a", "b"]
    assert [(error.errno, error.filename) for error in errors] == [
        (errno.ELOOP, str(tmp_path / "a" / "b" / "up"))
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="needs another file system at a known place")
@pytest.mark.one_loop
async def test_other_file_systems_are_left_out_on_request() -> None:
    walk = AsyncPath("/").walk(max_depth=1, same_file_system=True, sort=True)
    found = [str(path) async for path, _, _ in walk]
    assert "/usr" in found
    assert "/proc" not in found


@pytest.mark.one_loop
@pytest.mark.parametrize("workers", [1, 2, 7, None])
async def test_the_order_does_not_depend_on_the_workers(workers: int | None, tmp_path: Path) -> None:
    top = trees.build(tmp_path / "top", 5, directories=300)
    for top_down in (True, False):
        found = await collect(AsyncPath(top).walk(top_down, workers=workers, sort=True))
        assert found == await collect(AsyncPath(top).walk(top_down, sort=True))
        for _, directories, files in found:
            assert directories == sorted(directories, key=os.fsencode)
            assert files == sorted(files, key=os.fsencode)


async def test_with_one_worker_a_directory_is_read_when_its_turn_comes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    found = []
    async for path, _, files in AsyncPath(tmp_path).walk(workers=1):
        found.append(files)
        if path == AsyncPath(tmp_path):
            (tmp_path / "a" / "new").touch()
    assert found == [[], ["new"]]


async def fail_in(walk: Any) -> None:
    async with walk:
        async for _ in walk:
            raise ZeroDivisionError


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.one_loop
@pytest.mark.parametrize("how", ["aclose", "async with", "last reference", "cancel", "exception"])
async def test_leaving_early_closes_every_directory(how: str, tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number}" / "deeper" / "deepest").mkdir(parents=True)

    def open_directories() -> int:
        return sum(target.startswith(str(tmp_path)) for target in descriptors().values())

    walk = AsyncPath(tmp_path).walk()
    if how == "aclose":
        await anext(walk)
        await walk.aclose()
    elif how == "async with":
        async with walk:
            await anext(walk)
    elif how == "last reference":
        await anext(walk)
        del walk
    elif how == "exception":
        with pytest.raises(ZeroDivisionError):
            await fail_in(walk)
    else:
        with anyio.CancelScope() as scope:
            async with walk:
                async for _ in walk:
                    scope.cancel()
    # A worker closes them.
    for _ in range(2000):
        if open_directories() == 0:
            break
        await anyio.sleep(0.001)
    assert open_directories() == 0


@pytest.mark.one_loop
@pytest.mark.slow
async def test_many_entries_in_one_directory_do_not_hold_up_the_loop(tmp_path: Path) -> None:
    for number in range(20_000):
        (tmp_path / f"{number}").touch()
    before = rapfiles.stats()
    [(_, directories, files)] = await collect(AsyncPath(tmp_path).walk())
    after = rapfiles.stats()
    assert (len(directories), len(files)) == (0, 20_000)
    assert after.submitted - before.submitted <= 20_000 / 256 + 1


@pytest.mark.one_loop
async def test_jobs_are_few(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "file").touch()
    before = rapfiles.stats()
    found = await collect(AsyncPath(tmp_path).walk())
    after = rapfiles.stats()
    assert len(found) == 301
    assert after.submitted - before.submitted <= 600 / 256 + 301


@pytest.mark.skipif(sys.platform == "win32", reason="Windows' paths have other limits")
@pytest.mark.one_loop
async def test_beyond_the_longest_path_it_is_an_error(tmp_path: Path) -> None:
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(25):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
    finally:
        os.chdir(here)
    errors: list[OSError] = []
    oracle: list[OSError] = []
    found = await collect(AsyncPath(tmp_path).walk(on_error=errors.append))
    assert found == list(os.walk(tmp_path, onerror=oracle.append))
    assert [(error.errno, error.filename) for error in errors] == [
        (error.errno, error.filename) for error in oracle
    ]
    assert errors[0].errno == errno.ENAMETOOLONG
    shutil.rmtree(tmp_path / ("d" * 200))


FEW_DESCRIPTORS = """
import asyncio, os, resource, sys
from rapfiles import AsyncPath
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
top = sys.argv[1]

async def main():
    errors = []
    async with AsyncPath(top).walk(on_error=errors.append) as first:
        # Another walk holds its share meanwhile.
        await anext(first)
        found = [(str(p), d, f) async for p, d, f in AsyncPath(top).walk(on_error=errors.append)]
    assert errors == [], errors
    assert found == list(os.walk(top)), len(found)

print("ready", flush=True)
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_few_descriptors_are_enough(tmp_path: Path) -> None:
    path = tmp_path
    for number in range(400):
        path = path / str(number % 7)
        path.mkdir()
        for name in ("x", "y"):
            (path / name).mkdir()
    ended = process.run(FEW_DESCRIPTORS, str(tmp_path))
    assert (ended.code, ended.errors) == (0, "")


AS_NOBODY = """
import asyncio, os, sys
from rapfiles import AsyncPath
import encodings.idna, pwd
top = sys.argv[1]
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)

async def main():
    for top_down in (True, False):
        errors, oracle = [], []
        found = [(str(p), d, f) async for p, d, f in AsyncPath(top).walk(top_down, errors.append)]
        assert found == list(os.walk(top, top_down, oracle.append)), found
        assert [(e.errno, e.filename) for e in errors] == [(e.errno, e.filename) for e in oracle], errors
        assert len(errors) == 2, errors

print("ready", flush=True)
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="needs another user")
def test_directories_that_may_not_be_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    top = Path("/tmp") / f"rapfiles-walk-{os.getpid()}"
    try:
        (top / "open" / "inside").mkdir(parents=True)
        (top / "closed" / "inside").mkdir(parents=True)
        (top / "may not be entered" / "inside").mkdir(parents=True)
        (top / "closed").chmod(0)
        (top / "may not be entered").chmod(0o444)
        top.chmod(0o755)
        ended = process.run(AS_NOBODY, str(top))
        assert (ended.code, ended.errors) == (0, "")
    finally:
        shutil.rmtree(top)


@pytest.mark.one_loop
async def test_a_directory_that_fails_is_told(slow_disk: SlowDisk) -> None:
    top = slow_disk.backing / "failing"
    for name in ("a", "eio-opendir", "eio-readdir", "z"):
        (top / name).mkdir(parents=True)
    errors: list[OSError] = []
    walk = AsyncPath(slow_disk.root, "failing").walk(on_error=errors.append)
    found = sorted([path.name async for path, _, _ in walk])
    oracle: list[OSError] = []
    assert found == sorted(
        os.path.basename(path) for path, _, _ in os.walk(slow_disk.root / "failing", onerror=oracle.append)
    )
    assert sorted((error.errno, error.filename) for error in errors) == sorted(
        (error.errno, error.filename) for error in oracle
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
@pytest.mark.slow
@pytest.mark.one_loop
async def test_a_link_in_place_of_a_directory_leads_nowhere(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (canary / "secret").mkdir(parents=True)
    top = tmp_path / "top"
    for number in range(20):
        (top / str(number) / "inside").mkdir(parents=True)
    stop = threading.Event()

    def swap() -> None:
        turn = 0
        while not stop.is_set():
            victim = top / str(turn % 20)
            turn += 1
            victim.rename(tmp_path / "aside")
            victim.symlink_to(canary)
            victim.unlink()
            (tmp_path / "aside").rename(victim)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(200):
            async for _, directories, _ in AsyncPath(top).walk():
                assert "secret" not in directories
    finally:
        stop.set()
        thread.join()


@pytest.mark.one_loop
@pytest.mark.parametrize("top_down", [True, False])
async def test_a_directory_with_many_names(top_down: bool, tmp_path: Path) -> None:
    """Its lists are made in lots, and are the same, also when some are taken out."""
    for number in range(600):
        (tmp_path / f"d{number}").mkdir()
        (tmp_path / f"f{number}").touch()
    expected = list(os.walk(tmp_path, topdown=top_down))
    found = [
        (str(path), directories, files)
        async for path, directories, files in AsyncPath(tmp_path).walk(top_down=top_down)
    ]
    assert found == expected
    if top_down:
        async with AsyncPath(tmp_path).walk() as walk:
            _, directories, _ = await anext(walk)
            directories[:] = ["d599", "d7"]
            assert [path.name async for path, _, _ in walk] == ["d599", "d7"]
