"""A directory that does not answer: what has been read of others before is not kept back until it does."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import anyio
import pytest

from rapfiles import AsyncPath
from support import fuse
from support.engine import idle
from support.fuse import SlowDisk

pytestmark = pytest.mark.one_loop


async def _walk(top: AsyncPath) -> AsyncIterator[str]:
    async for path, directories, files in top.walk(sort=True):
        for name in directories + files:
            yield os.path.join(path, name)


async def _find(top: AsyncPath) -> AsyncIterator[str]:
    async for entry in top.find(sort=True):
        yield os.fspath(entry)


async def _glob(top: AsyncPath) -> AsyncIterator[str]:
    async for path in top.rglob("*"):
        yield os.fspath(path)


Search = Callable[[AsyncPath], AsyncIterator[str]]

BEFORE = [f"{number:02}" for number in range(40)]
"""Directories that come before the one that does not answer: enough for batches to have their full size."""


def _make(top: Path) -> None:
    for name in BEFORE:
        (top / name).mkdir(parents=True, exist_ok=True)
        (top / name / "file").touch()


@pytest.fixture
def held(prompt_disk: SlowDisk) -> Iterator[Path]:
    """A directory that is not opened before the gate is."""
    top = prompt_disk.backing / "unanswered"
    _make(top)
    (top / "held").mkdir(exist_ok=True)
    prompt_disk.close_gate()
    try:
        yield prompt_disk.root / "unanswered" / "held"
    finally:
        prompt_disk.open_gate()
        anyio.run(idle)


@pytest.fixture
def held_mount(tmp_path: Path) -> Iterator[Path]:
    """A mount in a local directory, whose root is not opened before the gate is."""
    if (reason := fuse.missing()) is not None:
        pytest.skip(reason)
    _make(tmp_path)
    with fuse.mounted(tmp_path, delay_ms=0, hold_all=True) as disk:
        disk.close_gate()
        yield disk.root
        disk.open_gate()
        anyio.run(idle)


async def _comes_before(held: Path, search: Search) -> None:
    expected = {os.path.join(held.parent, name) for name in os.listdir(held.parent)}
    if search is not _glob:  # which goes into directories in any order
        expected |= {os.path.join(held.parent, name, "file") for name in BEFORE}
    found = search(AsyncPath(held.parent))
    with anyio.fail_after(30):
        while expected:
            expected.discard(await anext(found))
    await found.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("search", [_walk, _find, _glob])
async def test_on_a_mount_that_is_not_local(held: Path, search: Search) -> None:
    await _comes_before(held, search)


@pytest.mark.parametrize("search", [_walk, _find])
async def test_that_is_mounted_in_a_local_directory(held_mount: Path, search: Search) -> None:
    await _comes_before(held_mount, search)
