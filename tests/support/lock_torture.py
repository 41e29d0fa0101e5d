"""Tasks of several threads and processes that increment a counter under a lock; they are cancelled, forked
and killed."""

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

import anyio

from rapfiles import AsyncPath, LockTimeout
from support import process
from support.loops import LOOPS, Loop

TASKS = 4
# Whoever waits for so long waits for somebody who will never leave.
PATIENCE = 30.0

_PROGRAM = """
import sys
from support.lock_torture import main
main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
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

    def __init__(self, folder: str, seed: int, until: float, forks: bool) -> None:
        self.path = AsyncPath(folder) / "lock"
        self.counter, self.owner = _Number(f"{folder}/counter"), _Number(f"{folder}/owner")
        self.done = _Number(f"{folder}/done-{seed}")
        self.seed, self.until, self.forks = seed, until, forks
        self.random = random.Random(seed)

    async def run(self) -> None:
        while time.monotonic() < self.until:
            chance = self.random.random
            limit = self.random.choice([0.0002, 0.001, 0.005, 0.05, PATIENCE])
            timeout = self.random.choice([None, 0.0, 0.001, 0.02, PATIENCE])
            blocking = timeout is not None or chance() < 0.9
            shared = chance() < 0.2
            try:
                with anyio.move_on_after(limit) as scope:
                    async with self.path.lock(shared=shared, timeout=timeout, blocking=blocking):
                        await (self.read() if shared else self.increment())
                if limit == PATIENCE and scope.cancelled_caught:
                    raise AssertionError("nobody lets the lock go")
            except LockTimeout:
                if timeout == PATIENCE:
                    raise AssertionError("nobody lets the lock go") from None
            if self.forks and chance() < 0.02:
                self.fork()
            await anyio.lowlevel.checkpoint()

    async def read(self) -> None:
        before = self.counter.get()
        await self.pause()
        assert self.counter.get() == before, "somebody wrote while others read"

    async def increment(self) -> None:
        before = self.counter.get()
        self.owner.set(self.seed)
        await self.pause()
        assert (self.owner.get(), self.counter.get()) == (self.seed, before), "two have the lock"
        self.counter.set(before + 1)
        self.done.set(self.done.get() + 1)
        if self.random.random() < 0.03:
            # The last thing that is done under this lock: in the background it could be done under the next.
            os.unlink(self.path)

    async def pause(self) -> None:
        if self.random.random() < 0.5:
            await anyio.sleep(self.random.random() * 0.001)
        else:
            await anyio.lowlevel.checkpoint()

    def fork(self) -> None:
        if os.fork() == 0:
            time.sleep(self.random.random() * 0.05)
            os._exit(0)


def main(folder: str, seed: int, seconds: float) -> None:
    """Run tasks on two loops in two threads."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    until = time.monotonic() + seconds
    failures: list[BaseException] = []

    def run(loop: Loop, first: int) -> None:
        async def tasks() -> None:
            async with anyio.create_task_group() as group:
                for number in range(TASKS):
                    task = _Task(folder, seed * 100 + first + number, until, forks=first == 0 and number == 0)
                    group.start_soon(task.run)

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
    """What became of it: the counter, what the tasks know of, and how many processes were killed."""

    counter: int
    done: int
    killed: int
    failures: list[str]


def torture(folder: Path, seconds: float, seed: int, processes: int = 3) -> Result:
    """Let several processes go on for so long, and kill one now and then."""
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
            arguments = [str(folder), str(seed * 1000 + number), str(min(left, 20.0))]
            running.append(subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE))
        time.sleep(min(chance.uniform(0.3, 1.5), max(until - time.monotonic(), 0)))
        child = chance.choice(running)
        if child.poll() is None and time.monotonic() < until:
            child.kill()
            killed += 1
        for child in [child for child in running if child.poll() is not None]:
            running.remove(child)
            end(child)
    for child in running:
        end(child)
    done = sum(_number(path) for path in folder.glob("done-*"))
    return Result(_number(folder / "counter"), done, killed, failures)
