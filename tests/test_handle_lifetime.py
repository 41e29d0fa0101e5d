"""Handles that nobody closes, that outlive their loop, that are used on another one, and that are forked."""

import asyncio
import gc
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

import rapfiles
from support import process
from support.engine import idle
from support.handles import filling
from support.leaks import descriptors
from support.loops import ASYNCIO_LOOPS, LOOPS, TRIO, Loop, settle_garbage

KINDS: dict[str, dict[str, Any]] = {
    "raw": {"mode": "wb", "buffering": 0},
    "writer": {"mode": "wb"},
    "random": {"mode": "wb+"},
    "text": {"mode": "w", "encoding": "utf-8"},
    "text in Python": {"mode": "w", "encoding": "cp1252"},
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def _data(kind: str) -> Any:
    return "written" if "text" in kind else b"written"


async def _open_and_forget(path: Path, kind: str, write: bool) -> int:
    """Open, perhaps write, and let go; the descriptor."""
    file = await rapfiles.open(path, **KINDS[kind])
    number = file.fileno()
    if write:
        await file.write(_data(kind))
    return number


def _is(number: int, path: Path) -> bool:
    return descriptors().get(str(number)) == str(path)


@EVERY_KIND
@pytest.mark.parametrize("write", [False, True], ids=["unwritten", "written"])
async def test_nobody_closes_it(kind: str, write: bool, tmp_path: Path) -> None:
    """There is a warning with the path, the descriptor is closed, and what was written is not lost."""
    path = tmp_path / "file"
    with pytest.warns(ResourceWarning, match="unclosed file .*file") as caught:  # noqa: PT031
        number = await _open_and_forget(path, kind, write)
        settle_garbage()
    assert len(caught) == 1
    assert str(path) in str(caught[0].message)
    await idle()
    assert not _is(number, path)
    assert path.read_bytes() == (b"written" if write else b"")


async def test_no_warning_for_a_descriptor_of_someone_else(tmp_path: Path) -> None:
    number = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    try:
        await rapfiles.open(number, "wb", closefd=False)
        settle_garbage()
        await idle()
        assert _is(number, tmp_path / "file")
    finally:
        os.close(number)


async def test_a_cycle_is_collected(tmp_path: Path) -> None:
    """A handle that is a part of what only the garbage collector finds."""

    class Owner:
        file: Any
        me: Any

    owner = Owner()
    owner.file = await rapfiles.open(tmp_path / "file", "w")
    owner.me = owner
    number = owner.file.fileno()
    del owner
    with pytest.warns(ResourceWarning, match="unclosed file"):
        settle_garbage()
    await idle()
    assert not _is(number, tmp_path / "file")


async def test_what_was_begun_keeps_the_handle(tmp_path: Path) -> None:
    """The last reference to the handle goes while an operation is awaited."""
    (tmp_path / "file").write_bytes(filling(300_000))
    with pytest.warns(ResourceWarning):  # noqa: PT031
        reading = (await rapfiles.open(tmp_path / "file", "rb")).read()
        gc.collect()
        assert await reading == filling(300_000)
        del reading
        settle_garbage()


@pytest.mark.parametrize("buffering", [-1, 0])
async def test_a_result_is_the_callers_alone(buffering: int, tmp_path: Path) -> None:
    """A worker fills it, which keeps it alive; that is over when the caller has it."""
    size = 8 << 20
    (tmp_path / "file").write_bytes(bytes(size))
    async with rapfiles.open(tmp_path / "file", "rb", buffering=buffering) as file:
        mine = bytes(size)
        data = await file.read(size)
        assert sys.getrefcount(data) == sys.getrefcount(mine)
        await file.seek(0)
        room = bytearray(size)
        assert await file.readinto(room) == size
        room.clear()  # refused while anything looks at it


_FORGOTTEN = """
import asyncio, sys, warnings
import rapfiles
from support.loops import LOOPS

warnings.simplefilter("ignore", ResourceWarning)
files = []

async def main():
    text = await rapfiles.open(sys.argv[2] + "/text", "w")
    binary = await rapfiles.open(sys.argv[2] + "/binary", "wb")
    await text.write("written")
    await binary.write(b"written")
    if sys.argv[3] == "kept":
        files.extend([text, binary])
    print("ready", flush=True)

{loop.name: loop for loop in LOOPS}[sys.argv[1]].run(main)
"""


@pytest.mark.parametrize("way", ["dropped", "kept"])
def test_forgotten_at_the_end_of_the_process(way: str, tmp_path: Path, loop: Loop) -> None:
    """The process ends in silence; what io would have written when it was collected is written."""
    ended = process.run(_FORGOTTEN, loop.name, str(tmp_path), way)
    assert (ended.code, ended.errors) == (0, "")
    assert ended.seconds < process.AT_ONCE
    if way == "dropped":
        assert (tmp_path / "text").read_bytes() == (tmp_path / "binary").read_bytes() == b"written"


_WARNS = """
import asyncio, sys
import rapfiles

async def main():
    file = await rapfiles.open(sys.argv[1], "w")
    print("ready", flush=True)

asyncio.run(main())
"""


def test_the_warning_of_a_forgotten_handle_is_seen(tmp_path: Path) -> None:
    ended = process.run(_WARNS, str(tmp_path / "file"))
    assert "ResourceWarning: unclosed file" in ended.errors
    assert str(tmp_path / "file") in ended.errors


# Other loops.


async def _read_some(file: Any) -> Any:
    return await file.read(100_000)


async def _exercise(file: Any) -> None:
    """Operations of every tier, on a handle that was opened on some loop."""
    await file.seek(0)
    await file.truncate(0)
    await file.write(filling(500_000))
    await file.flush()
    await file.seek(0)
    assert b"".join([line async for line in file]) == filling(500_000)
    assert await file.pread(10, 16) == filling(26)[16:]


def _open(path: Path | int, **keywords: Any) -> Callable[[], Any]:
    async def main() -> Any:
        return await rapfiles.open(path, **keywords)

    return main


@pytest.mark.loops("asyncio")
def test_one_loop_after_the_other(tmp_path: Path, loop: Loop) -> None:
    """Opened on one loop, used on the next, closed on a third: each is closed when the next begins."""
    file = loop.run(_open(tmp_path / "file", mode="wb+"))
    for other in (loop, *ASYNCIO_LOOPS):
        other.run(_exercise, file)
    asyncio.run(file.close())
    assert file.closed
    assert (tmp_path / "file").read_bytes() == filling(500_000)


@pytest.mark.loops("asyncio")
def test_a_loop_in_another_thread(tmp_path: Path, loop: Loop) -> None:
    """Opened here, used there while the loop here runs on, and the other way round."""
    file = None

    def elsewhere() -> None:
        asyncio.run(_exercise(file))

    async def main() -> None:
        nonlocal file
        file = await rapfiles.open(tmp_path / "file", "wb+")
        await anyio.to_thread.run_sync(elsewhere)
        await _exercise(file)
        await anyio.to_thread.run_sync(elsewhere)
        await file.close()

    loop.run(main)


def test_two_loops_at_once_on_one_handle(tmp_path: Path) -> None:
    """Tasks of two loops, in two threads, write through one handle: every record is whole."""
    file = asyncio.run(_open(tmp_path / "file", mode="ab")())

    async def write(letter: str) -> None:
        for number in range(300):
            await file.write((letter * (number % 50 * 100) + "\n").encode())
            if number % 20 == 0:
                await file.flush()

    threads = [threading.Thread(target=lambda one=letter: asyncio.run(write(one))) for letter in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(file.close())
    lines = (tmp_path / "file").read_bytes().split(b"\n")
    assert len(lines) == 901
    assert all(len(set(line)) <= 1 for line in lines)
    assert sum(map(len, lines)) == 3 * 6 * sum(number * 100 for number in range(50))


def test_between_asyncio_and_trio(tmp_path: Path) -> None:
    """A handle belongs to the library on which it was opened: it works, or says clearly that it does not."""
    for first, second in ((LOOPS[0], TRIO), (TRIO, LOOPS[0])):
        file = first.run(_open(tmp_path / "file", mode="wb+"))
        with pytest.raises(RuntimeError, match=r"asyncio.*trio|trio.*asyncio"):
            second.run(_exercise, file)
        first.run(_exercise, file)
        first.run(file.aclose)
        assert (tmp_path / "file").read_bytes() == filling(500_000)


def test_outside_any_loop() -> None:
    reader, writer = os.pipe()
    file = asyncio.run(_open(reader)())
    # What is done at once needs no loop; this is not.
    with pytest.raises(RuntimeError, match="event loop"):
        file.read(1).send(None)
    os.close(writer)
    asyncio.run(file.close())


@pytest.mark.loops("asyncio")
def test_a_loop_that_was_closed_in_the_middle(tmp_path: Path, loop: Loop) -> None:
    """A read waits when its loop goes; the handle works on the next one."""
    reader, writer = os.pipe()
    file: Any = None

    async def main() -> None:
        nonlocal file
        file = await rapfiles.open(reader, "rb")
        task = asyncio.ensure_future(file.readline())
        await asyncio.sleep(0.01)
        assert not task.done()

    loop.run(main)  # which cancels the task
    os.write(writer, b"line\n")

    async def later() -> bytes:
        with anyio.fail_after(30):
            line: bytes = await file.readline()
            await file.close()
        return line

    assert loop.run(later) == b"line\n"
    os.close(writer)


# Fork.

_FORK = """
import asyncio, os, sys, warnings
import rapfiles
from support.loops import LOOPS

warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
warnings.simplefilter("ignore", ResourceWarning)
folder = sys.argv[1]
loop = {loop.name: loop for loop in LOOPS}[sys.argv[2]]

async def opened():
    reader = await rapfiles.open(folder + "/content", "rb")
    await reader.read(10)
    log = await rapfiles.open(folder + "/log", "ab")
    await log.write(b"parent\\n")
    await log.flush()
    await log.write(b"buffered\\n")
    return reader, log

async def in_child():
    # The place is shared with the parent, as with every forked file; a positional read needs none.
    assert await reader.pread(10, 0) == b"0" * 10
    async with rapfiles.open(folder + "/child", "w") as file:
        await file.write("child")
    async with rapfiles.open(folder + "/child") as file:
        assert await file.read() == "child"

async def in_parent():
    assert (await reader.read(10)) == b"0" * 5 + b"\\n" + b"0" * 4
    await reader.close()
    await log.close()

reader, log = loop.run(opened)
print("ready", flush=True)
child = os.fork()
if child == 0:
    code = 1
    try:
        loop.run(in_child)
        code = 0
    finally:
        os._exit(code)
assert os.waitpid(child, 0)[1] == 0
loop.run(in_parent)
with open(folder + "/log") as file:
    assert file.read() == "parent\\nbuffered\\n"
"""


def test_fork_with_open_handles(tmp_path: Path, loop: Loop) -> None:
    """The child can go on; what the parent had in its buffer is written by the parent, once."""
    (tmp_path / "content").write_bytes(filling(1000))
    ended = process.run(_FORK, str(tmp_path), loop.name)
    assert (ended.code, ended.errors) == (0, "")


_EXIT = """
import signal, sys
import anyio
import rapfiles
from support.loops import LOOPS

folder, name, way = sys.argv[1:]
loop = {loop.name: loop for loop in LOOPS}[name]
signal.signal(signal.SIGINT, signal.default_int_handler)

async def work(number):
    while True:
        async with rapfiles.open(f"{folder}/{number}", "w+") as file:
            for _ in range(100):
                await file.write("line\\n" * 100)
            await file.seek(0)
            async for line in file:
                assert line == "line\\n"
            await anyio.sleep(0)

async def main():
    async with loop.tasks() as group:
        for number in range(20):
            group.start_soon(work, number)
        await anyio.sleep(0.05)
        print("ready", flush=True)
        if way == "return":
            group.cancel_scope.cancel()
        elif way == "exit":
            sys.exit(7)
        else:
            await anyio.sleep_forever()

try:
    loop.run(main)
except KeyboardInterrupt:
    sys.exit(130)
except BaseExceptionGroup as group:
    found = group.exceptions[0]
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    if isinstance(found, KeyboardInterrupt):
        sys.exit(130)
    found.__context__ = found.__cause__ = None
    raise found from None
"""


# With the traceback of where it was collected, if that was in the middle of a function.
_LEFT_OPEN = re.compile(
    "Exception ignored in: .*\n(?:Traceback .*\n(?:  .*\n)+)?ResourceWarning: unclosed file .*\n"
)


@pytest.mark.parametrize(("way", "code"), [("return", 0), ("exit", 7), ("interrupt", 130)])
def test_exit_in_the_middle_of_work(way: str, code: int, tmp_path: Path, loop: Loop) -> None:
    for _ in range(3):
        ended = process.run(_EXIT, str(tmp_path), loop.name, way, interrupt=way == "interrupt")
        # As with a synchronous file, Ctrl-C may come between opening a file and entering it.
        errors = _LEFT_OPEN.sub("", ended.errors) if way == "interrupt" else ended.errors
        assert (ended.code, errors) == (code, ""), ended.errors
        assert ended.seconds < process.AT_ONCE


@pytest.mark.loops("asyncio")
async def test_an_opening_that_is_given_up_when_it_gives_way(tmp_path: Path) -> None:
    """The file is open already, and nobody refers to it: it is closed without a warning."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    given_up = 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(300):
            opening: Any = rapfiles.open(path, "rb").__aenter__()
            try:
                opening.send(None)
            except StopIteration as end:
                await end.value.close()
            else:
                opening.close()
                given_up += 1
        settle_garbage()
    assert given_up > 0
    assert caught == []
