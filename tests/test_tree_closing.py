"""However an operation on a tree ends, it closes every directory and file that it has opened.

`RAPFILES_SOAK=600` tries it for this many seconds, on each loop.
"""

import contextlib
import os
import random
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

import rapfiles
from rapfiles import AsyncPath
from support.engine import idle
from support.exchanges import rounds

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/fd"),
    pytest.mark.filterwarnings("error::ResourceWarning"),
]


class CallersError(Exception):
    """Raised by the caller's code, in the middle of an iteration or of a report."""


class Visitor:
    """Goes through what a stream yields: to its end, or to some item, where it breaks off or raises."""

    def __init__(self, chance: random.Random) -> None:
        self._break_at = chance.choice([0, 1, 20, 300, 10_000])
        self._fail_at = chance.choice([1, 20, 300, 10_000, 10_000, 10_000])

    async def through(self, items: Any) -> None:
        seen = 0
        async with items:
            async for _ in items:
                seen += 1
                if seen > self._break_at:
                    break
                self.may_fail(seen)

    def may_fail(self, seen: int) -> None:
        if seen >= self._fail_at:
            raise CallersError

    def report(self, progress: rapfiles.Progress) -> None:
        self.may_fail(progress.files)


WORKS: dict[str, Callable[[AsyncPath, AsyncPath, Visitor], Awaitable[object]]] = {
    "walk": lambda tree, _, visitor: visitor.through(tree.walk()),
    "walk, upwards": lambda tree, _, visitor: visitor.through(tree.walk(top_down=False)),
    "find": lambda tree, _, visitor: visitor.through(tree.find(with_stat=True, sort=True)),
    "find, with totals": lambda tree, _, visitor: visitor.through(
        tree.find(gitignore=True, progress=visitor.report, totals=True)
    ),
    "rglob": lambda tree, _, visitor: visitor.through(tree.rglob("*")),
    "glob": lambda tree, _, visitor: visitor.through(tree.glob("*/**/f*")),
    "scandir": lambda tree, _, visitor: visitor.through(tree.scandir(with_stat=True)),
    "iterdir": lambda tree, _, visitor: visitor.through(tree.iterdir()),
    "du": lambda tree, _, visitor: tree.du(progress=visitor.report),
    "copy": lambda tree, target, visitor: tree.copy(target, follow_symlinks=False, progress=visitor.report),
    "copy, in full": lambda tree, target, visitor: tree.copy(
        target,
        follow_symlinks=False,
        preserve_metadata=True,
        hardlinks="preserve",
        progress=visitor.report,
        totals=True,
    ),
    "move": lambda tree, target, _: tree.move(target),
    "rmtree": lambda tree, _, visitor: tree.rmtree(progress=visitor.report),
}


def _grow(tree: Path, chance: random.Random) -> None:
    """A tree of some directories on several levels, and links between them."""
    folders = [tree]
    for number in range(chance.randrange(2, 30)):
        folder = chance.choice(folders) / f"d{number}"
        folder.mkdir(parents=True, exist_ok=True)
        folders.append(folder)
    for folder in folders:
        for number in range(chance.choice([0, 1, 20])):
            (folder / f"f{number}").write_bytes(b"x" * chance.choice([0, 10, 20_000]))
    (tree / "link").symlink_to(chance.choice(folders))
    (tree / "file").touch()
    os.link(tree / "file", tree / "hard link")


def _open_files() -> list[str]:
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:  # that of the list itself
            continue
    return found


async def _try(name: str, tree: AsyncPath, visitor: Visitor, patience: int) -> None:
    """Do it, cancelled after some turns of the loop."""

    async def cancel() -> None:
        for _ in range(patience):
            await anyio.sleep(0)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(cancel)
        with contextlib.suppress(CallersError):
            await WORKS[name](tree, AsyncPath(f"{tree}-target"), visitor)
        group.cancel_scope.cancel()


@pytest.mark.slow
async def test_nothing_stays_open(tmp_path: Path) -> None:
    """Several at once, each of which comes to its end, is left, fails or is cancelled somewhere."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    for number in rounds(20):
        folder = tmp_path / str(number)
        names = chance.choices(list(WORKS), k=chance.randrange(1, 6))
        async with anyio.create_task_group() as group:
            for place, name in enumerate(names):
                tree = folder / f"tree-{place}"
                tree.mkdir(parents=True)
                _grow(tree, chance)
                patience = chance.choice([1, 3, 30, 300, 100_000])
                group.start_soon(_try, name, AsyncPath(tree), Visitor(chance), patience)
        await idle()
        still_open = [path for path in _open_files() if path.startswith(str(folder))]
        assert not still_open, f"seed {seed}, round {number}: {names}"
        await AsyncPath(folder).rmtree()
