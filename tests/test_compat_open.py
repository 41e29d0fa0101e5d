"""`rapfiles.compat.open` and what it returns: the same as with aiofiles, which runs beside it."""

import asyncio
import gc
import importlib.util
import inspect
import io
import os
import random
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

import rapfiles
import rapfiles.compat
from rapfiles.compat import base, threadpool
from rapfiles.compat.threadpool.binary import AsyncBufferedIOBase, AsyncBufferedReader, AsyncFileIO
from rapfiles.compat.threadpool.text import AsyncTextIOWrapper
from support.loops import SELECTOR
from support.names import shown

aiofiles: ModuleType | None = None
if importlib.util.find_spec("aiofiles") is not None:
    import aiofiles

beside_aiofiles = pytest.mark.skipif(aiofiles is None, reason="aiofiles is not installed")

CONTENT = b"one\r\ntwo\nthree\xc3\xa9\n\nfive" + b"x" * 300 + b"\nlast"
OPENED: list[tuple[dict[str, Any], type[Any]]] = [
    ({"mode": "r"}, AsyncTextIOWrapper),
    ({"mode": "w"}, AsyncTextIOWrapper),
    ({"mode": "a", "encoding": "utf-16"}, AsyncTextIOWrapper),
    ({"mode": "r+", "encoding": "utf-8", "newline": ""}, AsyncTextIOWrapper),
    ({"mode": "w+", "encoding": "latin-1", "errors": "replace"}, AsyncTextIOWrapper),
    ({"mode": "a+", "buffering": 1}, AsyncTextIOWrapper),
    ({"mode": "r", "newline": "\r\n", "buffering": 10}, AsyncTextIOWrapper),
    ({"mode": "rb"}, AsyncBufferedReader),
    ({"mode": "rb+"}, AsyncBufferedReader),
    ({"mode": "w+b"}, AsyncBufferedReader),
    ({"mode": "ab+"}, AsyncBufferedReader),
    ({"mode": "rb", "buffering": 400}, AsyncBufferedReader),
    ({"mode": "wb"}, AsyncBufferedIOBase),
    ({"mode": "ab"}, AsyncBufferedIOBase),
    ({"mode": "wb", "buffering": 300}, AsyncBufferedIOBase),
    ({"mode": "rb", "buffering": 0}, AsyncFileIO),
    ({"mode": "wb", "buffering": 0}, AsyncFileIO),
    ({"mode": "r+b", "buffering": 0}, AsyncFileIO),
    ({"mode": "ab", "buffering": 0}, AsyncFileIO),
]
each_kind = pytest.mark.parametrize(
    ("how", "kind"), [pytest.param(*each, id="-".join(map(str, each[0].values()))) for each in OPENED]
)
AWAITED = """
    close flush isatty read readline readlines write writelines seek tell truncate seekable writable
""".split()  # noqa: SIM905
NEVER = """
    readinto1 reconfigure write_through closefd getbuffer
    __enter__ __aenter__ __await__ __iter__ __del__
""".split()  # noqa: SIM905


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    return str(file)


@pytest.mark.one_loop
@each_kind
async def test_kinds_of_members(how: dict[str, Any], kind: type[Any], path: str) -> None:
    """The table: what is awaited, what is not, what there is not."""
    text, buffered = kind is AsyncTextIOWrapper, issubclass(kind, AsyncBufferedIOBase)
    async with rapfiles.compat.open(path, **how) as f:
        assert type(f) is kind
        for name in AWAITED:
            assert inspect.iscoroutinefunction(getattr(f, name)), name
        assert inspect.iscoroutinefunction(f.readable) == text
        for name, there in [
            ("read1", buffered),
            ("readinto", not text),
            ("peek", kind is AsyncBufferedReader),
            ("readall", kind is AsyncFileIO),
        ]:
            assert hasattr(f, name) == there, name
            assert not there or inspect.iscoroutinefunction(getattr(f, name))
        for name, there in [("detach", kind is not AsyncFileIO), ("raw", buffered), ("buffer", text)]:
            assert hasattr(type(f), name) == there, name
        for name in ("encoding", "errors", "line_buffering", "newlines"):
            assert hasattr(f, name) == text
        assert not any(hasattr(f, name) for name in NEVER)
        assert not isinstance(f, io.IOBase)
        assert isinstance(f.fileno(), int)
        assert f.name == path
        assert f.closed is False
        for name in ("name", "closed", "mode"):
            with pytest.raises(AttributeError):
                setattr(f, name, 1)
    assert f.closed is True
    assert f.name == path


@each_kind
async def test_the_engine_does_the_work(how: dict[str, Any], kind: type[Any], path: str) -> None:
    """There is no synchronous file object, and none comes about by ordinary use."""
    async with rapfiles.compat.open(path, **how) as f:
        assert f._file.closed is False
        assert f._file.fileno() == f.fileno()
        repr(f)
        assert isinstance(f._handle, kind_of_handle(how))
        await f.tell()
    assert f._file.closed
    assert f._handle is not None


def kind_of_handle(how: dict[str, Any]) -> type[Any]:
    if "b" not in how["mode"]:
        return rapfiles.AsyncTextIOWrapper
    if how.get("buffering") == 0:
        return rapfiles.AsyncFileIO
    if "+" in how["mode"]:
        return rapfiles.AsyncBufferedRandom
    return rapfiles.AsyncBufferedReader if "r" in how["mode"] else rapfiles.AsyncBufferedWriter


# The same operations on both libraries, one after the other.


def plain(value: Any, path: str) -> Any:
    """A value in a form that can be compared."""
    if isinstance(value, BaseException):
        details = (value.errno, value.filename) if isinstance(value, OSError) else ()
        text = "" if isinstance(value, TypeError) else str(value).replace(path, "<path>")
        return ("raises", type(value), text, *details)
    if isinstance(value, str):
        return value.replace(path, "<path>")
    if isinstance(value, io.IOBase):
        return type(value)
    if callable(value):
        return "callable"
    return value


async def perform(
    everything: list[Any], name: str, arguments: tuple[Any, ...], keywords: dict[str, Any], path: str
) -> Any:
    """Do something with a file, and say what came of it. What it gives away is added to `everything`."""
    try:
        member = getattr(everything[0], name)
        if not callable(member):
            return ("is", plain(member, path))
        given = tuple(bytearray(each) if isinstance(each, bytearray) else each for each in arguments)
        result = member(*given, **keywords)
        awaited = inspect.isawaitable(result)
        if awaited:
            result = await result
        if name == "peek":
            result = result[:1]  # how much there is beyond what was asked for is left open
        if name == "fileno":
            result = type(result)
        if name == "detach":
            everything.append(result)
        return (awaited, plain(result, path), *(bytes(each) for each in given if isinstance(each, bytearray)))
    except Exception as error:
        return plain(error, path)


async def take_lines(file: Any, most: int, path: str) -> list[Any]:
    """As many lines as asked for, by iteration."""
    lines: list[Any] = []
    try:
        async for line in file:
            lines.append(line)
            if len(lines) == most:
                break
    except Exception as error:
        lines.append(plain(error, path))
    return lines


Step = tuple[str, tuple[Any, ...], dict[str, Any]]


async def play(library: Any, path: str, how: dict[str, Any], steps: list[Step]) -> list[Any]:
    """Open the file, do the steps, close it: everything that can be seen from outside."""
    with open(path, "wb") as file:
        file.write(CONTENT)
    seen: list[Any] = []
    everything: list[Any] = []
    try:
        async with library.open(path, **how) as f:
            everything.append(f)
            for name, arguments, keywords in steps:
                if name == "lines":
                    # As many lines as asked for, by iteration.
                    outcome: Any = await take_lines(f, arguments[0], path)
                elif name == "content":
                    outcome = Path(path).read_bytes()
                else:
                    outcome = await perform(everything, name, arguments, keywords, path)
                seen.append((name, arguments, keywords, outcome))
    except Exception as error:
        seen.append(plain(error, path))
    seen.append(Path(path).read_bytes())
    for name in ("closed", "name", "read", "tell", "fileno", "isatty", "close", "mode", "detach"):
        outcome = await perform(everything, name, (), {}, path)
        seen.append((name, outcome))
    for given_away in everything[1:]:
        given_away.close()
    return seen


def compare(path: str, how: dict[str, Any], steps: list[Step]) -> None:
    expected = SELECTOR.run(play, aiofiles, path, how, steps)
    actual = SELECTOR.run(play, rapfiles.compat, path, how, steps)
    for ours, theirs in zip(actual, expected, strict=False):
        assert ours == theirs or (both_complain(ours) and both_complain(theirs))
    assert len(actual) == len(expected)


def both_complain(seen: Any) -> bool:
    """Whether a step failed that is wrong in two ways: after closing, or with arguments that make no sense.

    Which of the two is found first differs even between the classes of `io`.
    """
    if not isinstance(seen, tuple):
        return False
    outcome = seen[-1]
    closed = isinstance(outcome, tuple) and outcome[0] == "raises" and issubclass(outcome[1], ValueError)
    return (closed and len(seen) == 2) or (seen[:-1] in WRONG and outcome[0] == "raises")


def step(name: str, *arguments: Any, **keywords: Any) -> Step:
    return (name, arguments, keywords)


PROPERTIES = """
    name mode closed encoding errors newlines line_buffering write_through closefd
""".split()  # noqa: SIM905
WRONG: list[Step] = [
    step("read", size=1),
    step("read", "1"),
    step("read", 1, 2),
    step("read", None),
    step("readline", "1"),
    step("readlines", "1"),
    step("write"),
    step("write", 1),
    step("write", None),
    step("writelines", 1),
    step("seek"),
    step("seek", -1),
    step("seek", "1"),
    step("seek", 0, 7),
    step("truncate", -1),
    step("truncate", "1"),
    step("tell", 1),
    step("close", 1),
    step("flush", 1),
    step("readinto", b"readonly"),
    step("readinto", 1),
    step("nonsense"),
]


@beside_aiofiles
@each_kind
def test_properties_and_mistakes(how: dict[str, Any], kind: type[Any], path: str) -> None:
    compare(path, how, [*(step(name) for name in PROPERTIES), *WRONG, step("close"), *WRONG])


@beside_aiofiles
@each_kind
def test_each_operation_first(how: dict[str, Any], kind: type[Any], path: str) -> None:
    data: Any = "a\u00e9\n" if kind is AsyncTextIOWrapper else b"a\xc3\xa9\n"
    for first in [
        step("read"),
        step("read", 5),
        step("read", -1),
        step("read", 0),
        step("read1", 4),
        step("read1"),
        *([step("readall")] if how["mode"][0] == "r" else []),  # else the kernel complains, not FileIO
        step("readinto", bytearray(7)),
        step("readline"),
        step("readline", 2),
        step("readlines"),
        step("readlines", 6),
        step("peek"),
        step("peek", 3),
        step("lines", 2),
        step("lines", 100),
        step("write", data),
        step("writelines", [data, data]),
        step("seek", 3),
        step("seek", 0, 2),
        step("truncate", 4),
        step("truncate"),
        step("isatty"),
        step("readable"),
        step("writable"),
        step("seekable"),
        step("fileno"),
        step("tell"),
    ]:
        # Iteration over a synchronous text file, which its readlines() is, forbids tell(). Ours does not.
        then = [] if first[0] == "readlines" else [step("tell")]
        compare(path, how, [first, step("content"), *then, step("flush"), step("content"), step("read", 3)])


def random_steps(how: dict[str, Any], chance: random.Random) -> list[Step]:
    text = "b" not in how["mode"]
    steps: list[Step] = []
    writing = None
    for _ in range(chance.randrange(2, 14)):
        data: Any = chance.choice(["", "a", "\n", "\u00e9\r\n", "xy\n" * 5, "z" * 50])
        more: Any = data or "b"
        data, more = (data, more) if text else (data.encode(), more.encode())
        number = chance.choice([-1, 1, 2, 5, 11, 100])
        turn = chance.random() < 0.5
        if turn != writing:
            # What comes of reading after writing or the other way round, without these, is anybody's guess.
            steps += [step("flush"), step("seek", 0, chance.choice([0, 2]))]
            writing = turn
        if writing:
            choices = [
                step("write", data),
                step("writelines", [data, more]),
                step("flush"),
                step("content"),
                *([] if text else [step("seek", abs(number)), step("tell"), step("truncate", abs(number))]),
            ]
        else:
            choices = [
                step("read", number),
                step("readline", number),
                step("readlines", number),
                step("lines", chance.randrange(1, 4)),
                step("seek", 0),
                *([] if text else [step("seek", abs(number)), step("tell"), step("readinto", bytearray(9))]),
            ]
        steps.append(chance.choice(choices))
    return steps


@beside_aiofiles
@each_kind
def test_random_operations(how: dict[str, Any], kind: type[Any], path: str) -> None:
    chance = random.Random(str(how))
    for _ in range(30):
        compare(path, how, random_steps(how, chance))


# What is below: the synchronous objects.


@beside_aiofiles
@pytest.mark.parametrize("what", ["detach", "raw", "buffer"])
@each_kind
def test_what_is_below(how: dict[str, Any], kind: type[Any], what: str, path: str) -> None:
    text: Any = "ab" if kind is AsyncTextIOWrapper else b"ab"
    after = [step("read", 2), step("lines", 2), *map(step, ("fileno", "closed", "name", "readable"))]
    for before, then in (
        ([], after),
        ([step("read", 4)], [step("seek", 0), *after]),
        ([step("read", 4), step("seek", 0), step("write", text)], [step("flush"), step("content")]),
        ([step("write", text)], [step("flush"), step("content"), step("closed"), step("name")]),
        ([step("seek", 0, 2)], after),
        ([step("close")], [step("closed"), step("name"), step("mode")]),
    ):
        compare(path, how, [*before, step(what), *then, step("content")])


async def test_detach_gives_the_file_away(path: str) -> None:
    manager = rapfiles.compat.open(path, "rb")
    f = await manager
    assert await f.read(4) == b"one\r"
    raw = f.detach()
    with pytest.raises(ValueError, match="detached"):
        await f.read()
    with pytest.raises(ValueError, match="detached"):
        await manager.__aexit__(None, None, None)
    assert type(raw) is io.FileIO
    assert (raw.name, raw.mode, raw.closed) == (path, "rb", False)
    raw.close()


async def test_detach_writes_what_is_buffered(path: str) -> None:
    f = await rapfiles.compat.open(path, "w")
    await f.write("abc")
    buffer = f.detach()
    assert type(buffer) is io.BufferedWriter
    buffer.write(b"def")
    buffer.close()
    assert Path(path).read_bytes() == b"abcdef"


async def test_buffer_and_wrapper_go_together(path: str) -> None:
    async with rapfiles.compat.open(path, "r+", encoding="utf-8", newline="") as f:
        assert await f.readline() == "one\r\n"
        assert type(f.buffer) is io.BufferedRandom
        assert f.buffer is f.buffer
        assert f.buffer.raw.fileno() == f.fileno()
        assert await f.readline() == "two\n"
        assert await anext(aiter(f)) == "three\u00e9\n"


async def test_the_private_file(path: str) -> None:
    """Code that looks below the wrapper finds what it looks for."""
    async with rapfiles.compat.open(path, "rb") as f:
        below = f._file
        assert below is f._file
        assert isinstance(below, io.BufferedReader)
        assert (below.name, below.mode, below.closed) == (path, "rb", False)
        assert (below.readable(), below.writable(), below.seekable(), below.isatty()) == (
            True,
            False,
            True,
            False,
        )
        os.fstat(below.fileno())
        assert repr(below) == f"<_io.BufferedReader name={path!r}>"
        assert repr(f).endswith(f" wrapping <_io.BufferedReader name={path!r}>")
        assert await f.read(3) == b"one"
        # What has to be done by the object itself makes it come about.
        assert below.read(2) == b"\r\n"
        assert next(below) == b"two\n"
        assert await f.read(5) == b"three"
        assert type(f._file) is io.BufferedReader
    assert below.closed
    with pytest.raises(ValueError, match="closed"):
        below.read()


async def test_the_private_file_of_a_closed_one(path: str) -> None:
    f = await rapfiles.compat.open(path)
    await f.close()
    assert f._file.closed
    with pytest.raises(ValueError, match="closed"):
        f._file.read()
    f._file.close()
    await f.close()
    with pytest.raises(ValueError, match="closed"):
        f.detach()


async def test_wrapping_what_is_below_again(path: str) -> None:
    async with rapfiles.compat.open(path, "rb") as f:
        again = threadpool.wrap(f._file)
        assert type(again) is AsyncBufferedReader
        assert await again.read(3) == b"one"
        assert await f.read(2) == b"\r\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes to open by descriptor")
@pytest.mark.parametrize("mode", ["r", "rb"])
async def test_below_a_pipe(mode: str) -> None:
    """What has been read ahead cannot be put back, so there is no way down, and nothing is lost."""
    reading, writing = os.pipe()
    os.write(writing, b"one\ntwo\n")
    async with rapfiles.compat.open(reading, mode) as f:
        first = await f.readline()
        with pytest.raises(io.UnsupportedOperation, match="read ahead"):
            f._file.read()
        with pytest.raises(io.UnsupportedOperation, match="read ahead"):
            f.detach()
        second = await f.readline()
    assert [first, second] == (["one\n", "two\n"] if mode == "r" else [b"one\n", b"two\n"])
    os.close(writing)


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes to open by descriptor")
@pytest.mark.loops("asyncio")
async def test_below_while_an_operation_runs() -> None:
    reading, writing = os.pipe()
    async with rapfiles.compat.open(reading, "rb") as f:
        task = asyncio.get_running_loop().create_task(f.read(1))
        await asyncio.sleep(0)
        try:
            with pytest.raises(RuntimeError, match="an operation on this file is running"):
                f._file.read()
        finally:
            os.write(writing, b"x")
        assert await task == b"x"
    os.close(writing)


async def test_below_what_cannot_be_written() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this platform")
    f = await rapfiles.compat.open("/dev/full", "wb")
    await f.write(b"a")
    with pytest.raises(OSError, match="No space left"):
        f.detach()
    with pytest.raises(OSError, match="No space left"):
        await f.close()
    assert f.closed


@each_kind
async def test_calls_are_coroutines(how: dict[str, Any], kind: type[Any], path: str) -> None:
    """Nothing happens before they are awaited, and they happen in the order in which they are awaited."""
    async with rapfiles.compat.open(path, **how) as f:
        never = f.seek(5)
        assert inspect.iscoroutine(never)
        never.close()
        if "r" in how["mode"]:
            later, sooner = f.read(1), f.read(1)
            expected = ["o", "n"] if kind is AsyncTextIOWrapper else [b"o", b"n"]
            assert [await sooner, await later] == expected


async def test_going_below_within_an_iteration(path: str) -> None:
    async with rapfiles.compat.open(path, "rb") as f:
        lines = aiter(f)
        assert await anext(lines) == b"one\r\n"
        assert f.raw.readable()
        with pytest.raises(ValueError, match=r"detached|closed"):
            await anext(lines)
        assert await anext(aiter(f)) == b"two\n"


# The context manager.


async def test_nothing_happens_before(path: str, tmp_path: Path) -> None:
    manager = rapfiles.compat.open(tmp_path / "new", "nonsense")
    assert type(manager) is base.AiofilesContextManager
    with pytest.raises(ValueError, match="mode"):
        await manager
    manager = rapfiles.compat.open(tmp_path / "new", "x")
    assert not (tmp_path / "new").exists()
    async with manager as f:
        assert (tmp_path / "new").exists()
        assert manager._obj is f
    assert manager._obj is None


async def test_never_awaited(path: str) -> None:
    manager = rapfiles.compat.open(path)
    with pytest.warns(RuntimeWarning, match="coroutine '_open' was never awaited"):
        del manager


async def test_awaiting_again_gives_the_same(path: str) -> None:
    manager = rapfiles.compat.open(path)
    f = await manager
    assert await manager is f
    async with manager as entered:
        assert entered is f
    assert f.closed
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        await manager
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        await manager.__aenter__()


@pytest.mark.loops("asyncio")
async def test_what_asyncio_takes_it_for(path: str) -> None:
    manager = rapfiles.compat.open(path)
    assert not asyncio.iscoroutine(manager)
    with pytest.raises(TypeError):
        asyncio.get_running_loop().create_task(manager)  # type: ignore[arg-type]
    f = await asyncio.wait_for(manager, 60)
    (again,) = await asyncio.gather(manager)
    assert again is f
    assert await asyncio.ensure_future(manager) is f
    await f.close()


async def test_errors_are_not_swallowed(path: str) -> None:
    with pytest.raises(KeyError):
        async with rapfiles.compat.open(path) as f:
            raise KeyError
    assert f.closed


async def test_the_class_can_be_subscripted() -> None:
    assert base.AiofilesContextManager[AsyncTextIOWrapper] is not None
    assert base.AsyncBase[str] is not None


async def test_closing_raises_what_writing_left(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this platform")
    with pytest.raises(OSError, match="No space left"):
        async with rapfiles.compat.open("/dev/full", "w") as f:
            await f.write("a")


@pytest.mark.one_loop
@pytest.mark.parametrize("mode", ["r", "rb", "w", "x", "r+b"])
@pytest.mark.parametrize("place", ["missing/file", "", "file", "nul\0"])
async def test_errors_of_opening(place: str, mode: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    name = str(tmp_path / place)
    try:
        with open(name, mode):
            return
    except (OSError, ValueError) as error:
        expected = error
    with pytest.raises(type(expected)) as caught:
        await rapfiles.compat.open(name, mode)
    assert str(caught.value) == str(expected)
    assert getattr(caught.value, "errno", None) == getattr(expected, "errno", None)
    assert getattr(caught.value, "filename", None) == getattr(expected, "filename", None)


async def test_all_kinds_of_names(path: str) -> None:
    for name in (path, Path(path), os.fsencode(path)):
        async with rapfiles.compat.open(name, "rb") as f:
            assert f.name == os.fspath(name)
            assert await f.read(3) == b"one"
    descriptor = os.open(path, os.O_RDONLY)
    async with rapfiles.compat.open(descriptor, closefd=False) as f:
        assert f.name == descriptor
        assert await f.read(3) == "one"
    async with rapfiles.compat.open(descriptor) as f:
        await f.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    async with rapfiles.compat.open("elsewhere", opener=lambda _, flags: os.open(path, flags)) as f:
        assert f.name == "elsewhere"
        assert await f.read(3) == "one"


# What runs in an executor.


async def opened_in_every_way(path: str, **how: Any) -> AsyncIterator[Any]:
    for mode in ("r", "rb", "r+b", "ab"):
        async with rapfiles.compat.open(path, mode, **how) as f:
            yield f


@pytest.mark.loops("asyncio")
async def test_an_executor_is_honoured(path: str) -> None:
    class Counting(ThreadPoolExecutor):
        used = 0

        def submit(self, *args: Any, **kwargs: Any) -> Any:
            self.used += 1
            return super().submit(*args, **kwargs)

    with Counting(1) as executor:
        async for f in opened_in_every_way(path, executor=executor):
            assert isinstance(f._file, io.IOBase)
            assert f._loop is asyncio.get_running_loop()
            used = executor.used
            await f.tell()
            assert executor.used == used + 1
    with pytest.raises(RuntimeError, match="after shutdown"):
        await rapfiles.compat.open(path, executor=executor)


@pytest.mark.loops("asyncio")
async def test_the_running_loop_may_be_given(path: str) -> None:
    async for f in opened_in_every_way(path, loop=asyncio.get_running_loop()):
        assert f._loop is asyncio.get_running_loop()
        await f.tell()


async def test_sync_open_is_looked_up(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def opening(*args: Any, **kwargs: Any) -> Any:
        calls.append((args, kwargs))
        return open(*args, **kwargs)

    monkeypatch.setattr(threadpool, "sync_open", opening)
    async for f in opened_in_every_way(path):
        assert isinstance(f._file, io.IOBase)
        await f.tell()
    assert [args for args, _ in calls] == [(path,)] * 4
    assert calls[0][1] == {
        "mode": "r",
        "buffering": -1,
        "encoding": None,
        "errors": None,
        "newline": None,
        "closefd": True,
        "opener": None,
    }


async def test_the_recipe_for_mocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """From aiofiles' README."""
    monkeypatch.setattr(threadpool, "wrap", copy_of_wrap())
    threadpool.wrap.register(mock.MagicMock)(
        lambda *args, **kwargs: threadpool.AsyncBufferedIOBase(*args, **kwargs)
    )
    write_data, read_data = "data", ["a", "b"]
    mock_file = mock.MagicMock(read=lambda *args, **kwargs: read_data.pop(0))
    with mock.patch("rapfiles.compat.threadpool.sync_open", return_value=mock_file) as mock_open:
        async with rapfiles.compat.open("filename", "w") as f:
            await f.write(write_data)
            assert await f.read() == "a"
        mock_file.write.assert_called_once_with(write_data)
        mock_file.__exit__.assert_called_once()
        assert mock_open.call_args.args == ("filename",)


def copy_of_wrap() -> Any:
    """Another `wrap` with the same registrations, so that a test can add to them and take nothing back."""
    from functools import singledispatch

    copy = singledispatch(threadpool.wrap.registry[object])
    for kind, function in threadpool.wrap.registry.items():
        copy.register(kind)(function)
    return copy


async def test_another_wrapper_for_a_kind(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(AsyncTextIOWrapper):
        pass

    monkeypatch.setattr(threadpool, "wrap", copy_of_wrap())
    threadpool.wrap.register(io.TextIOWrapper)(lambda file, **how: Mine(file, **how))
    async with rapfiles.compat.open(path, encoding="utf-8") as f:
        assert type(f) is Mine
        assert await f.readline() == "one\n"
    async with rapfiles.compat.open(path, "rb") as f:
        assert type(f) is AsyncBufferedReader


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: io.StringIO("a\nb\n"), AsyncTextIOWrapper),
        (lambda: io.BytesIO(b"a\nb\n"), AsyncBufferedIOBase),
        (lambda: io.BufferedReader(io.BytesIO(b"a\nb\n")), AsyncBufferedReader),
        (lambda: io.BufferedRandom(io.BytesIO(b"a\nb\n")), AsyncBufferedReader),
        (lambda: io.TextIOWrapper(io.BytesIO(b"a\nb\n")), AsyncTextIOWrapper),
    ],
)
async def test_wrap(make: Callable[[], Any], kind: type[Any]) -> None:
    file = make()
    f = threadpool.wrap(file)
    assert type(f) is kind
    assert f._file is file
    assert repr(f).endswith(f"object at {id(f):#x}> wrapping {file!r}")
    assert aiter(f) is f
    assert len([line async for line in f]) == 2
    assert f.closed is False
    await f.close()
    assert f.closed


@pytest.mark.parametrize("what", [io.RawIOBase(), int, [1], lambda: 1, io.FileIO, None], ids=shown)
def test_what_cannot_be_wrapped(what: object) -> None:
    with pytest.raises(TypeError, match="Unsupported io type"):
        threadpool.wrap(what)


async def test_standard_streams(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    await rapfiles.compat.stdout.write("out")
    await rapfiles.compat.stderr.write("err")
    await rapfiles.compat.stdout.flush()
    assert capsys.readouterr() == ("out", "err")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"in\nput\n")))
    assert await rapfiles.compat.stdin.readline() == "in\n"
    assert [line async for line in rapfiles.compat.stdin] == ["put\n"]
    sys.stdin.seek(0)
    assert await rapfiles.compat.stdin_bytes.read(2) == b"in"
    assert rapfiles.compat.stdin._file is sys.stdin


async def test_subclasses_of_the_bases() -> None:
    """As other libraries make them."""
    from rapfiles.compat.threadpool.utils import (
        delegate_to_executor,
        proxy_method_directly,
        proxy_property_directly,
    )

    @delegate_to_executor("read", "close")
    @proxy_method_directly("seekable")
    @proxy_property_directly("closed")
    class Mine(base.AsyncBase[bytes]):
        pass

    f = Mine(io.BytesIO(b"abc"), None, None)
    assert await f.read() == b"abc"  # type: ignore[attr-defined]
    assert f.seekable() is True  # type: ignore[attr-defined]
    assert f.closed is False  # type: ignore[attr-defined]


# Beyond aiofiles.


async def test_the_whole_of_it_on_every_loop(tmp_path: Path) -> None:
    """On trio as well, since nothing of asyncio's is asked for."""
    name = tmp_path / "file"
    async with rapfiles.compat.open(name, "w") as f:
        await f.write("one\ntwo\n")
        await f.writelines(["three\n"])
    async with rapfiles.compat.open(name) as f:
        assert [line async for line in f] == ["one\n", "two\n", "three\n"]
    async with rapfiles.compat.open(name) as f:
        assert f.buffer.readable()
        assert await f.readlines() == ["one\n", "two\n", "three\n"]
    assert await rapfiles.compat.os.listdir(tmp_path) == ["file"]
    assert await rapfiles.compat.os.path.exists(os.fsencode(name))
    async with rapfiles.compat.tempfile.NamedTemporaryFile("w+", dir=tmp_path) as f:
        await f.write("a")
    async with rapfiles.compat.tempfile.SpooledTemporaryFile(max_size=2) as spooled:
        await spooled.write(b"abc")
        assert await spooled.fileno() >= 0
    async with rapfiles.compat.tempfile.TemporaryDirectory() as folder:
        assert os.path.isdir(folder)
    directory = await rapfiles.compat.tempfile.TemporaryDirectory()
    await directory.cleanup()


@pytest.mark.loops("trio")
async def test_asking_for_asyncio_on_trio(path: str) -> None:
    with ThreadPoolExecutor(1) as executor, pytest.raises(RuntimeError, match="no running event loop"):
        await rapfiles.compat.open(path, executor=executor)


def test_outside_of_any_loop(path: str) -> None:
    manager = rapfiles.compat.open(path)
    with pytest.raises(RuntimeError, match="no running event loop"):
        manager.__await__().send(None)


def test_a_file_of_a_loop_that_is_gone(path: str) -> None:
    """aiofiles' file stays with the loop that opened it. Here it is as good on the next."""

    async def first() -> Any:
        f = await rapfiles.compat.open(path, "rb")
        assert await f.read(3) == b"one"
        return f

    async def second(f: Any) -> None:
        assert await f.read(2) == b"\r\n"
        await f.close()

    SELECTOR.run(second, SELECTOR.run(first))


def test_an_unclosed_file(path: str) -> None:
    async def main() -> None:
        f = await rapfiles.compat.open(path)
        await f.read(1)
        del f
        gc.collect()

    with pytest.warns(ResourceWarning, match="unclosed file"):
        SELECTOR.run(main)
