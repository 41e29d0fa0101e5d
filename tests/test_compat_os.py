"""`rapfiles.compat.os` and `.ospath` against `os` and `os.path`: the same results, errors, and effects."""

import asyncio
import inspect
import itertools
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import rapfiles
import rapfiles.compat.os as aios
from support import ground, oracle
from support.loops import SELECTOR

MISSING = ["missing", "missing/deeper", "file/inside", "", ".", "..", "nul\0character", "n" * 300, "\ud800"]
READING = {
    "stat": os.stat,
    "statvfs": getattr(os, "statvfs", None),
    "listdir": os.listdir,
    "readlink": os.readlink,
    "path.abspath": os.path.abspath,
    "path.exists": os.path.exists,
    "path.isdir": os.path.isdir,
    "path.isfile": os.path.isfile,
    "path.islink": os.path.islink,
    "path.ismount": os.path.ismount,
    "path.getsize": os.path.getsize,
    "path.getmtime": os.path.getmtime,
    "path.getatime": os.path.getatime,
    "path.getctime": os.path.getctime,
}
KINDS: list[Callable[[str], Any]] = [str, os.fsencode, Path]


def ours(name: str) -> Callable[..., Any]:
    module: Any = aios
    for part in name.split("."):
        module = getattr(module, part)
    return module


def spellings(text: str) -> list[Any]:
    """The path as text, as bytes and as an object, where there is such a thing."""
    made = []
    for kind in KINDS:
        try:
            made.append(kind(text))
        except (UnicodeEncodeError, ValueError):
            continue
    return made


def steady(outcome: object) -> object:
    """What statvfs tells of free space changes all the time, and the access time when somebody reads."""
    if isinstance(outcome, tuple) and isinstance(outcome[1], tuple):
        name, value = outcome[1][0], outcome[1][1]
        if name == "statvfs_result":
            return (value.f_bsize, value.f_namemax, value.f_flag)
    if isinstance(outcome, tuple) and isinstance(outcome[1], dict):
        return {key: value for key, value in outcome[1].items() if not key.startswith("st_atime")}
    return outcome


@pytest.mark.one_loop
@pytest.mark.parametrize("name", READING)
async def test_reading(name: str, tree: ground.Tree) -> None:
    theirs = READING[name]
    if theirs is None:
        pytest.skip(f"no {name} on this platform")
    for entry in [*tree.names, *MISSING]:
        for path in spellings(os.path.join(tree.root, entry) if entry else ""):
            expected = steady(oracle.of_call(lambda path=path: theirs(path)))
            assert steady(await oracle.of_await(lambda path=path: ours(name)(path))) == expected, path


@pytest.mark.parametrize("name", ["stat", "statvfs", "listdir", "path.exists", "path.getsize", "path.isdir"])
async def test_reading_a_descriptor(name: str, tmp_path: Path) -> None:
    theirs = READING[name]
    if theirs is None or sys.platform == "win32":
        pytest.skip(f"no {name} of a descriptor on this platform")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        for fd in (descriptor, 12345, -1):
            expected = steady(oracle.of_call(lambda fd=fd: theirs(fd)))
            assert steady(await oracle.of_await(lambda fd=fd: ours(name)(fd))) == expected
    finally:
        os.close(descriptor)


@pytest.mark.one_loop
@pytest.mark.parametrize("argument", [None, 1.5, [], b"a\0b", object])
@pytest.mark.parametrize("name", [*READING, "mkdir", "makedirs", "remove", "rmdir", "removedirs", "access"])
async def test_arguments_of_the_wrong_kind(name: str, argument: object, tmp_path: Path) -> None:
    theirs: Any = os.path if name.startswith("path.") else os
    theirs = getattr(theirs, name.removeprefix("path."), None)
    if theirs is None:
        pytest.skip(f"no {name} on this platform")
    more = (os.R_OK,) if name == "access" else ()
    expected = oracle.of_call(lambda: theirs(argument, *more))
    assert steady(await oracle.of_await(lambda: ours(name)(argument, *more))) == steady(expected)
    # Complaints come when it is awaited, not before.
    coroutine = ours(name)()
    with pytest.raises(TypeError) if name not in {"listdir"} else pytest.raises(StopIteration):
        await coroutine
        raise StopIteration


async def test_access(tree: ground.Tree) -> None:
    modes = [os.F_OK, os.R_OK, os.W_OK, os.X_OK, os.R_OK | os.W_OK, 1000, -1]
    keywords: list[dict[str, bool]] = [{}, {"effective_ids": True}, {"follow_symlinks": False}]
    for entry in [*tree.names, *MISSING]:
        for path, mode, more in itertools.product(spellings(os.path.join(tree.root, entry)), modes, keywords):
            expected = oracle.of_call(lambda case=(path, mode), more=more: os.access(*case, **more))
            actual = await oracle.of_await(lambda case=(path, mode), more=more: aios.access(*case, **more))
            assert actual == expected, (path, mode, more)


@pytest.mark.parametrize(
    "keywords", [{"follow_symlinks": False}, {"follow_symlinks": 0}, {"dir_fd": None}], ids=str
)
async def test_stat_with_keywords(keywords: dict[str, Any], tree: ground.Tree) -> None:
    for entry in tree.names:
        path = os.path.join(tree.root, entry)
        expected = steady(oracle.of_call(lambda path=path: os.stat(path, **keywords)))
        assert steady(await oracle.of_await(lambda path=path: aios.stat(path, **keywords))) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no dir_fd")
async def test_descriptors_of_directories(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        await aios.mkdir("a", dir_fd=folder)
        await aios.symlink("a", "link", dir_fd=folder)
        assert await aios.readlink("link", dir_fd=folder) == "a"
        assert (await aios.stat("a", dir_fd=folder)).st_ino == (tmp_path / "a").stat().st_ino
        assert await aios.access("a", os.R_OK, dir_fd=folder)
        await aios.rename("a", "b", src_dir_fd=folder, dst_dir_fd=folder)
        await aios.replace("b", "c", src_dir_fd=folder, dst_dir_fd=folder)
        await aios.rmdir("c", dir_fd=folder)
        (tmp_path / "file").touch()
        await aios.link("file", "name", src_dir_fd=folder, dst_dir_fd=folder)
        await aios.unlink("name", dir_fd=folder)
        await aios.remove("file", dir_fd=folder)
        assert sorted(os.listdir(tmp_path)) == ["link"]
    finally:
        os.close(folder)


# Changes, made by `os` in one of two equal trees and by ours in the other.
PATHS = [
    "dir",
    "empty-dir",
    "file",
    "link",
    "missing",
    "missing/deeper",
    "file/inside",
    "nul\0",
    "",
    "new/a/b",
]
CHANGING: list[tuple[str, int, tuple[Any, ...], dict[str, Any]]] = [
    ("remove", 1, (), {}),
    ("unlink", 1, (), {}),
    ("rmdir", 1, (), {}),
    ("removedirs", 1, (), {}),
    ("mkdir", 1, (), {}),
    ("mkdir", 1, (0o700,), {}),
    ("mkdir", 1, (0o70000,), {}),
    ("mkdir", 1, (-1,), {}),
    ("mkdir", 1, ("x",), {}),
    ("makedirs", 1, (), {}),
    ("makedirs", 1, (0o700, True), {}),
    ("makedirs", 1, (), {"exist_ok": True}),
    ("rename", 2, (), {}),
    ("renames", 2, (), {}),
    ("replace", 2, (), {}),
    ("link", 2, (), {}),
    ("link", 2, (), {"follow_symlinks": False}),
    ("link", 2, (), {"follow_symlinks": True}),
    ("symlink", 2, (), {}),
    ("symlink", 2, (True,), {}),
]
ENDINGS = ["", os.sep, os.sep + ".", os.sep + "..", os.sep + "x" + os.sep + ".." + os.sep + "y"]


def build(root: Path) -> None:
    (root / "dir" / "inside").mkdir(parents=True)
    (root / "empty-dir").mkdir()
    (root / "file").write_bytes(b"abc")
    (root / "other").write_bytes(b"")
    (root / "link").symlink_to("file")
    (root / "dangling").symlink_to("nowhere")


def inspect_tree(root: Path) -> list[tuple[object, ...]]:
    """Every entry with its kind, permissions, number of names, and size or target."""
    found = []
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = os.readlink(path).replace(str(root), "<root>") if path.is_symlink() else status.st_size
        found.append((str(path.relative_to(root)), status.st_mode, status.st_nlink, content))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "paths", "arguments", "keywords"), CHANGING, ids=str)
def test_changing(
    name: str,
    paths: int,
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    kind: Callable[[str], Any],
    tmp_path: Path,
) -> None:
    endings = ENDINGS if paths == 1 else ENDINGS[:2]
    seconds = ["new", "other", "empty-dir", "nul\0"] if paths == 2 else [""]

    async def main() -> None:
        for number, case in enumerate(itertools.product(PATHS, seconds, endings)):
            outcomes = []
            for who in ("theirs", "ours"):
                root = tmp_path / f"{number}-{who}"
                build(root)
                given = [kind(f"{root}{os.sep}{path}{case[2]}") for path in case[:paths]]
                if who == "theirs":
                    outcome = oracle.of_call(
                        lambda given=given: getattr(os, name)(*given, *arguments, **keywords)
                    )
                else:
                    outcome = await oracle.of_await(
                        lambda given=given: ours(name)(*given, *arguments, **keywords)
                    )
                outcomes.append((repr(outcome).replace(str(root), "<root>"), inspect_tree(root)))
            assert outcomes[0] == outcomes[1], case

    # Which loop waits makes no difference to what is done.
    SELECTOR.run(main)


async def test_a_large_directory(tmp_path: Path) -> None:
    names = {f"file-{number}" for number in range(5_000)}
    for name in names:
        (tmp_path / name).touch()
    found = await aios.listdir(str(tmp_path))
    assert type(found) is list
    assert len(found) == len(names)
    assert set(found) == names


async def test_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").touch()
    assert await aios.getcwd() == os.getcwd()
    assert await aios.listdir() == await aios.listdir(None) == await aios.listdir(".") == ["a"]
    assert await aios.path.abspath("a") == str(tmp_path / "a")
    assert await aios.path.abspath(b"a") == os.fsencode(tmp_path / "a")


async def test_scandir_is_synchronous_afterwards(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with await aios.scandir(tmp_path) as entries:
        assert type(entries).__name__ == "ScandirIterator"
        assert next(entries).name == "a"
    with pytest.raises(FileNotFoundError):
        await aios.scandir(tmp_path / "missing")


@pytest.mark.skipif(not hasattr(os, "sendfile"), reason="no sendfile on this platform")
async def test_sendfile(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"0123456789")
    with open(tmp_path / "from", "rb") as source, open(tmp_path / "to", "wb") as target:
        assert await aios.sendfile(target.fileno(), source.fileno(), 2, 5) == 5
    assert (tmp_path / "to").read_bytes() == b"23456"


async def test_samefile(tmp_path: Path) -> None:
    build(tmp_path)
    for first in ("file", "link", "dir", "missing"):
        for second in ("file", "other", "missing"):
            paths = tmp_path / first, str(tmp_path / second)
            expected = oracle.of_call(lambda paths=paths: os.path.samefile(*paths))
            assert await oracle.of_await(lambda paths=paths: aios.path.samefile(*paths)) == expected
    with open(tmp_path / "file") as one, open(tmp_path / "link") as two, open(tmp_path / "other") as three:
        assert await aios.path.sameopenfile(one.fileno(), two.fileno())
        assert not await aios.path.sameopenfile(one.fileno(), three.fileno())


class Counting(ThreadPoolExecutor):
    """An executor that shows that it was used."""

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        self.used = True
        return super().submit(*args, **kwargs)


@pytest.mark.loops("asyncio")
async def test_an_executor_is_honoured(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    for call in (aios.stat, aios.listdir, aios.path.exists, aios.scandir, aios.path.abspath):
        with Counting(1) as executor:
            result = await call(tmp_path, loop=loop, executor=executor)
            assert executor.used
            if call is aios.scandir:
                result.close()
    with Counting(1) as executor:
        assert await aios.getcwd(loop=None, executor=executor) == os.getcwd()
        assert executor.used


async def test_the_engine_does_the_work(tmp_path: Path) -> None:
    """Not a thread of the loop's executor."""

    def work() -> int:
        stats = rapfiles.stats()
        return stats.cached + stats.submitted

    path = str(tmp_path / "a")
    calls = [
        (aios.mkdir, (path,)),
        (aios.stat, (path,)),
        (aios.access, (path, os.R_OK)),
        (aios.listdir, (path,)),
        (aios.rename, (path, path + "b")),
        (aios.replace, (path + "b", path)),
        (aios.rmdir, (path,)),
        (aios.makedirs, (path + "/b",)),
        (aios.symlink, ("a", path + "/link")),
        (aios.readlink, (path + "/link",)),
        (aios.unlink, (path + "/link",)),
        (aios.path.exists, (path,)),
        (aios.path.isdir, (path,)),
        (aios.path.isfile, (path,)),
        (aios.path.islink, (path,)),
        (aios.path.ismount, (path,)),
        (aios.path.getsize, (path,)),
        (aios.path.samefile, (path, path)),
    ]
    for call, arguments in calls:
        before = work()
        await call(*arguments)
        assert work() > before, call


@pytest.mark.parametrize("name", [*aios.__all__, *(f"path.{name}" for name in aios.path.__all__)])
def test_metadata(name: str) -> None:
    if name in {"path", "wrap"}:
        return
    function = ours(name)
    theirs: Any = getattr(os.path if name.startswith("path.") else os, name.removeprefix("path."))
    assert inspect.iscoroutinefunction(function)
    assert function.__wrapped__ is theirs
    for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):
        assert getattr(function, attribute) == getattr(theirs, attribute)


async def test_wrap() -> None:
    def add(first: int, second: int = 2) -> int:
        """Add."""
        return first + second

    wrapped = aios.wrap(add)
    assert inspect.iscoroutinefunction(wrapped)
    assert (wrapped.__name__, wrapped.__doc__) == ("add", "Add.")
    assert await wrapped(1) == 3
    assert await wrapped(1, second=3) == 4
    with pytest.raises(TypeError):
        await wrapped()
