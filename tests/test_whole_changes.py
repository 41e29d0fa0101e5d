"""Changes that happen as a whole or not at all are cancelled at each of the places where they wait.

Not at random: at the first place, the second, … until they run through; and each time once while a worker is
at it, and once when it is done, but nobody has been told.
"""

import os
import shutil
import sys
import time
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

import rapfiles
from rapfiles import AsyncPath, recover, transaction
from support import kill_points
from support.engine import idle
from support.leaks import nothing_leaks
from support.leftovers import becomes

Files = dict[str, bytes]

_OLD = b"old content"
_NEW = b"n" * 300_000


@types.coroutine
def _stepwise(work: Coroutine[Any, Any, object], waits: Callable[[], object]) -> Generator[Any, Any, object]:
    """Do the work; `waits` is called whenever it is about to wait."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            asked = work.send(answer) if error is None else work.throw(error)
        except StopIteration as end:
            return end.value
        waits()
        answer, error = None, None
        try:
            answer = yield asked
        except BaseException as raised:  # it is the work's own business
            error = raised


def _let_workers_end() -> None:
    """The loop stands still, and so learns of nothing."""
    while (now := rapfiles.stats()).queued + now.in_flight > 0:
        time.sleep(0.0002)


async def _cancelled_at(work: Coroutine[Any, Any, object], place: int, done: bool) -> bool:
    """Do the work, but cancel it at this place, counted from 1; whether it has come there."""
    passed = 0
    with anyio.CancelScope() as scope:

        def wait() -> None:
            nonlocal passed
            passed += 1
            if passed == place:
                if done:
                    _let_workers_end()
                scope.cancel()

        await _stepwise(work, wait)
    return passed >= place


class Change(ABC):
    """A change of the files in a folder."""

    def __init__(self) -> None:
        self.before: Files = {"file": _OLD, "d/other": b"other"}

    @abstractmethod
    async def run(self, folder: AsyncPath) -> None:
        """Make it."""

    @abstractmethod
    def after(self) -> Files:
        """What there is when it has been made."""

    def prepare(self, folder: Path) -> None:
        """Make the folder."""
        (folder / "d").mkdir(parents=True)
        for name, content in self.before.items():
            (folder / name).write_bytes(content)

    async def check(self, folder: Path) -> None:
        """Check that it has happened or has not, and that nothing is left, when what goes on has ended."""

        def is_whole() -> bool:
            found = _files(folder)
            directories = {name.partition("/")[0] for name in found}
            whole = found in (self.before, self.after())
            return whole and set(os.listdir(folder)) == directories | {"d"}

        await becomes(is_whole, lambda: f"old or new, but {sorted(_files(folder))}")


def _files(folder: Path) -> Files:
    """The content of all files. One that goes meanwhile has none."""
    found = {}
    # Unlike rglob(), it passes over a directory that goes.
    for directory, _, names in os.walk(folder):
        for path in (Path(directory, name) for name in names):
            with suppress(FileNotFoundError):
                found[str(path.relative_to(folder))] = path.read_bytes()
    return found


class _Write(Change):
    def __init__(self, exists: bool, **options: bool) -> None:
        self.before = {"file": _OLD} if exists else {}
        self.options: dict[str, Any] = {"atomic": True, **options}

    async def run(self, folder: AsyncPath) -> None:
        await (folder / "file").write_bytes(_NEW, **self.options)

    def after(self) -> Files:
        return {"file": _NEW}


class _WriteText(_Write):
    async def run(self, folder: AsyncPath) -> None:
        await (folder / "file").write_text(_NEW.decode(), **self.options)


class _Open(_Write):
    async def run(self, folder: AsyncPath) -> None:
        async with (folder / "file").open_atomic("wb", durable=True) as file:
            for at in range(0, len(_NEW), 100_000):
                await file.write(_NEW[at : at + 100_000])


class _OpenText(_Write):
    async def run(self, folder: AsyncPath) -> None:
        async with (folder / "file").open_atomic("w", encoding="latin-1") as file:
            await file.write(_NEW.decode())
            await file.flush()


class _Append(Change):
    async def run(self, folder: AsyncPath) -> None:
        await (folder / "file").append_bytes(_NEW, durable=True)

    def after(self) -> Files:
        return {**self.before, "file": _OLD + _NEW}


class _Exchange(Change):
    async def run(self, folder: AsyncPath) -> None:
        await (folder / "file").exchange(folder / "d/other", durable=True)

    def after(self) -> Files:
        return {"file": b"other", "d/other": _OLD}


class _Replace(Change):
    async def run(self, folder: AsyncPath) -> None:
        await (folder / "file").replace(folder / "d/other", durable=True)

    def after(self) -> Files:
        return {"d/other": _OLD}


class _Sync(Change):
    async def run(self, folder: AsyncPath) -> None:
        await (folder / "file").sync()
        await folder.sync()

    def after(self) -> Files:
        return self.before


class _Transaction(Change):
    def __init__(self) -> None:
        self.before = {"file": _OLD, "d/other": b"other", "log": b"log", "gone": b""}

    async def run(self, folder: AsyncPath) -> None:
        self.made = transaction(folder)
        async with self.made as t:
            await t.write_bytes("file", _NEW)
            await t.append_bytes("log", b" more")
            await t.rename("d/other", "other")
            await t.copy("log", "copy")
            await t.remove("gone")
            await t.mkdir("made")
            await t.write_text("made/text", "text")

    def after(self) -> Files:
        return {
            "file": _NEW,
            "log": b"log more",
            "other": b"other",
            "copy": b"log more",
            "made/text": b"text",
        }

    async def check(self, folder: Path) -> None:
        await super().check(folder)
        assert _files(folder) == (self.after() if self.made.committed else self.before)


_KILLED = f"""
from rapfiles import transaction

async def main(folder):
    async with transaction(folder) as t:
        await t.write_bytes("file", b"n" * {len(_NEW)})
        await t.append_bytes("d/other", b" more")
"""


class _Recover(Change):
    """Of a transaction that was killed after its commit point."""

    def __init__(self) -> None:
        super().__init__()
        self.interrupted: Path | None = None

    async def run(self, folder: AsyncPath) -> None:
        await recover(folder)

    def after(self) -> Files:
        return {"file": _NEW, "d/other": b"other more"}

    def prepare(self, folder: Path) -> None:
        # The same folder for each trial of a test, and another one for the next.
        if self.interrupted is None or not self.interrupted.is_relative_to(folder.parent):
            saved = folder.with_name("interrupted")
            number = 20
            while not list(saved.glob(".rapfiles/*/commit")):
                shutil.rmtree(saved, ignore_errors=True)
                super().prepare(saved)
                number += 3
                assert kill_points.until(_KILLED, saved, number).call is not None, "it is never committed"
            self.interrupted = saved
        shutil.copytree(self.interrupted, folder)

    async def check(self, folder: Path) -> None:
        await recover(folder)
        assert _files(folder) == self.after()
        await super().check(folder)


CHANGES: dict[str, Change] = {
    "write new": _Write(exists=False),
    "write old": _Write(exists=True),
    "write durably": _Write(exists=True, durable=True),
    "write text": _WriteText(exists=True, durable=True),
    "open new": _Open(exists=False),
    "open old": _Open(exists=True),
    "open text": _OpenText(exists=True),
    "append": _Append(),
    "replace": _Replace(),
    "sync": _Sync(),
    "transaction": _Transaction(),
}
if sys.platform in ("linux", "darwin"):
    CHANGES["exchange"] = _Exchange()
if sys.platform == "linux":
    CHANGES["recover"] = _Recover()


@pytest.mark.one_loop
@pytest.mark.parametrize("done", [False, True], ids=["at it", "done"])
@pytest.mark.parametrize("name", CHANGES)
async def test_cancelled_at_each_place(name: str, done: bool, tmp_path: Path) -> None:
    change, folder = CHANGES[name], tmp_path / "folder"
    place, came = 0, True
    # What the preparations open stays open.
    change.prepare(folder)
    shutil.rmtree(folder)
    with nothing_leaks():
        while came:
            place += 1
            change.prepare(folder)
            came = await _cancelled_at(change.run(AsyncPath(folder)), place, done)
            await idle()
            await change.check(folder)
            assert came or _files(folder) == change.after()
            shutil.rmtree(folder)
