"""Tasks of several threads and processes that increment counters under locks; they are cancelled, forked and
killed, and the files that they lock are removed and replaced.

One counter is under the lock of a whole file, which is asked for by its path or through an open file, or is a
shared lock that is upgraded. The others, `cells`, are each under a byte of another file.
"""

import contextlib
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

# Before there are threads: two of them that import it at the same time get in each other's way.
import trio  # noqa: F401

import rapfiles
from rapfiles import AsyncPath, FileLock, LockTimeout
from support import process
from support.loops import LOOPS, Loop

TASKS = 4
CELLS = 4
# Whoever waits for so long waits for somebody who will never leave.
PATIENCE = 30.0

_PROGRAM = """
import sys
from support.lock_torture import main
main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
"""


def _number(path: Path) -> int:
    """The number in a file, if somebody has made it."""
    content = path.read_bytes() if path.exists() else b""
    return int(struct.unpack("q", content)[0]) if content else 0


class _Number:
    """A number in a file, which is changed without any care."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def get(self) -> int:
        content = os.pread(self._descriptor, 8, 0)
        return int(struct.unpack("q", content)[0]) if content else 0

    def set(self, number: int) -> None:
        os.pwrite(self._descriptor, struct.pack("q", number), 0)


class _Task:
    """One of those who increment the counter."""

    def __init__(self, folder: str, seed: int, until: float, rest: float, forks: bool) -> None:
        self.path, self.table = AsyncPath(folder) / "lock", AsyncPath(folder) / "table"
        self.counter, self.owner = _Number(f"{folder}/counter"), _Number(f"{folder}/owner")
        self.cells = [_Number(f"{folder}/cell-{number}") for number in range(CELLS)]
        self.done, self.cells_done = _Number(f"{folder}/done-{seed}"), _Number(f"{folder}/cells-done-{seed}")
        self.seed, self.until, self.rest, self.forks = seed, until, rest, forks
        self.random = random.Random(seed)

    async def run(self) -> None:
        while time.monotonic() < self.until:
            chance = self.random.random
            limit = self.random.choice([0.0002, 0.001, 0.005, 0.05, PATIENCE])
            timeout = self.random.choice([None, 0.0, 0.001, 0.02, PATIENCE])
            if timeout is None and chance() < 0.1:
                options: dict[str, Any] = {"blocking": False}
            else:
                options = {"timeout": timeout}
            work = self.random.choices(
                [self.increment_alone, self.read, self.increment_cells, self.through_file], [10, 4, 3, 3]
            )[0]
            # Who asks through an open file may have to wait for long, where others do not.
            patient = work != self.through_file
            try:
                with anyio.move_on_after(limit if patient else min(limit, 1)) as scope:
                    await work(options)
                if limit == PATIENCE and scope.cancelled_caught and patient:
                    raise AssertionError("nobody lets the lock go")
            except LockTimeout:
                if timeout == PATIENCE and patient:
                    raise AssertionError("nobody lets the lock go") from None
            if self.forks and chance() < 0.02:
                self.fork()
            await anyio.sleep(self.rest * chance() * 2)

    async def increment_alone(self, options: dict[str, Any]) -> None:
        async with self.path.lock(**options):
            await self.increment()

    async def through_file(self, options: dict[str, Any]) -> None:
        async with rapfiles.open(self.path, "ab") as file, file.lock(**options):
            # Nobody else looks whether it is still the one with this name.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), os.stat(self.path)):
                    await self.increment()

    async def read(self, options: dict[str, Any]) -> None:
        async with self.path.lock(shared=True, **options) as lock:
            before = self.counter.get()
            await self.pause()
            assert self.counter.get() == before, "somebody wrote while others read"
            if self.random.random() < 0.3:
                await self.upgraded(lock)

    async def upgraded(self, lock: FileLock) -> None:
        # Others may have had it in between.
        await lock.upgrade()
        downgrades = self.random.random() < 0.3
        await self.increment(replaces=not downgrades)
        if downgrades:
            before = self.counter.get()
            await lock.downgrade()
            await self.pause()
            assert self.counter.get() == before, "somebody wrote while others read"

    async def increment_cells(self, options: dict[str, Any]) -> None:
        first = self.random.randrange(CELLS)
        some = (first, self.random.randint(1, CELLS - first))
        everything = self.random.random() < 0.2
        async with self.table.lock(range=(0, 0) if everything else some, **options):
            cells = self.cells if everything else self.cells[first : first + some[1]]
            before = [cell.get() for cell in cells]
            await self.pause()
            assert [cell.get() for cell in cells] == before, "two have a range"
            for cell, number in zip(cells, before, strict=True):
                cell.set(number + 1)
            self.cells_done.set(self.cells_done.get() + len(cells))
            if everything and self.random.random() < 0.2:
                self.replace(self.table)

    async def increment(self, replaces: bool = True) -> None:
        before = self.counter.get()
        self.owner.set(self.seed)
        await self.pause()
        assert (self.owner.get(), self.counter.get()) == (self.seed, before), "two have the lock"
        self.counter.set(before + 1)
        self.done.set(self.done.get() + 1)
        if replaces and self.random.random() < 0.06:
            self.replace(self.path)

    def replace(self, path: AsyncPath) -> None:
        """Remove a lock file, or give its name to another one.

        It is the last thing that is done under its lock: in the background it could be done under the next.
        """
        if self.random.random() < 0.5:
            os.unlink(path)
            return
        new = f"{path}.new-{self.seed}"
        os.close(os.open(new, os.O_CREAT | os.O_WRONLY, 0o600))
        os.rename(new, path)

    async def pause(self) -> None:
        if self.random.random() < 0.5:
            await anyio.sleep(self.random.random() * 0.001)
        else:
            await anyio.lowlevel.checkpoint()

    def fork(self) -> None:
        if os.fork() == 0:
            time.sleep(self.random.random() * 0.05)
            os._exit(0)


def main(folder: str, seed: int, seconds: float, rest: float) -> None:
    """Run tasks on two loops in two threads."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    until = time.monotonic() + seconds
    failures: list[BaseException] = []

    def run(loop: Loop, first: int) -> None:
        async def tasks() -> None:
            async with anyio.create_task_group() as group:
                for number in range(TASKS):
                    forks = first == 0 and number == 0
                    group.start_soon(_Task(folder, seed * 100 + first + number, until, rest, forks).run)

        try:
            loop.run(tasks)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [
        threading.Thread(target=run, args=(loop, number * TASKS)) for number, loop in enumerate(LOOPS[:2])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.exit(1 if failures else 0)


@dataclass(frozen=True)
class Result:
    """What became of it: the counters, what the tasks know of, and how many processes were killed."""

    counter: int
    done: int
    cells: int
    cells_done: int
    killed: int
    failures: list[str]


def torture(folder: Path, seconds: float, seed: int, rest: float, processes: int = 3) -> Result:
    """Let several processes go on for so long, and kill one now and then.

    `rest`: for how many seconds a task rests between two locks, on average. If it rests, processes are killed
    more rarely: to start another one takes most of the processors' time then.
    """
    chance = random.Random(seed)
    until = time.monotonic() + seconds
    running: list[subprocess.Popen[bytes]] = []
    failures: list[str] = []
    killed = number = 0

    def end(child: "subprocess.Popen[bytes]") -> None:
        try:
            errors = child.communicate(timeout=PATIENCE * 2)[1]
        except subprocess.TimeoutExpired:
            child.kill()
            failures.append("a process does not end: " + child.communicate()[1].decode())
        else:
            if child.returncode not in (0, -signal.SIGKILL):
                failures.append(errors.decode())

    while time.monotonic() < until and not failures:
        while len(running) < processes:
            number += 1
            left = max(until - time.monotonic(), 0.1)
            command = [sys.executable, "-c", process.PREAMBLE + "import warnings\n" + _PROGRAM]
            arguments = [str(folder), str(seed * 1000 + number), str(min(left, 20.0)), str(rest)]
            running.append(subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE))
        pause = chance.uniform(0.3, 1.5) * (3 if rest else 1)
        time.sleep(min(pause, max(until - time.monotonic(), 0)))
        child = chance.choice(running)
        if child.poll() is None and time.monotonic() < until:
            child.kill()
            killed += 1
        for child in [child for child in running if child.poll() is not None]:
            running.remove(child)
            end(child)
    for child in running:
        end(child)

    def total(pattern: str) -> int:
        return sum(_number(path) for path in folder.glob(pattern))

    cells, cells_done = total("cell-*"), total("cells-done-*")
    return Result(_number(folder / "counter"), total("done-*"), cells, cells_done, killed, failures)
