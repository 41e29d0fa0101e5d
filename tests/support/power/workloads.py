"""What runs while the disk records, and what may be there after a power cut at any moment of it."""

import asyncio
import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio

import rapfiles
from rapfiles import AsyncPath
from support import kill_points, mounts

Files = dict[str, bytes]
"""The content of each file, by its path in the folder of the workload."""
Mark = Callable[[], None]

_TEMPORARY = ".rapfiles-"
_LEFT = re.compile(r"\.rapfiles-[0-9a-f]{24}")
_SIZES = (4096, 70_000, 1, 300_000)
NAMES = ("a", "b")


def content(number: int) -> bytes:
    """The content of a file in the version with this number: never empty, distinctive in all its parts."""
    size = _SIZES[number % len(_SIZES)]
    piece = b"%06d|" % number
    return (piece * (size // len(piece) + 1))[: max(size, len(piece))]


def files(folder: Path) -> Files:
    """All files, without temporary ones, which a crash may leave."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(_TEMPORARY)
    }


def left(folder: Path) -> list[str]:
    """What an operation that was interrupted has left under a temporary name of the engine's."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if _LEFT.fullmatch(path.name)]


def show(found: Files) -> str:
    """Files, shortened for a report."""

    def shortened(text: bytes) -> str:
        zeros = f", {text.count(0)} zeros" if 0 in text else ""
        return f"{len(text)} bytes {text[:8]!r}{zeros}"

    return "{" + ", ".join(f"{name}: {shortened(text)}" for name, text in sorted(found.items())) + "}"


@dataclass(frozen=True)
class Step:
    """An operation, and what it does to the files when it is complete."""

    run: Callable[[AsyncPath], Awaitable[object]]
    change: Callable[[Files], object]


class Workload(ABC):
    """Operations one after the other. What each is given in `run` it has in a folder of its own, `work`."""

    name: str
    settling: float = 0
    """Seconds that it waits at the end, for the commits of the file system's own."""
    temporary = 1
    """How many temporary names an operation has at a time. Those of a complete one are gone with it."""

    @abstractmethod
    def steps(self) -> Iterator[Step]:
        """The operations."""

    def before(self) -> Files:
        """The files at the beginning."""
        return {"t": content(1000), "b/t": content(1001)}

    @abstractmethod
    def problem(self, folder: Path, marks: int) -> str | None:
        """What is wrong with the folder after a power cut, when so many operations had completed by then."""

    def prepare(self, root: Path) -> None:
        """Make the files, on a file system without anything."""
        folder = root / "work"
        for name in NAMES:
            (folder / name).mkdir(parents=True)
        for name, text in self.before().items():
            (folder / name).write_bytes(text)
        (root / "other").write_bytes(b"")

    async def run(self, root: Path, mark: Mark) -> None:
        """Do all of it."""
        # Others who synchronise commit what is not yet meant to be committed, and so does time. They use
        # O_SYNC, because a deliberate fault is to be nobody else's.
        other = os.open(root / "other", os.O_WRONLY | os.O_SYNC)
        try:
            for number, step in enumerate(self.steps()):
                await step.run(AsyncPath(root, "work"))
                mark()
                if number % 3 == 0:
                    os.write(other, b"x")
                elif number % 3 == 1:
                    await anyio.sleep(0.05)
            await anyio.sleep(self.settling)
        finally:
            os.close(other)

    def _history(self) -> list[Files]:
        """The files before the first operation, after it, after the second one, …"""
        history = [self.before()]
        for step in self.steps():
            after = dict(history[-1])
            step.change(after)
            history.append(after)
        return history


class _Loose(Workload):
    """Atomic, not durable: each file is one of those it has been, or the one it is about to become."""

    settling = 1.5

    def problem(self, folder: Path, marks: int) -> str | None:
        found = files(folder)
        history = self._history()[: marks + 2]
        for name in {name for state in [found, *history] for name in state}:
            if found.get(name) not in [state.get(name) for state in history]:
                return f"{name} has never been so: {show({name: found[name]} if name in found else {})}"
        return None


class _Exact(Workload):
    """Durable: the files are those after the operations that have completed, or after one more."""

    def problem(self, folder: Path, marks: int) -> str | None:
        found = files(folder)
        history = self._history()
        if found in history[marks : marks + 2]:
            return None
        wanted = {key: text for key, text in history[marks].items() if found.get(key) != text}
        return f"after {marks} operations there is {show(found)}; not as acknowledged: {show(wanted)}"


def _writes(name: Callable[[int], str], rounds: int, **options: bool) -> Iterator[Step]:
    for number in range(rounds):

        def run(folder: AsyncPath, number: int = number) -> Awaitable[object]:
            return (folder / name(number)).write_bytes(content(number), atomic=True, **options)

        def change(state: Files, number: int = number) -> None:
            state[name(number)] = content(number)

        yield Step(run, change)


class Replace(_Loose):
    """A file is overwritten."""

    name = "replace"

    def steps(self) -> Iterator[Step]:
        return _writes(lambda _: "t", 16)


class Create(_Loose):
    """New files, and some are asked for with overwrite=False."""

    name = "create"

    def steps(self) -> Iterator[Step]:
        yield from _writes(lambda number: f"n{number}", 8)
        yield from _writes(lambda number: f"a/n{number}", 8, overwrite=False)


class DurableReplace(_Exact):
    """A file is overwritten durably, again and again."""

    name = "durable-replace"

    def steps(self) -> Iterator[Step]:
        return _writes(lambda _: "t", 16, durable=True)


class DurableCreate(_Exact):
    """A chain of new files in two directories, the later ones with overwrite=False."""

    name = "durable-create"

    def steps(self) -> Iterator[Step]:
        yield from _writes(lambda number: f"{NAMES[number % 2]}/n{number}", 8, durable=True)
        yield from _writes(lambda number: f"m{number}", 8, durable=True, overwrite=False)


def _pieces(name: Callable[[int], str], rounds: int, durable: bool) -> Iterator[Step]:
    for number in range(rounds):

        async def run(folder: AsyncPath, number: int = number) -> None:
            text = content(number)
            async with (folder / name(number)).open_atomic("wb", durable=durable) as file:
                for at in range(0, len(text), 60_000):
                    await file.write(text[at : at + 60_000])

        def change(state: Files, number: int = number) -> None:
            state[name(number)] = content(number)

        yield Step(run, change)


class Pieces(_Loose):
    """Files written piece by piece, one that exists and new ones in turn."""

    name = "pieces"

    def steps(self) -> Iterator[Step]:
        return _pieces(lambda number: "t" if number % 2 else f"n{number}", 16, durable=False)


class DurablePieces(_Exact):
    """The same, durably."""

    name = "durable-pieces"

    def steps(self) -> Iterator[Step]:
        return _pieces(lambda number: "t" if number % 2 else f"n{number}", 16, durable=True)


def _moved(number: int) -> Step:
    """A file that was written without ado is renamed durably: to a new name, or over another one."""
    name = "t" if number % 2 else f"a/n{number}"

    async def run(folder: AsyncPath) -> None:
        source = folder / f"{_TEMPORARY}source"
        await source.write_bytes(content(number))
        await (source.rename if number % 4 < 2 else source.replace)(folder / name, durable=True)

    return Step(run, lambda state: state.update({name: content(number)}))


def _moved_on(number: int) -> Step:
    """From one directory to another one."""

    def change(state: Files) -> None:
        state[f"b/n{number}"] = state.pop(f"a/n{number}")

    return Step(
        lambda folder: (folder / f"a/n{number}").replace(folder / f"b/n{number}", durable=True), change
    )


def _exchanged(one: str, other: str) -> Step:
    def change(state: Files) -> None:
        state[one], state[other] = state[other], state[one]

    return Step(lambda folder: (folder / one).exchange(folder / other, durable=True), change)


def _synchronised(number: int) -> Step:
    """Written, synchronised, renamed, and the directory synchronised, each by a call of its own."""

    async def run(folder: AsyncPath) -> None:
        source = folder / f"{_TEMPORARY}source"
        await source.write_bytes(content(number))
        await source.sync()
        await source.rename(folder / "b/t")
        await (folder / "b").sync()
        await folder.sync()

    return Step(run, lambda state: state.update({"b/t": content(number)}))


class DurableNames(_Exact):
    """Renaming, replacing and exchanging durably, and `sync()`."""

    name = "durable-names"

    def steps(self) -> Iterator[Step]:
        for number in range(0, 12, 4):
            yield _moved(number)
            yield _moved(number + 1)
            yield _exchanged("t", "b/t")
            yield _moved(number + 2)
            yield _moved_on(number)
            yield _moved(number + 3)
            yield _exchanged("t", f"b/n{number}")
            yield _synchronised(number + 4)


class DurableAppends(Workload):
    """A file that exists, and a new one, to which is appended durably."""

    name = "durable-appends"

    def steps(self) -> Iterator[Step]:
        for number in range(16):
            name = NAMES[number % 2] + "/log"

            def run(folder: AsyncPath, number: int = number, name: str = name) -> Awaitable[object]:
                return (folder / name).append_bytes(content(number), durable=True)

            def change(state: Files, number: int = number, name: str = name) -> None:
                state[name] = state.get(name, b"") + content(number)

            yield Step(run, change)

    def before(self) -> Files:
        return {"a/log": content(1000)}

    def problem(self, folder: Path, marks: int) -> str | None:
        """What is being appended may be there in part, or be zeros; before it, everything is as it was."""
        found = files(folder)
        history = [*self._history(), self._history()[-1]]
        for name, text in found.items():
            certain, possible = history[marks].get(name, b""), history[marks + 1].get(name, b"")
            tail = text[len(certain) :]
            expected = possible[len(certain) : len(text)]
            if text[: len(certain)] != certain or any(
                byte not in (0, wanted) for byte, wanted in zip(tail, expected, strict=False)
            ):
                return f"after {marks} operations: {show({name: text})}; wanted {show({name: certain})}"
            if len(text) > len(possible):
                return f"after {marks} operations too long: {show({name: text})}"
        missing = history[marks].keys() - found.keys()
        return f"after {marks} operations missing: {missing}" if missing else None


class InPlace(Workload):
    """A file that is mounted on another one is overwritten: what is incomplete has a complete backup."""

    name = "in-place"
    # The file that could not be renamed, and the backup.
    temporary = 2

    def before(self) -> Files:
        return {"a/t": b"", "b/t": content(1000)}

    def steps(self) -> Iterator[Step]:
        for number in range(12):

            async def run(folder: AsyncPath, number: int = number) -> None:
                target, new = folder / "a/t", content(number)
                if number % 2:
                    async with target.open_atomic("wb", fallback="inplace") as file:
                        await file.write(new)
                else:
                    await target.write_bytes(new, atomic=True, fallback="inplace")

            yield Step(run, lambda state, number=number: state.update({"b/t": content(number)}))

    async def run(self, root: Path, mark: Mark) -> None:
        with mounts.mounted_on_file(root / "work/b/t", root / "work/a/t"):
            await super().run(root, mark)

    def problem(self, folder: Path, marks: int) -> str | None:
        """A backup has what there was before the write that goes on; without one the file is old or new."""
        history = self._history()
        found = files(folder)
        for backup in folder.rglob(f"{_TEMPORARY}*-t.backup"):
            found["b/t"] = backup.read_bytes()
            if found != history[marks]:
                return f"after {marks} operations, with the backup: {show(found)}"
        if found in history[marks : marks + 2]:
            return None
        return f"after {marks} operations: {show(found)}; wanted {show(history[marks])}"


def _transaction(
    number: int, durable: bool = True, extends: bool = True, renames: bool = True, swap: bool = False
) -> Step:
    """Several files in two directories: overwritten, created, extended, renamed, removed."""

    async def run(folder: AsyncPath) -> None:
        async with rapfiles.transaction(folder, durable=durable, swap=swap) as t:
            await t.write_bytes("t", content(number))
            await t.write_bytes(f"a/n{number}", content(number + 1))
            if extends:
                await t.append_bytes("log", content(number + 2))
            if renames and number > 0:
                await t.rename(f"a/n{number - 1}", f"b/m{number - 1}")
            if renames and number > 1:
                await t.remove(f"b/m{number - 2}")

    def change(state: Files) -> None:
        state["t"] = content(number)
        state[f"a/n{number}"] = content(number + 1)
        if extends:
            state["log"] = state.get("log", b"") + content(number + 2)
        if renames and number > 0:
            state[f"b/m{number - 1}"] = state.pop(f"a/n{number - 1}")
        if renames and number > 1:
            del state[f"b/m{number - 2}"]

    return Step(run, change)


def _recovered(folder: Path) -> str | None:
    """Recover what transactions have left; what is wrong with that."""
    asyncio.run(rapfiles.recover(AsyncPath(folder)))
    again = asyncio.run(rapfiles.recover(AsyncPath(folder)))
    if again != ([], [], [], []):
        return f"recovered again: {again}"
    left = [str(path) for path in (*folder.rglob(".rapfiles*"), *folder.parent.glob(".rapfiles*"))]
    return f"left after recovery: {left}" if left else None


def _swapped(folder: Path) -> str | None:
    """The same; that must not change anything that readers see."""
    before = {name: text for name, text in files(folder).items() if not name.startswith(".rapfiles/")}
    problem = _recovered(folder)
    if problem is None and (found := files(folder)) != before:
        problem = f"recovery has changed {show(before)} to {show(found)}"
    return problem


class Transactions(Workload):
    """Transactions that are not durable: all of one, or nothing of it."""

    name = "transactions"
    settling = 1.5
    extends = False
    renames = True

    def steps(self) -> Iterator[Step]:
        for number in range(8):
            yield _transaction(number, durable=False, extends=self.extends, renames=self.renames)

    def problem(self, folder: Path, marks: int) -> str | None:
        if (problem := _recovered(folder)) is not None:
            return problem
        found = files(folder)
        return None if found in self._history()[: marks + 2] else f"has never been so: {show(found)}"


class WritingTransactions(Transactions):
    """The same, but they only write files."""

    name = "writing-transactions"
    renames = False


class ExtendingTransactions(Transactions):
    """The same; each of them extends a file, too."""

    name = "extending-transactions"
    extends = True


class DurableTransactions(_Exact):
    """Durable ones: and what was acknowledged is there."""

    name = "durable-transactions"

    def steps(self) -> Iterator[Step]:
        return (_transaction(number) for number in range(8))

    def problem(self, folder: Path, marks: int) -> str | None:
        return _recovered(folder) or super().problem(folder, marks)


class LargeTransactions(DurableTransactions):
    """Of so many files that several workers synchronise them at once."""

    name = "large-transactions"
    count = 30

    def steps(self) -> Iterator[Step]:
        for number in range(5):
            # Every other one replaces a file.
            names = [f"a/{index}" if index % 2 else f"b/{number}-{index}" for index in range(self.count)]
            new = {name: content(number + index) for index, name in enumerate(names)}

            async def run(folder: AsyncPath, new: Files = new) -> None:
                async with rapfiles.transaction(folder) as t:
                    for name, text in new.items():
                        await t.write_bytes(name, text)

            def change(state: Files, new: Files = new) -> None:
                state.update(new)

            yield Step(run, change)


class Swaps(Workload):
    """Transactions that exchange the directory: all of one or nothing of it, also before recovery."""

    name = "swap"
    settling = 1.5

    def steps(self) -> Iterator[Step]:
        return (_transaction(number, durable=False, swap=True) for number in range(8))

    def problem(self, folder: Path, marks: int) -> str | None:
        if (problem := _swapped(folder)) is not None:
            return problem
        found = files(folder)
        return None if found in self._history()[: marks + 2] else f"has never been so: {show(found)}"


class DurableSwaps(_Exact):
    """Durable ones: and what was acknowledged is there."""

    name = "durable-swap"

    def steps(self) -> Iterator[Step]:
        return (_transaction(number, swap=True) for number in range(8))

    def problem(self, folder: Path, marks: int) -> str | None:
        return _swapped(folder) or super().problem(folder, marks)


class Recovery(Workload):
    """The recovery of a transaction that was killed after it was committed."""

    name = "recovery"

    def steps(self) -> Iterator[Step]:
        yield Step(rapfiles.recover, lambda _: None)

    def prepare(self, root: Path) -> None:
        folder = root / "work"
        number = 1
        while not list(folder.glob(".rapfiles/*/commit")):
            shutil.rmtree(folder, ignore_errors=True)
            super().prepare(root)
            # There are more calls than that while it is committed and not over.
            number += 6
            point = kill_points.until(_KILLED, folder, number)
            assert point.call is not None, "it is never committed"

    def problem(self, folder: Path, marks: int) -> str | None:
        if (problem := _recovered(folder)) is not None:
            return problem
        wanted = self.before()
        _transaction(0).change(wanted)
        found = files(folder)
        return None if found == wanted else f"recovered: {show(found)}; wanted {show(wanted)}"


_KILLED = """
from rapfiles import AsyncPath
from support.power.workloads import _transaction

async def main(folder):
    await _transaction(0).run(AsyncPath(folder))
"""


WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        Replace(),
        Create(),
        Pieces(),
        DurableReplace(),
        DurableCreate(),
        DurablePieces(),
        DurableNames(),
        DurableAppends(),
        InPlace(),
        Transactions(),
        WritingTransactions(),
        ExtendingTransactions(),
        DurableTransactions(),
        LargeTransactions(),
        Swaps(),
        DurableSwaps(),
        Recovery(),
    )
}
