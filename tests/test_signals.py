"""Signals are left to the program's own threads."""

import errno
import signal
from pathlib import Path

from support import process
from support.fifo import Fifo
from support.loops import Loop

# Says which signals the threads have blocked that the program did not start (Python's have its name).
_PROGRAM = """
import sys
from pathlib import Path
import anyio
from rapfiles import AsyncPath
from support.engine import under_way
from support.loops import LOOPS

loop = {loop.name: loop for loop in LOOPS}[sys.argv[1]]

def masks():
    for thread in Path("/proc/self/task").iterdir():
        try:
            text = (thread / "status").read_text()
        except OSError:  # it has ended
            continue
        lines = dict(line.split(":\\t", 1) for line in text.splitlines())
        yield lines["Name"], int(lines["SigBlk"], 16)

async def main():
    async with loop.tasks() as group:
        for number in range(20):
            group.start_soon(AsyncPath(sys.argv[2]).read_bytes)
        await under_way(20)
        print("ready", flush=True)
        # A thread gives itself its name.
        while not (found := [mask for name, mask in masks() if name == "rapfiles"]):
            await anyio.sleep(0.001)
        print(*found)
        group.cancel_scope.cancel()

loop.run(main)
"""


def test_workers_block_signals(loop: Loop, tmp_path: Path) -> None:
    """A worker that took a signal would not wake the main thread, which alone may run Python's handler."""
    with Fifo(tmp_path / "fifo") as fifo:
        ended = process.run(_PROGRAM, loop.name, str(fifo.path))
    assert ended.code == 0, ended
    masks = [int(line) for line in ended.output.split()]
    assert masks, "workers are known by their name"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM, signal.SIGUSR1):
        assert all(mask >> (number - 1) & 1 for mask in masks), (number, masks)


# Writes what fails with a signal, each time in a child in which the signal has another action.
_WRITERS = """
import asyncio, os, resource, signal, sys
import rapfiles
from rapfiles import AsyncPath

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

async def to_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    async with rapfiles.open(writing, "wb", buffering=0) as file:
        await file.write(b"lost")

async def over_limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    await AsyncPath(sys.argv[1]).write_bytes(b"too long")

def write(number, action, main):
    if action is not None:
        signal.signal(number, action)
    try:
        asyncio.run(main())
    except OSError as error:
        print(error.errno, flush=True)

print("ready", flush=True)
for number, main in (signal.SIGPIPE, to_pipe), (signal.SIGXFSZ, over_limit):
    for action in None, signal.SIG_DFL, lambda *_: print("handled", flush=True):
        child = os.fork()
        if child == 0:
            write(number, action, main)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_signals_of_a_write_reach_the_program(tmp_path: Path) -> None:
    """Python ignores them, and the error is raised; with the default action, the program ends."""
    ended = process.run(_WRITERS, str(tmp_path / "file"))
    expected: list[object] = []
    for number, error in (signal.SIGPIPE, errno.EPIPE), (signal.SIGXFSZ, errno.EFBIG):
        expected += [error, 0, -number, "handled", error, 0]
    assert ended.output.split() == [str(each) for each in expected], ended
    assert not ended.errors


# A new thread runs the opener, which sends a signal while the main thread still waits for its beginning.
_INTERRUPTED = """
import os, signal, sys, threading
import rapfiles
from support.loops import LOOPS

class Interrupted(Exception):
    pass

def interrupt(*_):
    raise Interrupted

loop = {loop.name: loop for loop in LOOPS}[sys.argv[1]]
signals = [signal.SIGUSR1, signal.SIGINT] if loop.library == "trio" else [signal.SIGUSR1]
signal.signal(signal.SIGUSR1, interrupt)
# Who starts the tests in the background starts them deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.setswitchinterval(60)
over = threading.Event()

async def main():
    for number in signals * 2:
        def opener(path, flags):
            os.kill(os.getpid(), number)
            over.wait()
            return os.open(path, flags)

        try:
            await rapfiles.open(os.devnull, "rb", opener=opener)
        except (Interrupted, KeyboardInterrupt) as error:
            print(type(error).__name__)

print("ready", flush=True)
loop.run(main)
over.set()
"""


def test_an_exception_of_a_signal_handler_is_raised_while_a_thread_begins(loop: Loop) -> None:
    """Where the call has been begun, the exception was lost, and with it Ctrl-C on trio."""
    ended = process.run(_INTERRUPTED, loop.name)
    expected = ["Interrupted", "KeyboardInterrupt"] if loop.library == "trio" else ["Interrupted"]
    assert (ended.code, ended.output.split(), ended.errors) == (0, expected * 2, "")
