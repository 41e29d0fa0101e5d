"""The handles have every member of io's classes, each of the right kind, documented, with io's arguments."""

import inspect
import io
import os
from collections.abc import Callable
from inspect import Parameter
from pathlib import Path
from typing import Any

import pytest

import rapfiles
from rapfiles import (
    AsyncBufferedRandom,
    AsyncBufferedReader,
    AsyncBufferedWriter,
    AsyncFileIO,
    AsyncPath,
    AsyncTextIOWrapper,
)
from support.handles import of_await, of_call

TWINS: dict[type[Any], type[Any]] = {
    AsyncTextIOWrapper: io.TextIOWrapper,
    AsyncBufferedReader: io.BufferedReader,
    AsyncBufferedWriter: io.BufferedWriter,
    AsyncBufferedRandom: io.BufferedRandom,
    AsyncFileIO: io.FileIO,
}
CLASSES = pytest.mark.parametrize("ours", TWINS, ids=lambda kind: kind.__name__)

# One of each class, and how it is opened.
OPENED: dict[type[Any], dict[str, Any]] = {
    AsyncTextIOWrapper: {"mode": "r+"},
    AsyncBufferedReader: {"mode": "rb"},
    AsyncBufferedWriter: {"mode": "wb"},
    AsyncBufferedRandom: {"mode": "rb+"},
    AsyncFileIO: {"mode": "rb+", "buffering": 0},
}

NOT_AWAITED = {"fileno", "isatty", "readable", "writable", "seekable"}
PROPERTIES = {
    *(
        "buffer",
        "raw",
        "closed",
        "closefd",
        "encoding",
        "errors",
        "newlines",
        "line_buffering",
        "write_through",
    ),
    *("mode", "name"),
}
ITERATED = {"chunks", "lines"}
ENTERED = {"lock"}
# What io does not have.
ADDED = {"aclose", "lock", "pread", "pwrite", "sync", "datasync", "stat", "chunks", "lines", "name", "mode"}
OF_BYTES = {"chunks", "pread", "pwrite"}
# What io's classes have and an asynchronous one must not have: a file that is iterated or entered without
# `async` says so.
SYNCHRONOUS = {"__enter__", "__exit__", "__iter__", "__next__", "__del__", "__getstate__"}


def public(kind: type[Any]) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


@CLASSES
def test_nothing_of_io_is_missing(ours: type[Any]) -> None:
    assert public(TWINS[ours]) - public(ours) == set()


@CLASSES
def test_what_is_added(ours: type[Any]) -> None:
    added = public(ours) - public(TWINS[ours])
    # A writer says of a peek what it says of a read.
    assert added <= ADDED | ({"peek"} if ours is AsyncBufferedWriter else set())
    assert added >= ADDED - {"name", "mode"} - (OF_BYTES if ours is AsyncTextIOWrapper else set())


@CLASSES
def test_nothing_synchronous_is_left(ours: type[Any]) -> None:
    assert {name for name in SYNCHRONOUS if hasattr(ours, name) and not hasattr(object, name)} <= {"__del__"}
    assert {"__aenter__", "__aexit__", "__aiter__", "__anext__"} <= set(dir(ours))


@CLASSES
def test_everything_is_documented(ours: type[Any]) -> None:
    assert inspect.getdoc(ours)
    members = {name: getattr(ours, name) for name in sorted(public(ours))}
    # An attribute of the object has its documentation in the source.
    documented = [name for name, value in members.items() if not inspect.ismemberdescriptor(value)]
    assert [name for name in documented if not inspect.getdoc(members[name])] == []


@CLASSES
def test_they_stand_in_the_package(ours: type[Any]) -> None:
    """Where `repr` says they are."""
    assert ours.__module__.partition(".")[0] == "rapfiles"
    assert getattr(rapfiles, ours.__name__) is ours
    assert ours.__name__ in rapfiles.__all__


def _accepts(function: Callable[..., Any], *args: Any, **keywords: Any) -> bool:
    try:
        inspect.signature(function).bind(*args, **keywords)
    except TypeError:
        return False
    return True


@CLASSES
def test_signatures(ours: type[Any]) -> None:
    """Every method takes the arguments that io's takes, under the names that io's have."""
    for name in sorted(public(TWINS[ours]) & public(ours) - PROPERTIES):
        if not callable(getattr(TWINS[ours], name)):
            continue
        try:
            expected = inspect.signature(getattr(TWINS[ours], name))
        except ValueError:  # a C function without a signature
            continue
        mine = inspect.signature(getattr(ours, name))
        for parameter in expected.parameters.values():
            if parameter.name == "self" or parameter.kind is Parameter.VAR_POSITIONAL:
                continue
            assert parameter.name in mine.parameters or parameter.kind is Parameter.POSITIONAL_ONLY, name
        positional = [
            each
            for each in expected.parameters.values()
            if each.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        ]
        required = [each for each in positional if each.default is Parameter.empty]
        assert _accepts(getattr(ours, name), *[None] * len(positional)), (name, mine, expected)
        assert _accepts(getattr(ours, name), *[None] * len(required)), (name, mine, expected)
        assert not _accepts(getattr(ours, name), *[None] * (len(positional) + 1)), (name, mine, expected)


@CLASSES
async def test_kinds_of_members(ours: type[Any], tmp_path: Path) -> None:
    """What is awaited, what is not, and what is a property, is as documented."""
    (tmp_path / "file").write_bytes(b"content\n")
    async with rapfiles.open(tmp_path / "file", **OPENED[ours]) as file:
        assert type(file) is ours
        for name in sorted(public(ours)):
            value = getattr(file, name)
            if name in PROPERTIES:
                assert not callable(value), name
                assert not inspect.isawaitable(value), name
            elif name in NOT_AWAITED:
                assert isinstance(value(), int | bool), name
            elif name in ITERATED:
                assert hasattr(value(), "__anext__"), name
            elif name in ENTERED:
                assert hasattr(value(), "__aenter__"), name
            else:
                assert callable(value), name


# Each method, without or with the arguments that are refused last; that it is awaited shows in its outcome.
CALLS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("read", "readline", "readlines", "tell", "truncate", "flush", "detach", "stat"), ()),
    **dict.fromkeys(("read1", "readall", "peek", "reconfigure", "sync", "datasync", "close", "aclose"), ()),
    **{name: (bytearray(3),) for name in ("readinto", "readinto1")},
    "write": (b"x",),
    "writelines": ([b"x"],),
    "seek": (0,),
    "pread": (1, 0),
    "pwrite": (b"x", 0),
}


def test_every_method_is_called() -> None:
    known = set(CALLS) | NOT_AWAITED | PROPERTIES | ITERATED | ENTERED
    assert {name for ours in TWINS for name in public(ours)} == known


@pytest.mark.one_loop
@CLASSES
@pytest.mark.parametrize("name", CALLS)
async def test_every_method_without_an_await(ours: type[Any], name: str, tmp_path: Path) -> None:
    """What a method returns is a coroutine in all but its type; closed, not awaited, it does nothing."""
    if not hasattr(ours, name):
        assert not hasattr(TWINS[ours], name)
        return
    (tmp_path / "file").write_bytes(b"content\n")
    async with rapfiles.open(tmp_path / "file", **OPENED[ours]) as file:
        before = (tmp_path / "file").read_bytes()
        call = getattr(file, name)(*arguments_for(ours, name))
        for method in ("send", "throw", "close", "__await__"):
            assert hasattr(call, method)
        call.close()
        assert not file.closed
        assert await file.tell() == 0
        assert (tmp_path / "file").read_bytes() == before


def arguments_for(ours: type[Any], name: str) -> tuple[Any, ...]:
    if ours is AsyncTextIOWrapper and name in ("write", "writelines"):
        return ("x",) if name == "write" else (["x"],)
    return CALLS.get(name, ())


CLOSED = [*CALLS, *sorted(NOT_AWAITED), "next", *sorted(PROPERTIES)]


@pytest.mark.one_loop
@CLASSES
@pytest.mark.parametrize("name", CLOSED)
async def test_use_after_close(ours: type[Any], name: str, tmp_path: Path) -> None:
    """io's own errors, in io's own words; what io still answers is answered."""
    (tmp_path / "file").write_bytes(b"content\n")
    with open(tmp_path / "file", **OPENED[ours]) as plain:
        pass
    async with rapfiles.open(tmp_path / "file", **OPENED[ours]) as file:
        pass
    assert file.closed
    arguments = arguments_for(ours, name)
    if name == "next":
        expected = of_call(lambda: next(plain))
        actual = await of_await(lambda: anext(file))
    elif name in PROPERTIES:
        expected = of_call(lambda: _plain(getattr(plain, name)))
        actual = of_call(lambda: _plain(getattr(file, name)))
    elif name in NOT_AWAITED:
        expected = of_call(getattr(plain, name))
        actual = of_call(getattr(file, name))
    elif hasattr(plain, name):
        expected = of_call(lambda: _plain(getattr(plain, name)(*arguments)))
        actual = await of_await(lambda: _awaited(getattr(file, name)(*arguments)))
    elif hasattr(file, name):
        if name == "aclose":
            await file.aclose()
        else:
            with pytest.raises(ValueError, match="closed file"):
                await getattr(file, name)(*arguments)
        return
    else:
        return
    assert file.closed
    if expected == ("returns", False) or "UnsupportedOperation" in str(expected):
        # Closed, and not made for it anyway: io names the one here, the other there.
        assert actual == expected or (actual[0] == "raises" and "closed file" in str(actual[1]))
    else:
        assert actual == expected


async def _awaited(call: Any) -> Any:
    return _plain(await call)


def _plain(value: Any) -> Any:
    """A handle is the class of io that it stands for."""
    name = type(value).__name__
    return name.removeprefix("Async") if hasattr(value, "fileno") else value


@pytest.mark.one_loop
@CLASSES
@pytest.mark.parametrize("name", ["chunks", "lines"])
async def test_iterating_after_close(ours: type[Any], name: str, tmp_path: Path) -> None:
    if not hasattr(ours, name):
        return
    (tmp_path / "file").write_bytes(b"content\n")
    async with rapfiles.open(tmp_path / "file", **OPENED[ours]) as file:
        pass
    with pytest.raises(ValueError, match="closed file"):  # noqa: PT012
        async for _ in getattr(file, name)():
            pytest.fail("something came")


@CLASSES
async def test_use_after_detach(ours: type[Any], tmp_path: Path) -> None:
    if not hasattr(ours, "detach"):
        return
    (tmp_path / "file").write_bytes(b"content\n")
    plain = open(tmp_path / "file", **OPENED[ours])  # noqa: SIM115
    with plain.detach() as below:
        handle = await rapfiles.open(tmp_path / "file", **OPENED[ours])
        under = await handle.detach()
        assert type(under).__name__ == f"Async{type(below).__name__}"
        for name in ("read", "readline", "write", "seek", "tell", "flush", "truncate", "detach", "close"):
            arguments = {"write": ("x" if ours is AsyncTextIOWrapper else b"x",), "seek": (0,)}.get(name, ())
            expected = of_call(lambda: getattr(plain, name)(*arguments))  # noqa: B023
            actual = await of_await(lambda: getattr(handle, name)(*arguments))  # noqa: B023
            assert actual == expected, name
        for name in ("fileno", "isatty", "readable", "writable", "seekable"):
            assert of_call(getattr(handle, name)) == of_call(getattr(plain, name)), name
        for name in ("closed", "name", "mode", "encoding"):
            if hasattr(type(plain), name):
                expected = of_call(lambda: getattr(plain, name))  # noqa: B023
                assert of_call(lambda: getattr(handle, name)) == expected, name  # noqa: B023
        # What is below lives on.
        assert not under.closed
        assert os.fstat(under.fileno())
        await under.close()


@pytest.mark.parametrize("name", ["read", "readline", "readlines", "__anext__"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
async def test_a_read_that_is_awaited_after_detach(name: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content\n", encoding=encoding)
    handle = await rapfiles.open(tmp_path / "file", encoding=encoding)
    reading = getattr(handle, name)()
    under = await handle.detach()
    with pytest.raises(ValueError, match="underlying buffer has been detached"):
        await reading
    assert await under.read() == (tmp_path / "file").read_bytes()
    await under.close()


async def test_what_is_below(tmp_path: Path) -> None:
    """`buffer` and `raw` are handles on the same file, and always the same ones."""
    (tmp_path / "file").write_bytes(b"first\nsecond\n")
    async with rapfiles.open(tmp_path / "file", "r+", encoding="utf-8") as text:
        assert isinstance(text.buffer, AsyncBufferedRandom)
        assert text.buffer is text.buffer
        assert isinstance(text.buffer.raw, AsyncFileIO)
        assert text.buffer.raw is text.buffer.raw
        assert text.fileno() == text.buffer.fileno() == text.buffer.raw.fileno()
        assert text.name == text.buffer.name == text.buffer.raw.name == str(tmp_path / "file")
        assert (text.mode, text.buffer.mode, text.buffer.raw.mode) == ("r+", "rb+", "rb+")
        assert await text.buffer.read(6) == b"first\n"
        assert await text.read() == "second\n"
        await text.write("third\n")
        await text.flush()
        await text.buffer.seek(0)
        assert await text.buffer.read() == b"first\nsecond\nthird\n"
        # A text that was not flushed is above the buffer still.
        await text.seek(0, 2)
        await text.buffer.write(b"fourth\n")
        await text.buffer.flush()
    assert text.buffer.closed
    assert text.buffer.raw.closed
    assert (tmp_path / "file").read_bytes() == b"first\nsecond\nthird\nfourth\n"
    async with rapfiles.open(tmp_path / "file", "rb") as binary:
        await binary.raw.close()
        assert binary.closed


async def test_standard_output_as_in_the_library_reference(tmp_path: Path) -> None:
    """The way to write bytes to a text file: through its buffer."""
    async with rapfiles.open(tmp_path / "file", "w", encoding="utf-8") as text:
        await text.write("text\n")
        await text.flush()
        await text.buffer.write(b"\xff\n")
    assert (tmp_path / "file").read_bytes() == b"text\n\xff\n"


def test_no_handle_is_made_without_open() -> None:
    """A handle belongs to an open file; the classes are there for `isinstance` and annotations."""
    for ours in TWINS:
        with pytest.raises(TypeError):
            ours()


async def test_path_and_package_open_the_same(tmp_path: Path) -> None:
    for ours, keywords in OPENED.items():
        (tmp_path / "file").write_bytes(b"content\n")
        async with AsyncPath(tmp_path, "file").open(**keywords) as file:
            assert type(file) is ours
