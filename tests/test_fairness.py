"""Operations that never suspend would starve other tasks: in a tight loop of them, all get their turns."""

import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest
import trio

import rapfiles
from rapfiles import AsyncPath
from support import lag
from support.operations import OPERATIONS, Operation, build

pytestmark = pytest.mark.interpreter


async def _turns_beside(work: Callable[[], Awaitable[None]]) -> int:
    """How often a task that only wants turns got one while `work` ran."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await anyio.sleep(0)
            turns += 1

    async with anyio.create_task_group() as group:
        group.start_soon(take_turns)
        await anyio.sleep(0)
        before = turns
        await work()
        after = turns
        group.cancel_scope.cancel()
    return after - before


CACHED: dict[str, Callable[[AsyncPath], Awaitable[object]]] = {
    "read_bytes": lambda path: path.read_bytes(),
    "read_text": lambda path: path.read_text("utf-8"),
    "stat": lambda path: path.stat(),
    "exists": lambda path: path.exists(),
    "missing": lambda path: path.with_name("missing").exists(),
    "resolve": lambda path: path.resolve(),
    "absolute": lambda path: path.absolute(),
    "cwd": lambda path: AsyncPath.cwd(),
    "is_junction": lambda path: path.is_junction(),
}


@pytest.mark.parametrize("name", CACHED)
async def test_a_tight_loop_of_cached_operations(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    path = AsyncPath(tmp_path, "file")

    async def work() -> None:
        for _ in range(3000):
            await CACHED[name](path)

    assert await _turns_beside(work) >= 10


@pytest.mark.loops("asyncio")
@pytest.mark.parametrize("name", ["stat", "read_bytes", "resolve", "lines"])
async def test_other_threads_beside_a_tight_loop(name: str, tmp_path: Path) -> None:
    """A thread that wants the interpreter now and then gets it, though the loop never has to wait.

    It would get too few turns if the loop did not let it in, unless other processes have the processors: then
    Linux lets the thread run at once when `select` releases the GIL.
    """
    path = AsyncPath(tmp_path, "file")
    await path.write_bytes(b"line\n" * 1000)
    turns, over = 0, False

    def take_turns() -> None:
        nonlocal turns
        while not over:
            time.sleep(0.005)
            turns += 1

    thread = threading.Thread(target=take_turns)
    interval = sys.getswitchinterval()
    thread.start()
    # What the interpreter does by itself for a thread that has waited for so long does not count.
    sys.setswitchinterval(1000)
    try:
        start = time.thread_time()
        while turns < 20 and time.thread_time() - start < 1:
            if name == "lines":
                async with path.open("rb") as file:
                    async for _ in file:
                        pass
            else:
                await CACHED[name](path)
    finally:
        sys.setswitchinterval(interval)
        over = True
        thread.join()
    assert turns >= 20


async def _many_tasks_in_tight_loops(folder: Path, tasks: int) -> None:
    (folder / "file").write_bytes(b"content")
    path = AsyncPath(folder, "file")

    async def loop() -> None:
        for _ in range(20_000 // tasks):
            await path.read_bytes()

    async with anyio.create_task_group() as group:
        for _ in range(tasks):
            group.start_soon(loop)


@pytest.mark.parametrize(("tasks", "turns"), [(20, 40), (200, 15)])
async def test_many_tasks_in_tight_loops(tasks: int, turns: int, tmp_path: Path) -> None:
    """However many tasks share the budget of one turn, the others get theirs."""
    assert await _turns_beside(lambda: _many_tasks_in_tight_loops(tmp_path, tasks)) >= turns


async def test_many_tasks_in_tight_loops_do_not_lag(tmp_path: Path) -> None:
    # Each has at least a few operations in a turn, so the lag grows with their number: on a busy machine, 100
    # have taken 24 ms. With a budget for each, instead of one for all, 70 would take more than 20 on any.
    assert await lag.worst_beside(lambda: _many_tasks_in_tight_loops(tmp_path, 70)) < lag.ALLOWED


@pytest.mark.loops("trio")
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
async def test_every_operation_is_a_cancel_point_of_trio(operation: Operation, tmp_path: Path) -> None:
    """Whether it would succeed or not, and whether it would have to wait or not."""
    build(tmp_path)
    assert await _is_cancelled(lambda: operation.start(tmp_path))
    assert await _is_cancelled(lambda: operation.start(tmp_path / "missing"))


async def _is_cancelled(start: Callable[[], Awaitable[object]]) -> bool:
    """Whether an operation notices that its task has been cancelled."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await start()
    return scope.cancelled_caught


@pytest.mark.loops("trio")
async def test_what_asks_no_disk_is_a_cancel_point_too() -> None:
    for operation in (AsyncPath.cwd, AsyncPath.home, AsyncPath("x").absolute, AsyncPath("/x").absolute):
        assert await _is_cancelled(operation)
    for path in (AsyncPath("x"), AsyncPath("~"), AsyncPath("~root")):
        assert await _is_cancelled(path.expanduser)
    assert await _is_cancelled(AsyncPath("x").is_junction)


@pytest.mark.loops("trio")
async def test_what_is_at_hand_is_a_cancel_point_too(tmp_path: Path) -> None:
    """Of an open file: reading what has been read ahead, and writing to a buffer that has room."""
    (tmp_path / "file").write_bytes(b"line\n" * 1000)
    async with rapfiles.open(tmp_path / "file", "rb+") as file:
        await file.read(1)
        assert await _is_cancelled(lambda: file.read(1))
        assert await file.tell() == 1
        assert await _is_cancelled(lambda: file.write(b"x"))
        assert await file.tell() == 1


async def _cancel(scope: anyio.CancelScope) -> None:
    scope.cancel()


@pytest.mark.parametrize("mode", ["r", "rb"])
async def test_an_iteration_over_lines_gives_way_and_can_be_cancelled(mode: str, tmp_path: Path) -> None:
    """Its items are handed out without suspending, but not forever."""
    (tmp_path / "file").write_bytes(b"line\n" * 10_000)
    async with rapfiles.open(tmp_path / "file", mode) as file, anyio.create_task_group() as group:
        await file.readline()
        with anyio.CancelScope() as scope:
            group.start_soon(_cancel, scope)
            while True:
                async for _ in file:
                    pass
                await file.seek(0)
    assert scope.cancelled_caught


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 50,000 entries."""
    folder = tmp_path_factory.mktemp("crowded")
    (folder / "0").touch()
    for number in range(1, 50_000):
        if number % 50_000 % 30_000:
            (folder / str(number)).hardlink_to(folder / "0")
        else:
            (folder / str(number)).touch()
    return folder


async def test_listing_a_crowded_folder(crowded: Path) -> None:
    spent = 0.0

    async def work() -> None:
        nonlocal spent
        start = time.thread_time()
        while (spent := time.thread_time() - start) < 0.1:
            assert len([entry async for entry in AsyncPath(crowded).iterdir()]) == 50_000

    # Entries are too many to be counted: a task yields after so much time. A fast machine needs fewer turns.
    assert await _turns_beside(work) >= spent / 0.01


async def test_a_loop_over_a_crowded_folder_does_not_lag(crowded: Path) -> None:
    async def work() -> None:
        async for entry in AsyncPath(crowded).iterdir():
            assert entry.name

    assert await lag.worst_beside(work) < lag.ALLOWED
