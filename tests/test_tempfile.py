"""Temporary files are made, named, protected and refused as the standard library does it."""

import asyncio
import errno
import inspect
import io
import os
import re
import stat
import tempfile as stdlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

import rapfiles
from rapfiles import AsyncPath, tempfile
from rapfiles.tempfile import _cleanup
from support import fuse, lag, mounts, process
from support.leftovers import becomes, entries, no_warnings, nothing_left
from support.loops import LOOPS, Loop, settle_garbage

# The signatures of the newest standard library, Python 3.15.
NEWEST = {
    "TemporaryFile": "(mode='w+b', buffering=-1, encoding=None, newline=None, suffix=None, prefix=None, "
    "dir=None, *, errors=None)",
    "NamedTemporaryFile": "(mode='w+b', buffering=-1, encoding=None, newline=None, suffix=None, prefix=None, "
    "dir=None, delete=True, *, errors=None, delete_on_close=True)",
    "SpooledTemporaryFile": "(max_size=0, mode='w+b', buffering=-1, encoding=None, newline=None, "
    "suffix=None, prefix=None, dir=None, *, errors=None)",
    "TemporaryDirectory": "(suffix=None, prefix=None, dir=None, ignore_cleanup_errors=False, *, delete=True)",
    "mkstemp": "(suffix=None, prefix=None, dir=None, text=False)",
    "mkdtemp": "(suffix=None, prefix=None, dir=None)",
    "gettempdir": "()",
    "gettempdirb": "()",
    "gettempprefix": "()",
    "gettempprefixb": "()",
}
# What the standard library has besides.
LACKING = {
    "mktemp": "whoever uses the name it returns is in a race with everybody else",
    "TMP_MAX": "a constant of the standard library's, which is followed",
    "tempdir": "set that of the standard library, which is followed",
}
FILES = ["TemporaryFile", "NamedTemporaryFile"]


def _bare(function: Callable[..., Any]) -> str:
    """A signature without its annotations."""
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()
    ]
    return str(inspect.Signature(parameters))


@pytest.mark.parametrize("name", NEWEST)
def test_signature(name: str) -> None:
    assert _bare(getattr(tempfile, name)) == NEWEST[name]


@pytest.mark.parametrize("name", NEWEST)
def test_signature_has_what_the_running_python_has(name: str) -> None:
    ours = inspect.signature(getattr(tempfile, name)).parameters
    for parameter in inspect.signature(getattr(stdlib, name)).parameters.values():
        mine = ours[parameter.name]
        assert (mine.kind, mine.default) == (parameter.kind, parameter.default)


def test_names() -> None:
    """A new name in the standard library announces itself."""
    new = set(stdlib.__all__) - set(NEWEST) - set(LACKING) - {"TemporaryFileWrapper"}
    assert new == set()
    assert set(NEWEST) <= set(tempfile.__all__)
    assert all(hasattr(tempfile, name) for name in tempfile.__all__)


# The default directory.


async def test_default_directory() -> None:
    assert await tempfile.gettempdir() == AsyncPath(stdlib.gettempdir())
    assert isinstance(await tempfile.gettempdir(), AsyncPath)
    assert await tempfile.gettempdirb() == stdlib.gettempdirb()
    assert tempfile.gettempprefix() == stdlib.gettempprefix()
    assert tempfile.gettempprefixb() == stdlib.gettempprefixb()


async def test_the_application_chooses_the_default_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdlib, "tempdir", str(tmp_path))
    assert await tempfile.gettempdir() == AsyncPath(tmp_path)
    async with tempfile.NamedTemporaryFile() as file:
        assert Path(file.name).parent == tmp_path
    async with tempfile.TemporaryDirectory() as path:
        assert path.parent == AsyncPath(tmp_path)


async def test_a_default_directory_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdlib, "tempdir", os.fsencode(tmp_path))
    assert await tempfile.gettempdir() == AsyncPath(tmp_path)
    async with tempfile.NamedTemporaryFile() as file:
        assert isinstance(file.name, bytes)


async def test_the_search_for_the_default_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdlib, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert await tempfile.gettempdir() == AsyncPath(tmp_path)
    assert stdlib.tempdir == str(tmp_path)
    assert entries(tmp_path) == []


# Names and permissions.


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0, 0o22, 0o777], ids=oct)
async def test_permissions(tmp_path: Path, mask: int) -> None:
    """As private as the standard library makes them, whatever the umask says."""

    def mode(path: str | bytes | int | Path) -> int:
        return stat.S_IMODE(os.stat(path).st_mode)

    with _umask(mask):
        with stdlib.TemporaryFile(dir=tmp_path) as expected:
            async with tempfile.TemporaryFile(dir=tmp_path) as file:
                assert mode(file.fileno()) == mode(expected.fileno())
        async with tempfile.NamedTemporaryFile(dir=tmp_path) as file:
            assert mode(file.name) == 0o600 & ~mask
        descriptor, path = await tempfile.mkstemp(dir=tmp_path)
        assert mode(descriptor) == 0o600 & ~mask
        os.close(descriptor)
        await path.unlink()
        path = await tempfile.mkdtemp(dir=tmp_path)
        assert mode(path) == 0o700 & ~mask
        await path.rmdir()
        async with tempfile.TemporaryDirectory(dir=tmp_path) as path:
            assert mode(path) == 0o700 & ~mask
    assert entries(tmp_path) == []


@pytest.mark.parametrize("as_bytes", [False, True], ids=["str", "bytes"])
async def test_parts_of_names(tmp_path: Path, as_bytes: bool) -> None:
    def part(text: str) -> Any:
        return os.fsencode(text) if as_bytes else text

    odd = os.fsdecode(b"\xff")
    names: dict[str, Any] = {"prefix": part(f"pre{odd}"), "suffix": part(".suf"), "dir": part(str(tmp_path))}
    pattern = re.compile(re.escape(str(tmp_path)) + f"/pre{odd}[a-z0-9_]{{8}}\\.suf")

    async with tempfile.NamedTemporaryFile(**names) as file:
        assert isinstance(file.name, bytes if as_bytes else str)
        assert pattern.fullmatch(os.fsdecode(file.name))
        assert file.path == AsyncPath(os.fsdecode(file.name))
        assert entries(tmp_path) == [os.path.basename(os.fsdecode(file.name))]
    directory = await tempfile.TemporaryDirectory(**names)
    assert isinstance(directory.name, bytes if as_bytes else str)
    assert pattern.fullmatch(os.fsdecode(directory.name))
    assert directory.path == AsyncPath(os.fsdecode(directory.name))
    await directory.cleanup()
    path = await tempfile.mkdtemp(**names)
    assert isinstance(path, AsyncPath)
    assert pattern.fullmatch(str(path))
    await path.rmdir()
    descriptor, path = await tempfile.mkstemp(**names)
    os.close(descriptor)
    assert isinstance(path, AsyncPath)
    assert pattern.fullmatch(str(path))
    await path.unlink()


@pytest.mark.parametrize("kind", [Path, AsyncPath])
async def test_directory_as_path(tmp_path: Path, kind: type) -> None:
    async with tempfile.NamedTemporaryFile(dir=kind(tmp_path)) as file:
        assert os.path.dirname(file.name) == str(tmp_path)


async def test_relative_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the newest standard library, names are absolute."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for place in ("sub", ".", "sub/../sub", b"sub"):
        path = await tempfile.mkdtemp(dir=place)
        assert path.is_absolute()
        assert await path.is_dir()
        await path.rmdir()
        async with tempfile.NamedTemporaryFile(dir=place) as file:
            assert os.path.isabs(file.name)


async def test_names_do_not_repeat(tmp_path: Path) -> None:
    seen = set()
    async with anyio.create_task_group() as group:

        async def make() -> None:
            for _ in range(20):
                seen.add(await tempfile.mkdtemp(dir=tmp_path))

        for _ in range(20):
            group.start_soon(make)
    assert len(seen) == len(entries(tmp_path)) == 400


async def test_a_taken_name_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a file nor what a link leads to is opened; another name is tried."""
    (tmp_path / "tmpaaaaaaaa").write_bytes(b"mine")
    (tmp_path / "tmpbbbbbbbb").symlink_to("nowhere")
    (tmp_path / "tmpcccccccc").mkdir()
    names = ["aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd"]

    def make_predictable() -> None:
        given = iter(names)
        monkeypatch.setattr("rapfiles.tempfile._names.random_name", lambda: next(given))

    make_predictable()
    async with tempfile.NamedTemporaryFile(dir=tmp_path) as file:
        assert os.path.basename(file.name) == "tmpdddddddd"
    make_predictable()
    assert (await tempfile.mkdtemp(dir=tmp_path)).name == "tmpdddddddd"
    (tmp_path / "tmpdddddddd").rmdir()
    make_predictable()
    descriptor, path = await tempfile.mkstemp(dir=tmp_path)
    os.close(descriptor)
    assert path.name == "tmpdddddddd"
    assert (tmp_path / "tmpaaaaaaaa").read_bytes() == b"mine"
    assert not (tmp_path / "nowhere").exists()


async def test_all_names_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rapfiles.tempfile._names.random_name", lambda: "aaaaaaaa")
    monkeypatch.setattr(stdlib, "TMP_MAX", 3)
    (tmp_path / "tmpaaaaaaaa").mkdir()
    for call in (tempfile.NamedTemporaryFile, tempfile.mkstemp):
        with pytest.raises(FileExistsError, match="No usable temporary file name found"):
            await call(dir=tmp_path)
    with pytest.raises(FileExistsError, match="No usable temporary directory name found"):
        await tempfile.mkdtemp(dir=tmp_path)


async def test_descriptors_are_not_inherited(tmp_path: Path) -> None:
    async with tempfile.TemporaryFile(dir=tmp_path) as file:
        assert not os.get_inheritable(file.fileno())
    async with tempfile.NamedTemporaryFile(dir=tmp_path) as file:
        assert not os.get_inheritable(file.fileno())
    descriptor, path = await tempfile.mkstemp(dir=tmp_path)
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
    await path.unlink()


# Errors.


def _plain(error: Exception) -> object:
    text = re.sub(r"(tmp|no/such/)[a-z0-9_]{8}", r"\1NAME", str(error))
    if isinstance(error, OSError) and not isinstance(error, io.UnsupportedOperation):
        return type(error), error.errno, text
    # The names of functions inside are nobody's business.
    text = re.sub("(open: )?embedded null (byte|character in path)", "embedded null", text)
    return type(error), None if isinstance(error, TypeError) else text


BAD_ARGUMENTS: list[dict[str, Any]] = [
    {"dir": "missing"},
    {"dir": "file"},
    {"dir": "nul\0"},
    {"suffix": "nul\0"},
    {"prefix": "no/such/"},
    {"prefix": b"bytes", "dir": "folder"},
    {"prefix": b"bytes", "suffix": "text"},
    {"suffix": 1},
    {"dir": 1.5},
    {"mode": "q"},
    {"mode": "w+q"},
    {"mode": "rw"},
    {"mode": "wbt"},
    {"mode": "w", "buffering": 0},
    {"mode": "wb", "encoding": "utf-8"},
    {"mode": "wb", "errors": "strict"},
    {"mode": "wb", "newline": ""},
    {"mode": "w", "newline": "x"},
    {"mode": "w", "encoding": "no-such-encoding"},
    {"mode": "w", "errors": "no-such-handler"},
    {"mode": 5},
]


@pytest.mark.one_loop
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (name, arguments)
        for name in [*FILES, "mkstemp", "mkdtemp", "TemporaryDirectory"]
        for arguments in BAD_ARGUMENTS
        if arguments.keys() <= inspect.signature(getattr(stdlib, name)).parameters.keys()
    ],
    ids=str,
)
async def test_errors(
    name: str, arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same error as the standard library's, when it is awaited, and nothing is left."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    arguments = {"dir": "folder", **arguments}

    def outcome_of_stdlib() -> object:
        try:
            made = getattr(stdlib, name)(**arguments)
        except Exception as error:
            return _plain(error)
        for thing in made if isinstance(made, tuple) else [made]:
            if isinstance(thing, int):
                os.close(thing)
            elif isinstance(thing, str | bytes):
                os.rmdir(thing) if os.path.isdir(thing) else os.unlink(thing)
            elif isinstance(thing, stdlib.TemporaryDirectory):
                thing.cleanup()
            else:
                thing.close()
        return "made"

    async def outcome() -> object:
        awaitable = getattr(tempfile, name)(**arguments)
        try:
            made = await awaitable
        except Exception as error:
            return _plain(error)
        for thing in made if isinstance(made, tuple) else [made]:
            if isinstance(thing, int):
                os.close(thing)
            elif isinstance(thing, AsyncPath):
                os.rmdir(thing) if os.path.isdir(thing) else os.unlink(thing)
            elif isinstance(thing, tempfile.AsyncTemporaryDirectory):
                await thing.cleanup()
            else:
                await thing.close()
        return "made"

    # mkdtemp of old Pythons does not make a relative directory absolute.
    monkeypatch.setitem(arguments, "dir", _absolute(arguments["dir"], tmp_path))
    assert await outcome() == outcome_of_stdlib()
    await becomes(lambda: entries(tmp_path) == ["file", "folder"], "an unchanged folder")
    await nothing_left(tmp_path / "folder")


def _absolute(place: Any, folder: Path) -> Any:
    return str(folder / place) if isinstance(place, str) else place


# How they are used.


@pytest.mark.parametrize("name", ["TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile"])
async def test_ways_to_use(name: str, tmp_path: Path) -> None:
    make = getattr(tempfile, name)
    file = await make(dir=tmp_path)
    assert not file.closed
    await file.close()
    assert file.closed
    async with make(dir=tmp_path) as file:
        assert not file.closed
    assert file.closed
    async with await make(dir=tmp_path) as file:
        assert not file.closed
    assert file.closed
    file = await make(dir=tmp_path)
    await file.aclose()
    await file.aclose()
    assert file.closed
    with pytest.raises(ValueError, match="closed file"):
        async with file:
            pass
    assert entries(tmp_path) == []


@pytest.mark.loops("asyncio")
async def test_as_tasks(tmp_path: Path) -> None:
    """What the functions return can be used like a coroutine."""
    file = await asyncio.create_task(tempfile.TemporaryFile(dir=tmp_path))
    await file.close()
    file, directory = await asyncio.gather(
        tempfile.NamedTemporaryFile(dir=tmp_path), tempfile.TemporaryDirectory(dir=tmp_path)
    )
    await file.close()
    await directory.cleanup()
    assert entries(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "TemporaryDirectory"]
)
def test_nothing_happens_before_it_is_awaited(name: str) -> None:
    def drop() -> None:
        getattr(tempfile, name)(dir="/no/such/folder")
        settle_garbage()

    with pytest.warns(RuntimeWarning, match=f"coroutine '{name}' was never awaited"):
        drop()


@pytest.mark.one_loop
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("mode", "buffering", "kind", "inside"),
    [
        ("w+b", -1, tempfile.TemporaryBinaryFile, rapfiles.AsyncBufferedRandom),
        ("wb", -1, tempfile.TemporaryBinaryFile, rapfiles.AsyncBufferedWriter),
        ("rb", -1, tempfile.TemporaryBinaryFile, rapfiles.AsyncBufferedReader),
        ("w+b", 0, tempfile.TemporaryRawFile, rapfiles.AsyncFileIO),
        ("w+", -1, tempfile.TemporaryTextFile, rapfiles.AsyncTextIOWrapper),
        ("r", -1, tempfile.TemporaryTextFile, rapfiles.AsyncTextIOWrapper),
        ("x", 1, tempfile.TemporaryTextFile, rapfiles.AsyncTextIOWrapper),
        ("a+t", -1, tempfile.TemporaryTextFile, rapfiles.AsyncTextIOWrapper),
    ],
)
async def test_modes(name: str, mode: str, buffering: int, kind: type, inside: type, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"mode": mode, "buffering": buffering, "dir": tmp_path}
    with getattr(stdlib, name)(**arguments) as expected:
        async with getattr(tempfile, name)(**arguments) as file:
            assert type(file) is kind
            assert type(file.file) is inside
            assert file.mode == expected.mode
            for question in ("readable", "writable", "seekable", "isatty"):
                assert getattr(file, question)() == getattr(expected, question)()
            assert isinstance(file.name, type(expected.name))
            if isinstance(file.name, int):
                assert file.name == file.fileno()
                assert file.path is None


@pytest.mark.parametrize("name", FILES)
async def test_reading_and_writing(name: str, directory: Path) -> None:
    if name == "TemporaryFile":
        _skip_if_unlinked_files_are_forgotten(directory)
    make = getattr(tempfile, name)
    async with make(dir=directory) as file:
        assert await file.write(b"one\ntwo\n") == 8
        await file.seek(0)
        assert await file.readline() == b"one\n"
        assert [line async for line in file] == [b"two\n"]
        await file.truncate(2)
        await file.seek(0)
        assert await file.read() == b"on"
    async with make("w+", dir=directory, encoding="utf-16", newline="\r\n") as file:
        await file.write("eins\nzwei\n")
        await file.seek(0)
        assert await file.readlines() == ["eins\r\n", "zwei\r\n"]
        assert file.encoding == "utf-16"
    assert entries(directory) == []


async def test_missing_members_are_missing(tmp_path: Path) -> None:
    async with tempfile.TemporaryFile(buffering=0, dir=tmp_path) as file:
        assert not hasattr(file, "peek")
        with pytest.raises(AttributeError):
            file.no_such_thing  # noqa: B018


async def test_repr(tmp_path: Path) -> None:
    async with tempfile.NamedTemporaryFile(dir=tmp_path) as file:
        assert repr(file) == f"<TemporaryBinaryFile {file.file!r}>"
    async with tempfile.TemporaryFile(dir=tmp_path) as nameless:
        # As in the standard library: its descriptor, and not the directory that it was made in.
        if os.name == "posix":
            assert nameless.file.name == nameless.name == nameless.fileno()
            assert f"name={nameless.fileno()}>" in repr(nameless)
    directory = await tempfile.TemporaryDirectory(dir=tmp_path)
    assert repr(directory) == f"<TemporaryDirectory {directory.name!r}>"
    await directory.cleanup()


# TemporaryFile.


def _skip_if_unlinked_files_are_forgotten(folder: Path) -> None:
    with open(folder / "file", "wb") as file:
        os.unlink(folder / "file")
        try:
            os.fstat(file.fileno())
        except OSError:
            pytest.skip("this file system does not know an open file any more when it is unlinked")


def _has_nameless_files(folder: Path) -> bool:
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600))
    except (AttributeError, OSError):
        return False
    return True


async def test_temporary_file_has_no_name(directory: Path) -> None:
    """On every file system; where there are files without names, it never had one."""
    _skip_if_unlinked_files_are_forgotten(directory)
    async with tempfile.TemporaryFile(dir=directory) as file:
        assert entries(directory) == []
        if _has_nameless_files(directory):
            assert os.fstat(file.fileno()).st_nlink == 0
            # What Linux says of such a file has a number in place of a name.
            assert "/#" in os.readlink(f"/proc/self/fd/{file.fileno()}")


@pytest.fixture(scope="module")
def without_nameless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on a file system that makes no files without a name."""
    if (reason := fuse.missing()) is not None:
        pytest.skip(reason)
    with fuse.mounted(tmp_path_factory.mktemp("without-nameless"), delay_ms=0, hide=True) as disk:
        assert not _has_nameless_files(disk.root), "FUSE has learned O_TMPFILE: another one is needed"
        yield disk.root


async def test_file_systems_without_nameless_files(without_nameless: Path) -> None:
    for _ in range(2):  # at first it is tried, then it is known
        async with tempfile.TemporaryFile("w+", dir=without_nameless, encoding="utf-8") as file:
            assert entries(without_nameless) == []
            await file.write("abc")
            await file.seek(0)
            assert await file.read() == "abc"
            with pytest.raises(io.UnsupportedOperation, match="use NamedTemporaryFile"):
                await file.persist(without_nameless / "kept")
            assert await file.read() == ""
    assert entries(without_nameless) == []


# NamedTemporaryFile.


@pytest.mark.parametrize("delete", [True, False])
@pytest.mark.parametrize("delete_on_close", [True, False])
@pytest.mark.parametrize("way", ["close", "block", "close in block", "unlinked by another"])
async def test_when_a_named_file_is_deleted(
    delete: bool, delete_on_close: bool, way: str, tmp_path: Path
) -> None:
    file = await tempfile.NamedTemporaryFile(dir=tmp_path, delete=delete, delete_on_close=delete_on_close)
    await file.write(b"content")
    path = Path(file.name)
    assert path.exists()
    if way == "unlinked by another":
        path.unlink()
        async with file:
            pass
        assert not path.exists()
        return
    if way == "close":
        await file.close()
        assert path.exists() == (not (delete and delete_on_close))
    elif way == "block":
        async with file:
            pass
        assert path.exists() == (not delete)
    else:
        async with file:
            await file.close()
            assert path.exists() == (not (delete and delete_on_close))
        assert path.exists() == (not delete)
    assert file.name == str(path)
    if path.exists():
        assert path.read_bytes() == b"content"
    del file
    settle_garbage()
    if delete:
        await nothing_left(tmp_path)


async def test_a_dropped_file_is_deleted(tmp_path: Path) -> None:
    async def drop() -> None:
        await tempfile.NamedTemporaryFile(dir=tmp_path)
        await anyio.sleep(0)  # asyncio itself holds on to what it has just delivered
        settle_garbage()

    with pytest.warns(ResourceWarning, match="unclosed file"):
        await drop()
    await nothing_left(tmp_path)


async def test_a_dropped_closed_file_is_deleted_in_silence(tmp_path: Path) -> None:
    async def drop() -> None:
        file = await tempfile.NamedTemporaryFile(dir=tmp_path, delete_on_close=False)
        await file.close()
        assert len(entries(tmp_path)) == 1

    with no_warnings():
        await drop()
        await anyio.sleep(0)
        settle_garbage()
        await nothing_left(tmp_path)


async def test_a_full_disk(tmp_path: Path) -> None:
    """What cannot be written is said, and the file goes all the same."""
    if (reason := mounts.missing("tmpfs")) is not None:
        pytest.skip(reason)
    with mounts.mounted("tmpfs", tmp_path / "small", size=512 << 10) as root:

        async def fill(make: Callable[..., Any], buffering: int) -> None:
            async with make(dir=root, buffering=buffering) as file:
                for _ in range(1024):
                    await file.write(b"x" * 1024)

        for make in (tempfile.TemporaryFile, tempfile.NamedTemporaryFile):
            for buffering in (-1, 0):
                with pytest.raises(OSError, match="No space left") as caught:
                    await fill(make, buffering)
                assert caught.value.errno == errno.ENOSPC
                await nothing_left(root)
        # All of the room is there again.
        async with tempfile.TemporaryFile(dir=root) as file:
            await file.write(b"x" * (400 << 10))
            await file.flush()


# The event loop.


def _operations() -> dict[str, Callable[[Path], Any]]:
    async def named(folder: Path) -> None:
        async with tempfile.NamedTemporaryFile(dir=folder) as file:
            await file.write(b"x" * 10_000)

    async def nameless(folder: Path) -> None:
        async with tempfile.TemporaryFile(dir=folder) as file:
            await file.write(b"x" * 10_000)

    async def persisted(folder: Path) -> None:
        async with tempfile.NamedTemporaryFile(dir=folder) as file:
            path = await file.persist(folder / "persisted", overwrite=True)
        await path.unlink()

    async def directory(folder: Path) -> None:
        async with tempfile.TemporaryDirectory(dir=folder) as path:
            await (path / "file").touch()

    async def spooled(folder: Path) -> None:
        async with tempfile.SpooledTemporaryFile(10, dir=folder) as file:
            await file.write(b"x" * 100)

    async def dropped(folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            await tempfile.NamedTemporaryFile(dir=folder)
            await anyio.sleep(0)
            await tempfile.TemporaryDirectory(dir=folder)
            await anyio.sleep(0)
            # Looking at the folder here would be slow.
            await becomes(lambda: not _cleanup._all, "nothing to remove")

    return {
        function.__name__: function for function in (named, nameless, persisted, directory, spooled, dropped)
    }


# A warning that one of them gives could be heard by another.
@pytest.mark.parametrize("names", [{*_operations()} - {"dropped"}, {"dropped"}], ids=["kept", "dropped"])
async def test_the_loop_does_not_wait_for_a_slow_disk(
    names: set[str], slow_disk: fuse.SlowDisk, loop: Loop
) -> None:
    folders = [slow_disk.backing / f"{name}-{loop}" for name in names]
    for folder in folders:
        folder.mkdir()

    async def work() -> None:
        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(_operations()[name], slow_disk.root / f"{name}-{loop}")

    assert await lag.worst_beside(work) < lag.ALLOWED
    assert [entry for folder in folders for entry in entries(folder)] == []


# The end of the process.

_PROGRAM = """
import sys
import anyio
from rapfiles import tempfile
from support.loops import LOOPS

way, name, folder = sys.argv[1:]
loop = {loop.name: loop for loop in LOOPS}[name]

async def use():
    async with (
        tempfile.TemporaryDirectory(dir=folder) as path,
        tempfile.NamedTemporaryFile(dir=path) as inside,
        tempfile.NamedTemporaryFile(dir=folder) as outside,
        tempfile.SpooledTemporaryFile(10, dir=folder) as spooled,
    ):
        while True:
            await inside.write(b"x" * 1000)
            await outside.write(b"x" * 1000)
            await spooled.write(b"x" * 1000)

async def main():
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(use)
        await anyio.sleep(0.05)
        print("ready", flush=True)
        if way == "return":
            group.cancel_scope.cancel()
        elif way == "exit":
            sys.exit(7)
        elif way == "interrupt":
            raise KeyboardInterrupt

try:
    loop.run(main)
except BaseExceptionGroup as group:
    if way == "exit":
        sys.exit(7)
    assert way == "interrupt", group
    sys.exit(130)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(("way", "code"), [("return", 0), ("exit", 7), ("interrupt", 130)])
@pytest.mark.parametrize("loop_", LOOPS, ids=str)
def test_nothing_is_left_at_exit(way: str, code: int, loop_: Loop, tmp_path: Path) -> None:
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        ended = process.run(_PROGRAM, way, loop_.name, str(folder))
        assert (ended.code, ended.output, ended.errors) == (code, "", "")
        assert entries(folder) == []


_HELD = """
import asyncio, sys, warnings
from rapfiles import tempfile

async def main():
    global held
    held = [
        await tempfile.TemporaryDirectory(dir=sys.argv[1]),
        await tempfile.NamedTemporaryFile(dir=sys.argv[1]),
    ]
    await (held[0].path / "file").touch()
    print("ready", flush=True)

warnings.simplefilter("ignore", ResourceWarning)
asyncio.run(main())
"""


def test_what_is_held_until_the_end_is_removed_then(tmp_path: Path) -> None:
    ended = process.run(_HELD, str(tmp_path))
    assert (ended.code, ended.output, ended.errors) == (0, "", "")
    assert entries(tmp_path) == []


_FORK = """
import asyncio, os, sys, warnings
from rapfiles import tempfile

async def main():
    return [
        await tempfile.TemporaryDirectory(dir=sys.argv[1]),
        await tempfile.NamedTemporaryFile(dir=sys.argv[1]),
    ]

warnings.simplefilter("ignore")
held = asyncio.run(main())
if (child := os.fork()) == 0:
    if sys.argv[2] == "dropped":
        del held
    sys.exit(0)
print("ready", flush=True)
assert os.waitpid(child, 0)[1] == 0
assert len(os.listdir(sys.argv[1])) == 2
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform does not fork")
@pytest.mark.parametrize("way", ["held", "dropped"])
def test_a_forked_child_removes_nothing(way: str, tmp_path: Path) -> None:
    ended = process.run(_FORK, str(tmp_path), way)
    assert (ended.code, ended.output, ended.errors) == (0, "", "")
    assert entries(tmp_path) == []


_BEING_MADE = """
import os, sys, threading, time
import anyio
from rapfiles import tempfile
from support.loops import LOOPS

name, create, folder = sys.argv[1:]
made = threading.Event()

def late(call):
    # The thread gets the processor only later.
    def called(path, *arguments):
        result = call(path, *arguments)
        if os.fspath(path).startswith(folder):
            made.set()
            time.sleep(0.3)
        return result
    return called

async def main():
    async with anyio.create_task_group() as group:
        os.mkdir, os.open = late(os.mkdir), late(os.open)
        group.start_soon(lambda: getattr(tempfile, create)(dir=folder))
        while not made.is_set():
            await anyio.sleep(0.001)
        print("ready", flush=True)
        group.cancel_scope.cancel()

{loop.name: loop for loop in LOOPS}[name].run(main)
"""


@pytest.mark.parametrize("create", ["TemporaryDirectory", "NamedTemporaryFile", "mkdtemp", "mkstemp"])
@pytest.mark.parametrize("loop_", LOOPS, ids=str)
def test_what_is_being_made_at_exit_is_not_left(loop_: Loop, create: str, tmp_path: Path) -> None:
    ended = process.run(_BEING_MADE, loop_.name, create, str(tmp_path))
    assert (ended.code, ended.output, ended.errors) == (0, "", "")
    assert entries(tmp_path) == []


_TAKEN_BACK = """
import os, sys, threading, time
import anyio
from rapfiles import _threads, tempfile
from support.loops import LOOPS

name, create, folder = sys.argv[1:]
made, go = threading.Event(), threading.Event()

def held(call):
    def called(path, *arguments):
        if os.fspath(path).startswith(folder):
            made.set()
            go.wait()
        return call(path, *arguments)
    return called

def late(call):
    # The thread gets the processor only later.
    def called(path):
        time.sleep(0.3)
        call(path)
    return called

async def main():
    async with anyio.create_task_group() as group:
        os.mkdir, os.open = held(os.mkdir), held(os.open)
        os.rmdir, os.unlink = late(os.rmdir), late(os.unlink)
        group.start_soon(lambda: getattr(tempfile, create)(dir=folder))
        while not made.is_set():
            await anyio.sleep(0.001)
        # The loop does not hear of it before it is cancelled.
        go.set()
        while not _threads._threads._idle:
            time.sleep(0.001)
        assert os.listdir(folder)
        group.cancel_scope.cancel()
    print("ready", flush=True)

{loop.name: loop for loop in LOOPS}[name].run(main)
"""


@pytest.mark.parametrize("create", ["TemporaryDirectory", "mkdtemp", "mkstemp"])
@pytest.mark.parametrize("loop_", LOOPS, ids=str)
def test_what_a_cancelled_task_made_is_not_left_at_exit(loop_: Loop, create: str, tmp_path: Path) -> None:
    ended = process.run(_TAKEN_BACK, loop_.name, create, str(tmp_path))
    assert (ended.code, ended.output, ended.errors) == (0, "", "")
    assert entries(tmp_path) == []
