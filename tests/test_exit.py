"""A process that ends in the middle of its work ends at once, with the right code, in silence."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support import effort, process
from support.fifo import Fifo
from support.loops import LOOPS

# Each way to end is tried this often; the loops take turns.
ROUNDS = effort.times(8, everything=50, variable="RAPFILES_EXIT_ROUNDS")

# Half of the operations are stuck for good, the others are under way or done when the process ends.
_PROGRAM = """
import signal, sys
import anyio
from rapfiles import AsyncPath
from support.engine import under_way
from support.loops import LOOPS

way, name, fifo, folder = sys.argv[1:]
loop = {loop.name: loop for loop in LOOPS}[name]
signal.signal(signal.SIGINT, signal.default_int_handler)

async def work(number):
    path = AsyncPath(folder, str(number))
    if number % 2:
        await AsyncPath(fifo).read_bytes()
    while True:
        await path.write_bytes(b"content")
        await path.read_bytes()
        await path.unlink()

async def main():
    async with loop.tasks() as group:
        for number in range(100):
            group.start_soon(work, number)
        await under_way(50)
        print("ready", flush=True)
        if way == "return":
            group.cancel_scope.cancel()
        elif way == "exit":
            sys.exit(7)
        elif way == "exception":
            raise ZeroDivisionError("on purpose")
        elif way == "interrupt":
            await anyio.sleep_forever()

def plain_main():
    # What the loop's own Ctrl-C handling makes of it, seen from outside.
    try:
        loop.run(main)
    except KeyboardInterrupt:
        sys.exit(130)
    except BaseExceptionGroup as group:
        # A task group wraps what ends it; asyncio.run() and trio.run() pass it on.
        found = group.exceptions[0]
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        if isinstance(found, KeyboardInterrupt):
            sys.exit(130)
        found.__context__ = found.__cause__ = None
        raise found from None

plain_main()
"""

CODES = {"return": 0, "exit": 7, "exception": 1, "interrupt": 130}


@pytest.mark.parametrize("way", CODES)
def test_exit_in_the_middle_of_work(way: str, tmp_path: Path) -> None:
    def once(number: int) -> process.Ended:
        loop = LOOPS[number % len(LOOPS)]
        folder = tmp_path / str(number)
        folder.mkdir()
        ended = process.run(
            _PROGRAM, way, loop.name, str(fifo.path), str(folder), interrupt=way == "interrupt"
        )
        assert ended.code == CODES[way], (loop.name, ended)
        assert ended.seconds < process.AT_ONCE, (loop.name, ended)
        if way == "exception":
            assert ended.errors.startswith("Traceback (most recent call last):\n"), (loop.name, ended)
            assert ended.errors.endswith("ZeroDivisionError: on purpose\n"), (loop.name, ended)
            assert ended.errors.count("Traceback") == 1, (loop.name, ended)
        else:
            assert ended.errors == "", (loop.name, ended)
        return ended

    with Fifo(tmp_path / "fifo") as fifo, ThreadPoolExecutor(2) as pool:
        assert len(list(pool.map(once, range(ROUNDS)))) == ROUNDS


_PLAIN = """
import asyncio, signal, sys
from rapfiles import AsyncPath
from support.engine import under_way

signal.signal(signal.SIGINT, signal.default_int_handler)

async def main():
    # A handler gives the loop a wakeup descriptor. Without one, asyncio misses a signal that arrives just
    # before `epoll_wait`, until something else wakes the loop: 1 of 4,000 on a busy machine, asyncio alone.
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, int)
    tasks = [asyncio.ensure_future(AsyncPath(sys.argv[1]).read_bytes()) for _ in range(100)]
    await under_way(50)
    print("ready", flush=True)
    {ending}

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("ending", "code", "last"),
    [
        ("return", 0, ""),
        ("sys.exit(7)", 7, ""),
        ("raise ZeroDivisionError", 1, "ZeroDivisionError"),
        ("await asyncio.sleep(60)", -signal.SIGINT, "KeyboardInterrupt"),
        ("import os; os._exit(3)", 3, ""),
        ("import os; os.kill(os.getpid(), 15); await asyncio.sleep(60)", -signal.SIGTERM, ""),
    ],
)
def test_exit_of_a_program_that_takes_no_care(ending: str, code: int, last: str, tmp_path: Path) -> None:
    """The same with nothing but asyncio.run(): what is on stderr is the interpreter's own traceback."""
    with Fifo(tmp_path / "fifo") as fifo:
        program = _PLAIN.format(ending=ending)
        ended = process.run(program, str(fifo.path), interrupt=last == "KeyboardInterrupt")
    assert ended.code == code
    assert ended.seconds < process.AT_ONCE
    if last:
        assert ended.errors.rstrip().endswith(last)
        assert not any(
            word in ended.errors for word in ("rapfiles._native", "panicked", "never retrieved", "ignored")
        )
    else:
        assert ended.errors == ""


_INTERRUPTED = """
import signal, sys, warnings
import trio
import rapfiles
# Now: an interruption in the middle of an import may be lost in a callback of the import system's.
import rapfiles._trio
from pathlib import Path

# Ctrl-C, wherever Python looks for signals: between the lines and in the middle of them.
signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
signal.signal(signal.SIGINT, signal.default_int_handler)
heard = []
sys.unraisablehook = lambda what: heard.append(repr(what.exc_value))
warnings.simplefilter("error")
# Between open() and the block there is a coroutine, as anywhere in Python, and then a file to be collected.
warnings.filterwarnings("ignore", "coroutine 'open' was never awaited")
warnings.simplefilter("ignore", ResourceWarning)
path = Path(sys.argv[1], "file")

async def main(after):
    signal.setitimer(signal.ITIMER_REAL, after)
    while True:
        async with rapfiles.open(path, "wb+") as file:
            for size in (10, 1000, 300_000):
                await file.write(b"x" * size)
            await file.seek(0)
            while await file.read(100_000):
                pass

print("ready", flush=True)
for number in range(200):
    try:
        trio.run(main, 1e-4 + number * 2e-5)
    except KeyboardInterrupt:
        continue
    heard.append("no interruption")
print(heard)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the interruption is a timer's")
def test_an_interruption_anywhere_on_trio(tmp_path: Path) -> None:
    """The run ends with it and with nothing else, and there is no complaint of what it came in between of."""
    ended = process.run(_INTERRUPTED, str(tmp_path))
    assert (ended.code, ended.output, ended.errors) == (0, "[]\n", "")


_STARTS_THREADS_AND_ENDS = """
import atexit

@atexit.register  # called last
def say():
    print(len(_threads._awaited))

from rapfiles import _threads

print("ready", flush=True)
for _ in range(100):
    _threads.in_background(int)
"""


def test_no_thread_is_to_begin_when_the_interpreter_ends() -> None:
    """CPython 3.11.2 crashed now and then."""
    ended = process.run(_STARTS_THREADS_AND_ENDS)
    assert (ended.code, ended.output, ended.errors) == (0, "0\n", "")
