"""A panic inside a worker is the error of one operation and of nothing else."""

from pathlib import Path

import anyio
import pytest

import rapfiles
from rapfiles import AsyncPath, _native


async def test_a_panic_is_an_exception_of_that_operation(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = rapfiles.stats().panics
    with pytest.raises(RuntimeError, match="panic"):
        await _native.panic_in_worker()
    assert rapfiles.stats().panics == before + 1
    for number in range(1000):
        path = AsyncPath(tmp_path, str(number))
        await path.write_bytes(b"content")
        assert await path.read_bytes() == b"content"
    capfd.readouterr()


async def test_panics_amid_other_operations(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """More panics than there are workers, between operations that all succeed."""
    ended: list[str] = []

    async def panic() -> None:
        with pytest.raises(RuntimeError, match="panic"):
            await _native.panic_in_worker()
        ended.append("panic")

    async def write(number: int) -> None:
        assert await AsyncPath(tmp_path, str(number)).write_bytes(b"content") == 7
        ended.append("write")

    async with anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(panic)
            group.start_soon(write, number)
    assert (ended.count("panic"), ended.count("write")) == (200, 200)
    assert len(list(tmp_path.iterdir())) == 200
    capfd.readouterr()
