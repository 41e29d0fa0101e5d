"""Cancelling operations on handles at random moments loses nothing that was acknowledged, repeats nothing.

A cancelled read takes nothing: the next one begins where it would have. A cancelled write is in the file as a
whole, in its order, or not at all. After a cancelled close, the handle can be closed.
"""

import asyncio
import errno
import os
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

import rapfiles
from support import effort
from support.engine import idle
from support.handles import filling
from support.leaks import nothing_leaks
from support.loops import LOOPS, Loop

pytestmark = pytest.mark.interpreter

TOTAL = effort.times(5_000, everything=10_000, variable="RAPFILES_HANDLE_CANCELLATIONS")
AT_ONCE = 20
CANCELLED = object()


@dataclass
class Cancelling:
    """Begins operations, and cancels many of them after some turns of the loop; counts those it caught."""

    generator: random.Random
    library: str
    cancelled: int = 0
    history: list[object] = field(default_factory=list)
    opening: bool = False
    pause: tuple[int, float] | None = None
    until: Callable[[], bool] = lambda: True

    async def after(self, turns: int, begin: Callable[[], Awaitable[Any]], most: float) -> Any:
        """The same, cancelled after `turns` iterations of the loop and up to `most` seconds at random."""
        self.pause = (turns, self.generator.random() * most)
        return await self(begin)

    async def __call__(self, begin: Callable[[], Awaitable[Any]], what: object = None) -> Any:
        """What `begin()` gives, or CANCELLED."""
        run = self._on_trio if self.library == "trio" else self._on_asyncio
        result = await run(begin)
        self.history.append(f"cancelled {what}" if result is CANCELLED else what)
        self.cancelled += result is CANCELLED
        return result

    async def _pause(self) -> None:
        if self.pause is not None:
            turns, seconds = self.pause
            while not self.until():
                await anyio.sleep(0)
            if seconds:
                await anyio.sleep(seconds)
            for _ in range(turns):
                await anyio.sleep(0)
            return
        if self.generator.random() < 0.2:
            await anyio.sleep(self.generator.random() * 0.0005)
        for _ in range(self.generator.choice([0, 0, 1, 1, 2, 3, 5])):
            await anyio.sleep(0)

    async def _on_asyncio(self, begin: Callable[[], Awaitable[Any]]) -> Any:
        async def work() -> Any:
            return await begin()

        # The operation itself is the task, or a coroutine of which it is a part. (An opening is no coroutine;
        # in a task that never ran, it would rightly complain that it was never awaited.)
        begun = begin() if self.generator.random() < 0.3 and not self.opening else None
        task = asyncio.ensure_future(work() if begun is None else begun)
        await self._pause()
        task.cancel()
        if self.generator.random() < 0.1:
            task.cancel()
        await asyncio.wait([task])
        return CANCELLED if task.cancelled() else task.result()

    async def _on_trio(self, begin: Callable[[], Awaitable[Any]]) -> Any:
        result = CANCELLED

        async def work() -> None:
            nonlocal result
            with scope:
                result = await begin()

        scope = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(work)
            await self._pause()
            scope.cancel()
        return result

    async def until_open(self, begin: Callable[[], Awaitable[Any]]) -> Any:
        """Open, with cancellations now and then, until it was not cancelled."""
        while self.generator.random() < 0.7:
            if (result := await self.open(begin)) is not CANCELLED:
                return result
        return await begin()

    async def open(self, begin: Callable[[], Awaitable[Any]]) -> Any:
        """The same for `rapfiles.open`."""
        self.opening = True
        try:
            return await self(begin, "open")
        finally:
            self.opening = False


Session = Callable[[Path, Cancelling, int], Awaitable[None]]
CONTENT = filling(400_000)


async def _close(cancel: Cancelling, file: Any) -> None:
    await cancel(file.close, "close")
    # Clearly closed, or to be closed still.
    await file.close()
    assert file.closed
    with pytest.raises(ValueError, match="closed"):
        await file.read()


async def _next(file: Any) -> Any:
    # What `anext()` has taken is lost if nobody awaits it; `async for` awaits at once, and so does this.
    return await anext(file)


async def read_session(folder: Path, cancel: Cancelling, number: int) -> None:
    """Bytes are read and sought; the place is known all the time."""
    generator = cancel.generator
    keywords = generator.choice([{}, {}, {"buffering": 5000}, {"buffering": 0}])
    mode = generator.choice(["rb", "rb+"])
    cancel.history.append((mode, keywords))
    file = await cancel.until_open(lambda: rapfiles.open(folder / "content", mode, **keywords))
    place = 0
    for _ in range(15):
        size = generator.choice([0, 1, 10, 4096, 70_000, 300_000])
        kind = generator.choice(["read", "read", "readline", "readinto", "seek", "tell", "pread"])
        if kind == "read":
            found = await cancel(lambda: file.read(size), ("read", size))  # noqa: B023
            expected = CONTENT[place : place + size]
        elif kind == "readline":
            found = await cancel(file.readline, "readline")
            expected = CONTENT[place:].partition(b"\n")[0] + b"\n" * (place < len(CONTENT))
        elif kind == "readinto":
            target = bytearray(size)
            found = await cancel(lambda: file.readinto(target), ("readinto", size))  # noqa: B023
            expected = CONTENT[place : place + size]
            if found is not CANCELLED:
                found = bytes(target[:found])
        elif kind == "pread":
            found = await cancel(lambda: file.pread(100, 1000), "pread")
            assert found is CANCELLED or found == CONTENT[1000:1100]
            continue
        elif kind == "tell":
            found = await cancel(file.tell, "tell")
            assert found is CANCELLED or found == place
            continue
        else:
            goal = generator.choice([0, 10, 100_000, 300_000, len(CONTENT)])
            if await cancel(lambda: file.seek(goal), ("seek", goal)) is CANCELLED:  # noqa: B023
                before, place = place, await file.tell()
                assert place in (before, goal)
            else:
                place = goal
            continue
        if found is CANCELLED:
            assert await file.tell() == place
        elif keywords.get("buffering") == 0:
            # Without a buffer a read may give less than was asked for.
            assert expected.startswith(found)
            assert bool(found) == bool(expected)
            place += len(found)
        else:
            assert found == expected
            place += len(found)
    await _close(cancel, file)


async def lines_session(folder: Path, cancel: Cancelling, number: int) -> None:
    """Lines are read one by one: none is missing, none comes twice."""
    generator = cancel.generator
    keywords = generator.choice(
        [{"mode": "rb"}, {"encoding": "utf-8"}, {"encoding": "cp1252"}, {"mode": "r+"}]
    )
    cancel.history.append(keywords)
    file = await cancel.until_open(lambda: rapfiles.open(folder / "content", **keywords))
    lines = CONTENT.splitlines(True)
    at = 0
    for _ in range(15):
        kind = generator.choice(["next", "next", "readline", "some", "read"])
        if kind == "read":
            size = generator.choice([1, 3, 10])
            found = await cancel(lambda: file.read(len(lines[at]) * size), ("lines", size))  # noqa: B023
        elif kind == "some":
            found = await cancel(lambda: file.readlines(generator.choice([1, 20_000])), kind)
            found = found if found is CANCELLED else type(found[0])().join(found)
        else:
            found = await cancel(lambda: _next(file) if kind == "next" else file.readline(), kind)  # noqa: B023
        if found is CANCELLED:
            continue
        data = found if isinstance(found, bytes) else found.encode()
        assert CONTENT.startswith(data, sum(map(len, lines[:at])))
        assert data.endswith(b"\n")
        at += data.count(b"\n")
    await _close(cancel, file)


async def write_session(folder: Path, cancel: Cancelling, number: int) -> None:
    """Numbered records are written; each is in the file once or not at all, and those acknowledged are."""
    generator = cancel.generator
    path = folder / f"written-{number}"
    keywords = generator.choice(
        [
            {"mode": "wb"},
            {"mode": "wb+"},
            {"mode": "ab"},
            {"mode": "ab", "buffering": 0},
            {"mode": "wb", "buffering": 200},
            {"mode": "w", "encoding": "utf-8"},
            {"mode": "a+", "encoding": "utf-8", "buffering": 1},
            {"mode": "w", "encoding": "cp1252"},
            {"mode": "xb"} if not path.exists() else {"mode": "wb"},
        ]
    )
    cancel.history.append(keywords)
    # An opening that was cancelled may have made the file.
    if keywords["mode"] == "xb":
        file = await rapfiles.open(path, **keywords)
    else:
        file = await cancel.until_open(lambda: rapfiles.open(path, **keywords))
    text = "b" not in keywords["mode"]
    acknowledged: set[int] = set()
    begun = 0

    def record(at: int) -> Any:
        filler = "x" * generator.choice([0, 0, 0, 100, 9000, 300_000])
        return f"{at}:{filler}\n" if text else f"{at}:{filler}\n".encode()

    for _ in range(15):
        kind = generator.choice(["write", "write", "write", "several", "flush", "sync"])
        if kind == "write":
            data = record(begun)
            begun += 1
            if await cancel(lambda: file.write(data), ("write", begun - 1, len(data))) is not CANCELLED:  # noqa: B023
                acknowledged.add(begun - 1)
        elif kind == "several":
            some = [record(begun + at) for at in range(3)]
            begun += 3
            if await cancel(lambda: file.writelines(some), ("writelines", begun - 3)) is not CANCELLED:  # noqa: B023
                acknowledged.update(range(begun - 3, begun))
        else:
            known = set(acknowledged)
            if await cancel(file.flush if kind == "flush" else file.sync, kind) is not CANCELLED:
                assert known <= set(_records(path))
    await cancel(file.close, "close")
    await file.close()
    assert file.closed
    found = _records(path)
    assert found == sorted(set(found)), "out of order or twice"
    assert acknowledged <= set(found), "acknowledged, but not there"
    assert set(found) <= set(range(begun))
    path.unlink()


def _records(path: Path) -> list[int]:
    """The numbers of the records; every one must be whole."""
    data = path.read_bytes()
    assert not data or data.endswith(b"\n"), "torn"
    records = [line.split(b":") for line in data.splitlines()]
    assert all(len(record) == 2 and record[1] == b"x" * len(record[1]) for record in records), "torn"
    return [int(record[0]) for record in records]


async def open_session(folder: Path, cancel: Cancelling, number: int) -> None:
    """Handles are opened, and closed at once."""
    for _ in range(10):

        async def one() -> None:
            async with rapfiles.open(folder / "content", "rb") as file:
                await file.read(1)

        await cancel(one)
        mode = cancel.generator.choice(["r", "rb", "r+", "a", "ab+"])
        file = await cancel.open(lambda: rapfiles.open(folder / "content", mode))  # noqa: B023
        if file is not CANCELLED:
            await cancel(file.close, "close")
            await file.close()


SESSIONS: list[Session] = [read_session, lines_session, write_session, open_session]


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.__name__)
def test_cancelling_at_random_moments(
    session: Session, tmp_path: Path, loop: Loop, capfd: pytest.CaptureFixture[str]
) -> None:
    _play(session, tmp_path, loop)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.__name__)
def test_cancelling_where_nothing_is_cached(session: Session, prompt_disk: Any, loop: Loop) -> None:
    """On a file system of which the kernel promises nothing: everything goes through workers."""
    folder = prompt_disk.root / f"cancelling-{session.__name__}-{loop.name}"
    folder.mkdir()
    _play(session, folder, loop)


def _play(session: Session, folder: Path, loop: Loop) -> None:
    (folder / "content").write_bytes(CONTENT)
    cancelled: dict[int, int] = {}
    goal = TOTAL // len(LOOPS) // len(SESSIONS) // 2
    number = 0

    async def one(at: int) -> None:
        own = Cancelling(random.Random(f"{loop.name} {session.__name__} {at}"), loop.library)
        try:
            await session(folder, own, at)
        except BaseException as error:
            error.add_note(f"session {at}: {own.history}")
            raise
        finally:
            cancelled[at] = own.cancelled

    async def main() -> None:
        nonlocal number
        while sum(cancelled.values()) < goal:
            async with anyio.create_task_group() as group:
                for _ in range(AT_ONCE):
                    group.start_soon(one, number)
                    number += 1
            assert number < goal * 10, (
                f"in {number} sessions only {sum(cancelled.values())} operations were cancelled"
            )
        await idle()

    async def warm() -> None:
        async with rapfiles.open(os.devnull):
            pass

    loop.run(warm)  # what is opened once for good is open now
    with nothing_leaks():
        loop.run(main)
    assert (folder / "content").read_bytes() == CONTENT


async def test_the_others_go_on(tmp_path: Path) -> None:
    """Of many operations begun at once on one handle, those that were not cancelled give what they should."""
    (tmp_path / "content").write_bytes(CONTENT)
    generator = random.Random(1)
    async with rapfiles.open(tmp_path / "content", "rb") as file:
        for _ in range(50):
            found: dict[int, bytes] = {}
            scopes = [anyio.CancelScope() for _ in range(20)]

            begun: list[int] = []  # trio begins what is started together in either order

            async def one(
                number: int,
                scope: anyio.CancelScope,
                found: dict[int, bytes] = found,
                begun: list[int] = begun,
            ) -> None:
                with scope:
                    begun.append(number)
                    found[number] = await file.read(1000)

            await file.seek(0)
            async with anyio.create_task_group() as group:
                for number, scope in enumerate(scopes):
                    group.start_soon(one, number, scope)
                for scope in generator.sample(scopes, 10):
                    if generator.random() < 0.3:
                        await anyio.sleep(0)
                    scope.cancel()
            # One after the other, in the order in which they were begun, as if the cancelled had never been.
            got = [found[number] for number in begun if number in found]
            assert b"".join(got) == CONTENT[: 1000 * len(got)]


async def test_a_time_out_in_the_middle_of_lines(tmp_path: Path) -> None:
    """A program that pauses the iteration and continues later sees every line."""
    (tmp_path / "content").write_bytes(CONTENT)
    found: list[bytes] = []
    async with rapfiles.open(tmp_path / "content", "rb") as file:
        while len(found) < CONTENT.count(b"\n"):
            with anyio.move_on_after(0.001):
                async for line in file:
                    found.append(line)
                    if len(found) % 100 == 0:
                        await anyio.sleep(0)
    assert b"".join(found) == CONTENT


# Larger than what is buffered, read or laid out at once; with characters that make decoding more than a copy.
LARGE = (
    "".join(f"{number:07} caf\u00e9 \u20ac\n" for number in range(60_000)) + "\u00e4" * 700_000 + "\nend\n"
)
LARGE_READS: dict[str, tuple[dict[str, Any], Callable[[Any], Awaitable[Any]]]] = {
    "text": ({"encoding": "utf-8"}, lambda file: file.read(1_500_000)),
    "rest": ({"encoding": "utf-8"}, lambda file: file.read()),
    "line": ({"encoding": "utf-8"}, lambda file: file.readline()),
    "lines": ({"encoding": "utf-8"}, lambda file: file.readlines()),
    "latin-1": ({"encoding": "latin-1"}, lambda file: file.read(1_500_000)),
    "codec": ({"encoding": "utf-8-sig"}, lambda file: file.read()),
    "lines of a codec": ({"encoding": "utf-8-sig"}, lambda file: file.readlines()),
    "bytes": ({"mode": "rb"}, lambda file: file.read(1_500_000)),
    "rest of bytes": ({"mode": "rb"}, lambda file: file.read()),
    "raw": ({"mode": "rb", "buffering": 0}, lambda file: file.read(1_500_000)),
    "raw rest": ({"mode": "rb", "buffering": 0}, lambda file: file.read()),
    "into": ({"mode": "rb"}, lambda file: file.readinto(bytearray(1_500_000))),
    "raw into": ({"mode": "rb", "buffering": 0}, lambda file: file.readinto(bytearray(1_500_000))),
}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("name", LARGE_READS)
def test_what_follows_a_cancelled_large_read(name: str, line_end: str, tmp_path: Path, loop: Loop) -> None:
    """Wherever it is cancelled, queued, with a worker, or between two jobs, nothing is missing afterwards.

    The file is where it was before, also by its own account, for which translated line ends matter.
    """
    keywords, read = LARGE_READS[name]
    content = LARGE.replace("\n", line_end).encode()
    (tmp_path / "content").write_bytes(content)
    text = keywords.get("mode") != "rb"
    whole: Any = LARGE.encode().decode(keywords["encoding"]) if text else content
    # A line is most worth cancelling where it is long.
    before = whole.index("\u00e4" * 10) if name == "line" else 5
    generator = random.Random(name)

    async def main() -> None:
        cancelled = 0
        # With one kind of line ends the even numbers of turns, with the other the odd ones. Some
        # reads have ended before the first turn is over.
        for turns in (0, *range(line_end == "\r\n", 40, effort.times(2, everything=1))):
            cancel = Cancelling(generator, loop.library)
            async with rapfiles.open(tmp_path / "content", **keywords) as file:
                first = await file.read(before)
                await cancel.after(turns % 20, lambda: read(file), 0 if turns < 20 else 0.004)
                cancelled += cancel.cancelled
                if cancel.cancelled:
                    if turns % 4 > 1:
                        place = await file.tell()
                        await file.seek(0)
                        await file.seek(place)
                    rest = await file.read(700_000)
                    rest += await file.read()
                    assert first + rest == whole, f"cancelled after {turns} turns"
        # An eager task may have all of its answers before anybody can cancel it.
        assert cancelled or "eager" in loop.name

    loop.run(main)


@pytest.mark.parametrize(
    ("encoding", "text"), [("utf-8", "x\r" * 20_000), ("utf-7", "\u00e9\u20ac\u00fc " * 10_000)]
)
def test_a_cancelled_seek_has_moved_or_not(encoding: str, text: str, prompt_disk: Any, loop: Loop) -> None:
    """Where a place is found by decoding a part, that takes several steps, and is all or nothing."""
    content = text.encode(encoding)
    path = prompt_disk.root / f"seek-{encoding}-{loop.name}"
    path.write_bytes(content)
    whole = text.replace("\r", "\n")
    generator = random.Random(encoding)

    async def main() -> None:
        async with rapfiles.open(path, encoding=encoding) as file:
            await file.read(30_000 if encoding == "utf-8" else 20_002)
            there = await file.tell()
            assert there > len(content), "no position of the file alone"
            to = await file.read(10)
            await file.seek(0)
            await file.read(7)
            here = await file.tell()
            found = set()
            for turns in range(40):
                cancel = Cancelling(generator, loop.library)
                await cancel.after(turns // 2, lambda: file.seek(there), 0.001 * (turns % 2))
                place = await file.tell()
                assert place in (here, there), turns
                assert await file.read(10) == (to if place == there else whole[7:17])
                found.add(place)
                await file.seek(here)
            assert found == {here, there}

    loop.run(main)


@pytest.fixture
def little_space() -> Iterator[int]:
    """Files cannot grow beyond a limit."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, before[1]))
    yield 8 << 20
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("how", "then"), [("write", "close"), ("write", "flush"), ("write", "write"), ("pwrite", "close")]
)
def test_a_cancelled_write_that_failed_is_told_of_once(
    how: str, then: str, tmp_path: Path, little_space: int, loop: Loop
) -> None:
    """If a cancelled write fails in the background, the next operation raises its error."""
    generator = random.Random(then)
    path = tmp_path / "file"
    data = bytearray(little_space + 1)

    async def failure(work: Callable[[], Awaitable[object]]) -> int | None:
        try:
            await work()
        except OSError as error:
            return error.errno
        return None

    async def main() -> None:
        told = turns = 0
        while told < 3:
            turns += 1
            assert turns < 500
            cancel = Cancelling(generator, loop.library)
            file = await rapfiles.open(path, "wb")
            if turns % 2:
                # Not before a worker is at it.
                cancel.until = lambda: path.stat().st_size > 0
            write = partial(file.write, data) if how == "write" else partial(file.pwrite, data, 0)
            await cancel.after(turns // 2 % 8, partial(failure, write), 0)
            calls = [lambda: file.write(b"more")] if then == "write" else [getattr(file, then)]  # noqa: B023
            found = [await failure(call) for call in [*calls, file.close, file.close]]
            assert file.closed
            if cancel.cancelled:
                # It was dropped before it began, or it began and failed.
                written = path.stat().st_size
                assert found[0] == (errno.EFBIG if written >= little_space else None)
                assert not any(found[1:])
                told += found[0] is not None

    loop.run(main)


@pytest.mark.parametrize("buffering", [-1, 0])
async def test_what_is_done_while_a_close_is_cancelled_is_not_refused(buffering: int, tmp_path: Path) -> None:
    """The holder of the turn when a close is cancelled does not fail with a closed file."""
    path = tmp_path / "file"

    async def cut(file: Any) -> None:
        try:
            assert await file.truncate(100) == 100
        except ValueError:
            refused.append(path.stat().st_size)
        else:
            assert path.stat().st_size == 100

    for turns in range(12):
        refused: list[int] = []
        path.write_bytes(bytes(5000))
        file = await rapfiles.open(path, "rb+", buffering)
        async with anyio.create_task_group() as group:
            group.start_soon(cut, file)
            with anyio.CancelScope() as scope:
                for _ in range(turns % 3):
                    await anyio.sleep(0)
                async with anyio.create_task_group() as closing:
                    closing.start_soon(file.close)
                    for _ in range(turns // 3):
                        await anyio.sleep(0)
                    scope.cancel()
        await file.close()
        assert file.closed
        assert refused in ([], [5000])


async def test_a_large_read_is_cancelled_after_any_turn(tmp_path: Path) -> None:
    """Also where it has suspended only for the others to have a turn: nobody wakes a task that is gone."""
    (tmp_path / "file").write_bytes(b"x" * (16 << 20))
    for turns in range(100):
        async with rapfiles.open(tmp_path / "file", "rb") as file, anyio.create_task_group() as group:
            group.start_soon(file.read)
            for _ in range(turns):
                await anyio.sleep(0)
            group.cancel_scope.cancel()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("mode", ["w", "a"])
async def test_a_text_that_was_not_written_leaves_the_mark_to_the_next(
    mode: str, encoding: str, tmp_path: Path
) -> None:
    """The encoder has seen it, but the byte order mark is not in the file."""
    long = "l" * (1 << 20)
    for turns in range(8):
        path = tmp_path / f"file{turns}"
        async with rapfiles.open(path, mode, encoding=encoding) as file:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(file.write, long)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            await file.write("short")
        assert path.read_text(encoding=encoding) in ("short", f"{long}short")
        assert path.read_bytes().startswith("".encode(encoding))


@pytest.mark.one_loop
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
async def test_a_text_that_cannot_be_encoded_leaves_the_mark_to_the_next(
    encoding: str, tmp_path: Path
) -> None:
    async with rapfiles.open(tmp_path / "file", "w", encoding=encoding) as file:
        with pytest.raises(UnicodeEncodeError):
            await file.write("l" * (1 << 20) + "\ud800")
        await file.write("short")
    assert (tmp_path / "file").read_bytes() == "short".encode(encoding)
