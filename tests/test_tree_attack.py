"""walk, find and copy beside a process that exchanges directories for links: nothing outside gets into them.

`RAPFILES_SOAK=60` lets each of the attacks run for this many seconds. The published ones are replayed here
(uutils/coreutils#10015, #10017, #10023 and #13630) and in `test_rmtree_attack.py` (CVE-2022-21658).
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rapfiles import AsyncPath
from support import mounts, naive
from support.exchanges import OUTSIDE, StillTree, attack, exchanging, planting, rounds


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


@pytest.mark.one_loop
async def test_a_file_that_becomes_a_link_is_not_followed(tmp_path: Path) -> None:
    """uutils/coreutils#10017: what was a file when it was looked at is a link when it is opened."""
    (tmp_path / "secret").write_bytes(OUTSIDE)
    (tmp_path / "source" / "deep").mkdir(parents=True)
    (tmp_path / "source" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "source" / "deep" / "link").symlink_to(tmp_path / "secret")
    for name in ("source/file", "source/deep/file"):
        (tmp_path / name).write_bytes(b"not precious")
    source, copies = AsyncPath(tmp_path, "source"), tmp_path / "copies"
    with (
        exchanging(tmp_path / "source", "file", "link"),
        exchanging(tmp_path / "source" / "deep", "file", "link"),
    ):
        for _ in rounds(least=30):
            copies.mkdir()
            with contextlib.suppress(OSError):  # what it was is not there any more
                await (source / "file").copy(copies / "alone", follow_symlinks=False)
            await source.copy(copies / "tree", follow_symlinks=False, on_error=ignore)
            for path in copies.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    assert path.read_bytes() != OUTSIDE, path
            shutil.rmtree(copies)
    assert (tmp_path / "secret").read_bytes() == OUTSIDE


@pytest.mark.one_loop
async def test_a_file_that_became_a_link_after_it_was_listed(tmp_path: Path) -> None:
    """The same, once and at the very moment: names and types are known, and nothing has been opened."""
    (tmp_path / "secret").write_bytes(OUTSIDE)
    (tmp_path / "source").mkdir()
    for name in ("exchanged", "other"):
        (tmp_path / "source" / name).write_bytes(b"not precious")
    (tmp_path / "link").symlink_to(tmp_path / "secret")

    def exchange(_path: str, _names: list[str]) -> list[str]:
        os.replace(tmp_path / "link", tmp_path / "source" / "exchanged")
        return []

    await AsyncPath(tmp_path, "source").copy(
        tmp_path / "copy", follow_symlinks=False, ignore=exchange, on_error=ignore
    )
    assert (tmp_path / "source" / "exchanged").is_symlink()
    assert (tmp_path / "copy" / "other").read_bytes() == b"not precious"
    copied = tmp_path / "copy" / "exchanged"
    assert copied.is_symlink() or not copied.exists()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    if (reason := mounts.missing("tmpfs")) is not None:
        pytest.skip(reason)
    with mounts.mounted("tmpfs", tmp_path / "elsewhere", size=64 << 20) as root:
        yield root


@pytest.mark.one_loop
@pytest.mark.parametrize("how", ["move", "copy"])
async def test_a_target_that_becomes_a_link_is_replaced(how: str, tmp_path: Path, elsewhere: Path) -> None:
    """uutils/coreutils#10015: during a move to another file system, the target becomes a link to a victim.

    Its permissions are not set through the link either (#13630).
    """
    victim = elsewhere / "victim"
    victim.write_bytes(OUTSIDE)
    victim.chmod(0o600)
    (elsewhere / "target").write_bytes(b"placeholder")
    (elsewhere / "link").symlink_to(victim)
    source = AsyncPath(tmp_path, "file")
    with exchanging(elsewhere, "target", "link"):
        for _ in rounds(least=100):
            await source.write_bytes(b"payload")
            await source.chmod(0o644)
            if how == "move":
                await source.move(elsewhere / "target")
                assert not await source.exists()
            else:
                await source.copy(elsewhere / "target", atomic=True, preserve_metadata=True)
            assert victim.read_bytes() == OUTSIDE
            assert victim.stat().st_mode & 0o777 == 0o600
            # One of the two has become the file. There is a link again.
            names = [name for name in ("target", "link") if (elsewhere / name).is_symlink()]
            if not names:
                (elsewhere / "again").symlink_to(victim)
                os.replace(elsewhere / "again", elsewhere / "link")
    assert sorted(os.listdir(elsewhere)) == ["link", "target", "victim"]


@pytest.mark.one_loop
@pytest.mark.parametrize("how", ["copy", "write_bytes", "open_atomic", "rename", "move"])
async def test_a_link_that_is_planted_for_the_target_is_replaced(
    how: str, tmp_path: Path, elsewhere: Path
) -> None:
    """uutils/coreutils#10023: the target is removed, and made again as a link to a victim."""
    victim = tmp_path / "victim"
    victim.write_bytes(OUTSIDE)
    victim.chmod(0o600)
    folder = elsewhere if how == "move" else tmp_path / "folder"
    folder.mkdir(exist_ok=True)
    source, target = AsyncPath(tmp_path, "file"), AsyncPath(folder, "target")
    with planting(folder / "target", victim):
        for _ in rounds(least=100):
            await source.write_bytes(b"payload")
            match how:
                case "copy":
                    await source.copy(target, atomic=True, preserve_metadata=True)
                case "write_bytes":
                    await target.write_bytes(b"payload", atomic=True, follow_symlinks=False)
                case "open_atomic":
                    async with target.open_atomic("wb", follow_symlinks=False) as file:
                        await file.write(b"payload")
                case "rename":
                    await source.replace(target)
                case _:
                    await source.move(target)
            assert victim.read_bytes() == OUTSIDE
            assert victim.stat().st_mode & 0o777 == 0o600
    assert set(os.listdir(folder)) <= {"target"}
