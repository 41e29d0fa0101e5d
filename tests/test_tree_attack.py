"""walk, find and copy beside a process that exchanges directories for links: nothing outside gets into them.

`RAPFILES_SOAK=60` lets it run for this many seconds.
"""

import contextlib
import os
import shutil
from pathlib import Path

import pytest

from rapfiles import AsyncPath
from support import naive
from support.exchanges import OUTSIDE, StillTree, attack


def ignore(_error: OSError) -> None:
    """Something has gone while it was looked at."""


@pytest.mark.one_loop
async def test_nothing_outside_is_read(tmp_path: Path) -> None:
    tree = AsyncPath(tmp_path, "tree")
    with attack(tmp_path) as attacker:
        for _ in attacker.rounds(least=8):
            names = [name async for _, directories, files in tree.walk() for name in directories + files]
            assert "only outside" not in names, attacker.seed
            async for entry in tree.find(with_stat=True, on_error=ignore):
                assert entry.name != "only outside", attacker.seed
                if entry.is_file(follow_symlinks=False):
                    stat = await entry.stat(follow_symlinks=False)
                    assert stat.st_size != len(OUTSIDE), attacker.seed


@pytest.mark.one_loop
async def test_nothing_outside_is_copied(tmp_path: Path) -> None:
    target = tmp_path / "copies" / "tree"
    with attack(tmp_path) as attacker:
        for _ in attacker.rounds(least=8):
            target.parent.mkdir()
            with contextlib.suppress(OSError, ExceptionGroup):
                await AsyncPath(tmp_path, "tree").copy(target, follow_symlinks=False, on_error=ignore)
            for directory, _, files in os.walk(target):
                assert "only outside" not in files, attacker.seed
                for file in files:
                    path = Path(directory, file)
                    assert path.is_symlink() or path.read_bytes() != OUTSIDE, attacker.seed
            shutil.rmtree(target.parent)


@pytest.mark.one_loop
@pytest.mark.parametrize(
    ("place", "aside"), [("0", "link0"), ("1", "link-inside1"), ("2/a", "link2"), ("3/a/b", "link-inside3")]
)
async def test_an_exchange_misleads_only_naive_code(place: str, aside: str, tmp_path: Path) -> None:
    """Each exchange of the attack happens once, when a directory is known and has not been entered."""
    still = StillTree(tmp_path)
    top, victim = tmp_path / "tree", tmp_path / "tree" / place

    found = []
    for directory, directories, files in naive.walk(top):
        found += directories + files
        if directory == victim.parent:
            still.exchange(place, aside)
    assert victim.is_symlink()
    assert "only outside" in found
    still.exchange(place, aside)

    found.clear()
    # With one worker, a directory is not read before the iteration reaches it.
    async for path, directories, files in AsyncPath(top).walk(workers=1):
        found += directories + files
        if Path(path) == victim.parent:
            still.exchange(place, aside)
    assert victim.is_symlink()
    assert "only outside" not in found
    still.exchange(place, aside)

    found.clear()
    async for entry in AsyncPath(top).find(workers=1, on_error=ignore):
        found.append(entry.name)
        if Path(entry.path) == victim:
            still.exchange(place, aside)
    assert victim.is_symlink()
    assert "only outside" not in found
