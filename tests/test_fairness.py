"""Operations that never suspend would starve other tasks: in a tight loop of them, all get their turns."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from rapfiles import AsyncPath


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


async def test_many_tasks_in_tight_loops(tmp_path: Path) -> None:
    """However many tasks share the budget of one turn, the others get theirs."""
    (tmp_path / "file").write_bytes(b"content")
    path = AsyncPath(tmp_path, "file")

    async def loop() -> None:
        for _ in range(300):
            await path.read_bytes()

    async def work() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(loop)

    assert await _turns_beside(work) >= 10


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
    async def work() -> None:
        assert len([entry async for entry in AsyncPath(crowded).iterdir()]) == 50_000

    assert await _turns_beside(work) >= 50


async def test_a_loop_over_a_crowded_folder_does_not_lag(crowded: Path) -> None:
    from support import lag

    async def work() -> None:
        async for entry in AsyncPath(crowded).iterdir():
            assert entry.name

    assert await lag.worst_beside(work) < lag.ALLOWED
