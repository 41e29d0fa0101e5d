"""`rapfiles.open` takes what builtin `open` takes, complains as it does, and opens the same files alike."""

import asyncio
import inspect
import io
import os
import re
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

import rapfiles
from rapfiles import AsyncPath
from support import handles, mounts, process
from support.engine import under_way
from support.loops import settle_garbage
from support.names import shown

CONTENT = b"first line\nsecond\r\nthird\rlast"


@dataclass(frozen=True)
class Bytes(os.PathLike[bytes]):
    """A path of bytes, as an object."""

    path: bytes

    def __fspath__(self) -> bytes:
        return self.path


@dataclass(frozen=True)
class Odd:
    """What claims to be a path and is none."""

    path: Any

    def __fspath__(self) -> Any:
        return self.path


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def arrange(folder: Path) -> None:
    (folder / "file").write_bytes(CONTENT)
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("new")
    (folder / "odd\udcff").write_bytes(CONTENT)


def described(file: Any) -> dict[str, Any]:
    """What can be asked of a handle without awaiting: the same of ours and of builtin `open`'s."""
    kind = type(file).__name__.removeprefix("Async")
    found: dict[str, Any] = {"kind": kind, "repr": repr(file).partition(kind)[2]}
    for name in (
        *("name", "mode", "closed", "encoding", "errors", "newlines", "line_buffering", "write_through"),
        *("closefd", "readable", "writable", "seekable", "isatty"),
    ):
        value = getattr(file, name, "absent")
        found[name] = value() if callable(value) else value
    found["inheritable"] = os.get_inheritable(file.fileno())
    found["status"] = stat.filemode(os.fstat(file.fileno()).st_mode)
    return found


def by_builtin(*args: Any, **keywords: Any) -> Any:
    def work() -> Any:
        with open(*args, **keywords) as file:
            return described(file)

    return handles.of_call(work)


async def by_rapfiles(*args: Any, **keywords: Any) -> Any:
    async def work() -> Any:
        async with rapfiles.open(*args, **keywords) as file:
            return described(file)

    return await handles.of_await(work)


async def compare(folder: Path, *args: Any, two_mistakes: bool = False, **keywords: Any) -> Any:
    """Open the same with both, each in a folder made anew, and say what the two have found.

    With `two_mistakes` in the arguments, either may be complained of.
    """
    fresh(folder)
    expected = by_builtin(*args, **keywords)
    left = sizes(folder)
    fresh(folder)
    before = sizes(folder)
    actual = await by_rapfiles(*args, **keywords)
    if actual[0] == expected[0] == "returns":
        found = {key: value for key, value in actual[1].items() if value != expected[1][key]}
        assert found == {key: expected[1][key] for key in found}
    elif two_mistakes:
        assert actual[0] == expected[0] == "raises"
    else:
        assert actual == expected
    # Builtin `open` may have made or emptied a file before it looks at an encoding; that is not imitated.
    refused = expected[0] == "raises" and not issubclass(expected[1][0], OSError)
    assert sizes(folder) == (before if refused else left)
    return expected


def fresh(folder: Path) -> None:
    for entry in folder.iterdir():
        entry.rmdir() if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    arrange(folder)


def sizes(folder: Path) -> dict[str, int]:
    return {entry.name: entry.lstat().st_size for entry in folder.iterdir()}


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one."""
    folder = tmp_path / "inside"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


MODES = [
    "".join(parts)
    for first in "rwax"
    for rest in ("", "b", "t", "+", "b+", "+b", "+t", "t+")
    for parts in ([first, rest],)
]
STRANGE_MODES = ["br", "+br", "t+a", "bx", "b+w"]
WRONG_MODES = [
    *(
        "",
        "b",
        "t",
        "+",
        "rr",
        "rw",
        "wa",
        "r++",
        "rbb",
        "rtt",
        "rbt",
        "tb",
        "q",
        "U",
        "rU",
        "Ur",
        " r",
        "r ",
    ),
    *("R", "rx", "r\u00e9", "rb\u20ac"),
]


@pytest.mark.one_loop
@pytest.mark.loops("asyncio")
@pytest.mark.parametrize("mode", [*MODES, *STRANGE_MODES, *WRONG_MODES], ids=ascii)
async def test_modes(mode: str, inside: Path) -> None:
    for file in ("file", "new"):
        await compare(inside, file, mode)


@pytest.mark.one_loop
@pytest.mark.loops("asyncio")
@pytest.mark.parametrize("mode", ["rb", "wb", "ab", "xb", "rb+", "wb+", "ab+", "xb+", "r", "w", "r+"])
@pytest.mark.parametrize("buffering", [0, 1, 2, 8192, 1 << 20, True, False])
async def test_buffering(mode: str, buffering: int, inside: Path) -> None:
    # With 1 in binary mode there is a warning, which is an error here.
    await compare(inside, "new" if "x" in mode else "file", mode, buffering)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        await compare(inside, "new" if "x" in mode else "file", mode, buffering)


@pytest.mark.loops("asyncio")
@pytest.mark.parametrize("buffering", [-2, -100, 1 << 70, -(1 << 70), "1", 1.0, None, []], ids=repr)
async def test_wrong_buffering(buffering: Any, inside: Path) -> None:
    for mode in ("r", "rb"):
        await compare(inside, "file", mode, buffering)
    await compare(inside, "file", "q", buffering, two_mistakes=True)


@pytest.mark.one_loop
@pytest.mark.loops("asyncio")
@pytest.mark.parametrize(
    "encoding",
    [
        *("utf-8", "UTF-8", "utf8", "U8", "latin-1", "L1", "ascii", "US-ASCII", "cp1252", "utf-16", "utf-7"),
        *("utf-8-sig", "locale", "no-such", "", "hex", "rot13", "base64", "nul\0", "\ud800", 1, b"utf-8"),
        *("undefined", "idna", "punycode", "unicode_escape", "utf-32-le", "euc_jis_2004", " utf-8", "utf 8"),
    ],
    ids=ascii,
)
async def test_encoding(encoding: Any, inside: Path) -> None:
    for mode in ("r", "w", "a", "r+"):
        await compare(inside, "file", mode, encoding=encoding)
    await compare(inside, "file", "rb", encoding=encoding, two_mistakes=True)


@pytest.mark.loops("asyncio")
@pytest.mark.parametrize(
    "errors",
    ["strict", "replace", "surrogatepass", "no-such", "", "nul\0", "\ud800", 1, b"strict"],
    ids=ascii,
)
async def test_errors(errors: Any, inside: Path) -> None:
    for mode in ("r", "w"):
        await compare(inside, "file", mode, encoding="utf-8", errors=errors)
    await compare(inside, "file", "rb", errors=errors, two_mistakes=True)


@pytest.mark.loops("asyncio")
@pytest.mark.parametrize(
    "newline", ["", "\n", "\r", "\r\n", "\n\r", "x", "\0", "\u2028", 1, b"\n"], ids=ascii
)
async def test_newline(newline: Any, inside: Path) -> None:
    for mode in ("r", "w"):
        await compare(inside, "file", mode, newline=newline)
    await compare(inside, "file", "rb", newline=newline, two_mistakes=True)


@pytest.mark.one_loop
@pytest.mark.loops("asyncio")
@pytest.mark.parametrize(
    "file",
    [
        *(
            "file",
            b"file",
            Path("file"),
            AsyncPath("file"),
            Bytes(b"file"),
            Odd("file"),
            "./file",
            "folder/../file",
        ),
        *("odd\udcff", b"odd\xff", Path("odd\udcff"), AsyncPath("odd\udcff"), "new", b"new", Path("new")),
        *(
            "missing/x",
            "file/x",
            "folder",
            b"folder",
            Path("folder"),
            ".",
            "/",
            "folder/",
            "file/",
            "new/",
            "loop",
        ),
        *("dangling", "n" * 256, "x/" * 3000, "", b"", "nul\0nul", b"nul\0", "lone\ud800", Odd(1), Odd(None)),
        *(
            None,
            1.5,
            [],
            ("file",),
            object,
            bytearray(b"file"),
            memoryview(b"file"),
            -1,
            -5,
            1 << 40,
            1 << 70,
        ),
        *(123_456, Odd(b"file"), "/dev/null", "/proc/no-such", 1j),
    ],
    ids=shown,
)
@pytest.mark.parametrize("mode", ["r", "rb", "w", "wb", "xb", "ab", "r+"])
async def test_files(file: Any, mode: str, inside: Path) -> None:
    # Of a number that is too large for a descriptor, io says that it is no path.
    too_large = isinstance(file, int) and file > 1 << 31
    await compare(inside, file, mode, two_mistakes=too_large)
    await compare(inside, file, mode, closefd=False, two_mistakes=True)


@pytest.mark.loops("asyncio")
async def test_a_bool_is_a_descriptor(inside: Path) -> None:
    """With a warning, since Python 3.13."""
    await compare(inside, False, "rb", closefd=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        await compare(inside, False, "rb", closefd=False)


async def test_two_mistakes(inside: Path) -> None:
    """One of them is complained of, and no file is made or emptied."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (("missing", "q"), {}),
        (("missing", "rbt"), {"encoding": "no-such"}),
        (("missing", "r"), {"encoding": "no-such"}),
        (("missing", "r"), {"newline": "x"}),
        (("missing", "rb"), {"newline": "x"}),
        (("missing", "rb"), {"errors": "no-such", "encoding": "no-such"}),
        (("file", "w"), {"encoding": "no-such", "newline": "x"}),
        (("new", "w"), {"encoding": "no-such", "newline": "x"}),
        ((None, "q"), {}),
        ((None, "r"), {"buffering": 0}),
        ((1.5, 1), {}),
        (("file", "r", "x", 1), {}),
        (("file", "r", -1, 1, 1, 1), {}),
        (("nul\0", "q"), {}),
        (("nul\0", "w"), {"newline": "x"}),
        (("missing",), {"closefd": False}),
        (("missing",), {"closefd": False, "opener": 1}),
        (("missing",), {"opener": 1}),
        ((-1, "rb"), {"opener": 1}),
    ]
    for args, keywords in calls:
        fresh(inside)
        before = sizes(inside)
        assert (await by_rapfiles(*args, **keywords))[0] == "raises"
        assert sizes(inside) == before
    for mode in ("w", "x"):
        for keywords in ({"newline": "x"}, {"encoding": "no-such"}, {"buffering": 0}, {"encoding": "hex"}):
            await compare(inside, "new", mode, **keywords)


def test_wrong_calls(tmp_path: Path) -> None:
    """Arguments that no `open` has are refused by the call; nothing else is refused before the await."""
    for args, keywords in [((), {}), (("x",), {"file": "x"}), (("x",), {"modes": "r"}), (tuple("x" * 9), {})]:
        with pytest.raises(TypeError):
            open(*args, **keywords)  # noqa: SIM115
        with pytest.raises(TypeError):
            rapfiles.open(*args, **keywords)


def test_signatures() -> None:
    ours, builtin = inspect.signature(rapfiles.open), inspect.signature(open)
    assert list(ours.parameters) == list(builtin.parameters)
    for name, parameter in builtin.parameters.items():
        assert ours.parameters[name].default == parameter.default
        assert ours.parameters[name].kind == parameter.kind
    ours, builtin = inspect.signature(AsyncPath.open), inspect.signature(Path.open)
    assert list(ours.parameters) == list(builtin.parameters)
    for name, parameter in builtin.parameters.items():
        assert ours.parameters[name].default == parameter.default
        assert ours.parameters[name].kind == parameter.kind


# How one opens.


def forget(start: Callable[[], Any]) -> None:
    """Begin an operation and do not await it."""
    start()
    settle_garbage()


async def test_every_way_to_open(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    path = AsyncPath(tmp_path, "file")

    def fresh() -> Iterator[Any]:
        yield rapfiles.open(tmp_path / "file", "rb")
        yield path.open("rb")

    for opening in fresh():
        file = await opening
        assert isinstance(file, rapfiles.AsyncBufferedReader)
        assert await file.read() == CONTENT
        await file.close()
        assert file.closed
    for opening in fresh():
        async with opening as file:
            assert isinstance(file, rapfiles.AsyncBufferedReader)
            assert await file.read() == CONTENT
            assert not file.closed
        assert file.closed
    for opening in fresh():
        async with await opening as file:
            assert await file.read() == CONTENT
        assert file.closed
    for opening in fresh():
        file = await opening
        async with file as same:
            assert same is file
        assert file.closed
    for opening in fresh():
        file = await opening
        await file.aclose()
        assert file.closed
        await file.aclose()
        await file.close()


async def test_an_error_inside_the_block_closes(tmp_path: Path) -> None:
    for opening in (rapfiles.open(tmp_path / "file", "w"), AsyncPath(tmp_path, "file").open("w")):
        with pytest.raises(ZeroDivisionError):  # noqa: PT012
            async with opening as file:
                await file.write("written")
                raise ZeroDivisionError
        assert file.closed
        assert (tmp_path / "file").read_text() == "written"


async def test_a_closed_handle_is_not_entered(tmp_path: Path) -> None:
    file = await rapfiles.open(tmp_path / "file", "w")
    await file.close()
    with pytest.raises(ValueError, match=r"I/O operation on closed file\."):
        async with file:
            pytest.fail("entered")


async def test_not_a_synchronous_file(tmp_path: Path) -> None:
    """Forgotten keywords raise an error at once: `with` for `async with`, `for` for `async for`."""
    async with rapfiles.open(tmp_path / "file", "w+") as file:
        with pytest.raises((TypeError, AttributeError)), file:  # type: ignore[attr-defined]
            pytest.fail("entered")
        with pytest.raises(TypeError):
            iter(file)  # type: ignore[call-overload]
    opening: Any = rapfiles.open(tmp_path / "file")
    with pytest.raises((TypeError, AttributeError)), opening:
        pytest.fail("entered")
    await (await opening).close()


async def test_nothing_happens_before_the_await(tmp_path: Path) -> None:
    starts: list[Callable[[], Any]] = [
        lambda: rapfiles.open(tmp_path / "new", "w"),
        lambda: rapfiles.open(tmp_path / "new", "rb"),
        lambda: AsyncPath(tmp_path, "new").open("w"),
        # Not even what is wrong with the arguments is said.
        lambda: rapfiles.open(tmp_path / "new", "q"),
        lambda: rapfiles.open(None),  # type: ignore[call-overload]
    ]
    for start in starts:
        with pytest.warns(RuntimeWarning, match="coroutine 'open' was never awaited"):
            forget(start)
    assert not (tmp_path / "new").exists()


async def test_an_opening_is_used_once(tmp_path: Path) -> None:
    opening = rapfiles.open(tmp_path / "new", "w")
    async with opening:
        pass
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        await opening
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        async with opening:
            pytest.fail("entered")


@pytest.mark.loops("asyncio")
async def test_operations_as_tasks(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    one, other = await asyncio.gather(
        rapfiles.open(tmp_path / "file"), rapfiles.open(tmp_path / "file", "rb")
    )
    assert await asyncio.create_task(one.readline()) == "first line\n"
    assert await asyncio.wait_for(other.read(5), 10) == b"first"
    assert await asyncio.shield(other.read(1)) == b" "
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        tasks = [group.create_task(other.read(1)) for _ in range(4)]
    assert [task.result() for task in tasks] == [b"l", b"i", b"n", b"e"]
    await asyncio.gather(one.close(), other.close())
    file = await asyncio.wait_for(rapfiles.open(tmp_path / "file"), 10)
    await asyncio.ensure_future(file.aclose())
    file = await asyncio.ensure_future(rapfiles.open(tmp_path / "file"))
    await file.close()


async def test_operations_that_were_not_awaited(tmp_path: Path) -> None:
    """They warn, do nothing, and do not hold up the others."""
    (tmp_path / "file").write_bytes(CONTENT)
    async with rapfiles.open(tmp_path / "file", "rb+") as file:
        for start in (
            lambda: file.read(1),
            lambda: file.readline(),
            lambda: file.write(b"x"),
            lambda: file.seek(5),
            lambda: file.flush(),
            lambda: file.truncate(0),
            lambda: file.close(),
        ):
            with pytest.warns(RuntimeWarning, match="was never awaited"):
                forget(start)
        assert await file.tell() == 0
        assert await file.read() == CONTENT


# Descriptors and openers.


@contextmanager
def descriptor(path: Path, flags: int) -> Iterator[int]:
    number = os.open(path, flags)
    try:
        yield number
    finally:
        if is_open(number, path):
            os.close(number)


def is_open(number: int, path: Path) -> bool:
    """Whether a descriptor is that of this file: once closed, its number may become the loop's, for one."""
    try:
        return os.path.samestat(os.fstat(number), path.stat())
    except OSError:
        return False


@pytest.mark.one_loop
@pytest.mark.parametrize("mode", ["r", "rb", "r+b", "w", "wb", "a"])
@pytest.mark.parametrize("closefd", [True, False])
@pytest.mark.parametrize("buffering", [-1, 0])
async def test_descriptors(mode: str, closefd: bool, buffering: int, tmp_path: Path) -> None:
    buffering = buffering if "b" in mode else -1
    found = []
    for side in ("builtin", "rapfiles"):
        (tmp_path / side).write_bytes(CONTENT)
        with descriptor(tmp_path / side, os.O_RDWR) as number:
            os.lseek(number, 6, os.SEEK_SET)
            data: Any = b"x" if "b" in mode else "x"
            if side == "builtin":
                file: Any = open(number, mode, buffering, closefd=closefd)  # noqa: SIM115
                seen: list[Any] = [described(file), file.tell(), file.name == number]
                seen.append(file.read(4) if "r" in mode else file.write(data))
                seen.append(file.tell())
                file.close()
            else:
                handle: Any = await rapfiles.open(number, mode, buffering, closefd=closefd)
                seen = [described(handle), await handle.tell(), handle.name == number]
                seen.append(await handle.read(4) if "r" in mode else await handle.write(data))
                seen.append(await handle.tell())
                await handle.close()
            # The numbers may differ; what they stand for does not.
            seen[0] = {**seen[0], "name": None, "repr": re.sub(rf"\b{number}\b", "N", seen[0]["repr"])}
            assert is_open(number, tmp_path / side) == (not closefd)
            found.append((seen, (tmp_path / side).read_bytes()))
    assert found[0] == found[1]


async def test_a_descriptor_that_cannot_do_it(tmp_path: Path) -> None:
    """A descriptor opened for something else: the first system call that needs it says so, as in io."""
    (tmp_path / "file").write_bytes(CONTENT)
    with descriptor(tmp_path / "file", os.O_RDONLY) as number:
        file = await rapfiles.open(number, "wb", closefd=False)
        assert await file.write(b"x") == 1
        with pytest.raises(OSError, match="Bad file descriptor"):
            await file.flush()
        with pytest.raises(OSError, match="Bad file descriptor"):
            await file.close()
        assert file.closed
    with descriptor(tmp_path / "file", os.O_WRONLY) as number:
        async with rapfiles.open(number, "rb", closefd=False) as reader:
            with pytest.raises(OSError, match="Bad file descriptor"):
                await reader.read()
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        for closefd in (True, False):
            await compare_error(folder, "rb", closefd=closefd)
            assert is_open(folder, tmp_path)
    finally:
        os.close(folder)
    assert (tmp_path / "file").read_bytes() == CONTENT


async def compare_error(*args: Any, **keywords: Any) -> None:
    expected = by_builtin(*args, **keywords)
    assert expected[0] == "raises"
    assert await by_rapfiles(*args, **keywords) == expected


async def test_a_descriptor_closed_behind_its_back(tmp_path: Path) -> None:
    # Something that suspends: what wakes the loop has its descriptor now, and cannot get this number.
    reader, writer = os.pipe()
    async with rapfiles.open(reader, "rb") as pipe, anyio.create_task_group() as group:
        group.start_soon(pipe.read)
        await under_way(1)
        os.close(writer)
    number = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    file = await rapfiles.open(number, "wb", buffering=0)
    os.close(number)
    with pytest.raises(OSError, match="Bad file descriptor"):
        await file.write(b"x")
    with pytest.raises(OSError, match="Bad file descriptor"):
        await file.close()
    assert file.closed
    await file.close()


@pytest.mark.one_loop
@pytest.mark.loops("asyncio")
@pytest.mark.parametrize("mode", MODES)
async def test_openers(mode: str, inside: Path) -> None:
    """An opener is called away from the loop, with what builtin `open` would call it with."""
    calls: list[Any] = []

    def opener(path: Any, flags: int) -> int:
        calls.append((path, flags, threading.get_ident() == here))
        return os.open(path, flags, 0o640)

    here = -1
    expected = await compare(inside, "new" if "x" in mode else "file", mode, opener=opener)
    assert expected[0] == "returns"
    here = threading.get_ident()
    calls.clear()
    for file in ("file", b"file", Path("file"), AsyncPath("file"), Bytes(b"file")):
        (inside / "file").unlink()
        if "x" not in mode:
            (inside / "file").touch()
        async with rapfiles.open(file, mode, opener=opener) as handle:
            assert os.fspath(file) == handle.name  # type: ignore[type-var]
    open_calls = list(calls)
    calls.clear()
    here = -1
    for file in ("file", b"file", Path("file"), AsyncPath("file"), Bytes(b"file")):
        (inside / "file").unlink()
        if "x" not in mode:
            (inside / "file").touch()
        with open(file, mode, opener=opener):
            pass
    assert open_calls == calls  # and never in the thread of the loop


def _raise(problem: BaseException) -> Any:
    raise problem


WRONG_OPENERS: dict[str, Any] = {
    "negative": lambda path, flags: -1,
    "very negative": lambda path, flags: -5,
    "huge": lambda path, flags: 1 << 40,
    "a text": lambda path, flags: "fd",
    "nothing": lambda path, flags: None,
    "a float": lambda path, flags: 1.5,
    "not open": lambda path, flags: 123_456,
    "a folder": lambda path, flags: os.open(".", os.O_RDONLY),
    "OSError": lambda path, flags: _raise(OSError(5, "on purpose", "a", None, "b")),
    "KeyError": lambda path, flags: _raise(KeyError("on purpose")),
    "one argument": lambda path: 0,
    "not callable": 1,
}


@pytest.mark.one_loop
@pytest.mark.loops("asyncio")
@pytest.mark.parametrize("name", WRONG_OPENERS)
async def test_wrong_openers(name: str, inside: Path) -> None:
    for mode in ("r", "ab"):
        expected = await compare(inside, "file", mode, opener=WRONG_OPENERS[name])
        assert expected[0] == "raises"
    # A descriptor needs no opener.
    with (inside / "file").open("rb") as file:
        await compare(inside, file.fileno(), "rb", closefd=False, opener=WRONG_OPENERS[name])
    settle_descriptors(inside)


def settle_descriptors(folder: Path) -> None:
    """Close what an opener opened and nobody was told of: the folder of "a folder"."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}") == str(folder):
                os.close(int(name))
        except OSError:
            continue


async def test_an_opener_in_a_folder(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        opener: Callable[[str, int], int] = lambda path, flags: os.open(path, flags, dir_fd=folder)  # noqa: E731
        async with rapfiles.open("new", "w", opener=opener) as file:
            await file.write("written")
        assert (tmp_path / "new").read_text() == "written"
        assert file.name == "new"
    finally:
        os.close(folder)


# What the file is like.


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o137, 0o777], ids=oct)
async def test_permissions_of_a_new_file(mask: int, tmp_path: Path) -> None:
    for mode in ("w", "x", "a", "wb", "w+b", "ab+"):
        with umask(mask):
            with open(tmp_path / f"builtin-{mode}", mode):
                pass
            async with rapfiles.open(tmp_path / f"rapfiles-{mode}", mode):
                pass
        expected = (tmp_path / f"builtin-{mode}").stat().st_mode
        assert (tmp_path / f"rapfiles-{mode}").stat().st_mode == expected


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
async def test_without_permission(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(0)
    for mode in ("r", "w", "a", "r+b"):
        await compare_error(tmp_path / "file", mode)


async def test_no_child_inherits_it(tmp_path: Path) -> None:
    for mode in ("wb", "r", "a+", "rb"):
        async with rapfiles.open(tmp_path / "file", mode) as file:
            assert not os.get_inheritable(file.fileno())


async def test_opening_empties_and_creates(tmp_path: Path) -> None:
    """What opening alone does has been done when the await returns, written or not."""
    (tmp_path / "file").write_bytes(CONTENT)
    async with rapfiles.open(tmp_path / "file", "w"):
        assert (tmp_path / "file").read_bytes() == b""
    async with rapfiles.open(tmp_path / "new", "x"):
        assert (tmp_path / "new").exists()
    async with rapfiles.open(tmp_path / "appended", "ab") as file:
        assert (tmp_path / "appended").exists()
        assert await file.tell() == 0
    (tmp_path / "file").write_bytes(CONTENT)
    async with rapfiles.open(tmp_path / "file", "ab") as file:
        assert await file.tell() == len(CONTENT)
    async with rapfiles.open(tmp_path / "file", "a") as text:
        assert await text.tell() == len(CONTENT)


async def test_appending_goes_to_the_end_whoever_wrote_before(tmp_path: Path) -> None:
    async with (
        rapfiles.open(tmp_path / "file", "ab") as one,
        rapfiles.open(tmp_path / "file", "ab", buffering=0) as other,
    ):
        await one.write(b"1")
        await one.flush()
        await other.write(b"2")
        await one.write(b"3")
        await one.flush()
        await other.write(b"4")
    assert (tmp_path / "file").read_bytes() == b"1234"


async def test_every_file_system(directory: Path) -> None:
    async with rapfiles.open(directory / "file", "w+", encoding="utf-8", newline="\r\n") as file:
        assert await file.write("gr\u00fcn\n" * 1000) == 5000
        await file.seek(0)
        assert [line async for line in file] == ["gr\u00fcn\r\n"] * 1000
        await file.seek(0)
        await file.truncate(6)
    assert (directory / "file").read_bytes() == "gr\u00fcn\r".encode()
    async with rapfiles.open(directory / "file", "rb") as binary:
        assert await binary.read() == "gr\u00fcn\r".encode()


KERNEL_FILES = [
    "/proc/version",
    "/proc/filesystems",
    "/proc/self/cmdline",
    "/proc/self/environ",
    "/proc/kallsyms",
    "/proc/sys/kernel/ostype",
    "/sys/devices/system/cpu/possible",
]


@pytest.mark.parametrize("name", KERNEL_FILES)
async def test_files_of_the_kernel(name: str) -> None:
    if not os.access(name, os.R_OK):
        pytest.skip(f"this kernel has no {name}")
    expected = Path(name).read_bytes()
    async with rapfiles.open(name, "rb") as file:
        assert await file.read() == expected
        assert await file.read() == b""
        await file.seek(0)
        assert b"".join([line async for line in file]) == expected
    async with rapfiles.open(name, "rb", buffering=0) as raw:
        assert await raw.readall() == expected
    async with rapfiles.open(name, encoding="latin-1") as text:
        assert await text.read() == expected.decode("latin-1")
    async with rapfiles.open(name, "rb") as file:
        parts = [part async for part in file.chunks(100)]
        assert b"".join(parts) == expected


async def test_devices() -> None:
    async with rapfiles.open("/dev/null", "rb+") as file:
        assert await file.read() == b""
        assert await file.write(b"x" * 100_000) == 100_000
        await file.flush()
    async with rapfiles.open("/dev/zero", "rb") as file:
        assert await file.read(10_000) == bytes(10_000)
        assert await file.read(600_000) == bytes(600_000)
    async with rapfiles.open("/dev/zero", "rb", buffering=0) as raw:
        assert await raw.read(10) == bytes(10)
    async with rapfiles.open("/dev/null", "w") as text:
        assert await text.write("x") == 1


FULL: dict[str, tuple[dict[str, Any], Any]] = {
    "raw": ({"mode": "wb", "buffering": 0}, b"x"),
    "buffered": ({"mode": "wb"}, b"x"),
    "appended": ({"mode": "ab"}, b"x"),
    "text": ({"mode": "w"}, "x"),
    "lines": ({"mode": "w", "buffering": 1}, "x\n"),
    "large": ({"mode": "wb"}, b"x" * (1 << 20)),
    "large text": ({"mode": "w"}, "x" * (1 << 20)),
}


@pytest.mark.parametrize("name", FULL)
async def test_the_full_device(name: str) -> None:
    """Said by write or flush, and again by close as long as there is something left to write, as io does."""
    keywords, data = FULL[name]
    file = await rapfiles.open("/dev/full", **keywords)
    with pytest.raises(OSError, match="No space left on device"):  # noqa: PT012
        await file.write(data)
        await file.flush()
    # Of a large write that failed io keeps nothing.
    again = pytest.raises(OSError, match="No space left on device")
    with suppress(OSError) if "large" in name else nullcontext() if name == "raw" else again:
        await file.close()
    assert file.closed
    await file.close()
    file = await rapfiles.open("/dev/full", **keywords)
    with pytest.raises(OSError, match="No space left on device"):
        async with file:
            await file.write(data)
    assert file.closed


# The default encoding.

_WARNINGS = """
import asyncio, builtins, sys, warnings
import rapfiles
from rapfiles import AsyncPath
folder = sys.argv[1]
name = folder + "/file"
open(name, "w", encoding="utf-8").close()
print("ready")

def heard(caught):
    return [(w.category, str(w.message), w.filename) for w in caught]

async def main():
    for keywords in (
        {}, {"mode": "w"}, {"encoding": "locale"}, {"encoding": "utf-8"}, {"mode": "rb"}, {"errors": "ignore"}
    ):
        with warnings.catch_warnings(record=True) as expected:
            warnings.simplefilter("always")
            builtins.open(name, **keywords).close()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            async with rapfiles.open(name, **keywords):
                pass
        assert heard(caught) == heard(expected), (keywords, heard(caught), heard(expected))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            await (await rapfiles.open(name, **keywords)).close()
        assert heard(caught) == heard(expected), (keywords, heard(caught), heard(expected))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            async with AsyncPath(name).open(**keywords):
                pass
        assert heard(caught) == heard(expected), (keywords, heard(caught), heard(expected))

asyncio.run(main())
"""


def test_warning_of_the_default_encoding(tmp_path: Path) -> None:
    ended = process.run(_WARNINGS, str(tmp_path), PYTHONWARNDEFAULTENCODING="1")
    assert (ended.code, ended.errors) == (0, "")
    ended = process.run(_WARNINGS, str(tmp_path), PYTHONWARNDEFAULTENCODING="")
    assert (ended.code, ended.errors) == (0, "")


_ENCODINGS = """
import asyncio, builtins, sys
import rapfiles
name = sys.argv[1] + "/file"
print("ready")

async def main():
    for keywords in ({}, {"encoding": "locale"}, {"errors": "replace"}):
        for mode in ("w", "r", "a+"):
            with builtins.open(name, mode, **keywords) as expected:
                async with rapfiles.open(name, mode, **keywords) as file:
                    assert (file.encoding, file.errors) == (expected.encoding, expected.errors)
                    if mode == "w":
                        text = "\\u20ac"
                        try:
                            expected.write(text)
                        except UnicodeEncodeError as error:
                            try:
                                await file.write(text)
                            except UnicodeEncodeError as ours:
                                assert ours.args == error.args
                            else:
                                raise AssertionError("not encodable, but written")
                        else:
                            await file.write(text)
    print(file.encoding)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONUTF8": "1"},
        {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONUTF8": "0", "LC_ALL": "C.UTF-8"},
    ],
    ids=str,
)
def test_default_encodings(variables: dict[str, str], tmp_path: Path) -> None:
    ended = process.run(_ENCODINGS, str(tmp_path), **variables)
    assert (ended.code, ended.errors) == (0, "")


# AsyncPath.open.


@pytest.mark.one_loop
@pytest.mark.loops("asyncio")
@pytest.mark.parametrize("mode", [*MODES, "q", "rr"])
async def test_opening_a_path(mode: str, inside: Path) -> None:
    arrange(inside)

    def with_pathlib(file: str) -> Any:
        with Path(file).open(mode) as opened:
            return described(opened)

    async def with_ours(file: str) -> Any:
        async with AsyncPath(file).open(mode) as opened:
            return described(opened)

    for file in ("file", "missing/x", "folder", "nul\0"):
        if "x" in mode:
            Path("file").unlink(missing_ok=True)
        expected = handles.of_call(lambda: with_pathlib(file))  # noqa: B023
        if "x" in mode:
            Path("file").unlink(missing_ok=True)
        assert await handles.of_await(lambda: with_ours(file)) == expected  # noqa: B023


def test_io_is_what_we_compare_with() -> None:
    """Guards the descriptions themselves: two files that differ are described differently."""
    with open(os.devnull) as one, open(os.devnull, "rb") as other, open(os.devnull, "a") as third:
        assert described(one) != described(other) != described(third) != described(one)
        assert described(one)["kind"] == "TextIOWrapper"
        assert isinstance(one, io.TextIOWrapper)


def appended(path: Path, _number: int) -> None:
    with path.open("ab") as file:
        file.write(b"appended")


def extended(path: Path, _number: int) -> None:
    os.truncate(path, path.stat().st_size + 8192)


def shortened(path: Path, _number: int) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path, _number: int) -> None:
    os.truncate(path, 0)


def moved(_path: Path, number: int) -> None:
    os.lseek(number, 50, os.SEEK_SET)


def moved_past_the_end(path: Path, number: int) -> None:
    os.lseek(number, path.stat().st_size + 10, os.SEEK_SET)


def moved_and_appended(path: Path, number: int) -> None:
    os.lseek(number, 8, os.SEEK_SET)
    appended(path, number)


def removed(path: Path, _number: int) -> None:
    path.unlink()


@pytest.mark.one_loop
@pytest.mark.parametrize(
    "change",
    [appended, extended, shortened, emptied, moved, moved_past_the_end, moved_and_appended, removed],
)
@pytest.mark.parametrize("size", [0, 100, 4096, 64 << 10, (64 << 10) + 1, 200_000])
@pytest.mark.parametrize("mode", ["rb", "r"])
async def test_what_changes_between_opening_and_reading(
    change: Callable[[Path, int], None], size: int, mode: str, tmp_path: Path
) -> None:
    """What is known of a file from opening it may no longer be so when it is read."""
    path = tmp_path / "file"

    def arranged() -> None:
        path.write_bytes(bytes(33 + number % 90 for number in range(size)))
        mounts.settle(path)

    arranged()
    with open(path, mode) as reference:
        change(path, reference.fileno())
        expected = reference.read(), reference.tell(), reference.read()
    arranged()
    # This makes the file known, so that it is opened on the loop next time, where that is possible.
    async with rapfiles.open(path, mode):
        pass
    async with rapfiles.open(path, mode) as file:
        change(path, file.fileno())
        assert (await file.read(), await file.tell(), await file.read()) == expected
