"""Awaiting, sending to and iterating over an operation."""

import gc
import os
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rapfiles
from rapfiles import _native
from support.loops import settle_garbage

pytestmark = pytest.mark.interpreter

ASK: dict[str, Callable[[Any], Any]] = {
    "send": lambda operation: operation.send(None),
    "next": next,
    "__next__": lambda operation: operation.__next__(),
}


def _stopped(ask: Callable[[Any], Any], operation: Any) -> StopIteration:
    """The exception with the answer of an operation that waits for nothing."""
    while True:
        try:
            # Now and then it wants others to have a turn first.
            assert ask(operation) is None
        except StopIteration as exception:
            return exception


@pytest.mark.loops("asyncio")
@pytest.mark.parametrize("way", ASK)
async def test_a_kept_exception_never_changes(way: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4
    (tmp_path / "file").write_bytes(content)
    kept = []
    async with rapfiles.open(tmp_path / "file", "rb") as file:
        await file.read(4)
        for at in range(4, 1024, 4):
            exception = _stopped(ASK[way], file.read(4))
            if at % 3 == 0:
                # What somebody adds to it goes with it.
                exception.add_note(f"{at}")
            if at % 5 == 0:
                kept.append((at, exception, exception.args))
            if at % 7 == 0:
                kept.append((at, exception, exception.args))
            del exception
    for at, exception, arguments in kept:
        assert exception.value == content[at : at + 4]
        assert exception.args == arguments == (content[at : at + 4],)
        assert str(exception) == str(content[at : at + 4])
        assert repr(exception) == f"StopIteration({content[at : at + 4]!r})"
        assert getattr(exception, "__notes__", None) == ([f"{at}"] if at % 3 == 0 else None)


@pytest.mark.loops("asyncio")
@pytest.mark.parametrize("way", ASK)
@pytest.mark.parametrize("mode", ["r", "rb"])
async def test_a_kept_exception_of_an_item_never_changes(mode: str, way: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"".join(b"%d\n" % number for number in range(100)))
    kept = []
    async with rapfiles.open(tmp_path / "file", mode) as file:
        lines: Any = file
        await lines.__anext__()
        for number in range(1, 100):
            item = lines.__anext__()
            exception = _stopped(ASK[way], item)
            if number % 3 == 0:
                exception.add_note(f"{number}")
            if number % 5 == 0:
                kept.append((number, exception, exception.args))
            if number % 7 == 0:
                with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                    ASK[way](item)
            del exception, item
    for number, exception, arguments in kept:
        line = f"{number}\n" if mode == "r" else b"%d\n" % number
        assert exception.value == line
        assert exception.args == arguments == (line,)
        assert str(exception) == str(line)
        assert repr(exception) == f"StopIteration({line!r})"
        assert getattr(exception, "__notes__", None) == ([f"{number}"] if number % 3 == 0 else None)


@pytest.mark.loops("asyncio")
@pytest.mark.parametrize("way", ASK)
async def test_an_answer_that_is_none(way: str, tmp_path: Path) -> None:
    async with rapfiles.open(tmp_path / "file", "wb") as file:
        exception = _stopped(ASK[way], file.flush())
        assert exception.value is None
        assert await file.flush() is None


@pytest.mark.loops("asyncio")
async def test_an_answer_that_is_a_tuple(tmp_path: Path) -> None:
    """It comes as it is, not taken apart into the arguments of an exception."""
    assert type(await _native.statvfs(tmp_path)) is os.statvfs_result
    assert type(await _native.stat(tmp_path, True)) is os.stat_result
    for ask in ASK.values():
        exception = _stopped(ask, _native.stat(tmp_path, True))
        assert type(exception.value) is os.stat_result
        assert exception.args == (exception.value,)


async def test_an_answer_is_nobody_elses(tmp_path: Path) -> None:
    """Nothing keeps it alive on its way."""
    (tmp_path / "file").write_bytes(b"0123456789" * 10_000)
    async with rapfiles.open(tmp_path / "file", "rb") as file:
        answer = await file.read(10_000)
        assert sys.getrefcount(answer) <= 2  # 1 since Python 3.14, which borrows arguments
        async for line in file:
            assert sys.getrefcount(line) <= 2
    file = await rapfiles.open(tmp_path / "file")
    await file.close()
    left = weakref.ref(file)
    del file
    settle_garbage()
    assert left() is None


@pytest.mark.loops("asyncio")
@pytest.mark.parametrize("mode", ["r", "rb"])
async def test_the_collector_sees_what_an_item_holds(mode: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"line\n")
    file: Any = await rapfiles.open(tmp_path / "file", mode)
    item = file.__anext__()
    assert file in gc.get_referents(item)
    assert "NextItem object at" in repr(item)
    assert await item in ("line\n", b"line\n")
    await file.close()


@pytest.mark.loops("asyncio")
@pytest.mark.parametrize("mode", ["r", "rb"])
async def test_items_by_hand(mode: str, tmp_path: Path) -> None:
    """Several at once, awaited in any order, dropped or kept."""
    (tmp_path / "file").write_bytes(b"".join(b"%d\n" % number for number in range(100)))
    async with rapfiles.open(tmp_path / "file", mode) as file:
        lines: Any = file
        items = [lines.__anext__() for _ in range(10)]
        found = [await item for item in reversed(items)]
        assert [int(line) for line in found] == list(range(10))
        for item in items:
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                await item
        del items, item
        lines.__anext__()
        rest = [int(line) async for line in file]
        assert rest == list(range(10, 100))
