"""Loops come and go, in any thread, by the hundred; an operation works on each of them and nowhere else."""

import asyncio
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio

import rapfiles
from rapfiles import AsyncPath, _native
from support import process
from support.fifo import Fifo
from support.loops import ASYNCIO_LOOPS, LOOPS, Loop, settle_garbage

pytestmark = pytest.mark.interpreter


async def _use(folder: Path, name: str = "file") -> None:
    """Operations of every tier: answered from the cache, by workers, and several at once."""
    path = AsyncPath(folder, name)
    await path.write_bytes(b"content")
    assert await path.read_bytes() == b"content"
    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon((path.parent / f"{name}-{number}").mkdir)
    for number in range(5):
        await (path.parent / f"{name}-{number}").rmdir()
    await path.unlink()


def test_two_hundred_runs(tmp_path: Path, loop: Loop) -> None:
    for _ in range(200):
        loop.run(_use, tmp_path)


def test_different_loops_in_turn(tmp_path: Path) -> None:
    for _ in range(20):
        for loop in LOOPS:
            loop.run(_use, tmp_path)


class Unwatching(asyncio.SelectorEventLoop):
    """A loop that cannot watch a descriptor, as Windows' proactor cannot."""

    def add_reader(self, *_args: Any) -> None:
        raise NotImplementedError


def test_a_loop_that_watches_no_descriptor(tmp_path: Path) -> None:
    # Between loops that do: each has to be woken in its own way.
    for factory in (Unwatching, asyncio.SelectorEventLoop, Unwatching, Unwatching):
        with asyncio.Runner(loop_factory=factory) as runner:
            for _ in range(20):
                runner.run(_use(tmp_path))
    # A worker that is done after such a loop has been closed calls a loop that is no more.
    with Fifo(tmp_path / "fifo") as fifo:
        waiting = Unwatching()
        task = waiting.create_task(AsyncPath(fifo.path).read_bytes())
        waiting.run_until_complete(asyncio.sleep(0))
        task.cancel()
        waiting.run_until_complete(asyncio.gather(task, return_exceptions=True))
        waiting.close()


_WAKES_WHILE_THE_INTERPRETER_ENDS = """
import asyncio, sys, threading, time
from rapfiles import AsyncPath

class Loop(asyncio.SelectorEventLoop):
    def add_reader(self, *_arguments):
        raise NotImplementedError

    def call_soon_threadsafe(self, *arguments, **options):
        super().call_soon_threadsafe(*arguments, **options)
        if threading.current_thread() is not threading.main_thread():
            # Asks for the interpreter again and again until there is none.
            for _ in range(1_000):
                time.sleep(0.000_1)

class Last:
    def __del__(self, sleep=time.sleep):
        sleep(0.05)

last = Last()
print("ready", flush=True)
loop = Loop()
loop.run_until_complete(AsyncPath(sys.argv[1]).write_bytes(b"content"))
loop.close()
"""


def test_a_worker_that_wakes_a_loop_while_the_interpreter_ends(tmp_path: Path) -> None:
    """Before 3.14, CPython ends such a thread, and its stack is unwound: that must not abort the process."""
    ended = process.run(_WAKES_WHILE_THE_INTERPRETER_ENDS, str(tmp_path / "file"))
    assert (ended.code, ended.errors) == (0, "")
    assert (tmp_path / "file").read_bytes() == b"content"


def test_eight_loops_in_eight_threads(tmp_path: Path, loop: Loop) -> None:
    start = threading.Barrier(8)

    async def main(number: int) -> None:
        start.wait()
        for _ in range(25):
            await _use(tmp_path, f"thread-{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: loop.run(main, number), range(8)))


def test_every_loop_in_a_thread_of_its_own_at_once(tmp_path: Path) -> None:
    start = threading.Barrier(len(LOOPS))

    async def main(number: int) -> None:
        start.wait()
        for _ in range(50):
            await _use(tmp_path, f"thread-{number}")

    with ThreadPoolExecutor(len(LOOPS)) as pool:
        list(pool.map(lambda number: LOOPS[number].run(main, number), range(len(LOOPS))))


_CLOSED = """
import asyncio, gc, sys
from rapfiles import AsyncPath
from support.engine import idle, under_way
from support.fifo import Fifo
from support.loops import LOOPS
from pathlib import Path

loop = {loop.name: loop for loop in LOOPS}[sys.argv[1]]
folder = Path(sys.argv[2])

async def leave(fifo, how):
    for number in range(100):
        path = AsyncPath(fifo.path) if number % 2 else AsyncPath(folder, f"{number}")
        tasks.append(asyncio.ensure_future(path.read_bytes() if number % 2 else path.write_bytes(b"x")))
    await under_way(50)

print("ready", flush=True)
for number in range(20):
    tasks = []
    with Fifo(folder / f"fifo-{number}") as fifo:
        # Closed as a careful program does it: with the tasks cancelled.
        loop.run(leave, fifo, "")
        # What is still stuck answers to a loop that is closed; the next loop does not hear of it.
        fifo.release()
        loop.run(idle)
        tasks.clear()
        gc.collect()
"""


@pytest.mark.loops("asyncio")
def test_a_loop_closed_with_work_in_flight_is_silent(tmp_path: Path, loop: Loop) -> None:
    ended = process.run(_CLOSED, loop.name, str(tmp_path))
    assert (ended.code, ended.output, ended.errors) == (0, "", "")


_ABANDONED = """
import asyncio, sys
from rapfiles import AsyncPath
from support.engine import idle, under_way
from support.fifo import Fifo
from support.loops import LOOPS
from pathlib import Path

kind = {loop.name: loop for loop in LOOPS}[sys.argv[1]]
print("ready", flush=True)
with Fifo(Path(sys.argv[2], "fifo")) as fifo:
    loop = kind.factory()
    task = loop.create_task(AsyncPath(fifo.path).read_bytes())
    loop.run_until_complete(under_way(1))
    loop.close()
    # asyncio complains of a task that is destroyed while it waits; that is the program's fault, not ours.
    task._log_destroy_pending = False
    fifo.release()
    kind.run(idle)
del task
kind.run(AsyncPath(sys.argv[2]).exists)
"""


@pytest.mark.loops("asyncio")
def test_a_loop_closed_without_any_care_is_silent(tmp_path: Path, loop: Loop) -> None:
    ended = process.run(_ABANDONED, loop.name, str(tmp_path))
    assert (ended.code, ended.output, ended.errors) == (0, "", "")


@pytest.mark.loops("asyncio")
def test_two_loops_taking_turns_in_one_thread(tmp_path: Path, loop: Loop) -> None:
    """Each keeps what it has in flight while the other one runs."""
    assert loop.factory is not None
    first, second = loop.factory(), ASYNCIO_LOOPS[-1].factory()  # type: ignore[misc]
    try:
        with Fifo(tmp_path / "fifo") as fifo:
            stuck = [each.create_task(AsyncPath(fifo.path).read_bytes()) for each in (first, second)]
            for number in range(50):
                for each in (first, second):
                    each.run_until_complete(_use(tmp_path, f"turn-{number}"))
            assert not any(task.done() for task in stuck)
            fifo.release()
            for each, task in zip((second, first), reversed(stuck), strict=True):
                assert each.run_until_complete(task) == b""
    finally:
        first.close()
        second.close()


def test_outside_any_loop(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    operation = AsyncPath(tmp_path, "file").read_bytes()
    with pytest.raises(RuntimeError, match="event loop"):
        operation.send(None)


def test_outside_any_loop_after_a_loop(tmp_path: Path, loop: Loop) -> None:
    loop.run(_use, tmp_path)
    operation = AsyncPath(tmp_path, "new").mkdir()
    with pytest.raises(RuntimeError, match="event loop"):
        operation.send(None)
    assert not (tmp_path / "new").exists()


def test_trio_as_a_guest_of_asyncio(tmp_path: Path) -> None:
    """Both libraries run in one thread, in turn, each with operations of its own in flight."""

    async def trio_main() -> str:
        for number in range(50):
            await _use(tmp_path, f"guest-{number}")
        return "guest"

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Any] = loop.create_future()
        trio.lowlevel.start_guest_run(
            trio_main,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=ended.set_result,
            host_uses_signal_set_wakeup_fd=True,
        )
        number = 0
        while not ended.done():
            await _use(tmp_path, f"host-{number}")
            number += 1
        assert number > 1
        return (await ended).unwrap()

    assert asyncio.run(main()) == "guest"


@pytest.mark.loops("asyncio")
async def test_awaited_in_every_way(tmp_path: Path) -> None:
    """Directly, as a task, in gather, in wait_for, shielded, and from a callback's task."""
    (tmp_path / "file").write_bytes(b"x")
    path = AsyncPath(tmp_path, "file")
    assert await path.read_bytes() == b"x"
    assert await asyncio.create_task(path.read_bytes()) == b"x"
    assert await asyncio.gather(path.read_bytes(), path.exists()) == [b"x", True]
    assert await asyncio.wait_for(path.read_bytes(), 10) == b"x"
    assert await asyncio.shield(path.read_bytes()) == b"x"
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        tasks = [group.create_task(path.write_bytes(b"y")) for _ in range(10)]
    assert [task.result() for task in tasks] == [1] * 10
    made: asyncio.Future[asyncio.Task[bytes]] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: made.set_result(asyncio.ensure_future(path.read_bytes())))
    assert await (await made) == b"y"


async def test_an_operation_is_awaited_once(tmp_path: Path) -> None:
    operation = AsyncPath(tmp_path).exists()
    assert await operation
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        await operation


_MOVED = """
import asyncio, gc, os, socket, sys, threading
from pathlib import Path
from rapfiles import AsyncPath
from support.engine import idle, under_way
from support.fifo import Fifo
from support.loops import LOOPS
import rapfiles

kind = {loop.name: loop for loop in LOOPS}[sys.argv[1]]
folder = Path(sys.argv[2])

async def use(number):
    # By a worker, from the cache, and on a handle.
    path = AsyncPath(folder, f"{number}")
    await path.write_bytes(b"x" * number)
    assert await path.read_bytes() == b"x" * number
    async with rapfiles.open(path, "rb+") as file:
        await file.write(b"y" * (1 << 20))
        await file.flush()
        assert await file.seek(0) == 0
        assert await file.read(1 << 20) == b"y" * (1 << 20)
    await asyncio.gather(*(AsyncPath(folder, f"{number}-{n}").mkdir() for n in range(10)))

def elsewhere(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

async def descriptor_is_watched():
    # A descriptor of a number that was free before is nobody else's.
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.send(b"x")
        assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(ours, 1), 20) == b"x"

print("ready", flush=True)
loop = kind.factory()
main = lambda number: loop.run_until_complete(use(number))
elsewhere(lambda: main(1))
loop.run_until_complete(descriptor_is_watched())
for number in range(2, 40, 2):
    main(number)
    elsewhere(lambda: main(number + 1))
    loop.run_until_complete(descriptor_is_watched())

# With operations in flight at the move.
with Fifo(folder / "fifo") as fifo:
    stuck = []
    def begin():
        stuck.extend(loop.create_task(AsyncPath(fifo.path).read_bytes()) for _ in range(3))
        loop.run_until_complete(under_way(3))
    elsewhere(begin)
    main(101)
    other = kind.factory()
    other.run_until_complete(use(102))
    gc.collect()
    fifo.release()
    assert loop.run_until_complete(asyncio.gather(*stuck)) == [b""] * 3
loop.run_until_complete(asyncio.sleep(0))
other.close()
loop.close()
"""


@pytest.mark.loops("asyncio")
def test_a_loop_run_by_one_thread_and_then_by_another(tmp_path: Path, loop: Loop) -> None:
    ended = process.run(_MOVED, loop.name, str(tmp_path), timeout=30)
    assert (ended.code, ended.output, ended.errors) == (0, "", "")


_COUNTED = """
import asyncio, gc, os, sys, threading, time
from rapfiles import AsyncPath
from support.loops import LOOPS

kind = {loop.name: loop for loop in LOOPS}[sys.argv[1]]
gc.disable()

async def use():
    await AsyncPath(sys.argv[2], "file").write_bytes(b"")
    await asyncio.gather(*(AsyncPath(sys.argv[2]).exists() for _ in range(5)))

def count():
    return len(os.listdir("/dev/fd"))

print("ready", flush=True)
loops = []
def run():
    # Kept, because closing is what counts.
    loop = kind.factory()
    loop.run_until_complete(use())
    loop.close()
    loops.append(loop)

run()
before = count()
for _ in range(100):
    run()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
until = time.monotonic() + 10
# A worker may close what it had open after it has told what came of its work.
while count() > before and time.monotonic() < until:
    time.sleep(0.001)
assert count() <= before, (before, count())
"""


@pytest.mark.loops("asyncio")
def test_a_closed_loop_keeps_no_descriptor(tmp_path: Path, loop: Loop) -> None:
    ended = process.run(_COUNTED, loop.name, str(tmp_path))
    assert (ended.code, ended.output, ended.errors) == (0, "", "")


@pytest.mark.loops("asyncio")
def test_a_loop_that_goes_takes_what_waits_with_it(tmp_path: Path, loop: Loop) -> None:
    """A loop that is closed while a worker is stuck is freed, with the future that nobody resolves."""
    assert loop.factory is not None
    with Fifo(tmp_path / "fifo") as fifo:
        event_loop = loop.factory()
        operation = _native.read_bytes
        futures: list[weakref.ref[Any]] = []

        async def begin() -> Any:
            waiting = operation(fifo.path)
            futures.append(weakref.ref(waiting.send(None)))
            return waiting

        waiting = event_loop.run_until_complete(begin())
        assert futures[0]() is not None
        event_loop.close()
        del event_loop
        settle_garbage()
        assert futures[0]() is None
        fifo.release()
        del waiting


@pytest.mark.loops("asyncio")
def test_what_is_dropped_in_another_thread_leaves_nothing(tmp_path: Path, loop: Loop) -> None:
    with Fifo(tmp_path / "fifo") as fifo:

        async def main() -> None:
            waiting: list[Any] = [_native.read_bytes(fifo.path)]
            future = weakref.ref(waiting[0].send(None))
            assert future() is not None
            thread = threading.Thread(target=waiting.clear)
            thread.start()
            thread.join()
            assert future() is None

        loop.run(main)


async def test_an_operation_of_a_file_awaited_by_two_tasks(tmp_path: Path) -> None:
    """The second one gets the error that a coroutine raises, and the first one its answer."""
    with Fifo(tmp_path / "fifo") as fifo:
        async with rapfiles.open(fifo.path, "rb+", buffering=0) as file:
            reading = file.read(1)
            answers: list[Any] = []
            begun = anyio.Event()

            async def first() -> None:
                begun.set()
                answers.append(await reading)

            async with anyio.create_task_group() as group:
                group.start_soon(first)
                await begun.wait()
                with pytest.raises(RuntimeError, match="coroutine is being awaited already"):
                    await reading
                with pytest.raises(RuntimeError, match="coroutine is being awaited already"):
                    await reading
                await AsyncPath(fifo.path).write_bytes(b"x")
            assert answers == [b"x"]
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                await reading
