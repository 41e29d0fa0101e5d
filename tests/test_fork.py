"""A forked child's first operation works, whatever its parent was doing; so does a spawned child's."""

import os
from pathlib import Path

import pytest

from support import process
from support.fifo import Fifo

# The parent is warm: its workers run, its loop has a port, and with `busy` operations are stuck in flight.
_PREAMBLE = """
import asyncio, multiprocessing, os, sys, warnings
from concurrent.futures import ProcessPoolExecutor
import rapfiles
import trio, uvloop
from rapfiles import AsyncPath
from support.engine import under_way
from support.loops import LOOPS

# A process with threads forks at its own risk, says Python 3.12; that it works here is the point.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
folder, fifo, busy = sys.argv[1], sys.argv[2], sys.argv[3] == "busy"

async def use(name):
    # Answered from the cache, and by workers.
    path = AsyncPath(folder, name)
    assert await AsyncPath(folder, "warm").read_bytes() == b"warm"
    await path.write_bytes(b"content")
    assert await path.read_bytes() == b"content"
    assert "warm" in [entry.name async for entry in AsyncPath(folder).iterdir()]
    await asyncio.gather(*(path.stat() for _ in range(100))) if name.startswith("gather") else None
    await open_in_a_thread()
    await path.unlink()
    return os.getpid()

async def open_in_a_thread():
    # Python code that may block has threads of its own.
    async with rapfiles.open(os.path.join(folder, "warm"), "rb", opener=os.open) as file:
        assert await file.read() == b"warm"

def use_in_child(name):
    return asyncio.run(use(name))

async def warm():
    await AsyncPath(folder, "warm").write_bytes(b"warm")
    tasks = [asyncio.ensure_future(AsyncPath(fifo).read_bytes()) for _ in range(100 if busy else 0)]
    await under_way(len(tasks))
    await open_in_a_thread()
    return tasks
"""

_FORK = (
    _PREAMBLE
    + """
def fork_and_wait(loop, number):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            loop.run(use, f"gather-{number}" if loop.library == "asyncio" else f"{number}")
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0

async def main():
    tasks = await warm()
    print("ready", flush=True)
    for number in range(10):
        for loop in LOOPS:
            # The child may not run a loop inside the one that it was forked from.
            await asyncio.to_thread(fork_and_wait, loop, number)
        # The parent goes on as if nothing had been.
        assert await use("gather-parent") == os.getpid()
    for task in tasks:
        assert not task.done()

asyncio.run(main())

# Outside any loop, the ordinary case: the parent's loop is gone, its engine is warm.
for loop in LOOPS:
    fork_and_wait(loop, "after")
asyncio.run(use("gather-last"))
"""
)

_MULTIPROCESSING = (
    _PREAMBLE
    + """
async def main():
    await warm()
    print("ready", flush=True)
    context = multiprocessing.get_context("fork")
    with context.Pool(3) as pool:
        children = set(await asyncio.to_thread(pool.map, use_in_child, [f"gather-{n}" for n in range(30)]))
    assert os.getpid() not in children
    process = context.Process(target=use_in_child, args=("process",))
    process.start()
    await asyncio.to_thread(process.join)
    assert process.exitcode == 0
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(pool, use_in_child, "executor") != os.getpid()
    await use("parent")

asyncio.run(main())
"""
)

# A child finds its parent's loop recorded in its thread, but nobody runs it.
_IN_A_TASK = """
import asyncio, os, sys, warnings
from rapfiles import AsyncPath

warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

async def is_there():
    return await AsyncPath(sys.argv[1]).exists()

async def main():
    assert await is_there()
    print("ready", flush=True)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            try:
                is_there().send(None)
            except RuntimeError as error:
                code = 0 if "no running event loop" in str(error) else 2
            if not asyncio.run(is_there()):
                code = 3
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert await is_there()

asyncio.run(main())
"""

# Spawned children import the program again, so it is a file.
_FRESH = """
import asyncio, multiprocessing, os, sys
from rapfiles import AsyncPath

async def read(name):
    await AsyncPath(name).touch()
    return await AsyncPath(name).read_bytes()

def read_in_child(name):
    return asyncio.run(read(name))

if __name__ == "__main__":
    assert asyncio.run(read(sys.argv[2])) == b"warm"
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        assert pool.map(read_in_child, [sys.argv[2]] * 10) == [b"warm"] * 10
"""


@pytest.mark.parametrize("state", ["warm", "busy"])
@pytest.mark.parametrize("program", [_FORK, _MULTIPROCESSING], ids=["os.fork", "multiprocessing"])
def test_fork(program: str, state: str, tmp_path: Path) -> None:
    with Fifo(tmp_path / "fifo") as fifo:
        ended = process.run(program, str(tmp_path), str(fifo.path), state, timeout=120)
    assert (ended.code, ended.errors) == (0, "")


def test_in_a_task(tmp_path: Path) -> None:
    ended = process.run(_IN_A_TASK, str(tmp_path))
    assert (ended.code, ended.errors) == (0, "")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_fresh_interpreter(method: str, tmp_path: Path) -> None:
    (tmp_path / "warm").write_bytes(b"warm")
    program = tmp_path / "program.py"
    program.write_text(_FRESH)
    runner = (
        "import os, sys; print('ready', flush=True); os.environ['PYTHONPATH'] = os.pathsep.join(sys.path)"
    )
    runner += f"; sys.argv[1:] = [{method!r}, {str(tmp_path / 'warm')!r}]"
    runner += f"; os.execv(sys.executable, [sys.executable, {str(program)!r}, *sys.argv[1:]])"
    ended = process.run(runner, timeout=120)
    assert (ended.code, ended.errors) == (0, "")


# What workers are in the middle of while the process is copied: letting go of large buffers, in every way.
_LARGE = (
    _PREAMBLE
    + """
import faulthandler, itertools, threading
import rapfiles

LARGE = b"x" * (1 << 20)
over = threading.Event()

async def write(name):
    path = AsyncPath(folder, name)
    for number in itertools.count():
        await path.write_bytes(LARGE)
        async with rapfiles.open(path, "wb") as file:
            await file.write(LARGE)
            await file.write(bytearray(LARGE))
        assert len(await path.read_bytes()) == 2 * len(LARGE)
        if number % 4 == 0:
            task = asyncio.ensure_future(AsyncPath(folder, name + "-cancelled").write_bytes(LARGE))
            await asyncio.sleep(0)
            task.cancel()
        if over.is_set():
            return

async def write_once():
    path = AsyncPath(folder, str(os.getpid()))
    assert await path.write_bytes(LARGE) == len(LARGE)
    async with rapfiles.open(path, "wb") as file:
        await file.write(LARGE)
    assert len(await path.read_bytes()) == len(LARGE)
    await path.unlink()

def child():
    # Reported, and ended, well before the parent would be.
    faulthandler.dump_traceback_later(20, exit=True)
    code = 1
    try:
        asyncio.run(write_once())
        code = 0
    finally:
        os._exit(code)

writers = [threading.Thread(target=lambda n=n: asyncio.run(write(f"parent-{n}"))) for n in range(3)]
for writer in writers:
    writer.start()
print("ready", flush=True)
try:
    for _ in range(6):
        children = [os.fork() or child() for _ in range(5)]
        assert [os.waitpid(number, 0)[1] for number in children] == [0] * 5
finally:
    over.set()
    for writer in writers:
        writer.join()
"""
)


def test_fork_while_workers_let_go_of_large_buffers(tmp_path: Path) -> None:
    ended = process.run(_LARGE, str(tmp_path), str(tmp_path), "large", timeout=120)
    assert (ended.code, ended.errors) == (0, "")


# The parent is closing a file, and its reader has yet to come: a child has nothing to wait for.
_CLOSING = (
    _PREAMBLE
    + """
import rapfiles

async def main():
    await warm()
    # A FIFO holds this much before somebody reads.
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    file = await rapfiles.open(fifo, "wb")
    for _ in range(2):
        await file.write(b"x" * 200_000)
    del file
    await under_way(1)
    child = os.fork()
    if child == 0:
        os.close(reader)
        from rapfiles import _native
        _native.finish_closing(float("1e6"))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    os.close(reader)

warnings.simplefilter("ignore", ResourceWarning)
print("ready", flush=True)
asyncio.run(main())
"""
)


def test_a_child_does_not_wait_for_what_its_parent_is_closing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    ended = process.run(_CLOSING, str(tmp_path), str(tmp_path / "fifo"), "warm", timeout=30)
    assert (ended.code, ended.errors) == (0, "")


# In the task that forked, a child has no running loop: the parent's is not its own.
_WITHIN = (
    _PREAMBLE
    + """
async def main():
    await warm()
    child = os.fork()
    if child == 0:
        try:
            AsyncPath(folder).stat().send(None)
            found = True
        except StopIteration:
            found = True
        except RuntimeError as error:
            found = "no running event loop" not in str(error)
        os._exit(found != (asyncio._get_running_loop() is not None))
    assert os.waitpid(child, 0)[1] == 0

print("ready", flush=True)
asyncio.run(main())
"""
)


def test_a_child_does_not_run_the_loop_that_it_was_forked_from(tmp_path: Path) -> None:
    ended = process.run(_WITHIN, str(tmp_path), str(tmp_path), "warm", timeout=60)
    assert (ended.code, ended.errors) == (0, "")
