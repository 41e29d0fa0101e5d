"""Plays a program with the library, and has each round explained."""

import os
import shutil
import warnings
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio

import rapfiles
from rapfiles import AsyncPath
from support.engine import idle
from support.handles import of_await
from support.loops import settle_garbage

from . import limited, rules, simultaneous
from .content import content_of, written
from .figures import Figures
from .folder import Entries, TwinFolder, by_rapfiles, entries_of
from .judge import explanations
from .program import Cancel, File, Op, Program, Round, Task
from .record import Record, shown
from .simultaneous import Job
from .twin import State, Twin

# With more states that a file may be in, it is looked at.
MOST_STATES = 4


class DifferenceError(AssertionError):
    """Nothing that io or pathlib does explains what happened."""


class Opened:
    """A file of the program, its handle, and the states that it may be in."""

    def __init__(self, of: File, folder: Path, name: str) -> None:
        self.of = of
        self.path = folder / "ours" / name
        self.twin = Twin(of, folder / "twins" / name)
        self.states: list[State] = []
        self.handle: Any = None
        self.iterator: Any = None
        self.group: str | None = None
        # The places that ours was told, as long as there they are places in the file as it is.
        self.told: list[int] = []
        # To look at what is in it, whatever its name.
        self.descriptor = -1

    def content(self) -> bytes:
        with open(self.descriptor, "rb", closefd=False) as file:
            file.seek(0)
            return file.read()

    @property
    def may_be_closed(self) -> bool:
        return any(state.closed for state in self.states)


class Directory:
    """A folder of the program, and the state that it is in."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / "ours" / name
        self.path.mkdir()
        self.twin = TwinFolder(folder / "twins" / name)
        self.states = [Entries()]


class Player:
    """Plays one program."""

    def __init__(self, program: Program, folder: Path, library: str, figures: Figures) -> None:
        self.program = program
        self.library = library
        self.figures = figures
        self.folder = folder
        self.files: dict[str, Opened] = {}
        self.folders: dict[str, Directory] = {}
        self.records: list[Record] = []
        # All of them, of files that have a limit.
        self.history: list[Record] = []

    async def play(self) -> None:
        """All of it. Raises `DifferenceError`, or what else is wrong."""
        for name in ("ours", "twins"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()
        self.figures.programs += 1
        with ExitStack() as stack:
            stack.callback(self._clear)
            if self.program.limit is not None:
                stack.enter_context(limited.size_of_files(self.program.limit))
            for at in range(self.program.folders):
                self.folders[f"folder {at}"] = Directory(self.folder, f"folder-{at}")
            for at, file in enumerate(self.program.files):
                opened = self.files[f"file {at}"] = Opened(file, self.folder, f"file-{at}")
                stack.callback(opened.twin.close)
                await self._open(opened)
                stack.callback(os.close, opened.descriptor)
            for each in self.program.rounds:
                await self._round(each)
            for target in self.files:
                await self._end(target)

    def _clear(self) -> None:
        for name in ("ours", "twins"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    # Opening.

    async def _open(self, file: Opened) -> None:
        content = content_of(file.of)
        if content is not None:
            file.path.write_bytes(content)
        for plan in file.of.opening:

            async def attempt(job: Job) -> None:
                job.begins(0)
                self.figures.operations += 1
                # To be awaited in any case: an opening is a coroutine that warns otherwise.
                try:
                    file.handle = await rapfiles.open(file.path, **dict(file.of.keywords))
                except anyio.get_cancelled_exc_class():
                    self.figures.cancelled += 1
                    raise

            await simultaneous.run(self.library, [Job(attempt, 1, plan)])
            if file.handle is not None:
                await file.handle.close()
                file.handle = None
            await idle()
            left = file.path.read_bytes() if file.path.exists() else None
            emptied = b"" if "w" in file.of.mode or content is None else content
            if left not in ((content, emptied) if file.of.writable else (content,)):
                raise DifferenceError(f"a cancelled opening left {shown(left)} of {shown(content)}")
            content = left
        file.handle = await rapfiles.open(file.path, **dict(file.of.keywords))
        file.descriptor = os.open(file.path, os.O_RDWR)
        file.states = [file.twin.open(content)]

    # Rounds.

    async def _round(self, each: Round) -> None:
        targets = {op.target for task in each.tasks for op in task.operations}
        for target in targets & self.files.keys():
            await self._prepare(target, each)
        self.records = []
        jobs = [
            Job(lambda job, task=task: self._task(job, task), len(task.operations), task.cancel)  # type: ignore[misc]
            for task in each.tasks
        ]
        await self._run(jobs)
        beside = [record for record in self.records if record.outcome is None and not record.in_turn]
        if beside:
            # "or be done a little later"
            await idle()
        self._explain()
        for target in self.files:
            file = self.files[target]
            if file.may_be_closed and not all(state.closed for state in file.states):
                # It is closed, or to be closed still.
                await self._calmly(target, Op(target, "close"))
            if self.program.limit is None and (each.probe or len(file.states) > MOST_STATES):
                await self._look(target)

    async def _run(self, jobs: list[Job]) -> None:
        await simultaneous.run(self.library, jobs)

    async def _prepare(self, target: str, each: Round) -> None:
        file = self.files[target]
        for task in each.tasks:
            for op in task.operations:
                now = rules.group(file.of, op.name)
                if op.target != target or now in ("any", file.group) or self.program.limit is not None:
                    continue
                if not file.may_be_closed:
                    for needed in rules.between(file.of, file.group, now):
                        await self._calmly(target, Op(target, needed.name, needed.arguments))
                if now != "path":
                    file.group = now
                if now in ("writing", "cutting", "free", "overwriting"):
                    file.told.clear()

    async def _calmly(self, target: str, *operations: Op) -> None:
        """One after the other, not cancelled."""
        task = Task(operations)
        self.records = []
        await self._run([Job(lambda job: self._task(job, task), len(operations), None)])
        self._explain()

    def _explain(self) -> None:
        """Go on with the states that explain what has happened."""
        records, self.records = self.records, []
        self.figures.operations += len(records)
        self.figures.cancelled += sum(record.outcome is None for record in records)
        if self.program.limit is not None:
            self.history += records
            return
        for target in {record.op.target: None for record in records}:
            own = [record for record in records if record.op.target == target]
            place = self.files[target] if target in self.files else self.folders[target]
            before = place.states
            place.states = explanations(before, own, place.twin.steps)  # type: ignore[arg-type, assignment]
            if isinstance(place, Opened) and any(record.op.name in rules.OF_CONTENT for record in own):
                place.told.clear()
            if isinstance(place, Directory):
                now = entries_of(place.path)
                place.states = [state for state in place.states if state.key() == now.key()]
                found = f"there is: {now}"
            else:
                found = f"{place.of}"
            if not place.states:
                raise DifferenceError(_told(own, before, place.twin.expected, found))

    async def _look(self, target: str) -> None:
        """See what is in the file and where the handle is."""
        file = self.files[target]
        if not file.may_be_closed:
            await self._calmly(target, Op(target, "flush"), Op(target, "tell"))
        self._compare(file)

    def _compare(self, file: Opened) -> None:
        content = file.content()
        before = file.states
        file.states = [state for state in before if state.content == content]
        if not file.states:
            states = "".join(f"\n  {_compared(state.content, content)}" for state in before)
            raise DifferenceError(f"{file.of}\nin the file there is {shown(content)}, not:{states}")

    # Operations.

    async def _task(self, job: Job, task: Task) -> None:
        for number, op in enumerate(task.operations):
            job.begins(number)
            await self._operation(op)

    async def _operation(self, op: Op) -> None:
        self.figures.names[op.name] += 1
        if op.target in self.folders:
            root = self.folders[op.target].path
            return await self._recorded(op, lambda: by_rapfiles(root, op))
        file = self.files[op.target]
        handle, arguments = file.handle, op.arguments
        if handle is None:
            return None
        match op.name:
            case "readinto" | "readinto1":
                into = bytearray(b"." * arguments[0])

                async def fill() -> Any:
                    count = await getattr(handle, op.name)(into)
                    return (count, bytes(into))

                await self._recorded(op, lambda: of_await(fill))
            case "write" | "pwrite":
                data: Any = written(arguments[0], file.of)
                await self._recorded(
                    op, lambda: of_await(lambda: getattr(handle, op.name)(data, *arguments[1:]))
                )
                if isinstance(data, bytearray):
                    # It has been accepted, so this is nobody's business.
                    data[:] = bytes(len(data))
            case "writelines":
                lines = [written(each, file.of) for each in arguments[0]]
                await self._recorded(op, lambda: of_await(lambda: handle.writelines(lines)))
            case "next":
                await self._recorded(op, lambda: of_await(lambda: anext(handle)))
            case "chunk":
                await self._recorded(op, lambda: of_await(lambda: anext(handle.chunks(*arguments))))
            case "batch":
                await self._recorded(op, lambda: of_await(lambda: anext(handle.lines(*arguments))))
            case "seek_told":
                if file.told:
                    place = file.told[arguments[0] % len(file.told)]
                    real = Op(op.target, op.name, (arguments[0], place))
                    await self._recorded(real, lambda: of_await(lambda: handle.seek(place)))
            case "tell":
                record = await self._recorded(op, lambda: of_await(handle.tell))
                if record.outcome is not None and record.outcome[0] == "returns":
                    file.told.append(record.outcome[1])
            case "size":

                async def size() -> int:
                    return (await handle.stat()).st_size  # type: ignore[no-any-return]

                await self._recorded(op, lambda: of_await(size))
            case "path.size":

                async def size_of_path() -> int:
                    return (await AsyncPath(file.path).stat()).st_size

                await self._recorded(op, lambda: of_await(size_of_path))
            case "path.read_bytes":
                await self._recorded(op, lambda: of_await(AsyncPath(file.path).read_bytes))
            case "path.unlink":
                await self._recorded(op, lambda: of_await(AsyncPath(file.path).unlink))
            case _:
                await self._recorded(op, lambda: of_await(lambda: getattr(handle, op.name)(*arguments)))
        return None

    async def _recorded(self, op: Op, begin: Callable[[], Awaitable[Any]]) -> Record:
        record = Record(op)
        self.records.append(record)
        record.finish(await begin())
        return record

    # Ending.

    async def _end(self, target: str) -> None:
        file = self.files[target]
        closed = file.may_be_closed
        close = Op(target, "close")
        if closed:
            pass
        elif isinstance(file.of.ending, Cancel):
            await self._round(Round((Task((close,), file.of.ending),)))
        elif file.of.ending == "twice":
            await self._round(Round((Task((close,)), Task((close,)))))
        if file.of.ending != "drop" or closed:
            await self._calmly(target, close)
            if not file.handle.closed:
                raise DifferenceError("a file that has been closed is not")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            file.handle = None
            settle_garbage()
            await idle()
        said = [str(warning.message) for warning in caught]
        forgotten = file.of.ending == "drop" and not closed
        if len(said) != forgotten or not all("unclosed file" in each for each in said):
            raise DifferenceError(f"warnings when it was dropped: {said}")
        if self.program.limit is not None:
            if complaint := limited.complaint(file.of, self.history, file.content(), self.program.limit):
                raise DifferenceError("\n".join([complaint, *map(str, self.history)]))
        else:
            self._compare(file)


def _told(records: list[Record], states: list[Any], expected: object, found: str) -> str:
    lines = ["nothing explains", *(f"  {record}" for record in sorted(records, key=lambda each: each.begin))]
    lines += [
        "from",
        *(f"  {state}" for state in states),
        f"the last that was expected: {shown(expected)}",
        found,
    ]
    return "\n".join(lines)


def _compared(expected: bytes, actual: bytes) -> str:
    at = next((at for at, (a, b) in enumerate(zip(expected, actual, strict=False)) if a != b), -1)
    return f"{shown(expected)}; they differ at {at}: {expected[at : at + 20]!r}, {actual[at : at + 20]!r}"
